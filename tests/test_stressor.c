/* plan/stressor: the original's 66 direct names, what their names say against what the catalogue
 * does, and working sets for other caches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/actions.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define N_OF(array) (sizeof(array) / sizeof *(array))

/* ---- names ----------------------------------------------------------------------------------- */

/* Without BM_; the default list of 20 holds the others. */
static const char *const direct_names[] = {
    "HASHING_Extendcrc32cinternal_Fleet_cold",
    "HASHING_Extendcrc32c_Fleet_L2_1MB",
    "LIBC_Memmove_Fleet_LLC",
    "LIBC_Memcmp_Fleet_L2",
    "SIMD_SerialDistanceComputation/num_blocks:512/enable_avx512:false/flush_cache:false",
    "SWISSMAP_InsertMiss_Cold<::absl::flat_hash_set, 64>/set_size:1048576/density:0",
    "SWISSMAP_InsertManyOrdered_Cold<::absl::flat_hash_set, 64>/set_size:262144/density:1",
    "SWISSMAP_InsertManyOrdered_Cold<::absl::node_hash_set, 64>/set_size:1048576/density:1",
    "STRESS_NG_Readahead",
    "STRESS_NG_Fallocate_4MB",
    "STRESS_NG_Fallocate_256KB",
    "STRESS_NG_Hdd_1MB",
    "STRESS_NG_Hdd_64KB",
    "STRESS_NG_Hdd_1MB_Throttled_50ms",
    "STRESS_NG_Hdd_16KB_Throttled_5ms",
    "STRESS_NG_Hdd_4KB_Throttled_10ms",
    "STRESS_NG_Hdd_4KB_WeightScaled_10ms",
    "STRESS_NG_Hdd_16KB_WeightScaled_5ms",
    "STRESS_NG_Hdd_256KB_WeightScaled_50ms",
    "STRESS_NG_Hdd_1MB_WeightScaled_50ms",
    "STRESS_NG_HddRead_1MB_WeightScaled_200ms",
    "STRESS_NG_HddRead_256KB_NoSleep",
    "STRESS_NG_HddRead_256KB_WeightScaled_50ms",
    "STRESS_NG_HddRead_64KB_WeightScaled_500ms",
    "STRESS_NG_HddWriteNF_256KB_NoSleep",
    "STRESS_NG_HddWriteNF_256KB_BurstScaled",
    "STRESS_NG_HddWriteNF_256KB_WeightScaled_50ms",
    "STRESS_NG_HddWriteNF_1MB_NoSleep",
    "STRESS_NG_HddWriteNF_1MB_WeightScaled_10ms",
    "STRESS_NG_HddWriteNF_1MB_WeightScaled_100ms",
    "STRESS_NG_HddWriteNF_64KB_WeightScaled_500ms",
    "STRESS_NG_HddWriteNF_2MB_WeightScaled_50ms",
    "STRESS_NG_HddWriteNF_4MB_WeightScaled_50ms",
    "STRESS_NG_HddWriteCRC_1MB_15ms",
    "STRESS_NG_HddWriteCRC_1MB_30ms",
    "STRESS_NG_HddWriteCRC_1MB_50ms",
    "STRESS_NG_HddWriteD_1MB_WeightScaled_50ms",
    "STRESS_NG_HddWriteD_1MB_WeightScaled_25ms",
    "STRESS_NG_HddWriteD_1MB_WeightScaled_0ms",
    "DIRECTSTREAMSIMD_4MB_NoSleep",
    "DIRECTMEMCPY_8MB_NoSleep",
    "DIRECTMEMCPY_32MB_NoSleep",
    "DIRECTNTSTORE_8MB_NoSleep",
    "DIRECTNTSTORE_32MB_NoSleep",
    "DIRECTSCAN_8MB_NoSleep",
    "DIRECTSCAN_32MB_NoSleep",
};
enum { N_DEFAULT = 20, N_DIRECT = 66 };

/* The i-th of the 66. */
static const mim_stressor *direct_at(size_t i)
{
    char name[160];
    const mim_stressor *stressor;
    if (i < N_DEFAULT)
        return mim_stressor_at(i);
    snprintf(name, sizeof name, "BM_%s", direct_names[i - N_DEFAULT]);
    if (!(stressor = mim_stressor_find(name)))
        fail_msg("%s: not in the catalogue", name);
    return stressor;
}

static void test_direct_names_have_kernels(void **state)
{
    (void)state;
    size_t n_prepared = 0;
    assert_int_equal(N_DEFAULT + N_OF(direct_names), N_DIRECT);
    for (size_t i = 0; i < N_DIRECT; i++) {
        const mim_stressor *s = direct_at(i);
        if (!s->kernel[0])
            fail_msg("%s: has no kernel", s->name);
        n_prepared += strstr(s->name, "HddRead") || strstr(s->name, "HddWriteNF") ||
                      strstr(s->name, "WeightScaled");
    }
    /* The original prepares those of the 66 that hold one of three words: 28. */
    assert_int_equal(n_prepared, 28);
}

/* "_1MB" in a name, in bytes; 0 when there is none. */
static uint64_t size_in(const char *name)
{
    for (const char *at = name; (at = strchr(at, '_')); at++) {
        char unit = 0, end = 0;
        unsigned n = 0;
        if (sscanf(at, "_%u%c%c", &n, &unit, &end) == 3 && end == 'B')
            return unit == 'K' ? n * KIB : unit == 'M' ? n * MIB : 0;
    }
    return 0;
}

/* "_50ms" in a name, in microseconds; 0 when there is none. */
static uint32_t pause_in(const char *name)
{
    for (const char *at = name; (at = strchr(at, '_')); at++) {
        char m = 0, s = 0;
        unsigned n = 0;
        if (sscanf(at, "_%u%c%c", &n, &m, &s) == 3 && m == 'm' && s == 's')
            return n * 1000;
    }
    return 0;
}

static void test_names_say_what_is_done(void **state)
{
    (void)state;
    size_t n_sizes = 0, n_pauses = 0;
    for (size_t i = 0; i < mim_stressor_count(); i++) {
        const mim_stressor *s = mim_stressor_at(i);
        uint64_t bytes = size_in(s->name);
        bool is_crc = strcmp(s->kernel, "write_crc") == 0;
        uint64_t own = strcmp(s->kernel, "bulk_copy") == 0 ? s->op_bytes / 2 : s->op_bytes;
        if (bytes > 0 && bytes != own)
            fail_msg("%s: %llu bytes", s->name, (unsigned long long)own);
        if (pause_in(s->name) != (is_crc ? s->parameter : s->sleep_us))
            fail_msg("%s: sleeps %u us", s->name, (unsigned)s->sleep_us);
        /* "equals the kernel's own sleep time, or 5000 for kernels without sleep" */
        if (s->cost_us != (s->sleep_us > 0 ? s->sleep_us : 5000))
            fail_msg("%s: costs %u us", s->name, (unsigned)s->cost_us);
        n_sizes += bytes > 0;
        n_pauses += pause_in(s->name) > 0;
    }
    assert_true(n_sizes > 50);
    assert_true(n_pauses > 20);
}

static void test_own_names_are_marked(void **state)
{
    (void)state;
    for (size_t i = 0; i < mim_stressor_count(); i++) {
        const mim_stressor *s = mim_stressor_at(i);
        bool is_own = strncmp(s->name, "MIM_", 4) == 0;
        assert_true(is_own || strncmp(s->name, "BM_", 3) == 0);
        assert_true(strlen(s->name) < 128); /* the room a calibration has for it */
        assert_int_equal(s->is_own_size, is_own && s->level != MIM_LEVEL_NONE);
        assert_null(s->network_peer);
    }
}

static void test_read_shares(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double share; /* NAN: asks for no known number of bytes of a device */
    } cases[] = {
        {"BM_STRESS_NG_HddRead_1MB_NoSleep", 1},    {"BM_STRESS_NG_Readahead", 1},
        {"BM_STRESS_NG_HddWriteNF_1MB_NoSleep", 0}, {"BM_STRESS_NG_Hdd_4KB_Throttled_10ms", 0},
        {"MIM_IO_MIXED_1MB_R70W30", 0.7},           {"MIM_IO_MIXED_64KB_R50W50", 0.5},
        {"BM_STRESS_NG_Fallocate_4MB", NAN},        {"MIM_METADATA_32FILES", NAN},
        {"MIM_NETWORK_LOOPBACK_256KB", NAN},        {"MIM_PAGECACHE_WRITE_64KB", NAN},
        {"BM_LIBC_Memcpy_Fleet_L1", NAN},           {"BM_DIRECTMEMSET_32MB_WeightScaled_50ms", NAN},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        double share = mim_stressor_read_share(mim_stressor_find(cases[i].name));
        if (isnan(cases[i].share) ? !isnan(share) : share != cases[i].share)
            fail_msg("%s: %g", cases[i].name, share);
    }
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static const mim_caches zen5 = {48 * KIB, 1 * MIB, 32 * MIB, 1};
static const mim_caches shared8 = {32 * KIB, 512 * KIB, 32 * MIB, 8};
static const mim_caches skylake = {32 * KIB, 1 * MIB, 13 * MIB + 768 * KIB, 10};
static const mim_caches no_l3 = {64 * KIB, 1 * MIB, 0, 0};
static const mim_caches unknown = {0, 0, 0, 0};

static void test_working_sets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const mim_caches *caches;
        uint64_t memory_kib;
    } cases[] = {
        {"BM_LIBC_Memcpy_Fleet_L1", &zen5, 24},
        {"BM_LIBC_Memcpy_Fleet_L2", &zen5, 512},
        {"BM_LIBC_Memcmp_Fleet_L2", &zen5, 512},
        {"BM_LIBC_Memcmp_Fleet_LLC", &zen5, 16 * 1024},
        {"BM_LIBC_Memmove_Fleet_LLC", &zen5, 16 * 1024},
        {"BM_DIRECTMEMSET_32MB_NoSleep", &zen5, 128 * 1024},
        {"BM_DIRECTSCAN_32MB_NoSleep", &zen5, 128 * 1024},
        {"BM_DIRECTSTREAMSIMD_8MB_NoSleep", &zen5, 16 * 1024},
        {"BM_DIRECTMEMSET_32MB_WeightScaled_50ms", &zen5, 128 * 1024},
        {"MIM_COPY_L1", &zen5, 24},
        {"MIM_COPY_LLC", &zen5, 16 * 1024},
        {"MIM_COPY_DRAM", &zen5, 128 * 1024},
        /* the walks touch half of the lines: the set is twice as long */
        {"BM_HASHING_Extendcrc32c_Fleet_L2_1MB", &zen5, 1024},
        {"BM_HASHING_Extendcrc32c_Fleet_L3_16MB", &zen5, 32 * 1024},
        {"BM_HASHING_Computecrc32c_Fleet_cold", &zen5, 256 * 1024},
        /* a core's share of 4 MiB; but not less than twice L2 */
        {"MIM_LOAD_LLC", &shared8, 4 * 1024},
        {"MIM_LOAD_LLC", &skylake, 2 * 1024},
        {"MIM_LOAD_DRAM", &skylake, 128 * 1024}, /* four caches are less than the catalogue's */
        {"BM_DIRECTSCAN_32MB_NoSleep", &skylake, 55 * 1024},
        {"MIM_LOAD_LLC", &no_l3, 8 * 1024}, /* unknown: as it was */
        {"BM_DIRECTSCAN_32MB_NoSleep", &no_l3, 32 * 1024},
        {"BM_LIBC_Memcpy_Fleet_L1", &no_l3, 32},
        {"BM_LIBC_Memcpy_Fleet_L1", &unknown, 64},
        {"BM_LIBC_Memcpy_Fleet_L2", &unknown, 1024},
        {"MIM_COPY_DRAM", &unknown, 128 * 1024},
        {"BM_HASHING_Computecrc32c_Fleet_cold", &unknown, 256 * 1024},
        /* no level: whatever the caches */
        {"BM_DIRECTSTREAMSIMD_4MB_NoSleep", &zen5, 4 * 1024},
        {"MIM_PAGE_FAULTS", &zen5, 4 * 1024},
        {"BM_STRESS_NG_HddRead_1MB_NoSleep", &zen5, 1024},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const mim_stressor *plain = mim_stressor_find(cases[i].name);
        mim_stressor sized;
        mim_stressor_sized(plain, cases[i].caches, &sized);
        if (sized.memory_bytes != cases[i].memory_kib * KIB)
            fail_msg("%zu: %s: %llu KiB, expected %llu", i, cases[i].name,
                     (unsigned long long)(sized.memory_bytes / KIB),
                     (unsigned long long)cases[i].memory_kib);
        assert_string_equal(sized.name, plain->name);
        assert_int_equal(sized.sleep_us, plain->sleep_us);
        if (plain->is_paced)
            assert_int_equal(sized.op_bytes, plain->op_bytes);
    }
}

static void test_sets_fit_their_level_and_not_the_one_below(void **state)
{
    (void)state;
    static const mim_caches *const nodes[] = {&zen5, &shared8, &skylake};
    for (size_t n = 0; n < N_OF(nodes); n++)
        for (size_t i = 0; i < mim_stressor_count(); i++) {
            const mim_caches *c = nodes[n];
            const mim_stressor *plain = mim_stressor_at(i);
            mim_stressor s;
            mim_stressor_sized(plain, c, &s);
            /* of the CRC walks half is touched */
            uint64_t set = s.memory_bytes / (strncmp(s.kernel, "crc_", 4) == 0 ? 2 : 1);
            bool fits = s.level == MIM_LEVEL_NONE ||
                        (s.level == MIM_LEVEL_L1 && set < c->l1d_bytes) ||
                        (s.level == MIM_LEVEL_L2 && set > c->l1d_bytes && set < c->l2_bytes) ||
                        (s.level == MIM_LEVEL_LLC && set > c->l2_bytes && set < c->llc_bytes) ||
                        (s.level == MIM_LEVEL_DRAM && set >= 4 * c->llc_bytes);
            if (!fits)
                fail_msg("%s: %llu KiB", s.name, (unsigned long long)(set / KIB));
        }
}

/* Distinct 64-byte lines that one pass of a CRC walk touches. */
static uint64_t touched_bytes(uint64_t n_bytes, uint64_t stride)
{
    unsigned char *lines = calloc(n_bytes / 64, 1);
    uint64_t n = 0;
    assert_non_null(lines);
    for (uint64_t start = 0, k = 0; start + (UINT64_C(16) << k % 8) < n_bytes; start += stride, k++)
        for (uint64_t at = start / 64; at <= (start + (UINT64_C(16) << k % 8) - 1) / 64; at++)
            lines[at] = 1;
    for (uint64_t i = 0; i < n_bytes / 64; i++)
        n += lines[i];
    free(lines);
    return 64 * n;
}

/* The original's walk over 256 MiB returns to some 2 MiB of lines; a sized one leaves the cache. */
static void test_crc_walks_touch_their_level(void **state)
{
    (void)state;
    static const char *const names[] = {"BM_HASHING_Computecrc32c_Fleet_cold",
                                        "BM_HASHING_Extendcrc32c_Fleet_L3_16MB",
                                        "BM_HASHING_Extendcrc32c_Fleet_L2_1MB"};
    uint64_t touched[3];
    for (size_t i = 0; i < 3; i++) {
        mim_stressor s;
        mim_stressor_sized(mim_stressor_find(names[i]), &shared8, &s);
        touched[i] = touched_bytes(s.memory_bytes, s.parameter);
        assert_true(fabs((double)touched[i] / (double)s.memory_bytes - 0.5) < 0.01);
    }
    assert_true(touched[0] > 3 * shared8.llc_bytes);
    assert_true(touched[1] > shared8.l2_bytes && touched[1] < shared8.llc_bytes);
    assert_true(touched[2] > shared8.l1d_bytes && touched[2] < shared8.l2_bytes);
    const mim_stressor *plain = mim_stressor_find(names[0]);
    assert_true(touched_bytes(plain->memory_bytes, plain->parameter) < 3 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct_names_have_kernels),
        cmocka_unit_test(test_names_say_what_is_done),
        cmocka_unit_test(test_own_names_are_marked),
        cmocka_unit_test(test_read_shares),
        cmocka_unit_test(test_working_sets),
        cmocka_unit_test(test_sets_fit_their_level_and_not_the_one_below),
        cmocka_unit_test(test_crc_walks_touch_their_level),
    };
    return cmocka_run_group_tests_name("stressors", tests, NULL, NULL);
}
