/* plan/actions and the stressor catalogue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan/actions.h"

static char path[256];

static const char *file_with(const char *text, size_t n)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/mimesys-test-actions-XXXXXX", base ? base : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
    return path;
}

/* ---- the catalogue, against the published table ---------------------------------------------- */

static const struct {
    const char *name; /* without BM_ */
    const char *kernel;
    int is_io;
    uint32_t sleep_us, cost_us;
    uint64_t memory_kib, file_kib, shared_kib;
} published[20] = {
    {"HASHING_Computecrc32c_Fleet_cold", "crc_compute", 0, 0, 5000, 262144, 0, 0},
    {"LIBC_Memcpy_Fleet_L1", "memcpy", 0, 0, 5000, 64, 0, 0},
    {"LIBC_Memcpy_Fleet_L2", "memcpy", 0, 0, 5000, 1024, 0, 0},
    {"LIBC_Memcmp_Fleet_LLC", "memcmp", 0, 0, 5000, 24576, 0, 0},
    {"SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false", "simd",
     0, 0, 5000, 12, 0, 0},
    {"SWISSMAP_InsertMiss_Cold<::absl::flat_hash_set, 64>/set_size:262144/density:0", "hashset", 0,
     0, 5000, 4608, 0, 0},
    {"SWISSMAP_InsertMiss_Cold<::absl::node_hash_set, 64>/set_size:32768/density:0", "hashset", 0,
     0, 5000, 576, 0, 0},
    {"SWISSMAP_InsertManyOrdered_Cold<::absl::flat_hash_set, 64>/set_size:1048576/density:1",
     "hashset", 0, 0, 5000, 18432, 0, 0},
    {"STRESS_NG_HddRead_1MB_NoSleep", "hdd_read", 1, 0, 5000, 1024, 0, 262144},
    {"STRESS_NG_HddRead_1MB_WeightScaled_50ms", "hdd_read", 1, 50000, 50000, 1024, 0, 262144},
    {"STRESS_NG_HddRead_256KB_WeightScaled_500ms", "hdd_read", 1, 500000, 500000, 256, 0, 262144},
    {"STRESS_NG_HddWriteNF_1MB_BurstScaled", "hdd_write", 1, 0, 5000, 1024, 65536, 0},
    {"STRESS_NG_HddWriteNF_1MB_WeightScaled_50ms", "hdd_write", 1, 50000, 50000, 1024, 65536, 0},
    {"STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms", "hdd_write", 1, 25000, 25000, 1024, 65536, 0},
    {"STRESS_NG_HddWriteNF_256KB_WeightScaled_500ms", "hdd_write", 1, 500000, 500000, 256, 65536,
     0},
    {"DIRECTMEMSET_32MB_NoSleep", "memset", 0, 0, 5000, 32768, 0, 0},
    {"DIRECTMEMSET_32MB_WeightScaled_50ms", "memset", 1, 50000, 50000, 32768, 0, 0},
    {"DIRECTSTREAMSIMD_32MB_NoSleep", "stream", 0, 0, 5000, 32768, 0, 0},
    {"DIRECTSTREAMSIMD_8MB_NoSleep", "stream", 0, 0, 5000, 8192, 0, 0},
    {"HASHING_Extendcrc32c_Fleet_L3_16MB", "crc_extend", 0, 0, 5000, 16384, 0, 0},
};

static void test_default_list_is_the_published_one(void **state)
{
    (void)state;
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_actions_n(actions), 20);
    for (size_t i = 0; i < 20; i++) {
        const mim_stressor *s = mim_actions_stressor(actions, i);
        assert_non_null(s);
        assert_string_equal(mim_actions_name(actions, i), s->name);
        assert_memory_equal(s->name, "BM_", 3);
        assert_string_equal(s->name + 3, published[i].name);
        assert_string_equal(s->kernel, published[i].kernel);
        assert_int_equal(s->is_paced, published[i].is_io);
        assert_int_equal(s->sleep_us, published[i].sleep_us);
        assert_int_equal(s->cost_us, published[i].cost_us);
        assert_int_equal(s->memory_bytes, published[i].memory_kib * 1024);
        assert_int_equal(s->file_bytes, published[i].file_kib * 1024);
        assert_int_equal(s->shared_file_bytes, published[i].shared_kib * 1024);
        assert_int_equal(s->stress_class == MIM_STRESS_READ, strcmp(s->kernel, "hdd_read") == 0);
        assert_int_equal(s->stress_class == MIM_STRESS_WRITE, strcmp(s->kernel, "hdd_write") == 0);
        assert_true(s->pressure && s->pressure[0]);
    }
    assert_int_equal(mim_actions_stressor(actions, 0)->parameter, 64 * 1024);
    assert_int_equal(mim_actions_stressor(actions, 5)->parameter, 262144);
    assert_int_equal(mim_actions_stressor(actions, 7)->parameter,
                     1048576u | MIM_STRESSOR_ORDERED_KEYS);
    assert_int_equal(mim_actions_stressor(actions, 19)->parameter, 32 * 1024);
    assert_null(mim_actions_name(actions, 20));
    assert_null(mim_actions_stressor(actions, 20));
    mim_actions_destroy(&actions);
    assert_null(actions);
}

static void test_hash_tables_hold_their_keys(void **state)
{
    (void)state; /* load at most 7/8 of a power of two of slots of 9 bytes, the smallest such */
    for (size_t i = 0; i < mim_stressor_count(); i++) {
        const mim_stressor *s = mim_stressor_at(i);
        if (strcmp(s->kernel, "hashset") != 0)
            continue;
        uint64_t slots = s->memory_bytes / 9, keys = s->parameter & ~MIM_STRESSOR_ORDERED_KEYS;
        assert_int_equal(slots & (slots - 1), 0);
        assert_true(keys * 8 <= slots * 7);
        assert_true(keys * 8 > slots / 2 * 7);
        char size[32];
        snprintf(size, sizeof size, "set_size:%u/", (unsigned)keys);
        assert_non_null(strstr(s->name, size));
        assert_int_equal(!!strstr(s->name, "Ordered"),
                         !!(s->parameter & MIM_STRESSOR_ORDERED_KEYS));
    }
}

static void test_catalogue_names_are_unique_and_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < mim_stressor_count(); i++)
        assert_ptr_equal(mim_stressor_find(mim_stressor_at(i)->name), mim_stressor_at(i));
    assert_null(mim_stressor_find("BM_nothing"));
    assert_null(mim_stressor_find(NULL));
    assert_null(mim_stressor_at(mim_stressor_count()));
}

static void test_older_lists(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        size_t n;
        size_t index;
        const char *name;
        const char *kernel;
    } cases[] = {
        {"19", 19, 18, "BM_DIRECTSTREAMSIMD_8MB_NoSleep", "stream"},
        {"13", 13, 0, "BM_COMPRESSION_ZSTD_DECOMPRESS_Fleet/compression_level:0/window_log:0",
         "zstd"},
        {"13", 13, 1, "BM_HASHING_Extendcrc32cinternal_Fleet_cold", "crc_extend"},
        {"13", 13, 12, "BM_STRESS_NG_Hdd_1MB", "hdd_file"},
        {"13b", 13, 9, "BM_STRESS_NG_HddRead_256KB_NoSleep", "hdd_read"},
        {"13b", 13, 12, "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled", "hdd_write"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mim_actions *actions = NULL;
        assert_int_equal(mim_actions_open(cases[c].word, &actions), MIM_OK);
        assert_int_equal(mim_actions_n(actions), cases[c].n);
        assert_string_equal(mim_actions_name(actions, cases[c].index), cases[c].name);
        for (size_t i = 0; i < cases[c].n; i++)
            assert_non_null(mim_actions_stressor(actions, i));
        assert_string_equal(mim_actions_stressor(actions, cases[c].index)->kernel, cases[c].kernel);
        assert_int_equal(mim_actions_find(actions, cases[c].name), cases[c].index);
        mim_actions_destroy(&actions);
    }
}

static void test_extended_list(void **state)
{
    (void)state;
    mim_actions *actions = NULL, *file = NULL;
    assert_int_equal(mim_actions_open("extended", &actions), MIM_OK);
    size_t n = mim_actions_n(actions);
    assert_true(n > 80);
    for (size_t i = 0; i < n; i++) {
        const mim_stressor *s = mim_actions_stressor(actions, i);
        assert_true(s->kernel[0] != 0);
        if (i < 20)
            assert_string_equal(s->name + 3, published[i].name);
        for (size_t k = 0; k < i; k++) /* columns that no measurement could tell apart */
            if (mim_stressor_is_same_operation(mim_actions_stressor(actions, k), s) &&
                mim_actions_stressor(actions, k)->sleep_us == s->sleep_us)
                fail_msg("%s and %s are the same", mim_actions_name(actions, k), s->name);
    }
    /* what it leaves out is in it under another name, or has no kernel */
    for (size_t i = 0; i < mim_stressor_count(); i++) {
        const mim_stressor *s = mim_stressor_at(i);
        bool is_there = !s->kernel[0];
        for (size_t k = 0; k < n; k++)
            is_there =
                is_there || mim_stressor_is_same_operation(mim_actions_stressor(actions, k), s);
        if (!is_there)
            fail_msg("%s is not in the extended list", s->name);
    }
    assert_int_equal(mim_actions_read("ini/actions-extended.txt", &file), MIM_OK);
    assert_int_equal(mim_actions_hash(file), mim_actions_hash(actions));
    mim_actions_destroy(&file);
    mim_actions_destroy(&actions);
}

/* ---- fitting to a node ----------------------------------------------------------------------- */

static const char copy_l1[] = "BM_LIBC_Memcpy_Fleet_L1", own_l1[] = "MIM_COPY_L1",
                  peer[] = "MIM_NETWORK_PEER_256KB";

static uint64_t memory_of(const mim_actions *actions, const char *name)
{
    return mim_actions_stressor(actions, mim_actions_find(actions, name))->memory_bytes;
}

static const char *peer_of(const mim_actions *actions, const char *name)
{
    return mim_actions_stressor(actions, mim_actions_find(actions, name))->network_peer;
}

static void test_fit(void **state)
{
    (void)state;
    assert_int_equal(mim_actions_check_sizes("original"), MIM_OK);
    assert_int_equal(mim_actions_check_sizes("node"), MIM_OK);
    assert_int_equal(mim_actions_check_sizes("Node"), MIM_EDATA);
    mim_actions *actions = NULL, *copy = NULL, *part = NULL;
    const char *const names[] = {copy_l1, "BM_nobody", own_l1, peer};
    char host[] = "somewhere:9";
    mim_actions_node node = {.caches = {.l1d_bytes = 48 * 1024}, .network_peer = host};
    assert_int_equal(mim_actions_from_names(4, names, &actions), MIM_OK);
    assert_int_equal(memory_of(actions, own_l1), 32 * 1024);
    assert_string_equal(mim_actions_sizes(actions), "original");
    assert_int_equal(mim_actions_fit(actions, &node), MIM_OK);
    host[0] = 'S'; /* was copied */
    assert_string_equal(mim_actions_sizes(actions), "original");
    assert_int_equal(memory_of(actions, own_l1), 24 * 1024);
    assert_int_equal(memory_of(actions, copy_l1), 64 * 1024);
    assert_null(mim_actions_stressor(actions, 1));
    assert_string_equal(peer_of(actions, peer), "somewhere:9");
    assert_null(peer_of(actions, copy_l1));
    node.sizes_all = true;
    assert_int_equal(mim_actions_fit(actions, &node), MIM_OK);
    assert_string_equal(mim_actions_sizes(actions), "node");
    assert_int_equal(memory_of(actions, copy_l1), 24 * 1024);
    /* the catalogue and other lists are as they were */
    assert_int_equal(mim_stressor_find(copy_l1)->memory_bytes, 64 * 1024);
    /* copies and parts fit the same node */
    const size_t columns[] = {3, 0};
    assert_int_equal(mim_actions_copy(actions, &copy), MIM_OK);
    assert_int_equal(mim_actions_subset(actions, 2, columns, &part), MIM_OK);
    mim_actions_destroy(&actions);
    assert_int_equal(memory_of(copy, copy_l1), 24 * 1024);
    assert_string_equal(peer_of(copy, peer), "Somewhere:9");
    assert_string_equal(mim_actions_sizes(copy), "node");
    assert_int_equal(mim_actions_n(part), 2);
    assert_string_equal(mim_actions_name(part, 0), peer);
    assert_string_equal(peer_of(part, peer), "Somewhere:9");
    assert_int_equal(memory_of(part, copy_l1), 24 * 1024);
    /* and can be fitted again, to no peer */
    node = (mim_actions_node){.caches = {.l1d_bytes = 32 * 1024}, .network_peer = ""};
    assert_int_equal(mim_actions_fit(part, &node), MIM_OK);
    assert_null(peer_of(part, peer));
    assert_int_equal(memory_of(part, copy_l1), 64 * 1024);
    mim_actions_destroy(&part);
    const size_t beyond[] = {4};
    assert_int_equal(mim_actions_subset(copy, 1, beyond, &part), MIM_EINVAL);
    assert_int_equal(mim_actions_subset(copy, 0, beyond, &part), MIM_EDATA);
    assert_null(part);
    mim_actions_destroy(&copy);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void test_list_files(void **state)
{
    (void)state;
#define TEXT(literal) literal, sizeof literal - 1
    static const struct {
        const char *text;
        size_t n_bytes, n;
        int rc;
        const char *says;
    } cases[] = {
        {TEXT("a\nb\n"), 2, MIM_OK, ""},
        {TEXT("# comment\n\n  \r\na\r\n\tb c \n#x\nlast"), 3, MIM_OK, ""},
        {TEXT("BM_LIBC_Memcpy_Fleet_L1"), 1, MIM_OK, ""},
        {TEXT(""), 0, MIM_EDATA, "0 names"},
        {TEXT("# only\n\n"), 0, MIM_EDATA, "0 names"},
        {TEXT("a\nb\na\n"), 0, MIM_EDATA, "a stands there twice"},
        {TEXT("a\0b\n"), 0, MIM_EDATA, "not a text"},
        {TEXT("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
              "xx"
              "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"),
         0, MIM_EDATA, "name 1 has 1"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mim_actions *actions = NULL;
        file_with(cases[c].text, cases[c].n_bytes);
        assert_int_equal(mim_actions_open(path, &actions), cases[c].rc);
        if (cases[c].rc == MIM_OK) {
            assert_int_equal(mim_actions_n(actions), cases[c].n);
        } else {
            assert_null(actions);
            assert_non_null(strstr(mim_error(), cases[c].says));
            assert_non_null(strstr(mim_error(), path));
        }
        mim_actions_destroy(&actions);
        unlink(path);
    }
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_open("/nonexistent/list", &actions), MIM_EIO);
    assert_int_equal(mim_actions_builtin("21", &actions), MIM_EUSAGE);
    assert_int_equal(mim_actions_open("/tmp", &actions), MIM_EIO);
    assert_null(actions);
}

static void test_names_beyond_the_catalogue_have_no_stressor(void **state)
{
    (void)state;
    static const char *const names[] = {"BM_mine", "BM_LIBC_Memcpy_Fleet_L1"};
    mim_actions *actions = NULL, *copy = NULL;
    assert_int_equal(mim_actions_from_names(2, names, &actions), MIM_OK);
    assert_null(mim_actions_stressor(actions, 0));
    assert_non_null(mim_actions_stressor(actions, 1));
    assert_int_equal(mim_actions_find(actions, "nothing"), SIZE_MAX);
    assert_int_equal(mim_actions_copy(actions, &copy), MIM_OK);
    assert_int_equal(mim_actions_hash(copy), mim_actions_hash(actions));
    mim_actions_destroy(&copy);
    mim_actions_destroy(&actions);
    static const char *const empty[] = {""};
    assert_int_equal(mim_actions_from_names(1, empty, &actions), MIM_EDATA);
    assert_int_equal(mim_actions_from_names(0, empty, &actions), MIM_EDATA);
}

static void test_hash_is_fnv_1a_and_tells_lists_apart(void **state)
{
    (void)state;
    static const char *const a[] = {"a"}, *const ab[] = {"ab"}, *const a_b[] = {"a", "b"};
    mim_actions *one = NULL, *joined = NULL, *two = NULL;
    assert_int_equal(mim_actions_from_names(1, a, &one), MIM_OK);
    assert_int_equal(mim_actions_from_names(1, ab, &joined), MIM_OK);
    assert_int_equal(mim_actions_from_names(2, a_b, &two), MIM_OK);
    /* published 64-bit FNV-1a of "a\n" is that of "a" (af63dc4c8601ec8c) continued by one byte */
    assert_int_equal(mim_actions_hash(one),
                     (UINT64_C(0xaf63dc4c8601ec8c) ^ '\n') * UINT64_C(0x100000001b3));
    assert_int_not_equal(mim_actions_hash(joined), mim_actions_hash(two));
    mim_actions_destroy(&one);
    mim_actions_destroy(&joined);
    mim_actions_destroy(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_list_is_the_published_one),
        cmocka_unit_test(test_hash_tables_hold_their_keys),
        cmocka_unit_test(test_catalogue_names_are_unique_and_known),
        cmocka_unit_test(test_older_lists),
        cmocka_unit_test(test_extended_list),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_list_files),
        cmocka_unit_test(test_names_beyond_the_catalogue_have_no_stressor),
        cmocka_unit_test(test_hash_is_fnv_1a_and_tells_lists_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
