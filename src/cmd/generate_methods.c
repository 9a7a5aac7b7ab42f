/* The methods of mimesys_generate: one entry each in the table below. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/idw.h"
#include "baseline/nearest.h"
#include "baseline/single.h"
#include "cmd/generate_job.h"
#include "core/atomic_file.h"
#include "core/text.h"
#include "diffusion/checkpoint.h"
#include "diffusion/generator.h"

typedef mim_generate_job job;

const mim_option mim_generate_single_options[] = {
    {"single", "cpu_stressor", MIM_OPTION_TEXT, "",
     "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false", 0, 0,
     NULL, NULL, "stressor that makes CPU utilisation"},
    {"single", "read_stressor", MIM_OPTION_TEXT, "", "BM_STRESS_NG_HddRead_1MB_NoSleep", 0, 0, NULL,
     NULL, "stressor that reads from the disk, or none"},
    {"single", "write_stressor", MIM_OPTION_TEXT, "", "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled", 0,
     0, NULL, NULL, "stressor that writes to the disk, or none"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_generate_idw_options[] = {
    {"idw", "neighbours", MIM_OPTION_INT, "", "5", 1, 1000, NULL, NULL,
     "training samples whose actions are mixed"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_generate_diffusion_options[] = {
    {"diffusion", "solver", MIM_OPTION_CHOICE, "", "dpm++", 0, 0, "dpm++|ddim|ddpm|euler|heun",
     NULL,
     "how noise becomes a plan: in few steps, by all of training's (ddpm), or, of models that "
     "predict "
     "flow, along it (euler, heun, which asks the model twice a step)"},
    {"diffusion", "steps", MIM_OPTION_INT, "", "8", 1, MIM_SCHEDULE_MAX_STEPS, NULL, NULL,
     "steps of all but ddpm, at most the timesteps of training"},
    {"diffusion", "guidance", MIM_OPTION_REAL, "", "1", 0, 100, NULL, NULL,
     "weight of the metrics: 1 as trained, 0 not at all, above 1 exaggerated"},
    {"diffusion", "smallest", MIM_OPTION_REAL, "", "0.02", 0, 1, NULL, NULL,
     "weights below become 0"},
    {"diffusion", "candidates", MIM_OPTION_INT, "", "8", 1, MIM_GENERATOR_MAX_CANDIDATES, NULL,
     NULL, "samples drawn for a slot, of which the most promising one is taken"},
    {"diffusion", "mend", MIM_OPTION_BOOL, "", "true", 0, 0, NULL, NULL,
     "bring samples to the wanted metrics by how the node was measured to answer"},
    {"diffusion", "seed", MIM_OPTION_INT, "", "1", 0, 9.2e18, NULL, NULL, "of the noise"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

int mim_generate_add_note(job *j, char *note)
{
    int rc = note && json_array_append_new(j->notes, json_string(note)) == 0
                 ? MIM_OK
                 : mim_fail(MIM_ENOMEM, "a note");
    free(note);
    return rc;
}

static int make_single(job *j)
{
    const mim_single_options options = {
        .cpu_stressor = mim_config_text(j->config, "single.cpu_stressor"),
        .read_stressor = mim_config_text(j->config, "single.read_stressor"),
        .write_stressor = mim_config_text(j->config, "single.write_stressor"),
    };
    int rc = mim_single_plan(j->adaptation->series, j->calibration, j->actions, &options, &j->plan);
    if (rc == MIM_EUSAGE)
        return mim_fail(rc,
                        "%s; set single.cpu_stressor, single.read_stressor and "
                        "single.write_stressor to stressors of the list, or use --actions 20",
                        mim_error());
    return rc == MIM_EDATA ? mim_fail_in(rc, "%s", mim_args_value(j->args, "trace")) : rc;
}

/* The plan of nearest or idw, and a note when the corpus does not reach what is wanted. */
static int make_from_corpus(job *j, size_t n_neighbours)
{
    const mim_series *wanted = j->adaptation->series;
    mim_nearest *nearest = NULL;
    char *note = NULL;
    int rc = mim_nearest_open(mim_args_value(j->args, "corpus"), &nearest);
    if (rc != MIM_OK)
        return rc;
    rc = n_neighbours > 1 ? mim_idw_plan(nearest, wanted, n_neighbours, &j->plan)
                          : mim_nearest_plan(nearest, wanted, &j->plan);
    if (rc == MIM_EUNSUP)
        mim_fail(rc, "%s: use --threads %zu", mim_error(), mim_nearest_layout(nearest)->n_threads);
    else if (rc == MIM_EDATA)
        mim_fail_in(rc, "%s", mim_args_value(j->args, "trace"));
    if (rc == MIM_OK)
        rc = mim_nearest_outside_note(nearest, wanted, &note);
    if (rc == MIM_OK && note)
        rc = mim_generate_add_note(j, note);
    mim_nearest_destroy(&nearest);
    return rc;
}

static int make_nearest(job *j) { return make_from_corpus(j, 1); }

static int make_idw(job *j)
{
    return make_from_corpus(j, (size_t)mim_config_int(j->config, "idw.neighbours"));
}

static int get_generation(const job *j, mim_generation *how)
{
    *how = (mim_generation){
        .sampling = {.n_steps = (size_t)mim_config_int(j->config, "diffusion.steps"),
                     .seed = (uint64_t)mim_config_int(j->config, "diffusion.seed")},
        .guidance = mim_config_real(j->config, "diffusion.guidance"),
        .smallest = mim_config_real(j->config, "diffusion.smallest"),
        .n_candidates = (size_t)mim_config_int(j->config, "diffusion.candidates"),
        .is_mended = mim_config_bool(j->config, "diffusion.mend"),
    };
    return mim_solver_find(mim_config_text(j->config, "diffusion.solver"), &how->sampling.solver);
}

static int make_diffusion(job *j)
{
    const char *path = mim_args_value(j->args, "checkpoint");
    mim_model *model = NULL;
    mim_generation how;
    char **notes = NULL;
    size_t n_notes = 0;
    int rc = get_generation(j, &how);
    if (rc == MIM_OK)
        rc = mim_checkpoint_read(path, false, &model);
    if (rc != MIM_OK)
        return rc;
    rc = mim_diffusion_plan(model, &how, j->adaptation->series, &j->plan, &n_notes, &notes);
    if (rc == MIM_EUNSUP)
        mim_fail(rc, "%s: %s: use --threads %zu", path, mim_error(), model->domain->n_threads);
    else if (rc == MIM_EINVAL)
        rc = mim_fail(MIM_EUSAGE, "[diffusion] %s", mim_error());
    for (size_t i = 0; rc == MIM_OK && i < n_notes; i++)
        rc = mim_generate_add_note(j, mim_strdup(notes[i]));
    mim_generator_free_notes(n_notes, &notes);
    mim_model_destroy(&model);
    return rc;
}

static const mim_generate_method methods[] = {
    {"single", make_single, NULL, "the plan asks for none"},
    {"nearest", make_nearest, "corpus", "samples are compared without"},
    {"idw", make_idw, "corpus", "samples are compared without"},
    {"diffusion", make_diffusion, "checkpoint", "the model is asked without"},
};

enum { N_METHODS = sizeof methods / sizeof *methods };

/* The method's file is given, those of others are not; the file's stressors are the plan's. */
static int check_knowledge(const job *j)
{
    for (size_t i = 0; i < N_METHODS; i++) {
        const char *flag = methods[i].knowledge;
        const bool is_own = flag && j->how->knowledge && strcmp(flag, j->how->knowledge) == 0;
        if (flag && is_own != mim_args_has(j->args, flag))
            return mim_fail(MIM_EUSAGE,
                            is_own ? "--method %s: expected --%s FILE"
                                   : "--method %s: does not use --%s",
                            j->how->name, flag);
    }
    if (!j->how->knowledge)
        return MIM_OK;
    if (mim_args_has(j->args, "actions"))
        return mim_fail(MIM_EUSAGE, "--method %s: the action list is that of --%s, not --actions",
                        j->how->name, j->how->knowledge);
    const char *out = mim_args_value(j->args, "out");
    return out ? mim_output_check(out, mim_args_value(j->args, j->how->knowledge)) : MIM_OK;
}

int mim_generate_find_method(job *j)
{
    const char *wanted = mim_args_value(j->args, "method");
    const char *names[N_METHODS];
    if (!wanted && mim_args_has(j->args, "checkpoint"))
        wanted = "diffusion";
    for (size_t i = 0; i < N_METHODS; i++) {
        names[i] = methods[i].name;
        if (!wanted || strcmp(methods[i].name, wanted) == 0) {
            j->how = &methods[i];
            return check_knowledge(j);
        }
    }
    const char *closest = mim_closest(wanted, names, N_METHODS);
    return mim_fail(MIM_EUSAGE, "--method %s: unknown%s%s%s", wanted,
                    closest ? "; did you mean " : "", closest ? closest : "", closest ? "?" : "");
}
