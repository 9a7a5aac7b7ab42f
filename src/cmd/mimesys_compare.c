/* mimesys_compare: how alike are a wanted trace and what was measured while it was imitated? */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/labelled_path.h"
#include "cmd/program_main.h"
#include "core/atomic_file.h"
#include "core/summary.h"
#include "core/text.h"
#include "diffusion/checkpoint.h"
#include "node/calibration.h"
#include "report/compare.h"

static const mim_flag flags[] = {
    {"wanted", "FILE", NULL, false, "stats text of the trace that was to be imitated"},
    {"measured", "FILE[:LABEL]", NULL, true,
     "stats text measured during the imitation; the same label again is a repetition"},
    {"calibration", "FILE", NULL, false, "calibration of the node that measured"},
    {"checkpoint", "MODEL.h5", NULL, false,
     "normalise by the ranges of this model's training corpus"},
    {"first", "K", NULL, false, "first slot of the wanted trace that was imitated (default 0)"},
    {"slots", "N", NULL, false, "number of its slots that were imitated (default all)"},
    {"accepted-only", NULL, NULL, false, "count only slots that nobody else disturbed"},
    {"verbose", NULL, NULL, false, "every metric of every file, too"},
    {"out", "OUT.png|OUT.json", NULL, true, "write a figure or the JSON object to a file"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "--wanted FILE --measured FILE[:LABEL] ... [--calibration FILE] [--checkpoint MODEL.h5] "
    "[-o OUT.png] [-o OUT.json]",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_compare",
    .summary = "compare a wanted trace with measured imitations of it",
    .synopsis = synopsis,
    .flags = flags,
    .min_arguments = 0,
    .max_arguments = 0,
    .description =
        "Slot i of a measured file is compared with slot i of the wanted trace (after --first and\n"
        "--slots), metric by metric. Figures: normalised L1 (mean of |measured - wanted| / "
        "range),\n"
        "MSE (mean of its square) and DTW (the same after bending time by up to 10 % of the\n"
        "slots), as means over the metrics of a family; nl1_mean is the mean over the families\n"
        "cpu, io_read, io_write, memory and cache, as far as both sides have them. The range is\n"
        "100 for percentages and this node's calibrated ceiling for I/O rates; with --checkpoint\n"
        "it is what the metric spanned in the model's training corpus, and metrics that were\n"
        "constant there are left out.\n\n"
        "The table has one row a label: figures are means over its runs, accepted is the number\n"
        "of accepted slots of the run that has fewest.\n\n"
        "The noise floor is the normalised L1 between repeated runs, files given with the same\n"
        "label: differences below it mean nothing. The spread is the largest minus the smallest\n"
        "nl1_mean of these runs.\n\n"
        "What the wanted trace asks for is first adapted to the node as for a plan: rates above\n"
        "the node's ceilings, and another number of cores. Where a measured file tells which CPU\n"
        "each row of the plan ran on, these are the cores, and core r is compared with the CPU of\n"
        "row r; else the calibrated ones are. Without --calibration the stored one of this\n"
        "machine is used if the measured files were measured on it; else rates are normalised by\n"
        "the wanted trace's own maximum and nothing is scaled.\n\n"
        "A slot is accepted when steal is at most 1 % and others used at most 2 % of the CPU;\n"
        "with --accepted-only fewer than 50 of them are called not measurable now.",
    .json_keys = "wanted: the wanted trace's file\n"
                 "accepted_only: whether only accepted slots are counted\n"
                 "notes: what a reader must know, sentences\n"
                 "left_out: metrics that were not compared: metric, file (null = every file), "
                 "reason\n"
                 "files: one object a measured file: file, label, hostname, n_slots, n_accepted "
                 "and is_measurable (null when the file does not tell), families, metrics, "
                 "nl1_mean\n"
                 "files.families: name -> nl1, mse, dtw, n_slots; null when not compared\n"
                 "files.metrics: name -> family, unit, range, nl1, mse, dtw, wanted_mean, "
                 "measured_mean, n_slots, n_absent\n"
                 "labels: label -> n_runs, n_accepted (the smallest), is_measurable, families (as "
                 "of files, means over runs), nl1_mean, spread, floor (family -> nl1), floor_mean",
    .files = "~/.cache/mimesys/calibration-KEY-Ncpus.json: this machine's calibration\n"
             "OUT.png: one panel a family, wanted and measured over time\n"
             "OUT.json: what --json prints",
    .examples = "mimesys_compare --wanted stats-sort.txt --slots 60 "
                "--measured run1/stats-plan.txt:single --measured run2/stats-plan.txt:single "
                "-o sort.png\n"
                "mimesys_compare --wanted a.txt --measured b.txt --json",
};

/* A measured file as the command line names it. */
typedef struct measured {
    char *path;
    const char *label; /* points into the argument or into path */
    mim_series *series;
    char *machine; /* its $x_machine line, NULL if none */
} measured;

typedef struct job {
    const mim_args *args;
    mim_log *log;
    mim_series *wanted;
    size_t n_measured;
    measured *measured;
    mim_calibration *calibration; /* NULL: none */
    char *calibration_note;       /* NULL: none */
    mim_model *model;             /* NULL: none */
    mim_compare *compare;
    json_t *json;
} job;

static void job_clear(job *j)
{
    for (size_t i = 0; i < j->n_measured; i++) {
        free(j->measured[i].path);
        free(j->measured[i].machine);
        mim_series_destroy(&j->measured[i].series);
    }
    free(j->measured);
    free(j->calibration_note);
    mim_series_destroy(&j->wanted);
    mim_calibration_destroy(&j->calibration);
    mim_model_destroy(&j->model);
    mim_compare_destroy(&j->compare);
    json_decref(j->json);
}

/* ---- the command line ----------------------------------------------------------------------- */

static int check_outputs(const mim_args *args)
{
    for (size_t i = 0; i < mim_args_n_values(args, "out"); i++) {
        const char *out = mim_args_value_at(args, "out", i);
        if (!*out)
            return mim_fail(MIM_EUSAGE, "--out: expected a file name");
        if (!mim_has_suffix(out, ".png") && !mim_has_suffix(out, ".json"))
            return mim_fail(MIM_EUSAGE, "--out %s: expected a name ending in .png or .json", out);
        for (size_t k = 0; k < i; k++)
            if (strcmp(out, mim_args_value_at(args, "out", k)) == 0)
                return mim_fail(MIM_EUSAGE, "--out %s: given twice", out);
    }
    return MIM_OK;
}

/* No output may replace the file that is read. */
static int check_input(const mim_args *args, const char *input)
{
    int rc = MIM_OK;
    for (size_t i = 0; i < mim_args_n_values(args, "out") && rc == MIM_OK; i++)
        rc = mim_output_check(mim_args_value_at(args, "out", i), input);
    return rc;
}

static int split_label(const char *text, measured *m)
{
    int rc = mim_labelled_path("--measured", text, &m->path, &m->label);
    if (rc == MIM_OK && m->label && strcmp(m->label, "wanted") == 0)
        return mim_fail(MIM_EUSAGE, "--measured %s: the label wanted is taken", text);
    if (rc == MIM_OK && !m->label) {
        m->label = mim_basename(text);
        rc = mim_label_check("--measured", text, m->label);
    }
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int read_wanted(job *j)
{
    const char *path = mim_args_value(j->args, "wanted");
    size_t first = 0, n_slots = SIZE_MAX;
    mim_series *whole = NULL;
    if (!path)
        return mim_fail(MIM_EUSAGE, "expected --wanted FILE");
    int rc = mim_args_count(j->args, "first", 0, 1000000000, &first);
    if (rc == MIM_OK)
        rc = mim_args_count(j->args, "slots", 1, 1000000000, &n_slots);
    if (rc == MIM_OK)
        rc = check_input(j->args, path);
    if (rc == MIM_OK)
        rc = mim_series_read(path, NULL, &whole);
    if (rc == MIM_OK)
        rc = mim_series_window(whole, path, first, n_slots, &j->wanted);
    mim_series_destroy(&whole);
    return rc;
}

static int read_measured(const mim_args *args, const char *text, measured *m)
{
    mim_stats *stats = NULL;
    int rc = split_label(text, m);
    if (rc == MIM_OK)
        rc = check_input(args, m->path);
    if (rc == MIM_OK)
        rc = mim_stats_read(m->path, &stats);
    if (rc == MIM_OK && (rc = mim_series_create(stats, NULL, &m->series)) != MIM_OK)
        rc = mim_fail_in(rc, "%s", m->path);
    const char *machine = rc == MIM_OK ? mim_stats_property(stats, "x_machine") : NULL;
    if (machine && !(m->machine = mim_strdup(machine)))
        rc = mim_fail(MIM_ENOMEM, "%s", m->path);
    mim_stats_destroy(&stats);
    return rc;
}

static int read_all_measured(job *j)
{
    const size_t n = mim_args_n_values(j->args, "measured");
    int rc = MIM_OK;
    if (n == 0)
        return mim_fail(MIM_EUSAGE, "expected --measured FILE[:LABEL]");
    if (!(j->measured = calloc(n, sizeof *j->measured)))
        return mim_fail(MIM_ENOMEM, "%zu measured files", n);
    j->n_measured = n;
    for (size_t i = 0; i < n && rc == MIM_OK; i++)
        rc = read_measured(j->args, mim_args_value_at(j->args, "measured", i), &j->measured[i]);
    return rc;
}

/* ---- calibration ---------------------------------------------------------------------------- */

/* The first measured file that was not measured on the machine with this key, or NULL. */
static const measured *from_elsewhere(const job *j, const char *key)
{
    for (size_t i = 0; i < j->n_measured; i++)
        if (!j->measured[i].machine || !strstr(j->measured[i].machine, key))
            return &j->measured[i];
    return NULL;
}

static int read_stored_calibration(job *j)
{
    mim_machine *machine = NULL;
    char *path = NULL;
    int rc = mim_machine_create(0, &machine);
    if (rc == MIM_OK)
        rc = mim_calibration_path(machine, &path);
    /* No machine facts or nowhere to look is the same as no calibration. */
    if (rc == MIM_OK && access(path, F_OK) == 0) {
        rc = check_input(j->args, path);
        if (rc == MIM_OK)
            rc = mim_calibration_read(path, &j->calibration);
    } else if (rc != MIM_ENOMEM) {
        rc = MIM_OK;
    }
    mim_machine_destroy(&machine);
    free(path);
    return rc;
}

static int get_calibration(job *j)
{
    const char *consequence =
        j->model ? "nothing is scaled"
                 : "rates are normalised by the wanted trace's own maximum and nothing is scaled";
    const char *named = mim_args_value(j->args, "calibration");
    const measured *other = NULL;
    int rc = named ? check_input(j->args, named) : read_stored_calibration(j);
    if (rc == MIM_OK && named)
        rc = mim_calibration_read(named, &j->calibration);
    if (rc != MIM_OK)
        return rc;
    if (!j->calibration) {
        j->calibration_note = mim_format("no calibration: %s", consequence);
    } else if ((other = from_elsewhere(j, j->calibration->machine_key)) && named) {
        if (!other->machine)
            return MIM_OK; /* the file does not tell, the user does */
        j->calibration_note = mim_format("%s was measured on another machine than the calibration",
                                         mim_basename(other->path));
    } else if (other) {
        mim_calibration_destroy(&j->calibration);
        j->calibration_note =
            mim_format("no calibration: %s does not say that it was measured on this machine; %s",
                       mim_basename(other->path), consequence);
    } else {
        return MIM_OK;
    }
    return j->calibration_note ? MIM_OK : mim_fail(MIM_ENOMEM, "a note");
}

/* ---- the model ------------------------------------------------------------------------------ */

static int read_model(job *j)
{
    const char *path = mim_args_value(j->args, "checkpoint");
    if (!path)
        return MIM_OK;
    int rc = check_input(j->args, path);
    return rc == MIM_OK ? mim_checkpoint_read(path, false, &j->model) : rc;
}

static int use_model(job *j)
{
    const mim_domain *domain = j->model->domain;
    const mim_compare_ranges ranges = {
        .source = mim_basename(mim_args_value(j->args, "checkpoint")),
        .n_metrics = domain->n_metrics,
        .metrics = (const char *const *)domain->metrics,
        .minimum = domain->minimum,
        .maximum = domain->maximum,
        .n_threads = domain->n_threads,
        .thread_metric = domain->thread_metric,
    };
    return mim_compare_use_ranges(j->compare, &ranges);
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* The cores that the plan was made for: those its rows ran on, whatever else the node has. */
static size_t n_cores_of_plan(const job *j)
{
    const size_t n_measured = mim_series_n_cores(j->measured[0].series);
    const size_t n_wanted = mim_series_n_cores(j->wanted);
    for (size_t i = 0; i < j->n_measured; i++)
        if (j->measured[i].series->n_rows > 0)
            return mim_series_n_row_cpus(j->measured[i].series);
    if (j->calibration)
        return j->calibration->n_cpus;
    return n_measured ? n_measured : n_wanted ? n_wanted : 1;
}

static int compare_all(job *j)
{
    const mim_calibration *c = j->calibration;
    mim_node_limits limits = {
        .n_cores = n_cores_of_plan(j),
        .n_sockets = c && c->n_sockets ? c->n_sockets : 1,
        .io_read_max_kbs = c ? c->io_read_max_kbs : NAN,
        .io_write_max_kbs = c ? c->io_write_max_kbs : NAN,
    };
    if (limits.n_sockets > limits.n_cores) /* as for a plan */
        limits.n_sockets = limits.n_cores;
    int rc = mim_compare_create(j->wanted, mim_args_value(j->args, "wanted"), &limits, &j->compare);
    if (rc == MIM_OK && j->model)
        rc = use_model(j);
    if (rc == MIM_OK && j->calibration_note)
        rc = j->calibration || j->model
                 ? mim_compare_note(j->compare, "%s", j->calibration_note)
                 : mim_compare_note_ceilings(j->compare, j->calibration_note);
    if (rc == MIM_OK && mim_args_has(j->args, "accepted-only"))
        mim_compare_only_accepted(j->compare);
    for (size_t i = 0; i < j->n_measured && rc == MIM_OK; i++)
        rc = mim_compare_add(j->compare, j->measured[i].series, j->measured[i].path,
                             j->measured[i].label);
    if (rc == MIM_OK)
        rc = mim_compare_json(j->compare, &j->json);
    return rc;
}

static int write_outputs(const job *j)
{
    int rc = MIM_OK;
    for (size_t i = 0; i < mim_args_n_values(j->args, "out") && rc == MIM_OK; i++) {
        const char *out = mim_args_value_at(j->args, "out", i);
        if (mim_args_has(j->args, "dry-run"))
            mim_log_info(j->log, "compare", "would write %s", out);
        else if (mim_has_suffix(out, ".png"))
            rc = mim_compare_figure(j->compare, out);
        else
            rc = mim_json_write(j->json, out);
    }
    return rc;
}

static int run(const mim_args *args, mim_log *log)
{
    job j = {.args = args, .log = log};
    int rc = check_outputs(args);
    if (rc == MIM_OK)
        rc = read_wanted(&j);
    if (rc == MIM_OK)
        rc = read_all_measured(&j);
    if (rc == MIM_OK)
        rc = read_model(&j);
    if (rc == MIM_OK)
        rc = get_calibration(&j);
    if (rc == MIM_OK)
        rc = compare_all(&j);
    if (rc == MIM_OK)
        rc = write_outputs(&j);
    if (rc == MIM_OK)
        rc = mim_args_has(args, "json")
                 ? mim_json_print(j.json, stdout)
                 : mim_compare_table(j.compare, mim_args_has(args, "verbose"), stdout);
    job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
