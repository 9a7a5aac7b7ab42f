/* Writes a small training corpus by rule, nothing in it was measured: 4 threads on 4 cores, 200
 * samples of 2 windows a plan, CPU use = weight of the CPU stressor of the row, reads = 100 MB/s at
 * the reading weight of row 0. For the tests of programs. usage: make_corpus CORPUS.h5 */
#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "corpus/corpus.h"

enum { T = 4, S = 3, D = T + 2, N = 200 };

static const char *const stressors[S] = {
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false",
    "BM_STRESS_NG_HddRead_1MB_NoSleep", "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled"};

static double draw(size_t i, uint32_t which)
{
    return mim_rng_u01(1, MIM_STREAM_TEST, i, which, 0);
}

static void fill(mim_samples *samples)
{
    for (size_t i = 0; i < N; i++) {
        float *action = samples->action + i * T * S, *metric = samples->metric + i * D;
        samples->plan_id[i] = 1 + i / 2;
        samples->window[i] = (uint32_t)(i % 2);
        samples->n_repeats[i] = 1;
        samples->has_previous[i] = i % 2 == 1;
        if (i % 2 == 1)
            memcpy(samples->previous_action + i * T * S, action - T * S,
                   T * S * sizeof *samples->previous_action);
        for (size_t t = 0; t < T; t++) {
            action[t * S] = (float)(0.9 * draw(i, (uint32_t)t));
            metric[t] = 100 * action[t * S];
        }
        action[1] = (float)(0.1 * draw(i, T));
        metric[T] = 102400 * action[1];
        for (size_t m = 0; m < D; m++)
            samples->mask[i * D + m] = 1;
        samples->is_validation[i] = mim_corpus_is_validation(samples->plan_id[i], 1, 0.1);
    }
}

int main(int argc, char **argv)
{
    mim_metric metrics[D];
    mim_actions *actions = NULL;
    mim_layout *layout = NULL;
    mim_samples *samples = NULL;
    const mim_corpus_info info = {1, 0.1, "", "made by rule for tests, nothing was measured"};
    if (argc != 2)
        return 2;
    for (int t = 0; t < T; t++)
        metrics[t] = mim_metric_of_core(t, T - 1);
    metrics[T] = (mim_metric){"io_read", "KB/s", MIM_FAMILY_IO_READ, MIM_TIER_PROC, -1};
    metrics[T + 1] = (mim_metric){"io_write", "KB/s", MIM_FAMILY_IO_WRITE, MIM_TIER_PROC, -1};
    int rc = mim_actions_from_names(S, stressors, &actions);
    if (rc == MIM_OK)
        rc = mim_layout_create(T, actions, D, metrics, 1, "made by rule", &layout);
    if (rc == MIM_OK)
        rc = mim_samples_create(layout, N, &samples);
    if (rc == MIM_OK) {
        fill(samples);
        rc = mim_corpus_write(argv[1], layout, &info, samples);
    }
    if (rc != MIM_OK)
        fprintf(stderr, "make_corpus: %s\n", mim_error());
    mim_samples_destroy(&samples);
    mim_layout_destroy(&layout);
    mim_actions_destroy(&actions);
    return rc == MIM_OK ? 0 : 1;
}
