/* Kernels at part of their size: bytes of an operation by the duty, memory and files verified at
 * every change of it, damage still seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/kernel_family.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define MIB (UINT64_C(1) << 20)

static const double duties[] = {1.0, 0.3, 0.0001, 0.7, 0.2, 1.0, 0.5, 0.00499};

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t n_bytes, unit_bytes;
        double duty;
        uint64_t scaled;
    } table[] = {
        {MIB, 4096, 1.0, MIB},         {MIB, 4096, 0.5, MIB / 2}, {MIB, 4096, 0.005, 4096},
        {MIB, 4096, 0.0, 4096},        {MIB, 4096, 0.01, 8192}, /* 10485 rounded down */
        {MIB, 4096, 2.0, MIB},         {4096, 4096, 0.9, 4096},   {32 * MIB, 4096, 0.25, 8 * MIB},
        {32 * MIB, MIB, 0.2, 6 * MIB},
    };
    for (size_t i = 0; i < N_OF(table); i++)
        assert_int_equal(mim_kernel_scaled(table[i].n_bytes, table[i].unit_bytes, table[i].duty),
                         table[i].scaled);
    assert_null(mim_kernel_crc_compute.scale);
    assert_null(mim_kernel_simd.scale);
}

/* One whole operation, however many batches that takes; gives its bytes. */
static uint64_t operate(const mim_kernel *kernel, void *kernel_state)
{
    mim_work work = {0};
    while (work.n_ops == 0)
        assert_int_equal(kernel->run(kernel_state, 1, &work), MIM_OK);
    assert_int_equal(work.n_ops, 1);
    return work.n_bytes;
}

static void check_kernel(const mim_kernel *kernel, const mim_stressor *stressor,
                         mim_scratch *scratch, uint64_t full_bytes, uint64_t unit_bytes)
{
    void *state = NULL;
    const mim_kernel_place place = {.scratch = scratch, .seed = 1};
    assert_non_null(kernel->scale);
    assert_int_equal(kernel->create(stressor, &place, &state), MIM_OK);
    assert_int_equal(operate(kernel, state), full_bytes); /* never scaled: as ever */
    assert_int_equal(kernel->verify(state), MIM_OK);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < N_OF(duties); i++) {
            assert_int_equal(kernel->scale(state, duties[i]), MIM_OK);
            for (size_t k = 0; k <= round; k++)
                assert_int_equal(operate(kernel, state),
                                 mim_kernel_scaled(full_bytes, unit_bytes, duties[i]));
            assert_int_equal(kernel->verify(state), MIM_OK);
        }
    }
    kernel->destroy(state);
}

static void test_memset(void **state)
{
    (void)state;
    for (int is_paced = 0; is_paced < 2; is_paced++) {
        const mim_stressor stressor = {.name = "sets",
                                       .kernel = "memset",
                                       .memory_bytes = 3 * MIB,
                                       .op_bytes = 3 * MIB,
                                       .is_paced = is_paced};
        check_kernel(&mim_kernel_memset, &stressor, NULL, 3 * MIB, 4096);
    }
}

/* Sweeps in parts of 512 KiB. */
static void test_bulk(void **state)
{
    (void)state;
    const mim_kernel *const kernels[] = {&mim_kernel_nt_store, &mim_kernel_scan,
                                         &mim_kernel_bulk_copy};
    for (size_t i = 0; i < N_OF(kernels); i++) {
        const mim_stressor stressor = {
            .name = "bulk", .kernel = kernels[i]->name, .memory_bytes = (i == 2 ? 6 : 3) * MIB};
        check_kernel(kernels[i], &stressor, NULL, 3 * MIB, MIB / 2);
    }
}

static void test_reads_and_writes(void **state)
{
    (void)state;
    const mim_io_mode modes[] = {MIM_IO_AUTO, MIM_IO_BUFFERED};
    for (size_t i = 0; i < 2; i++) {
        const mim_scratch_options options = {
            .folder = "/var/tmp", .min_free_bytes = MIB, .io_mode = modes[i]};
        const mim_stressor reads = {.name = "reads",
                                    .kernel = "hdd_read",
                                    .is_paced = true,
                                    .shared_file_bytes = 4 * MIB,
                                    .op_bytes = MIB};
        const mim_stressor writes = {.name = "writes",
                                     .kernel = "hdd_write",
                                     .is_paced = true,
                                     .file_bytes = 4 * MIB,
                                     .op_bytes = MIB};
        mim_scratch *scratch = NULL;
        assert_int_equal(mim_scratch_create(&options, &scratch), MIM_OK);
        check_kernel(&mim_kernel_hdd_read, &reads, scratch, MIB, 4096);
        check_kernel(&mim_kernel_hdd_write, &writes, scratch, MIB, 4096);
        mim_stressor computing = writes;
        computing.kernel = "write_crc";
        computing.parameter = 10; /* us of CRC */
        check_kernel(&mim_kernel_write_crc, &computing, scratch, MIB, 4096);
        mim_scratch_destroy(&scratch);
    }
}

/* In the middle of a sweep, and for stream, where a page's value tells how often it was swept. */
static void test_scaled_within_a_sweep(void **state)
{
    (void)state;
    const mim_kernel *const kernels[] = {&mim_kernel_memset, &mim_kernel_stream,
                                         &mim_kernel_nt_store, &mim_kernel_scan,
                                         &mim_kernel_bulk_copy};
    for (size_t i = 0; i < N_OF(kernels); i++) {
        const mim_stressor stressor = {
            .name = "sweep", .kernel = kernels[i]->name, .memory_bytes = (i == 4 ? 4 : 2) * MIB};
        const mim_kernel_place place = {.seed = 1};
        void *kernel_state = NULL;
        mim_work work = {0};
        assert_int_equal(kernels[i]->create(&stressor, &place, &kernel_state), MIM_OK);
        for (size_t k = 0; k < 40; k++) {
            assert_int_equal(kernels[i]->run(kernel_state, k % 4, &work), MIM_OK);
            assert_int_equal(kernels[i]->scale(kernel_state, duties[k % N_OF(duties)]), MIM_OK);
            assert_int_equal(kernels[i]->verify(kernel_state), MIM_OK);
            assert_int_equal(kernels[i]->run(kernel_state, 1, &work), MIM_OK);
            assert_int_equal(kernels[i]->verify(kernel_state), MIM_OK);
        }
        unsigned char *buffer = *(unsigned char **)kernel_state;
        for (size_t at = 3; at < 2 * MIB; at += 300007) { /* exponents and bytes: never the same */
            buffer[at | 7] ^= 0x10;
            assert_int_equal(kernels[i]->verify(kernel_state), MIM_ECHECK);
            buffer[at | 7] ^= 0x10;
            assert_int_equal(kernels[i]->verify(kernel_state), MIM_OK);
        }
        kernels[i]->destroy(kernel_state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_memset),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_reads_and_writes),
        cmocka_unit_test(test_scaled_within_a_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
