/* Programs of src/link/xdp.bpf.c in a network namespace of the test's own, with plans that the test
 * makes up. They need root, and are skipped without. */
#pragma once

#include "link/xdp_program.h"
#include "probe/technique.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LOOPBACK 1
#define FIRST_PORT 60000
#define TECHNIQUES (sizeof(techniques) / sizeof(*techniques))

extern const struct prober_class prober_tcp_syn, prober_tcp_ack, prober_tcp_fin, prober_tcp_null,
    prober_tcp_xmas, prober_tcp_window, prober_tcp_maimon;
static const struct prober_class *const techniques[] = {
    &prober_tcp_syn,  &prober_tcp_ack,    &prober_tcp_fin,   &prober_tcp_null,
    &prober_tcp_xmas, &prober_tcp_window, &prober_tcp_maimon};

struct scene {
    struct address_set targets;
    struct port_set ports;
    struct plan plan;
    struct route route;
    struct link_plan link;
    struct link_options options;
    struct xdp_program program;
};

/* Numbers that are the same in every run. */
static uint64_t dice_state = 1;

static inline uint64_t dice(uint64_t sides)
{
    const uint64_t value = mix64(dice_state += UINT64_C(0x9e3779b97f4a7c15));
    return sides ? value % sides : value;
}

static inline struct address scene_address(const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, strlen(text), &address, NULL), 0);
    return address;
}

static inline void scene_add(struct scene *scene, const char *first, const char *last)
{
    const struct address one = scene_address(first), other = scene_address(last);
    assert_int_equal(address_set_add(&scene->targets, &one, other.value), 0);
}

static inline void scene_add_ports(struct scene *scene, uint16_t first, uint16_t last)
{
    assert_int_equal(port_set_add(&scene->ports, PROTOCOL_TCP, first, last), 0);
}

/* The plan of the targets and ports that have been added, by a technique and from an address. */
static inline void scene_plan(struct scene *scene, const struct prober_class *class,
                              const struct address *source, uint32_t interface)
{
    const struct technique *technique = class->technique;
    const uint16_t mss = source->family == ADDRESS_IPV6 ? 1440 : 1460;
    assert_int_equal(address_set_seal(&scene->targets), 0);
    assert_int_equal(plan_init(&scene->plan, &scene->targets, &scene->ports, NULL), 0);
    scene->route = (struct route){
        .interface = {.index = interface, .hardware = {2, 0, 0, 0, 0, 0x5a}},
        .source = *source,
    };
    scene->link = (struct link_plan){
        .plan = &scene->plan,
        .route = &scene->route,
        .key = {{dice(0), dice(0)}},
        .probe = {.source = *source,
                  .window = (uint16_t)dice(65536),
                  .flags = technique->flags,
                  .ttl = (uint8_t)dice(256),
                  .mss = technique->option ? mss : 0},
        .tags = PROBE_TAGS,
        .pass_tags = PASS_TAGS,
        .acknowledges = technique->acknowledges,
    };
    scene->options = (struct link_options){
        .first_port = FIRST_PORT,
        .last_port = FIRST_PORT + PROBE_TAGS - 1,
        .plan = &scene->link,
    };
}

static inline void scene_open(struct scene *scene)
{
    struct error error = {0};
    if (xdp_program_open(&scene->options, &scene->program, &error) != 0)
        fail_msg("no program: %s", error.message);
}

static inline void scene_release(struct scene *scene)
{
    xdp_program_close(&scene->program);
    address_set_release(&scene->targets);
    port_set_release(&scene->ports);
    *scene = (struct scene){0};
}

static inline uint32_t scene_cookie(const struct scene *scene, const struct address *to,
                                    uint16_t source_port, uint16_t port)
{
    const struct address *source = &scene->route.source;
    if (source->family != ADDRESS_IPV6)
        return cookie_ipv4(&scene->link.key, (uint32_t)source->value, (uint32_t)to->value,
                           source_port, port);
    const uint64_t from[] = {(uint64_t)(source->value >> 64), (uint64_t)source->value};
    const uint64_t words[] = {(uint64_t)(to->value >> 64), (uint64_t)to->value};
    return cookie_ipv6(&scene->link.key, from, words, source_port, port);
}

/* Only lo is there from now on, with the same number as everywhere; no frame can leave. */
static int have_rights;

static inline int scene_setup(void **state)
{
    (void)state;
    have_rights = geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
    if (!have_rights)
        print_message("# not root: no programs in the kernel\n");
    return 0;
}

#define NEED_RIGHTS                                                                                \
    do {                                                                                           \
        (void)state;                                                                               \
        if (!have_rights)                                                                          \
            skip();                                                                                \
    } while (0)
