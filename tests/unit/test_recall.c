/* The recall estimate: by hand, and against thousands of simulated scans of which the truth is
 * known. */
#include "scan/recall.h"

#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PASSES_MAXIMUM 8

static void nothing_silent_is_all(void **state)
{
    (void)state;
    const struct recall one = recall_estimate((const uint64_t[]){10}, 1, 0);
    assert_true(one.known && one.estimate >= 1 && one.low >= 1);
    const struct recall two = recall_estimate((const uint64_t[]){10, 5}, 2, 0);
    assert_true(two.known && two.estimate >= 1 && two.low >= 1);
}

static void without_evidence_nothing_is_known(void **state)
{
    (void)state;
    const uint64_t none[PASSES_MAXIMUM] = {0};
    assert_false(recall_estimate(none, 0, 7).known); /* not one pass was finished */
    assert_false(recall_estimate((const uint64_t[]){10}, 1, 7).known);
    for (unsigned passes = 1; passes <= PASSES_MAXIMUM; passes++)
        assert_false(recall_estimate(none, passes, 7).known);
    /* Answers that only the last pass brought tell nothing about what is lost. */
    assert_false(recall_estimate((const uint64_t[]){0, 0, 4}, 3, 7).known);
    assert_false(recall_estimate(none, 3, 0).known);
}

static void assert_near(double value, double expected, double distance)
{
    if (!(fabs(value - expected) <= distance))
        fail_msg("%.9g is not %.9g", value, expected);
}

/* A tenth was lost each time, so that a hundredth, then a thousandth of all is left. */
static void each_pass_finds_its_share(void **state)
{
    (void)state;
    const uint64_t answers[] = {90000, 9000, 900};
    const struct recall two = recall_estimate(answers, 2, 50000);
    const struct recall three = recall_estimate(answers, 3, 50000);
    assert_true(two.known && three.known);
    assert_near(two.estimate, 0.99, 0.0001);
    assert_near(three.estimate, 0.999, 0.0001);
    assert_in_range((uint64_t)(two.low * 1e6), 988000, 990000);
    assert_in_range((uint64_t)(three.low * 1e6), 998500, 999000);
}

/* No loss seen is not no loss, and more answers make it surer. */
static void certainty_grows_with_evidence(void **state)
{
    (void)state;
    double last = 0;
    for (uint64_t heard = 1; heard <= 1000000; heard *= 10) {
        const struct recall recall = recall_estimate((const uint64_t[]){heard, 0}, 2, 1000000);
        assert_true(recall.known && recall.estimate < 1);
        assert_true(recall.low <= recall.estimate && recall.estimate > last);
        last = recall.estimate;
    }
    assert_true(last > 0.999999);
}

/* Where fewer are silent, fewer can be missing. */
static void what_is_silent_bounds_what_is_missing(void **state)
{
    (void)state;
    const uint64_t answers[] = {30, 20};
    const double wide = recall_estimate(answers, 2, 1000000).low;
    const double narrow = recall_estimate(answers, 2, 5).low;
    assert_true(narrow > wide);
    assert_true(narrow >= 50.0 / 55.0);
}

/* Passes that find more and more: a host that wakes up, say. */
static void growing_answers_promise_nothing(void **state)
{
    (void)state;
    const struct recall recall = recall_estimate((const uint64_t[]){1, 10, 100}, 3, 100000);
    assert_true(recall.known);
    assert_true(recall.low >= 0 && recall.low <= recall.estimate && recall.estimate < 0.2);
}

static void the_largest_numbers_are_no_trouble(void **state)
{
    (void)state;
    static const uint64_t heard[] = {1, 1000, 1000000000, UINT64_C(1) << 60};
    for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
        for (uint64_t late = 0; late <= heard[i] / 2; late += heard[i] / 4 + 1) {
            const uint64_t answers[] = {heard[i], late};
            const struct recall recall = recall_estimate(answers, 2, INT64_MAX);
            assert_true(recall.known && recall.estimate <= 1 && recall.estimate >= 0);
            assert_true(recall.low <= recall.estimate && recall.low >= 0);
        }
}

/* ---- simulated scans ---- */

static uint64_t draws;

static double chance(void)
{
    return (double)(mix64(draws++) >> 11) * 0x1p-53;
}

/* The ports that answer lose each attempt with chance `loss`; three hundred others never answer.
 * The scan makes `passes` passes. */
struct world {
    unsigned ports, passes;
    double loss, wanted;
};

#define DEAD 300
#define SCANS 2000

static unsigned scan_once(const struct world *world, struct recall *ret_recall)
{
    uint64_t answers[PASSES_MAXIMUM] = {0};
    unsigned missing = world->ports;
    for (unsigned pass = 0; pass < world->passes; pass++) {
        for (unsigned left = missing; left > 0; left--)
            if (chance() >= world->loss) {
                answers[pass]++;
                missing--;
            }
        *ret_recall = recall_estimate(answers, pass + 1, missing + DEAD);
    }
    return world->ports - missing;
}

static void assert_honest(const struct world *world)
{
    unsigned covered = 0, known = 0;
    double truth = 0, estimate = 0, squares = 0;
    for (unsigned i = 0; i < SCANS; i++) {
        struct recall recall = {0};
        const double heard = (double)scan_once(world, &recall) / world->ports;
        if (!recall.known)
            continue;
        const double difference = recall.estimate - heard;
        known++;
        covered += heard >= recall.low;
        truth += heard;
        estimate += recall.estimate;
        squares += difference * difference;
    }
    /* Almost never without an estimate, and the bound holds in 95 of 100 scans. */
    assert_in_range(known, SCANS * 98 / 100, SCANS);
    if (covered < known * 0.945)
        fail_msg("loss %g, %u ports, %u passes: the bound holds in %u of %u", world->loss,
                 world->ports, world->passes, covered, known);
    /* On average it is right, or errs by a little on the side of promising less. */
    const double bias = (estimate - truth) / known, error = sqrt(squares) / known;
    if (bias > 4 * error + 1e-6 || bias < -(1 - truth / known) - 2.0 / world->ports)
        fail_msg("loss %g, %u ports, %u passes: %g, in truth %g", world->loss, world->ports,
                 world->passes, estimate / known, truth / known);
}

static void the_bound_holds_after_any_number_of_passes(void **state)
{
    (void)state;
    static const double losses[] = {0.001, 0.01, 0.05, 0.2, 0.3, 0.5};
    static const unsigned ports[] = {20, 500};
    static const unsigned passes[] = {2, 4};
    draws = 1;
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 2; j++)
            for (size_t k = 0; k < 2; k++) {
                const struct world world = {
                    .ports = ports[j], .passes = passes[k], .loss = losses[i]};
                assert_honest(&world);
            }
}

/* ---- scans that end by themselves, as the loop lets them ---- */

#define UNANSWERED 3 /* passes without an estimate */

/* Like scan_once(), with `dead` ports that never answer, until the loop is satisfied. */
static bool scan_to_its_end(const struct world *world, unsigned dead, struct recall *ret_recall,
                            double *ret_truth)
{
    uint64_t answers[PASSES_MAXIMUM] = {0};
    unsigned missing = world->ports;
    for (unsigned pass = 1; pass <= PASSES_MAXIMUM; pass++) {
        for (unsigned left = missing; left > 0; left--)
            if (chance() >= world->loss) {
                answers[pass - 1]++;
                missing--;
            }
        *ret_recall = recall_estimate(answers, pass, missing + dead);
        if (missing + dead == 0 ||
            (ret_recall->known ? recall_suffices(ret_recall, answers, pass, world->wanted)
                               : pass >= UNANSWERED))
            break;
    }
    const double heard = world->ports - missing;
    *ret_truth = heard / (heard + missing);
    return ret_recall->known;
}

/* That a scan ends when it likes its estimate must not make the bound a lie: it holds in 19 of 20,
 * be there hosts whose every port answers or firewalls before most of them. */
static void the_bound_holds_when_the_scan_ends_by_itself(void **state)
{
    (void)state;
    static const double losses[] = {0.001, 0.05, 0.3, 0.5}, wanted[] = {0.9, 0.999};
    static const unsigned ports[] = {5, 100, 1000}, dead[] = {0, 10, 60000};
    draws = 1000000000;
    for (unsigned i = 0; i < 4 * 2 * 3 * 3; i++) {
        const struct world world = {
            .loss = losses[i % 4], .wanted = wanted[i / 4 % 2], .ports = ports[i / 8 % 3]};
        const unsigned scans = world.ports > 500 ? 200 : 500;
        unsigned known = 0, covered = 0;
        for (unsigned scan = 0; scan < scans; scan++) {
            struct recall recall;
            double truth;
            if (!scan_to_its_end(&world, dead[i / 24], &recall, &truth))
                continue;
            known++;
            covered += truth >= recall.low;
        }
        if (covered < 0.95 * known)
            fail_msg("loss %g, %g wanted, %u ports, %u dead: the bound holds in %u of %u",
                     world.loss, world.wanted, world.ports, dead[i / 24], covered, known);
    }
}

/* One port in five is behind a path that loses much more: the first pass knows nothing of it, and
 * the later ones must not be judged by it. */
static void ports_that_lose_more_are_what_is_missing(void **state)
{
    (void)state;
    unsigned covered = 0;
    double passes = 0, truth = 0;
    draws = 5;
    for (unsigned scan = 0; scan < 100; scan++) {
        uint64_t answers[PASSES_MAXIMUM] = {0};
        unsigned near = 8000, far = 2000, pass = 0;
        struct recall recall = {0};
        while (pass < PASSES_MAXIMUM &&
               !(recall.known && recall_suffices(&recall, answers, pass, 0.999))) {
            for (unsigned left = near; left > 0; left--)
                if (chance() >= 0.001) {
                    answers[pass]++;
                    near--;
                }
            for (unsigned left = far; left > 0; left--)
                if (chance() >= 0.3) {
                    answers[pass]++;
                    far--;
                }
            recall = recall_estimate(answers, ++pass, near + far + DEAD);
        }
        const double heard = 1 - (near + far) / 10000.0;
        covered += heard >= recall.low;
        truth += heard / 100;
        passes += pass / 100.0;
    }
    assert_in_range(covered, 90, 100);
    assert_true(truth >= 0.999);
    assert_true(passes < 6);
}

/* What is missing is reckoned from those passes, and how much it is of all that was heard. */
static void passes_that_say_nothing_are_left_out(void **state)
{
    (void)state;
    const uint64_t answers[] = {100000, 1000, 500, 250};
    const struct recall recall = recall_estimate(answers, 4, 50000);
    assert_near(recall.estimate, 1 - 250.0 / 102000, 0.0001);
    assert_true(recall.low < recall.estimate && recall.low > 0.99);
}

/* Enough is an estimate and a bound that say so, or less than a port between them. */
static void what_is_enough(void **state)
{
    (void)state;
    static const uint64_t many[] = {90000, 9000}, few[] = {10, 0};
    const struct recall sure = {.known = true, .estimate = 0.995, .low = 0.991};
    assert_true(recall_suffices(&sure, many, 2, 0.99));
    assert_false(recall_suffices(&sure, many, 2, 0.993)); /* the bound says no */
    assert_false(recall_suffices(&sure, many, 2, 0.999));
    const struct recall unsure = {.known = true, .estimate = 0.9999, .low = 0.92};
    assert_false(recall_suffices(&unsure, many, 2, 0.99));
    assert_true(recall_suffices(&unsure, few, 2, 0.99)); /* 10 of 10.9 */
    assert_false(recall_suffices(&unsure, few, 2, 1));
    const struct recall all = {.known = true, .estimate = 1, .low = 1};
    assert_true(recall_suffices(&all, few, 2, 1));
    assert_true(recall_suffices(&unsure, few, 2, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_silent_is_all),
        cmocka_unit_test(without_evidence_nothing_is_known),
        cmocka_unit_test(each_pass_finds_its_share),
        cmocka_unit_test(certainty_grows_with_evidence),
        cmocka_unit_test(what_is_silent_bounds_what_is_missing),
        cmocka_unit_test(growing_answers_promise_nothing),
        cmocka_unit_test(the_largest_numbers_are_no_trouble),
        cmocka_unit_test(the_bound_holds_after_any_number_of_passes),
        cmocka_unit_test(the_bound_holds_when_the_scan_ends_by_itself),
        cmocka_unit_test(ports_that_lose_more_are_what_is_missing),
        cmocka_unit_test(passes_that_say_nothing_are_left_out),
        cmocka_unit_test(what_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
