/* For tests of the executor: this machine, the default list, scratch, and a calibration whose rates
 * are chosen, not measured, so that what is due follows from it exactly. */
#ifndef TESTS_SUPPORT_EXECUTOR_FIXTURE_H
#define TESTS_SUPPORT_EXECUTOR_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/executor.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static const char simd[] =
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false";
static const char copy[] = "BM_LIBC_Memcpy_Fleet_L1";
static const char reads[] = "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms";
static const char writes[] = "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms";

typedef struct bench {
    mim_machine *machine;
    mim_actions *actions;
    mim_scratch *scratch;
    mim_calibration *calibration;
} bench;

static inline int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    const mim_scratch_options options = {.folder = "/var/tmp", .min_free_bytes = 1u << 20};
    assert_non_null(b);
    assert_int_equal(mim_machine_create(0, &b->machine), MIM_OK);
    assert_int_equal(mim_actions_builtin("20", &b->actions), MIM_OK);
    assert_int_equal(mim_scratch_create(&options, &b->scratch), MIM_OK);
    b->calibration = calloc(1, sizeof *b->calibration);
    b->calibration->costs = calloc(2, sizeof *b->calibration->costs);
    b->calibration->n_costs = 2;
    mim_cost *costs = b->calibration->costs;
    strcpy(costs[0].stressor, reads);
    costs[0].ops_per_s = 40.0;
    strcpy(costs[1].stressor, writes);
    costs[1].ops_per_s = 20.0;
    *state = b;
    return 0;
}

static inline int tear_down(void **state)
{
    bench *b = *state;
    mim_machine_destroy(&b->machine);
    mim_actions_destroy(&b->actions);
    mim_scratch_destroy(&b->scratch);
    mim_calibration_destroy(&b->calibration);
    free(b);
    return 0;
}

static inline mim_plan *make_plan(const bench *b, size_t n_windows, size_t n_threads)
{
    mim_plan *plan = NULL;
    assert_int_equal(mim_plan_create(n_windows, n_threads, b->actions, &plan), MIM_OK);
    return plan;
}

static inline void set(const bench *b, mim_plan *plan, size_t w, size_t t, const char *name,
                       double weight)
{
    mim_plan_row(plan, w, t)[mim_actions_find(b->actions, name)] = weight;
}

static const mim_execute_options quarter = {.slot_s = 0.25, .n_iters = 1, .seed = 1};

static inline size_t cell(const bench *b, const mim_run_result *r, size_t slot, size_t row,
                          const char *name)
{
    return (slot * r->n_rows + row) * r->n_stressors + mim_actions_find(b->actions, name);
}

#endif
