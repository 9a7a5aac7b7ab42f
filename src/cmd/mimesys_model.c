/* mimesys_model: what a model holds, and its weights to and from other programs. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/program_main.h"
#include "core/atomic_file.h"
#include "core/npz.h"
#include "core/summary.h"
#include "core/text.h"
#include "corpus/corpus.h"
#include "diffusion/checkpoint.h"
#include "diffusion/train_settings.h"
#include "nn/weights.h"

static const mim_command commands[] = {
    {"show",
     "the tensors of a model or of a .npz file, their shapes and how large their values are"},
    {"export", "a model's weights as OUT.npz, to be read by NumPy or PyTorch"},
    {"import", "weights of a .npz file as a new model"},
    {NULL, NULL},
};

static const mim_option *const tables[] = {mim_model_settings, mim_train_settings,
                                           mim_examples_settings, mim_validate_settings, NULL};

static const mim_flag flags[] = {
    {"out", "OUT", NULL, false, "file to write: of export OUT.npz, of import OUT.h5"},
    {"live", NULL, NULL, false,
     "the parameters as the last step left them, instead of their moving average"},
    {"like", "MODEL.h5", NULL, false, "import for the network and the machine of this model"},
    {"corpus", "CORPUS.h5", NULL, false,
     "import for the machine of this corpus and the network that the settings describe"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "show MODEL.h5|FILE.npz [--live] [--json]",
    "export MODEL.h5 -o OUT.npz [--live]",
    "import FILE.npz --like MODEL.h5 -o OUT.h5",
    "import FILE.npz --corpus CORPUS.h5 [--config INI] -o OUT.h5",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_model",
    .summary = "look at a model, and exchange its weights with NumPy and PyTorch",
    .synopsis = synopsis,
    .commands = commands,
    .flags = flags,
    .tables = tables,
    .min_arguments = 2,
    .max_arguments = 2,
    .description =
        "MODEL.h5 is a finished model or a checkpoint of mimesys_train. What generates plans is\n"
        "the moving average of its parameters, so that is what show and export take; finished\n"
        "models hold nothing else.\n\n"
        "In a .npz file each tensor is an array under its own name, such as block0.qkv.weight.\n"
        "Linear layers are [out, in], convolutions [out, in, k], transposed ones [in, out, k], as\n"
        "PyTorch has them. Read are floats of 2, 4 and 8 bytes in C order, stored or deflated. It\n"
        "must hold the network's tensors, all of them and no others, without a value that is not\n"
        "finite.\n\n"
        "An imported model is at step 0: mimesys_train --resume OUT.h5 trains it further, where\n"
        "it was made with the settings of that training, mimesys_generate uses it as it is.",
    .json_keys = "show: file, parameters: what it is of\n"
                 "kind, step, prediction, schedule: of a model, null of a .npz file\n"
                 "tensors: name -> shape, rms, max_abs\n"
                 "export, import: file, parameters, tensors: what was written",
    .files = "MODEL.h5: a model or checkpoint (HDF5, schema mimesys_checkpoint)\n"
             "OUT.npz: one array a tensor, floats of 4 bytes, not compressed",
    .examples = "mimesys_model show model/model.h5\n"
                "mimesys_model export model/model.h5 -o weights.npz\n"
                "mimesys_model import weights.npz --like model/model.h5 -o mine.h5\n"
                "mimesys_model import weights.npz --corpus corpus.h5 --set model.width=64 -o "
                "mine.h5",
};

/* ---- show ----------------------------------------------------------------------------------- */

typedef struct figures {
    double rms, max_abs;
} figures;

static figures figures_of(size_t n, const float *values)
{
    figures f = {0, 0};
    for (size_t i = 0; i < n; i++) {
        f.rms += (double)values[i] * (double)values[i];
        f.max_abs = fmax(f.max_abs, fabs((double)values[i]));
    }
    f.rms = n ? sqrt(f.rms / (double)n) : 0;
    return f;
}

/* What is shown of a tensor, on the way to a table or an object. */
typedef struct view {
    json_t *tensors; /* NULL: a table */
    size_t n_values;
} view;

static void show_tensor(view *v, const char *name, size_t rank, const size_t *shape, size_t n,
                        const float *values)
{
    char text[MIM_NPY_SHAPE_BYTES];
    const figures f = figures_of(n, values);
    v->n_values += n;
    if (!v->tensors) {
        printf("%-32s %-20s %12.4g %12.4g\n", name, mim_npy_shape_text(rank, shape, text), f.rms,
               f.max_abs);
        return;
    }
    json_t *extents = json_array();
    for (size_t i = 0; i < rank; i++)
        json_array_append_new(extents, json_integer((json_int_t)shape[i]));
    json_object_set_new(v->tensors, name,
                        json_pack("{s:o, s:o, s:o}", "shape", extents, "rms", mim_json_real(f.rms),
                                  "max_abs", mim_json_real(f.max_abs)));
}

static int show_npz(const char *path, view *v)
{
    mim_npz *npz = NULL;
    int rc = mim_npz_open(path, &npz);
    for (size_t i = 0; rc == MIM_OK && i < mim_npz_n(npz); i++) {
        const mim_npy *a = mim_npz_array(npz, i);
        char name[MIM_TENSOR_MAX_NAME];
        float *values = calloc(a->n_values + 1, sizeof *values);
        snprintf(name, sizeof name, "%s", mim_npz_name(npz, i));
        mim_make_one_line(name);
        rc = values ? mim_npz_floats(npz, i, values) : mim_fail(MIM_ENOMEM, "%s: %s", path, name);
        if (rc == MIM_OK)
            show_tensor(v, name, a->rank, a->shape, a->n_values, values);
        free(values);
    }
    mim_npz_destroy(&npz);
    return rc;
}

static void show_model(const mim_model *m, bool is_live, view *v)
{
    const float *numbers = is_live ? m->params->values : m->params->ema;
    for (size_t i = 0; i < m->params->layout->n_tensors; i++) {
        const mim_tensor *t = &m->params->layout->tensors[i];
        show_tensor(v, t->name, t->rank, t->shape, t->n_values, numbers + t->offset);
    }
}

static void print_model_head(const char *path, const mim_model *m)
{
    char text[MIM_ARCHITECTURE_TEXT_BYTES];
    printf("%s: step %" PRIu64 ", prediction of %s, schedule %s of %zu timesteps\n", path, m->step,
           mim_prediction_name(m->process.prediction), mim_schedule_name(m->process.schedule),
           m->process.n_timesteps);
    for (size_t i = 0; i < mim_architecture_n_fields(); i++) {
        if (!mim_architecture_is_of_kind(i, m->architecture.kind))
            continue;
        mim_architecture_text(&m->architecture, i, text);
        printf("%s%s = %s", i ? ", " : "", mim_architecture_field(i), text);
    }
    printf("\n\n");
}

static json_t *head_json(const char *path, const mim_model *m)
{
    char kind[MIM_ARCHITECTURE_TEXT_BYTES] = "";
    for (size_t i = 0; m && i < mim_architecture_n_fields(); i++)
        if (strcmp(mim_architecture_field(i), "kind") == 0)
            mim_architecture_text(&m->architecture, i, kind);
    if (!m)
        return json_pack("{s:s, s:n, s:n, s:n, s:n}", "file", path, "kind", "step", "prediction",
                         "schedule");
    return json_pack("{s:s, s:s, s:I, s:s, s:s}", "file", path, "kind", kind, "step",
                     (json_int_t)m->step, "prediction", mim_prediction_name(m->process.prediction),
                     "schedule", mim_schedule_name(m->process.schedule));
}

static int show(const mim_args *args, const char *path)
{
    const bool is_npz = mim_has_suffix(path, ".npz"), is_json = mim_args_has(args, "json");
    mim_model *model = NULL;
    view v = {is_json ? json_object() : NULL, 0};
    int rc = MIM_OK;
    if (!is_npz)
        rc = mim_checkpoint_read(path, false, &model);
    if (rc == MIM_OK && !is_json) {
        if (model)
            print_model_head(path, model);
        printf("%-32s %-20s %12s %12s\n", "tensor", "shape", "rms", "max");
    }
    if (rc == MIM_OK && is_npz)
        rc = show_npz(path, &v);
    else if (rc == MIM_OK)
        show_model(model, mim_args_has(args, "live"), &v);
    if (rc == MIM_OK && is_json) {
        json_t *all = head_json(path, model);
        json_object_set_new(all, "parameters", json_integer((json_int_t)v.n_values));
        json_object_set(all, "tensors", v.tensors);
        rc = all ? mim_json_print(all, stdout) : mim_fail(MIM_ENOMEM, "JSON text");
        json_decref(all);
    } else if (rc == MIM_OK) {
        printf("%zu parameters\n", v.n_values);
    }
    json_decref(v.tensors);
    mim_model_destroy(&model);
    return rc;
}

/* ---- export and import ---------------------------------------------------------------------- */

static int say_written(const mim_args *args, const char *out, const mim_tensors *layout)
{
    const bool is_dry = mim_args_has(args, "dry-run");
    if (mim_args_has(args, "json")) {
        json_t *all =
            json_pack("{s:s, s:I, s:I}", "file", out, "parameters", (json_int_t)layout->n_values,
                      "tensors", (json_int_t)layout->n_tensors);
        const int rc = all ? mim_json_print(all, stdout) : mim_fail(MIM_ENOMEM, "JSON text");
        json_decref(all);
        return rc;
    }
    printf("%s: %zu parameters in %zu tensors%s\n", out, layout->n_values, layout->n_tensors,
           is_dry ? ": not written (dry run)" : "");
    return MIM_OK;
}

static int export_weights(const mim_args *args, const char *path, const char *out)
{
    mim_model *model = NULL;
    int rc = mim_checkpoint_read(path, false, &model);
    if (rc == MIM_OK && !mim_args_has(args, "dry-run"))
        rc = mim_weights_export(
            model->params->layout,
            mim_args_has(args, "live") ? model->params->values : model->params->ema, out);
    if (rc == MIM_OK)
        rc = say_written(args, out, model->params->layout);
    mim_model_destroy(&model);
    return rc;
}

/* As mimesys_train makes one at its start. */
static int model_of_corpus(const mim_config *config, const char *path, mim_model **model)
{
    mim_train_plan plan;
    mim_corpus *corpus = NULL;
    mim_lessons *lessons = NULL;
    mim_domain *domain = NULL;
    int rc = mim_train_plan_get(config, &plan);
    if (rc == MIM_OK)
        rc = mim_corpus_open(path, &corpus);
    if (rc == MIM_OK)
        rc = mim_lessons_read(corpus, &plan.lessons, &lessons);
    if (rc == MIM_OK)
        rc = mim_domain_of_corpus(corpus, &domain);
    if (rc == MIM_OK) {
        domain->normalisation = plan.normalisation;
        rc = mim_model_create(&domain, &plan.size, &plan.process, plan.seed, model);
        if (rc == MIM_EINVAL)
            rc = mim_fail_in(MIM_EUSAGE, "[model]");
    }
    if (rc == MIM_OK)
        rc = mim_response_fit((*model)->domain, &lessons->fit, &(*model)->response);
    if (rc == MIM_OK) {
        free((*model)->config);
        (*model)->config = mim_config_text_ini(config);
        (*model)->corpus_hash = mim_corpus_hash(corpus);
        rc = (*model)->config ? MIM_OK : mim_fail(MIM_ENOMEM, "configuration text");
    }
    mim_domain_destroy(&domain);
    mim_lessons_destroy(&lessons);
    mim_corpus_destroy(&corpus);
    return rc;
}

/* The weights as they are, at step 0, as if training were about to begin with them. */
static int put_weights(const char *path, mim_model *m)
{
    mim_params_f *p = m->params;
    const int rc = mim_weights_import(path, p->layout, p->values);
    if (rc != MIM_OK)
        return rc;
    memcpy(p->ema, p->values, p->n_values * sizeof *p->ema);
    memset(p->moment_1, 0, p->n_values * sizeof *p->moment_1);
    memset(p->moment_2, 0, p->n_values * sizeof *p->moment_2);
    m->step = 0;
    m->course = (mim_course){0};
    return MIM_OK;
}

static int import_weights(const mim_args *args, const char *path, const char *out)
{
    const char *like = mim_args_value(args, "like"), *corpus = mim_args_value(args, "corpus");
    mim_model *model = NULL;
    if (!like == !corpus)
        return mim_fail(MIM_EUSAGE,
                        "expected --like MODEL.h5 or --corpus CORPUS.h5: whose network it is");
    int rc = mim_output_check(out, like ? like : corpus);
    if (rc == MIM_OK)
        rc = like ? mim_checkpoint_read(like, false, &model)
                  : model_of_corpus(mim_args_config(args), corpus, &model);
    if (rc == MIM_OK)
        rc = put_weights(path, model);
    if (rc == MIM_OK && !mim_args_has(args, "dry-run"))
        rc = mim_checkpoint_write(model, false, out);
    if (rc == MIM_OK)
        rc = say_written(args, out, model->params->layout);
    mim_model_destroy(&model);
    return rc;
}

/* ---- the command line ----------------------------------------------------------------------- */

static int check_out(const char *out, const char *input, const char *suffix)
{
    if (!out || !mim_has_suffix(out, suffix))
        return mim_fail(MIM_EUSAGE, "expected -o OUT%s", suffix);
    return mim_output_check(out, input);
}

static int run(const mim_args *args, mim_log *log)
{
    const char *command = mim_args_at(args, 0), *path = mim_args_at(args, 1);
    const char *out = mim_args_value(args, "out");
    const bool is_import = strcmp(command, "import") == 0;
    (void)log;
    if (strcmp(command, "show") == 0)
        return out ? mim_fail(MIM_EUSAGE, "--out goes with export and import") : show(args, path);
    int rc = check_out(out, path, is_import ? ".h5" : ".npz");
    if (rc != MIM_OK)
        return rc;
    if (!is_import && (mim_args_has(args, "like") || mim_args_has(args, "corpus")))
        return mim_fail(MIM_EUSAGE, "--like and --corpus go with import");
    return is_import ? import_weights(args, path, out) : export_weights(args, path, out);
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
