/* Every stressor kernel: known answers, references, work counts, verification that can fail. */
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
#include <unistd.h>

#include <cmocka.h>

#include "node/kernel.h"
#include "node/kernel_family.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static const mim_kernel_place here = {.row = 0, .cpu = 0, .scratch = NULL, .seed = 7};

/* The state's buffer; see kernel_family.h. */
static unsigned char *buffer_of(void *state) { return *(unsigned char **)state; }

static void test_table_has_every_kernel_of_the_catalogue(void **unused)
{
    (void)unused;
    assert_int_equal(mim_kernel_count(), 31);
    for (size_t i = 0; i < mim_kernel_count(); i++) {
        const mim_kernel *kernel = mim_kernel_at(i);

        assert_ptr_equal(mim_kernel_find(kernel->name), kernel);
        assert_true(kernel->create && kernel->destroy && kernel->run && kernel->verify);
        kernel->destroy(NULL);
    }
    for (size_t i = 0; i < mim_stressor_count(); i++) {
        const mim_stressor *stressor = mim_stressor_at(i);

        if (stressor->kernel[0] != '\0' && !mim_kernel_find(stressor->kernel))
            fail_msg("%s: no kernel %s", stressor->name, stressor->kernel);
        if (i < 20 && stressor->kernel[0] == '\0')
            fail_msg("%s: of the default list, has no kernel", stressor->name);
    }
    assert_null(mim_kernel_find("memcpy2"));
    assert_null(mim_kernel_find(""));
    assert_null(mim_kernel_find(NULL));
    assert_null(mim_kernel_at(31));
}

/* The check value of the CRC catalogue and the examples of RFC 3720, appendix B.4. */
static void test_crc32c_known_answers(void **unused)
{
    unsigned char up[32], down[32], zeros[32] = {0}, ones[32];
    const mim_crc32c versions[] = {mim_crc32c_ref, mim_crc32c_best()};

    (void)unused;
    for (int i = 0; i < 32; i++) {
        up[i] = (unsigned char)i;
        down[i] = (unsigned char)(31 - i);
        ones[i] = 0xff;
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(versions[i](0, "123456789", 9), 0xE3069283);
        assert_int_equal(versions[i](0, zeros, 32), 0x8A9136AA);
        assert_int_equal(versions[i](0, ones, 32), 0x62A8AB43);
        assert_int_equal(versions[i](0, up, 32), 0x46DD794E);
        assert_int_equal(versions[i](0, down, 32), 0x113FDB5C);
        assert_int_equal(versions[i](versions[i](0, "1234", 4), "56789", 5), 0xE3069283);
        assert_int_equal(versions[i](0x1234, "", 0), 0x1234);
    }
}

static void test_crc32c_equals_reference_at_every_length_and_alignment(void **unused)
{
    unsigned char bytes[2100];
    mim_crc32c best = mim_crc32c_best();

    (void)unused;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * i + 3 * i);
    for (size_t length = 0; length <= 2048; length += length < 64 ? 1 : 31)
        for (size_t start = 0; start < 9; start++)
            assert_int_equal(best((uint32_t)length, bytes + start, length),
                             mim_crc32c_ref((uint32_t)length, bytes + start, length));
}

static void test_simd_pass_equals_reference(void **unused)
{
    enum { N = 1024 };
    static float a[N], b[N], fast[N], plain[N];
    mim_simd_pass best = mim_simd_pass_best();

    (void)unused;
    for (int i = 0; i < N; i++) {
        a[i] = 0.5f * (float)i;
        b[i] = 0.3f * (float)(N - i);
        fast[i] = plain[i] = (float)i;
    }
    for (int pass = 1; pass <= 10; pass++) {
        best(N, a, b, fast);
        mim_simd_pass_ref(N, a, b, plain);
        for (int i = 0; i < N; i++) {
            double exact = i + (double)pass * (double)a[i] * (double)b[i];

            assert_true(fabs((double)fast[i] - (double)plain[i]) <= 1e-5 * exact);
            assert_true(fabs((double)fast[i] - exact) <= 1e-5 * exact);
        }
    }
}

static void test_stream_sweep_equals_reference(void **unused)
{
    double fast[48], plain[48];
    mim_stream_sweep best = mim_stream_sweep_best();

    (void)unused;
    for (int i = 0; i < 48; i++)
        fast[i] = plain[i] = i;
    best(32, 2.0, 0.5, fast);
    mim_stream_sweep_ref(32, 2.0, 0.5, plain);
    for (int i = 0; i < 48; i++) {
        assert_true(fast[i] == (i < 32 ? 2.0 * i + 0.5 : i));
        assert_true(plain[i] == fast[i]);
    }
}

static void test_nt_store_equals_reference(void **unused)
{
    enum { N_WORDS = 1024, N_SET = 512 };
    uint32_t *fast = aligned_alloc(64, N_WORDS * sizeof *fast), *plain = aligned_alloc(64, 4096);

    (void)unused;
    assert_true(fast && plain);
    for (size_t n_bytes = 64; n_bytes <= N_SET * sizeof *fast; n_bytes += 64) {
        memset(fast, 0x11, N_WORDS * sizeof *fast);
        memset(plain, 0x11, N_WORDS * sizeof *plain);
        mim_nt_store_best()(n_bytes, 0xCAFEBABE, fast + 8); /* 32 bytes further on */
        mim_nt_store_ref(n_bytes, 0xCAFEBABE, plain + 8);
        assert_memory_equal(fast, plain, N_WORDS * sizeof *fast);
        assert_int_equal(plain[8], 0xCAFEBABE);
        assert_int_equal(plain[8 + n_bytes / 4], 0x11111111);
    }
    free(fast);
    free(plain);
}

static void test_scan_equals_reference(void **unused)
{
    enum { N = 4096 };
    uint64_t *words = aligned_alloc(64, N * sizeof *words), expected = 0;

    (void)unused;
    assert_non_null(words);
    for (uint64_t i = 0; i < N; i++)
        words[i] = i * UINT64_C(0x9E3779B97F4A7C15) ^ i << 50;
    for (size_t n = 0; n < N - 4; n += 16) { /* one way more: a running sum */
        assert_true(mim_scan_ref(n * 8, words + 4) == expected);
        assert_true(mim_scan_best()(n * 8, words + 4) == expected);
        for (size_t i = n; i < n + 16 && i < N - 4; i++)
            expected ^= words[4 + i];
    }
    free(words);
}

static void test_streaming_copy_equals_reference(void **unused)
{
    enum { N = 8192 };
    unsigned char *source = aligned_alloc(64, N), *fast = aligned_alloc(64, N),
                  *plain = aligned_alloc(64, N);

    (void)unused;
    assert_true(source && fast && plain);
    for (size_t i = 0; i < N; i++)
        source[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t n = 0; n <= N / 2; n += 64) {
        memset(fast, 0x22, N);
        memset(plain, 0x22, N);
        mim_bulk_copy_streaming()(n, source + 32, fast + 96);
        mim_bulk_copy_ref(n, source + 32, plain + 96);
        assert_memory_equal(fast, plain, N);
        assert_memory_equal(plain + 96, source + 32, n);
    }
    free(source);
    free(fast);
    free(plain);
}

static void test_random_fill_is_random(void **unused)
{
    enum { N = 4096 };
    uint64_t words[N], other[N];
    size_t n_bits = 0, n_equal = 0;

    (void)unused;
    mim_kernel_fill_random(N, 1, words);
    mim_kernel_fill_random(N, 3, other);
    for (size_t i = 0; i < N; i++) {
        n_bits += (size_t)__builtin_popcountll(words[i]);
        n_equal += words[i] == other[i] || (i > 0 && words[i] == words[i - 1]);
    }
    assert_int_equal(n_equal, 0);
    /* half of the bits, within six standard deviations */
    assert_true(fabs((double)n_bits - 32.0 * N) < 6 * sqrt(64.0 * N) / 2);
}

/* n batches (operations when paced) must do exactly this work. The copies' numbers of batches are
 * those after which the walk over the piece lengths is whole again. */
typedef struct work_case {
    const char *what, *kernel;
    uint64_t memory_bytes;
    uint32_t parameter;
    bool is_paced;
    size_t n;
    uint64_t n_ops, n_bytes;
} work_case;

static const work_case work_cases[] = {
    /* 25 times 16 + 32 + ... + 2048 = 4080 bytes */
    {"crc 1 MiB", "crc_compute", 1 * MIB, 65536, false, 3, 600, 3 * 102000},
    {"crc default stride", "crc_compute", 1 * MIB, 0, false, 1, 200, 102000},
    {"crc extend", "crc_extend", 1 * MIB, 32768, false, 3, 600, 3 * 102000},
    {"memcpy L1", "memcpy", 64 * KIB, 0, false, 85, 65536, 85 * 384 * KIB},
    {"memcpy L2", "memcpy", 1 * MIB, 0, false, 85, 1536, 85 * 384 * KIB},
    {"memcmp L2", "memcmp", 1 * MIB, 0, false, 85, 1536, 85 * 384 * KIB},
    {"memcmp LLC", "memcmp", 24 * MIB, 0, false, 341, 480, 341 * 384 * KIB},
    {"simd", "simd", 12 * KIB, 0, false, 7, 1400, 1400 * 16384},
    /* four batches of inserts, one that clears */
    {"hash set", "hashset", 0, 2000, false, 5, 2000, 16000},
    {"hash set, next round", "hashset", 0, 2000, false, 6, 2512, 2512 * 8},
    {"hash set, ordered", "hashset", 0, 2000 | MIM_STRESSOR_ORDERED_KEYS, false, 10, 4000, 32000},
    {"memset, a part", "memset", 2 * MIB, 0, false, 3, 0, 3 * 512 * KIB},
    {"memset", "memset", 2 * MIB, 0, false, 9, 2, 9 * 512 * KIB},
    {"memset, paced", "memset", 1 * MIB, 0, true, 1, 1, 1 * MIB},
    {"stream", "stream", 2 * MIB, 0, false, 9, 2, 2 * 9 * 512 * KIB},
    {"stream, small", "stream", 8 * KIB, 0, false, 2, 1, 16 * KIB},
    {"memmove LLC", "memmove", 24 * MIB, 0, false, 341, 480, 341 * 384 * KIB},
    {"copy", "bulk_copy", 4 * MIB, 0, false, 9, 2, 9 * 512 * KIB},
    {"copy, streaming", "bulk_copy", 4 * MIB, MIM_STRESSOR_STREAMING, false, 9, 2, 9 * 512 * KIB},
    {"copy, small", "bulk_copy", 16 * KIB, 0, false, 3, 1, 12 * KIB},
    {"nt_store", "nt_store", 2 * MIB, 0, false, 9, 2, 9 * 512 * KIB},
    {"scan", "scan", 2 * MIB, 0, false, 9, 2, 9 * 512 * KIB},
    {"zstd", "zstd", 256 * KIB, 0, false, 9, 9, 9 * 16 * KIB},
    {"page faults", "page_faults", 256 * KIB, 0, false, 9, 144, 144 * 4 * KIB},
    {"mappings", "mmap_churn", 64 * KIB, 0, false, 9, 27, 27 * 64 * KIB},
    {"switches, futex", "switch_futex", 4 * KIB, 0, false, 9, 54, 0},
    {"switches, pipes", "switch_pipe", 4 * KIB, 0, false, 9, 54, 0},
};
enum { N_WORK_CASES = sizeof work_cases / sizeof work_cases[0] };

/* On a CPU without the instructions a batch is smaller; the known counts are those of the fast one.
 */
static bool has_fast_path(const char *kernel)
{
    if (strncmp(kernel, "crc", 3) == 0)
        return mim_crc32c_best() != mim_crc32c_ref;
    return strcmp(kernel, "simd") != 0 || mim_simd_pass_best() != mim_simd_pass_ref;
}

static void *create(const work_case *c)
{
    const mim_stressor stressor = {.name = c->what,
                                   .kernel = c->kernel,
                                   .is_paced = c->is_paced,
                                   .memory_bytes = c->memory_bytes,
                                   .op_bytes = c->memory_bytes,
                                   .parameter = c->parameter};
    void *state = NULL;

    if (mim_kernel_find(c->kernel)->create(&stressor, &here, &state) != MIM_OK)
        fail_msg("%s: %s", c->what, mim_error());
    assert_non_null(state);
    return state;
}

static void check_ok(const char *what, int rc)
{
    if (rc != MIM_OK)
        fail_msg("%s: %s", what, mim_error());
}

static void test_work_is_as_documented_and_verifies(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_WORK_CASES; i++) {
        const work_case *c = &work_cases[i];
        const mim_kernel *kernel = mim_kernel_find(c->kernel);
        void *state = create(c);
        mim_work work = {.n_ops = 5, .n_bytes = 6};

        check_ok(c->what, kernel->verify(state));
        check_ok(c->what, kernel->run(state, 0, &work));
        assert_int_equal(work.n_ops, 5);
        /* In two calls: what is left of a sweep, a piece or a round goes on in the next one. */
        check_ok(c->what, kernel->run(state, c->n / 2, &work));
        check_ok(c->what, kernel->verify(state));
        check_ok(c->what, kernel->run(state, c->n - c->n / 2, &work));
        if (has_fast_path(c->kernel) &&
            (work.n_ops != c->n_ops + 5 || work.n_bytes != c->n_bytes + 6))
            fail_msg("%s: %llu operations and %llu bytes, expected %llu and %llu", c->what,
                     (unsigned long long)work.n_ops - 5, (unsigned long long)work.n_bytes - 6,
                     (unsigned long long)c->n_ops, (unsigned long long)c->n_bytes);
        check_ok(c->what, kernel->verify(state));
        kernel->destroy(state);
    }
}

static void test_long_runs_verify_at_every_stage(void **unused)
{
    static const struct {
        work_case c;
        size_t n_times, n_batches;
    } runs[] = {
        {{"hash set, all phases", "hashset", 0, 3000, false, 0, 0, 0}, 40, 1},
        {{"hash set of 65536 keys", "hashset", 0, 65536, false, 0, 0, 0}, 9, 73},
        {{"memset over a byte's wrap", "memset", 8 * KIB, 0, false, 0, 0, 0}, 600, 1},
        /* past the sweep that starts the values again, which is sweep 2^20 */
        {{"stream over its restart", "stream", 4 * KIB, 0, false, 0, 0, 0}, 5, 262143},
        {{"simd over its restart", "simd", 12 * KIB, 0, false, 0, 0, 0}, 12, 1},
        {{"crc over its wrap", "crc_extend", 100000, 4096, false, 0, 0, 0}, 10, 3},
        {{"memcpy over its wraps", "memcpy", 300 * KIB, 0, false, 0, 0, 0}, 30, 1},
        {{"memcmp of odd size", "memcmp", 9000001, 0, false, 0, 0, 0}, 30, 3},
        {{"memmove over its wraps", "memmove", 300 * KIB, 0, false, 0, 0, 0}, 30, 1},
        {{"copy, all stages", "bulk_copy", 24 * KIB, 0, false, 0, 0, 0}, 13, 1},
        {{"streaming copy", "bulk_copy", 24 * KIB, MIM_STRESSOR_STREAMING, false, 0, 0, 0}, 13, 1},
        {{"nt_store, all stages", "nt_store", 12 * KIB, 0, false, 0, 0, 0}, 13, 1},
        {{"scan of odd size", "scan", 1100000, 0, false, 0, 0, 0}, 13, 1},
        {{"zstd, all frames", "zstd", 200 * KIB, 0, false, 0, 0, 0}, 13, 1},
        {{"page faults, all pages", "page_faults", 128 * KIB, 0, false, 0, 0, 0}, 13, 1},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        const mim_kernel *kernel = mim_kernel_find(runs[i].c.kernel);
        void *state = create(&runs[i].c);
        mim_work work = {0};

        for (size_t k = 0; k < runs[i].n_times; k++) {
            check_ok(runs[i].c.what, kernel->run(state, runs[i].n_batches, &work));
            check_ok(runs[i].c.what, kernel->verify(state));
        }
        kernel->destroy(state);
    }
}

/* Damaged memory must be seen: after the run, or by the run itself where that is what compares. */
static void test_verification_sees_damage(void **unused)
{
    static const struct {
        work_case c;
        size_t n_damaged;
        unsigned char value;
        size_t n_after; /* batches after the damage */
    } runs[] = {
        {{"crc", "crc_compute", 64 * KIB, 4096, false, 3, 0, 0}, 64 * KIB, 'y', 0},
        {{"crc extend", "crc_extend", 64 * KIB, 4096, false, 3, 0, 0}, 64 * KIB, 'y', 0},
        /* the chain is recomputed by both, but over other bytes than the fill */
        {{"crc, later", "crc_extend", 64 * KIB, 4096, false, 3, 0, 0}, 64 * KIB, 'y', 1},
        {{"memcpy", "memcpy", 64 * KIB, 0, false, 1, 0, 0}, 32 * KIB, 0, 0},
        {{"memcmp", "memcmp", 64 * KIB, 0, false, 1, 0, 0}, 1, 0, 1},
        {{"simd", "simd", 12 * KIB, 0, false, 1, 0, 0}, 4096, 0, 0},
        {{"hash set", "hashset", 0, 2000, false, 1, 0, 0}, 1, 0xff, 0},
        {{"hash set, emptied", "hashset", 0, 2000, false, 1, 0, 0}, 4096, 0x80, 0},
        {{"memset", "memset", 8 * KIB, 0, false, 3, 0, 0}, 1, 0x55, 0},
        {{"stream", "stream", 8 * KIB, 0, false, 3, 0, 0}, 8, 0x3f, 0},
        {{"memmove", "memmove", 64 * KIB, 0, false, 1, 0, 0}, 32 * KIB, 0, 0},
        {{"copy", "bulk_copy", 16 * KIB, 0, false, 3, 0, 0}, 8 * KIB, 0, 0},
        {{"nt_store", "nt_store", 8 * KIB, 0, false, 3, 0, 0}, 1, 0x55, 0},
        {{"scan", "scan", 8 * KIB, 0, false, 3, 0, 0}, 1, 0x55, 0},
        {{"scan, later", "scan", 8 * KIB, 0, false, 3, 0, 0}, 1, 0x55, 2},
        {{"zstd", "zstd", 64 * KIB, 0, false, 3, 0, 0}, 64, 0, 0},
        {{"page faults", "page_faults", 64 * KIB, 0, false, 3, 0, 0}, 1, 0x55, 0},
        {{"mappings", "mmap_churn", 64 * KIB, 0, false, 3, 0, 0}, 1, 0x55, 0},
        {{"switches", "switch_futex", 4 * KIB, 0, false, 3, 0, 0}, 4, 0x55, 2},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        const mim_kernel *kernel = mim_kernel_find(runs[i].c.kernel);
        void *state = create(&runs[i].c);
        mim_work work = {0};

        check_ok(runs[i].c.what, kernel->run(state, runs[i].c.n, &work));
        check_ok(runs[i].c.what, kernel->verify(state));
        if (strcmp(runs[i].c.what, "hash set") == 0) { /* one control byte more or less in use */
            buffer_of(state)[0] ^= 0x80;
        } else {
            memset(buffer_of(state), runs[i].value, runs[i].n_damaged);
        }
        check_ok(runs[i].c.what, kernel->run(state, runs[i].n_after, &work));
        if (kernel->verify(state) != MIM_ECHECK)
            fail_msg("%s: damage was not seen", runs[i].c.what);
        kernel->destroy(state);
    }
}

static void test_same_work_gives_the_same_memory(void **unused)
{
    static const work_case cases[] = {
        {"memcpy", "memcpy", 64 * KIB, 0, false, 5, 0, 64 * KIB / 2},
        {"simd", "simd", 12 * KIB, 0, false, 5, 0, 12 * KIB},
        {"hash set", "hashset", 0, 5000, false, 4, 0, 8192},
        {"stream", "stream", 64 * KIB, 0, false, 21, 0, 64 * KIB},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const mim_kernel *kernel = mim_kernel_find(cases[i].kernel);
        void *one = create(&cases[i]), *two = create(&cases[i]);
        mim_work work_one = {0}, work_two = {0};

        check_ok(cases[i].what, kernel->run(one, cases[i].n, &work_one));
        for (size_t k = 0; k < cases[i].n; k++)
            check_ok(cases[i].what, kernel->run(two, 1, &work_two));
        assert_int_equal(work_one.n_ops, work_two.n_ops);
        assert_int_equal(work_one.n_bytes, work_two.n_bytes);
        assert_memory_equal(buffer_of(one), buffer_of(two), cases[i].n_bytes);
        kernel->destroy(one);
        kernel->destroy(two);
    }
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Worked out with arbitrary-precision integers modulo 2^64. Verification counts on distinct keys.
 */
static void test_hash_set_keys(void **unused)
{
    enum { N = 1048576 };
    uint64_t key = MIM_HASHSET_START, *keys = malloc(N * sizeof *keys);

    (void)unused;
    assert_non_null(keys);
    for (uint64_t i = 0; i < N; i++)
        keys[i] = key = mim_hashset_next(key, i);
    assert_true(keys[0] == UINT64_C(0x404e2800d5a8b785));
    assert_true(keys[1] == UINT64_C(0x82fe1613fbf7bff6));
    assert_true(keys[2] == UINT64_C(0xbdeac09d61e0ff18));
    qsort(keys, N, sizeof *keys, compare_keys);
    for (size_t i = 1; i < N; i++)
        assert_true(keys[i - 1] < keys[i]);
    free(keys);
}

static const work_case misuses[] = {
    {"too small", "crc_compute", 100, 0, false, 0, 0, 0},
    {"too small", "crc_extend", 0, 0, false, 0, 0, 0},
    {"too small", "memcpy", 2047, 0, false, 0, 0, 0},
    {"none", "memcmp", 0, 0, false, 0, 0, 0},
    {"none", "memset", 0, 0, false, 0, 0, 0},
    {"too small", "stream", 4095, 0, false, 0, 0, 0},
    {"no keys", "hashset", 0, 0, false, 0, 0, 0},
    {"only the flag", "hashset", 0, MIM_STRESSOR_ORDERED_KEYS, false, 0, 0, 0},
    {"too many keys", "hashset", 0, 0x7fffffff, false, 0, 0, 0},
    {"more than any machine has", "memset", UINT64_MAX, 0, false, 0, 0, 0},
    {"too small", "memmove", 2047, 0, false, 0, 0, 0},
    {"too small", "bulk_copy", 4096, 0, false, 0, 0, 0},
    {"too small", "nt_store", 4095, 0, false, 0, 0, 0},
    {"too small", "scan", 0, 0, false, 0, 0, 0},
    {"more than any machine has", "scan", UINT64_MAX, 0, false, 0, 0, 0},
    {"too small", "zstd", 16 * KIB, 0, false, 0, 0, 0},
    {"too large", "zstd", UINT64_MAX, 0, false, 0, 0, 0},
    {"no whole batch", "page_faults", 4096, 0, false, 0, 0, 0},
    {"too large", "page_faults", UINT64_MAX / 65536 * 65536, 0, false, 0, 0, 0},
    {"no whole page", "mmap_churn", 4097, 0, false, 0, 0, 0},
    {"nothing", "mmap_churn", 0, 0, false, 0, 0, 0},
    {"no whole page", "net_loopback", 100, 0, true, 0, 0, 0},
    {"nothing", "net_loopback", 0, 0, true, 0, 0, 0},
    {"no scratch", "hdd_file", 4096, 0, true, 0, 0, 0},
    {"no scratch", "fallocate", 4096, 0, true, 0, 0, 0},
    {"no scratch", "readahead", 65536, 0, true, 0, 0, 0},
    {"no scratch", "metadata", 4096, 0, true, 0, 0, 0},
    {"no scratch", "mixed", 4096, 50, true, 0, 0, 0},
    {"no reads", "mixed", 4096, 0, true, 0, 0, 0},
    {"nothing but reads", "mixed", 4096, 100, true, 0, 0, 0},
    {"no scratch", "cache_read", 4096, 0, false, 0, 0, 0},
    {"no scratch", "cache_write", 4096, 0, false, 0, 0, 0},
    {"no scratch", "write_crc", 4096, 15000, true, 0, 0, 0},
    {"no time", "write_crc", 4096, 0, true, 0, 0, 0},
    {"too long", "write_crc", 4096, 0x7fffffff, true, 0, 0, 0},
    {"no scratch", "hdd_read", 4096, 0, true, 0, 0, 0},
    {"no scratch", "hdd_write", 4096, 0, true, 0, 0, 0},
};

static void test_misuse_is_refused(void **unused)
{
    const mim_stressor fine = {.name = "x", .memory_bytes = 1 * MIB, .parameter = 1000};

    (void)unused;
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
        const mim_stressor stressor = {.name = "x",
                                       .memory_bytes = misuses[i].memory_bytes,
                                       .op_bytes = misuses[i].memory_bytes,
                                       .parameter = misuses[i].parameter};
        void *state = NULL;

        if (mim_kernel_find(misuses[i].kernel)->create(&stressor, &here, &state) != MIM_EINVAL)
            fail_msg("%s, %s: taken", misuses[i].kernel, misuses[i].what);
        assert_null(state);
        assert_true(strlen(mim_error()) > 20);
    }
    for (size_t i = 0; i < mim_kernel_count(); i++) {
        const mim_kernel *kernel = mim_kernel_at(i);
        void *state = NULL;

        assert_int_equal(kernel->create(NULL, &here, &state), MIM_EINVAL);
        assert_int_equal(kernel->create(&fine, NULL, &state), MIM_EINVAL);
        assert_int_equal(kernel->create(&fine, &here, NULL), MIM_EINVAL);
        assert_null(state);
    }
}

/* With an argument only the tests whose names match it, such as '*reference*' under valgrind. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_has_every_kernel_of_the_catalogue),
        cmocka_unit_test(test_crc32c_known_answers),
        cmocka_unit_test(test_crc32c_equals_reference_at_every_length_and_alignment),
        cmocka_unit_test(test_simd_pass_equals_reference),
        cmocka_unit_test(test_stream_sweep_equals_reference),
        cmocka_unit_test(test_nt_store_equals_reference),
        cmocka_unit_test(test_scan_equals_reference),
        cmocka_unit_test(test_streaming_copy_equals_reference),
        cmocka_unit_test(test_random_fill_is_random),
        cmocka_unit_test(test_work_is_as_documented_and_verifies),
        cmocka_unit_test(test_long_runs_verify_at_every_stage),
        cmocka_unit_test(test_verification_sees_damage),
        cmocka_unit_test(test_same_work_gives_the_same_memory),
        cmocka_unit_test(test_hash_set_keys),
        cmocka_unit_test(test_misuse_is_refused),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
