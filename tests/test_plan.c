/* plan/plan and plan/plan_file: plan files of others and ours, what is refused, what a plan needs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/h5.h"
#include "plan/plan.h"

static char path[256];

static int make_path(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/mimesys-test-plan-XXXXXX", base ? base : "/tmp");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

/* As the original writes them: one dataset, no attributes. */
static void write_raw(const char *name, hid_t type, int rank, const hsize_t *shape,
                      const double *values)
{
    hsize_t n = 1;
    for (int d = 0; d < rank; d++)
        n *= shape[d];
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(rank, shape, NULL);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (n > 0)
        assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >=
                    0);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Fclose(file);
}

static mim_plan *new_plan(size_t n_windows, size_t n_threads)
{
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_plan_create(n_windows, n_threads, actions, &plan), MIM_OK);
    mim_actions_destroy(&actions);
    return plan;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void test_reads_the_originals_files(void **state)
{
    (void)state;
    static double values[2 * 3 * 20];
    hsize_t shape[3] = {2, 3, 20};
    values[20 * 3 + 4] = 0.1;   /* window 1, thread 0, stressor 4 */
    values[20 * 5 + 19] = 0.75; /* window 1, thread 2, stressor 19 */
    const hid_t types[] = {H5T_IEEE_F64LE, H5T_IEEE_F32LE, H5T_IEEE_F32BE};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        mim_plan *plan = NULL;
        write_raw("execution_plan", types[i], 3, shape, values);
        assert_int_equal(mim_plan_read(path, NULL, &plan), MIM_OK);
        assert_int_equal(mim_plan_n_windows(plan), 2);
        assert_int_equal(mim_plan_n_threads(plan), 3);
        assert_int_equal(mim_plan_n_stressors(plan), 20);
        assert_true(mim_plan_weights(plan, 1, 0)[4] == (i == 0 ? 0.1 : (double)0.1f));
        assert_true(mim_plan_weights(plan, 1, 2)[19] == 0.75);
        assert_true(mim_plan_weights(plan, 0, 2)[19] == 0);
        assert_int_equal(mim_plan_first_window(plan), 1);
        assert_true(mim_plan_slot_s(plan) == 0);
        assert_string_equal(mim_plan_origin(plan), "");
        mim_plan_destroy(&plan);
        assert_null(plan);
    }
}

static void test_list_is_the_files_or_the_fallback(void **state)
{
    (void)state;
    static const double values[13] = {0.5};
    hsize_t shape[3] = {1, 1, 13};
    mim_actions *older = NULL;
    mim_plan *plan = NULL;
    write_raw("execution_plan", H5T_IEEE_F32LE, 3, shape, values);
    assert_int_equal(mim_plan_read(path, NULL, &plan), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "13 stressors a thread, but the action list has 20"));
    assert_int_equal(mim_actions_builtin("13", &older), MIM_OK);
    assert_int_equal(mim_plan_read(path, older, &plan), MIM_OK);
    assert_int_equal(mim_actions_hash(mim_plan_actions(plan)), mim_actions_hash(older));
    mim_plan_destroy(&plan);
    /* a file that names its list does not need one */
    mim_plan *made = new_plan(1, 1);
    assert_int_equal(mim_plan_write(made, path), MIM_OK);
    assert_int_equal(mim_plan_read(path, older, &plan), MIM_OK);
    assert_int_equal(mim_plan_n_stressors(plan), 20);
    mim_plan_destroy(&made);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&older);
}

static void test_refuses_what_is_no_plan(void **state)
{
    (void)state;
    static double zeros[4 * 20];
    static const struct {
        const char *name;
        int rank;
        hsize_t shape[4];
        const char *says;
    } cases[] = {
        {"plan", 3, {1, 1, 20}, "no dataset execution_plan"},
        {"execution_plan", 2, {1, 20}, "has rank 2, expected 3"},
        {"execution_plan", 4, {1, 1, 1, 20}, "has rank 4, expected 3"},
        {"execution_plan", 3, {0, 1, 20}, "empty: 0 x 1 x 20"},
        {"execution_plan", 3, {1, 0, 20}, "empty: 1 x 0 x 20"},
        {"execution_plan", 3, {1, 1, 0}, "empty: 1 x 1 x 0"},
        {"execution_plan", 3, {1, 1, 21}, "21 stressors a thread"},
        {"execution_plan", 3, {1, 4, 1}, "1 stressors a thread"},
    };
    mim_plan *plan = NULL;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        write_raw(cases[c].name, H5T_IEEE_F32LE, cases[c].rank, cases[c].shape, zeros);
        assert_int_equal(mim_plan_read(path, NULL, &plan), MIM_EDATA);
        assert_non_null(strstr(mim_error(), cases[c].says));
        assert_non_null(strstr(mim_error(), path));
        assert_null(plan);
    }
    hsize_t shape[3] = {1, 1, 20};
    write_raw("execution_plan", H5T_STD_I32LE, 3, shape, zeros);
    assert_int_equal(mim_plan_read(path, NULL, &plan), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "holds integers, expected floating-point numbers"));
}

/* Extents on paper cost nothing: such a file is small. */
static void test_refuses_huge_extents_before_reading(void **state)
{
    (void)state;
    static const hsize_t shapes[][3] = {
        {1000001, 1, 20}, {1, 4097, 20}, {1000000, 4096, 20}, {1, 1, 1ull << 40}};
    for (size_t c = 0; c < sizeof shapes / sizeof *shapes; c++) {
        mim_plan *plan = NULL;
        hsize_t chunk[3] = {1, 1, 20};
        hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        hid_t space = H5Screate_simple(3, shapes[c], NULL), how = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(how, 3, chunk);
        hid_t dataset = H5Dcreate2(file, "execution_plan", H5T_IEEE_F32LE, space, H5P_DEFAULT, how,
                                   H5P_DEFAULT);
        assert_true(dataset >= 0);
        H5Dclose(dataset);
        H5Pclose(how);
        H5Sclose(space);
        H5Fclose(file);
        assert_int_equal(mim_plan_read(path, NULL, &plan), MIM_EDATA);
        assert_non_null(strstr(mim_error(), "expected at most 1000000, 4096"));
    }
}

/* Made by flipping bits: HDF5 1.10.8 crashes on one and loops without end on the other. */
static void test_files_that_the_library_cannot_stand(void **state)
{
    (void)state;
    static const char *const files[] = {"tests/data/plan-crashes-hdf5.h5",
                                        "tests/data/plan-loops-hdf5.h5"};
    for (size_t i = 0; i < 2; i++) {
        mim_plan *plan = NULL;
        assert_int_equal(mim_plan_read(files[i], NULL, &plan), MIM_EDATA);
        assert_non_null(strstr(mim_error(), files[i]));
        assert_null(plan);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
}

static void test_weights_are_checked(void **state)
{
    (void)state;
    static const struct {
        double first, second; /* window 1, thread 2, stressors 3 and 8 */
        int rc;
        const char *says;
    } cases[] = {
        {0, 1, MIM_OK, ""},
        {0.3, 0.7, MIM_OK, ""},
        {0.1, 0.9000004, MIM_OK, ""}, /* rounding of a 32-bit writer */
        {-0.0, 0, MIM_OK, ""},
        {NAN, 0, MIM_EDATA, "BM_LIBC_Memcmp_Fleet_LLC: weight nan"},
        {INFINITY, 0, MIM_EDATA, "BM_LIBC_Memcmp_Fleet_LLC: weight inf"},
        {0, -0.01, MIM_EDATA, "BM_STRESS_NG_HddRead_1MB_NoSleep: weight -0.01"},
        {-DBL_MIN, 0, MIM_EDATA, "weight -2.2"},
        {0, 1.01, MIM_EDATA, "weight 1.01"},
        {0.6, 0.5, MIM_EDATA, "sum to 1.1"},
        {DBL_MAX, DBL_MAX, MIM_EDATA, "weight 1.79"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        static double values[2 * 3 * 20];
        hsize_t shape[3] = {2, 3, 20};
        mim_plan *plan = NULL;
        values[20 * 5 + 3] = cases[c].first;
        values[20 * 5 + 8] = cases[c].second;
        write_raw("execution_plan", H5T_IEEE_F64LE, 3, shape, values);
        assert_int_equal(mim_plan_read(path, NULL, &plan), cases[c].rc);
        if (cases[c].rc == MIM_OK) {
            const double *row = mim_plan_weights(plan, 1, 2);
            assert_true(row[3] + row[8] <= 1 + 1e-12);
            assert_true(fabs(row[8] - cases[c].second) <= 1e-6);
        } else {
            assert_non_null(strstr(mim_error(), "window 1, thread 2"));
            assert_non_null(strstr(mim_error(), cases[c].says));
            assert_non_null(strstr(mim_error(), path));
        }
        mim_plan_destroy(&plan);
    }
}

/* As the original takes them: rows beyond 1 divided by their sum, the others as they are. */
static void test_rows_of_any_sum(void **state)
{
    (void)state;
    static const struct {
        double first, second;
        int rc;
        double first_read, second_read;
    } cases[] = {
        {1.5, 0.5, MIM_OK, 0.75, 0.25},      {3, 0, MIM_OK, 1, 0},
        {0.3, 0.2, MIM_OK, 0.3, 0.2},        {0, 0, MIM_OK, 0, 0},
        {0.5, 0.5, MIM_OK, 0.5, 0.5},        {-0.1, 0.5, MIM_EDATA, 0, 0},
        {NAN, 0.5, MIM_EDATA, 0, 0},         {INFINITY, 0.5, MIM_EDATA, 0, 0},
        {DBL_MAX, DBL_MAX, MIM_EDATA, 0, 0},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        static double values[2 * 3 * 20];
        hsize_t shape[3] = {2, 3, 20};
        mim_plan *plan = NULL;
        values[20 * 5 + 3] = cases[c].first;
        values[20 * 5 + 8] = cases[c].second;
        write_raw("execution_plan", H5T_IEEE_F64LE, 3, shape, values);
        assert_int_equal(mim_plan_read_any(path, NULL, &plan), cases[c].rc);
        if (cases[c].rc == MIM_OK) {
            assert_true(mim_plan_weights(plan, 1, 2)[3] == cases[c].first_read);
            assert_true(mim_plan_weights(plan, 1, 2)[8] == cases[c].second_read);
            assert_int_equal(mim_plan_validate(plan, "normalised"), MIM_OK);
        } else {
            assert_non_null(strstr(mim_error(), "window 1, thread 2"));
        }
        mim_plan_destroy(&plan);
    }
}

/* ---- writing ------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    mim_plan *plan = new_plan(5, 3), *read = NULL;
    mim_plan_row(plan, 2, 1)[7] = 1.0 / 3;
    mim_plan_row(plan, 4, 2)[0] = 0.25;
    mim_plan_set_slot_s(plan, 0.5);
    assert_int_equal(mim_plan_set_origin(plan, "{\"method\":\"test\"}"), MIM_OK);
    assert_int_equal(mim_plan_write(plan, path), MIM_OK);
    assert_int_equal(mim_plan_read(path, NULL, &read), MIM_OK);
    assert_int_equal(mim_plan_n_windows(read), 5);
    assert_memory_equal(mim_plan_weights(read, 0, 0), mim_plan_weights(plan, 0, 0),
                        5 * 3 * 20 * sizeof(double));
    assert_true(mim_plan_slot_s(read) == 0.5);
    assert_string_equal(mim_plan_origin(read), "{\"method\":\"test\"}");
    assert_int_equal(mim_plan_first_window(read), 2);
    mim_plan_destroy(&plan);
    mim_plan_destroy(&read);
}

/* The original opens `execution_plan` by name, wants rank 3 and reads it as 32-bit floats. */
static void test_our_files_are_what_the_original_reads(void **state)
{
    (void)state;
    mim_plan *plan = new_plan(2, 2);
    mim_plan_row(plan, 1, 1)[19] = 0.5;
    assert_int_equal(mim_plan_write(plan, path), MIM_OK);
    mim_plan_destroy(&plan);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "execution_plan", H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    hsize_t shape[3];
    float values[80];
    assert_int_equal(H5Sget_simple_extent_ndims(space), 3);
    H5Sget_simple_extent_dims(space, shape, NULL);
    assert_int_equal(shape[0] * 10000 + shape[1] * 100 + shape[2], 20220);
    assert_true(H5Tequal(type, H5T_IEEE_F64LE) > 0);
    assert_true(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    assert_true(values[79] == 0.5f && values[78] == 0);
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void test_wrong_schema_names_and_slots_are_refused(void **state)
{
    (void)state;
    static const char *const names[2] = {"a", "b"}, *const twice[2] = {"a", "a"};
    static const double weights[2] = {0.5, 0.5};
    static const struct {
        const char *schema;
        int version;
        size_t n_names;
        const char *const *names;
        double slot_s;
        int rc;
        const char *says;
    } cases[] = {
        {"mimesys_plan", 1, 2, names, 1, MIM_OK, ""},
        {"mimesys_run_result", 1, 2, names, 1, MIM_EDATA, "mimesys_run_result"},
        {"mimesys_plan", 2, 2, names, 1, MIM_EDATA, "version 2"},
        {"mimesys_plan", 1, 1, names, 1, MIM_EDATA, "1 action names for 2"},
        {"mimesys_plan", 1, 2, twice, 1, MIM_EDATA, "a stands there twice"},
        {"mimesys_plan", 1, 2, names, 0, MIM_EDATA, "slot_s is 0"},
        {"mimesys_plan", 1, 2, names, -1, MIM_EDATA, "slot_s is -1"},
        {"mimesys_plan", 1, 2, names, NAN, MIM_EDATA, "slot_s is nan"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mim_h5 *file = NULL;
        mim_plan *plan = NULL;
        size_t shape[3] = {1, 1, 2};
        assert_int_equal(mim_h5_create(path, cases[c].schema, cases[c].version, NULL, &file), 0);
        assert_int_equal(mim_h5_put_real(file, "execution_plan", 3, shape, weights, "", "", ""), 0);
        assert_int_equal(
            mim_h5_put_texts(file, "action_names", cases[c].n_names, cases[c].names, "", ""), 0);
        assert_int_equal(mim_h5_put_attribute_real(file, NULL, "slot_s", cases[c].slot_s), 0);
        assert_int_equal(mim_h5_commit(&file), MIM_OK);
        assert_int_equal(mim_plan_read(path, NULL, &plan), cases[c].rc);
        if (cases[c].rc != MIM_OK)
            assert_non_null(strstr(mim_error(), cases[c].says));
        mim_plan_destroy(&plan);
    }
}

/* ---- the type ------------------------------------------------------------------------------ */

static void test_sizes_are_limited(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{0, 1}, {1, 0}, {1000001, 1}, {1, 4097}, {1000000, 4096}};
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    for (size_t c = 0; c < sizeof shapes / sizeof *shapes; c++)
        assert_int_equal(mim_plan_create(shapes[c][0], shapes[c][1], actions, &plan), MIM_EINVAL);
    assert_null(plan);
    mim_actions_destroy(&actions);
}

static void test_needs(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20;
    mim_plan *plan = new_plan(4, 4);
    mim_plan_need need;
    /* window 0 idle; thread 3 never used */
    mim_plan_row(plan, 1, 0)[0] = 0.5;   /* 256 MiB of memory */
    mim_plan_row(plan, 2, 0)[0] = 0.25;  /* the same instance */
    mim_plan_row(plan, 2, 0)[8] = 0.5;   /* reads: 1 MiB, shared file */
    mim_plan_row(plan, 2, 1)[8] = 0.5;   /* reads: another 1 MiB, the same file */
    mim_plan_row(plan, 2, 1)[11] = 0.25; /* writes: 1 MiB, own file */
    mim_plan_row(plan, 3, 2)[11] = 0.5;  /* another own file */
    mim_plan_row(plan, 3, 2)[15] = 0.5;  /* 32 MiB */
    mim_plan_row(plan, 3, 1)[16] = 0.5;  /* 32 MiB, paced */
    mim_plan_row(plan, 3, 0)[4] = 0.75;  /* 12 KiB */
    assert_int_equal(mim_plan_needs(plan, &need), MIM_OK);
    assert_int_equal(need.n_threads, 3);
    assert_int_equal(need.memory_bytes, (256 + 1 + 1 + 1 + 1 + 32 + 32) * mib + 12 * 1024);
    assert_int_equal(need.scratch_bytes, (256 + 2 * 64) * mib);
    assert_true(need.cpu_s_per_slot_s == 1.25); /* window 3: 0.5 + 0.75 */
    assert_true(need.n_slots == 3);
    assert_int_equal(need.uses[0 * 20 + 0] + need.uses[0 * 20 + 8] + need.uses[0 * 20 + 4], 3);
    assert_int_equal(need.uses[1 * 20 + 16], 1);
    assert_int_equal(need.uses[3 * 20 + 0], 0);
    mim_plan_need_clear(&need);
    assert_null(need.uses);
    mim_plan_destroy(&plan);
    /* an idle plan needs nothing */
    plan = new_plan(2, 2);
    assert_int_equal(mim_plan_needs(plan, &need), MIM_OK);
    assert_true(need.n_threads == 0 && need.memory_bytes == 0 && need.scratch_bytes == 0);
    assert_true(need.cpu_s_per_slot_s == 0 && need.n_slots == 2);
    mim_plan_need_clear(&need);
    mim_plan_destroy(&plan);
}

static void test_idle_start_can_be_kept(void **state)
{
    (void)state;
    mim_plan *plan = new_plan(3, 2);
    mim_plan_row(plan, 2, 1)[8] = 0.5;
    assert_int_equal(mim_plan_first_window(plan), 2);
    mim_plan_keep_idle_start(plan);
    assert_int_equal(mim_plan_first_window(plan), 0);
    assert_true(mim_plan_weights(plan, 0, 0)[4] == 1e-6); /* 12 KiB, the smallest */
    mim_plan_destroy(&plan);
    plan = new_plan(3, 2);
    mim_plan_row(plan, 2, 1)[17] = 0.5;
    mim_plan_keep_idle_start(plan);
    assert_true(mim_plan_weights(plan, 0, 0)[17] == 1e-6); /* used anyway */
    mim_plan_destroy(&plan);
    plan = new_plan(2, 1); /* starts busy: left alone */
    mim_plan_row(plan, 0, 0)[17] = 0.5;
    mim_plan_keep_idle_start(plan);
    assert_true(mim_plan_weights(plan, 0, 0)[17] == 0.5);
    assert_true(mim_plan_weights(plan, 0, 0)[4] == 0);
    mim_plan_destroy(&plan);
}

static void test_validate_normalises_rounding_once(void **state)
{
    (void)state;
    mim_plan *plan = new_plan(1, 1);
    double *row = mim_plan_row(plan, 0, 0);
    for (size_t s = 0; s < 20; s++)
        row[s] = 0.05 * 1.0005;
    assert_int_equal(mim_plan_validate(plan, "p"), MIM_OK);
    double sum = 0, before[20];
    for (size_t s = 0; s < 20; s++)
        sum += row[s];
    assert_true(fabs(sum - 1) < 1e-14);
    memcpy(before, row, sizeof before);
    assert_int_equal(mim_plan_validate(plan, "p"), MIM_OK);
    assert_memory_equal(before, row, sizeof before);
    row[0] += 0.0011;
    assert_int_equal(mim_plan_validate(plan, "my plan"), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "my plan: window 0, thread 0: weights sum to 1.0011"));
    mim_plan_destroy(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_the_originals_files),
        cmocka_unit_test(test_list_is_the_files_or_the_fallback),
        cmocka_unit_test(test_refuses_what_is_no_plan),
        cmocka_unit_test(test_refuses_huge_extents_before_reading),
        cmocka_unit_test(test_files_that_the_library_cannot_stand),
        cmocka_unit_test(test_weights_are_checked),
        cmocka_unit_test(test_rows_of_any_sum),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_our_files_are_what_the_original_reads),
        cmocka_unit_test(test_wrong_schema_names_and_slots_are_refused),
        cmocka_unit_test(test_sizes_are_limited),
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_idle_start_can_be_kept),
        cmocka_unit_test(test_validate_normalises_rounding_once),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
