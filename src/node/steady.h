/* Repeating a measurement until it can be believed.
 *
 * A round takes repeats until enough of them were undisturbed (n_tries for each at most), and is
 * taken again when it was disturbed as a whole (n_tries at most, too). When the middle half of the
 * repeats lies apart by more than a share of the median, another round follows with twice the
 * repeats, n_tries in all. What is still apart after the last round is unstable; a round that
 * others disturbed all the time ends it, too: the machine cannot be measured now. */
#ifndef MIM_NODE_STEADY_H
#define MIM_NODE_STEADY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

typedef struct mim_repeat {
    double op_s, cpu_s, bytes_per_s;
    bool is_disturbed; /* by others meanwhile */
} mim_repeat;

typedef struct mim_steady_source {
    void *context;
    int (*repeat)(void *context, mim_repeat *repeat); /* one; an error ends the measurement */
    /* Around each round, for what single repeats are too short to see; may be NULL. */
    void (*begin)(void *context);
    bool (*was_disturbed)(void *context);
} mim_steady_source;

typedef struct mim_steady_options {
    size_t n_repeats;  /* of the first round, 1 to MIM_STEADY_MAX_REPEATS */
    size_t n_tries;    /* 1 to MIM_STEADY_MAX_TRIES */
    double max_spread; /* of op_s; 0 = one round is taken as it comes, whatever disturbed it */
} mim_steady_options;

enum { MIM_STEADY_MAX_REPEATS = 64, MIM_STEADY_MAX_TRIES = 10 };

typedef struct mim_steady {
    double op_s, cpu_s, bytes_per_s; /* medians over the last round's repeats */
    double spread;                   /* (third - first quartile) / median of op_s */
    size_t n_repeats;                /* of the last round */
    size_t n_taken, n_disturbed;     /* in all */
    bool is_disturbed; /* too few repeats were undisturbed: all of the round were taken */
    bool is_unstable;  /* spread above the limit */
} mim_steady;

int mim_steady_measure(const mim_steady_options *options, const mim_steady_source *source,
                       mim_steady *steady);

#endif
