/* Calibrations of the extended list: those of other working sets are told apart, what differs in
 * its pause only is measured once, what cannot run here is left out. */
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
#include <jansson.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/kernel.h"
#include "node/known_node.h"

static const char copy_l1[] = "BM_LIBC_Memcpy_Fleet_L1", peer[] = "MIM_NETWORK_PEER_64KB_10ms",
                  switches[] = "MIM_SWITCH_FUTEX", fast[] = "MIM_NETWORK_LOOPBACK_64KB_10ms",
                  bursts[] = "BM_DIRECTMEMSET_32MB_WeightScaled_50ms";
static const mim_calibrate_options quick = {.seconds_each = 0.05, .n_repeats = 3};

typedef struct bench {
    char folder[64];
    char *path;
    mim_machine *machine;
    mim_scratch *scratch;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    const mim_scratch_options scratch = {.folder = "/var/tmp", .min_free_bytes = 1 << 20};

    assert_non_null(b);
    strcpy(b->folder, "/tmp/test_calibration_sizesXXXXXX");
    assert_non_null(mkdtemp(b->folder));
    b->path = mim_join_path(b->folder, "c.json");
    unsetenv("MIMESYS_CALIBRATION");
    setenv("XDG_CACHE_HOME", b->folder, 1);
    assert_int_equal(mim_machine_create(1, &b->machine), MIM_OK);
    assert_int_equal(mim_scratch_create(&scratch, &b->scratch), MIM_OK);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    char folder[96];

    unlink(b->path);
    snprintf(folder, sizeof folder, "%s/mimesys", b->folder);
    rmdir(folder);
    assert_int_equal(rmdir(b->folder), 0);
    unsetenv("XDG_CACHE_HOME");
    mim_machine_destroy(&b->machine);
    mim_scratch_destroy(&b->scratch);
    free(b->path);
    free(b);
    return 0;
}

static mim_actions *list(size_t n, const char *const *names)
{
    mim_actions *actions = NULL;

    assert_int_equal(mim_actions_from_names(n, names, &actions), MIM_OK);
    return actions;
}

static mim_calibration *measure(const bench *b, const mim_actions *actions)
{
    mim_calibration *c = NULL;

    if (mim_calibrate(b->machine, actions, b->scratch, &quick, NULL, &c) != MIM_OK)
        fail_msg("%s", mim_error());
    return c;
}

static void test_sizes_are_in_the_file(void **state)
{
    const bench *b = *state;
    static const struct {
        const char *word; /* NULL: a file from before there was a choice */
        int rc;
    } cases[] = {{"original", MIM_OK},
                 {"node", MIM_OK},
                 {NULL, MIM_OK},
                 {"cache", MIM_EDATA},
                 {"", MIM_EDATA}};
    mim_cost cost = {.stressor = "x", .n_repeats = 3, .op_s = 1, .ops_per_s = 1};
    mim_calibration made = {.machine_key = "k",
                            .io_mode = "direct",
                            .n_cpus = 1,
                            .n_sockets = 1,
                            .io_read_max_kbs = NAN,
                            .io_write_max_kbs = NAN,
                            .memory_read_max_gb_s = NAN,
                            .memory_write_max_gb_s = NAN,
                            .n_costs = 1,
                            .costs = &cost,
                            .sizes = "node"};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_calibration *read = NULL;
        json_t *root;

        assert_int_equal(mim_calibration_write(&made, b->path), MIM_OK);
        root = json_load_file(b->path, 0, NULL);
        assert_non_null(root);
        assert_string_equal(json_string_value(json_object_get(root, "sizes")), "node");
        if (cases[i].word)
            json_object_set_new(root, "sizes", json_string(cases[i].word));
        else {
            json_object_del(root, "sizes");
            json_object_set_new(root, "schema_version", json_integer(1));
        }
        assert_int_equal(json_dump_file(root, b->path, 0), 0);
        json_decref(root);
        assert_int_equal(mim_calibration_read(b->path, &read), cases[i].rc);
        if (cases[i].rc == MIM_OK)
            assert_string_equal(read->sizes, cases[i].word ? cases[i].word : "original");
        else
            assert_non_null(strstr(mim_error(), "sizes"));
        mim_calibration_destroy(&read);
    }
}

/* Names of the files in the cache, and whether they are there. */
static char *path_of(const bench *b, const char *sizes)
{
    char *path = NULL;

    assert_int_equal(mim_calibration_path_of(b->machine, sizes, &path), MIM_OK);
    return path;
}

static mim_calibration *obtain(const bench *b, const mim_actions *actions, const char *path)
{
    mim_calibration *c = NULL;

    if (mim_calibration_obtain(b->machine, actions, b->scratch, &quick, path, NULL, &c) != MIM_OK)
        fail_msg("%s", mim_error());
    return c;
}

static void test_other_sizes_have_a_file_of_their_own(void **state)
{
    const bench *b = *state;
    const char *const names[] = {copy_l1};
    mim_actions *plain = list(1, names), *fitted = list(1, names);
    const mim_actions_node node = {.caches = mim_machine_caches(b->machine), .sizes_all = true};
    char *usual = NULL, *of_plain = path_of(b, "original"), *of_node = path_of(b, "node");

    assert_int_equal(mim_actions_fit(fitted, &node), MIM_OK);
    assert_int_equal(mim_calibration_path(b->machine, &usual), MIM_OK);
    assert_string_equal(usual, of_plain);
    assert_non_null(strstr(of_node, "-node.json"));

    mim_calibration *c = obtain(b, plain, NULL);
    assert_string_equal(c->sizes, "original");
    char *plain_class = mim_host_class(b->machine, c);
    mim_calibration_destroy(&c);
    assert_int_equal(access(of_plain, F_OK), 0);
    assert_int_equal(access(of_node, F_OK), -1);

    c = obtain(b, fitted, NULL);
    assert_string_equal(c->sizes, "node");
    char *node_class = mim_host_class(b->machine, c);
    assert_string_not_equal(plain_class, node_class);
    mim_calibration_destroy(&c);
    assert_int_equal(access(of_node, F_OK), 0);

    /* one in the other's place is not taken, and stays */
    assert_int_equal(rename(of_plain, of_node), 0);
    free(usual);
    assert_int_equal(mim_calibration_path(b->machine, &usual), MIM_OK);
    assert_string_equal(usual, of_node); /* the only one there */
    c = obtain(b, fitted, NULL);
    assert_string_equal(c->sizes, "node");
    mim_calibration_destroy(&c);
    assert_int_equal(mim_calibration_read(of_node, &c), MIM_OK);
    assert_string_equal(c->sizes, "original");
    mim_calibration_destroy(&c);

    unlink(of_node);
    free(plain_class);
    free(node_class);
    free(usual);
    free(of_plain);
    free(of_node);
    mim_actions_destroy(&plain);
    mim_actions_destroy(&fitted);
}

/* The same operation with and without a pause: one measurement, two paces. */
static void test_pauses_are_not_measured(void **state)
{
    const bench *b = *state;
    static const char *const names[] = {"BM_STRESS_NG_Hdd_64KB",
                                        "BM_STRESS_NG_HddWriteNF_1MB_NoSleep",
                                        "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_10ms",
                                        "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_100ms",
                                        "BM_STRESS_NG_HddWriteD_1MB_WeightScaled_0ms"};
    mim_actions *actions = list(5, names);
    mim_calibration *c = measure(b, actions);
    const mim_cost *none = &c->costs[1], *ten = &c->costs[2], *hundred = &c->costs[3];

    assert_int_equal(c->n_costs, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(c->costs[i].stressor, names[i]);
    assert_true(none->op_s == ten->op_s && none->op_s == hundred->op_s);
    assert_true(fabs(none->ops_per_s * none->op_s - 1) < 1e-9);
    assert_true(fabs(ten->ops_per_s * (ten->op_s + 0.01) - 1) < 1e-9);
    assert_true(fabs(hundred->ops_per_s * (hundred->op_s + 0.1) - 1) < 1e-9);
    assert_true(fabs(hundred->bytes_per_s / hundred->ops_per_s - 1048576) < 1);
    /* another way of writing is another operation */
    assert_true(c->costs[4].op_s != none->op_s);
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
}

static void test_what_cannot_run_is_left_out(void **state)
{
    const bench *b = *state;
    const char *const names[] = {peer, bursts, "MIM_NUMA_REMOTE_LOAD"};
    mim_actions *actions = list(2, names);
    mim_calibration *c = measure(b, actions);
    char *usual = path_of(b, "original");

    assert_int_equal(c->n_costs, 1);
    assert_string_equal(c->costs[0].stressor, bursts);
    mim_calibration_destroy(&c);
    /* and is not looked for again each time */
    c = obtain(b, actions, NULL);
    double first = c->costs[0].op_s;
    mim_calibration_destroy(&c);
    c = obtain(b, actions, usual); /* a named one lacks nothing */
    assert_true(fabs(c->costs[0].op_s / first - 1) < 1e-7);
    mim_calibration_destroy(&c);
    unlink(usual);
    free(usual);
    mim_actions_destroy(&actions);
}

/* A malformed peer is a mistake of the user, not a missing one. */
static void test_a_malformed_peer_is_refused(void **state)
{
    const bench *b = *state;
    const char *const names[] = {peer};
    const mim_actions_node node = {.network_peer = "nowhere"};
    mim_actions *actions = list(1, names);
    mim_calibration *c = NULL;

    assert_int_equal(mim_actions_fit(actions, &node), MIM_OK);
    assert_int_equal(mim_calibrate(b->machine, actions, b->scratch, &quick, NULL, &c), MIM_EUSAGE);
    assert_non_null(strstr(mim_error(), peer));
    assert_null(c);
    mim_actions_destroy(&actions);
}

/* CPU time of partners and sinks belongs to the operation. */
static void test_time_of_partners_counts(void **state)
{
    const bench *b = *state;
    const char *const names[] = {switches, fast};
    mim_actions *actions = list(2, names);
    mim_calibration *c = measure(b, actions);
    const mim_stressor *stressor = mim_stressor_find(switches);
    const mim_kernel *kernel = mim_kernel_find(stressor->kernel);
    const mim_kernel_place place = {.seed = 1};
    mim_work work = {0};
    void *trips = NULL;

    assert_int_equal(kernel->create(stressor, &place, &trips), MIM_OK);
    assert_int_equal(kernel->run(trips, 1, &work), MIM_OK);
    work = (mim_work){0};
    int64_t own_ns = mim_clock_thread_cpu_ns();
    assert_int_equal(kernel->run(trips, 200, &work), MIM_OK);
    own_ns = mim_clock_thread_cpu_ns() - own_ns;
    kernel->destroy(trips);
    /* the partner does half of the work */
    assert_true((double)work.extra_cpu_ns > 0.2 * (double)own_ns);
    assert_true(c->costs[0].op_s > 0 && c->costs[1].cpu_s_per_op > 0);
    assert_true(c->costs[0].cpu_s_per_op == c->costs[0].op_s);
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
}

#define BENCH_TEST(TEST) cmocka_unit_test_setup_teardown(TEST, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_sizes_are_in_the_file),
        BENCH_TEST(test_other_sizes_have_a_file_of_their_own),
        BENCH_TEST(test_pauses_are_not_measured),
        BENCH_TEST(test_what_cannot_run_is_left_out),
        BENCH_TEST(test_a_malformed_peer_is_refused),
        BENCH_TEST(test_time_of_partners_counts),
    };
    return cmocka_run_group_tests_name("calibration of the extended list", tests, NULL, NULL);
}
