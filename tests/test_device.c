/* I/O stressors against the block device's own counters: what they say they moved is what it moved,
 * within 5 %, past the page cache and through it. Others use the device, too: a try that does not
 * fit counts only when the device was idle before and after it. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/ceiling.h"
#include "node/kernel.h"
#include "node/kernel_family.h"
#include "tests/support/scratch_folder.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

enum { MAX_TRIES = 20, ENOUGH_MISSES = 3 };
static const double tolerance = 0.05, idle_share = 0.005;

typedef struct moved {
    double read_bytes, written_bytes;
} moved;

/* False where the folder's device has no counters: memory, overlays, network. */
static bool device_counters(moved *now)
{
    struct stat st;
    char path[64];
    unsigned long long rd = 0, wr = 0;
    bool is_there;
    FILE *file;

    if (stat(folder, &st) != 0)
        return false;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(st.st_dev), minor(st.st_dev));
    if (!(file = fopen(path, "r")))
        return false;
    is_there = fscanf(file, "%*u %*u %llu %*u %*u %*u %llu", &rd, &wr) == 2;
    fclose(file);
    *now = (moved){512.0 * (double)rd, 512.0 * (double)wr};
    return is_there;
}

static moved since(const moved *before)
{
    moved now = {0};

    assert_true(device_counters(&now));
    return (moved){now.read_bytes - before->read_bytes, now.written_bytes - before->written_bytes};
}

/* Less than a two-hundredth of what a try moves in 50 ms. */
static bool is_idle(double n_bytes)
{
    moved before = {0}, d;

    device_counters(&before);
    usleep(50000);
    d = since(&before);
    return d.read_bytes + d.written_bytes <= idle_share * n_bytes;
}

typedef struct device_case {
    mim_stressor stressor;
    double read_share;
} device_case;

/* What the device moved in n operations. */
static moved try_once(const device_case *c, mim_scratch *scratch, size_t n, mim_work *work)
{
    const mim_kernel *kernel = mim_kernel_find(c->stressor.kernel);
    const mim_kernel_place place = {.row = 1, .scratch = scratch, .seed = 9};
    void *state = NULL;
    moved before = {0}, d;

    if (kernel->create(&c->stressor, &place, &state) != MIM_OK)
        fail_msg("%s: %s", c->stressor.name, mim_error());
    if (kernel->run(state, 10, work) != MIM_OK) /* the first one does more */
        fail_msg("%s: %s", c->stressor.name, mim_error());
    mim_settle_device(scratch);
    device_counters(&before);
    *work = (mim_work){0};
    for (size_t i = 0; i < n; i++)
        if (kernel->run(state, 1, work) != MIM_OK)
            fail_msg("%s: %s", c->stressor.name, mim_error());
    mim_settle_device(scratch);
    d = since(&before);
    kernel->destroy(state);
    return d;
}

static bool is_near(double found, double expected, double total)
{
    return fabs(found - expected) <= tolerance * total;
}

/* False when the device never was quiet for long enough. */
static bool check(const device_case *c, mim_scratch *scratch)
{
    size_t n = (size_t)(32 * MIB / c->stressor.op_bytes) / 10 * 10, n_misses = 0;
    double total = (double)(n * c->stressor.op_bytes);
    moved d = {0};

    for (int i = 0; i < MAX_TRIES && n_misses < ENOUGH_MISSES; i++) {
        bool was_idle = is_idle(total);
        mim_work work = {0};

        d = try_once(c, scratch, n, &work);
        assert_int_equal(work.n_bytes, n * c->stressor.op_bytes);
        if (is_near(d.read_bytes, c->read_share * total, total) &&
            is_near(d.written_bytes, (1 - c->read_share) * total, total))
            return true;
        n_misses += was_idle && is_idle(total);
    }
    if (n_misses == ENOUGH_MISSES)
        fail_msg("%s: the device read %.0f and wrote %.0f bytes, asked for %.0f and %.0f",
                 c->stressor.name, d.read_bytes, d.written_bytes, c->read_share * total,
                 (1 - c->read_share) * total);
    print_message("skipped: %s: others use the device\n", c->stressor.name);
    return false;
}

static const device_case cases[] = {
    {{.name = "reads", .kernel = "hdd_read", .op_bytes = MIB, .shared_file_bytes = 32 * MIB}, 1},
    {{.name = "writes", .kernel = "hdd_write", .op_bytes = MIB, .file_bytes = 32 * MIB}, 0},
    {{.name = "small writes", .kernel = "hdd_write", .op_bytes = 64 * KIB, .file_bytes = 32 * MIB},
     0},
    {{.name = "direct writes",
      .kernel = "hdd_write",
      .op_bytes = MIB,
      .file_bytes = 32 * MIB,
      .parameter = MIM_STRESSOR_DIRECT},
     0},
    {{.name = "files", .kernel = "hdd_file", .op_bytes = MIB}, 0},
    {{.name = "reads ahead", .kernel = "readahead", .op_bytes = MIB, .file_bytes = 32 * MIB}, 1},
    {{.name = "reads and writes",
      .kernel = "mixed",
      .op_bytes = MIB,
      .file_bytes = 32 * MIB,
      .shared_file_bytes = 32 * MIB,
      .parameter = 70},
     0.7},
};

static void check_all(mim_io_mode mode)
{
    const mim_scratch_options options = {folder, 0, 0, mode};
    mim_scratch *scratch = NULL;
    moved now;
    size_t n_checked = 0;
    int rc = mim_scratch_create(&options, &scratch);

    if (rc != MIM_OK || mim_scratch_is_memory(scratch) || !device_counters(&now)) {
        print_message("skipped: %s: %s\n", folder,
                      rc != MIM_OK ? mim_error() : "no block device with counters under it");
        mim_scratch_destroy(&scratch);
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        n_checked += check(&cases[i], scratch);
    mim_scratch_destroy(&scratch);
    if (n_checked == 0)
        skip();
}

static void test_bytes_past_the_page_cache(void **unused)
{
    (void)unused;
    check_all(MIM_IO_DIRECT);
}

static void test_bytes_through_the_page_cache(void **unused)
{
    (void)unused;
    check_all(MIM_IO_BUFFERED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_bytes_past_the_page_cache),
        WITH_FOLDER(test_bytes_through_the_page_cache),
    };
    return cmocka_run_group_tests_name("device counters", tests, NULL, NULL);
}
