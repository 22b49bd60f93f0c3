/* The texts of /proc/net: made by hand, broken, and as other machines had them. */
#include "local/diag.h"

#include "base/buffer.h"
#include "base/file.h"
#include "guarded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INET_HEADING                                                                               \
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "  \
    "inode\n"
#define UNIX_HEADING "Num       RefCount Protocol Flags    Type St Inode Path\n"
#define ROOM 8192

static int read_text(const char *text, size_t length, const char *file, struct socket_list *list,
                     struct error *error)
{
    struct guarded guarded = guarded_open(ROOM);
    assert_non_null(guarded.pages);
    assert_true(length <= ROOM);
    const int code =
        procnet_read(guarded_copy(&guarded, text, length), length, file, NULL, 3, list, error);
    guarded_close(&guarded);
    return code;
}

static const struct socket_entry *read_lines(const char *text, const char *file,
                                             struct socket_list *list, size_t count)
{
    struct error error = {0};
    socket_list_init(list);
    if (read_text(text, strlen(text), file, list, &error) != 0)
        fail_msg("%s", error.message);
    assert_int_equal(list->count, count);
    return list->entries;
}

static void assert_endpoints(const struct socket_entry *entry, const char *local,
                             const char *remote)
{
    char text[ENDPOINT_TEXT_SIZE];
    const struct address addresses[] = {socket_local(entry), socket_remote(entry)};
    assert_string_equal(address_format_port(&addresses[0], entry->local_port, text), local);
    assert_string_equal(address_format_port(&addresses[1], entry->remote_port, text), remote);
}

/* An address as the kernel of this machine prints it: 32-bit words as if they were numbers. */
static const char *word(const char *big_endian, char text[static 9])
{
    static const int order[] = {3, 2, 1, 0};
    const uint16_t probe = 1;
    const bool little = *(const unsigned char *)&probe == 1;
    for (int i = 0; i < 4; i++)
        memcpy(text + 2 * i, big_endian + 2 * (little ? order[i] : i), 2);
    text[8] = '\0';
    return text;
}

static void a_line_is_a_socket(void **state)
{
    (void)state;
    char text[1024], local[9], remote[9];
    struct socket_list list;
    snprintf(text, sizeof(text),
             INET_HEADING "   0: %s:0016 00000000:0000 0A 00000080:00000002 00:00000000 00000000   "
                          "  0        0 1577 1 ffff888 100 0 0 10 0\n"
                          " 999: %s:01BB %s:C350 01 00000024:00000005 02:000002CF 00000003  1000   "
                          "     0 10125729 4 0000000000000000 21 4 30 10 -1\n"
                          "1000: %s:0050 %s:C351 06 00000000:00000000 03:00000E4D 00000000     0   "
                          "     0 0 3 0000000000000000",
             word("C0000201", local), word("C0000201", local), word("C6336407", remote),
             word("C0000201", local), word("C6336407", remote));
    const struct socket_entry *entries = read_lines(text, "tcp", &list, 3);
    assert_int_equal(entries[0].kind, SOCKET_TCP);
    assert_int_equal(entries[0].family, ADDRESS_IPV4);
    assert_int_equal(entries[0].state, SOCKET_LISTEN);
    assert_int_equal(entries[0].space, 3);
    assert_int_equal(entries[0].inode, 1577);
    assert_int_equal(entries[0].receive_queue, 2);
    assert_endpoints(&entries[0], "192.0.2.1:22", "0.0.0.0:0");
    assert_int_equal(entries[1].state, SOCKET_ESTABLISHED);
    assert_endpoints(&entries[1], "192.0.2.1:443", "198.51.100.7:50000");
    assert_int_equal(entries[1].send_queue, 0x24);
    assert_int_equal(entries[1].receive_queue, 5);
    assert_int_equal(entries[1].timer, SOCKET_TIMER_KEEPALIVE);
    assert_int_equal(entries[1].timer_ms, 7190);
    assert_int_equal(entries[1].retransmits, 3);
    assert_int_equal(entries[1].uid, 1000);
    assert_int_equal(entries[2].state, SOCKET_TIME_WAIT);
    assert_int_equal(entries[2].timer, SOCKET_TIMER_TIME_WAIT);
    assert_false(entries[2].has_inode);
    socket_list_release(&list);
}

static void ipv6_is_read_in_words(void **state)
{
    (void)state;
    char text[1024], a[9], b[9], c[9], d[9];
    struct socket_list list;
    snprintf(text, sizeof(text),
             INET_HEADING " 5: %s0000000000000000%s:0035 "
                          "00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 "
                          "00000000   101        0 20000 2 0\n"
                          " 6: 0000000000000000%s%s:0035 0000000000000000%s%s:1000 01 "
                          "00000000:00000000 00:00000000 00000000   101        0 20001 2 0\n",
             word("20010DB8", a), word("00000001", b), word("0000FFFF", c), word("C0000201", d), c,
             d);
    const struct socket_entry *entries = read_lines(text, "udp6", &list, 2);
    assert_int_equal(entries[0].kind, SOCKET_UDP);
    assert_int_equal(entries[0].family, ADDRESS_IPV6);
    assert_endpoints(&entries[0], "[2001:db8::1]:53", "[::]:0");
    assert_true(entries[1].mapped);
    assert_endpoints(&entries[1], "192.0.2.1:53", "192.0.2.1:4096");
    socket_list_release(&list);
}

static void unix_lines_have_paths(void **state)
{
    (void)state;
    struct socket_list list;
    const struct socket_entry *entries = read_lines(
        UNIX_HEADING "0000000000000000: 00000002 00000000 00010000 0001 01 34425 /run/a b\n"
                     "0000000000000000: 00000003 00000000 00000000 0001 03   509\n"
                     "ffff88003d3af3c0: 00000003 00000000 00000000 0002 01 12392 @abs@tract\n"
                     "0000000000000000: 00000003 00000000 00000000 0005 02 12393 /run/\x1b[2J\n",
        "unix", &list, 4);
    assert_int_equal(entries[0].kind, SOCKET_UNIX_STREAM);
    assert_int_equal(entries[0].state, SOCKET_LISTEN);
    assert_int_equal(entries[0].family, ADDRESS_NONE);
    assert_string_equal(entries[0].path, "/run/a b");
    assert_int_equal(entries[1].state, SOCKET_ESTABLISHED);
    assert_int_equal(entries[1].inode, 509);
    assert_null(entries[1].path);
    assert_int_equal(entries[2].kind, SOCKET_UNIX_DATAGRAM);
    assert_int_equal(entries[2].state, SOCKET_CLOSE);
    assert_string_equal(entries[2].path, "@abs@tract");
    assert_int_equal(entries[3].kind, SOCKET_UNIX_SEQPACKET);
    assert_string_equal(entries[3].path, "/run/\x1b[2J");
    socket_list_release(&list);
}

/* Whoever binds a path with a line feed in it must not keep us from the others. */
static void a_path_may_have_a_line_feed(void **state)
{
    (void)state;
    struct socket_list list;
    struct error error = {0};
    static const char text[] =
        UNIX_HEADING "0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/a\nb\n\nc\n"
                     "0000000000000000: 00000002 00000000 00010000 0001 01 2\n";
    const struct socket_entry *entries = read_lines(text, "unix", &list, 2);
    assert_string_equal(entries[0].path, "/run/a");
    assert_int_equal(entries[1].inode, 2);
    socket_list_release(&list);
    static const char nonsense[] =
        UNIX_HEADING "0000000000000000: 00000002 00000000 00010000 0001 01 1\nb\n";
    socket_list_init(&list);
    assert_int_equal(read_text(nonsense, sizeof(nonsense) - 1, "unix", &list, &error), -EBADMSG);
    assert_string_equal(error.message, "/proc/net/unix, line 3: this is not a socket");
    socket_list_release(&list);
}

static void nonsense_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
        unsigned line;
    } cases[] = {
        {"tcp", "what?\n", 1},
        {"tcp", "\n", 1},
        {"unix", INET_HEADING, 1},
        {"udp", UNIX_HEADING, 1},
        {"udp", INET_HEADING "\n", 2},
        {"udp", INET_HEADING "   1: 00000000:0016 00000000:0000 0A\n", 2},
        {"tcp", INET_HEADING "x: 0100007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 1\n", 2},
        {"tcp", INET_HEADING "0: 0100007F:00016 00000000:0000 0A 0:0 00:0 0 0 0 1\n", 2},
        {"tcp", INET_HEADING "0: 0100007:0016 00000000:0000 0A 0:0 00:0 0 0 0 1\n", 2},
        {"tcp", INET_HEADING "0: 0100007F:0016 00000000:0000 00 0:0 00:0 0 0 0 1\n", 2},
        {"tcp", INET_HEADING "0: 0100007F:0016 00000000:0000 0E 0:0 00:0 0 0 0 1\n", 2},
        {"tcp", INET_HEADING "0: 0100007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 4294967296\n", 2},
        {"tcp", INET_HEADING "0: 0100007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 -1\n", 2},
        {"tcp",
         INET_HEADING "0: 0100007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 1\n"
                      "1: 0100007F:0016 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 "
                      "1\n",
         3},
        {"tcp6", INET_HEADING "0: 0100007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 1\n", 2},
        {"unix", UNIX_HEADING "0: 2 0 0 9 1 5\n", 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct socket_list list;
        struct error error = {0};
        char expected[128];
        socket_list_init(&list);
        assert_int_equal(
            read_text(cases[i].text, strlen(cases[i].text), cases[i].file, &list, &error),
            -EBADMSG);
        snprintf(expected, sizeof(expected), "/proc/net/%s, line %u: this is not a socket",
                 cases[i].file, cases[i].line);
        assert_string_equal(error.message, expected);
        assert_int_equal(list.count, cases[i].line > 2 ? 1 : 0);
        socket_list_release(&list);
    }
}

static void only_known_files_are_read(void **state)
{
    (void)state;
    struct socket_list list;
    struct error error = {0};
    socket_list_init(&list);
    assert_int_equal(read_text("", 0, "arp", &list, &error), -EINVAL);
    assert_int_equal(read_text("", 0, "tcp", &list, &error), 0);
    assert_int_equal(list.count, 0);
    socket_list_release(&list);
    assert_string_equal(procnet_file(SOCKET_RAW, ADDRESS_IPV6), "raw6");
    assert_string_equal(procnet_file(SOCKET_UNIX_SEQPACKET, ADDRESS_NONE), "unix");
    assert_null(procnet_file(SOCKET_MPTCP, ADDRESS_IPV4));
    assert_null(procnet_file(SOCKET_TCP, ADDRESS_NONE));
}

static void only_what_is_asked_for_is_taken(void **state)
{
    (void)state;
    static const char text[] = INET_HEADING "0: 0100007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 1\n"
                                            "1: 0100007F:0016 0100007F:1000 01 0:0 00:0 0 0 0 2\n"
                                            "2: 0100007F:0017 0100007F:1000 01 0:0 00:0 0 0 0 3\n";
    const struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_TCP),
                                     .states = SOCKET_STATE_BIT(SOCKET_ESTABLISHED),
                                     .local_port = 0x17};
    struct socket_list list;
    socket_list_init(&list);
    assert_int_equal(procnet_read(text, sizeof(text) - 1, "tcp", &query, 0, &list, NULL), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.entries[0].inode, 3);
    socket_list_release(&list);
}

/* Cut off anywhere, or with any byte wrong: lines before the fault, and nothing beyond the end. */
static void damage_is_survived(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"tcp", INET_HEADING "0: 0100007F:0016 00000000:0000 0A 0:0 00:0 0 0 0 1\n"},
        {"unix", UNIX_HEADING "0: 2 0 00010000 0001 01 34425 /run/a b\n"},
    };
    for (size_t which = 0; which < 2; which++) {
        const size_t whole = strlen(texts[which][1]);
        struct socket_list list;
        socket_list_init(&list);
        for (size_t length = 0; length <= whole; length++) {
            socket_list_clear(&list);
            const int code = read_text(texts[which][1], length, texts[which][0], &list, NULL);
            assert_true(code == 0 || code == -EBADMSG);
            assert_true(list.count <= 1);
        }
        assert_int_equal(list.count, 1);
        for (size_t at = 0; at < whole; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                char text[256];
                memcpy(text, texts[which][1], whole);
                text[at] = (char)(text[at] ^ (1 << bit));
                const int code = read_text(text, whole, texts[which][0], &list, NULL);
                assert_true(code == 0 || code == -EBADMSG);
            }
        socket_list_release(&list);
    }
}

/* ---- samples of other machines ---- */

/* The text of a file in an archive of the ttar form: "Path: NAME", "Lines: COUNT", and so many
 * lines.
 */
static bool sample_find(const struct buffer *archive, const char *path, const char **ret_text,
                        size_t *ret_length)
{
    char wanted[160];
    unsigned lines = 0;
    snprintf(wanted, sizeof(wanted), "\nPath: fixtures/proc/net/%s\nLines: ", path);
    const char *at = strstr(archive->data, wanted);
    if (!at || sscanf(at + strlen(wanted), "%u", &lines) != 1)
        return false;
    const char *text = strchr(at + strlen(wanted), '\n') + 1, *end = text;
    for (unsigned i = 0; i < lines && end; i++)
        end = strchr(end, '\n') ? strchr(end, '\n') + 1 : NULL;
    *ret_text = text;
    *ret_length = end ? (size_t)(end - text) : 0;
    return end != NULL;
}

static void samples_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *file;
        int code;
        size_t count;
    } samples[] = {
        {"tcp", "tcp", 0, 3},
        {"tcp6", "tcp6", 0, 2},
        {"udp", "udp", 0, 3},
        {"udp6", "udp6", 0, 2},
        {"udp_broken", "udp", -EBADMSG, 0},
        {"unix", "unix", 0, 5},
        {"unix_without_inode", "unix", 0, 5},
        {"arp", "tcp", -EBADMSG, 0},
        {"dev", "unix", -EBADMSG, 0},
    };
    const char *shared = getenv("PORTHOLE_SHARED"), *source = getenv("PORTHOLE_SOURCE");
    struct buffer archive = {0};
    char path[4096];
    snprintf(path, sizeof(path), "%s%s/data/procfs/fixtures.ttar",
             shared   ? shared
             : source ? source
                      : ".",
             shared ? "" : "/../shared");
    if (file_read(path, (size_t)16 << 20, &archive, NULL) != 0) {
        print_message("# skipped: there are no samples at %s\n", path);
        skip();
    }
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const char *text = NULL;
        size_t length = 0;
        struct socket_list list;
        socket_list_init(&list);
        assert_true(sample_find(&archive, samples[i].name, &text, &length));
        assert_int_equal(read_text(text, length, samples[i].file, &list, NULL), samples[i].code);
        assert_int_equal(list.count, samples[i].count);
        if (i == 1) {
            assert_int_equal(list.entries[1].inode, 11337031);
            assert_int_equal(list.entries[1].local_port, 51073);
            assert_int_equal(list.entries[1].uid, 1000);
        }
        if (i == 5) {
            assert_string_equal(list.entries[2].path, "/dev/log");
            assert_int_equal(list.entries[2].kind, SOCKET_UNIX_DATAGRAM);
        }
        if (i == 6) {
            assert_string_equal(list.entries[2].path, "/dev/log");
            assert_false(list.entries[2].has_inode);
        }
        socket_list_release(&list);
    }
    buffer_release(&archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_socket),
        cmocka_unit_test(ipv6_is_read_in_words),
        cmocka_unit_test(unix_lines_have_paths),
        cmocka_unit_test(a_path_may_have_a_line_feed),
        cmocka_unit_test(nonsense_is_told_with_its_line),
        cmocka_unit_test(only_known_files_are_read),
        cmocka_unit_test(only_what_is_asked_for_is_taken),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(samples_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
