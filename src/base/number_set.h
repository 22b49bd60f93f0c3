/* A set of 64-bit numbers: open addressing, which costs nothing while it is empty. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty. UINT64_MAX cannot be a member. */
struct number_set {
    uint64_t *slots; /* UINT64_MAX where free */
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    size_t limit; /* bytes that the slots may take, also while they are moved; 0: no bound */
};

void number_set_release(struct number_set *set);
int number_set_add(struct number_set *set, uint64_t number); /* 0, 1: was there, -ENOMEM */
bool number_set_has(const struct number_set *set, uint64_t number);
