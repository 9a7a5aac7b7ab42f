/* Training beside PyTorch: whole steps (forward, backward, clipping, AdamW, moving average) of the
 * same network from the same weights on the same batch, ours here, PyTorch's in a process of its
 * own (torch_peer.py), in turn in one run, each at the better of 1 and 2 threads, PyTorch's also
 * with its batch whole or in 2 or 4 parts, whichever is fastest. PyTorch is given a batch that is
 * ready; our steps draw and noise theirs. One thread is timed by the CPU time of its process, two
 * by the clock. Medians; one JSON object a line, two lines a precision: samples/s, and peak memory
 * since both were set up (PyTorch's with Python, ours without what its peer was handed).
 *
 * The first loss and all gradients must agree, or there is no ratio.
 * usage: bench_torch [REPETITIONS [server|cells]], from the root of the repository */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "core/atomic_file.h"
#include "core/npz.h"
#include "core/rng.h"
#include "core/summary.h"
#include "core/text.h"
#include "diffusion/batch_internal.h"
#include "diffusion/train.h"
#include "nn/weights.h"
#include "tests/support/bench.h"
#include "tests/support/bench_model.h"

enum { N_DEFAULT = 7, MAX_BATCH = 128, MAX_THREADS = 2 };

typedef struct subject {
    bench_size size;
    size_t n_batch, micro_batch;
} subject;

static const subject subjects[] = {
    {{"server", MIM_NETWORK_THREAD_TOKEN, 20, 2, 256, 6, 8}, 128, 16},
    {{"cells", MIM_NETWORK_CELL_TOKEN, 20, 2, 256, 6, 8}, 8, 1}, /* without dropout */
};

/* Largest differences of a tensor's gradient over its largest value. */
static const double limits[] = {[MIM_PRECISION_F32] = 1e-4, [MIM_PRECISION_BF16] = 5e-2};

extern char **environ;

/* ---- the peer ------------------------------------------------------------------------------- */

typedef struct peer {
    pid_t process;
    FILE *to, *from;
} peer;

static void peer_end(peer *p)
{
    if (p->to)
        fclose(p->to);
    if (p->from)
        fclose(p->from);
    if (p->process > 0)
        waitpid(p->process, NULL, 0);
    *p = (peer){0};
}

static int peer_start(const char *folder, const char *precision, peer *p)
{
    char script[] = "tests/bench/torch_peer.py", python[] = "/usr/bin/python3";
    char *const words[] = {python, script, (char *)(uintptr_t)folder, (char *)(uintptr_t)precision,
                           NULL};
    int to[2], from[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        return mim_fail(MIM_EIO, "pipes");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    const int failed = posix_spawn(&p->process, python, &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    p->to = fdopen(to[1], "w");
    p->from = fdopen(from[0], "r");
    if (failed)
        p->process = 0;
    return failed || !p->to || !p->from ? mim_fail(MIM_EIO, "%s: %s", python, strerror(failed))
                                        : MIM_OK;
}

/* The next line of the peer's answers. */
static int peer_answer(peer *p, json_t **answer)
{
    char line[4096];
    if (!fgets(line, sizeof line, p->from) || !(*answer = json_loads(line, 0, NULL)))
        return mim_fail(MIM_EIO, "torch_peer.py gave no answer");
    return MIM_OK;
}

static int peer_ask(peer *p, const char *question, json_t **answer)
{
    if (fprintf(p->to, "%s\n", question) < 0 || fflush(p->to) != 0)
        return mim_fail(MIM_EIO, "torch_peer.py has ended");
    return peer_answer(p, answer);
}

/* A number of the answer; NaN when it is none. */
static int peer_number(peer *p, const char *question, const char *key, double *number)
{
    json_t *answer = NULL;
    const int rc = peer_ask(p, question, &answer);
    if (rc == MIM_OK) {
        const json_t *value = json_object_get(answer, key);
        *number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    json_decref(answer);
    return rc;
}

/* ---- what it is handed ---------------------------------------------------------------------- */

typedef struct bench {
    const subject *subject;
    char folder[64];
    mim_train_options options;
    mim_model *model;
    bench_examples data;
    mim_trainer *trainer;
    double loss; /* of the first batch */
} bench;

static char *path_of(const bench *b, const char *name) { return mim_join_path(b->folder, name); }

/* Fresh networks answer 0 and most of their gradients are 0: a comparison needs others. */
static void disturb(mim_params_f *p)
{
    for (size_t i = 0; i < p->n_values; i++)
        p->values[i] += (float)(0.02 * mim_rng_normal(1, MIM_STREAM_TEST, i, 2, 0));
    memcpy(p->ema, p->values, p->n_values * sizeof *p->ema);
}

/* The trainer's batch of step 0, drawn as it draws it. */
static int draw_batch(const bench *b, mim_batch *batch)
{
    const mim_feed_options options = {.n_batch = b->subject->n_batch, .n_shards = 1};
    const mim_model *m = b->model;
    mim_schedule *schedule = NULL;
    mim_order *order = NULL;
    mim_feed *feed = NULL;
    mim_examples examples;
    int rc = mim_schedule_create(m->process.schedule, m->process.n_timesteps, &schedule);
    if (rc == MIM_OK)
        rc = mim_order_create(m->seed, b->data.examples.n, NULL, &order);
    if (rc == MIM_OK)
        rc = mim_feed_of_examples(&options, order, &b->data.examples, &feed);
    if (rc == MIM_OK)
        rc = mim_feed_shard(feed, 0, 0, &examples);
    for (uint32_t i = 0; rc == MIM_OK && i < b->subject->n_batch; i++) {
        const double u = mim_rng_u01(m->seed, MIM_STREAM_TIMESTEP, 0, i, 0);
        const mim_batch_place place = {
            .step = 0, .number = i, .slot = i, .t = (size_t)(u * (double)m->process.n_timesteps)};
        mim_batch_put(batch, m, schedule, &b->options, &examples, i, &place);
    }
    mim_feed_destroy(&feed);
    mim_order_destroy(&order);
    mim_schedule_destroy(&schedule);
    return rc;
}

static int write_batch(const mim_batch *batch, const mim_domain *d, const char *path)
{
    const size_t n = batch->n;
    float time[MAX_BATCH], socket[64];
    const size_t cells[] = {n, d->n_threads, d->n_stressors};
    const size_t threads[] = {n, d->n_threads}, node[] = {n, d->n_node_metrics};
    const size_t samples[] = {n}, thread[] = {d->n_threads};
    for (size_t i = 0; i < n; i++)
        time[i] = (float)batch->time[i];
    for (size_t i = 0; i < d->n_threads; i++)
        socket[i] = (float)batch->socket[i];
    const struct {
        const char *name;
        size_t rank;
        const size_t *shape;
        const float *values;
    } arrays[] = {{"x0", 3, cells, batch->x0},
                  {"noisy", 3, cells, batch->noisy},
                  {"previous", 3, cells, batch->previous},
                  {"cpu", 2, threads, batch->cpu},
                  {"cpu_mask", 2, threads, batch->cpu_mask},
                  {"node", 2, node, batch->node},
                  {"node_mask", 2, node, batch->node_mask},
                  {"has_previous", 1, samples, batch->has_previous},
                  {"is_conditional", 1, samples, batch->is_conditional},
                  {"time", 1, samples, time},
                  {"socket", 1, thread, socket}};
    mim_npz_writer *writer = NULL;
    int rc = mim_npz_create(&writer);
    for (size_t i = 0; rc == MIM_OK && i < sizeof arrays / sizeof *arrays; i++)
        rc = mim_npz_add(writer, arrays[i].name, arrays[i].rank, arrays[i].shape, arrays[i].values);
    if (rc == MIM_OK)
        rc = mim_npz_commit(&writer, path);
    mim_npz_writer_destroy(&writer);
    return rc;
}

/* Our first loss and gradients, by the trainer's own way. */
static int write_gradient(bench *b, const char *path)
{
    const size_t n = b->model->params->n_values;
    double *sums = calloc(n, sizeof *sums);
    float *gradient = calloc(n, sizeof *gradient);
    int rc = sums && gradient ? MIM_OK : mim_fail(MIM_ENOMEM, "gradient");
    b->loss = 0;
    if (rc == MIM_OK)
        rc = mim_trainer_shards(b->trainer, 0, MAX_THREADS, sums, &b->loss, NULL);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        gradient[i] = (float)sums[i];
    if (rc == MIM_OK)
        rc = mim_weights_export(b->model->params->layout, gradient, path);
    free(sums);
    free(gradient);
    return rc;
}

static int hand_over(bench *b)
{
    char *weights = path_of(b, "weights.npz"), *input = path_of(b, "input.npz");
    char *gradient = path_of(b, "gradient.npz"), *options = path_of(b, "options.json");
    mim_batch *batch = NULL;
    json_t *settings =
        json_pack("{s:i, s:f, s:f, s:f, s:f}", "heads", (int)b->subject->size.n_heads, "lr",
                  b->options.rate.base, "decay", b->options.adam.weight_decay, "clip_norm",
                  b->options.clip_norm, "ema", b->options.ema.beta);
    int rc = weights && input && gradient && options && settings
                 ? mim_batch_create(b->model->domain, b->subject->n_batch, &batch)
                 : mim_fail(MIM_ENOMEM, "file names");
    if (rc == MIM_OK)
        rc = mim_json_write(settings, options);
    if (rc == MIM_OK)
        rc = mim_weights_export(b->model->params->layout, b->model->params->values, weights);
    if (rc == MIM_OK)
        rc = draw_batch(b, batch);
    if (rc == MIM_OK)
        rc = write_batch(batch, b->model->domain, input);
    if (rc == MIM_OK)
        rc = write_gradient(b, gradient);
    mim_batch_destroy(&batch);
    json_decref(settings);
    free(weights);
    free(input);
    free(gradient);
    free(options);
    return rc;
}

static void remove_files(const bench *b)
{
    static const char *const names[] = {"weights.npz", "input.npz", "gradient.npz", "options.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_of(b, names[i]);
        if (path)
            unlink(path);
        free(path);
    }
    rmdir(b->folder);
}

/* ---- both in turn --------------------------------------------------------------------------- */

static int our_step(bench *b, int n_threads, double *samples_per_s)
{
    double loss;
    bool is_alone;
    bench_set_threads(n_threads);
    const bench_timer timer = bench_start(n_threads);
    const int rc = mim_trainer_step(b->trainer, &loss, NULL);
    *samples_per_s = (double)b->subject->n_batch / (bench_stop_ns(&timer, &is_alone) * 1e-9);
    return rc;
}

static int their_step(const bench *b, peer *p, int n_threads, double *samples_per_s)
{
    char question[32];
    double seconds = 0;
    snprintf(question, sizeof question, "steps 1 %d", n_threads);
    const int rc = peer_number(p, question, "seconds", &seconds);
    *samples_per_s = (double)b->subject->n_batch / seconds;
    return rc;
}

/* Peak memory of this process since the last call, as far as the kernel lets us begin anew. */
static double peak_bytes(bool begins)
{
    char line[256];
    double kib = 0;
    FILE *file = fopen(begins ? "/proc/self/clear_refs" : "/proc/self/status", begins ? "w" : "r");
    if (file && begins)
        fputs("5", file);
    while (file && !begins && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lf", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * 1024;
}

/* Rates of n rounds after one to warm up, [side][threads][round]. */
static int take_turns(bench *b, peer *p, size_t n, double *rates)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i <= n; i++)
        for (int threads = 1; rc == MIM_OK && threads <= MAX_THREADS; threads++) {
            double ours = 0, theirs = 0;
            rc = our_step(b, threads, &ours);
            if (rc == MIM_OK)
                rc = their_step(b, p, threads, &theirs);
            if (i == 0)
                continue;
            rates[(size_t)(threads - 1) * n + i - 1] = ours;
            rates[(size_t)(MAX_THREADS + threads - 1) * n + i - 1] = theirs;
        }
    bench_set_threads(1);
    return rc;
}

static void print_rates(const char *name, size_t n, double *rates, const char *agreement)
{
    char more[512];
    double median[2][MAX_THREADS], spread[2][MAX_THREADS];
    int best[2] = {0, 0};
    for (int side = 0; side < 2; side++)
        for (int t = 0; t < MAX_THREADS; t++) {
            median[side][t] =
                bench_median(n, rates + (size_t)(side * MAX_THREADS + t) * n, &spread[side][t]);
            if (median[side][t] > median[side][best[side]])
                best[side] = t;
        }
    snprintf(more, sizeof more,
             ", \"threads\": %d, \"peer_threads\": %d, \"by_threads\": [%.4g, %.4g], "
             "\"peer_by_threads\": [%.4g, %.4g], \"peer_spread\": %.3g%s",
             best[0] + 1, best[1] + 1, median[0][0], median[0][1], median[1][0], median[1][1],
             spread[1][best[1]], agreement);
    const double ours = median[0][best[0]], theirs = median[1][best[1]];
    bench_line(name, ours, "samples/s", theirs, ours / theirs, n, spread[0][best[0]], more);
}

/* Whether both computed the same; why not goes into `text`, the figures otherwise. */
static int agree(const bench *b, peer *p, double limit, const char *library, bool *do_agree,
                 char *text, size_t n_text)
{
    json_t *answer = NULL;
    const int rc = peer_ask(p, "compare", &answer);
    if (rc != MIM_OK)
        return rc;
    const double loss = json_number_value(json_object_get(answer, "loss"));
    const double gradient = json_number_value(json_object_get(answer, "difference"));
    const char *tensor = json_string_value(json_object_get(answer, "tensor"));
    const double off = fabs(loss - b->loss) / b->loss;
    *do_agree =
        json_is_number(json_object_get(answer, "difference")) && off <= limit && gradient <= limit;
    if (*do_agree)
        snprintf(text, n_text,
                 ", \"loss_difference\": %.2g, \"gradient_difference\": %.2g, \"library\": \"%s\"",
                 off, gradient, library);
    else
        snprintf(text, n_text,
                 "loss %.6g, PyTorch's %.6g; gradients differ by %.2g (%s): not the same network",
                 b->loss, loss, gradient, tensor ? tensor : "");
    json_decref(answer);
    return rc;
}

static int measure(bench *b, peer *p, size_t n, double *rates, mim_precision precision,
                   const char *name, const char *library)
{
    char text[320], memory[64];
    bool do_agree = false;
    double theirs = 0, n_parts = 0;
    int rc = agree(b, p, limits[precision], library, &do_agree, text, sizeof text);
    if (rc != MIM_OK || !do_agree) {
        if (rc == MIM_OK)
            bench_null(name, "samples/s", text);
        return rc;
    }
    if ((rc = peer_number(p, "tune", "parts", &n_parts)) != MIM_OK)
        return rc;
    const size_t n_text = strlen(text);
    snprintf(text + n_text, sizeof text - n_text, ", \"peer_parts\": %.0f, \"computed_in\": \"%s\"",
             n_parts, mim_precision_name(mim_gemm_precision(NULL, precision)));
    malloc_trim(0);
    peak_bytes(true);
    rc = take_turns(b, p, n, rates);
    const double ours = peak_bytes(false);
    if (rc == MIM_OK)
        rc = peer_number(p, "memory", "bytes", &theirs);
    if (rc != MIM_OK)
        return rc;
    print_rates(name, n, rates, text);
    snprintf(memory, sizeof memory, "torch_memory_%s_%s", b->subject->size.name,
             mim_precision_name(precision));
    bench_line(memory, ours, "B", theirs, ours / theirs, 1, 0, "");
    return MIM_OK;
}

/* ---- a precision ---------------------------------------------------------------------------- */

static int set_up(bench *b, mim_precision precision)
{
    b->options =
        (mim_train_options){.batch = b->subject->n_batch,
                            .n_shards = MAX_THREADS,
                            .micro_batch = b->subject->micro_batch,
                            .n_lanes = MAX_THREADS,
                            .adam = {0.9, 0.999, 1e-8, .weight_decay = 0.01, .is_decoupled = true},
                            .rate = {.base = 1e-4, .floor = 1, .n_steps = 1},
                            .ema = {.beta = 0.995},
                            .precision = precision,
                            .clip_norm = 1,
                            .hide_all = 0.1};
    int rc = bench_model_create(&b->subject->size, &b->model);
    if (rc == MIM_OK)
        b->model->architecture.dropout = 0;
    if (rc == MIM_OK)
        rc = bench_examples_create(b->model->domain, &b->data);
    if (rc == MIM_OK)
        disturb(b->model->params);
    if (rc == MIM_OK)
        rc = mim_trainer_create(&b->options, b->model, &b->data.examples, &b->trainer);
    return rc == MIM_OK ? hand_over(b) : rc;
}

static int bench_network(const subject *which, mim_precision precision, size_t n, double *rates)
{
    bench b = {.subject = which, .folder = "/tmp/mimesys_bench_torch.XXXXXX"};
    peer p = {0};
    json_t *answer = NULL;
    char name[64];
    snprintf(name, sizeof name, "torch_train_%s_%s", which->size.name,
             mim_precision_name(precision));
    if (precision == MIM_PRECISION_BF16 && !mim_gemm_has_bf16(mim_gemm_find(NULL))) {
        bench_null(name, "samples/s", "not supported here: the processor has no bf16");
        return MIM_OK;
    }
    if (access("/usr/bin/python3", X_OK) != 0) {
        bench_null(name, "samples/s", "not installed: /usr/bin/python3 (make deps-bench)");
        return MIM_OK;
    }
    if (!mkdtemp(b.folder))
        return mim_fail(MIM_EIO, "%s", b.folder);
    int rc = set_up(&b, precision);
    if (rc == MIM_OK)
        rc = peer_start(b.folder, mim_precision_name(precision), &p);
    if (rc == MIM_OK)
        rc = peer_answer(&p, &answer);
    const char *why = json_string_value(json_object_get(answer, "error"));
    const char *library = json_string_value(json_object_get(answer, "library"));
    if (rc == MIM_OK && !why && library && strcmp(library, "reference BLAS") == 0)
        why = "PyTorch multiplies with the reference BLAS, which is no peer (make deps-bench)";
    if (rc == MIM_OK && why)
        bench_null(name, "samples/s", why);
    else if (rc == MIM_OK)
        rc = measure(&b, &p, n, rates, precision, name, library ? library : "");
    json_decref(answer);
    peer_end(&p);
    remove_files(&b);
    mim_trainer_destroy(&b.trainer);
    bench_examples_clear(&b.data);
    mim_model_destroy(&b.model);
    return rc;
}

int main(int argc, char **argv)
{
    const char *only = argc > 2 ? argv[2] : NULL;
    int64_t n = N_DEFAULT;
    int rc = argc > 1 ? mim_parse_i64("repetitions", argv[1], 3, 1000, &n) : MIM_OK;
    double *rates = calloc(2 * MAX_THREADS * (size_t)n, sizeof *rates);
    if (rc == MIM_OK && !rates)
        rc = mim_fail(MIM_ENOMEM, "rates");
    bench_set_threads(1);
    for (size_t i = 0; rc == MIM_OK && i < sizeof subjects / sizeof *subjects; i++)
        for (int precision = 0; rc == MIM_OK && precision < 2; precision++)
            if (!only || strcmp(only, subjects[i].size.name) == 0)
                rc = bench_network(&subjects[i], (mim_precision)precision, (size_t)n, rates);
    free(rates);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_torch: %s\n", mim_error());
    return mim_exit_status(rc);
}
