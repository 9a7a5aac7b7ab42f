/* A model, not a measurement: how long a step of training takes on many nodes, from what one node
 * was measured to compute and from a network that is assumed.
 *
 * Each node computes a batch of its own (weak scaling), then all sum up their gradients bucket
 * after bucket in a ring: of n nodes each sends 2 (n - 1) messages of 1/n of the bucket (Patarasuk
 * and Yuan 2009, section 3). Left out: what the sums cost the processor, nodes that are slower than
 * others, links that carry what others send, and that a library may know better than a ring. */
#ifndef MIM_REPORT_SCALING_MODEL_H
#define MIM_REPORT_SCALING_MODEL_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mim_scaling_model {
    double compute_s, update_s; /* of a step: until the gradient is complete; after its sum */
    size_t n_buckets;
    const double *ready_s; /* [n_buckets] since the step began, at most compute_s, not falling */
    const double *n_bytes; /* [n_buckets] */
    double speed;          /* of a node, 1: as measured; all times above are divided by it */
    double bandwidth_bytes_per_s, latency_s; /* of a node in each direction; of a message */
} mim_scaling_model;

/* Of a sum over n_nodes >= 1: 0 for one. */
double mim_ring_s(size_t n_nodes, double n_bytes, double bandwidth_bytes_per_s, double latency_s);

/* overlaps: the sum of a bucket begins as soon as it is ready and the one before it is done.
 * Otherwise all are summed up at once when the gradient is complete. */
double mim_scaling_step_s(const mim_scaling_model *model, size_t n_nodes, bool overlaps);

/* Samples a second of all nodes as a share of n_nodes times those of one. */
double mim_scaling_share(const mim_scaling_model *model, size_t n_nodes, bool overlaps);

#endif
