/* Speed of training in several ranks, at the number of ranks it is started with on one host, each
 * on a CPU of its own with one thread: a server's network, on random numbers in place of
 * measurements. In each round, one after the other, in turns forth and back, a step of
 *   one rank, while the others sleep;
 *   all ranks, each by itself: what the machine gives, as CPUs share caches, memory and power;
 *   all ranks together, a batch for each (weak scaling), the gradient in buckets of 4 MB whose sums
 *   overlap with computing, and in one that is summed up at the end;
 *   all ranks together, one rank's batch for all (fixed batch);
 *   the first of these with the optimiser in parts ("ratio_to_whole": to without).
 * "ratio" is to as many times one rank as there are, "ratio_to_apart" to ranks by themselves; both
 * are medians over rounds. Only rounds count in which others used no more than 2 % of the
 * processors; with fewer than 3 of those there are nulls, and why.
 *
 * With one rank also "train_scaling_model": report/scaling_model, a model with an assumed network,
 * from the CPU time that a rank's step takes here, for nodes as fast as this core and 32 times so.
 * usage: mpirun -n RANKS mpi_train [ROUNDS] */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/text.h"
#include "diffusion/train.h"
#include "mpi/agree.h"
#include "mpi/asleep.h"
#include "mpi/train_mpi.h"
#include "node/pin.h"
#include "report/scaling_model.h"
#include "tests/support/bench.h"
#include "tests/support/bench_model.h"
#include "tests/support/bench_mpi.h"

enum { N_DEFAULT = 7, N_SPARE = 3, MAX_ROUNDS = 100, FEWEST = 3 };
enum { SHARD = 32, N_SHARDS = 4, BUCKET_BYTES = 4 << 20, MAX_NODES = 64 };

static const double max_others = 0.02;
static const double bandwidth_bytes_per_s = 12.5e9, latency_s = 2e-6; /* assumed: 100 Gbit/s */
static const bench_size size = {"server", MIM_NETWORK_THREAD_TOKEN, 20, 2, 256, 6, 8};

typedef enum { ALONE, APART, WEAK, WEAK_BLOCKING, FIXED, PARTS, N_WAYS } way_name;

static const struct {
    const char *name;
    size_t bucket_bytes;
    bool is_shared, is_weak;
} ways[N_WAYS] = {[ALONE] = {"alone", 0, false, false},
                  [APART] = {"apart", 0, false, false},
                  [WEAK] = {"bucket_4M", BUCKET_BYTES, true, true},
                  [WEAK_BLOCKING] = {"bucket_0", 0, true, true},
                  [FIXED] = {"bucket_4M_fixed_batch", BUCKET_BYTES, true, false},
                  [PARTS] = {"bucket_4M_optimizer_in_parts", BUCKET_BYTES, true, true}};

typedef struct bench {
    MPI_Comm comm;
    int rank, n_ranks;
    size_t n; /* rounds */
    mim_model *model, *model_in_parts;
    bench_examples data;
    mim_trainer *trainers[N_WAYS];
    mim_train_mpi *jobs[N_WAYS];
    double rate[N_WAYS][MAX_ROUNDS + N_SPARE]; /* samples/s of all ranks that took part */
    double others[MAX_ROUNDS + N_SPARE];       /* share of the processors' time */
} bench;

static size_t n_shards_of(const bench *b, int way)
{
    return ways[way].is_weak ? N_SHARDS * (size_t)b->n_ranks : N_SHARDS;
}

static int create_trainer(const bench *b, mim_model *model, size_t n_shards, mim_trainer **trainer)
{
    const mim_train_options options = {.batch = n_shards * SHARD,
                                       .n_shards = n_shards,
                                       .adam = mim_adam_default,
                                       .rate = {.base = 1e-4, .floor = 1, .n_steps = 1},
                                       .clip_norm = 1,
                                       .hide_all = 0.1};
    return mim_trainer_create(&options, model, &b->data.examples, trainer);
}

/* ---- rounds --------------------------------------------------------------------------------- */

/* A step, or a sleep meanwhile. */
static int run_way(bench *b, int way, double *rate)
{
    const bool takes_part = way != ALONE || b->rank == 0;
    const size_t batch = n_shards_of(b, way) * SHARD;
    double loss, norm, took_s = 0, longest_s = 0, sum = 0;
    bool is_wished;
    int rc = MIM_OK;
    mim_barrier_asleep(b->comm);
    if (way != ALONE)
        MPI_Barrier(b->comm); /* woken at different times */
    if (takes_part) {
        const double begin_s = MPI_Wtime();
        rc = mim_train_mpi_step(b->jobs[way], MIM_OK, false, &loss, &norm, &is_wished);
        took_s = MPI_Wtime() - begin_s;
    }
    const double own = takes_part ? (double)batch / took_s : 0;
    mim_barrier_asleep(b->comm);
    MPI_Allreduce(&took_s, &longest_s, 1, MPI_DOUBLE, MPI_MAX, b->comm);
    MPI_Allreduce(&own, &sum, 1, MPI_DOUBLE, MPI_SUM, b->comm);
    *rate = ways[way].is_shared ? (double)batch / longest_s : sum;
    return mim_agree(b->comm, rc);
}

static int run_round(bench *b, size_t i)
{
    int rc = MIM_OK;
    mim_barrier_asleep(b->comm);
    const int64_t start_ns = mim_clock_mono_ns(), busy_ns = bench_busy_ns();
    double cpu_ns = -(double)mim_clock_process_cpu_ns(), all_ns = 0;
    for (int k = 0; rc == MIM_OK && k < N_WAYS; k++) {
        const int way = i % 2 == 0 ? k : N_WAYS - 1 - k;
        rc = run_way(b, way, &b->rate[way][i]);
    }
    cpu_ns += (double)mim_clock_process_cpu_ns();
    MPI_Allreduce(&cpu_ns, &all_ns, 1, MPI_DOUBLE, MPI_SUM, b->comm);
    const double there_are_ns =
        (double)(mim_clock_mono_ns() - start_ns) * (double)sysconf(_SC_NPROCESSORS_ONLN);
    b->others[i] = ((double)(bench_busy_ns() - busy_ns) - all_ns) / there_are_ns;
    MPI_Bcast(&b->others[i], 1, MPI_DOUBLE, 0, b->comm);
    return rc;
}

static void copy_round(bench *b, size_t from, size_t to)
{
    for (int way = 0; way < N_WAYS; way++)
        b->rate[way][to] = b->rate[way][from];
    b->others[to] = b->others[from];
}

/* Until there are b->n undisturbed rounds, with some to spare; *n_good of them come first.
 * *others: the median share of all. */
static int run_rounds(bench *b, size_t *n_good, double *others)
{
    double all[MAX_ROUNDS + N_SPARE], ignored;
    size_t n = 0;
    *n_good = 0;
    int rc = run_round(b, 0); /* compiles the products, and is overwritten */
    for (; rc == MIM_OK && *n_good < b->n && n < b->n + N_SPARE; n++) {
        rc = run_round(b, n);
        all[n] = b->others[n];
        if (all[n] <= max_others)
            copy_round(b, n, (*n_good)++);
    }
    if (rc == MIM_OK)
        *others = bench_median(n, all, &ignored);
    return rc;
}

static void print_disturbed(const bench *b, int way, double others)
{
    char name[96], reason[128];
    snprintf(name, sizeof name, "train_ranks_%d_%s", b->n_ranks, ways[way].name);
    snprintf(reason, sizeof reason, "not measurable now: others used %.0f %% of the processors",
             100 * others);
    bench_null(name, "samples/s", reason);
}

static void print_way(const bench *b, int way, size_t n)
{
    double to_one[MAX_ROUNDS + N_SPARE], to_apart[MAX_ROUNDS + N_SPARE],
        to_whole[MAX_ROUNDS + N_SPARE], values[3][MAX_ROUNDS + N_SPARE];
    double spread, ratio_spread, ignored;
    char name[96], more[320];
    for (size_t i = 0; i < n; i++) {
        values[0][i] = b->rate[way][i];
        values[1][i] = b->rate[ALONE][i] * b->n_ranks;
        values[2][i] = b->rate[APART][i];
        to_one[i] = values[0][i] / values[1][i];
        to_apart[i] = values[0][i] / values[2][i];
        to_whole[i] = values[0][i] / b->rate[WEAK][i];
    }
    const double ratio = bench_median(n, to_one, &ratio_spread);
    snprintf(name, sizeof name, "train_ranks_%d_%s", b->n_ranks, ways[way].name);
    snprintf(more, sizeof more,
             ", \"ratio_spread\": %.3f, \"goal\": 0.9, \"apart\": %.4g, \"ratio_to_apart\": %.3f, "
             "\"batch\": %zu",
             ratio_spread, bench_median(n, values[2], &ignored),
             bench_median(n, to_apart, &ignored), n_shards_of(b, way) * SHARD);
    if (way == PARTS)
        snprintf(more + strlen(more), sizeof more - strlen(more), ", \"ratio_to_whole\": %.3f",
                 bench_median(n, to_whole, &ignored));
    const double peer = bench_median(n, values[1], &ignored);
    const double value = bench_median(n, values[0], &spread);
    bench_line(name, value, "samples/s", peer, ratio, n, spread, more);
}

static int bench_ranks(bench *b)
{
    size_t n_good = 0;
    double others = 0;
    int rc = MIM_OK;
    for (int way = 0; rc == MIM_OK && way < N_WAYS; way++) {
        const size_t n_shards = n_shards_of(b, way);
        mim_model *model = way == PARTS ? b->model_in_parts : b->model;
        rc = mim_agree(b->comm, create_trainer(b, model, n_shards, &b->trainers[way]));
        if (rc == MIM_OK)
            rc = mim_train_mpi_create(ways[way].is_shared ? b->comm : MPI_COMM_SELF,
                                      b->trainers[way], n_shards, ways[way].bucket_bytes,
                                      &b->jobs[way]);
        rc = mim_agree(b->comm, rc);
    }
    if (rc == MIM_OK)
        rc = run_rounds(b, &n_good, &others);
    for (int way = WEAK; rc == MIM_OK && b->rank == 0 && way < N_WAYS; way++)
        if (b->n_ranks == 1 && (!ways[way].is_weak || way == PARTS))
            continue; /* the same for one */
        else if (n_good < FEWEST)
            print_disturbed(b, way, others);
        else
            print_way(b, way, n_good);
    for (int way = 0; way < N_WAYS; way++) {
        mim_train_mpi_destroy(&b->jobs[way]);
        mim_trainer_destroy(&b->trainers[way]);
    }
    return rc;
}

/* ---- the model of many nodes ---------------------------------------------------------------- */

/* When the buckets of one step were ready, in CPU time. */
typedef struct timeline {
    int64_t start_ns;
    size_t n_bucket;
    double ready_s[MIM_TRAIN_MPI_MAX_BUCKETS];
    size_t n_told[MIM_TRAIN_MPI_MAX_BUCKETS]; /* values */
} timeline;

static double since_s(int64_t start_ns)
{
    return (double)(mim_clock_process_cpu_ns() - start_ns) * 1e-9;
}

static void note(void *context, size_t first, size_t n)
{
    timeline *t = context;
    const double now_s = since_s(t->start_ns);
    while (n > 0) {
        const size_t k = first / t->n_bucket, left = (k + 1) * t->n_bucket - first;
        const size_t here = left < n ? left : n;
        t->ready_s[k] = now_s; /* the last value of a bucket decides */
        t->n_told[k] += here;
        first += here;
        n -= here;
    }
}

typedef struct measured {
    size_t n, n_buckets;
    double compute_s[MAX_ROUNDS], update_s[MAX_ROUNDS];
    double ready_s[MIM_TRAIN_MPI_MAX_BUCKETS][MAX_ROUNDS];
    double median_s[MIM_TRAIN_MPI_MAX_BUCKETS], n_bytes[MIM_TRAIN_MPI_MAX_BUCKETS];
} measured;

static int measure_step(mim_trainer *trainer, double *gradient, measured *m)
{
    const size_t n_values = mim_trainer_n_values(trainer);
    timeline t = {.n_bucket = mim_train_mpi_n_bucket(n_values, BUCKET_BYTES)};
    const mim_grads_ready ready = {note, &t};
    double loss = 0;
    t.start_ns = mim_clock_process_cpu_ns();
    int rc = mim_trainer_shards(trainer, 0, N_SHARDS, gradient, &loss, &ready);
    m->compute_s[m->n] = since_s(t.start_ns);
    if (rc == MIM_OK)
        rc = mim_trainer_apply(trainer, gradient, NULL);
    m->update_s[m->n] = since_s(t.start_ns) - m->compute_s[m->n];
    m->n_buckets = (n_values + t.n_bucket - 1) / t.n_bucket;
    for (size_t k = 0; k < m->n_buckets; k++) {
        const size_t left = n_values - k * t.n_bucket;
        const size_t n = left < t.n_bucket ? left : t.n_bucket;
        m->ready_s[k][m->n] = t.n_told[k] == n ? t.ready_s[k] : m->compute_s[m->n];
        m->n_bytes[k] = (double)(n * sizeof *gradient);
    }
    m->n++;
    return rc;
}

/* Medians, buckets in the order in which they are ready. */
static void order_buckets(measured *m)
{
    double ignored;
    for (size_t k = 0; k < m->n_buckets; k++) {
        const double median_s = bench_median(m->n, m->ready_s[k], &ignored);
        const double n_bytes = m->n_bytes[k];
        size_t at = k;
        for (; at > 0 && m->median_s[at - 1] > median_s; at--) {
            m->median_s[at] = m->median_s[at - 1];
            m->n_bytes[at] = m->n_bytes[at - 1];
        }
        m->median_s[at] = median_s;
        m->n_bytes[at] = n_bytes;
    }
}

static void print_model(const measured *m, const mim_scaling_model *model, double spread)
{
    const double one_s = model->compute_s + model->update_s;
    const double rate = N_SHARDS * SHARD * model->speed / one_s;
    double n_bytes = 0;
    for (size_t k = 0; k < m->n_buckets; k++)
        n_bytes += m->n_bytes[k];
    for (size_t n = 1; n <= MAX_NODES; n *= 2) {
        const double peer = rate * (double)n, share = mim_scaling_share(model, n, true);
        char name[96], more[512];
        snprintf(name, sizeof name, "train_scaling_model_%zu_nodes_speed_%.0f", n, model->speed);
        snprintf(more, sizeof more,
                 ", \"is_model\": true, \"ratio_without_overlap\": %.3f, "
                 "\"assumed_bandwidth_bytes_per_s\": %.4g, \"assumed_latency_s\": %.3g, "
                 "\"assumed_node_speed\": %.0f, \"gradient_bytes\": %.0f, \"batch_a_node\": %d, "
                 "\"measured_compute_s\": %.4g, \"measured_update_s\": %.3g, "
                 "\"measured_window_s\": %.3g",
                 mim_scaling_share(model, n, false), bandwidth_bytes_per_s, latency_s, model->speed,
                 n_bytes, N_SHARDS * SHARD, model->compute_s, model->update_s,
                 model->compute_s - m->median_s[0]);
        bench_line(name, peer * share, "samples/s", peer, share, m->n,
                   peer * share * spread / one_s, more);
    }
}

static int bench_model(const bench *b)
{
    mim_trainer *trainer = NULL;
    measured *m = calloc(1, sizeof *m);
    double *gradient = NULL, spread, ignored;
    int rc =
        m ? create_trainer(b, b->model, N_SHARDS, &trainer) : mim_fail(MIM_ENOMEM, "measurements");
    if (rc == MIM_OK && !(gradient = calloc(mim_trainer_n_values(trainer), sizeof *gradient)))
        rc = mim_fail(MIM_ENOMEM, "gradient");
    if (rc == MIM_OK)
        rc = measure_step(trainer, gradient, m); /* compiles the products */
    if (m)
        m->n = 0;
    for (size_t i = 0; rc == MIM_OK && i < b->n; i++)
        rc = measure_step(trainer, gradient, m);
    if (rc == MIM_OK) {
        order_buckets(m);
        mim_scaling_model model = {.compute_s = bench_median(m->n, m->compute_s, &spread),
                                   .update_s = bench_median(m->n, m->update_s, &ignored),
                                   .n_buckets = m->n_buckets,
                                   .ready_s = m->median_s,
                                   .n_bytes = m->n_bytes,
                                   .speed = 1,
                                   .bandwidth_bytes_per_s = bandwidth_bytes_per_s,
                                   .latency_s = latency_s};
        print_model(m, &model, spread);
        model.speed = 32;
        print_model(m, &model, spread);
    }
    free(gradient);
    free(m);
    mim_trainer_destroy(&trainer);
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Each rank to a CPU of its own; *has_own: there were enough. mpirun may have bound them before. */
static int pin_ranks(bench *b, bool *has_own)
{
    mim_machine *machine = NULL;
    int rc = mim_agree(b->comm, mim_machine_create(0, &machine));
    int *cpus = calloc((size_t)b->n_ranks, sizeof *cpus), cpu = 0;
    rc = mim_agree(b->comm, rc == MIM_OK && !cpus ? mim_fail(MIM_ENOMEM, "CPUs") : rc);
    if (rc == MIM_OK) {
        cpu = machine->cpus[(size_t)b->rank % machine->n_cpus].os_index;
        mim_pin(cpu);
        MPI_Allgather(&cpu, 1, MPI_INT, cpus, 1, MPI_INT, b->comm);
        *has_own = true;
        for (int i = 0; i < b->n_ranks; i++)
            for (int j = 0; j < i; j++)
                *has_own = *has_own && cpus[i] != cpus[j];
    }
    free(cpus);
    mim_machine_destroy(&machine);
    return rc;
}

static int measure(bench *b)
{
    const mim_part part = {(size_t)b->rank, (size_t)b->n_ranks};
    bool has_own = false;
    char name[64];
    bench_set_threads(1);
    int rc = pin_ranks(b, &has_own);
    if (rc == MIM_OK && !has_own) {
        snprintf(name, sizeof name, "train_ranks_%d", b->n_ranks);
        if (b->rank == 0)
            bench_null(name, "samples/s", "not supported here: a CPU for each rank on one host");
        return MIM_OK;
    }
    if (rc == MIM_OK)
        rc = bench_model_create(&size, &b->model);
    if (rc == MIM_OK)
        rc = bench_model_create(&size, &b->model_in_parts);
    if (rc == MIM_OK)
        rc = mim_params_keep_part_f(&part, b->model_in_parts->params);
    if (rc == MIM_OK)
        rc = bench_examples_create(b->model->domain, &b->data);
    rc = mim_agree(b->comm, rc);
    if (rc == MIM_OK)
        rc = bench_ranks(b);
    if (rc == MIM_OK && b->n_ranks == 1)
        rc = bench_model(b);
    mim_model_destroy(&b->model);
    mim_model_destroy(&b->model_in_parts);
    bench_examples_clear(&b->data);
    return rc;
}

static int run(MPI_Comm comm, int rank, int n_ranks, size_t n)
{
    bench *b = calloc(1, sizeof *b);
    int rc = mim_agree(comm, b ? MIM_OK : mim_fail(MIM_ENOMEM, "benchmark"));
    if (rc == MIM_OK) {
        b->comm = comm;
        b->rank = rank;
        b->n_ranks = n_ranks;
        b->n = n;
        rc = measure(b);
    }
    free(b);
    return rc;
}

int main(int argc, char **argv)
{
    static const int64_t range[2] = {FEWEST, MAX_ROUNDS};
    return bench_mpi_main(argc, argv, "mpi_train", "rounds", range, N_DEFAULT, run);
}
