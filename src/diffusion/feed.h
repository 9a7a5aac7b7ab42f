/* The examples of training steps: from memory, or read ahead from a corpus by a thread of its own.
 *
 * A step's batch is cut into n_shards equal shards; example number k of step s is the one at
 * position s n_batch + k of the order. Which steps are asked for when does not matter, but reading
 * ahead counts on one after the other. The thread makes no call of the HDF5 library. */
#ifndef MIM_DIFFUSION_FEED_H
#define MIM_DIFFUSION_FEED_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "corpus/rows.h"
#include "diffusion/examples.h"
#include "diffusion/order.h"

typedef struct mim_feed_options {
    size_t n_batch, n_shards;
    /* Read ahead only: shards [first, first + count) are asked for here and are all that is read;
     * steps that are read before they are asked for, at least 1. */
    size_t first, count, n_ahead;
} mim_feed_options;

typedef struct mim_feed mim_feed;

/* Keeps `order` and the examples (borrowed). */
int mim_feed_of_examples(const mim_feed_options *options, const mim_order *order,
                         const mim_examples *examples, mim_feed **feed);
/* Keeps `order`, `which` (example i is sample which[i]) and `rows`, which nobody else may use until
 * the feed is destroyed (all borrowed). Its thread starts with the first question. */
int mim_feed_of_corpus(const mim_feed_options *options, const mim_order *order,
                       const mim_layout *layout, const size_t *which, mim_corpus_rows *rows,
                       mim_feed **feed);
void mim_feed_destroy(mim_feed **feed);

/* The examples of a shard, borrowed until the next call. What failed in reading is told at the step
 * that misses it: codes of mim_corpus_rows_read(). */
int mim_feed_shard(mim_feed *feed, uint64_t step, size_t shard, mim_examples *examples);
/* Steps after the one asked for last that are read; 0 in memory. */
size_t mim_feed_n_ahead(mim_feed *feed);
/* Time spent waiting for what was not read yet. */
double mim_feed_wait_s(const mim_feed *feed);

#endif
