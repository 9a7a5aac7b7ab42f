#include "diffusion/feed.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/signals.h"

/* One step's examples, as far as they are asked for here. */
typedef struct batch {
    mim_samples *samples;
    bool is_there;
    uint64_t step;
    int rc;
    char why[MIM_ERROR_TEXT_BYTES];
} batch;

/* What is read ahead. Under `lock` but for the samples: those of a batch belong to the thread until
 * it is there, then to the asker until a later step is asked for. */
typedef struct ahead {
    const size_t *which;
    mim_corpus_rows *rows;
    size_t n_batches;
    batch *batches;  /* [n_batches] step s is in s mod n_batches */
    size_t *numbers; /* [count n_shard] samples of the batch that is being read */
    pthread_t thread;
    bool has_thread, is_ending;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t asked, next; /* step that is asked for, that is read next */
    uint64_t n_jumps;     /* what was begun before the last one is of no use */
} ahead;

struct mim_feed {
    mim_feed_options o;
    const mim_order *order;
    size_t n_shard;        /* examples of a shard */
    mim_examples examples; /* all, in memory */
    size_t *rows;          /* [n_shard] of them */
    ahead *ahead;          /* NULL: in memory */
    int64_t wait_ns;
};

static size_t example_at(const mim_feed *f, uint64_t step, size_t number)
{
    return mim_order_at(f->order, step * (uint64_t)f->o.n_batch + number);
}

/* ---- in memory ------------------------------------------------------------------------------ */

static int create(const mim_feed_options *o, const mim_order *order, mim_feed **feed)
{
    if (o->n_batch < 1 || o->n_shards < 1 || o->n_batch % o->n_shards)
        return mim_fail(MIM_EINVAL,
                        "training: a batch of %zu examples cannot be cut into %zu equal shards",
                        o->n_batch, o->n_shards);
    mim_feed *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "examples of a step");
    made->o = *o;
    made->order = order;
    made->n_shard = o->n_batch / o->n_shards;
    *feed = made;
    return MIM_OK;
}

int mim_feed_of_examples(const mim_feed_options *options, const mim_order *order,
                         const mim_examples *examples, mim_feed **feed)
{
    mim_feed *made = NULL;
    int rc = create(options, order, &made);
    if (rc != MIM_OK)
        return rc;
    made->examples = *examples;
    if (!(made->rows = calloc(made->n_shard, sizeof *made->rows))) {
        mim_feed_destroy(&made);
        return mim_fail(MIM_ENOMEM, "examples of a step");
    }
    *feed = made;
    return MIM_OK;
}

static void shard_in_memory(mim_feed *f, uint64_t step, size_t shard, mim_examples *examples)
{
    for (size_t i = 0; i < f->n_shard; i++)
        f->rows[i] = mim_examples_row(&f->examples, example_at(f, step, shard * f->n_shard + i));
    *examples = f->examples;
    examples->n = f->n_shard;
    examples->rows = f->rows;
}

/* ---- read ahead ----------------------------------------------------------------------------- */

/* Outside the lock. */
static void read_batch(mim_feed *f, uint64_t step, batch *b)
{
    ahead *a = f->ahead;
    const size_t n = f->o.count * f->n_shard, first = f->o.first * f->n_shard;
    for (size_t i = 0; i < n; i++)
        a->numbers[i] = a->which[example_at(f, step, first + i)];
    mim_corpus_rows_announce(a->rows, n, a->numbers);
    b->rc = mim_corpus_rows_read(a->rows, n, a->numbers, b->samples);
    if (b->rc != MIM_OK)
        snprintf(b->why, sizeof b->why, "%s", mim_error());
}

static void *read_on(void *context)
{
    mim_feed *f = context;
    ahead *a = f->ahead;
    mim_signals_block(); /* they are the main thread's */
    pthread_mutex_lock(&a->lock);
    while (!a->is_ending) {
        if (a->next >= a->asked + a->n_batches) {
            pthread_cond_wait(&a->changed, &a->lock);
            continue;
        }
        const uint64_t step = a->next++, n_jumps = a->n_jumps;
        batch *b = &a->batches[step % a->n_batches];
        b->is_there = false;
        pthread_mutex_unlock(&a->lock);
        read_batch(f, step, b);
        pthread_mutex_lock(&a->lock);
        if (n_jumps != a->n_jumps)
            continue;
        b->step = step;
        b->is_there = true;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static int start(mim_feed *f, uint64_t step)
{
    ahead *a = f->ahead;
    if (a->has_thread)
        return MIM_OK;
    a->asked = a->next = step;
    if (pthread_create(&a->thread, NULL, read_on, f) != 0)
        return mim_fail(MIM_ENOMEM, "the thread that reads examples cannot be started");
    a->has_thread = true;
    return MIM_OK;
}

/* Lets go of the steps before, and waits for this one. */
static batch *wait_for(mim_feed *f, uint64_t step)
{
    ahead *a = f->ahead;
    batch *b = &a->batches[step % a->n_batches];
    const int64_t begin_ns = mim_clock_mono_ns();
    pthread_mutex_lock(&a->lock);
    if (step < a->asked || step > a->next) { /* begin anew there */
        a->n_jumps++;
        a->next = step;
        for (size_t i = 0; i < a->n_batches; i++)
            a->batches[i].is_there = false;
    }
    a->asked = step;
    pthread_cond_broadcast(&a->changed);
    while (!(b->is_there && b->step == step))
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
    f->wait_ns += mim_clock_mono_ns() - begin_ns;
    return b;
}

static int shard_ahead(mim_feed *f, uint64_t step, size_t shard, mim_examples *examples)
{
    if (shard < f->o.first || shard - f->o.first >= f->o.count)
        return mim_fail(MIM_EINVAL, "training: shard %zu is not one of those read here", shard);
    int rc = start(f, step);
    if (rc != MIM_OK)
        return rc;
    const batch *b = wait_for(f, step);
    if (b->rc != MIM_OK)
        return mim_fail(b->rc, "%s", b->why);
    const size_t at = (shard - f->o.first) * f->n_shard;
    for (size_t i = 0; i < f->n_shard; i++)
        f->rows[i] = at + i;
    *examples = mim_examples_of_samples(b->samples);
    examples->n = f->n_shard;
    examples->rows = f->rows;
    return MIM_OK;
}

static int allocate_ahead(mim_feed *f, const mim_layout *layout)
{
    ahead *a = f->ahead;
    const size_t n = f->o.count * f->n_shard;
    a->n_batches = f->o.n_ahead + 1;
    a->batches = calloc(a->n_batches, sizeof *a->batches);
    a->numbers = calloc(n + 1, sizeof *a->numbers);
    f->rows = calloc(f->n_shard, sizeof *f->rows);
    if (!a->batches || !a->numbers || !f->rows)
        return mim_fail(MIM_ENOMEM, "examples of %zu steps", a->n_batches);
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < a->n_batches; i++)
        rc = mim_samples_create(layout, n, &a->batches[i].samples);
    return rc;
}

int mim_feed_of_corpus(const mim_feed_options *options, const mim_order *order,
                       const mim_layout *layout, const size_t *which, mim_corpus_rows *rows,
                       mim_feed **feed)
{
    mim_feed *made = NULL;
    if (options->n_ahead < 1 || options->first > options->n_shards ||
        options->count > options->n_shards - options->first)
        return mim_fail(MIM_EINVAL, "training: %zu steps ahead of shards %zu to %zu of %zu",
                        options->n_ahead, options->first, options->first + options->count,
                        options->n_shards);
    int rc = create(options, order, &made);
    if (rc != MIM_OK)
        return rc;
    if ((made->ahead = calloc(1, sizeof *made->ahead))) {
        made->ahead->which = which;
        made->ahead->rows = rows;
        pthread_mutex_init(&made->ahead->lock, NULL);
        pthread_cond_init(&made->ahead->changed, NULL);
        rc = allocate_ahead(made, layout);
    } else {
        rc = mim_fail(MIM_ENOMEM, "examples of a step");
    }
    if (rc == MIM_OK) {
        *feed = made;
        made = NULL;
    }
    mim_feed_destroy(&made);
    return rc;
}

static void end_ahead(ahead *a)
{
    if (a->has_thread) {
        pthread_mutex_lock(&a->lock);
        a->is_ending = true;
        pthread_cond_broadcast(&a->changed);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    for (size_t i = 0; a->batches && i < a->n_batches; i++)
        mim_samples_destroy(&a->batches[i].samples);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->changed);
    free(a->batches);
    free(a->numbers);
    free(a);
}

void mim_feed_destroy(mim_feed **feed)
{
    mim_feed *old = *feed;
    if (!old)
        return;
    *feed = NULL;
    if (old->ahead)
        end_ahead(old->ahead);
    free(old->rows);
    free(old);
}

int mim_feed_shard(mim_feed *f, uint64_t step, size_t shard, mim_examples *examples)
{
    if (shard >= f->o.n_shards)
        return mim_fail(MIM_EINVAL, "training: shard %zu of %zu", shard, f->o.n_shards);
    if (f->ahead)
        return shard_ahead(f, step, shard, examples);
    shard_in_memory(f, step, shard, examples);
    return MIM_OK;
}

size_t mim_feed_n_ahead(mim_feed *feed)
{
    ahead *a = feed->ahead;
    size_t n = 0;
    if (!a)
        return 0;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n_batches; i++)
        n += a->batches[i].is_there && a->batches[i].step > a->asked;
    pthread_mutex_unlock(&a->lock);
    return n;
}

double mim_feed_wait_s(const mim_feed *feed) { return 1e-9 * (double)feed->wait_ns; }
