/* Optimisers, gradient clipping, moving averages and learning rates: walks over whole arrays of
 * parameters (nn/params.h). All are elementwise or sums in a fixed order, so ranks that hold equal
 * gradients stay equal to the bit. */
#ifndef MIM_NN_OPTIM_H
#define MIM_NN_OPTIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/params.h"

/* Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019) as PyTorch defines them:
 *   Adam:  g += weight_decay p;         AdamW: p -= lr weight_decay p
 *   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 *   p -= lr / (1 - beta1^n) m / (sqrt(v) / sqrt(1 - beta2^n) + eps)
 * Only tensors marked as decayed are decayed. */
typedef struct mim_adam {
    double beta_1, beta_2, eps; /* usually 0.9, 0.999, 1e-8 */
    double weight_decay;
    bool is_decoupled; /* AdamW */
} mim_adam;

extern const mim_adam mim_adam_default; /* the usual, no decay */

typedef enum { MIM_LR_CONSTANT, MIM_LR_LINEAR, MIM_LR_COSINE } mim_lr_decay;

/* base (n + 1) / n_warmup for steps n < n_warmup; then constant, or down to base floor at
 * n_steps - 1 (linear, or half a cosine; Loshchilov and Hutter 2017), where it stays. */
typedef struct mim_lr_schedule {
    double base, floor; /* floor: share of base, [0, 1] */
    uint64_t n_warmup, n_steps;
    mim_lr_decay decay;
} mim_lr_schedule;

/* Learning rate of step `step` (the first is 0). */
double mim_lr_at(const mim_lr_schedule *schedule, uint64_t step);

/* Weight of the old average after `n_updates` calls before this one: 0 (copy) while
 * n_updates < n_copies, then beta. With is_warming min(beta, (1 + n) / (10 + n)), n counted from
 * there. */
typedef struct mim_ema {
    double beta; /* [0, 1) */
    uint64_t n_copies;
    bool is_warming;
} mim_ema;
double mim_ema_beta_at(const mim_ema *ema, uint64_t n_updates);

/* A step in one pass: clipping, Adam, moving average. */
typedef struct mim_update {
    const mim_adam *adam;
    const mim_ema *ema;
    double lr;
    uint64_t n_step; /* the first is 1 */
    double norm;     /* of the gradient (mim_gradient_norm), finite */
    double max_norm; /* what it may be, <= 0: any */
} mim_update;

#include "nn/as_float.h"
#include "nn/optim_declare.h"

#include "nn/as_double.h"
#include "nn/optim_declare.h"

#endif
