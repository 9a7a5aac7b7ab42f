/* diffusion/batch: threads that change places take everything of theirs along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/batch_internal.h"

enum { T = 6, S = 2, D = T + 1, N_DRAWS = 3000 };

/* Threads 0, 2, 4 on socket 0 and 1, 3, 5 on socket 1; every number says whose it is. */
typedef struct made {
    mim_model *model;
    mim_schedule *schedule;
    mim_batch *batch;
    float metric[D], action[T * S], previous[T * S];
    uint8_t mask[D], has_previous;
    mim_examples examples;
} made;

static void make(const size_t *socket, size_t n_sockets, made *m)
{
    static const char *const names[D] = {"avg_cpu_utilizations_core_00",
                                         "avg_cpu_utilizations_core_01",
                                         "avg_cpu_utilizations_core_02",
                                         "avg_cpu_utilizations_core_03",
                                         "avg_cpu_utilizations_core_04",
                                         "avg_cpu_utilizations_core_05",
                                         "io_read"};
    static const char *const actions[S] = {"a", "b"};
    static const double minimum[D] = {0}, maximum[D] = {100, 100, 100, 100, 100, 100, 100};
    const mim_domain_parts parts = {.n_metrics = D,
                                    .n_threads = T,
                                    .n_stressors = S,
                                    .n_sockets = n_sockets,
                                    .metrics = names,
                                    .actions = actions,
                                    .minimum = minimum,
                                    .maximum = maximum,
                                    .socket = socket};
    const mim_architecture size = {.width = 8, .n_blocks = 1, .n_heads = 2, .mlp_ratio = 1};
    const mim_process process = {MIM_SCHEDULE_COSINE, 10, MIM_PREDICT_X0, MIM_OUTPUT_FREE};
    mim_domain *domain = NULL;
    memset(m, 0, sizeof *m);
    assert_int_equal(mim_domain_create(&parts, &domain), MIM_OK);
    assert_int_equal(mim_model_create(&domain, &size, &process, 5, &m->model), MIM_OK);
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 10, &m->schedule), MIM_OK);
    assert_int_equal(mim_batch_create(m->model->domain, 3, &m->batch), MIM_OK);
    for (size_t t = 0; t < T; t++) {
        m->metric[t] = (float)(10 * t);
        m->mask[t] = t != 3; /* nobody knows thread 3's */
        for (size_t s = 0; s < S; s++) {
            m->action[t * S + s] = (float)(10 * t + s) / 100;
            m->previous[t * S + s] = (float)(10 * t + s + 5) / 100;
        }
    }
    m->metric[T] = 70;
    m->mask[T] = 1;
    m->has_previous = 1;
    m->examples = (mim_examples){.n = 1,
                                 .metric = m->metric,
                                 .mask = m->mask,
                                 .action = m->action,
                                 .previous = m->previous,
                                 .has_previous = &m->has_previous};
}

static void clear(made *m)
{
    mim_batch_destroy(&m->batch);
    mim_schedule_destroy(&m->schedule);
    mim_model_destroy(&m->model);
}

static const size_t two_sockets[T] = {0, 1, 0, 1, 0, 1};

static size_t owner(float x0) { return (size_t)(5 * (x0 + 1) + 0.05f); }

/* Which thread's things stand where; everything at one place is one thread's. */
static void find_sources(const made *m, size_t slot, size_t source[T])
{
    const mim_batch *b = m->batch;
    bool seen[T] = {false};
    for (size_t t = 0; t < T; t++) {
        const float *x0 = b->x0 + (slot * T + t) * S, *before = b->previous + (slot * T + t) * S;
        const size_t from = source[t] = owner(x0[0]);
        assert_true(from < T && !seen[from]);
        seen[from] = true;
        for (size_t s = 0; s < S; s++) {
            assert_true(x0[s] == 2 * m->action[from * S + s] - 1);
            assert_true(before[s] == 2 * m->previous[from * S + s] - 1);
        }
        assert_true(b->cpu_mask[slot * T + t] == (from != 3 ? 1 : 0));
        assert_true(fabs((double)b->cpu[slot * T + t] -
                         (from != 3 ? 2 * (double)m->metric[from] / 100 - 1 : 0)) < 1e-6);
    }
    assert_true(fabs((double)b->node[slot] - 0.4) < 1e-6);
}

static void put(made *m, const mim_train_options *o, uint64_t step, uint32_t number, size_t slot)
{
    const mim_batch_place p = {.step = step, .number = number, .slot = slot, .t = 4};
    mim_batch_put(m->batch, m->model, m->schedule, o, &m->examples, 0, &p);
}

/* Within sockets: every order of three about as often (5 deviations), never across. */
static void test_within_sockets(void **state)
{
    (void)state;
    const mim_train_options o = {.permutes_threads = true};
    size_t n_orders[T][T] = {{0}}, source[T], again[T];
    made m;
    make(two_sockets, 2, &m);
    for (uint64_t i = 0; i < N_DRAWS; i++) {
        put(&m, &o, i / 7, (uint32_t)(i % 7), 1);
        find_sources(&m, 1, source);
        for (size_t t = 0; t < T; t++) {
            assert_int_equal(two_sockets[source[t]], two_sockets[t]);
            n_orders[t][source[t]]++;
        }
        put(&m, &o, i / 7, (uint32_t)(i % 7), 2); /* the same wherever it stands */
        find_sources(&m, 2, again);
        assert_memory_equal(source, again, sizeof source);
    }
    for (size_t t = 0; t < T; t++)
        for (size_t k = 0; k < T; k++)
            if (two_sockets[t] == two_sockets[k])
                assert_true(fabs((double)n_orders[t][k] - N_DRAWS / 3.0) <
                            5 * sqrt(N_DRAWS * 2 / 9.0));
    clear(&m);
}

/* Sockets: in the share of examples that is asked for, as wholes; with both the two mix. */
static void test_sockets(void **state)
{
    (void)state;
    for (int mixes = 0; mixes < 2; mixes++) {
        const mim_train_options o = {.swap_sockets = 0.3, .permutes_threads = mixes == 1};
        size_t n_swapped = 0, n_ordered = 0, source[T];
        made m;
        make(two_sockets, 2, &m);
        for (uint64_t i = 0; i < N_DRAWS; i++) {
            put(&m, &o, i, 0, 0);
            find_sources(&m, 0, source);
            const bool is_swapped = two_sockets[source[0]] == 1;
            bool is_ordered = true;
            for (size_t t = 0; t < T; t++) {
                assert_int_equal(two_sockets[source[t]] == two_sockets[t], !is_swapped);
                is_ordered = is_ordered && source[t] == (is_swapped ? t ^ 1 : t);
            }
            n_swapped += is_swapped;
            n_ordered += is_ordered;
        }
        assert_true(fabs((double)n_swapped - 0.3 * N_DRAWS) < 5 * sqrt(0.21 * N_DRAWS));
        if (mixes)
            assert_true(n_ordered < N_DRAWS / 18); /* 1 of 36 */
        else
            assert_int_equal(n_ordered, N_DRAWS);
        clear(&m);
    }
}

/* Three sockets: none stays where it is. */
static void test_three_sockets(void **state)
{
    (void)state;
    static const size_t socket[T] = {0, 0, 1, 1, 2, 2}, uneven[T] = {0, 0, 0, 1, 1, 1};
    static const size_t odd[T] = {0, 1, 1, 1, 1, 1}, one[T] = {0};
    const mim_train_options o = {.swap_sockets = 1};
    size_t source[T], n_forward = 0;
    made m;
    make(socket, 3, &m);
    assert_true(mim_batch_can_swap_sockets(m.batch));
    for (uint64_t i = 0; i < N_DRAWS; i++) {
        put(&m, &o, i, 0, 0);
        find_sources(&m, 0, source);
        for (size_t t = 0; t < T; t++)
            assert_true(socket[source[t]] != socket[t] && source[t] % 2 == t % 2);
        n_forward += source[0] == 2;
    }
    assert_true(n_forward > N_DRAWS / 3 && n_forward < 2 * N_DRAWS / 3);
    clear(&m);
    make(uneven, 2, &m);
    assert_true(mim_batch_can_swap_sockets(m.batch));
    clear(&m);
    make(odd, 2, &m);
    assert_false(mim_batch_can_swap_sockets(m.batch));
    clear(&m);
    make(one, 1, &m);
    assert_false(mim_batch_can_swap_sockets(m.batch));
    clear(&m);
}

/* Without, and in validation, threads stay; noise does not depend on it. */
static void test_stay(void **state)
{
    (void)state;
    const mim_train_options none = {0}, o = {.permutes_threads = true, .swap_sockets = 1};
    size_t source[T];
    made m;
    float eps[T * S];
    make(two_sockets, 2, &m);
    for (int k = 0; k < 2; k++) {
        put(&m, k ? &none : NULL, 3, 1, 0);
        find_sources(&m, 0, source);
        for (size_t t = 0; t < T; t++)
            assert_int_equal(source[t], t);
        memcpy(eps, m.batch->eps, sizeof eps);
    }
    put(&m, &o, 3, 1, 0);
    assert_memory_equal(eps, m.batch->eps, sizeof eps);
    for (size_t i = 0; i < T * S; i++) /* what is noised is what was moved */
        assert_true(fabs((double)m.batch->noisy[i] -
                         (m.schedule->sqrt_alpha_hat[4] * (double)m.batch->x0[i] +
                          m.schedule->sqrt_one_minus_alpha_hat[4] * (double)eps[i])) < 1e-6);
    clear(&m);
}

/* What is hidden: in about the share of examples that is asked for. */
static void test_hiding(void **state)
{
    (void)state;
    const mim_train_options o = {.hide_all = 0.2, .hide_metric = 0.3, .hide_previous = 0.4};
    size_t n_all = 0, n_metric = 0, n_previous = 0;
    made m;
    make(two_sockets, 2, &m);
    for (uint64_t i = 0; i < N_DRAWS; i++) {
        put(&m, &o, i, 0, 0);
        n_all += m.batch->is_conditional[0] == 0;
        n_metric += m.batch->cpu_mask[1] == 0;
        n_previous += m.batch->has_previous[0] == 0;
        assert_true((m.batch->previous[0] == -1) == (m.batch->has_previous[0] == 0));
    }
    assert_true(fabs((double)n_all - 0.2 * N_DRAWS) < 5 * sqrt(0.16 * N_DRAWS));
    assert_true(fabs((double)n_metric - 0.3 * N_DRAWS) < 5 * sqrt(0.21 * N_DRAWS));
    assert_true(fabs((double)n_previous - 0.4 * N_DRAWS) < 5 * sqrt(0.24 * N_DRAWS));
    clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_within_sockets), cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_three_sockets),  cmocka_unit_test(test_stay),
        cmocka_unit_test(test_hiding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
