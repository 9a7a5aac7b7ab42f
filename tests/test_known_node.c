/* node/known_node: a stored calibration is used when it fits, measured and kept when there is none,
 * and never replaced when it is somebody else's. */
#define _DEFAULT_SOURCE /* setenv */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/known_node.h"

static const char simd[] =
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false";
static const char copy[] = "BM_LIBC_Memcpy_Fleet_L1";
static const char bursts[] = "BM_DIRECTMEMSET_32MB_WeightScaled_50ms";

typedef struct bench {
    char folder[64], path[96];
    mim_machine *machine;
    mim_actions *actions; /* without I/O: nothing is written */
    mim_scratch *scratch;
    mim_calibrate_options options;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    static const char *const names[] = {simd, copy};
    const mim_scratch_options scratch = {.folder = "/var/tmp", .min_free_bytes = 1 << 20};
    assert_non_null(b);
    strcpy(b->folder, "/tmp/test_known_nodeXXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/new/calibration.json", b->folder);
    setenv("MIMESYS_CALIBRATION", b->path, 1);
    assert_int_equal(mim_machine_create(1, &b->machine), MIM_OK);
    assert_int_equal(mim_actions_from_names(2, names, &b->actions), MIM_OK);
    assert_int_equal(mim_scratch_create(&scratch, &b->scratch), MIM_OK);
    b->options = (mim_calibrate_options){.seconds_each = 0.05, .n_repeats = 3};
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    char folder[96];
    snprintf(folder, sizeof folder, "%s/new", b->folder);
    unlink(b->path);
    rmdir(folder);
    rmdir(b->folder);
    unsetenv("MIMESYS_CALIBRATION");
    mim_machine_destroy(&b->machine);
    mim_actions_destroy(&b->actions);
    mim_scratch_destroy(&b->scratch);
    free(b);
    return 0;
}

static mim_calibration *obtain(const bench *b, const char *path)
{
    mim_calibration *c = NULL;
    if (mim_calibration_obtain(b->machine, b->actions, b->scratch, &b->options, path, NULL, &c) !=
        MIM_OK)
        fail_msg("%s", mim_error());
    return c;
}

static void test_measured_once_and_kept(void **state)
{
    const bench *b = *state;
    mim_calibration *first = obtain(b, NULL), *second = obtain(b, NULL);
    assert_int_equal(first->n_costs, 2);
    assert_string_equal(first->machine_key, b->machine->key);
    assert_int_equal(access(b->path, R_OK), 0);
    assert_true(first->measured_real_s > 0);
    for (size_t i = 0; i < 2; i++) /* two measurements do not agree to that */
        assert_true(fabs(second->costs[i].op_s / first->costs[i].op_s - 1) < 1e-7);
    mim_calibration_destroy(&first);
    mim_calibration_destroy(&second);
}

static void test_of_another_machine_is_left_alone(void **state)
{
    const bench *b = *state;
    mim_calibration *other = obtain(b, NULL), *own = NULL, *kept = NULL;
    strcpy(other->machine_key, "0123456789abcdef");
    other->measured_real_s = 1000;
    assert_int_equal(mim_calibration_write(other, b->path), MIM_OK);
    own = obtain(b, NULL); /* measured anew */
    assert_string_equal(own->machine_key, b->machine->key);
    assert_true(own->measured_real_s > 1000);
    assert_int_equal(mim_calibration_read(b->path, &kept), MIM_OK);
    assert_string_equal(kept->machine_key, "0123456789abcdef");
    mim_calibration_destroy(&kept);
    kept = obtain(b, b->path); /* asked for by name: taken as it is */
    assert_true(kept->measured_real_s == 1000);
    mim_calibration_destroy(&kept);
    mim_calibration_destroy(&own);
    mim_calibration_destroy(&other);
    unlink(b->path);
}

/* Too old, on the same machine: measured anew, and the new one is kept. */
static void test_an_old_one_is_replaced(void **state)
{
    bench *b = *state;
    mim_calibration *old = obtain(b, NULL), *again = NULL, *kept = NULL;
    old->measured_real_s -= 40 * 86400.0;
    assert_int_equal(mim_calibration_write(old, b->path), MIM_OK);
    b->options.max_age_days = 50;
    again = obtain(b, NULL);
    assert_true(fabs(again->measured_real_s - old->measured_real_s) < 1);
    mim_calibration_destroy(&again);
    b->options.max_age_days = 30;
    again = obtain(b, NULL);
    assert_true(again->measured_real_s > old->measured_real_s + 39 * 86400.0);
    assert_int_equal(mim_calibration_read(b->path, &kept), MIM_OK);
    assert_true(fabs(kept->measured_real_s - again->measured_real_s) < 1);
    b->options.max_age_days = 0;
    mim_calibration_destroy(&kept);
    mim_calibration_destroy(&again);
    mim_calibration_destroy(&old);
}

/* Other sizes of buffers are another calibration: measured, and the stored one is left. */
static void test_other_sizes(void **state)
{
    const bench *b = *state;
    mim_calibration *first = obtain(b, NULL), *other = NULL, *kept = NULL;
    assert_string_equal(first->sizes, "original");
    mim_actions_node node = {.caches = mim_machine_caches(b->machine), .sizes_all = true};
    assert_int_equal(mim_actions_fit(b->actions, &node), MIM_OK);
    other = obtain(b, NULL);
    node.sizes_all = false;
    assert_int_equal(mim_actions_fit(b->actions, &node), MIM_OK);
    assert_string_equal(other->sizes, "node");
    assert_int_equal(mim_calibration_read(b->path, &kept), MIM_OK);
    assert_string_equal(kept->sizes, "original");
    mim_calibration_destroy(&kept);
    mim_calibration_destroy(&other);
    mim_calibration_destroy(&first);
}

static void test_named_files_must_do(void **state)
{
    const bench *b = *state;
    static const char *const names[] = {simd, bursts};
    mim_actions *paced = NULL;
    mim_calibration *c = obtain(b, NULL), *found = NULL;
    assert_int_equal(mim_actions_from_names(2, names, &paced), MIM_OK);
    assert_int_equal(
        mim_calibration_obtain(b->machine, paced, b->scratch, &b->options, b->path, NULL, &found),
        MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "lacks stressors"));
    assert_int_equal(mim_calibration_obtain(b->machine, paced, b->scratch, &b->options,
                                            "/nowhere/calibration.json", NULL, &found),
                     MIM_EIO);
    assert_null(found);
    /* the stored one lacks it, too: measured and added, the rest stays */
    assert_int_equal(
        mim_calibration_obtain(b->machine, paced, b->scratch, &b->options, NULL, NULL, &found),
        MIM_OK);
    assert_non_null(mim_calibration_cost(found, bursts));
    mim_calibration_destroy(&found);
    assert_int_equal(mim_calibration_read(b->path, &found), MIM_OK);
    assert_int_equal(found->n_costs, 3);
    assert_non_null(mim_calibration_cost(found, bursts));
    assert_true(fabs(mim_calibration_cost(found, copy)->op_s / mim_calibration_cost(c, copy)->op_s -
                     1) < 1e-7);
    mim_calibration_destroy(&found);
    mim_calibration_destroy(&c);
    mim_actions_destroy(&paced);
}

static void test_host_class(void **state)
{
    const bench *b = *state;
    mim_calibration direct = {.io_mode = "direct"}, buffered = {.io_mode = "buffered"};
    mim_machine larger = *b->machine;
    char *one = mim_host_class(b->machine, &direct), *same = mim_host_class(b->machine, &direct),
         *other_io = mim_host_class(b->machine, &buffered);
    larger.n_cpus++;
    char *other_size = mim_host_class(&larger, &direct);
    assert_string_equal(one, same);
    assert_string_not_equal(one, other_io);
    assert_string_not_equal(one, other_size);
    assert_non_null(strstr(one, b->machine->cpu_model));
    free(one);
    free(same);
    free(other_io);
    free(other_size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measured_once_and_kept),
        cmocka_unit_test(test_of_another_machine_is_left_alone),
        cmocka_unit_test(test_an_old_one_is_replaced),
        cmocka_unit_test(test_other_sizes),
        cmocka_unit_test(test_named_files_must_do),
        cmocka_unit_test(test_host_class),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
