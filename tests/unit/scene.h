/* A made-up scan: targets and ports, and what a test decides that came of them. */
#pragma once

#include "scan/results.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct state_words scene_words = {.refused = STATE_CLOSED, .silence = STATE_FILTERED};

struct scene {
    struct address_set targets;
    struct port_set ports;
    struct state_words words; /* of what is asked; left alone, those of a connection attempt */
    uint64_t memory;          /* for the ledger */
    struct plan plan;
    struct ledger ledger;
    struct results *results;
};

static inline struct address ipv4(uint32_t value)
{
    return (struct address){.value = value, .family = ADDRESS_IPV4};
}

/* Before scene_init(); ports are added with port_set_add(). */
static inline void scene_add_targets(struct scene *scene, uint32_t first, uint32_t last)
{
    struct address address = ipv4(first);
    assert_int_equal(address_set_add(&scene->targets, &address, last), 0);
}

/* Nothing is known yet. */
static inline void scene_init(struct scene *scene)
{
    assert_int_equal(address_set_seal(&scene->targets), 0);
    assert_int_equal(plan_init(&scene->plan, &scene->targets, &scene->ports, NULL), 0);
    if (scene->words.refused == STATE_SILENT)
        scene->words = scene_words;
    assert_int_equal(ledger_init(&scene->ledger, scene->plan.count, scene->memory, &scene->words),
                     0);
    assert_int_equal(results_new(&scene->plan, &scene->ledger, &scene->results), 0);
}

static inline void scene_release(struct scene *scene)
{
    results_free(scene->results);
    ledger_release(&scene->ledger);
    port_set_release(&scene->ports);
    address_set_release(&scene->targets);
}

/* What the reason says to those who ask in the scene's way. */
static inline enum port_state scene_state(const struct scene *scene, enum reason reason)
{
    enum port_state state = reason_state(reason);
    if (reason == REASON_NO_RESPONSE)
        return scene->words.silence;
    return state == STATE_CLOSED ? scene->words.refused : state;
}

/* The record of a port about which something came, from `from` if not from the target. */
static inline struct port_record scene_answer(const struct scene *scene, uint64_t index,
                                              enum reason reason, struct address from)
{
    struct endpoint endpoint = plan_endpoint(&scene->plan, index);
    return (struct port_record){
        .index = index,
        .address = endpoint.address,
        .port = endpoint.port,
        .state = scene_state(scene, reason),
        .reason = reason,
        .from = from,
        .tries = 1,
    };
}

static inline struct error_record scene_failure(const struct scene *scene, uint64_t index, int code)
{
    struct endpoint endpoint = plan_endpoint(&scene->plan, index);
    return (struct error_record){
        .index = index, .address = endpoint.address, .port = endpoint.port, .code = code};
}
