/* Names of kinds and states, and lists of sockets. */
#include "local/socket.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void states_are_known_by_their_names(void **state)
{
    (void)state;
    for (unsigned i = SOCKET_ESTABLISHED; i < SOCKET_STATES; i++) {
        const char *name = socket_state_name((enum socket_state)i);
        char other[32] = "";
        enum socket_state found = SOCKET_STATES;
        assert_string_not_equal(name, "?");
        assert_int_equal(socket_state_parse(name, strlen(name), &found), 0);
        assert_int_equal(found, i);
        for (size_t k = 0; name[k]; k++)
            other[k] = name[k] == '_' ? '-' : (char)tolower((unsigned char)name[k]);
        found = SOCKET_STATES;
        assert_int_equal(socket_state_parse(other, strlen(other), &found), 0);
        assert_int_equal(found, i);
    }
    assert_string_equal(socket_state_name((enum socket_state)0), "?");
    assert_string_equal(socket_state_name(SOCKET_STATES), "?");
}

static void states_have_other_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum socket_state state;
    } names[] = {
        {"estab", SOCKET_ESTABLISHED},    {"Listening", SOCKET_LISTEN},
        {"unconn", SOCKET_CLOSE},         {"SYN-RECEIVED", SOCKET_SYN_RECV},
        {"syn-rcv", SOCKET_SYN_RECV},     {"FIN-WAIT-1", SOCKET_FIN_WAIT1},
        {"fin-wait-2", SOCKET_FIN_WAIT2}, {"timewait", SOCKET_TIME_WAIT},
        {"CLOSED", SOCKET_CLOSE},         {"bound-inactive", SOCKET_BOUND},
        {"LAST-ACK", SOCKET_LAST_ACK},
    };
    static const char *const none[] = {"",          "-", "listens", "list", "establishedx",
                                       "time wait", "?"};
    enum socket_state found;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        found = SOCKET_STATES;
        assert_int_equal(socket_state_parse(names[i].name, strlen(names[i].name), &found), 0);
        assert_int_equal(found, names[i].state);
    }
    found = SOCKET_LISTEN;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(socket_state_parse(none[i], strlen(none[i]), &found), -EINVAL);
    assert_int_equal(found, SOCKET_LISTEN);
    /* Of a longer text only the length counts. */
    assert_int_equal(socket_state_parse("close-wait", 5, &found), 0);
    assert_int_equal(found, SOCKET_CLOSE);
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SOCKET_KINDS; i++)
        for (unsigned k = 0; k <= i; k++)
            assert_int_equal(strcmp(socket_kind_name((enum socket_kind)i),
                                    socket_kind_name((enum socket_kind)k)) == 0,
                             i == k);
    assert_string_equal(socket_kind_name(SOCKET_UNIX_STREAM), "u_str");
    assert_string_equal(socket_kind_name(SOCKET_KINDS), "?");
}

static void sets_of_states_hold_what_they_say(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        const bool known = i >= SOCKET_ESTABLISHED && i < SOCKET_STATES;
        assert_int_equal((SOCKET_EVERY_STATE & SOCKET_STATE_BIT(i)) != 0, known);
        assert_int_equal((SOCKET_USUAL_STATES & SOCKET_STATE_BIT(i)) != 0,
                         known && i != SOCKET_BOUND);
    }
}

static void a_list_grows(void **state)
{
    (void)state;
    struct socket_list list;
    socket_list_init(&list);
    for (uint32_t i = 0; i < 1000; i++) {
        struct socket_entry *entry = socket_list_add(&list);
        assert_non_null(entry);
        assert_int_equal(entry->inode, 0);
        entry->inode = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(list.entries[i].inode, i);
    socket_list_clear(&list);
    assert_int_equal(list.count, 0);
    assert_int_equal(socket_list_add(&list)->inode, 0);
    assert_int_equal(socket_list_grown(&list, NULL), 0);
    socket_list_release(&list);
    assert_null(list.entries);
}

static void what_is_taken_back_is_unchecked(void **state)
{
    (void)state;
    struct socket_list list;
    socket_list_init(&list);
    for (uint32_t i = 0; i < 10; i++)
        assert_non_null(socket_list_add(&list));
    list.checked = 8;
    socket_list_truncate(&list, 20);
    assert_true(list.count == 10 && list.checked == 8);
    socket_list_truncate(&list, 9);
    assert_true(list.count == 9 && list.checked == 8);
    socket_list_truncate(&list, 5);
    assert_true(list.count == 5 && list.checked == 5);
    assert_int_equal(list.clears, 0);
    socket_list_clear(&list);
    assert_true(list.count == 0 && list.checked == 0);
    assert_int_equal(list.clears, 1);
    socket_list_truncate(&list, 5);
    assert_true(list.count == 0 && list.checked == 0);
    socket_list_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_known_by_their_names),
        cmocka_unit_test(states_have_other_names),
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(sets_of_states_hold_what_they_say),
        cmocka_unit_test(a_list_grows),
        cmocka_unit_test(what_is_taken_back_is_unchecked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
