/* Two looks at the sockets compared: what came, went and changed, how long that is remembered, and
 * who held what went. Each look is given back before the next one is judged, so that a sanitizer
 * sees what was not copied. */
#include "cmd/sockets_changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEEP 100
#define HOME 4026531840U /* inode of the own namespace */
#define MANY 3000
#define CROWD 5000 /* processes */
#define LOOPBACK 0x7f000001

/* ---- looks ---- */

/* The latest look, and what was found in it. */
struct scene {
    struct sockets sockets;
    struct sockets_marks marks;
    bool there;
};

static char *text_in(struct arena *arena, const char *text)
{
    char *copy = arena_take(arena, strlen(text) + 1);
    assert_non_null(copy);
    return strcpy(copy, text);
}

static uint32_t add_space(struct sockets *look, uint64_t inode, const char *name)
{
    struct socket_list *list = &look->list;
    list->spaces = reallocarray(list->spaces, list->space_count + 1, sizeof(*list->spaces));
    assert_non_null(list->spaces);
    struct socket_space *space = &list->spaces[list->space_count];
    *space = (struct socket_space){.inode = inode, .own = inode == HOME};
    snprintf(space->name, sizeof(space->name), "%s", name);
    return (uint32_t)list->space_count++;
}

/* With one namespace and no sockets. */
static struct sockets empty_look(void)
{
    struct sockets look = {0};
    socket_list_init(&look.list);
    add_space(&look, HOME, "");
    return look;
}

static struct socket_entry *add(struct sockets *look, struct socket_entry entry)
{
    struct socket_entry *added = socket_list_add(&look->list);
    assert_non_null(added);
    *added = entry;
    return added;
}

static struct socket_entry listener(uint16_t port, uint32_t inode)
{
    return (struct socket_entry){.kind = SOCKET_TCP,
                                 .state = SOCKET_LISTEN,
                                 .family = ADDRESS_IPV4,
                                 .local = LOOPBACK,
                                 .local_port = port,
                                 .has_inode = inode != 0,
                                 .inode = inode};
}

static struct socket_entry connection(enum socket_state state, uint32_t inode)
{
    struct socket_entry entry = listener(40000, inode);
    entry.state = (uint8_t)state;
    entry.remote = LOOPBACK;
    entry.remote_port = 443;
    return entry;
}

/* Says that a process holds a socket: in ascending order of inodes and of processes. */
static void hold(struct sockets *look, uint32_t inode, pid_t pid)
{
    struct owners *owners = &look->owners;
    char text[32];
    look->has_owners = true;
    owners->items = reallocarray(owners->items, owners->count + 1, sizeof(*owners->items));
    assert_non_null(owners->items);
    owners->items[owners->count++] = (struct owner){.inode = inode, .pid = pid, .fd = 3};
    if (owners_process(owners, pid))
        return;
    owners->processes =
        reallocarray(owners->processes, owners->process_count + 1, sizeof(*owners->processes));
    assert_non_null(owners->processes);
    struct process *process = &owners->processes[owners->process_count++];
    *process = (struct process){.pid = pid};
    snprintf(process->name, sizeof(process->name), "name %d", pid);
    snprintf(text, sizeof(text), "command %d", pid);
    process->command = text_in(&owners->arena, text);
}

static void release(struct sockets *look)
{
    socket_list_release(&look->list);
    if (look->has_owners)
        owners_release(&look->owners);
}

static void clear(struct scene *scene)
{
    if (scene->there)
        release(&scene->sockets);
    sockets_marks_release(&scene->marks);
    *scene = (struct scene){0};
}

/* The next look takes the place of the latest one. */
static void look_next(struct scene *scene, struct sockets next, uint64_t time, uint64_t keep)
{
    struct error error = {0};
    struct sockets_marks marks;
    assert_int_equal(sockets_changes_find(scene->there ? &scene->sockets : NULL, &scene->marks,
                                          &next, time, keep, &marks, &error),
                     0);
    clear(scene);
    *scene = (struct scene){next, marks, true};
    assert_int_equal(marks.count, next.list.count);
}

static int make_scene(void **state)
{
    *state = calloc(1, sizeof(struct scene));
    return *state ? 0 : -1;
}

static int free_scene(void **state)
{
    clear(*state);
    free(*state);
    return 0;
}

/* ---- what is said of a socket ---- */

static void assert_mark(const struct scene *scene, size_t index, enum sockets_change change,
                        uint64_t when, bool fresh)
{
    assert_in_range(index, 0, scene->marks.count - 1);
    const struct sockets_mark *mark = &scene->marks.items[index];
    assert_int_equal(mark->change, change);
    assert_int_equal(mark->when, when);
    assert_int_equal(mark->fresh, fresh);
}

/* Nothing is said of it. */
static void assert_stayed(const struct scene *scene, size_t index)
{
    assert_mark(scene, index, SOCKETS_STAYED, 0, false);
}

/* One process holds it; 0: none does. */
static void assert_holder(const struct scene *scene, uint32_t inode, pid_t pid)
{
    const struct owners *owners = &scene->sockets.owners;
    char command[32];
    size_t count;
    const struct owner *owner = owners_of(owners, inode, &count);
    if (pid == 0) {
        assert_null(owner);
        return;
    }
    assert_non_null(owner);
    assert_int_equal(count, 1);
    assert_int_equal(owner->pid, pid);
    const struct process *process = owners_process(owners, pid);
    assert_non_null(process);
    snprintf(command, sizeof(command), "command %d", pid);
    assert_string_equal(process->command, command);
}

/* ---- what comes, goes and changes ---- */

static void the_first_look_has_no_news(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 1));
    add(&look, listener(81, 2));
    look_next(scene, look, 10, KEEP);
    assert_int_equal(scene->marks.count, 2);
    assert_stayed(scene, 0);
    assert_stayed(scene, 1);
}

static void what_comes_goes_and_stays(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 1));
    add(&look, listener(81, 2));
    look_next(scene, look, 10, KEEP);
    look = empty_look();
    add(&look, listener(82, 3));
    add(&look, listener(81, 2));
    look_next(scene, look, 20, KEEP);
    assert_int_equal(scene->marks.count, 3);
    assert_mark(scene, 0, SOCKETS_CAME, 20, true);
    assert_stayed(scene, 1);
    assert_mark(scene, 2, SOCKETS_WENT, 20, true);
    assert_int_equal(scene->sockets.list.entries[2].local_port, 80);
    assert_int_equal(scene->sockets.list.entries[2].inode, 1);
}

static void all_may_go_and_all_may_come(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 1));
    look_next(scene, look, 10, KEEP);
    look_next(scene, empty_look(), 20, 0);
    assert_int_equal(scene->marks.count, 1);
    assert_mark(scene, 0, SOCKETS_WENT, 20, true);
    look_next(scene, empty_look(), 30, 0);
    assert_int_equal(scene->marks.count, 0);
    look = empty_look();
    add(&look, listener(80, 2));
    look_next(scene, look, 40, 0);
    assert_int_equal(scene->marks.count, 1);
    assert_mark(scene, 0, SOCKETS_CAME, 40, true);
}

static void marks_hold_for_a_while(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 1));
    look_next(scene, look, 10, KEEP);
    for (uint64_t time = 20; time <= 20 + KEEP; time += KEEP / 4) {
        look = empty_look();
        add(&look, listener(81, 2));
        look_next(scene, look, time, KEEP);
        if (time == 20 + KEEP)
            break;
        assert_int_equal(scene->marks.count, 2);
        assert_mark(scene, 0, SOCKETS_CAME, 20, time == 20);
        assert_mark(scene, 1, SOCKETS_WENT, 20, time == 20);
    }
    assert_int_equal(scene->marks.count, 1);
    assert_stayed(scene, 0);
}

static void what_went_takes_its_texts_along(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    struct socket_entry *entry =
        add(&look,
            (struct socket_entry){.kind = SOCKET_UNIX_STREAM, .state = SOCKET_LISTEN, .inode = 1});
    entry->path = text_in(&look.list.arena, "@name");
    struct socket_tcp *tcp = arena_take(&look.list.arena, sizeof(*tcp));
    assert_non_null(tcp);
    *tcp = (struct socket_tcp){.congestion = "cubic", .mss = 1460};
    struct socket_memory *memory = arena_take(&look.list.arena, sizeof(*memory));
    assert_non_null(memory);
    memory->dropped = 33;
    entry = add(&look, connection(SOCKET_ESTABLISHED, 2));
    entry->tcp = tcp;
    entry->memory = memory;
    look_next(scene, look, 10, KEEP);
    for (uint64_t time = 20; time <= 30; time += 10) {
        look_next(scene, empty_look(), time, KEEP);
        assert_int_equal(scene->marks.count, 2);
        const struct socket_entry *entries = scene->sockets.list.entries;
        assert_string_equal(entries[0].path, "@name");
        assert_non_null(entries[1].tcp);
        assert_string_equal(entries[1].tcp->congestion, "cubic");
        assert_int_equal(entries[1].tcp->mss, 1460);
        assert_non_null(entries[1].memory);
        assert_int_equal(entries[1].memory->dropped, 33);
    }
}

/* ---- the same one, or another ---- */

static void a_connection_is_the_same_in_all_its_states(void **state)
{
    struct scene *scene = *state;
    static const struct {
        enum socket_state state;
        uint32_t inode; /* nobody has it before accept(2), and after the end */
    } stages[] = {{SOCKET_SYN_RECV, 0},
                  {SOCKET_ESTABLISHED, 0},
                  {SOCKET_FIN_WAIT2, 7},
                  {SOCKET_TIME_WAIT, 0}};
    struct sockets look = empty_look();
    look_next(scene, look, 10, 1000);
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        look = empty_look();
        struct socket_entry *entry = add(&look, connection(stages[i].state, stages[i].inode));
        entry->cookie = i;
        look_next(scene, look, 20 + i, 1000);
        assert_int_equal(scene->marks.count, 1);
        assert_mark(scene, 0, i == 0 ? SOCKETS_CAME : SOCKETS_CHANGED, 20 + i, true);
        if (i > 0)
            assert_int_equal(scene->marks.items[0].before, stages[i - 1].state);
    }
    look = empty_look();
    add(&look, connection(SOCKET_TIME_WAIT, 0));
    look_next(scene, look, 100, 1000);
    assert_mark(scene, 0, SOCKETS_CHANGED, 23, false);
    assert_int_equal(scene->marks.items[0].before, SOCKET_FIN_WAIT2);
}

/* Replaces one look by another one with a socket each: whether the later is the same. */
static bool is_same(struct scene *scene, struct socket_entry before, struct socket_entry now)
{
    struct sockets look = empty_look();
    clear(scene);
    add(&look, before);
    look_next(scene, look, 10, KEEP);
    look = empty_look();
    add(&look, now);
    look_next(scene, look, 20, KEEP);
    if (scene->marks.count == 1) {
        assert_true(scene->marks.items[0].change == SOCKETS_STAYED ||
                    scene->marks.items[0].change == SOCKETS_CHANGED);
        return true;
    }
    assert_int_equal(scene->marks.count, 2);
    assert_mark(scene, 0, SOCKETS_CAME, 20, true);
    assert_mark(scene, 1, SOCKETS_WENT, 20, true);
    return false;
}

static void what_makes_it_another_one(void **state)
{
    struct scene *scene = *state;
    struct socket_entry one = connection(SOCKET_ESTABLISHED, 1), other = one;
    assert_true(is_same(scene, one, other));
    other.inode = 2; /* its ends, taken by another one */
    assert_false(is_same(scene, one, other));
    other = one;
    other.remote_port++;
    assert_false(is_same(scene, one, other));
    other = one;
    other.local++;
    assert_false(is_same(scene, one, other));
    other = one;
    other.interface = 4;
    assert_false(is_same(scene, one, other));
    other = one;
    other.kind = SOCKET_MPTCP;
    assert_false(is_same(scene, one, other));
    other = one;
    other.family = ADDRESS_IPV6;
    assert_false(is_same(scene, one, other));
    assert_true(is_same(scene, listener(80, 1), listener(80, 1)));
    assert_false(is_same(scene, listener(80, 1), listener(80, 2)));
}

static void other_kinds_are_known_by_their_inodes(void **state)
{
    struct scene *scene = *state;
    struct socket_entry one = listener(53, 1), other;
    one.kind = SOCKET_UDP;
    one.state = SOCKET_CLOSE;
    other = one;
    other.state = SOCKET_ESTABLISHED; /* connect(2) chose its ends */
    other.local = LOOPBACK + 1;
    other.remote = LOOPBACK;
    other.remote_port = 53;
    assert_true(is_same(scene, one, other));
    assert_mark(scene, 0, SOCKETS_CHANGED, 20, true);
    other = one;
    other.inode = 2;
    assert_false(is_same(scene, one, other));
    one = (struct socket_entry){.kind = SOCKET_UNIX_STREAM, .inode = 1};
    other = one;
    assert_true(is_same(scene, one, other));
    other.inode = 2;
    assert_false(is_same(scene, one, other));
}

/* Nothing tells some of them apart, so they are counted. */
static void each_becomes_one_alone(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    for (size_t i = 0; i < 3; i++)
        add(&look, connection(SOCKET_TIME_WAIT, 0));
    look_next(scene, look, 10, KEEP);
    look = empty_look();
    for (size_t i = 0; i < 2; i++)
        add(&look, connection(SOCKET_TIME_WAIT, 0));
    look_next(scene, look, 20, KEEP);
    assert_int_equal(scene->marks.count, 3);
    assert_stayed(scene, 0);
    assert_stayed(scene, 1);
    assert_mark(scene, 2, SOCKETS_WENT, 20, true);
}

static void what_went_does_not_come_back(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, connection(SOCKET_ESTABLISHED, 1));
    look_next(scene, look, 10, KEEP);
    look_next(scene, empty_look(), 20, KEEP);
    look = empty_look();
    add(&look, connection(SOCKET_ESTABLISHED, 2));
    look_next(scene, look, 30, KEEP);
    assert_int_equal(scene->marks.count, 2);
    assert_mark(scene, 0, SOCKETS_CAME, 30, true);
    assert_mark(scene, 1, SOCKETS_WENT, 20, false);
}

/* Of very many, a third went, a third came and the rest changed, in another order. */
static void many(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        struct socket_entry entry = connection(SOCKET_ESTABLISHED, i + 1);
        entry.remote += i;
        add(&look, entry);
    }
    look_next(scene, look, 10, KEEP);
    look = empty_look();
    for (uint32_t i = 3 * MANY; i-- > MANY;) {
        struct socket_entry entry = connection(SOCKET_CLOSE_WAIT, i + 1);
        entry.remote += i;
        add(&look, entry);
    }
    look_next(scene, look, 20, KEEP);
    assert_int_equal(scene->marks.count, 3 * MANY);
    for (size_t i = 0; i < scene->marks.count; i++) {
        const uint32_t number = scene->sockets.list.entries[i].inode - 1;
        assert_mark(scene, i,
                    number < MANY       ? SOCKETS_WENT
                    : number < 2 * MANY ? SOCKETS_CHANGED
                                        : SOCKETS_CAME,
                    20, true);
    }
}

/* ---- processes ---- */

static void who_held_it_is_still_known(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 5));
    add(&look, listener(81, 6));
    add(&look, listener(82, 7));
    hold(&look, 5, 100);
    hold(&look, 6, 200);
    hold(&look, 7, 200);
    look_next(scene, look, 10, KEEP);
    for (uint64_t time = 20; time <= 30; time += 10) {
        look = empty_look();
        add(&look, listener(82, 7));
        add(&look, listener(83, 2));
        hold(&look, 2, 150);
        hold(&look, 7, 200);
        look_next(scene, look, time, KEEP);
        assert_holder(scene, 2, 150);
        assert_holder(scene, 5, 100);
        assert_holder(scene, 6, 200);
        assert_holder(scene, 7, 200);
        assert_int_equal(scene->sockets.owners.process_count, 3);
        assert_int_equal(scene->sockets.owners.count, 4);
    }
    look = empty_look();
    add(&look, listener(82, 7));
    hold(&look, 7, 200);
    look_next(scene, look, 20 + KEEP, KEEP);
    assert_holder(scene, 5, 0);
    assert_holder(scene, 6, 0);
}

static void without_processes_none_are_kept(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 5));
    hold(&look, 5, 100);
    look_next(scene, look, 10, KEEP);
    look_next(scene, empty_look(), 20, KEEP);
    assert_mark(scene, 0, SOCKETS_WENT, 20, true);
    assert_false(scene->sockets.has_owners);
    assert_int_equal(scene->sockets.owners.count, 0);
}

/* A socket that was closed after it had been listed, and before its process was looked for. */
static void one_that_goes_while_it_is_looked_at(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 5));
    hold(&look, 5, 100);
    look_next(scene, look, 10, KEEP);
    look = empty_look();
    look.has_owners = true;
    add(&look, listener(80, 5));
    look_next(scene, look, 20, KEEP);
    assert_stayed(scene, 0);
    assert_holder(scene, 5, 100);
    look = empty_look();
    look.has_owners = true;
    look_next(scene, look, 30, KEEP);
    assert_mark(scene, 0, SOCKETS_WENT, 30, true);
    assert_holder(scene, 5, 100);
}

/* It is on its way to another process, say. */
static void one_that_nobody_holds_any_more(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, listener(80, 5));
    hold(&look, 5, 100);
    look_next(scene, look, 10, KEEP);
    for (uint64_t time = 20; time <= 40; time += 10) {
        look = empty_look();
        look.has_owners = true;
        add(&look, listener(80, 5));
        look_next(scene, look, time, KEEP);
        assert_stayed(scene, 0);
        assert_holder(scene, 5, time == 20 ? 100 : 0);
    }
    look = empty_look();
    add(&look, listener(80, 5));
    hold(&look, 5, 300);
    look_next(scene, look, 50, KEEP);
    assert_holder(scene, 5, 300);
}

/* Every fifth stays: those that went are to be found between them, for as long as they are shown.
 */
static void a_crowd_that_ends_at_once(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    for (uint32_t i = 1; i <= CROWD; i++) {
        add(&look, listener((uint16_t)i, i));
        hold(&look, i, (pid_t)i + 1000);
    }
    look_next(scene, look, 10, KEEP);
    for (uint64_t time = 20; time <= 30; time += 10) {
        look = empty_look();
        for (uint32_t i = 5; i <= CROWD; i += 5) {
            add(&look, listener((uint16_t)i, i));
            hold(&look, i, (pid_t)i + 1000);
        }
        look_next(scene, look, time, KEEP);
        assert_int_equal(scene->marks.count, CROWD);
        assert_int_equal(scene->sockets.owners.count, CROWD);
        assert_int_equal(scene->sockets.owners.process_count, CROWD);
        for (uint32_t i = 1; i <= CROWD; i++)
            assert_holder(scene, i, (pid_t)i + 1000);
    }
}

/* ---- network namespaces ---- */

static void namespaces_are_told_apart(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add(&look, connection(SOCKET_TIME_WAIT, 0))->space = add_space(&look, 1, "one");
    add(&look, connection(SOCKET_TIME_WAIT, 0))->space = add_space(&look, 2, "two");
    look_next(scene, look, 10, KEEP);
    look = empty_look();
    add(&look, connection(SOCKET_TIME_WAIT, 0))->space = add_space(&look, 2, "two");
    add(&look, connection(SOCKET_TIME_WAIT, 0))->space = add_space(&look, 3, "three");
    look_next(scene, look, 20, KEEP);
    assert_int_equal(scene->marks.count, 3);
    assert_stayed(scene, 0);
    assert_mark(scene, 1, SOCKETS_CAME, 20, true);
    assert_mark(scene, 2, SOCKETS_WENT, 20, true);
}

/* The name of the namespace in which a socket is. */
static const char *space_name(const struct scene *scene, size_t index)
{
    const struct socket_list *list = &scene->sockets.list;
    assert_in_range(list->entries[index].space, 0, list->space_count - 1);
    return list->spaces[list->entries[index].space].name;
}

static void a_namespace_that_is_gone_has_its_name(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    const uint32_t one = add_space(&look, 1, "one"), two = add_space(&look, 2, "two");
    add(&look, listener(80, 5))->space = one;
    add(&look, listener(80, 6))->space = two;
    add(&look, listener(80, 7))->space = two;
    look_next(scene, look, 10, KEEP);
    for (uint64_t time = 20; time <= 30; time += 10) {
        look = empty_look();
        add_space(&look, 2, "new"); /* the inode is the new one's already */
        look_next(scene, look, time, KEEP);
        assert_int_equal(scene->marks.count, 3);
        assert_string_equal(space_name(scene, 0), "one");
        assert_string_equal(space_name(scene, 1), "two");
        assert_string_equal(space_name(scene, 2), "two");
        assert_int_equal(scene->sockets.list.space_count, 4);
    }
}

static void a_namespace_that_stays_is_the_same(void **state)
{
    struct scene *scene = *state;
    struct sockets look = empty_look();
    add_space(&look, 1, "one");
    add(&look, listener(80, 5))->space = add_space(&look, 2, "two");
    add(&look, listener(80, 6));
    look_next(scene, look, 10, KEEP);
    look = empty_look();
    add_space(&look, 2, "two");
    look_next(scene, look, 20, KEEP);
    assert_int_equal(scene->sockets.list.space_count, 2);
    assert_string_equal(space_name(scene, 0), "two");
    assert_true(scene->sockets.list.spaces[scene->sockets.list.entries[1].space].own);
}

/* ---- words ---- */

static void changes_have_names(void **state)
{
    (void)state;
    assert_null(sockets_change_name(SOCKETS_STAYED));
    assert_string_equal(sockets_change_name(SOCKETS_CAME), "came");
    assert_string_equal(sockets_change_name(SOCKETS_WENT), "went");
    assert_string_equal(sockets_change_name(SOCKETS_CHANGED), "changed");
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, make_scene, free_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(the_first_look_has_no_news),
        IN_SCENE(what_comes_goes_and_stays),
        IN_SCENE(all_may_go_and_all_may_come),
        IN_SCENE(marks_hold_for_a_while),
        IN_SCENE(what_went_takes_its_texts_along),
        IN_SCENE(a_connection_is_the_same_in_all_its_states),
        IN_SCENE(what_makes_it_another_one),
        IN_SCENE(other_kinds_are_known_by_their_inodes),
        IN_SCENE(each_becomes_one_alone),
        IN_SCENE(what_went_does_not_come_back),
        IN_SCENE(many),
        IN_SCENE(who_held_it_is_still_known),
        IN_SCENE(without_processes_none_are_kept),
        IN_SCENE(one_that_goes_while_it_is_looked_at),
        IN_SCENE(one_that_nobody_holds_any_more),
        IN_SCENE(a_crowd_that_ends_at_once),
        IN_SCENE(namespaces_are_told_apart),
        IN_SCENE(a_namespace_that_is_gone_has_its_name),
        IN_SCENE(a_namespace_that_stays_is_the_same),
        cmocka_unit_test(changes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
