#include "diffusion/batch_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* ---- where threads go ----------------------------------------------------------------------- */

/* A whole number below n. Draws of one example follow each other. */
static size_t draw_below(uint64_t seed, const mim_batch_place *p, uint32_t *draw, size_t n)
{
    const uint64_t u = mim_rng_u32(seed, MIM_STREAM_AUGMENT, p->step, p->number, (*draw)++);
    return (size_t)(u * n >> 32);
}

static void exchange(size_t *a, size_t *b)
{
    const size_t other = *a;
    *a = *b;
    *b = other;
}

/* No socket stays where it is (Sattolo 1986): two change places. */
static void turn_sockets(mim_batch *b, size_t n, uint64_t seed, const mim_batch_place *p,
                         uint32_t *draw)
{
    for (size_t i = n; i > 1; i--)
        exchange(&b->sockets[i - 1], &b->sockets[draw_below(seed, p, draw, i - 1)]);
}

void mim_batch_shuffle(mim_batch *b, const mim_train_options *o, uint64_t seed,
                       const mim_batch_place *p)
{
    const size_t n_sockets = b->n_sockets;
    uint32_t draw = 0;
    for (size_t s = 0; s < n_sockets; s++)
        b->sockets[s] = s;
    if (o->swap_sockets > 0) {
        const double u =
            mim_rng_u32(seed, MIM_STREAM_AUGMENT, p->step, p->number, draw++) * 0x1p-32;
        if (u < o->swap_sockets)
            turn_sockets(b, n_sockets, seed, p, &draw);
    }
    for (size_t s = 0; s < n_sockets; s++) {
        const size_t to = b->first_of_socket[s], n = b->first_of_socket[s + 1] - to;
        const size_t from = b->first_of_socket[b->sockets[s]];
        for (size_t i = 0; i < n; i++)
            b->source[b->by_socket[to + i]] = b->by_socket[from + i];
        for (size_t i = n; o->permutes_threads && i > 1; i--)
            exchange(&b->source[b->by_socket[to + i - 1]],
                     &b->source[b->by_socket[to + draw_below(seed, p, &draw, i)]]);
    }
}

mim_batch mim_batch_from(const mim_batch *b, const mim_domain *d, size_t first)
{
    const size_t cells = first * b->n_cells, threads = first * d->n_threads;
    const size_t node = first * d->n_node_metrics;
    return (mim_batch){.n = b->n - first,
                       .n_cells = b->n_cells,
                       .n_sockets = b->n_sockets,
                       .x0 = b->x0 + cells,
                       .eps = b->eps + cells,
                       .noisy = b->noisy + cells,
                       .previous = b->previous + cells,
                       .predicted = b->predicted + cells,
                       .d_predicted = b->d_predicted + cells,
                       .cpu = b->cpu + threads,
                       .cpu_mask = b->cpu_mask + threads,
                       .idle = b->idle + threads,
                       .node = b->node + node,
                       .node_mask = b->node_mask + node,
                       .has_previous = b->has_previous + first,
                       .is_conditional = b->is_conditional + first,
                       .time = b->time + first,
                       .t = b->t + first,
                       .numbers = b->numbers + first,
                       .socket = b->socket};
}

bool mim_batch_can_swap_sockets(const mim_batch *b)
{
    const size_t n_sockets = b->n_sockets;
    for (size_t s = 1; s < n_sockets; s++)
        if (b->first_of_socket[s + 1] - b->first_of_socket[s] != b->first_of_socket[1])
            return false;
    return n_sockets > 1;
}

/* Moves rows of `width` floats to where their threads go. */
static void move_rows(const mim_batch *b, size_t n_threads, size_t width, const float *from,
                      float *to)
{
    for (size_t t = 0; t < n_threads; t++)
        memcpy(to + t * width, from + b->source[t] * width, width * sizeof *to);
}

/* ---- one example ---------------------------------------------------------------------------- */

static bool is_drawn(const mim_train_options *o, uint64_t seed, const mim_batch_place *p,
                     uint32_t draw, double share)
{
    return o && share > 0 && mim_rng_u01(seed, MIM_STREAM_HIDE, p->step, p->number, draw) < share;
}

static void add_jitter(const mim_domain *d, const mim_train_options *o, uint64_t seed,
                       const mim_batch_place *p, mim_normalised out)
{
    for (size_t i = 0; i < d->n_threads + d->n_node_metrics; i++) {
        float *value = i < d->n_threads ? &out.cpu[i] : &out.node[i - d->n_threads];
        const float mask = i < d->n_threads ? out.cpu_mask[i] : out.node_mask[i - d->n_threads];
        const double noise =
            mim_rng_normal(seed, MIM_STREAM_JITTER, p->step, p->number, (uint32_t)i);
        if (mask > 0)
            *value += (float)(o->jitter * noise);
    }
}

static void put_metrics(mim_batch *b, const mim_model *model, const mim_train_options *o,
                        const mim_examples *examples, size_t row, const mim_batch_place *p)
{
    const mim_domain *d = model->domain;
    const float *metric = examples->metric + row * d->n_metrics;
    const uint8_t *mask = examples->mask + row * d->n_metrics;
    b->is_conditional[p->slot] = is_drawn(o, model->seed, p, 0, o ? o->hide_all : 0) ? 0 : 1;
    for (size_t m = 0; m < d->n_metrics; m++) {
        const bool is_hidden = is_drawn(o, model->seed, p, 2 + (uint32_t)m, o ? o->hide_metric : 0);
        b->metrics[m] = mask[m] && !is_hidden ? (double)metric[m] : NAN;
    }
    const mim_normalised out = {
        b->cpu + p->slot * d->n_threads, b->cpu_mask + p->slot * d->n_threads,
        b->node + p->slot * d->n_node_metrics, b->node_mask + p->slot * d->n_node_metrics};
    mim_domain_normalise(d, b->metrics, out);
    if (o && o->jitter > 0)
        add_jitter(d, o, model->seed, p, out);
}

static void put_actions(mim_batch *b, const mim_model *model, const mim_train_options *o,
                        const mim_examples *examples, size_t row, const mim_batch_place *p)
{
    const size_t n = b->n_cells, at = p->slot * n;
    const bool has_previous =
        examples->has_previous[row] && !is_drawn(o, model->seed, p, 1, o ? o->hide_previous : 0);
    for (size_t i = 0; i < n; i++) {
        b->x0[at + i] = 2 * examples->action[row * n + i] - 1;
        b->previous[at + i] = has_previous ? 2 * examples->previous[row * n + i] - 1 : -1;
        b->eps[at + i] =
            (float)mim_rng_normal(model->seed, MIM_STREAM_NOISE, p->step, p->number, (uint32_t)i);
    }
    b->has_previous[p->slot] = has_previous ? 1 : 0;
    b->t[p->slot] = p->t;
    b->time[p->slot] = (double)p->t;
    b->numbers[p->slot] = p->number;
}

/* Threads change places together with their metrics, plans and the plans before. The work space is
 * that of answers, which are not there yet. */
static void move_threads(mim_batch *b, const mim_domain *d, const mim_batch_place *p)
{
    const size_t n = d->n_threads, s = d->n_stressors;
    const struct {
        float *rows;
        size_t width;
    } arrays[] = {{b->x0 + p->slot * b->n_cells, s},
                  {b->previous + p->slot * b->n_cells, s},
                  {b->cpu + p->slot * n, 1},
                  {b->cpu_mask + p->slot * n, 1}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        move_rows(b, n, arrays[i].width, arrays[i].rows, b->predicted);
        memcpy(arrays[i].rows, b->predicted, n * arrays[i].width * sizeof *b->predicted);
    }
}

void mim_batch_put(mim_batch *b, const mim_model *model, const mim_schedule *schedule,
                   const mim_train_options *options, const mim_examples *examples, size_t e,
                   const mim_batch_place *p)
{
    const size_t row = mim_examples_row(examples, e), at = p->slot * b->n_cells;
    put_metrics(b, model, options, examples, row, p);
    put_actions(b, model, options, examples, row, p);
    if (options && (options->permutes_threads || options->swap_sockets > 0)) {
        mim_batch_shuffle(b, options, model->seed, p);
        move_threads(b, model->domain, p);
    }
    mim_schedule_noise(schedule, p->t, b->n_cells, b->x0 + at, b->eps + at, b->noisy + at);
}

/* ---- setting up ----------------------------------------------------------------------------- */

static void list_sockets(mim_batch *b, const mim_domain *d)
{
    size_t n = 0;
    for (size_t s = 0; s < d->n_sockets; s++) {
        for (size_t t = 0; t < d->n_threads; t++)
            if (d->socket[t] == s)
                b->by_socket[n++] = t;
        b->first_of_socket[s + 1] = n;
    }
    for (size_t t = 0; t < d->n_threads; t++) {
        b->socket[t] = (uint32_t)d->socket[t];
        b->source[t] = t;
    }
}

static int allocate(mim_batch *b, const mim_domain *d)
{
    const size_t n = b->n, cells = n * b->n_cells;
    const struct {
        float **array;
        size_t n;
    } arrays[] = {{&b->x0, cells},
                  {&b->eps, cells},
                  {&b->noisy, cells},
                  {&b->previous, cells},
                  {&b->predicted, cells},
                  {&b->d_predicted, cells},
                  {&b->cpu, n * d->n_threads},
                  {&b->cpu_mask, n * d->n_threads},
                  {&b->idle, n * d->n_threads},
                  {&b->node, n * d->n_node_metrics},
                  {&b->node_mask, n * d->n_node_metrics},
                  {&b->has_previous, n},
                  {&b->is_conditional, n}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        b->n_memory += arrays[i].n;
    b->memory = calloc(b->n_memory, sizeof *b->memory);
    b->time = calloc(n, sizeof *b->time);
    b->t = calloc(n, sizeof *b->t);
    b->numbers = calloc(n, sizeof *b->numbers);
    b->metrics = calloc(d->n_metrics, sizeof *b->metrics);
    b->socket = calloc(d->n_threads, sizeof *b->socket);
    b->source = calloc(2 * d->n_threads + 2 * d->n_sockets + 1, sizeof *b->source);
    if (!b->memory || !b->time || !b->t || !b->numbers || !b->metrics || !b->socket || !b->source)
        return mim_fail(MIM_ENOMEM, "batch of %zu examples", n);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].array = b->memory + used;
        used += arrays[i].n;
    }
    b->by_socket = b->source + d->n_threads;
    b->first_of_socket = b->by_socket + d->n_threads;
    b->sockets = b->first_of_socket + d->n_sockets + 1;
    return MIM_OK;
}

int mim_batch_create(const mim_domain *domain, size_t n, mim_batch **batch)
{
    mim_batch *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "batch of %zu examples", n);
    made->n = n;
    made->n_sockets = domain->n_sockets;
    made->n_cells = domain->n_threads * domain->n_stressors;
    const int rc = allocate(made, domain);
    if (rc == MIM_OK) {
        list_sockets(made, domain);
        *batch = made;
        made = NULL;
    }
    mim_batch_destroy(&made);
    return rc;
}

void mim_batch_destroy(mim_batch **batch)
{
    mim_batch *old = *batch;
    if (!old)
        return;
    *batch = NULL;
    free(old->memory);
    free(old->time);
    free(old->t);
    free(old->numbers);
    free(old->metrics);
    free(old->socket);
    free(old->source);
    free(old);
}

size_t mim_batch_n_bytes(const mim_batch *batch) { return batch->n_memory * sizeof(float); }
