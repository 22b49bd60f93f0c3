/* Names looked up aside: by threads, which may outlive the question. Only names that the machine's
 * own files answer are asked. */
#include "net/resolve_aside.h"

#include "talk_scene.h"

#define MANY 24

struct question {
    struct loop *loop;
    struct resolve_aside *aside;
    unsigned calls;
    size_t count;
    struct address first;
    struct error error;
    struct question *victim; /* is cancelled by the answer */
};

static void answered(void *user, const struct address *addresses, size_t count,
                     const struct error *error)
{
    struct question *question = user;
    question->aside = NULL;
    question->calls++;
    question->count = count;
    assert_int_equal(count == 0, error != NULL);
    if (count)
        question->first = addresses[0];
    else
        question->error = *error;
    if (question->victim) {
        resolve_aside_cancel(question->victim->aside);
        question->victim->aside = NULL;
    }
}

static void ask(struct question *question, const char *name, enum address_family family)
{
    assert_int_equal(
        resolve_aside(question->loop, name, family, answered, question, &question->aside), 0);
}

/* Threads that nobody waits for still have their eventfd for a moment. */
static void expect_descriptors(size_t expected)
{
    for (unsigned i = 0; i < 5000 && open_descriptors() != expected; i++)
        poll(NULL, 0, 1);
    assert_int_equal(open_descriptors(), expected);
}

static void answers_come_from_the_loop(void **state)
{
    size_t before = open_descriptors();
    struct question questions[3] = {{0}};
    struct loop *loop;
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    for (int i = 0; i < 3; i++)
        questions[i].loop = loop;
    ask(&questions[0], "localhost", ADDRESS_IPV4);
    ask(&questions[1], "::1", ADDRESS_NONE);
    ask(&questions[2], "127.0.0.1", ADDRESS_IPV6); /* no address of this family: nobody is asked */
    assert_int_equal(questions[0].calls + questions[1].calls + questions[2].calls, 0);
    assert_int_equal(loop_run(loop), 0); /* until all of them are answered */
    assert_true(questions[0].count >= 1);
    assert_true(address_is_loopback(&questions[0].first));
    assert_int_equal(questions[0].first.family, ADDRESS_IPV4);
    assert_int_equal(questions[1].count, 1);
    assert_int_equal(questions[2].count, 0);
    assert_int_equal(questions[2].error.code, ENOENT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(questions[i].calls, 1);
    loop_free(loop);
    expect_descriptors(before);
}

static void cancelled_questions_are_not_answered(void **state)
{
    size_t before = open_descriptors();
    struct question questions[MANY] = {{0}};
    struct loop *loop;
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    for (unsigned i = 0; i < MANY; i++) {
        questions[i].loop = loop;
        ask(&questions[i], i % 2 ? "localhost" : "127.0.0.1", ADDRESS_IPV4);
        if (i % 3 == 0) {
            resolve_aside_cancel(questions[i].aside); /* while its thread begins */
            questions[i].aside = NULL;
        }
    }
    poll(NULL, 0, 20); /* some have their answer, which the loop has not told yet */
    for (unsigned i = 1; i < MANY; i += 3) {
        resolve_aside_cancel(questions[i].aside);
        questions[i].aside = NULL;
    }
    assert_int_equal(loop_run(loop), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(questions[i].calls, i % 3 == 2);
    resolve_aside_cancel(NULL);
    loop_free(loop);
    expect_descriptors(before);
}

/* Each answer takes another question back, whose answer may be in the same batch. */
static void answers_cancel_questions(void **state)
{
    size_t before = open_descriptors();
    struct question questions[MANY] = {{0}};
    struct loop *loop;
    unsigned calls = 0;
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    for (unsigned i = 0; i < MANY; i++) {
        questions[i].loop = loop;
        questions[i].victim = &questions[i ^ 1];
        ask(&questions[i], "127.0.0.1", ADDRESS_NONE);
    }
    poll(NULL, 0, 20);
    assert_int_equal(loop_run(loop), 0);
    for (unsigned i = 0; i < MANY; i++)
        calls += questions[i].calls;
    assert_int_equal(calls, MANY / 2); /* one of each two */
    loop_free(loop);
    expect_descriptors(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_from_the_loop),
        cmocka_unit_test(cancelled_questions_are_not_answered),
        cmocka_unit_test(answers_cancel_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
