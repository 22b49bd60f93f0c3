/* The walk inside the kernel against the one in C: which indexes it asks, in which order, and every
 * byte of the packets. */
#include "xdp_scene.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/wait.h>

#define PROGRAMS 40
#define LEDGERS 5 /* for each program, */
#define WALKS 20  /* and for each of those */
#define PACKETS 12
#define PLAN_MOST (UINT64_C(1) << 22)
#define RANGES_MOST 1048576 /* of xdp_program.c */

static const unsigned char next_hop[HARDWARE_SIZE] = {2, 0xff, 0x80, 0x7f, 1, 0xfe};

/* ---- plans ---- */

static struct address address_at(enum address_family family, uint128_t value)
{
    return (struct address){.value = value, .family = family};
}

static void add_range(struct scene *scene, enum address_family family, uint128_t first,
                      uint64_t more)
{
    const struct address address = address_at(family, first);
    const uint128_t last = family == ADDRESS_IPV6 ? ~(uint128_t)0 : UINT32_MAX;
    assert_int_equal(
        address_set_add(&scene->targets, &address, last - first < more ? last : first + more), 0);
}

/* Where ranges lie: near both ends of all addresses and of the words that hold them, close to one
 * another, and anywhere. */
static uint128_t place_range(enum address_family family)
{
    const uint128_t high = (uint128_t)dice(0) << 64;
    if (family == ADDRESS_IPV4) {
        const uint32_t places[] = {(uint32_t)dice(64), UINT32_MAX - (uint32_t)dice(64),
                                   0x80000000 - (uint32_t)dice(64),
                                   0xc6120000 + (uint32_t)dice(1024), (uint32_t)dice(0)};
        return places[dice(5)];
    }
    const uint128_t places[] = {
        dice(64),
        ~(uint128_t)dice(64),
        high - dice(64), /* over the end of the second word */
        ((uint128_t)0xfd << 120) + dice(1024),
        high | dice(0),
        ((uint128_t)0xfd << 120 | (uint128_t)dice(4) << 64) + dice(64),
    };
    return places[dice(6)];
}

static uint32_t add_random_ports(struct scene *scene)
{
    static const struct {
        uint16_t first, last;
    } usual[] = {{80, 80}, {0, 0}, {65535, 65535}, {1, 1000}, {0, 65535}, {1, 65535}};
    const uint64_t kind = dice(12);
    if (kind < sizeof(usual) / sizeof(*usual))
        scene_add_ports(scene, usual[kind].first, usual[kind].last);
    for (uint64_t more = dice(40); kind >= 4 && more > 0; more--) {
        const uint16_t first = (uint16_t)dice(65536), left = (uint16_t)(65535 - first);
        const uint16_t length = (uint16_t)dice(dice(3) ? 4 : 300);
        scene_add_ports(scene, first, (uint16_t)(first + (length < left ? length : left)));
    }
    if (scene->ports.size == 0)
        scene_add_ports(scene, 443, 443);
    return scene->ports.size;
}

static void make_random_plan(struct scene *scene, unsigned number)
{
    const enum address_family family = number % 2 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    uint64_t left = PLAN_MOST / add_random_ports(scene);
    const uint64_t ranges = dice(3) ? 1 + dice(6) : 1 + dice(1000);
    for (uint64_t i = 0; i < ranges && left; i++) {
        const uint64_t more = dice(dice(2) ? left : left < 16 ? left : 16);
        add_range(scene, family, place_range(family), more);
        left -= more + 1 < left ? more + 1 : left;
    }
    const struct address source = address_at(family, place_range(family));
    scene_plan(scene, techniques[number % TECHNIQUES], &source, 2 + (uint32_t)dice(1000));
    scene->options.first_port = (uint16_t)dice(65536 - PROBE_TAGS);
}

/* ---- ledgers ---- */

/* Words in which none, few, half, most or all of the states are set. */
static uint64_t make_word(unsigned kind)
{
    const uint64_t one = dice(0), other = dice(0), third = dice(0);
    const uint64_t words[LEDGERS] = {0, one & other & third, one, one | other | third, UINT64_MAX};
    return words[kind];
}

static void fill(struct scene *scene, unsigned known, unsigned avoided)
{
    const uint64_t words = (scene->plan.count + 31) / 32, hosts = (scene->targets.size + 63) / 64;
    for (uint64_t i = 0; i < words; i++)
        scene->program.ledger[i] = make_word(known);
    for (uint64_t i = 0; i < hosts; i++)
        scene->program.avoided[i] = make_word(avoided);
}

static bool is_asked(const struct scene *scene, uint64_t index)
{
    const uint64_t host = index / scene->ports.size;
    return !(scene->program.ledger[index / 32] >> index % 32 * 2 & 3) &&
           !(scene->program.avoided[host / 64] >> host % 64 & 1);
}

/* ---- walks ---- */

static struct walk random_walk(const struct scene *scene)
{
    struct walk walk = {.tag = (uint8_t)dice(PROBE_TAGS), .packets = PACKETS};
    const struct key key = {{dice(0), dice(0)}}, pass_key = {{dice(0), dice(0)}};
    uint64_t positions = scene->plan.count;
    order_init(&walk.scan, scene->plan.count, &key);
    if (dice(3) == 0) {
        walk.shards = 1 + dice(dice(2) ? 5 : 1000);
        walk.shard = dice(walk.shards);
        if (walk.shard >= positions)
            walk.shards = walk.shard = 0;
        else
            positions = (positions - walk.shard + walk.shards - 1) / walk.shards;
    }
    if (dice(2))
        order_init(&walk.pass, positions, &pass_key);
    walk.end = dice(4) ? positions : dice(positions + 1);
    walk.position = dice(3) ? dice(walk.end + 1) : walk.end - (walk.end < 5 ? walk.end : 5);
    return walk;
}

/* The Ethernet frame that the prober would build, and its length. */
static uint32_t make_frame(const struct scene *scene, const struct walk *walk, uint64_t index,
                           unsigned char frame[XDP_FRAME_SIZE])
{
    const struct endpoint to = plan_endpoint(&scene->plan, index);
    struct tcp_packet packet = scene->link.probe;
    const bool ipv6 = packet.source.family == ADDRESS_IPV6;
    struct ethhdr header = {.h_proto = htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP)};
    packet.destination = to.address;
    packet.source_port = (uint16_t)(scene->options.first_port + walk->tag);
    packet.destination_port = to.port.number;
    packet.sequence = scene_cookie(scene, &to.address, packet.source_port, to.port.number);
    packet.acknowledgment = scene->link.acknowledges ? packet.sequence : 0;
    packet.identification = (uint16_t)(packet.sequence ^ packet.sequence >> 16);
    memcpy(header.h_dest, next_hop, HARDWARE_SIZE);
    memcpy(header.h_source, scene->route.interface.hardware, HARDWARE_SIZE);
    memcpy(frame, &header, sizeof(header));
    return ETH_HLEN + (uint32_t)tcp_packet_build(&packet, frame + ETH_HLEN);
}

/* One more packet of a walk: it is that of the next index that is to be asked, or there is none.
 * Returns whether it was sent. */
static bool step(struct scene *scene, struct walk *walk)
{
    unsigned char frame[XDP_FRAME_SIZE] = {0}, expected[XDP_FRAME_SIZE] = {0};
    const struct walk before = *walk;
    uint32_t length = UINT32_MAX;
    uint64_t index = 0;
    assert_int_equal(xdp_program_peek(&scene->program, walk, next_hop, frame, &length), 0);
    assert_true(walk->position > before.position || before.position == before.end);
    assert_true(walk->position <= before.end);
    for (uint64_t position = before.position; position < walk->position; position++) {
        index = walk_index(walk, position, order_at);
        if (is_asked(scene, index) != (length && position + 1 == walk->position))
            fail_msg("index %ju at position %ju", (uintmax_t)index, (uintmax_t)position);
    }
    assert_int_equal(before.packets - walk->packets, length ? 1 : 0);
    if (!length)
        return false;
    assert_int_equal(length, make_frame(scene, walk, index, expected));
    assert_memory_equal(frame, expected, length);
    return true;
}

static unsigned follow(struct scene *scene, struct walk walk)
{
    unsigned sent = 0;
    for (unsigned steps = 0; walk.packets && walk.position < walk.end && steps < 20; steps++)
        sent += step(scene, &walk);
    if (walk.position == walk.end && walk.packets)
        assert_false(step(scene, &walk)); /* the end is the end */
    return sent;
}

static void random_walks_are_those_in_c(void **state)
{
    NEED_RIGHTS;
    unsigned sent = 0;
    for (unsigned number = 0; number < PROGRAMS; number++) {
        struct scene scene = {0};
        make_random_plan(&scene, number);
        scene_open(&scene);
        for (unsigned known = 0; known < LEDGERS; known++) {
            fill(&scene, known, known == 1 ? (unsigned)dice(LEDGERS) : known % 3);
            for (unsigned i = 0; i < WALKS; i++)
                sent += follow(&scene, random_walk(&scene));
        }
        scene_release(&scene);
    }
    assert_true(sent > PROGRAMS * WALKS * PACKETS);
}

/* ---- whole ones ---- */

/* A scan of a small plan, one shard after the other: each index once, and none that is known. */
static void every_index_once(const char *first, const char *last, uint16_t ports, uint64_t shards)
{
    struct scene scene = {0};
    const struct address source = scene_address(strchr(first, ':') ? "fd00::1" : "198.18.0.1");
    const struct key key = {{1, 2}}, pass_key = {{3, 4}};
    scene_add(&scene, first, last);
    scene_add_ports(&scene, 100, (uint16_t)(99 + ports));
    scene_plan(&scene, &prober_tcp_syn, &source, 2);
    scene_open(&scene);
    unsigned char *asked = calloc(scene.plan.count, 1);
    assert_non_null(asked);
    fill(&scene, 1, 0);
    for (uint64_t shard = 0; shard < shards; shard++) {
        const uint64_t positions = (scene.plan.count - shard + shards - 1) / shards;
        struct walk walk = {
            .shard = shard, .shards = shards, .end = positions, .packets = UINT32_MAX};
        order_init(&walk.scan, scene.plan.count, &key);
        order_init(&walk.pass, positions, &pass_key);
        while (walk.position < walk.end)
            if (step(&scene, &walk))
                asked[walk_index(&walk, walk.position - 1, order_at)]++;
    }
    for (uint64_t index = 0; index < scene.plan.count; index++)
        assert_int_equal(asked[index], is_asked(&scene, index));
    free(asked);
    scene_release(&scene);
}

static void whole_passes_ask_each_index_once(void **state)
{
    NEED_RIGHTS;
    every_index_once("198.18.0.1", "198.18.0.1", 1, 1);
    every_index_once("198.18.0.1", "198.18.0.3", 1, 1);
    every_index_once("198.18.0.1", "198.18.3.255", 3, 3);
    every_index_once("fd00::ffff:ffff:ffff:fff0", "fd00::1:0:0:0:10", 65, 1);
    every_index_once("fd00::1", "fd00::1", 2000, 7);
}

static void nothing_is_sent_when_nothing_may(void **state)
{
    NEED_RIGHTS;
    struct scene scene = {0};
    const struct address source = scene_address("198.18.0.1");
    const struct key key = {{1, 2}};
    unsigned char frame[XDP_FRAME_SIZE];
    uint32_t length = 1;
    scene_add(&scene, "198.18.0.0", "198.18.0.255");
    scene_add_ports(&scene, 80, 80);
    scene_plan(&scene, &prober_tcp_syn, &source, 2);
    scene_open(&scene);
    struct walk walk = {.end = 256};
    order_init(&walk.scan, 256, &key);
    assert_int_equal(xdp_program_peek(&scene.program, &walk, next_hop, frame, &length), 0);
    assert_int_equal(length, 0);
    assert_int_equal(walk.position, 0);
    walk.packets = 1;
    assert_true(step(&scene, &walk));
    assert_int_equal(walk.packets, 0);
    scene_release(&scene);
}

/* ---- limits ---- */

static void add_single_addresses(struct scene *scene, uint64_t count)
{
    assert_int_equal(address_set_reserve(&scene->targets, count), 0);
    for (uint64_t i = 0; i < count; i++)
        add_range(scene, ADDRESS_IPV6, ((uint128_t)(0xfd00 + i % 7) << 112) + i * 2, 0);
    scene_add_ports(scene, 80, 80);
}

static void as_many_ranges_as_there_may_be(void **state)
{
    NEED_RIGHTS;
    struct scene scene = {0};
    const struct address source = scene_address("fd00::1");
    add_single_addresses(&scene, RANGES_MOST);
    scene_plan(&scene, &prober_tcp_syn, &source, 2);
    assert_int_equal(scene.targets.count, RANGES_MOST);
    scene_open(&scene);
    for (unsigned i = 0; i < 50; i++)
        assert_true(follow(&scene, random_walk(&scene)) <= PACKETS);
    scene_release(&scene);
}

static void assert_refused(struct scene *scene, const char *source_text, int code,
                           const char *message)
{
    const struct address source = scene_address(source_text);
    struct error error = {0};
    scene_plan(scene, &prober_tcp_syn, &source, 2);
    assert_int_equal(xdp_program_open(&scene->options, &scene->program, &error), -code);
    assert_int_equal(error.code, code);
    assert_non_null(strstr(error.message, message));
    assert_null(scene->program.skeleton);
    scene_release(scene);
}

static void larger_plans_are_refused(void **state)
{
    NEED_RIGHTS;
    struct scene scene = {0};
    add_single_addresses(&scene, RANGES_MOST + 1);
    assert_refused(&scene, "fd00::1", EFBIG, "too large");
    scene_add(&scene, "fd00::", "fd00::3f:ffff:ffff"); /* 2^38 */
    scene_add_ports(&scene, 80, 80);
    assert_refused(&scene, "fd00::1", EFBIG, "too large");
    scene_add(&scene, "fd00::", "fd00::1fff:ffff:ffff:ffff"); /* 2^61 */
    scene_add_ports(&scene, 80, 80);
    assert_refused(&scene, "fd00::1", EFBIG, "too large");
}

static void it_says_which_rights_it_lacks(void **state)
{
    NEED_RIGHTS;
    struct scene scene = {0};
    int status;
    scene_add(&scene, "198.18.0.0", "198.18.0.255");
    scene_add_ports(&scene, 80, 80);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct address source = scene_address("198.18.0.1");
        struct error error = {0};
        scene_plan(&scene, &prober_tcp_syn, &source, 2);
        const int failed =
            setuid(65534) ? 0 : xdp_program_open(&scene.options, &scene.program, &error);
        _exit(failed == -EPERM && error.code == EPERM && strstr(error.message, "CAP_BPF") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    scene_release(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walks_are_those_in_c),
        cmocka_unit_test(whole_passes_ask_each_index_once),
        cmocka_unit_test(nothing_is_sent_when_nothing_may),
        cmocka_unit_test(as_many_ranges_as_there_may_be),
        cmocka_unit_test(larger_plans_are_refused),
        cmocka_unit_test(it_says_which_rights_it_lacks),
    };
    return cmocka_run_group_tests(tests, scene_setup, NULL);
}
