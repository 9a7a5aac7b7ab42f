#include "diffusion/model.h"

#include <stdlib.h>

#include "core/text.h"

mim_prediction mim_process_answer(const mim_process *process)
{
    return process->output == MIM_OUTPUT_SIMPLEX ? MIM_PREDICT_X0 : process->prediction;
}

int mim_model_create_part(mim_domain **domain, const mim_architecture *size,
                          const mim_process *process, uint64_t seed, const mim_part *part,
                          mim_model **model)
{
    mim_tensors *layout = NULL;
    mim_model *made = calloc(1, sizeof *made);
    int rc = made && (made->config = mim_strdup("")) ? MIM_OK : mim_fail(MIM_ENOMEM, "model");
    if (rc != MIM_OK)
        goto done;
    made->domain = *domain;
    *domain = NULL;
    made->process = *process;
    made->seed = seed;
    made->architecture = *size;
    made->architecture.n_stressors = made->domain->n_stressors;
    made->architecture.n_threads = made->domain->n_threads;
    made->architecture.n_node_metrics = made->domain->n_node_metrics;
    made->architecture.n_sockets = made->domain->n_sockets;
    if (process->n_timesteps < 1 || process->n_timesteps > MIM_SCHEDULE_MAX_STEPS)
        rc = mim_fail(MIM_EINVAL, "model: %zu timesteps", process->n_timesteps);
    else if (!mim_schedule_fits(process->schedule, process->prediction))
        rc = mim_fail(MIM_EINVAL, "model: a schedule %s and a prediction of %s",
                      mim_schedule_name(process->schedule),
                      mim_prediction_name(process->prediction));
    if (rc == MIM_OK)
        rc = mim_network_layout(&made->architecture, &layout);
    if (rc == MIM_OK)
        rc = mim_params_create_f(layout, &made->params);
    if (rc == MIM_OK) /* before memory that is not kept is touched */
        rc = mim_params_keep_part_f(part, made->params);
    if (rc != MIM_OK)
        goto done;
    mim_params_init_f(made->params, seed);
    *model = made;
    made = NULL;
done:
    mim_domain_destroy(domain);
    mim_tensors_destroy(&layout);
    mim_model_destroy(&made);
    return rc;
}

int mim_model_create(mim_domain **domain, const mim_architecture *size, const mim_process *process,
                     uint64_t seed, mim_model **model)
{
    return mim_model_create_part(domain, size, process, seed, &(const mim_part){0, 1}, model);
}

void mim_model_destroy(mim_model **model)
{
    mim_model *old = *model;
    if (!old)
        return;
    *model = NULL;
    mim_domain_destroy(&old->domain);
    mim_params_destroy_f(&old->params);
    mim_response_destroy(&old->response);
    free(old->best_ema);
    free(old->config);
    free(old);
}
