/* How long is a batch of each stressor that is metered by CPU time (5 to 50 us are wanted), and how
 * fast are the vector loops beside their plain versions?
 *
 * usage: bench_kernels [PART_OF_A_NAME...] (default: all)
 * CPU time of one thread; medians. One JSON object a line. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "node/kernel_family.h"
#include "node/machine.h"
#include "node/pin.h"
#include "tests/support/bench.h"

enum { N_SAMPLES = 101, MAX_BATCHES = 4096, LOOP_BYTES = 64 << 20 };

static const double least_us = 5, most_us = 50;

static void print_line(const char *what, const char *name, double value, const char *unit,
                       double peer, double spread)
{
    char shown[32] = "null", ratio[32] = "null";

    if (isfinite(peer)) {
        snprintf(shown, sizeof shown, "%.4g", peer);
        snprintf(ratio, sizeof ratio, "%.4g", value / peer);
    }
    printf("{\"bench\": \"%s %s\", \"value\": %.4g, \"unit\": \"%s\", \"peer\": %s, \"ratio\": %s, "
           "\"n\": %d, \"spread\": %.3g}\n",
           what, name, value, unit, shown, ratio, N_SAMPLES, spread);
}

/* ---- batches --------------------------------------------------------------------------------- */

/* Microseconds of each of n batches, partners' time included. */
static int time_batches(const mim_kernel *kernel, void *state, double *us)
{
    size_t n = 1;

    for (size_t i = 0; i < N_SAMPLES; i++) {
        mim_work work = {0};
        int64_t begin = mim_clock_thread_cpu_ns();
        int rc = kernel->run(state, n, &work);

        if (rc != MIM_OK)
            return rc;
        us[i] = (double)(mim_clock_thread_cpu_ns() - begin + (int64_t)work.extra_cpu_ns) /
                (1e3 * (double)n);
        if (us[i] * (double)n < 100 && n < MAX_BATCHES) /* the clock's own cost must not show */
            n *= 2;
    }
    return MIM_OK;
}

static int bench_stressor(const mim_stressor *stressor, const mim_kernel_place *place,
                          size_t *n_outside)
{
    const mim_kernel *kernel = NULL;
    void *state = NULL;
    double us[N_SAMPLES], spread, value;
    int rc = mim_kernel_for(stressor, place->scratch, &kernel);

    if (rc == MIM_EUNSUP)
        return MIM_OK;
    if (rc == MIM_OK)
        rc = kernel->create(stressor, place, &state);
    if (rc == MIM_OK)
        rc = time_batches(kernel, state, us);
    if (rc == MIM_OK)
        rc = kernel->verify(state);
    kernel->destroy(state);
    if (rc != MIM_OK)
        return rc;
    value = bench_median(N_SAMPLES, us, &spread);
    *n_outside += value < least_us || value > most_us;
    print_line("batch of", stressor->name, value, "us", NAN, spread / value);
    return MIM_OK;
}

static int is_wanted(const char *name, int n, char **parts)
{
    for (int i = 0; i < n; i++)
        if (strstr(name, parts[i]))
            return 1;
    return n == 0;
}

static int bench_all(const mim_caches *caches, const mim_kernel_place *place, int n, char **parts)
{
    size_t n_outside = 0;
    int rc = MIM_OK;

    for (size_t i = 0; rc == MIM_OK && i < mim_stressor_count(); i++) {
        const mim_stressor *plain = mim_stressor_at(i);
        mim_stressor sized = *plain;

        if (plain->is_paced || !is_wanted(plain->name, n, parts))
            continue;
        if (plain->is_own_size)
            mim_stressor_sized(plain, caches, &sized);
        rc = bench_stressor(&sized, place, &n_outside);
    }
    print_line("batches outside of 5 to 50 us", "(all)", (double)n_outside, "stressors", NAN, 0);
    return rc;
}

/* ---- loops ----------------------------------------------------------------------------------- */

typedef enum { STORE, SCAN, COPY } loop;

static uint64_t kept;

static void run_loop(loop which, int is_fast, char *one, char *two, uint32_t i)
{
    switch (which) {
    case STORE:
        (is_fast ? mim_nt_store_best() : mim_nt_store_ref)(LOOP_BYTES, i, one);
        break;
    case SCAN:
        kept ^= (is_fast ? mim_scan_best() : mim_scan_ref)(LOOP_BYTES, one);
        break;
    default:
        (is_fast ? mim_bulk_copy_streaming() : mim_bulk_copy_ref)(LOOP_BYTES, one, two);
    }
}

static double loop_gbs(loop which, int is_fast, char *one, char *two, double *spread)
{
    double gbs[N_SAMPLES];

    for (uint32_t i = 0; i < N_SAMPLES; i++) {
        int64_t begin = mim_clock_thread_cpu_ns();

        run_loop(which, is_fast, one, two, i);
        gbs[i] = LOOP_BYTES / (double)(mim_clock_thread_cpu_ns() - begin);
    }
    return bench_median(N_SAMPLES, gbs, spread);
}

static int bench_loops(void)
{
    static const char *const names[] = {"nt_store", "scan", "bulk_copy"};
    void *one = NULL, *two = NULL;
    int rc = mim_kernel_buffer(LOOP_BYTES, 1, &one);

    if (rc == MIM_OK)
        rc = mim_kernel_buffer(LOOP_BYTES, 2, &two);
    for (int i = 0; rc == MIM_OK && i < 3; i++) {
        double spread, ignored, plain = loop_gbs((loop)i, 0, one, two, &ignored);
        double fast = loop_gbs((loop)i, 1, one, two, &spread);

        print_line("loop", names[i], fast, "GB/s", plain, spread / fast);
    }
    free(one);
    free(two);
    return rc;
}

int main(int argc, char **argv)
{
    mim_machine *machine = NULL;
    mim_scratch *scratch = NULL;
    const char *folder = getenv("MIMESYS_SCRATCH");
    const mim_scratch_options options = {.folder = folder && *folder ? folder : "/var/tmp",
                                         .min_free_bytes = UINT64_C(1) << 30};
    int rc = mim_machine_create(0, &machine);

    if (rc == MIM_OK)
        rc = mim_scratch_create(&options, &scratch);
    if (rc == MIM_OK) {
        const mim_caches caches = mim_machine_caches(machine);
        const mim_kernel_place place = {
            .cpu = machine->cpus[0].os_index, .scratch = scratch, .seed = 1};

        mim_pin(place.cpu);
        rc = bench_all(&caches, &place, argc - 1, argv + 1);
    }
    if (rc == MIM_OK && argc == 1)
        rc = bench_loops();
    if (rc != MIM_OK)
        fprintf(stderr, "bench_kernels: %s\n", mim_error());
    mim_scratch_destroy(&scratch);
    mim_machine_destroy(&machine);
    return rc == MIM_OK ? 0 : 1;
}
