/* What a network's numbers mean, and rows of plans that cannot ask for more than there is.
 *
 * Free: they are the predicted quantity (diffusion/schedule.h) as they stand. Simplex: they are
 * logits of a thread's shares, from which sparsemax (Martins and Astudillo 2016, algorithm 1) over
 * its S stressors and idle makes x_0: shares are at least 0, often exactly 0, and sum to at most 1.
 * Idle has the logit 0, which costs nothing, as sparsemax looks at differences alone. With another
 * prediction than x0 the quantity is what follows from that x_0 and x_t, so errors of x_0 count as
 * much as they make the quantity wrong, and solvers are given x_0 itself.
 *
 * In float (_f) for training and in double (_d) for finite differences; nn/as_float.h says how. */
#ifndef MIM_DIFFUSION_SIMPLEX_H
#define MIM_DIFFUSION_SIMPLEX_H

#include <stddef.h>

#include "core/error.h"

typedef enum { MIM_OUTPUT_FREE, MIM_OUTPUT_SIMPLEX, MIM_N_OUTPUTS } mim_output;

const char *mim_output_name(mim_output output); /* "free", "simplex" */
/* MIM_EDATA for another word. */
int mim_output_find(const char *name, mim_output *output);

#include "nn/as_float.h"

#include "diffusion/simplex_declare.h"

#include "nn/as_double.h"

#include "diffusion/simplex_declare.h"

#endif
