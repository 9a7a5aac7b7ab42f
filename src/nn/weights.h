/* A network's numbers as a .npz file (core/npz.h), to exchange them with PyTorch and NumPy.
 *
 * One array a tensor, under its name in the layout and in its shape. Names follow the modules, as
 * PyTorch's do: "block0.qkv.weight", "block0.qkv.bias"; linear layers are [out, in], convolutions
 * [out, in, k], transposed ones [in, out, k], as PyTorch has them, so that a state_dict() with
 * these names can be loaded as it is. Which there are: mimesys_model show. */
#ifndef MIM_NN_WEIGHTS_H
#define MIM_NN_WEIGHTS_H

#include "core/error.h"
#include "nn/params.h"

/* numbers: [n_values] of the layout, such as the values or their average. Atomic. */
int mim_weights_export(const mim_tensors *layout, const float *numbers, const char *path);
/* All tensors of the layout, and no others: what is left is untouched on failure. MIM_EDATA names
 * file and tensor: missing, not of the layout, of another shape, not finite. */
int mim_weights_import(const char *path, const mim_tensors *layout, float *numbers);

#endif
