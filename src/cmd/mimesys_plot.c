/* mimesys_plot: how trainings went, as a table or a figure. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/labelled_path.h"
#include "cmd/program_main.h"
#include "core/atomic_file.h"
#include "core/summary.h"
#include "core/text.h"
#include "report/chart.h"
#include "report/train_figure.h"

enum { MAX_RUNS = 64 };

static const mim_flag flags[] = {
    {"out", "OUT.png|OUT.svg|OUT.pdf", NULL, true, "figure to write; its ending tells the form"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "RUN[:LABEL] ... [-o OUT.png|OUT.svg|OUT.pdf] [--json]",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_plot",
    .summary = "show how trainings went: loss, validation, throughput, learning rate over steps",
    .synopsis = synopsis,
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = MAX_RUNS,
    .description =
        "RUN is the folder of a mimesys_train (--out) or its metrics.jsonl, of a training that\n"
        "has ended or is still going on. Several are drawn over each other, each called LABEL, or\n"
        "else as its folder is.\n\n"
        "The figure has a panel for each of loss, loss of validation, normalised L1 of tried\n"
        "plans, throughput, learning rate and norm of the gradient, for what the trainings "
        "have.\n\n"
        "A training that was resumed logs some steps again: the later lines count. A last line\n"
        "that is cut, as after a kill, is passed over; any other line that is not as it should\n"
        "be is an error that names it.",
    .json_keys = "runs: for each file, label\n"
                 "lines, is_cut: lines read, and whether a cut one was passed over\n"
                 "n_replaced: steps logged again after a resume\n"
                 "first_step, last_step: of what counts\n"
                 "loss, examples_per_s, rate, norm: the last ones, null without\n"
                 "validation_loss, nl1_mean: the last ones, null without\n"
                 "best_validation_loss, best_validation_step, best_nl1_mean, best_nl1_step: the\n"
                 "  smallest ones and where, null without",
    .files = "RUN/metrics.jsonl: one JSON object a line, as mimesys_train writes it\n"
             "OUT.png, OUT.svg, OUT.pdf: the figure",
    .examples = "mimesys_plot model\n"
                "mimesys_plot model -o training.png\n"
                "mimesys_plot small:'128 wide' large:'256 wide' -o both.svg -o both.pdf",
};

typedef struct run {
    char *path, *own_label;
    const char *label;
    mim_train_log *log;
} run;

typedef struct job {
    const mim_args *args;
    size_t n;
    run runs[MAX_RUNS];
} job;

static void job_clear(job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        free(j->runs[i].path);
        free(j->runs[i].own_label);
        mim_train_log_destroy(&j->runs[i].log);
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Name of the folder, or of a file that is not called as all are; new memory, NULL: none left. */
static char *label_of(const char *path)
{
    char *copy = mim_strdup(path);
    for (int pass = 0; copy && pass < 2; pass++) {
        size_t n = strlen(copy);
        while (n > 1 && copy[n - 1] == '/')
            copy[--n] = 0;
        const char *name = mim_basename(copy);
        if (strcmp(name, MIM_TRAIN_LOG_FILE) != 0 || name == copy) {
            char *label = mim_strdup(name);
            free(copy);
            return label;
        }
        copy[name - copy] = 0;
    }
    return copy;
}

static int check_outputs(const mim_args *args, const char *input)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < mim_args_n_values(args, "out"); i++) {
        const char *out = mim_args_value_at(args, "out", i);
        if (!mim_chart_has_form(out))
            return mim_fail(MIM_EUSAGE, "--out %s: expected a name ending in .png, .svg or .pdf",
                            out);
        for (size_t k = 0; k < i; k++)
            if (strcmp(out, mim_args_value_at(args, "out", k)) == 0)
                return mim_fail(MIM_EUSAGE, "--out %s: given twice", out);
        rc = mim_output_check(out, input);
    }
    return rc;
}

static int read_run(job *j, const char *text)
{
    run *r = &j->runs[j->n++];
    int rc = mim_labelled_path("run", text, &r->path, &r->label);
    if (rc == MIM_OK && !r->label) {
        r->label = r->own_label = label_of(r->path);
        rc = r->label ? mim_label_check("run", text, r->label) : mim_fail(MIM_ENOMEM, "%s", text);
    }
    if (rc == MIM_OK)
        rc = check_outputs(j->args, r->path);
    for (size_t i = 0; rc == MIM_OK && i + 1 < j->n; i++)
        if (strcmp(j->runs[i].label, r->label) == 0)
            rc = mim_fail(MIM_EUSAGE, "%s and %s are both called %s: tell them apart as RUN:LABEL",
                          j->runs[i].path, r->path, r->label);
    return rc == MIM_OK ? mim_train_log_read(r->path, &r->log) : rc;
}

/* ---- what is told --------------------------------------------------------------------------- */

/* The smallest value and its step, or nulls. */
static void put_least(json_t *object, const mim_train_log *log, mim_log_figure figure,
                      const char *value_key, const char *step_key)
{
    size_t record = 0;
    const double least = mim_train_log_least(log, figure, &record);
    json_object_set_new(object, value_key, mim_json_real(least));
    json_object_set_new(object, step_key,
                        isnan(least) ? json_null() : json_integer((json_int_t)log->step[record]));
}

static json_t *run_json(const run *r)
{
    static const mim_log_figure last[] = {MIM_LOG_LOSS, MIM_LOG_EXAMPLES_PER_S, MIM_LOG_RATE,
                                          MIM_LOG_NORM, MIM_LOG_VALIDATION,     MIM_LOG_NL1};
    const mim_train_log *log = r->log;
    json_t *object =
        json_pack("{s:s?, s:s?, s:I, s:b, s:I, s:I, s:I}", "file", r->path, "label", r->label,
                  "lines", (json_int_t)log->n_lines, "is_cut", (int)log->is_cut, "n_replaced",
                  (json_int_t)log->n_replaced, "first_step", (json_int_t)log->step[0], "last_step",
                  (json_int_t)log->step[log->n - 1]);
    for (size_t i = 0; object && i < sizeof last / sizeof *last; i++)
        json_object_set_new(object, mim_log_figure_key(last[i]),
                            mim_json_real(mim_train_log_last(log, last[i], NULL)));
    put_least(object, log, MIM_LOG_VALIDATION, "best_validation_loss", "best_validation_step");
    put_least(object, log, MIM_LOG_NL1, "best_nl1_mean", "best_nl1_step");
    return object;
}

static int print_json(const job *j)
{
    json_t *all = json_object(), *runs = json_array();
    for (size_t i = 0; i < j->n; i++)
        json_array_append_new(runs, run_json(&j->runs[i]));
    json_object_set_new(all, "runs", runs);
    const int rc = all && runs && json_array_size(runs) == j->n
                       ? mim_json_print(all, stdout)
                       : mim_fail(MIM_ENOMEM, "JSON of the runs: names that are no UTF-8 text?");
    json_decref(all);
    return rc;
}

static void print_number(double value)
{
    if (isnan(value))
        printf(" %12s", "-");
    else
        printf(" %12.5g", value);
}

static void print_table(const job *j)
{
    static const mim_log_figure last[] = {MIM_LOG_LOSS, MIM_LOG_VALIDATION};
    printf("%-24s %10s %12s %12s %12s %12s %12s\n", "run", "step", "loss", "validation", "best",
           "nl1", "examples/s");
    for (size_t i = 0; i < j->n; i++) {
        const mim_train_log *log = j->runs[i].log;
        printf("%-24s %10.0f", j->runs[i].label, log->step[log->n - 1]);
        for (size_t k = 0; k < sizeof last / sizeof *last; k++)
            print_number(mim_train_log_last(log, last[k], NULL));
        print_number(mim_train_log_least(log, MIM_LOG_VALIDATION, NULL));
        print_number(mim_train_log_last(log, MIM_LOG_NL1, NULL));
        print_number(mim_train_log_last(log, MIM_LOG_EXAMPLES_PER_S, NULL));
        printf("\n");
    }
}

static int draw(const job *j)
{
    const mim_train_log *logs[MAX_RUNS];
    const char *labels[MAX_RUNS];
    int rc = MIM_OK;
    for (size_t i = 0; i < j->n; i++) {
        logs[i] = j->runs[i].log;
        labels[i] = j->runs[i].label;
    }
    for (size_t i = 0; rc == MIM_OK && i < mim_args_n_values(j->args, "out"); i++)
        rc = mim_train_figure(j->n, logs, labels, mim_args_value_at(j->args, "out", i));
    return rc;
}

static int run_program(const mim_args *args, mim_log *log)
{
    job j = {.args = args};
    int rc = MIM_OK;
    (void)log;
    for (size_t i = 0; rc == MIM_OK && i < mim_args_n(args); i++)
        rc = read_run(&j, mim_args_at(args, i));
    if (rc == MIM_OK && !mim_args_has(args, "dry-run"))
        rc = draw(&j);
    if (rc == MIM_OK && mim_args_has(args, "json"))
        rc = print_json(&j);
    else if (rc == MIM_OK && mim_args_n_values(args, "out") == 0)
        print_table(&j);
    job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run_program); }
