/* The story of a port: who has it, who is connected, why it cannot be had, and what would end it.
 */
#include "local/port_story.h"

#include "base/clock.h"
#include "own_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define IPV4(a, b, c, d) ((uint128_t)(((uint32_t)(a) << 24) | (b) << 16 | (c) << 8 | (d)))
#define TCP SOCKET_KIND_BIT(SOCKET_TCP)
#define UDP SOCKET_KIND_BIT(SOCKET_UDP)
#define NOW (UINT64_C(1700000000) * NANOSECONDS_PER_SECOND)
#define AGO(seconds) (NOW - (uint64_t)(seconds)*NANOSECONDS_PER_SECOND)

/* What is known, for one test. */
struct scene {
    struct socket_list list;
    struct socket_entry entries[64];
    struct owner held[32];
    struct process processes[16];
    struct socket_space spaces[3];
    struct owners owners;
    struct port_question question;
    struct port_story story;
    struct buffer text;
};

static void scene_start(struct scene *scene, uint16_t port)
{
    *scene = (struct scene){
        .question = {.port = port, .kinds = TCP | UDP, .now = NOW},
        .spaces = {{.own = true}, {.inode = 4026532200, .name = "web"}, {.inode = 4026532300}},
    };
    scene->list = (struct socket_list){
        .entries = scene->entries, .spaces = scene->spaces, .space_count = COUNT(scene->spaces)};
    scene->owners = (struct owners){.items = scene->held, .processes = scene->processes};
}

static struct socket_entry *add(struct scene *scene, enum socket_state state, uint32_t inode)
{
    struct socket_entry *entry = &scene->entries[scene->list.count++];
    *entry = (struct socket_entry){.kind = SOCKET_TCP,
                                   .state = (uint8_t)state,
                                   .family = ADDRESS_IPV4,
                                   .local_port = scene->question.port,
                                   .has_inode = inode != 0,
                                   .inode = inode};
    return entry;
}

/* A connection to 10.0.0.`last`. */
static struct socket_entry *add_connection(struct scene *scene, enum socket_state state,
                                           uint32_t inode, unsigned last)
{
    struct socket_entry *entry = add(scene, state, inode);
    entry->local = IPV4(192, 0, 2, 1);
    entry->remote = IPV4(10, 0, 0, last);
    entry->remote_port = (uint16_t)(40000 + scene->list.count);
    return entry;
}

/* Inodes and processes are added in order. */
static struct process *add_owner(struct scene *scene, uint32_t inode, pid_t pid, const char *name)
{
    scene->held[scene->owners.count++] = (struct owner){.inode = inode, .pid = pid, .fd = 3};
    for (size_t i = 0; i < scene->owners.process_count; i++)
        if (scene->processes[i].pid == pid)
            return &scene->processes[i];
    struct process *process = &scene->processes[scene->owners.process_count++];
    *process = (struct process){.pid = pid, .uid = 1000, .user = "ann", .started = AGO(3 * 3600)};
    strcpy(process->name, name);
    return process;
}

static void tell(struct scene *scene)
{
    struct error error = {0};
    if (port_story_make(&scene->question, &scene->list, &scene->owners, NULL, &scene->story,
                        &error) != 0)
        fail_msg("%s", error.message);
    port_story_write(&scene->story, &scene->text);
    assert_false(scene->text.failed);
}

static void expect_text(const struct scene *scene, const char *text)
{
    if (!scene->text.data || strcmp(scene->text.data, text) != 0)
        fail_msg("said:\n%s\nwanted:\n%s", scene->text.data, text);
}

static void expect_said(const struct scene *scene, const char *part)
{
    if (!scene->text.data || !strstr(scene->text.data, part))
        fail_msg("'%s' was not said:\n%s", part, scene->text.data);
}

static void expect_unsaid(const struct scene *scene, const char *part)
{
    if (scene->text.data && strstr(scene->text.data, part))
        fail_msg("'%s' was said:\n%s", part, scene->text.data);
}

static void scene_end(struct scene *scene)
{
    port_story_release(&scene->story);
    buffer_release(&scene->text);
}

/* ---- who has it ---- */

static void a_unit_with_connections(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 8080);
    add(&scene, SOCKET_LISTEN, 10);
    add_connection(&scene, SOCKET_ESTABLISHED, 11, 7);
    add_connection(&scene, SOCKET_ESTABLISHED, 12, 5);
    add_connection(&scene, SOCKET_CLOSE_WAIT, 13, 5);
    add_connection(&scene, SOCKET_TIME_WAIT, 0, 5)->timer_ms = 1500;
    add(&scene, SOCKET_LISTEN, 14)->local_port = 8081; /* of another port */
    const pid_t pids[] = {812, 813, 814};
    for (size_t i = 0; i < COUNT(pids); i++) {
        struct process *worker = add_owner(&scene, 10, pids[i], "nginx");
        worker->unit = "nginx.service";
        worker->command = i == 0 ? "nginx: master process" : "nginx: worker process";
        worker->user = i == 0 ? "root" : "www-data";
        worker->started = AGO(i == 0 ? 3 * 3600 : 3600);
    }
    tell(&scene);
    expect_text(
        &scene,
        "nginx (pid 812 and 2 more processes, user root) listens on TCP port 8080 "
        "(http-alt) of every address, IPv4 alone (every interface)\n"
        "  nginx has run in the unit nginx.service since 2023-11-14 19:13 (3 hours): nginx: "
        "master process\n"
        "  3 connections: 2 from 10.0.0.5, 1 from 10.0.0.7\n"
        "  To end it: systemctl stop nginx.service\n");
    assert_int_equal(scene.story.use_count, 1);
    const struct port_use *use = &scene.story.uses[0];
    assert_int_equal(use->role, PORT_LISTENS);
    assert_int_equal(use->connections, 3);
    assert_int_equal(use->time_waits, 1);
    assert_int_equal(use->rest_ms, 1500);
    assert_int_equal(use->sockets, 1);
    assert_int_equal(use->holder_count, 1);
    assert_int_equal(use->holders[0].processes, 3);
    assert_true(port_story_is_taken(&scene.story));
    scene_end(&scene);
}

static void what_ends_it(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static const struct {
        struct process process;
        const char *stop;
    } cases[] = {
        {{.unit = "nginx.service"}, "systemctl stop nginx.service"},
        {{.unit = "web@a.service", .user_unit = true}, "systemctl --user stop web@a.service"},
        {{.unit = "a\\x2db.service"}, "systemctl stop 'a\\x2db.service'"},
        {{.unit = "session-3.scope"}, "kill 500"},
        {{.unit = "user@1000.service"}, "kill 500"},
        {{.unit = ".service"}, "kill 500"},
        {{.unit = NULL}, "kill 500"},
        {{.container = digits, .container_runtime = "docker"}, "docker stop 0123456789ab"},
        {{.container = digits, .container_runtime = "podman"}, "podman stop 0123456789ab"},
        {{.container = digits, .container_runtime = "kubernetes"}, "crictl stop 0123456789ab"},
        {{.container = "db-1", .container_runtime = "lxc"}, "lxc-stop -n db-1"},
        {{.container = "db-1", .container_runtime = "systemd-nspawn"}, "machinectl poweroff db-1"},
        {{.container = "db-1", .container_runtime = "docker"}, "docker stop db-1"},
        {{.container = "decade0000000000", .container_runtime = "lxc"},
         "lxc-stop -n decade0000000000"}, /* a name */
        {{.container = digits, .container_runtime = "ecs"}, "kill 500"},
        {{.container = digits}, "kill 500"},
        /* what a container's own systemd calls it is of no use outside */
        {{.container = "db-1", .container_runtime = "lxc", .unit = "x.service"},
         "lxc-stop -n db-1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        scene_start(&scene, 9000);
        add(&scene, SOCKET_LISTEN, 10);
        struct process *process = add_owner(&scene, 10, 500, "server");
        *process = cases[i].process;
        process->pid = 500;
        strcpy(process->name, "server");
        tell(&scene);
        assert_int_equal(scene.story.uses[0].holder_count, 1);
        assert_string_equal(scene.story.uses[0].stop, cases[i].stop);
        expect_said(&scene, cases[i].stop);
        scene_end(&scene);
    }
}

/* What has the same name and user is one. Others are told apart, and ended by the same line. */
static void holders_are_told_apart(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    add(&scene, SOCKET_LISTEN, 10);
    add(&scene, SOCKET_LISTEN, 11); /* SO_REUSEPORT: the same place */
    add_owner(&scene, 10, 300, "worker")->started = AGO(10);
    add_owner(&scene, 10, 301, "worker")->started = AGO(100);
    add_owner(&scene, 10, 302, "sh");
    add_owner(&scene, 11, 301, "worker");
    tell(&scene);
    assert_int_equal(scene.story.use_count, 1);
    const struct port_use *use = &scene.story.uses[0];
    assert_int_equal(use->sockets, 2);
    assert_int_equal(use->holder_count, 2);
    assert_int_equal(use->holders[0].processes, 2);
    assert_int_equal(use->holders[0].process->pid, 301);
    assert_string_equal(use->stop, "kill 302 300 301");
    expect_said(&scene, "worker (pid 301 and 1 more process, user ann) and sh (pid 302, user ann) "
                        "listen on TCP port 9000");
    expect_said(&scene, "Nobody is connected\n");
    expect_said(&scene, "\n  To end them: kill 302 300 301\n");
    scene_end(&scene);
}

static void one_line_ends_all(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    add(&scene, SOCKET_LISTEN, 10);
    add(&scene, SOCKET_LISTEN, 11)->kind = SOCKET_UDP; /* of a state that it never has: connected */
    scene.entries[1].state = SOCKET_CLOSE;
    add_owner(&scene, 10, 1, "systemd");
    for (pid_t pid = 300; pid < 304; pid++) /* their starts are known to a hundredth of a second */
        add_owner(&scene, 10, pid, "forked")->started = AGO(9) - (uint64_t)(pid - 300);
    add_owner(&scene, 10, 310, "web")->unit = "web.service";
    add_owner(&scene, 10, 311, "db")->unit = "db.service";
    struct process *process = add_owner(&scene, 10, 312, "mine");
    process->unit = "mine.service";
    process->user_unit = true;
    process = add_owner(&scene, 10, 313, "x");
    process->container = "one";
    process->container_runtime = "docker";
    process = add_owner(&scene, 10, 314, "x");
    process->container = "two";
    process->container_runtime = "docker";
    for (unsigned i = 0; i < 2; i++) {
        process = add_owner(&scene, 10, (pid_t)(315 + i), "y");
        process->container = i == 0 ? "three" : "four";
        process->container_runtime = "lxc";
    }
    add_owner(&scene, 11, 320, "udp");
    tell(&scene);
    expect_said(&scene, "  To see which one: systemctl list-sockets --all\n"
                        "  To end them: systemctl stop web.service db.service; systemctl --user "
                        "stop mine.service; docker stop one two; lxc-stop -n three; lxc-stop -n "
                        "four; kill 300 301 302 303\n");
    expect_said(&scene, "  To end it: kill 320\n");
    scene_end(&scene);
}

/* A server with a socket for each family has one end. */
static void one_end_is_said_once(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    add(&scene, SOCKET_LISTEN, 10);
    struct socket_entry *entry = add(&scene, SOCKET_LISTEN, 11);
    entry->family = ADDRESS_IPV6;
    entry->v6only = true;
    add_owner(&scene, 10, 300, "both");
    add_owner(&scene, 11, 300, "both");
    tell(&scene);
    assert_int_equal(scene.story.use_count, 2);
    const char *end = strstr(scene.text.data, "To end it: kill 300\n");
    assert_non_null(end);
    assert_null(strstr(end + 1, "To end"));
    assert_non_null(strstr(scene.text.data, "IPv6 alone"));
    assert_true(strstr(scene.text.data, "IPv6 alone") < end);
    scene_end(&scene);
}

static void names_that_need_quotes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *said;
    } cases[] = {{"", "\"\" (pid 300,"}, {"a b", "\"a b\" (pid 300,"}, {"a", "a (pid 300,"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        scene_start(&scene, 9000);
        add(&scene, SOCKET_LISTEN, 10);
        add_owner(&scene, 10, 300, cases[i].name);
        tell(&scene);
        assert_int_equal(strncmp(scene.text.data, cases[i].said, strlen(cases[i].said)), 0);
        expect_said(&scene, i == 0 ? "\n  \"\" has run since " : " has run since ");
        scene_end(&scene);
    }
}

static void an_interface_alone(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    add(&scene, SOCKET_LISTEN, 10)->interface = 77;
    struct socket_entry *entry = add(&scene, SOCKET_LISTEN, 11);
    entry->interface = 77;
    entry->local = IPV4(198, 18, 0, 1);
    tell(&scene);
    expect_said(&scene, "of every address, IPv4 alone, but only for what comes by the interface "
                        "number 77\n");
    expect_said(&scene, "of 198.18.0.1, but only for what comes by the interface number 77 (one "
                        "address)\n");
    scene_end(&scene);
}

/* The registry has different names for these. */
static void each_protocol_has_its_service(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 8081);
    add(&scene, SOCKET_LISTEN, 10);
    struct socket_entry *entry = add(&scene, SOCKET_CLOSE, 11);
    entry->kind = SOCKET_UDP;
    tell(&scene);
    expect_said(&scene, "TCP port 8081 (tproxy)");
    expect_said(&scene, "UDP port 8081 (sunproxyadmin)");
    scene_end(&scene);
    scene_start(&scene, 8081);
    tell(&scene);
    expect_text(&scene, "Nobody uses port 8081, neither TCP (tproxy) nor UDP (sunproxyadmin)\n");
    scene_end(&scene);
}

static void docker_proxy_says_where_it_leads(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        bool forwards;
    } cases[] = {
        {"/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip "
         "172.17.0.2 -container-port 80 -use-listen-fd",
         true},
        {"docker-proxy -container-ip 172.17.0.2 -container-port 99999", false},
        {"docker-proxy -container-ip x -container-port 80", false},
        {"docker-proxy -container-ip 172.17.0.2 -container-port", false},
        {"docker-proxy -container-ip", false},
        {"", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        scene_start(&scene, 8080);
        add(&scene, SOCKET_LISTEN, 10);
        struct process *proxy = add_owner(&scene, 10, 600, "docker-proxy");
        proxy->command = cases[i].command;
        proxy->unit = "docker.service"; /* which is not to be stopped for it */
        tell(&scene);
        const struct port_holder *holder = &scene.story.uses[0].holders[0];
        assert_int_equal(holder->forwards, cases[i].forwards);
        assert_string_equal(scene.story.uses[0].stop,
                            "docker stop $(docker ps -q --filter publish=8080)");
        if (cases[i].forwards)
            expect_said(&scene, "It forwards to 172.17.0.2:80, in a container of Docker's\n");
        scene_end(&scene);
    }
}

static void systemd_listens_for_a_service(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 22);
    add(&scene, SOCKET_LISTEN, 10);
    add_owner(&scene, 10, 1, "systemd")->unit = "init.scope";
    tell(&scene);
    assert_true(scene.story.uses[0].holders[0].socket_unit);
    expect_said(&scene, "in place of a service: one of its .socket units\n");
    expect_said(&scene, "To see which one: systemctl list-sockets --all\n");
    expect_unsaid(&scene, "kill");
    scene_end(&scene);
}

static void nobody_was_seen(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 2049);
    add(&scene, SOCKET_LISTEN, 10)->uid = 33;
    tell(&scene);
    expect_said(&scene, "Something that is no process here (the kernel itself,");
    scene_end(&scene);
    scene_start(&scene, 2049);
    add(&scene, SOCKET_LISTEN, 10)->uid = 33;
    scene.owners.unseen = 5;
    tell(&scene);
    expect_said(&scene,
                "A process that we have no right to see (its socket is of user 33) listens");
    scene_end(&scene);
    scene_start(&scene, 2049);
    add(&scene, SOCKET_LISTEN, 10)->uid = 33;
    assert_int_equal(port_story_make(&scene.question, &scene.list, NULL, NULL, &scene.story, NULL),
                     0);
    port_story_write(&scene.story, &scene.text);
    expect_said(&scene, "A process (its socket is of user 33) listens on TCP port 2049");
    scene_end(&scene);
}

static void datagrams_and_both_families(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 53);
    struct socket_entry *entry = add(&scene, SOCKET_CLOSE, 10);
    entry->kind = SOCKET_UDP;
    entry->family = ADDRESS_IPV6;
    entry = add(&scene, SOCKET_LISTEN, 11);
    entry->family = ADDRESS_IPV6;
    entry->v6only = true;
    add(&scene, SOCKET_LISTEN, 12)->local = IPV4(127, 0, 0, 53);
    entry = add_connection(&scene, SOCKET_ESTABLISHED, 13, 9); /* IPv4 is not taken by the others */
    entry->local = IPV4(127, 0, 0, 53);
    add_owner(&scene, 10, 70, "dns");
    add_owner(&scene, 11, 70, "dns");
    add_owner(&scene, 12, 70, "dns");
    tell(&scene);
    assert_int_equal(scene.story.use_count, 3);
    expect_said(&scene, "receives on UDP port 53 (domain) of every address, IPv4 and IPv6");
    expect_said(&scene, "listens on TCP port 53 (domain) of every address, IPv6 alone");
    expect_said(&scene, "listens on TCP port 53 (domain) of 127.0.0.53 (loopback only)");
    expect_said(&scene, "1 connection: from 10.0.0.9\n");
    scene_end(&scene);
}

/* Names that would write over the terminal, or be a line of their own. */
static void hostile_names_are_escaped(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    add(&scene, SOCKET_LISTEN, 10);
    add(&scene, SOCKET_LISTEN, 20)->space = 1;
    strcpy(scene.spaces[1].name, "a\nb\x1b[2J");
    struct process *process = add_owner(&scene, 10, 300, "e\x1b]0;x\x07\nvil");
    char command[5000];
    memset(command, '\x1b', sizeof(command) - 1);
    command[sizeof(command) - 1] = '\0';
    process->command = command;
    process->user = "u\xff\n";
    tell(&scene);
    for (const char *at = scene.text.data; *at; at++)
        assert_true(*at == '\n' || (*at >= ' ' && *at <= '~'));
    expect_said(&scene, "e\\x1b]0;x\\x07\\x0avil (pid 300, user u\\xff\\x0a) listens");
    expect_said(&scene, "\n  a\\x0ab\\x1b[2J: ");
    assert_in_range(scene.text.length, 1, 3000);
    scene_end(&scene);
}

static void many_are_summed_up(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    add(&scene, SOCKET_LISTEN, 10);
    for (unsigned i = 0; i < 40; i++)
        add_connection(&scene, SOCKET_ESTABLISHED, 100 + i, i < 20 ? 1 : i);
    add_owner(&scene, 10, 300, "x");
    tell(&scene);
    expect_said(&scene, "40 connections: 20 from 10.0.0.1, 1 from 10.0.0.20,");
    expect_said(&scene, " and others with 16 more addresses\n");
    assert_int_equal(scene.story.uses[0].peer_count, 21);
    scene_end(&scene);
}

/* The kernel tells of MPTCP's sockets as such, and of their first ways as TCP's. */
static void multipath_is_told_once(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 8099);
    scene.question.kinds |= SOCKET_KIND_BIT(SOCKET_MPTCP);
    add(&scene, SOCKET_LISTEN, 10)->kind = SOCKET_MPTCP;
    add(&scene, SOCKET_LISTEN, 10);
    add_connection(&scene, SOCKET_ESTABLISHED, 11, 5);
    add_connection(&scene, SOCKET_ESTABLISHED, 11, 5)->kind = SOCKET_MPTCP;
    add_connection(&scene, SOCKET_ESTABLISHED, 12, 5);
    add_owner(&scene, 10, 300, "go");
    tell(&scene);
    assert_int_equal(scene.story.use_count, 1);
    assert_true(scene.story.uses[0].multipath);
    assert_int_equal(scene.story.uses[0].connections, 2);
    expect_said(&scene, "go (pid 300, user ann) listens on TCP port 8099 of every address, IPv4 "
                        "alone (every interface), also with MPTCP\n");
    scene_end(&scene);
    scene_start(&scene, 8099); /* alone it is itself */
    scene.question.kinds |= SOCKET_KIND_BIT(SOCKET_MPTCP);
    add(&scene, SOCKET_LISTEN, 10)->kind = SOCKET_MPTCP;
    add(&scene, SOCKET_LISTEN, 11)->local = IPV4(10, 0, 0, 1);
    tell(&scene);
    assert_int_equal(scene.story.use_count, 2);
    expect_said(&scene, " listens on MPTCP port 8099 ");
    expect_unsaid(&scene, "also");
    scene_end(&scene);
}

/* ---- why it cannot be had ---- */

static void what_is_left_of_connections(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    add_connection(&scene, SOCKET_TIME_WAIT, 0, 5)->timer_ms = 57001;
    add_connection(&scene, SOCKET_TIME_WAIT, 0, 5)->timer_ms = 1000;
    add_connection(&scene, SOCKET_FIN_WAIT2, 0, 5);
    tell(&scene);
    assert_int_equal(scene.story.use_count, 2);
    assert_true(port_story_is_taken(&scene.story));
    expect_said(&scene, "2 connections of TCP port 9000 (cslistener) have ended and rest in "
                        "TIME_WAIT for up to 58 more seconds\n");
    expect_said(&scene, "for one that does, it works at once\n");
    expect_said(&scene, "1 connection of TCP port 9000 (cslistener) has no process any more, and "
                        "waits for the other side to end\n");
    expect_unsaid(&scene, "Nobody uses");
    scene_end(&scene);
}

static void it_is_bound_or_a_source(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 50007);
    scene.question.limits = (struct port_limits){.ephemeral_first = 32768, .ephemeral_last = 60999};
    add(&scene, SOCKET_BOUND, 10);
    struct socket_entry *entry = add_connection(&scene, SOCKET_ESTABLISHED, 11, 5);
    entry->local = IPV4(127, 0, 0, 1);
    add_owner(&scene, 10, 300, "binder");
    add_owner(&scene, 11, 301, "client");
    tell(&scene);
    expect_said(&scene, "binder (pid 300, user ann) has bound TCP port 50007 of every address, "
                        "IPv4 alone (every interface), but does not listen\n");
    expect_said(&scene, "client (pid 301, user ann) uses TCP port 50007 as its own end of 1 "
                        "connection: with 10.0.0.5\n");
    expect_said(&scene, "To end it: kill 301\n");
    expect_said(&scene, "\nThe port is one of those that the kernel gives to outgoing connections "
                        "(32768 to 60999,");
    assert_int_equal(scene.story.uses[0].role, PORT_BOUND);
    assert_int_equal(scene.story.uses[1].role, PORT_CONNECTED);
    scene_end(&scene);
}

static void nobody_uses_it(void **state)
{
    (void)state;
    static const struct {
        uint16_t port;
        struct port_limits limits;
        struct port_trial trial;
        const char *said;
        const char *unsaid;
    } cases[] = {
        {9000, {0}, {0}, "Nobody uses port 9000 (cslistener), neither TCP nor UDP\n", "bind()"},
        {9000, {0}, {.made = true}, "It can be had: bind() works\n", "But"},
        {9000,
         {0},
         {.made = true, .plain = EADDRINUSE, .reusing = EADDRINUSE},
         "that the kernel does not list",
         "works"},
        {9000,
         {0},
         {.made = true, .plain = EADDRINUSE},
         "With SO_REUSEADDR bind() works",
         "EACCES"},
        {9000,
         {0},
         {.made = true, .plain = EACCES, .reusing = EACCES},
         "fails with EACCES\n",
         "CAP_NET_BIND_SERVICE"},
        {80,
         {.unprivileged = 1024},
         {.made = true, .plain = EACCES, .reusing = EACCES},
         "Ports below 1024 are for root",
         "works"},
        {80, {.unprivileged = 1024}, {0}, "Ports below 1024 are for root", "works"},
        {80, {.unprivileged = 80}, {0}, "Nobody uses port 80 (http)", "Ports below"},
        {80,
         {0},
         {.made = true, .plain = EMFILE},
         "But bind() fails: Too many open files",
         "works"},
        {40000,
         {.ephemeral_first = 32768, .ephemeral_last = 60999},
         {0},
         "gives to outgoing connections (32768 to 60999,",
         "is reserved"},
        {40000,
         {.ephemeral_first = 32768, .ephemeral_last = 60999, .reserved = true},
         {0},
         "It is reserved (net.ipv4.ip_local_reserved_ports)",
         "outgoing"},
        {61000, {.ephemeral_first = 32768, .ephemeral_last = 60999}, {0}, "Nobody", "outgoing"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        scene_start(&scene, cases[i].port);
        scene.question.limits = cases[i].limits;
        scene.question.trial = cases[i].trial;
        tell(&scene);
        expect_said(&scene, cases[i].said);
        expect_unsaid(&scene, cases[i].unsaid);
        assert_false(port_story_is_taken(&scene.story));
        scene_end(&scene);
    }
}

/* What was not seen may have the port: neither kinds of which the kernel would not tell, nor what
 * it left out, have nobody. */
static void what_was_not_seen_is_not_free(void **state)
{
    (void)state;
    static const struct {
        uint32_t refused;
        bool incomplete;
        struct port_trial trial;
        bool recorded;
        bool unknown;
        const char *text;
    } cases[] = {
        {TCP,
         false,
         {.made = true},
         false,
         true,
         "Nobody uses UDP port 80 (http)\n"
         "Whether anybody uses TCP port 80 (http) could not be seen\n"
         "  But it can be had: bind() works\n"},
        {TCP | UDP,
         false,
         {.made = true, .plain = EADDRINUSE, .reusing = EADDRINUSE},
         false,
         true,
         "Whether anybody uses port 80 (http), TCP or UDP, could not be seen\n"
         "  Somebody has it: bind() fails with EADDRINUSE\n"},
        {UDP,
         false,
         {.made = true},
         false,
         true,
         "Nobody uses TCP port 80 (http)\n"
         "  It can be had: bind() works\n"
         "Whether anybody uses UDP port 80 (http) could not be seen\n"},
        {SOCKET_KIND_BIT(SOCKET_SCTP) | SOCKET_KIND_BIT(SOCKET_MPTCP),
         false,
         {0},
         false,
         false,
         "Nobody uses port 80 (http), neither TCP nor UDP\n"},
        {0,
         true,
         {.made = true},
         false,
         true,
         "Nobody is seen that uses port 80 (http), neither TCP nor UDP, but some of the sockets "
         "could not be seen\n"
         "  But it can be had: bind() works\n"},
        {0,
         true,
         {.made = true, .plain = EADDRINUSE},
         false,
         true,
         "Nobody is seen that uses port 80 (http), neither TCP nor UDP, but some of the sockets "
         "could not be seen\n"
         "  Somebody has it: bind() fails with EADDRINUSE\n"
         "  With SO_REUSEADDR bind() works\n"},
        {TCP | UDP,
         false,
         {0},
         true,
         true,
         "From a recording of 2023-11-14 22:13, which does not tell whether the port can be had:\n"
         "Whether anybody uses port 80 (http), TCP or UDP, could not be seen when it was "
         "recorded\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        scene_start(&scene, 80);
        scene.list.refused = cases[i].refused;
        scene.question.incomplete = cases[i].incomplete;
        scene.question.trial = cases[i].trial;
        scene.question.recorded = cases[i].recorded;
        tell(&scene);
        expect_text(&scene, cases[i].text);
        assert_int_equal(port_story_is_unknown(&scene.story), cases[i].unknown);
        scene_end(&scene);
    }
    /* Somebody who was seen is there, whatever else there is. */
    struct scene scene;
    scene_start(&scene, 80);
    scene.list.refused = TCP;
    scene.question.incomplete = true;
    add(&scene, SOCKET_CLOSE, 10)->kind = SOCKET_UDP;
    tell(&scene);
    expect_said(&scene, "\nWhether anybody uses TCP port 80 (http) could not be seen\n");
    expect_unsaid(&scene, "obody uses");
    assert_true(port_story_is_taken(&scene.story));
    assert_false(port_story_is_unknown(&scene.story));
    scene_end(&scene);
}

static void trials_that_tell_more(void **state)
{
    (void)state;
    static const struct {
        enum socket_kind kind, trial;
        enum socket_state state;
        uint32_t space;
        uint16_t port;
        bool wanted;
    } cases[] = {
        {SOCKET_TCP, SOCKET_TCP, SOCKET_LISTEN, 0, 80, false},
        {SOCKET_TCP, SOCKET_TCP, SOCKET_TIME_WAIT, 0, 80, false},
        {SOCKET_MPTCP, SOCKET_TCP, SOCKET_LISTEN, 0, 80, false},
        {SOCKET_UDP, SOCKET_UDP, SOCKET_CLOSE, 0, 80, false},
        {SOCKET_UDP, SOCKET_TCP, SOCKET_CLOSE, 0, 80, true},
        {SOCKET_TCP, SOCKET_TCP, SOCKET_LISTEN, 1, 80, true},
        {SOCKET_TCP, SOCKET_TCP, SOCKET_ESTABLISHED, 0, 81, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        scene_start(&scene, 80);
        scene.question.kinds |= SOCKET_KIND_BIT(SOCKET_MPTCP);
        scene.question.trial_kind = cases[i].trial;
        assert_true(port_story_wants_trial(&scene.question, &scene.list));
        struct socket_entry *entry = add(&scene, cases[i].state, 10);
        entry->kind = (uint8_t)cases[i].kind;
        entry->space = cases[i].space;
        entry->local_port = cases[i].port;
        if (port_story_wants_trial(&scene.question, &scene.list) != cases[i].wanted)
            fail_msg("case %zu", i);
        scene.question.recorded = true;
        assert_false(port_story_wants_trial(&scene.question, &scene.list));
        scene_end(&scene);
    }
}

static void other_namespaces_are_in_nobodys_way(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 80);
    scene.question.trial = (struct port_trial){.made = true};
    add(&scene, SOCKET_LISTEN, 10)->space = 1;
    add_connection(&scene, SOCKET_ESTABLISHED, 20, 5)->space = 1;
    struct socket_entry *entry = add(&scene, SOCKET_CLOSE, 11);
    entry->space = 2;
    entry->kind = SOCKET_UDP;
    add_owner(&scene, 10, 300, "nginx")->unit = "nginx.service";
    struct process *process = add_owner(&scene, 11, 301, "quic");
    process->container = "one";
    process->container_runtime = "docker";
    tell(&scene);
    assert_false(port_story_is_taken(&scene.story));
    expect_text(&scene,
                "Nobody uses port 80 (http), neither TCP nor UDP\n"
                "  It can be had: bind() works\n"
                "In other network namespaces, in nobody's way here:\n"
                "  web: nginx (pid 300, user ann, unit nginx.service) listens on TCP port 80 "
                "(http) of every address, IPv4 alone, with 1 connection\n"
                "    To end it: systemctl stop nginx.service\n"
                "  net:[4026532300]: quic (pid 301, user ann, docker container one) receives on "
                "UDP port 80 (http) of every address, IPv4 alone\n"
                "    To end it: docker stop one\n");
    scene_end(&scene);
}

/* What clients elsewhere have is counted; what rests or is only bound there is not told. */
static void ends_in_other_namespaces_are_counted(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 40000);
    scene.question.trial = (struct port_trial){.made = true};
    for (unsigned i = 0; i < 3; i++)
        add_connection(&scene, SOCKET_ESTABLISHED, 20 + i, 5)->space = 1 + i % 2;
    add_connection(&scene, SOCKET_TIME_WAIT, 0, 5)->space = 1;
    add_connection(&scene, SOCKET_FIN_WAIT2, 0, 5)->space = 1;
    add(&scene, SOCKET_BOUND, 30)->space = 2;
    for (uint32_t i = 0; i < 3; i++)
        add_owner(&scene, 20 + i, 300, "client");
    tell(&scene);
    expect_said(&scene, "  It can be had: bind() works\n"
                        "In other network namespaces, in nobody's way here, it is the own end of 3 "
                        "connections\n");
    expect_unsaid(&scene, "kill");
    expect_unsaid(&scene, "EADDRINUSE");
    expect_unsaid(&scene, "web");
    scene_end(&scene);
}

/* docker-proxy of the machine, seen from a container: it still leads somewhere. */
static void a_proxy_elsewhere(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 8080);
    add(&scene, SOCKET_LISTEN, 10)->space = 2;
    add_owner(&scene, 10, 600, "docker-proxy")->command =
        "docker-proxy -container-ip 172.17.0.2 -container-port 80";
    tell(&scene);
    expect_said(&scene, "\n    It forwards to 172.17.0.2:80, in a container of Docker's\n"
                        "    To end it: docker stop $(docker ps -q --filter publish=8080)\n");
    scene_end(&scene);
}

static void many_are_not_all_told(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    for (unsigned i = 0; i < 50; i++) {
        struct socket_entry *entry = add(&scene, SOCKET_LISTEN, 0);
        entry->local = IPV4(10, 0, 0, i + 1);
        entry->space = i % 2;
    }
    tell(&scene);
    expect_said(&scene, "\nAnd 5 more uses of it\nIn other network namespaces");
    expect_said(&scene, "\n  And 5 more\n");
    scene_end(&scene);
}

/* Anybody may bind to every address of 127.0.0.0/8: so many are told of as soon as fewer. */
static void thousands_at_addresses_of_their_own(void **state)
{
    (void)state;
    enum { EACH = 20000 };
    struct scene scene;
    scene_start(&scene, 5353);
    socket_list_init(&scene.list);
    for (uint32_t i = 0; i < EACH; i++) {
        const uint128_t local = IPV4(127, 0, 0, 1) + (i * UINT32_C(7919)) % EACH;
        static const struct {
            enum socket_kind kind;
            enum socket_state state;
            uint32_t away; /* 1: at an address that nobody listens at */
        } kinds[] = {{SOCKET_TCP, SOCKET_ESTABLISHED, 0}, {SOCKET_TCP, SOCKET_ESTABLISHED, 1},
                     {SOCKET_TCP, SOCKET_TIME_WAIT, 1},   {SOCKET_TCP, SOCKET_LISTEN, 0},
                     {SOCKET_TCP, SOCKET_BOUND, 0},       {SOCKET_UDP, SOCKET_CLOSE, 0}};
        for (size_t j = 0; j < COUNT(kinds); j++) {
            struct socket_entry *entry = socket_list_add(&scene.list);
            assert_non_null(entry);
            entry->kind = (uint8_t)kinds[j].kind;
            entry->state = (uint8_t)kinds[j].state;
            entry->family = ADDRESS_IPV4;
            entry->local_port = 5353;
            entry->local = local + kinds[j].away * EACH;
            entry->remote = kinds[j].state == SOCKET_ESTABLISHED ? IPV4(10, 0, 0, 1) + i : 0;
        }
    }
    tell(&scene);
    const struct port_use *uses = scene.story.uses;
    assert_int_equal(scene.story.use_count, 3 * EACH + 2);
    for (size_t i = 0; i < EACH; i++) {
        const struct port_use *listening = &uses[i], *bound = &uses[EACH + i],
                              *receiving = &uses[2 * EACH + 2 + i];
        assert_int_equal(listening->role, PORT_LISTENS);
        assert_int_equal(listening->connections, 1);
        assert_int_equal(listening->peer_count, 1);
        assert_int_equal(bound->role, PORT_BOUND);
        assert_int_equal(receiving->kind, SOCKET_UDP);
        for (size_t j = 0; j < 3; j++) {
            const struct port_use *use = j == 0 ? listening : j == 1 ? bound : receiving;
            assert_int_equal(use->sockets, 1);
            assert_true(use->local.value == IPV4(127, 0, 0, 1) + i);
        }
    }
    assert_int_equal(uses[(size_t)2 * EACH].role, PORT_CONNECTED);
    assert_int_equal(uses[(size_t)2 * EACH].connections, EACH);
    assert_true(uses[(size_t)2 * EACH].any_local);
    assert_int_equal(uses[(size_t)2 * EACH + 1].role, PORT_TIME_WAIT);
    assert_int_equal(uses[(size_t)2 * EACH + 1].time_waits, EACH);
    expect_said(&scene, "\nAnd 59982 more uses of it\n");
    scene_end(&scene);
    socket_list_release(&scene.list);
}

/* Connections belong to whom the kernel would have given them. */
static void listeners_of_connections(void **state)
{
    (void)state;
    static const struct {
        uint128_t local;
        uint32_t interface;
        enum address_family family;
    } listeners[] = {
        {0, 0, ADDRESS_IPV6},
        {0, 0, ADDRESS_IPV4},
        {0, 5, ADDRESS_IPV4},
        {IPV4(10, 0, 0, 1), 0, ADDRESS_IPV4},
        {IPV4(10, 0, 0, 1), 5, ADDRESS_IPV4},
        {IPV4(10, 0, 0, 2), 6, ADDRESS_IPV4},
        {7, 0, ADDRESS_IPV6},
    };
    static const struct {
        uint128_t local;
        uint32_t interface;
        enum address_family family;
        unsigned has; /* bits of the listeners that there are */
        int listener; /* -1: none */
    } cases[] = {
        {IPV4(10, 0, 0, 1), 0, ADDRESS_IPV4, 0x7f, 3},
        {IPV4(10, 0, 0, 1), 5, ADDRESS_IPV4, 0x7f, 4},
        {IPV4(10, 0, 0, 1), 6, ADDRESS_IPV4, 0x7f, 3},
        {IPV4(10, 0, 0, 2), 6, ADDRESS_IPV4, 0x7f, 5},
        {IPV4(10, 0, 0, 2), 5, ADDRESS_IPV4, 0x7f, 2},
        {IPV4(10, 0, 0, 2), 0, ADDRESS_IPV4, 0x7f, 1},
        {IPV4(10, 0, 0, 3), 0, ADDRESS_IPV4, 0x7f, 1},
        {IPV4(10, 0, 0, 3), 0, ADDRESS_IPV4, 0x79, 0},
        {IPV4(10, 0, 0, 3), 0, ADDRESS_IPV4, 0x7c, 2}, /* which is bound to it only now */
        {IPV4(10, 0, 0, 3), 0, ADDRESS_IPV4, 0x78, -1},
        {7, 0, ADDRESS_IPV6, 0x7f, 6},
        {8, 3, ADDRESS_IPV6, 0x7f, 0},
        {8, 3, ADDRESS_IPV6, 0x7e, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scene scene;
        scene_start(&scene, 9000);
        struct socket_entry *entry = add_connection(&scene, SOCKET_ESTABLISHED, 90, 5);
        entry->local = cases[i].local;
        entry->interface = cases[i].interface;
        entry->family = (uint8_t)cases[i].family;
        for (size_t j = 0; j < COUNT(listeners); j++) {
            if (!(cases[i].has >> j & 1))
                continue;
            entry = add(&scene, SOCKET_LISTEN, (uint32_t)(10 + j));
            entry->local = listeners[j].local;
            entry->interface = listeners[j].interface;
            entry->family = (uint8_t)listeners[j].family;
            entry->uid = (uint32_t)(100 + j);
        }
        tell(&scene);
        int found = -1;
        for (size_t j = 0; j < scene.story.use_count; j++)
            if (scene.story.uses[j].role == PORT_LISTENS && scene.story.uses[j].connections)
                found = (int)scene.story.uses[j].uid - 100;
        if (found != cases[i].listener)
            fail_msg("case %zu: %d", i, found);
        scene_end(&scene);
    }
}

/* ---- of a recording ---- */

static void a_recording_tells_less(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 40000);
    scene.question.recorded = true;
    scene.question.limits = (struct port_limits){.ephemeral_first = 32768, .ephemeral_last = 60999};
    tell(&scene);
    expect_text(&scene, "From a recording of 2023-11-14 22:13, which does not tell whether the "
                        "port can be had:\n"
                        "The recording has no socket of port 40000 (safetynetp), neither TCP nor "
                        "UDP\n");
    scene_end(&scene);

    scene_start(&scene, 9000);
    scene.question.recorded = true;
    add(&scene, SOCKET_LISTEN, 10)->uid = 33;
    add(&scene, SOCKET_BOUND, 11)->local = IPV4(10, 0, 0, 1);
    add_connection(&scene, SOCKET_TIME_WAIT, 0, 5)->local = IPV4(10, 0, 0, 2);
    assert_int_equal(port_story_make(&scene.question, &scene.list, NULL, NULL, &scene.story, NULL),
                     0);
    port_story_write(&scene.story, &scene.text);
    expect_said(&scene, "\nSomething that the recording does not name (its socket is of user 33) "
                        "listens on TCP port 9000 (cslistener) of every address, IPv4 alone\n"
                        "  No connection with it is recorded\n");
    expect_unsaid(&scene, "bind()");
    expect_unsaid(&scene, "every interface");
    expect_unsaid(&scene, "To end");
    scene_end(&scene);
}

/* Its owners are known, but their numbers may be others' now. */
static void owners_of_a_recording(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 9000);
    scene.question.recorded = true;
    add(&scene, SOCKET_LISTEN, 10);
    add_owner(&scene, 10, 300, "x");
    tell(&scene);
    expect_said(&scene, "\nx (pid 300, user ann) listens on TCP port 9000");
    expect_said(&scene, "since 2023-11-14 19:13 (3 hours)");
    expect_unsaid(&scene, "kill");
    scene_end(&scene);
    scene_start(&scene, 9000);
    scene.question.recorded = true;
    add(&scene, SOCKET_LISTEN, 10);
    add_owner(&scene, 10, 300, "x")->unit = "x.service";
    tell(&scene);
    expect_said(&scene, "  To end it there: systemctl stop x.service\n");
    scene_end(&scene);
}

static void only_one_kind_was_asked_for(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene, 53);
    scene.question.kinds = TCP;
    add(&scene, SOCKET_CLOSE, 10)->kind = SOCKET_UDP;
    tell(&scene);
    expect_text(&scene, "Nobody uses TCP port 53 (domain)\n");
    scene_end(&scene);
    scene_start(&scene, 53);
    add(&scene, SOCKET_CLOSE, 10)->kind = SOCKET_UDP;
    add_owner(&scene, 10, 300, "dns");
    tell(&scene);
    expect_said(&scene, "receives on UDP port 53");
    expect_said(&scene, "Nobody uses TCP port 53 (domain)\n");
    scene_end(&scene);
    static const struct {
        uint32_t kinds;
        const char *said;
    } cases[] = {
        {SOCKET_KIND_BIT(SOCKET_UDPLITE), "Nobody uses UDP-Lite port 53 (domain)\n"},
        {SOCKET_KIND_BIT(SOCKET_SCTP), "Nobody uses SCTP port 53\n"},
        {UDP, "Nobody uses UDP port 53 (domain)\n"},
        {TCP | SOCKET_KIND_BIT(SOCKET_MPTCP), "Nobody uses TCP port 53 (domain)\n"},
        {TCP | SOCKET_KIND_BIT(SOCKET_SCTP), "Nobody uses TCP port 53 (domain)\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        scene_start(&scene, 53);
        scene.question.kinds = cases[i].kinds;
        tell(&scene);
        expect_text(&scene, cases[i].said);
        scene_end(&scene);
    }
}

static void lists_of_ports(void **state)
{
    (void)state;
    static const char text[] = "22,8080-8082,60000\n";
    static const struct {
        uint16_t port;
        bool has;
    } cases[] = {{21, false},  {22, true},    {8079, false}, {8080, true},
                 {8082, true}, {8083, false}, {60000, true}, {60001, false}};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(port_list_has(text, strlen(text), cases[i].port), cases[i].has);
    assert_false(port_list_has("\n", 1, 0));
    assert_false(port_list_has(NULL, 0, 0));
    assert_false(port_list_has("5-", 2, 6));
    assert_false(port_list_has("99999999999999999999", 20, 1));
}

/* ---- on this kernel ---- */

static bool private_network;

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    const bool written = file && fputs(text, file) >= 0;
    return (file && fclose(file) == 0) && written;
}

static int enter_namespace(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    private_network = geteuid() == 0 && own_network();
    return 0;
}

static int bound_socket(int type, uint16_t port, bool reuse)
{
    const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    if (reuse)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int connected_to(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* The story of this namespace, as the program would tell it. */
static void tell_truth(struct scene *scene, uint16_t port)
{
    struct error error = {0};
    *scene = (struct scene){.question = {.port = port, .kinds = TCP, .now = clock_wall()}};
    const struct diag_query query = {
        .kinds = TCP, .states = SOCKET_EVERY_STATE, .local_port = port};
    socket_list_init(&scene->list);
    assert_int_equal(diag_list(&query, 0, NULL, &scene->list, &error), 0);
    uint32_t inodes[16];
    size_t count = 0;
    for (size_t i = 0; i < scene->list.count; i++)
        if (scene->list.entries[i].has_inode && scene->list.entries[i].inode != 0)
            inodes[count++] = scene->list.entries[i].inode;
    for (size_t i = 1; i < count; i++) /* in order, for owners_find() */
        for (size_t j = i; j > 0 && inodes[j] < inodes[j - 1]; j--) {
            const uint32_t inode = inodes[j];
            inodes[j] = inodes[j - 1];
            inodes[j - 1] = inode;
        }
    assert_int_equal(owners_find(inodes, count, OWNERS_PROC, true, &scene->owners, &error), 0);
    port_limits_read(port, &scene->question.limits);
    port_trial_make(SOCKET_TCP, port, &scene->question.trial);
    struct exposure_map *map = NULL;
    assert_int_equal(exposure_map_new(&map, &error), 0);
    assert_int_equal(
        port_story_make(&scene->question, &scene->list, &scene->owners, map, &scene->story, &error),
        0);
    port_story_write(&scene->story, &scene->text);
    exposure_map_free(map);
}

static void truth_end(struct scene *scene)
{
    scene_end(scene);
    owners_release(&scene->owners);
    socket_list_release(&scene->list);
}

static void a_server_of_our_own(void **state)
{
    (void)state;
    if (!private_network)
        skip();
    const int server = bound_socket(SOCK_STREAM, 8080, true);
    assert_int_equal(listen(server, 5), 0);
    const int client = connected_to(8080), taken = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    struct scene scene;
    tell_truth(&scene, 8080);
    assert_int_equal(scene.story.use_count, 1);
    const struct port_use *use = &scene.story.uses[0];
    assert_int_equal(use->role, PORT_LISTENS);
    assert_int_equal(use->exposure, EXPOSURE_LOOPBACK);
    assert_int_equal(use->connections, 1);
    assert_int_equal(use->holder_count, 1);
    assert_int_equal(use->holders[0].process->pid, getpid());
    assert_int_equal(scene.question.trial.plain, EADDRINUSE);
    expect_said(&scene, "of 127.0.0.1 (loopback only)\n");
    expect_said(&scene, "  1 connection: from 127.0.0.1\n");
    truth_end(&scene);

    /* The server that has been told to end keeps its connection; then that rests. */
    close(server);
    tell_truth(&scene, 8080);
    assert_int_equal(scene.story.uses[0].role, PORT_CONNECTED);
    assert_int_equal(scene.question.trial.plain, EADDRINUSE);
    truth_end(&scene);
    assert_int_equal(shutdown(taken, SHUT_WR), 0);
    char byte;
    assert_int_equal(read(client, &byte, 1), 0);
    close(client);
    close(taken);
    tell_truth(&scene, 8080);
    assert_int_equal(scene.story.use_count, 1);
    assert_int_equal(scene.story.uses[0].role, PORT_TIME_WAIT);
    assert_int_equal(scene.question.trial.plain, EADDRINUSE);
    assert_int_equal(scene.question.trial.reusing, 0);
    expect_said(&scene, "in TIME_WAIT for up to ");
    truth_end(&scene);
}

static void what_is_bound_is_found_or_felt(void **state)
{
    (void)state;
    if (!private_network)
        skip();
    const int bound = bound_socket(SOCK_STREAM, 50008, false);
    struct scene scene;
    tell_truth(&scene, 50008);
    assert_int_equal(scene.question.trial.plain, EADDRINUSE);
    if (scene.story.use_count > 0) /* since Linux 6.8 */
        assert_int_equal(scene.story.uses[0].role, PORT_BOUND);
    else
        expect_said(&scene, "that the kernel does not list");
    truth_end(&scene);
    close(bound);
    tell_truth(&scene, 50008);
    expect_said(&scene, "Nobody uses TCP port 50008\n  It can be had: bind() works\n");
    truth_end(&scene);
}

static void the_kernels_settings(void **state)
{
    (void)state;
    if (!private_network ||
        !write_text("/proc/sys/net/ipv4/ip_local_port_range", "20000 30000\n") ||
        !write_text("/proc/sys/net/ipv4/ip_local_reserved_ports", "25000-25002\n") ||
        !write_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", "500\n"))
        skip();
    struct port_limits limits;
    port_limits_read(25001, &limits);
    assert_int_equal(limits.ephemeral_first, 20000);
    assert_int_equal(limits.ephemeral_last, 30000);
    assert_int_equal(limits.unprivileged, 500);
    assert_true(limits.reserved);
    port_limits_read(25003, &limits);
    assert_false(limits.reserved);
    struct port_trial trial = {0};
    port_trial_make(SOCKET_RAW, 25001, &trial);
    assert_false(trial.made);
    port_trial_make(SOCKET_UDP, 25001, &trial);
    assert_true(trial.made && trial.plain == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unit_with_connections),
        cmocka_unit_test(what_ends_it),
        cmocka_unit_test(holders_are_told_apart),
        cmocka_unit_test(one_line_ends_all),
        cmocka_unit_test(one_end_is_said_once),
        cmocka_unit_test(names_that_need_quotes),
        cmocka_unit_test(an_interface_alone),
        cmocka_unit_test(each_protocol_has_its_service),
        cmocka_unit_test(docker_proxy_says_where_it_leads),
        cmocka_unit_test(systemd_listens_for_a_service),
        cmocka_unit_test(nobody_was_seen),
        cmocka_unit_test(datagrams_and_both_families),
        cmocka_unit_test(hostile_names_are_escaped),
        cmocka_unit_test(many_are_summed_up),
        cmocka_unit_test(multipath_is_told_once),
        cmocka_unit_test(what_is_left_of_connections),
        cmocka_unit_test(it_is_bound_or_a_source),
        cmocka_unit_test(nobody_uses_it),
        cmocka_unit_test(what_was_not_seen_is_not_free),
        cmocka_unit_test(trials_that_tell_more),
        cmocka_unit_test(other_namespaces_are_in_nobodys_way),
        cmocka_unit_test(ends_in_other_namespaces_are_counted),
        cmocka_unit_test(a_proxy_elsewhere),
        cmocka_unit_test(many_are_not_all_told),
        cmocka_unit_test(thousands_at_addresses_of_their_own),
        cmocka_unit_test(listeners_of_connections),
        cmocka_unit_test(a_recording_tells_less),
        cmocka_unit_test(owners_of_a_recording),
        cmocka_unit_test(only_one_kind_was_asked_for),
        cmocka_unit_test(lists_of_ports),
        cmocka_unit_test(a_server_of_our_own),
        cmocka_unit_test(what_is_bound_is_found_or_felt),
        cmocka_unit_test(the_kernels_settings),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
