#include "diffusion/lanes_internal.h"

#include <stdlib.h>

#include "nn/optim.h"
#include "nn/pages.h"
#include "nn/parallel_internal.h"

int mim_lanes_create(size_t n, size_t n_shard, const mim_model *model,
                     const mim_network_options *options, mim_lanes **lanes)
{
    mim_lanes *made = calloc(1, sizeof *made);
    if (!made || !(made->all = calloc(n, sizeof *made->all)) ||
        !(made->grads = calloc(n, sizeof *made->grads))) {
        mim_lanes_destroy(&made);
        return mim_fail(MIM_ENOMEM, "shards at a time");
    }
    mim_network_options own = *options;
    made->n = n;
    made->n_values = model->params->n_values;
    int rc =
        mim_layer_weights_create(options->gemm, options->precision, made->n_values, &made->weights);
    own.weights = made->weights;
    for (size_t k = 0; rc == MIM_OK && k < n; k++) {
        mim_lane *lane = &made->all[k];
        lane->grads =
            k == 0 ? model->params->grads : mim_calloc_large(made->n_values, sizeof *lane->grads);
        rc = lane->grads ? mim_network_create_f(&model->architecture, &own, &lane->network)
                         : mim_fail(MIM_ENOMEM, "gradients of %zu shards at a time", n);
        made->grads[k] = lane->grads;
        if (rc == MIM_OK)
            rc = mim_batch_create(model->domain, n_shard, &lane->batch);
    }
    if (rc == MIM_OK)
        *lanes = made;
    else
        mim_lanes_destroy(&made);
    return rc;
}

void mim_lanes_destroy(mim_lanes **lanes)
{
    mim_lanes *old = *lanes;
    if (!old)
        return;
    *lanes = NULL;
    for (size_t k = 0; old->all && k < old->n; k++) {
        mim_network_destroy_f(&old->all[k].network);
        mim_batch_destroy(&old->all[k].batch);
        if (k > 0)
            free(old->all[k].grads);
    }
    mim_layer_weights_destroy(&old->weights);
    free(old->all);
    free(old->grads);
    free(old);
}

size_t mim_lanes_n_bytes(const mim_lanes *lanes)
{
    size_t sum = (lanes->n - 1) * lanes->n_values * sizeof(float) +
                 mim_layer_weights_n_bytes(lanes->weights);
    for (size_t k = 0; k < lanes->n; k++)
        sum +=
            mim_network_n_bytes_f(lanes->all[k].network) + mim_batch_n_bytes(lanes->all[k].batch);
    return sum;
}

void mim_lanes_load(mim_lanes *lanes, const float *values)
{
    mim_layer_weights_load(lanes->weights, values);
}

/* ---- gradients on their way to the caller ---------------------------------------------------- */

typedef struct range {
    size_t first, n;
} range;

typedef struct handover {
    mim_lanes *lanes;
    size_t n_used;
    bool is_added;
    double *gradient;
    const mim_grads_ready *ready;
    size_t n_told, n_given; /* of these, the first n_given are handed over */
    range told[MIM_LANES_MAX_RANGES];
} handover;

static void hand_over(const handover *h, size_t first, size_t n)
{
    if (n > 0)
        mim_grads_move_f(first, n, h->n_used, h->lanes->grads, h->is_added, h->gradient);
}

/* What one lane tells. All tell of the same ranges, each in its own time. */
typedef struct telling {
    mim_lane *lane;
    handover *handover; /* of the first lane, whose thread hands over what all have told of */
} telling;

static void told(void *context, size_t first, size_t n)
{
    telling *t = context;
    handover *h = t->handover;
    atomic_fetch_add_explicit(&t->lane->n_told, 1, memory_order_release);
    if (!h || h->n_told == MIM_LANES_MAX_RANGES)
        return;
    h->told[h->n_told++] = (range){first, n};
    size_t end = h->n_told;
    for (size_t k = 1; k < h->n_used; k++) {
        const size_t other = atomic_load_explicit(&h->lanes->all[k].n_told, memory_order_acquire);
        end = other < end ? other : end;
    }
    for (; h->n_given < end; h->n_given++) {
        const range *r = &h->told[h->n_given];
        hand_over(h, r->first, r->n);
        h->ready->tell(h->ready->context, r->first, r->n);
    }
}

static int compare_ranges(const void *a, const void *b)
{
    const range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static void hand_over_rest(handover *h)
{
    size_t at = 0;
    qsort(h->told, h->n_given, sizeof *h->told, compare_ranges);
    for (size_t i = 0; i < h->n_given; i++) {
        hand_over(h, at, h->told[i].first - at);
        at = h->told[i].first + h->told[i].n;
    }
    hand_over(h, at, h->lanes->n_values - at);
}

static void run_one(handover *h, size_t k, mim_lane_work work, void *context)
{
    mim_lane *lane = &h->lanes->all[k];
    telling t = {lane, k == 0 ? h : NULL};
    const mim_grads_ready early = {told, &t};
    work(context, lane, h->ready ? &early : NULL);
}

/* Lanes first .. first + n - 1 at a time. A single one is not in a region of its own: loops within
 * would start threads anew each time. */
static void run_some(handover *h, size_t first, size_t n, mim_lane_work work, void *context)
{
    if (n == 1) {
        run_one(h, first, work, context);
        return;
    }
    MIM_PARALLEL_LANES(n)
    for (size_t k = first; k < first + n; k++)
        run_one(h, k, work, context);
}

void mim_lanes_work(mim_lanes *lanes, size_t n_used, mim_lane_work work, void *context)
{
    handover nothing = {.lanes = lanes};
    const size_t most = mim_n_workers(n_used);
    for (size_t first = 0; first < n_used; first += most)
        run_some(&nothing, first, n_used - first < most ? n_used - first : most, work, context);
}

void mim_lanes_run(mim_lanes *lanes, size_t n_used, mim_lane_work work, void *context,
                   bool is_added, double *gradient, const mim_grads_ready *ready)
{
    handover h = {.lanes = lanes,
                  .n_used = n_used,
                  .is_added = is_added,
                  .gradient = gradient,
                  .ready = ready};
    for (size_t k = 0; k < n_used; k++)
        atomic_init(&lanes->all[k].n_told, 0);
    run_some(&h, 0, n_used, work, context);
    hand_over_rest(&h);
}
