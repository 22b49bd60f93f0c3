/* The closed loop against simulated paths: a bottleneck with a queue, loss that is always there,
 * machines that are slow. */
#include "scan/steer.h"

#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define EPOCH 0.05 /* seconds */

struct path {
    double capacity; /* packets a second; INFINITY: no bottleneck */
    double queue;    /* packets */
    double loss;     /* share of round trips, at any rate */
    double jitter;   /* seconds */
    double machine;  /* packets a second that this machine can send; INFINITY */
    uint32_t canaries;
    double waiting; /* packets in the queue */
    uint64_t dice;
    double dropped, sent;
};

static double chance(struct path *path)
{
    path->dice += UINT64_C(0x9e3779b97f4a7c15);
    return (double)(mix64(path->dice) >> 11) / 9007199254740992.0;
}

/* One epoch at the rate that the steer wants. */
static struct epoch pass_epoch(struct path *path, double rate)
{
    struct epoch epoch = {.rate = fmin(rate, path->machine), .asked = path->canaries};
    double packets = epoch.rate * EPOCH, dropped = 0;
    path->sent += packets;
    if (path->capacity < INFINITY) {
        path->waiting += packets - path->capacity * EPOCH;
        if (path->waiting < 0)
            path->waiting = 0;
        if (path->waiting > path->queue) {
            dropped = path->waiting - path->queue;
            path->waiting = path->queue;
        }
        epoch.delay = path->waiting / path->capacity;
    }
    epoch.delay += path->jitter * (0.8 + 0.4 * chance(path));
    path->dropped += dropped;
    double through = (1 - path->loss) * (1 - dropped / packets);
    for (uint32_t i = 0; i < epoch.asked; i++)
        epoch.heard += chance(path) < through;
    return epoch;
}

/* Runs the loop, whose verdicts come two epochs late, and returns the mean rate of the last half.
 */
static double settle(struct path *path, struct steer *steer, unsigned epochs)
{
    double sum = 0;
    unsigned skip = 0;
    for (unsigned i = 0; i < epochs; i++) {
        struct epoch epoch = pass_epoch(path, steer->rate);
        if (i >= epochs / 2)
            sum += epoch.rate;
        if (skip)
            skip--;
        else if (steer_judge(steer, &epoch))
            skip = 1;
    }
    return sum / (epochs - epochs / 2);
}

static void a_bottleneck_is_found(void **state)
{
    static const double capacities[] = {1000, 2000, 20000, 150000};
    static const double queues[] = {20, 100, 1000};
    static const double losses[] = {0, 0.02, 0.1};
    (void)state;
    for (unsigned c = 0; c < 4; c++)
        for (unsigned q = 0; q < 3 && queues[q] < capacities[c]; q++)
            for (unsigned l = 0; l < 3; l++)
                for (uint64_t seed = 1; seed <= 10; seed++) {
                    struct path path = {capacities[c], queues[q], losses[l], 0.001, INFINITY, 32, 0,
                                        seed * 77,     0,         0};
                    struct steer steer;
                    steer_init(&steer, 0, 0);
                    double rate = settle(&path, &steer, 1200);
                    if (rate < 0.8 * path.capacity || rate > 1.1 * path.capacity)
                        printf("# capacity %.0f queue %.0f loss %.2f seed %d: %.0f\n",
                               path.capacity, path.queue, path.loss, (int)seed, rate);
                    assert_true(rate > 0.8 * path.capacity);
                    assert_true(rate < 1.1 * path.capacity);
                }
}

static void loss_alone_does_not_slow_down(void **state)
{
    static const double losses[] = {0, 0.01, 0.1, 0.3};
    (void)state;
    for (unsigned l = 0; l < 4; l++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct path path = {INFINITY, 0, losses[l], 0.001, 400000, 32, 0, seed * 991, 0, 0};
            struct steer steer;
            steer_init(&steer, 0, 0);
            double rate = settle(&path, &steer, 600);
            if (rate < 0.7 * path.machine)
                printf("# loss %.2f seed %d: %.0f\n", path.loss, (int)seed, rate);
            assert_true(rate > 0.7 * path.machine);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bottleneck_is_found),
        cmocka_unit_test(loss_alone_does_not_slow_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
