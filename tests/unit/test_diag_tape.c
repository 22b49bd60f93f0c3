/* Recordings: of messages made by hand, and of the kernel's own. */
#include "local/diag_tape.h"
#include "local/spaces.h"

#include "diag_messages.h"
#include "guarded.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct diag_query everything = {
    .kinds = SOCKET_KIND_BIT(SOCKET_KINDS) - 1, .states = SOCKET_EVERY_STATE, .tcp_figures = true};

#define HEADER_SIZE 31 /* "porthole sockets 1\n", 4 and 8 bytes */

/* ---- recordings by hand ---- */

struct recording {
    char bytes[8 * MESSAGES_SIZE];
    size_t length;
};

static void record_bytes(struct recording *recording, const void *bytes, size_t length)
{
    assert_true(length <= sizeof(recording->bytes) - recording->length);
    if (length > 0)
        memcpy(recording->bytes + recording->length, bytes, length);
    recording->length += length;
}

static struct recording recording_new(void)
{
    struct recording recording = {.length = 0};
    const uint32_t order = 0x01020304;
    const uint64_t time = 1795227243512000000;
    record_bytes(&recording, "porthole sockets 1\n", 19);
    record_bytes(&recording, &order, sizeof(order));
    record_bytes(&recording, &time, sizeof(time));
    return recording;
}

static void record(struct recording *recording, uint32_t type, const void *bytes, size_t length)
{
    const uint32_t header[2] = {type, (uint32_t)length};
    record_bytes(recording, header, sizeof(header));
    record_bytes(recording, bytes, length);
}

static void record_space(struct recording *recording, uint64_t inode, uint32_t own,
                         const char *name)
{
    char bytes[256];
    memcpy(bytes, &inode, 8);
    memcpy(bytes + 8, &own, 4);
    memcpy(bytes + 12, name, strlen(name));
    record(recording, TAPE_SPACE, bytes, 12 + strlen(name));
}

static void record_question(struct recording *recording, uint32_t space, enum socket_kind kind,
                            enum address_family family)
{
    const struct tape_question question = {
        .space = space, .kind = kind, .family = family, .states = SOCKET_EVERY_STATE};
    record(recording, TAPE_QUESTION, &question, sizeof(question));
}

static void record_listener(struct recording *recording, uint16_t port, uint16_t flags, bool done)
{
    const struct inet_diag_msg body = inet_body(SOCKET_LISTEN, "192.0.2.1", port, "0.0.0.0", 0);
    struct messages messages = {0};
    messages_start(&messages, SOCK_DIAG_BY_FAMILY, (uint16_t)(NLM_F_MULTI | flags), &body,
                   sizeof(body));
    if (done)
        messages_done(&messages, 0);
    record(recording, TAPE_MESSAGES, messages.bytes, messages.length);
}

static int open_guarded(const struct guarded *guarded, const struct recording *recording,
                        struct diag_tape **ret_tape, struct error *error)
{
    return diag_tape_open_bytes(guarded_copy(guarded, recording->bytes, recording->length),
                                recording->length, "tape", ret_tape, error);
}

static void add_ports(const struct socket_list *list, char text[static 256])
{
    for (size_t i = 0; i < list->count; i++)
        snprintf(text + strlen(text), 256 - strlen(text), "%s%u/%u", text[0] ? " " : "",
                 list->entries[i].space, list->entries[i].local_port);
}

typedef int grown_fn(struct socket_list *list, void *user, struct error *error);

/* Lists all that is recorded: the local ports, as text, each with its namespace. */
static int list_ports_growing(const struct recording *recording, grown_fn *grown,
                              char text[static 256], struct socket_list *list)
{
    struct guarded guarded = guarded_open(sizeof(recording->bytes));
    struct diag_tape *tape = NULL;
    struct error error = {0};
    size_t closed = 99;
    assert_int_equal(open_guarded(&guarded, recording, &tape, &error), 0);
    socket_list_init(list);
    list->grown = grown;
    list->user = text;
    text[0] = '\0';
    const int code = spaces_list(NULL, &everything, tape, list, &closed, &error);
    add_ports(list, text);
    assert_int_equal(diag_tape_close(tape, &error), 0);
    guarded_close(&guarded);
    return code;
}

static int list_ports(const struct recording *recording, char text[static 256],
                      struct socket_list *list)
{
    return list_ports_growing(recording, NULL, text, list);
}

static void a_recording_is_listed(void **state)
{
    (void)state;
    static const char udp[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
                              "retrnsmt   uid  timeout inode ref pointer drops\n"
                              "  123: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 "
                              "00000000   101        0 20000 2 0000000000000000 0\n";
    char text[256], file[256] = "udp";
    memcpy(file + 4, udp, sizeof(udp) - 1);
    struct recording recording = recording_new();
    struct socket_list list;
    record_space(&recording, 4026531840, 1, "");
    record_space(&recording, 4026532000, 0, "blue");
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 22, 0, false);
    record_listener(&recording, 80, 0, true);
    record_question(&recording, 0, SOCKET_UDP, ADDRESS_IPV4);
    record(&recording, TAPE_TEXT, file, 4 + sizeof(udp) - 1);
    record_question(&recording, 0, SOCKET_RAW, ADDRESS_IPV4);
    record(&recording, TAPE_REFUSED, &(uint32_t){EPERM}, sizeof(uint32_t));
    record(&recording, 4711, "what comes later", 16);
    record_question(&recording, 1, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 443, 0, true);
    record_question(&recording, 2, SOCKET_TCP, ADDRESS_IPV4); /* there is no such namespace */
    record_listener(&recording, 444, 0, true);
    record(&recording, TAPE_END, NULL, 0);
    assert_int_equal(list_ports(&recording, text, &list), 0);
    assert_string_equal(text, "0/22 0/80 0/53 1/443");
    assert_int_equal(list.refused, SOCKET_KIND_BIT(SOCKET_RAW));
    assert_int_equal(list.space_count, 2);
    assert_true(list.spaces[0].own && !list.spaces[1].own);
    assert_int_equal(list.spaces[1].inode, 4026532000);
    assert_string_equal(list.spaces[1].name, "blue");
    socket_list_release(&list);
}

static void what_was_asked_again_counts_once(void **state)
{
    (void)state;
    char text[256];
    struct recording recording = recording_new();
    struct socket_list list;
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 22, NLM_F_DUMP_INTR, true);
    record(&recording, TAPE_AGAIN, NULL, 0);
    record_listener(&recording, 80, 0, true);
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV6);
    record_listener(&recording, 443, 0, true);
    struct recording interrupted = recording;
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4); /* another listing */
    record_listener(&recording, 81, 0, true);
    record(&recording, TAPE_END, NULL, 0);
    assert_int_equal(list_ports(&recording, text, &list), 0);
    assert_string_equal(text, "0/80 0/443");
    assert_int_equal(list.space_count, 1);
    socket_list_release(&list);

    record_question(&interrupted, 0, SOCKET_UDP, ADDRESS_IPV4);
    record_listener(&interrupted, 53, NLM_F_DUMP_INTR, true);
    record(&interrupted, TAPE_END, NULL, 0);
    assert_int_equal(list_ports(&interrupted, text, &list), 1);
    assert_string_equal(text, "0/80 0/443 0/53");
    socket_list_release(&list);
}

/* Takes out even ports, and looks at each socket once. */
static int keep_odd(struct socket_list *list, void *user, struct error *error)
{
    (void)user, (void)error;
    size_t kept = list->checked;
    for (size_t i = list->checked; i < list->count; i++)
        if (list->entries[i].local_port % 2)
            list->entries[kept++] = list->entries[i];
    list->count = list->checked = kept;
    return 0;
}

/* Takes out all. */
static int show_all(struct socket_list *list, void *user, struct error *error)
{
    (void)error;
    add_ports(list, user);
    socket_list_clear(list);
    return 0;
}

/* Nothing of the first try comes to those who look at sockets as they come, or show them. */
static void what_was_asked_again_is_never_taken(void **state)
{
    (void)state;
    char text[256];
    struct recording recording = recording_new();
    struct socket_list list;
    record_question(&recording, 0, SOCKET_UDP, ADDRESS_IPV4);
    record_listener(&recording, 53, 0, true);
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        record_listener(&recording, 1001, NLM_F_DUMP_INTR, false);
        record_listener(&recording, 1002, 0, true);
        record(&recording, TAPE_AGAIN, NULL, 0);
    }
    record_listener(&recording, 1003, 0, false);
    record_listener(&recording, 1004, 0, true);
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV6);
    record_listener(&recording, 1005, 0, true);
    record(&recording, TAPE_END, NULL, 0);
    assert_int_equal(list_ports(&recording, text, &list), 0);
    assert_string_equal(text, "0/53 0/1003 0/1004 0/1005");
    socket_list_release(&list);
    assert_int_equal(list_ports_growing(&recording, keep_odd, text, &list), 0);
    assert_string_equal(text, "0/53 0/1003 0/1005");
    socket_list_release(&list);
    assert_int_equal(list_ports_growing(&recording, show_all, text, &list), 0);
    assert_string_equal(text, "0/53 0/1003 0/1004 0/1005");
    socket_list_release(&list);
}

static void a_name_is_cut_to_what_fits(void **state)
{
    (void)state;
    char name[201], text[256];
    memset(name, 'n', 200);
    name[200] = '\0';
    struct recording recording = recording_new();
    struct socket_list list;
    record_space(&recording, 1, 1, name);
    record(&recording, TAPE_SPACE, "short", 5);
    record(&recording, TAPE_END, NULL, 0);
    assert_int_equal(list_ports(&recording, text, &list), 0);
    assert_int_equal(list.space_count, 1);
    assert_int_equal(strlen(list.spaces[0].name), sizeof(list.spaces[0].name) - 1);
    socket_list_release(&list);
}

static void what_is_no_recording_is_refused(void **state)
{
    (void)state;
    struct recording recording = recording_new();
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 22, 0, true);
    record(&recording, TAPE_END, NULL, 0);
    const struct {
        size_t at;
        const char *bytes;
        size_t length;
        const char *says;
    } faults[] = {
        {0, "#!/bin/sh", 9, "'tape' is not a recording of sockets"},
        {17, "2", 1, "'tape' was recorded by another version of porthole"},
        {19, "\1\2\3\4", 4, "'tape' was recorded on a machine of another byte order"},
    };
    struct guarded guarded = guarded_open(sizeof(recording.bytes));
    struct diag_tape *tape = NULL;
    struct error error = {0};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct recording wrong = recording;
        memcpy(wrong.bytes + faults[i].at, faults[i].bytes, faults[i].length);
        assert_int_equal(open_guarded(&guarded, &wrong, &tape, &error), -EBADMSG);
        assert_string_equal(error.message, faults[i].says);
    }
    for (size_t length = 0; length < HEADER_SIZE; length++) {
        struct recording cut = recording;
        cut.length = length;
        assert_int_equal(open_guarded(&guarded, &cut, &tape, &error), -EBADMSG);
    }
    assert_string_equal(error.message, "'tape' is cut off: there is no socket in it");
    assert_null(tape);
    assert_int_equal(diag_tape_open("/nonexistent/tape", false, &tape, &error), -ENOENT);
    guarded_close(&guarded);
}

/* Cut at every byte: what is whole of it is listed, and it is known for cut off. */
static void what_is_left_of_a_recording_is_listed(void **state)
{
    (void)state;
    struct recording recording = recording_new();
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 22, 0, false);
    const size_t first = recording.length;
    record_listener(&recording, 80, 0, true);
    const size_t second = recording.length;
    record(&recording, TAPE_END, NULL, 0);
    struct guarded guarded = guarded_open(sizeof(recording.bytes));
    for (size_t length = HEADER_SIZE; length <= recording.length; length++) {
        struct recording cut = recording;
        struct diag_tape *tape = NULL;
        struct socket_list list;
        size_t closed;
        cut.length = length;
        assert_int_equal(open_guarded(&guarded, &cut, &tape, NULL), 0);
        assert_int_equal(diag_tape_is_cut(tape), length < recording.length);
        socket_list_init(&list);
        assert_int_equal(spaces_list(NULL, &everything, tape, &list, &closed, NULL), 0);
        assert_int_equal(list.count, (length >= first) + (length >= second));
        assert_false(diag_tape_is_damaged(tape));
        socket_list_release(&list);
        diag_tape_discard(tape);
    }
    guarded_close(&guarded);
}

/* An answer that makes no sense is passed over, with what came before and after it listed. */
static void what_makes_no_sense_is_passed_over(void **state)
{
    (void)state;
    struct recording recording = recording_new();
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 22, 0, false);
    record(&recording, TAPE_MESSAGES, "no message", 10);
    record_listener(&recording, 80, 0, true);
    record_question(&recording, 0, SOCKET_UDP, ADDRESS_IPV4);
    record(&recording, TAPE_TEXT, "no file's name", 14);
    record_question(&recording, 0, SOCKET_RAW, ADDRESS_IPV4);
    record_listener(&recording, 1, 0, true);
    record(&recording, TAPE_END, NULL, 0);
    struct guarded guarded = guarded_open(sizeof(recording.bytes));
    struct diag_tape *tape = NULL;
    struct socket_list list;
    size_t closed;
    assert_int_equal(open_guarded(&guarded, &recording, &tape, NULL), 0);
    socket_list_init(&list);
    assert_int_equal(spaces_list(NULL, &everything, tape, &list, &closed, NULL), 0);
    assert_int_equal(list.count, 3);
    assert_true(diag_tape_is_damaged(tape) && !diag_tape_is_cut(tape));
    socket_list_release(&list);
    diag_tape_discard(tape);
    guarded_close(&guarded);
}

/* A later kernel's recording: what is not known of it is missing, and nothing is damaged. */
static void what_is_not_known_makes_it_incomplete(void **state)
{
    (void)state;
    const struct inet_diag_msg body = inet_body(SOCKET_STATES, "192.0.2.1", 23, "0.0.0.0", 0);
    struct recording recording = recording_new();
    struct messages messages = {0};
    messages_inet(&messages, &body);
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 22, 0, false);
    record(&recording, TAPE_MESSAGES, messages.bytes, messages.length);
    record_listener(&recording, 80, 0, true);
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV6);
    record_listener(&recording, 443, 0, true);
    record(&recording, TAPE_END, NULL, 0);
    struct guarded guarded = guarded_open(sizeof(recording.bytes));
    struct diag_tape *tape = NULL;
    struct socket_list list;
    size_t closed;
    assert_int_equal(open_guarded(&guarded, &recording, &tape, NULL), 0);
    socket_list_init(&list);
    assert_int_equal(spaces_list(NULL, &everything, tape, &list, &closed, NULL), 1);
    assert_int_equal(list.count, 3);
    assert_false(diag_tape_is_damaged(tape));
    socket_list_release(&list);
    diag_tape_discard(tape);
    guarded_close(&guarded);
}

/* Does listing these ask for more than was recorded? */
static bool is_narrow(const struct recording *recording, const struct diag_query *query)
{
    struct guarded guarded = guarded_open(sizeof(recording->bytes));
    struct diag_tape *tape = NULL;
    struct socket_list list;
    size_t closed;
    assert_int_equal(open_guarded(&guarded, recording, &tape, NULL), 0);
    socket_list_init(&list);
    assert_int_equal(spaces_list(NULL, query, tape, &list, &closed, NULL), 0);
    const bool narrow = diag_tape_is_narrow(tape);
    socket_list_release(&list);
    diag_tape_discard(tape);
    guarded_close(&guarded);
    return narrow;
}

static void what_was_not_asked_for_is_known(void **state)
{
    (void)state;
    const uint32_t waiting = SOCKET_STATE_BIT(SOCKET_LISTEN) | SOCKET_STATE_BIT(SOCKET_CLOSE);
    struct recording recording = recording_new();
    for (unsigned family = ADDRESS_IPV4; family <= ADDRESS_IPV6; family += 2) {
        const struct tape_question question = {
            .kind = SOCKET_TCP, .family = family, .states = waiting};
        record(&recording, TAPE_QUESTION, &question, sizeof(question));
        record_question(&recording, 0, SOCKET_UDP, (enum address_family)family);
    }
    const struct tape_question one_port = {
        .kind = SOCKET_RAW, .family = ADDRESS_IPV4, .states = SOCKET_EVERY_STATE, .local_port = 1};
    record(&recording, TAPE_QUESTION, &one_port, sizeof(one_port));
    record(&recording, TAPE_END, NULL, 0);
    const uint32_t tcp = SOCKET_KIND_BIT(SOCKET_TCP), udp = SOCKET_KIND_BIT(SOCKET_UDP);
    const uint32_t raw = SOCKET_KIND_BIT(SOCKET_RAW);
    const struct {
        struct diag_query query;
        bool narrow;
    } cases[] = {
        {{.kinds = tcp | udp, .states = waiting}, false},
        {{.kinds = udp, .states = SOCKET_EVERY_STATE}, false},
        {{.kinds = tcp, .states = SOCKET_EVERY_STATE}, true},
        {{.kinds = SOCKET_UNIX_KINDS, .states = waiting}, true},
        {{.kinds = SOCKET_UNIX_KINDS, .states = waiting, .local_port = 1}, false},
        {{.kinds = raw, .states = waiting, .family = ADDRESS_IPV4}, true},
        {{.kinds = raw, .states = waiting, .family = ADDRESS_IPV4, .local_port = 1}, false},
        {{.kinds = raw, .states = waiting, .family = ADDRESS_IPV4, .local_port = 2}, true},
        {{.kinds = raw, .states = waiting, .family = ADDRESS_IPV6, .local_port = 1}, true},
        {{.kinds = SOCKET_KIND_BIT(SOCKET_SCTP), .states = waiting}, false}, /* many have none */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (is_narrow(&recording, &cases[i].query) != cases[i].narrow)
            fail_msg("case %zu", i);
}

/* Each bit wrong in turn: it is refused, or lists something, but reads nothing that is not there.
 */
static void damage_is_survived(void **state)
{
    (void)state;
    struct recording recording = recording_new();
    record_space(&recording, 1, 1, "x");
    record_question(&recording, 0, SOCKET_UNIX_STREAM, ADDRESS_NONE);
    record_listener(&recording, 22, 0, true);
    record_question(&recording, 0, SOCKET_TCP, ADDRESS_IPV4);
    record_listener(&recording, 22, 0, true);
    record_question(&recording, 0, SOCKET_UDP, ADDRESS_IPV4);
    record(&recording, TAPE_TEXT, "udp\0  sl", 8);
    record(&recording, TAPE_END, NULL, 0);
    struct guarded guarded = guarded_open(sizeof(recording.bytes));
    unsigned listed = 0;
    for (size_t at = HEADER_SIZE * 8; at < recording.length * 8; at++) {
        struct recording wrong = recording;
        struct diag_tape *tape = NULL;
        struct socket_list list;
        size_t closed;
        wrong.bytes[at / 8] = (char)(wrong.bytes[at / 8] ^ (1 << at % 8));
        if (open_guarded(&guarded, &wrong, &tape, NULL) != 0)
            continue;
        socket_list_init(&list);
        spaces_list(NULL, &everything, tape, &list, &closed, NULL);
        listed += list.count > 0;
        socket_list_release(&list);
        diag_tape_discard(tape);
    }
    assert_true(listed > 0);
    guarded_close(&guarded);
}

/* ---- the kernel's ---- */

struct place {
    char folder[64], path[96];
};

static struct place place_new(void)
{
    struct place place = {.folder = "/tmp/porthole-test-XXXXXX"};
    assert_non_null(mkdtemp(place.folder));
    snprintf(place.path, sizeof(place.path), "%s/tape", place.folder);
    return place;
}

static void place_remove(const struct place *place)
{
    unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static void assert_same(const struct socket_entry *one, const struct socket_entry *other)
{
    struct socket_entry a = *one, b = *other;
    /* Texts and figures are in two arenas. */
    assert_int_equal(!a.path, !b.path);
    assert_int_equal(!a.tcp, !b.tcp);
    if (a.path)
        assert_string_equal(a.path, b.path);
    if (a.tcp)
        assert_memory_equal(a.tcp, b.tcp, sizeof(*a.tcp));
    a.path = b.path = NULL;
    a.tcp = b.tcp = NULL;
    assert_memory_equal(&a, &b, sizeof(a));
}

static void what_the_kernel_says_comes_again(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct diag_tape *tape = NULL;
    struct spaces *spaces = NULL;
    struct socket_list live, again;
    struct error error = {0};
    size_t closed = 99;
    const int ours = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(spaces_open(false, &spaces, &error), 0);
    assert_int_equal(diag_tape_open(place.path, true, &tape, &error), 0);
    assert_true(diag_tape_is_written(tape) && !diag_tape_is_read(tape));
    socket_list_init(&live);
    const int code = spaces_list(spaces, &everything, tape, &live, &closed, &error);
    assert_true(code >= 0 && closed == 0 && live.count > 0);
    assert_int_not_equal(access(place.path, F_OK), 0); /* it is there as a whole, or not */
    assert_int_equal(diag_tape_close(tape, &error), 0);

    assert_int_equal(diag_tape_open(place.path, false, &tape, &error), 0);
    assert_true(diag_tape_is_read(tape) && !diag_tape_is_written(tape));
    assert_true(diag_tape_time(tape) > 1700000000000000000);
    socket_list_init(&again);
    assert_int_equal(spaces_list(NULL, &everything, tape, &again, &closed, &error), code);
    assert_int_equal(again.space_count, 1);
    assert_int_equal(again.spaces[0].inode, spaces_item(spaces, 0)->inode);
    assert_true(again.spaces[0].own);
    assert_int_equal(again.count, live.count);
    for (size_t i = 0; i < live.count; i++)
        assert_same(&live.entries[i], &again.entries[i]);
    /* What was recorded can be asked for less. */
    const struct diag_query less = {.kinds = SOCKET_KIND_BIT(SOCKET_UNIX_DATAGRAM),
                                    .states = SOCKET_STATE_BIT(SOCKET_CLOSE)};
    struct stat status;
    bool found = false;
    assert_int_equal(fstat(ours, &status), 0);
    socket_list_clear(&again);
    assert_true(diag_list(&less, 0, tape, &again, &error) >= 0);
    for (size_t i = 0; i < again.count; i++) {
        assert_int_equal(again.entries[i].kind, SOCKET_UNIX_DATAGRAM);
        assert_int_equal(again.entries[i].state, SOCKET_CLOSE);
        found |= again.entries[i].inode == status.st_ino;
    }
    assert_true(found);
    assert_int_equal(diag_tape_close(tape, &error), 0);
    socket_list_release(&live);
    socket_list_release(&again);
    spaces_close(spaces);
    close(ours);
    place_remove(&place);
}

static void what_is_given_up_leaves_nothing(void **state)
{
    (void)state;
    const struct place place = place_new();
    struct diag_tape *tape = NULL;
    struct error error = {0};
    assert_int_equal(diag_tape_open(place.path, true, &tape, &error), 0);
    diag_tape_discard(tape);
    assert_int_equal(rmdir(place.folder), 0);
    assert_int_equal(diag_tape_open("/nonexistent/tape", true, &tape, &error), -ENOENT);
    assert_int_equal(diag_tape_close(NULL, &error), 0);
    diag_tape_discard(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recording_is_listed),
        cmocka_unit_test(what_was_asked_again_counts_once),
        cmocka_unit_test(what_was_asked_again_is_never_taken),
        cmocka_unit_test(a_name_is_cut_to_what_fits),
        cmocka_unit_test(what_is_no_recording_is_refused),
        cmocka_unit_test(what_is_left_of_a_recording_is_listed),
        cmocka_unit_test(what_makes_no_sense_is_passed_over),
        cmocka_unit_test(what_is_not_known_makes_it_incomplete),
        cmocka_unit_test(what_was_not_asked_for_is_known),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(what_the_kernel_says_comes_again),
        cmocka_unit_test(what_is_given_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
