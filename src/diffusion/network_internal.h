/* Included by diffusion/network.c once per precision; see there. Not guarded. */

int MIM_NN(mim_network_create)(const mim_architecture *a, const mim_network_options *options,
                               MIM_NETWORK **network)
{
    mim_network_options o = *options;
    const int rc = check_options(a, &o);
    if (!o.gemm)
        o.gemm = mim_gemm_find(NULL);
    return rc == MIM_OK ? MIM_NN(kinds[a->kind]->create)(a, &o, network) : rc;
}

void MIM_NN(mim_network_destroy)(MIM_NETWORK **network)
{
    if (!network || !*network)
        return;
    (*network)->methods->destroy(*network);
    *network = NULL;
}

size_t MIM_NN(mim_network_n_bytes)(const MIM_NETWORK *network) { return network->n_bytes; }

void MIM_NN(mim_network_forward)(MIM_NETWORK *network, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *input, MIM_REAL *predicted)
{
    network->methods->forward(network, values, input, predicted);
}

void MIM_NN(mim_network_backward)(MIM_NETWORK *network, const MIM_REAL *values,
                                  const MIM_NETWORK_INPUT *input, const MIM_REAL *d_predicted,
                                  MIM_REAL *grads)
{
    network->methods->backward(network, values, input, d_predicted, grads);
}
