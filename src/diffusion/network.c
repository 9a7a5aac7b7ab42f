#include "diffusion/network.h"

#include "diffusion/network_kind_internal.h"

static const mim_network_kind *const kinds[MIM_N_NETWORKS] = {
    [MIM_NETWORK_THREAD_TOKEN] = &mim_network_thread_token,
    [MIM_NETWORK_CELL_TOKEN] = &mim_network_cell_token,
    [MIM_NETWORK_UNET] = &mim_network_unet,
};

int mim_network_check(const mim_architecture *a)
{
    if ((unsigned)a->kind >= MIM_N_NETWORKS)
        return mim_fail(MIM_EINVAL, "network: there is no kind %d", (int)a->kind);
    return kinds[a->kind]->check(a);
}

int mim_network_layout(const mim_architecture *a, mim_tensors **layout)
{
    const int rc = mim_network_check(a);
    return rc == MIM_OK ? kinds[a->kind]->layout(a, layout) : rc;
}

int mim_network_check_precision(const mim_architecture *a, mim_precision precision)
{
    const char *only_f32 = kinds[a->kind]->only_f32;
    if (only_f32 && precision != MIM_PRECISION_F32)
        return mim_fail(MIM_EUNSUP, "%s's products run in f32 only, not in %s", only_f32,
                        mim_precision_name(precision));
    return MIM_OK;
}

double mim_network_flop(const mim_architecture *a, size_t n_samples, size_t n_threads)
{
    return kinds[a->kind]->flop(a, n_samples, n_threads);
}

size_t mim_network_n_rows(const mim_architecture *a, size_t n_threads)
{
    return kinds[a->kind]->n_rows(a, n_threads);
}

static int check_options(const mim_architecture *a, const mim_network_options *o)
{
    if (!o->max_samples || !o->max_threads || o->max_samples > 1u << 20 ||
        o->max_threads > 1u << 15)
        return mim_fail(MIM_EINVAL, "network: %zu samples of %zu threads", o->max_samples,
                        o->max_threads);
    const int rc = mim_network_check(a);
    if (rc == MIM_OK && kinds[a->kind]->is_for_its_threads && o->max_threads != a->n_threads)
        return mim_fail(MIM_EINVAL, "network: made for %zu threads, asked for %zu", a->n_threads,
                        o->max_threads);
    return rc == MIM_OK ? mim_network_check_precision(a, o->precision) : rc;
}

#include "nn/as_float.h"

#include "diffusion/network_internal.h"

#include "nn/as_double.h"

#include "diffusion/network_internal.h"
