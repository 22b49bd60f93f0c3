/* Filters: what they take, where complaints point, and what the kernel may leave out. */
#include "local/filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define IPV4(a, b, c, d) ((uint128_t)(((uint32_t)(a) << 24) | (b) << 16 | (c) << 8 | (d)))
#define MAPPED_IPV4(a, b, c, d) ((uint128_t)0xffff << 32 | IPV4(a, b, c, d))
#define LINK_LOCAL ((uint128_t)0xfe80 << 112)

enum {
    SSH,      /* listens on every interface */
    WEB,      /* nginx, listens on loopback */
    DOMAIN,   /* UDP, bound */
    TALK,     /* an SSH connection from 10.1.2.3 */
    CLIENT,   /* to [2001:db8::5]:443 */
    MAPPED,   /* an IPv6 socket that talks IPv4 */
    WAITING,  /* in TIME_WAIT */
    LOCAL6,   /* between [::1] and itself */
    SCOPED,   /* link-local, bound to interface 7 */
    UNIX,     /* listens in the file system */
    ABSTRACT, /* one of the kernel's own names */
    RAW,
    ENTRIES,
};

static const struct socket_entry entries[ENTRIES] = {
    [SSH] = {.kind = SOCKET_TCP,
             .state = SOCKET_LISTEN,
             .family = ADDRESS_IPV4,
             .local_port = 22,
             .has_inode = true,
             .inode = 100},
    [WEB] = {.kind = SOCKET_TCP,
             .state = SOCKET_LISTEN,
             .family = ADDRESS_IPV4,
             .local = IPV4(127, 0, 0, 1),
             .local_port = 8080,
             .has_inode = true,
             .inode = 101,
             .uid = 33,
             .cgroup = 1},
    [DOMAIN] = {.kind = SOCKET_UDP,
                .state = SOCKET_CLOSE,
                .family = ADDRESS_IPV6,
                .local_port = 53,
                .has_inode = true,
                .inode = 102},
    [TALK] = {.kind = SOCKET_TCP,
              .state = SOCKET_ESTABLISHED,
              .family = ADDRESS_IPV4,
              .local = IPV4(192, 0, 2, 1),
              .remote = IPV4(10, 1, 2, 3),
              .local_port = 22,
              .remote_port = 50000,
              .has_inode = true,
              .inode = 103,
              .mark = 0x13},
    [CLIENT] = {.kind = SOCKET_TCP,
                .state = SOCKET_SYN_SENT,
                .family = ADDRESS_IPV6,
                .local = ((uint128_t)0x20010db8 << 96) | 1,
                .remote = ((uint128_t)0x20010db8 << 96) | 5,
                .local_port = 40000,
                .remote_port = 443,
                .has_inode = true,
                .inode = 104,
                .uid = 1000},
    [MAPPED] = {.kind = SOCKET_TCP,
                .state = SOCKET_ESTABLISHED,
                .family = ADDRESS_IPV6,
                .local = IPV4(192, 0, 2, 1),
                .remote = IPV4(10, 9, 9, 9),
                .local_port = 443,
                .remote_port = 50001,
                .mapped = true,
                .has_inode = true,
                .inode = 105},
    [WAITING] = {.kind = SOCKET_TCP,
                 .state = SOCKET_TIME_WAIT,
                 .family = ADDRESS_IPV4,
                 .local = IPV4(192, 0, 2, 1),
                 .remote = IPV4(192, 0, 2, 7),
                 .local_port = 22,
                 .remote_port = 50002},
    [LOCAL6] = {.kind = SOCKET_TCP,
                .state = SOCKET_ESTABLISHED,
                .family = ADDRESS_IPV6,
                .local = 1,
                .remote = 1,
                .local_port = 60000,
                .remote_port = 80,
                .has_inode = true,
                .inode = 106},
    [SCOPED] = {.kind = SOCKET_UDP,
                .state = SOCKET_ESTABLISHED,
                .family = ADDRESS_IPV6,
                .local = LINK_LOCAL | 1,
                .remote = LINK_LOCAL | 2,
                .local_port = 546,
                .remote_port = 547,
                .interface = 7,
                .has_inode = true,
                .inode = 107},
    [UNIX] = {.kind = SOCKET_UNIX_STREAM,
              .state = SOCKET_LISTEN,
              .path = "/run/Docker.sock",
              .has_inode = true,
              .inode = 108},
    [ABSTRACT] = {.kind = SOCKET_UNIX_DATAGRAM,
                  .state = SOCKET_CLOSE,
                  .path = "@0001f",
                  .has_inode = true,
                  .inode = 109},
    [RAW] = {.kind = SOCKET_RAW,
             .state = SOCKET_CLOSE,
             .family = ADDRESS_IPV4,
             .local_port = 1,
             .has_inode = true,
             .inode = 110},
};

/* Who holds them. 200 and 201 share the web server's socket. */
static struct owner owner_items[] = {{100, 50, 3}, {101, 200, 6}, {101, 201, 6},
                                     {102, 60, 4}, {103, 51, 4},  {108, 300, 5}};
static struct process processes[] = {
    {.pid = 50, .name = "sshd", .unit = "ssh.service", .command = "sshd: /usr/sbin/sshd -D"},
    {.pid = 51, .name = "sshd-session", .unit = "session-3.scope"},
    {.pid = 60, .name = "systemd-resolve", .command = "/usr/lib/systemd/systemd-resolved --x/y"},
    {.pid = 200, .name = "nginx", .container_runtime = "docker", .container = "0123abcd9876"},
    {.pid = 201, .name = "helper*"},
    {.pid = 300, .name = "dockerd", .command = "/usr/bin/dockerd -H fd://"},
};
static const struct owners owners = {.items = owner_items,
                                     .count = COUNT(owner_items),
                                     .processes = processes,
                                     .process_count = COUNT(processes)};

#define BIT(entry) (1u << (entry))
#define ALL (BIT(ENTRIES) - 1)
#define TALKING (BIT(TALK) | BIT(CLIENT) | BIT(MAPPED) | BIT(WAITING) | BIT(LOCAL6) | BIT(SCOPED))
#define LISTENING (BIT(SSH) | BIT(WEB) | BIT(UNIX))
#define UNIX_ONES (BIT(UNIX) | BIT(ABSTRACT))
#define TCP                                                                                        \
    (BIT(SSH) | BIT(WEB) | BIT(TALK) | BIT(CLIENT) | BIT(MAPPED) | BIT(WAITING) | BIT(LOCAL6))
#define PORT_22 (BIT(SSH) | BIT(TALK) | BIT(WAITING))

static const struct {
    const char *words;
    unsigned taken;
} filters[] = {
    /* as ss takes them */
    {"sport = :22", PORT_22},
    {"sport :22", PORT_22},
    {"sport 22", PORT_22},
    {"sport=:22", PORT_22},
    {"sport == :22", PORT_22},
    {"sport eq *:22", PORT_22},
    {"sport = :ssh", PORT_22},
    {"SPORT = :SSH", PORT_22},
    {"dport != :ssh", ALL},
    {"sport != :22", ALL & ~PORT_22},
    {"sport neq :22", ALL & ~PORT_22},
    {"not sport = :22", ALL & ~PORT_22},
    {"! sport = :22", ALL & ~PORT_22},
    {"!(sport=:22)", ALL & ~PORT_22},
    {"not not sport = :22", PORT_22},
    {"not sport != :22", PORT_22},
    {"sport gt :50000", BIT(LOCAL6)},
    {"sport > 60000", 0},
    {"sport >= 60000", BIT(LOCAL6)},
    {"sport < 53", PORT_22},
    {"sport le 53", PORT_22 | BIT(DOMAIN)},
    {"sport < 0", 0},
    {"sport > 65535", 0},
    {"dport = :443", BIT(CLIENT)},
    {"dst 10.0.0.0/8", BIT(TALK) | BIT(MAPPED)},
    {"dst = 10.0.0.0/8", BIT(TALK) | BIT(MAPPED)},
    {"dst 10/8", BIT(TALK) | BIT(MAPPED)},
    {"dst 10.1.2/24", BIT(TALK)},
    {"dst 10.1.2.3", BIT(TALK)},
    {"dst != 10.0.0.0/8", ALL & ~(BIT(TALK) | BIT(MAPPED))},
    {"dst 10.0.0.0/8:50001", BIT(MAPPED)},
    {"dst ::ffff:10.0.0.0/104", BIT(TALK) | BIT(MAPPED)},
    {"dst [::ffff:10.0.0.0]/104", BIT(TALK) | BIT(MAPPED)},
    {"dst inet:10.0.0.0/8", BIT(TALK) | BIT(MAPPED)},
    {"src :22", PORT_22},
    {"src *:22", PORT_22},
    {"src 127.0.0.1:8080", BIT(WEB)},
    {"src 127.0.0.1", BIT(WEB)},
    {"src 127.0.0.1:*", BIT(WEB)},
    {"src 127.0.0.1:http-alt", BIT(WEB)},
    {"src 0.0.0.0", BIT(SSH) | BIT(RAW)},
    {"dst [::1]:80", BIT(LOCAL6)},
    {"dst [::1]:81", 0},
    {"dst ::1", BIT(LOCAL6)},
    {"dst [::1]", BIT(LOCAL6)},
    {"dst 2001:db8::/32", BIT(CLIENT)},
    {"dst [2001:db8::/32]:443", BIT(CLIENT)},
    {"dst [2001:db8::]/32:https", BIT(CLIENT)},
    {"src fe80::/10", BIT(SCOPED)},
    {"src inet6:*:53", BIT(DOMAIN)},
    {"src *", ALL & ~UNIX_ONES},
    {"src any", ALL & ~UNIX_ONES},
    {"dst ALL", ALL & ~UNIX_ONES},
    {"src any:22", PORT_22},
    {"dst default:443", BIT(CLIENT)},
    {"src /run/*", BIT(UNIX)},
    {"src unix:*docker*", BIT(UNIX)},
    {"src @*", BIT(ABSTRACT)},
    {"state established", BIT(TALK) | BIT(MAPPED) | BIT(LOCAL6) | BIT(SCOPED)},
    {"state ESTAB", BIT(TALK) | BIT(MAPPED) | BIT(LOCAL6) | BIT(SCOPED)},
    {"state all", ALL},
    {"state time-wait", BIT(WAITING)},
    {"state listening", LISTENING},
    {"state bucket", BIT(WAITING)},
    {"state big", ALL & ~BIT(WAITING)},
    {"state connected", TALKING},
    {"state synchronized", TALKING & ~BIT(CLIENT)},
    {"exclude listening", ALL & ~LISTENING},
    {"excl listening", ALL & ~LISTENING},
    {"exclude listening exclude closed", TALKING},
    {"state listening state time-wait", LISTENING | BIT(WAITING)},
    {"state all exclude established", ALL & ~(BIT(TALK) | BIT(MAPPED) | BIT(LOCAL6) | BIT(SCOPED))},
    {"state listening sport = :22", BIT(SSH)},
    {"sport = :22 state listening", BIT(SSH)},
    {"state established ( dport = :50000 or sport = :443 )", BIT(TALK) | BIT(MAPPED)},
    {"( sport = :22 or dst 10.0.0.0/8 ) and state established", BIT(TALK) | BIT(MAPPED)},
    {"sport = :22 or dst 10.0.0.0/8 and state established", PORT_22 | BIT(MAPPED)},
    {"sport = :22 | dport = :443", PORT_22 | BIT(CLIENT)},
    {"sport = :22||dport = :443", PORT_22 | BIT(CLIENT)},
    {"sport = :22 & state time-wait", BIT(WAITING)},
    {"sport = :22&&state time-wait", BIT(WAITING)},
    {"sport = :22 and not state time-wait", BIT(SSH) | BIT(TALK)},
    {"fwmark = 0x13", BIT(TALK)},
    {"fwmark 0x01/0x03", 0},
    {"fwmark = 0x03/0x03", BIT(TALK)},
    {"autobound", BIT(CLIENT) | BIT(ABSTRACT) | BIT(LOCAL6)},
    {"dev = 7", BIT(SCOPED)},
    /* ours */
    {"port 22", PORT_22},
    {"port 443", BIT(CLIENT) | BIT(MAPPED)},
    {"port != 443", ALL & ~(BIT(CLIENT) | BIT(MAPPED))},
    {"port 8000-9000", BIT(WEB)},
    {"port 60000-", BIT(LOCAL6)},
    {"port 22,53", PORT_22 | BIT(DOMAIN)},
    {"port 22,domain,8080-8081", PORT_22 | BIT(DOMAIN) | BIT(WEB)},
    {"port 1", 0}, /* a raw socket has a protocol in its place */
    {"listening", LISTENING | BIT(DOMAIN) | BIT(ABSTRACT) | BIT(RAW)},
    {"listen", LISTENING},
    {"established", BIT(TALK) | BIT(MAPPED) | BIT(LOCAL6) | BIT(SCOPED)},
    {"connected", TALKING},
    {"state listen,time-wait", LISTENING | BIT(WAITING)},
    {"state != listen", ALL & ~LISTENING},
    {"state listen and state established", 0},
    {"state listen and not loopback", BIT(SSH)},
    {"loopback", BIT(WEB) | BIT(LOCAL6) | UNIX_ONES},
    {"exposed", BIT(SSH) | BIT(DOMAIN) | BIT(RAW)},
    {"everywhere", BIT(SSH) | BIT(DOMAIN) | BIT(RAW)},
    {"tcp", TCP},
    {"not tcp", ALL & ~TCP},
    {"udp or unix", BIT(DOMAIN) | BIT(SCOPED) | UNIX_ONES},
    {"ipv4", BIT(SSH) | BIT(WEB) | BIT(TALK) | BIT(WAITING) | BIT(RAW)},
    {"ipv6 listening", BIT(DOMAIN)},
    {"host 192.0.2.7", BIT(WAITING)},
    {"host 192.0.2.0/24", BIT(TALK) | BIT(MAPPED) | BIT(WAITING)},
    {"peer 10.0.0.0/8", BIT(TALK) | BIT(MAPPED)},
    {"local 192.0.2.1", BIT(TALK) | BIT(MAPPED) | BIT(WAITING)},
    {"pid 200", BIT(WEB)},
    {"pid 201", BIT(WEB)},
    {"pid 50-60", BIT(SSH) | BIT(TALK) | BIT(DOMAIN)},
    {"pid >= 200", BIT(WEB) | BIT(UNIX)},
    {"pid < 51", BIT(SSH)},
    {"pid < 0", 0},
    {"pid > 2147483647", 0},
    {"inode > 109", BIT(RAW)},
    {"pid != 200", ALL & ~BIT(WEB)},
    {"process nginx", BIT(WEB)},
    {"process NGINX", BIT(WEB)},
    {"process ssh*", BIT(SSH) | BIT(TALK)},
    {"process sshd", BIT(SSH)},
    {"process systemd-resolved", BIT(DOMAIN)},
    {"process helperx", 0}, /* a process's name is no pattern */
    {"process != nginx", ALL & ~BIT(WEB)},
    {"process 'nginx'", BIT(WEB)},
    {"process \"and\"", 0},
    {"unit ssh", BIT(SSH)},
    {"unit ssh.service", BIT(SSH)},
    {"unit session-*", BIT(TALK)},
    {"container docker", BIT(WEB)},
    {"container 0123ab", BIT(WEB)},
    {"container 123ab", 0},
    {"container *", BIT(WEB)},
    {"user 33", BIT(WEB)},
    {"user root", ALL & ~(BIT(WEB) | BIT(CLIENT) | BIT(WAITING))},
    {"inode 100-102", BIT(SSH) | BIT(WEB) | BIT(DOMAIN)},
    {"path /run/*", BIT(UNIX)},
    {"path *docker.SOCK", BIT(UNIX)},
    {"path /run/docker.soc?", BIT(UNIX)},
    {"path != /run/*", ALL & ~BIT(UNIX)},
};

static struct filter *parsed(const char *words)
{
    struct filter *filter = NULL;
    struct error error = {0};
    if (filter_parse(&words, 1, &filter, &error) != 0)
        fail_msg("%s: column %zu: %s", words, error.column, error.message);
    return filter;
}

static unsigned taken_by(const struct filter *filter)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        if (filter_match(filter, &entries[i], &owners, NULL))
            taken |= BIT(i);
    return taken;
}

static void filters_take_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(filters); i++) {
        struct filter *filter = parsed(filters[i].words);
        const unsigned taken = taken_by(filter);
        if (taken != filters[i].taken)
            fail_msg("%s: takes %x, not %x", filters[i].words, taken, filters[i].taken);
        filter_free(filter);
    }
}

/* Whatever the kernel leaves out would not have been taken. */
static void narrowing_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(filters); i++) {
        struct filter *filter = parsed(filters[i].words);
        struct diag_query query = {.kinds = SOCKET_KIND_BIT(SOCKET_KINDS) - 1,
                                   .states = SOCKET_EVERY_STATE};
        filter_narrow(filter, &query);
        for (unsigned entry = 0; entry < ENTRIES; entry++)
            if ((filters[i].taken & BIT(entry)) && !diag_query_takes(&query, &entries[entry]))
                fail_msg("%s: loses %u", filters[i].words, entry);
        filter_free(filter);
    }
}

#define KINDS (SOCKET_KIND_BIT(SOCKET_KINDS) - 1)
#define PORT_KINDS (KINDS & ~SOCKET_UNIX_KINDS & ~SOCKET_KIND_BIT(SOCKET_RAW))
#define STATE(name) SOCKET_STATE_BIT(SOCKET_##name)
#define HELD (SOCKET_EVERY_STATE & ~(STATE(TIME_WAIT) | STATE(SYN_RECV) | STATE(NEW_SYN_RECV)))

static void narrowing_says_what_it_can(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        struct diag_query query;
    } cases[] = {
        {"sport = :22", {.kinds = PORT_KINDS, .states = SOCKET_EVERY_STATE, .local_port = 22}},
        {"sport = :22 or sport = :22",
         {.kinds = PORT_KINDS, .states = SOCKET_EVERY_STATE, .local_port = 22}},
        {"sport = :22 or dport = :22", {.kinds = PORT_KINDS, .states = SOCKET_EVERY_STATE}},
        {"sport = :22 and sport = :23", {.kinds = 0}},
        {"not (sport != :22)",
         {.kinds = PORT_KINDS, .states = SOCKET_EVERY_STATE, .local_port = 22}},
        {"port 22", {.kinds = PORT_KINDS, .states = SOCKET_EVERY_STATE}},
        {"tcp ipv4 state listen",
         {.kinds = SOCKET_KIND_BIT(SOCKET_TCP), .states = STATE(LISTEN), .family = ADDRESS_IPV4}},
        {"not (tcp or udp or not state listen)",
         {.kinds = KINDS & ~(SOCKET_KIND_BIT(SOCKET_TCP) | SOCKET_KIND_BIT(SOCKET_UDP)),
          .states = STATE(LISTEN)}},
        {"tcp udp", {.kinds = 0}},
        {"state listen and state established", {.kinds = KINDS, .states = 0}},
        {"not ipv4 not unix",
         {.kinds = KINDS & ~SOCKET_UNIX_KINDS,
          .states = SOCKET_EVERY_STATE,
          .family = ADDRESS_IPV6}},
        {"dst [::1]",
         {.kinds = KINDS & ~SOCKET_UNIX_KINDS,
          .states = SOCKET_EVERY_STATE,
          .family = ADDRESS_IPV6}},
        {"(unix and state listen) or (tcp and state established)",
         {.kinds = SOCKET_UNIX_KINDS | SOCKET_KIND_BIT(SOCKET_TCP),
          .states = STATE(LISTEN) | STATE(ESTABLISHED)}},
        {"process nginx", {.kinds = KINDS, .states = HELD}},
        {"user root or inode 7", {.kinds = KINDS, .states = HELD}},
        {"not process nginx", {.kinds = KINDS, .states = SOCKET_EVERY_STATE}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct filter *filter = parsed(cases[i].words);
        struct diag_query query = {.kinds = KINDS, .states = SOCKET_EVERY_STATE};
        filter_narrow(filter, &query);
        if (cases[i].query.kinds != query.kinds)
            fail_msg("%s: kinds %x", cases[i].words, query.kinds);
        if (query.kinds != 0) {
            assert_int_equal(query.states, cases[i].query.states);
            if (query.family != cases[i].query.family)
                fail_msg("%s: family %u", cases[i].words, query.family);
            assert_int_equal(query.local_port, cases[i].query.local_port);
        }
        filter_free(filter);
    }
}

static void narrowing_keeps_to_the_question(void **state)
{
    (void)state;
    struct filter *filter = parsed("sport = :22 and ipv4");
    struct diag_query query = {
        .kinds = SOCKET_KIND_BIT(SOCKET_TCP), .states = STATE(LISTEN), .family = ADDRESS_IPV6};
    filter_narrow(filter, &query);
    assert_int_equal(query.kinds, 0);
    query = (struct diag_query){.kinds = KINDS, .states = STATE(LISTEN), .local_port = 23};
    filter_narrow(filter, &query);
    assert_int_equal(query.kinds, 0);
    query = (struct diag_query){.kinds = KINDS, .states = STATE(LISTEN)};
    filter_narrow(NULL, &query);
    assert_int_equal(query.kinds, KINDS);
    filter_free(filter);
}

static void it_tells_what_it_speaks_of(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        uint32_t kinds, states;
        bool owners, details;
    } cases[] = {
        {"port 22", 0, 0, false, false},
        {"tcp or udp", SOCKET_KIND_BIT(SOCKET_TCP) | SOCKET_KIND_BIT(SOCKET_UDP), 0, false, false},
        {"not tcp", 0, 0, false, false},
        {"not not tcp", SOCKET_KIND_BIT(SOCKET_TCP), 0, false, false},
        {"path /run/*", SOCKET_UNIX_KINDS, 0, false, false},
        {"state established", 0, STATE(ESTABLISHED), false, false},
        {"established or port 22", 0, SOCKET_USUAL_STATES, false, false},
        {"not listen", 0, SOCKET_USUAL_STATES & ~STATE(LISTEN), false, false},
        {"peer 10.0.0.0/8", 0, SOCKET_USUAL_STATES, false, false},
        {"not pid 1", 0, 0, true, false},
        {"not (tcp and pid 1)", 0, 0, true, false},
        {"pid 1", 0, HELD & SOCKET_USUAL_STATES, true, false},
        {"tcp and (port 22 or process x)", SOCKET_KIND_BIT(SOCKET_TCP), SOCKET_USUAL_STATES, true,
         true},
        {"unit x", 0, HELD & SOCKET_USUAL_STATES, true, true},
        {"container x", 0, HELD & SOCKET_USUAL_STATES, true, true},
        {"user root", 0, HELD & SOCKET_USUAL_STATES, false, false},
        {"inode 5", 0, HELD & SOCKET_USUAL_STATES, false, false},
        {"exposed and not process x", 0, 0, true, true},
        {"state bound-inactive", 0, STATE(BOUND), false, false},
        {"pid 1 and not state listen", 0, HELD & SOCKET_USUAL_STATES & ~STATE(LISTEN), true, false},
        {"port 22 or bound", 0, SOCKET_EVERY_STATE, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct filter *filter = parsed(cases[i].words);
        if (filter_kinds(filter) != cases[i].kinds || filter_states(filter) != cases[i].states ||
            filter_needs_owners(filter) != cases[i].owners ||
            filter_needs_details(filter) != cases[i].details)
            fail_msg("%s: %x %x", cases[i].words, filter_kinds(filter), filter_states(filter));
        filter_free(filter);
    }
    assert_int_equal(filter_kinds(NULL) | filter_states(NULL), 0);
    assert_false(filter_needs_owners(NULL));
}

static void states_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        uint32_t states;
    } cases[] = {
        {"port 22", 0},
        {"peer 10.0.0.1 pid 5", 0},
        {"listening", 0},
        {"not listen", 0},
        {"bound", STATE(BOUND)},
        {"not (not listen)", STATE(LISTEN)},
        {"port 22 and (state listen or not state established)", STATE(LISTEN)},
        {"state bound-inactive,listen", STATE(BOUND) | STATE(LISTEN)},
        {"exclude listen", SOCKET_USUAL_STATES & ~STATE(LISTEN)},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct filter *filter = parsed(cases[i].words);
        if (filter_named_states(filter) != cases[i].states)
            fail_msg("%s: %x", cases[i].words, filter_named_states(filter));
        filter_free(filter);
    }
    assert_int_equal(filter_named_states(NULL), 0);
}

static void no_words_take_all(void **state)
{
    (void)state;
    static const char *const blanks[] = {"", "  ", "\t\n"};
    struct filter *filter = (struct filter *)(uintptr_t)1;
    assert_int_equal(filter_parse(blanks, COUNT(blanks), &filter, NULL), 0);
    assert_null(filter);
    assert_int_equal(taken_by(NULL), ALL);
    filter_free(NULL);
}

static void words_of_the_shell_are_joined(void **state)
{
    (void)state;
    static const char *const words[] = {
        "state", "established", "( dport = :50000", "or", "sport", "=", ":443", ")"};
    struct filter *filter;
    assert_int_equal(filter_parse(words, COUNT(words), &filter, NULL), 0);
    assert_int_equal(taken_by(filter), BIT(TALK) | BIT(MAPPED));
    filter_free(filter);
}

static void who_holds_it_may_be_unknown(void **state)
{
    (void)state;
    struct filter *filter = parsed("process nginx or port 22");
    assert_false(filter_match(filter, &entries[WEB], NULL, NULL));
    assert_true(filter_match(filter, &entries[SSH], NULL, NULL));
    filter_free(filter);
}

static void a_control_group_is_found_by_its_path(void **state)
{
    (void)state;
    struct filter *filter;
    const char *words = "cgroup /";
    if (filter_parse(&words, 1, &filter, NULL) != 0)
        skip();
    assert_int_equal(taken_by(filter), BIT(WEB)); /* the root's is 1, as of any kernfs */
    filter_free(filter);
    words = "cgroup ../../../etc";
    assert_int_equal(filter_parse(&words, 1, &filter, NULL), -EINVAL);
}

static void faults_point_at_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        size_t column;
        const char *message; /* a part of it */
    } cases[] = {
        {"prot 22", 0, "did you mean 'port'?"},
        {"proces nginx", 0, "did you mean 'process'?"},
        {"tcp and establishd", 8, "did you mean 'established'?"},
        {"port 8080 adn tcp", 10, "did you mean 'and'?"},
        {"nto tcp", 0, "did you mean 'not'?"},
        {"8081 and tcp", 0, "Write 'port 8081' or 'pid 8081'"},
        {"8000-8010", 0, "Write 'port 8000-8010'"},
        {"tcp 80,443", 4, "Write 'port 80,443'"},
        {"state listn", 6, "did you mean 'listen'?"},
        {"state listen,tme-wait", 13, "did you mean 'time-wait'?"},
        {"state nonsense", 6, "'state' is followed by a state"},
        {"port sshh", 5, "did you mean 'ssh'?"},
        {"port 70000", 5, "from 0 to 65535"},
        {"port 90-80", 5, "ends below its start"},
        {"port 22,", 8, "a port is missing"},
        {"sport >= 20-30", 9, "only one number"},
        {"sport", 5, "'sport' is followed by a port"},
        {"sport = ", 8, "'sport' is followed by a port"},
        {"sport = )", 8, "'sport' is followed by a port"},
        {"sport and tcp", 6, "'sport' is followed by a port"},
        {"sport = :", 9, "a port is missing"},
        {"8080", 0, "'port 8080'"},
        {"tcp :22", 4, "'sport = :22'"},
        {"10.0.0.0/8", 0, "'peer 10.0.0.1'"},
        {"[::1]:80", 0, "'peer 10.0.0.1'"},
        {"xyzzy", 0, "'process nginx'"},
        {"'port' 22", 1, "no word of filters"},
        {"dst example.com", 4, "names of hosts are not looked up"},
        {"dst 10.0.0", 4 + 6, "four octets"},
        {"dst 10.0.0.0/33", 13, "from 0 to 32"},
        {"dst ::/129", 7, "from 0 to 128"},
        {"dst [::1/80", 4, "not closed"},
        {"dst [::1]80", 9, "after the bracket"},
        {"dst ::ffff:10.0.0.0/95", 20, "from 96 to 128"},
        {"dst inet6:10.0.0.1", 10, "another family"},
        {"dst unix:/run/x", 9, "not known"},
        {"dst link:x", 4, "not listed"},
        {"dst < 10.0.0.1", 4, "'=' and '!='"},
        {"dst inet:", 9, "an address is missing"},
        {"( port 22", 0, "not closed"},
        {"(port 22) )", 10, "no parenthesis was opened"},
        {"()", 1, "here stands what to look for"},
        {"port 22 or", 10, "here stands what to look for"},
        {"or port 22", 0, "here stands what to look for"},
        {"not", 3, "here stands what to look for"},
        {"= 22", 0, "before this stands what is compared"},
        {"process 'x", 8, "quotation mark"},
        {"'x", 0, "quotation mark"},
        {"pid x", 4, "the number of a process"},
        {"pid 20-10", 7, "not below its start"},
        {"pid 99999999999", 4, "the number of a process"},
        {"user nobody-of-this-name", 5, "no user has this name"},
        {"fwmark 1/x", 7, "0x01/0x03"},
        {"cgroup nowhere/at/all", 7, "no control group"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct filter *filter = NULL;
        struct error error = {0};
        assert_int_equal(filter_parse(&cases[i].words, 1, &filter, &error), -EINVAL);
        assert_null(filter);
        if (error.column != cases[i].column || !strstr(error.message, cases[i].message))
            fail_msg("%s: column %zu: %s", cases[i].words, error.column, error.message);
        assert_string_equal(error.text, cases[i].words);
    }
}

/* What is repeated, within each other or one after another, needs no stack of its size. */
static void depth_is_limited(void **state)
{
    (void)state;
    char text[60000];
    const char *words = text;
    struct filter *filter = NULL;
    struct error error;
    memset(text, '(', 65);
    strcpy(text + 65, "tcp");
    assert_int_equal(filter_parse(&words, 1, &filter, &error), -EINVAL);
    assert_non_null(strstr(error.message, "64 parentheses"));
    memset(text, '(', 64);
    strcpy(text + 64, "tcp");
    memset(text + 67, ')', 64);
    text[131] = '\0';
    assert_int_equal(filter_parse(&words, 1, &filter, &error), 0);
    assert_int_equal(taken_by(filter), TCP);
    filter_free(filter);
    memset(text, '!', sizeof(text) - 4);
    strcpy(text + sizeof(text) - 5, " tcp");
    assert_int_equal(filter_parse(&words, 1, &filter, &error), 0);
    assert_int_equal(taken_by(filter), sizeof(text) % 2 ? TCP : ALL & ~TCP);
    filter_free(filter);
    char *at = text;
    for (size_t i = 0; i < 9000; i++)
        at = stpcpy(at, i == 0 ? "raw" : "|raw");
    assert_int_equal(filter_parse(&words, 1, &filter, &error), 0);
    assert_int_equal(taken_by(filter), BIT(RAW));
    filter_free(filter);
}

static void the_text_is_limited(void **state)
{
    (void)state;
    const char *words[40];
    char *word = malloc(2001);
    assert_non_null(word);
    memset(word, ' ', 2000);
    word[2000] = '\0';
    for (size_t i = 0; i < COUNT(words); i++)
        words[i] = word;
    struct filter *filter = NULL;
    struct error error;
    assert_int_equal(filter_parse(words, COUNT(words), &filter, &error), -EINVAL);
    assert_non_null(strstr(error.message, "longer than"));
    free(word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_take_what_they_say),
        cmocka_unit_test(narrowing_loses_nothing),
        cmocka_unit_test(narrowing_says_what_it_can),
        cmocka_unit_test(narrowing_keeps_to_the_question),
        cmocka_unit_test(it_tells_what_it_speaks_of),
        cmocka_unit_test(states_are_named),
        cmocka_unit_test(no_words_take_all),
        cmocka_unit_test(words_of_the_shell_are_joined),
        cmocka_unit_test(who_holds_it_may_be_unknown),
        cmocka_unit_test(a_control_group_is_found_by_its_path),
        cmocka_unit_test(faults_point_at_the_place),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(the_text_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
