/* Every name of the catalogue that has a kernel: made, run, verified, its work counted, damaged,
 * found out, removed; nothing is left in the scratch folder. */
#define _GNU_SOURCE
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/kernel.h"
#include "node/kernel_family.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

typedef struct fixture {
    char folder[64];
    mim_scratch *scratch;
} fixture;

static int make_scratch(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const char *base = getenv("TMPDIR");

    assert_non_null(f);
    snprintf(f->folder, sizeof f->folder, "%.40s/mimesys-test-XXXXXX", base ? base : "/var/tmp");
    assert_non_null(mkdtemp(f->folder));
    const mim_scratch_options options = {.folder = f->folder, .min_free_bytes = 1 << 20};
    assert_int_equal(mim_scratch_create(&options, &f->scratch), MIM_OK);
    *state = f;
    return 0;
}

static int remove_scratch(void **state)
{
    fixture *f = *state;

    mim_scratch_destroy(&f->scratch);
    int rc = rmdir(f->folder); /* fails when something is left in it */
    free(f);
    return rc;
}

/* Parts of the memory, where the bytes that were used last are not known. */
#define ALL UINT64_MAX
#define HALF (UINT64_MAX - 1)

/* How damage is done to a kernel of each name, and where it must show. */
static const struct damage {
    const char *kernel;
    uint64_t n_bytes; /* from the buffer's start, or a part of the stressor's memory */
    unsigned char flip;
    size_t n_after; /* batches after the damage, for what the run itself compares */
} damages[] = {
    {"crc_compute", ALL, 0x55, 0},
    {"crc_extend", ALL, 0x55, 0},
    {"memcpy", HALF, 0x55, 0},
    {"memmove", HALF, 0x55, 0},
    {"memcmp", HALF, 0x55, 1},
    {"simd", 4 * KIB, 0x55, 0},
    {"hashset", 1, 0x80, 0},
    {"zstd", 1, 1, 0},
    {"hdd_read", 1, 1, 0},
    {"hdd_write", 4 * KIB, 1, 0},
    {"memset", 1, 1, 0},
    {"stream", 8, 0x3f, 0},
    {"bulk_copy", 4 * KIB, 1, 0},
    {"nt_store", 1, 1, 0},
    {"scan", 1, 1, 0},
    {"write_crc", 1, 1, 0},
    {"hdd_file", 4 * KIB, 1, 0},
    {"fallocate", 1, 1, 0},
    {"readahead", 1, 1, 0},
    {"mixed", 4 * KIB, 1, 0},
    {"cache_read", 1, 1, 0},
    {"cache_write", 1, 1, 0},
    {"metadata", 8, 1, 0},
    {"page_faults", 1, 1, 0},
    {"mmap_churn", 1, 1, 0},
    {"switch_futex", 1, 1, 0},
    {"switch_pipe", 1, 1, 1},
    {"net_loopback", 1, 1, 0},
    {"net_peer", 1, 1, 0},
    {"remote_read", 1, 1, 0},
    {"remote_write", 1, 1, 0},
};

static const struct damage *damage_of(const char *kernel)
{
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        if (strcmp(damages[i].kernel, kernel) == 0)
            return &damages[i];
    fail_msg("%s: no damage is known for it", kernel);
    return NULL;
}

/* Working sets and files of a tenth of a second, with the same operations. */
static mim_stressor small(const mim_stressor *stressor)
{
    mim_stressor s = *stressor;
    uint64_t most = 4 * s.op_bytes > 256 * KIB ? 4 * s.op_bytes : 256 * KIB;

    if (s.memory_bytes > 24 * MIB)
        s.memory_bytes = 24 * MIB;
    if (s.file_bytes > most)
        s.file_bytes = most;
    if (s.shared_file_bytes > 8 * MIB)
        s.shared_file_bytes = 8 * MIB;
    return s;
}

static void check_ok(const char *what, int rc)
{
    if (rc != MIM_OK)
        fail_msg("%s: %s", what, mim_error());
}

/* Paced: an operation a run, of op_bytes each. */
static void check_work(const mim_stressor *s, const mim_work *work, size_t n_runs)
{
    bool is_metadata = strcmp(s->kernel, "metadata") == 0;

    if (!s->is_paced)
        return;
    if (work->n_ops != n_runs || work->n_bytes != (is_metadata ? 0 : n_runs * s->op_bytes))
        fail_msg("%s: %llu operations and %llu bytes in %zu runs", s->name,
                 (unsigned long long)work->n_ops, (unsigned long long)work->n_bytes, n_runs);
}

static void do_damage(const mim_stressor *s, void *state)
{
    const struct damage *damage = damage_of(s->kernel);
    unsigned char *buffer = *(unsigned char **)state; /* see kernel_family.h */
    uint64_t n = damage->n_bytes;

    if (n == ALL || n == HALF)
        n = s->memory_bytes / (n == HALF ? 2 : 1);

    for (uint64_t i = 0; i < n; i++)
        buffer[i] ^= damage->flip;
}

static void run_through(const mim_stressor *stressor, const mim_kernel *kernel,
                        const mim_kernel_place *place)
{
    enum { N_RUNS = 5 };
    const mim_stressor s = small(stressor);
    mim_work work = {0}, more = {0};
    void *state = NULL;

    check_ok(s.name, kernel->create(&s, place, &state));
    check_ok(s.name, kernel->verify(state));
    for (int i = 0; i < N_RUNS; i++)
        check_ok(s.name, kernel->run(state, 1, &work));
    check_ok(s.name, kernel->verify(state));
    check_work(&s, &work, N_RUNS);
    if (work.n_ops + work.n_bytes == 0)
        fail_msg("%s: did nothing", s.name);
    /* The same in one call. */
    check_ok(s.name, kernel->run(state, N_RUNS, &more));
    check_ok(s.name, kernel->verify(state));
    check_work(&s, &more, N_RUNS);
    do_damage(&s, state);
    check_ok(s.name, kernel->run(state, damage_of(s.kernel)->n_after, &more));
    if (kernel->verify(state) != MIM_ECHECK)
        fail_msg("%s: damage was not seen", s.name);
    kernel->destroy(state);
}

static void test_every_name_runs(void **state)
{
    const fixture *f = *state;
    size_t n_run = 0;

    for (size_t i = 0; i < mim_stressor_count(); i++) {
        const mim_stressor *stressor = mim_stressor_at(i);
        const mim_kernel_place place = {.row = i % 3, .scratch = f->scratch, .seed = i};
        const mim_kernel *kernel = NULL;
        int rc;

        if (!stressor->kernel[0])
            continue;
        rc = mim_kernel_for(stressor, f->scratch, &kernel);
        if (rc == MIM_EUNSUP) {
            print_message("skipped: %s\n", mim_error());
            continue;
        }
        check_ok(stressor->name, rc);
        run_through(stressor, kernel, &place);
        n_run++;
    }
    assert_true(n_run >= 66);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name_runs),
    };
    return cmocka_run_group_tests_name("kernels of the catalogue", tests, make_scratch,
                                       remove_scratch);
}
