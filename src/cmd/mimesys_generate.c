/* mimesys_generate: makes a stress plan that imitates a trace on the calibrated machine. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/generate_job.h"
#include "cmd/program_main.h"
#include "core/atomic_file.h"
#include "core/text.h"
#include "fleet/settings.h"

typedef mim_generate_job job;
typedef mim_generate_figures figures;

static const mim_option generate_options[] = {
    {"generate", "actions", MIM_OPTION_TEXT, "", "20", 0, 0, NULL, NULL,
     "action list of method single: " MIM_ACTIONS_WORDS " or a file with one name a line"},
    {"generate", "node", MIM_OPTION_CHOICE, "", "this", 0, 0, "this|simulated", NULL,
     "the machine that the plan is for: this one, or a simulated one"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {generate_options,         mim_generate_single_options,
                                           mim_generate_idw_options, mim_generate_diffusion_options,
                                           mim_simulated_settings,   NULL};

static const mim_flag flags[] = {
    {"trace", "FILE", NULL, false, "stats text to imitate"},
    {"out", "PLAN.h5", NULL, false, "plan to write"},
    {"method", "NAME", NULL, false,
     "how to choose the plan: single (default), nearest, idw, diffusion"},
    {"corpus", "FILE", NULL, false, "training corpus of methods nearest and idw"},
    {"checkpoint", "FILE", NULL, false, "model of method diffusion, made by mimesys_train"},
    {"first", "K", NULL, false, "first slot of the trace, counted from 0 (default 0)"},
    {"slots", "N", NULL, false, "number of slots (default all from the first)"},
    {"slot", "SECONDS", NULL, false, "length of a slot of the plan (default the trace's median)"},
    {"threads", "auto|N", NULL, false, "rows of the plan (default auto: the calibrated CPUs)"},
    {"actions", "LIST", "generate.actions", false,
     "action list of method single: " MIM_ACTIONS_WORDS " or a file"},
    {"calibration", "FILE", NULL, false, "calibration to use (default this machine's)"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "--trace FILE -o PLAN.h5 [--method single] [--first K] [--slots N] [--slot S]",
    "--trace FILE -o PLAN.h5 --method nearest|idw --corpus CORPUS.h5",
    "--trace FILE -o PLAN.h5 --checkpoint MODEL.h5",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_generate",
    .summary = "make a stress plan that imitates a trace on this machine",
    .synopsis = synopsis,
    .flags = flags,
    .tables = tables,
    .min_arguments = 0,
    .max_arguments = 0,
    .description =
        "Reads what a traced machine did per slot, adapts it to the machine that shall imitate it\n"
        "(number of cores, I/O ceilings) and writes a plan that mimesys_run runs.\n\n"
        "Method single: the CPU utilisation of each core from one CPU stressor, reads and writes\n"
        "from one I/O stressor each, in closed form from the calibration of this machine.\n"
        "Method nearest: each slot gets the action of the training sample in the corpus whose\n"
        "metrics are nearest; idw: the mean over the 5 nearest, weighted by 1 / distance. The\n"
        "corpus must be of plans with as many threads as this one, measured on such a machine.\n"
        "Method diffusion: a model that learned which plans lead to which metrics draws a plan\n"
        "for each slot, with the slot before as context. It is of plans of as many threads. What\n"
        "the trace lacks is left open to the model; what is beyond its training range is noted.\n"
        "Of several samples, each brought to the wanted metrics by how the node was measured to\n"
        "answer, the one expected to miss them least is taken.\n\n"
        "With generate.node=simulated the plan is for a simulated node, described in [simulated],\n"
        "instead of this machine (see mimesys_run and mimesys_collect).\n\n"
        "The table printed at the end sets what the trace holds beside what is wanted here and\n"
        "what the plan asks for by the calibration, as means over the time of the slots in which "
        "the\n"
        "trace has the figure. \"off\" counts slots in which the plan asks\n"
        "for less I/O (by more than 1 %) or another CPU utilisation (mean over the cores of the\n"
        "difference above 0.5 points) than is wanted: rows are full,\n"
        "or the method chose so.",
    .json_keys =
        "plan: file written, null with --dry-run\n"
        "method, trace, first, slots, threads, stressors, slot_s: what was made\n"
        "machine: key of the calibrated machine\n"
        "notes: what was scaled or left out, sentences\n"
        "figures: cpu (%, mean of the cores), io_read, io_write (KB/s), each with\n"
        "figures.*.trace, wanted, asked: means over the time of the slots in which the trace "
        "has it, null when none\n"
        "figures.*.off: slots in which the plan asks for something else than wanted\n"
        "need: threads, memory_bytes, scratch_bytes, run_s that running the plan takes",
    .files = "PLAN.h5: dataset execution_plan [window, thread, stressor], action_names; attributes "
             "slot_s, origin\n"
             "~/.cache/mimesys/calibration-KEY-Ncpus.json: this machine's calibration",
    .examples =
        "mimesys_run --calibrate\n"
        "mimesys_generate --trace stats-sort.txt --slots 60 -o sort.h5\n"
        "mimesys_generate --trace stats-sort.txt --method idw --corpus corpus.h5 -o idw.h5\n"
        "mimesys_generate --trace stats-sort.txt --checkpoint model.h5 -o sort.h5\n"
        "mimesys_generate --trace stats-sort.txt --dry-run --json\n"
        "mimesys_generate --trace stats-sort.txt --set generate.node=simulated -o sim.h5",
};

/* ---- reading -----------------------------------------------------------------------------------
 */

static int read_trace(job *j)
{
    const char *path = mim_args_value(j->args, "trace"), *slot = mim_args_value(j->args, "slot");
    size_t n_slots = SIZE_MAX;
    mim_series *whole = NULL;
    int rc = mim_args_count(j->args, "first", 0, 1000000000, &j->first);
    if (rc == MIM_OK)
        rc = mim_args_count(j->args, "slots", 1, MIM_PLAN_MAX_WINDOWS, &n_slots);
    if (rc == MIM_OK && slot)
        rc = mim_parse_real("--slot", slot, 0.01, 86400, &j->slot_s);
    if (rc == MIM_OK)
        rc = mim_series_read(path, NULL, &whole);
    if (rc == MIM_OK)
        rc = mim_series_window(whole, path, j->first, n_slots, &j->trace);
    if (rc == MIM_OK && j->trace->n_slots > MIM_PLAN_MAX_WINDOWS)
        rc = mim_fail(MIM_EUSAGE, "%s has %zu slots, a plan at most %d: use --slots", path,
                      j->trace->n_slots, MIM_PLAN_MAX_WINDOWS);
    mim_series_destroy(&whole);
    if (rc == MIM_OK && !slot) /* to the millisecond: the rest is the monitor's jitter */
        j->slot_s = fmax(0.01, round(1000 * mim_series_median_length_s(j->trace)) / 1000);
    if (rc == MIM_OK && n_slots != SIZE_MAX && j->trace->n_slots < n_slots)
        mim_log_debug(j->log, "generate", "%s: only %zu slot%s from slot %zu on", path,
                      j->trace->n_slots, j->trace->n_slots == 1 ? "" : "s", j->first);
    return rc;
}

static bool is_simulated(const job *j)
{
    return strcmp(mim_config_text(j->config, "generate.node"), "simulated") == 0;
}

static int know_simulated(job *j)
{
    mim_simulated_options options;
    mim_simulated *node = NULL;
    if (mim_args_has(j->args, "calibration"))
        return mim_fail(MIM_EUSAGE, "--calibration: generate.node=simulated has its own");
    int rc = mim_simulated_options_get(j->config, &options);
    if (rc == MIM_OK)
        rc = mim_simulated_create(&options, &node);
    if (rc == MIM_OK)
        rc = mim_simulated_calibration(node, NULL, &j->calibration);
    mim_simulated_destroy(&node);
    return rc;
}

static int read_calibration(job *j)
{
    const char *named = mim_args_value(j->args, "calibration");
    mim_machine *machine = NULL;
    char *path = NULL;
    if (is_simulated(j))
        return know_simulated(j);
    if (named)
        return mim_calibration_read(named, &j->calibration);
    int rc = mim_machine_create(0, &machine);
    if (rc == MIM_OK)
        rc = mim_calibration_path(machine, &path);
    if (rc == MIM_OK && access(path, F_OK) != 0)
        rc = mim_fail(MIM_EUNSUP, "no calibration of this machine: run mimesys_run --calibrate");
    if (rc == MIM_OK)
        rc = mim_calibration_read(path, &j->calibration);
    free(path);
    mim_machine_destroy(&machine);
    return rc;
}

static int adapt(job *j)
{
    const char *threads = mim_args_value(j->args, "threads");
    const mim_calibration *c = j->calibration;
    mim_node_limits limits = {.n_cores = c->n_cpus,
                              .n_sockets = c->n_sockets ? c->n_sockets : 1,
                              .io_read_max_kbs = c->io_read_max_kbs,
                              .io_write_max_kbs = c->io_write_max_kbs};
    int rc = MIM_OK;
    if (threads && strcmp(threads, "auto") != 0)
        rc = mim_args_count(j->args, "threads", 1, MIM_PLAN_MAX_THREADS, &limits.n_cores);
    if (limits.n_sockets > limits.n_cores)
        limits.n_sockets = limits.n_cores;
    if (rc == MIM_OK && limits.n_cores > MIM_PLAN_MAX_THREADS)
        rc = mim_fail(MIM_EUNSUP,
                      "%zu calibrated CPUs, a plan has at most %d threads: use --threads",
                      limits.n_cores, MIM_PLAN_MAX_THREADS);
    return rc == MIM_OK ? mim_adapt(j->trace, &limits, &j->adaptation) : rc;
}

/* ---- what came of it ---------------------------------------------------------------------------
 */

/* Mean of the cores of a slot, NaN when none is present. */
static double cpu_at(const mim_series *series, size_t slot)
{
    double sum = 0;
    size_t n = 0;
    for (size_t m = 0; m < series->n_metrics; m++) {
        double value = mim_series_at(series, slot, m);
        if (series->metrics[m].family == MIM_FAMILY_CPU && series->metrics[m].core >= 0 &&
            isfinite(value)) {
            sum += value;
            n++;
        }
    }
    return n ? sum / (double)n : NAN;
}

static double value_at(const mim_series *series, size_t slot, int which)
{
    if (which == FIGURE_CPU)
        return cpu_at(series, slot);
    size_t metric = mim_series_find(series, which == FIGURE_READ ? "io_read" : "io_write");
    return metric == SIZE_MAX ? NAN : mim_series_at(series, slot, metric);
}

/* The number of the core of a metric of an adapted series, which numbers its cores like the plan's
 * rows; SIZE_MAX for other metrics. */
static size_t row_of(const mim_series *wanted, const mim_asked *asked, size_t metric)
{
    const mim_metric *m = &wanted->metrics[metric];
    if (m->family != MIM_FAMILY_CPU || m->core < 0 || (size_t)m->core >= asked->n_rows)
        return SIZE_MAX;
    return (size_t)m->core;
}

/* CPU: of the rows whose cores are present. */
static double asked_at(const mim_series *wanted, const mim_asked *asked, size_t slot, int which)
{
    double sum = 0;
    size_t n = 0;
    if (which != FIGURE_CPU)
        return which == FIGURE_READ ? asked->read_kbs[slot] : asked->write_kbs[slot];
    for (size_t m = 0; m < wanted->n_metrics; m++) {
        const size_t row = row_of(wanted, asked, m);
        if (row == SIZE_MAX || !isfinite(mim_series_at(wanted, slot, m)))
            continue;
        sum += asked->cpu_percent[slot * asked->n_rows + row];
        n++;
    }
    return n ? sum / (double)n : NAN;
}

/* Mean over the cores of the difference between asked and wanted. */
static double cpu_off_at(const mim_series *wanted, const mim_asked *asked, size_t slot)
{
    double sum = 0;
    for (size_t m = 0; m < wanted->n_metrics; m++) {
        const size_t row = row_of(wanted, asked, m);
        const double cpu = mim_series_at(wanted, slot, m);
        if (row != SIZE_MAX && isfinite(cpu))
            sum += fabs(asked->cpu_percent[slot * asked->n_rows + row] - cpu);
    }
    return sum / (double)asked->n_rows;
}

/* Means over the time of the slots in which the figure is wanted, the same for all columns. */
static size_t gather_figure(const job *j, int which, figures *f)
{
    const mim_series *wanted = j->adaptation->series;
    double time_s = 0, trace = 0, want = 0, ask = 0;
    size_t n_absent = 0;
    for (size_t slot = 0; slot < wanted->n_slots; slot++) {
        const double wanted_now = value_at(wanted, slot, which), s = wanted->length_s[slot];
        if (!isfinite(wanted_now)) {
            n_absent++;
            continue;
        }
        const double asked = asked_at(wanted, j->asked, slot, which);
        time_s += s;
        trace += s * value_at(j->trace, slot, which);
        want += s * wanted_now;
        ask += s * asked;
        f->n_off += which == FIGURE_CPU ? cpu_off_at(wanted, j->asked, slot) > 0.5
                                        : asked < 0.99 * wanted_now;
    }
    f->trace = time_s > 0 ? trace / time_s : NAN;
    f->wanted = time_s > 0 ? want / time_s : NAN;
    f->asked = time_s > 0 ? ask / time_s : NAN;
    return n_absent;
}

/* Slots in which some cores are present and others are not. */
static size_t n_lacking_cores(const mim_series *series)
{
    const size_t n_cores = mim_series_n_cores(series);
    size_t n = 0;
    for (size_t slot = 0; slot < series->n_slots; slot++) {
        size_t n_present = 0;
        for (size_t m = 0; m < series->n_metrics; m++)
            n_present += series->metrics[m].family == MIM_FAMILY_CPU &&
                         series->metrics[m].core >= 0 && isfinite(mim_series_at(series, slot, m));
        n += n_present > 0 && n_present < n_cores;
    }
    return n;
}

static int note_trace(job *j)
{
    char *gaps = NULL;
    int rc = j->notes ? MIM_OK : mim_fail(MIM_ENOMEM, "notes");
    if (rc == MIM_OK && is_simulated(j))
        rc =
            mim_generate_add_note(j, mim_format("the plan is for a %s", j->calibration->cpu_model));
    for (size_t i = 0; rc == MIM_OK && i < j->adaptation->n_notes; i++)
        rc = mim_generate_add_note(j, mim_strdup(j->adaptation->notes[i]));
    if (rc == MIM_OK)
        rc = mim_series_gap_note(j->trace, &gaps);
    if (rc == MIM_OK && gaps)
        rc = mim_generate_add_note(
            j, mim_format("%s; the plan has slots of %g s for them, too", gaps, j->slot_s));
    free(gaps);
    const size_t n = n_lacking_cores(j->adaptation->series);
    if (rc == MIM_OK && n > 0)
        rc = mim_generate_add_note(
            j, mim_format("%zu of %zu slots lack the CPU use of some cores: %s there", n,
                          j->trace->n_slots, j->how->lacking));
    return rc;
}

static int gather_figures(job *j)
{
    static const char *const names[N_FIGURES][2] = {
        {"cpu", "%"}, {"io_read", "KB/s"}, {"io_write", "KB/s"}};
    int rc = note_trace(j);
    for (int i = 0; i < N_FIGURES && rc == MIM_OK; i++) {
        j->figures[i] = (figures){.name = names[i][0], .unit = names[i][1]};
        const size_t n_absent = gather_figure(j, i, &j->figures[i]);
        if (n_absent > 0)
            rc = mim_generate_add_note(j,
                                       mim_format("%zu of %zu slots have no %s: %s there", n_absent,
                                                  j->trace->n_slots, names[i][0], j->how->lacking));
    }
    return rc;
}

static int describe(job *j)
{
    json_t *all = json_object();
    for (int i = 0; i < N_FIGURES; i++) {
        const figures *f = &j->figures[i];
        json_object_set_new(all, f->name,
                            json_pack("{s:s, s:o, s:o, s:o, s:I}", "unit", f->unit, "trace",
                                      mim_json_real(f->trace), "wanted", mim_json_real(f->wanted),
                                      "asked", mim_json_real(f->asked), "off",
                                      (json_int_t)f->n_off));
    }
    j->json = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:s, s:O, s:o, s:{s:I, s:I, s:I, s:f}}", "method",
        j->how->name, "trace", mim_args_value(j->args, "trace"), "first", (json_int_t)j->first,
        "slots", (json_int_t)j->trace->n_slots, "threads", (json_int_t)mim_plan_n_threads(j->plan),
        "stressors", (json_int_t)mim_plan_n_stressors(j->plan), "slot_s", j->slot_s, "machine",
        j->calibration->machine_key, "notes", j->notes, "figures", all, "need", "threads",
        (json_int_t)j->need.n_threads, "memory_bytes", (json_int_t)j->need.memory_bytes,
        "scratch_bytes", (json_int_t)j->need.scratch_bytes, "run_s", j->need.n_slots * j->slot_s);
    return j->json ? MIM_OK
                   : mim_fail(MIM_EDATA, "%s: its name or the machine's is not UTF-8 text",
                              mim_args_value(j->args, "trace"));
}

static int set_origin(job *j)
{
    json_t *origin = json_pack(
        "{s:O, s:O, s:O, s:O, s:O, s:O, s:s}", "method", json_object_get(j->json, "method"),
        "trace", json_object_get(j->json, "trace"), "first", json_object_get(j->json, "first"),
        "trace_slots", json_object_get(j->json, "slots"), "notes",
        json_object_get(j->json, "notes"), "machine", json_object_get(j->json, "machine"),
        "actions",
        j->how->knowledge ? j->how->knowledge : mim_config_text(j->config, "generate.actions"));
    if (origin && j->how->knowledge)
        json_object_set_new(origin, j->how->knowledge,
                            json_string(mim_args_value(j->args, j->how->knowledge)));
    char *text = origin ? json_dumps(origin, 0) : NULL;
    int rc = text ? mim_plan_set_origin(j->plan, text) : mim_fail(MIM_EDATA, "origin of the plan");
    free(text);
    json_decref(origin);
    return rc;
}

static void print_number(double value)
{
    if (isfinite(value))
        printf(" %12.1f", value);
    else
        printf(" %12s", "absent");
}

static void print_table(const job *j)
{
    const char *out = mim_args_value(j->args, "out");
    char memory[MIM_BYTES_TEXT_BYTES], scratch[MIM_BYTES_TEXT_BYTES];
    for (size_t i = 0; i < json_array_size(j->notes); i++)
        printf("note: %s\n", json_string_value(json_array_get(j->notes, i)));
    printf("%-15s %12s %12s %12s %12s\n", "mean", "trace", "wanted here", "plan asks", "slots off");
    for (int i = 0; i < N_FIGURES; i++) {
        const figures *f = &j->figures[i];
        printf("%-9s %5s", f->name, f->unit);
        print_number(f->trace);
        print_number(f->wanted);
        print_number(f->asked);
        printf(" %5zu of %3zu\n", f->n_off, j->trace->n_slots);
    }
    printf(
        "%zu slot%s of %g s, %zu thread%s; runs %.6g s, takes %s of memory, %s of scratch files\n",
        j->trace->n_slots, j->trace->n_slots == 1 ? "" : "s", j->slot_s,
        mim_plan_n_threads(j->plan), mim_plan_n_threads(j->plan) == 1 ? "" : "s",
        j->need.n_slots * j->slot_s, mim_bytes_text((double)j->need.memory_bytes, memory),
        mim_bytes_text((double)j->need.scratch_bytes, scratch));
    if (mim_args_has(j->args, "dry-run"))
        printf("nothing written (dry run)\n");
    else
        printf("plan: %s\n", out);
}

/* ---- the program -------------------------------------------------------------------------------
 */

static int check_arguments(const job *j)
{
    const char *trace = mim_args_value(j->args, "trace"), *out = mim_args_value(j->args, "out"),
               *calibration = mim_args_value(j->args, "calibration");
    if (!trace)
        return mim_fail(MIM_EUSAGE, "expected --trace FILE");
    if (!out && !mim_args_has(j->args, "dry-run"))
        return mim_fail(MIM_EUSAGE, "expected -o PLAN.h5 (or --dry-run)");
    if (out && !*out)
        return mim_fail(MIM_EUSAGE, "--out: expected a file name");
    if (out && !mim_has_suffix(out, ".h5"))
        return mim_fail(MIM_EUSAGE, "--out %s: expected a name ending in .h5", out);
    int rc = out ? mim_output_check(out, trace) : MIM_OK;
    return rc == MIM_OK && out && calibration ? mim_output_check(out, calibration) : rc;
}

static int make_plan(job *j)
{
    j->notes = json_array();
    int rc = j->notes ? j->how->make(j) : mim_fail(MIM_ENOMEM, "notes");
    if (rc == MIM_OK)
        mim_plan_keep_idle_start(j->plan);
    if (rc == MIM_OK)
        rc = mim_plan_needs(j->plan, &j->need);
    if (rc == MIM_OK)
        rc = mim_asked_create(j->plan, j->calibration, &j->asked);
    if (rc != MIM_OK)
        return rc;
    mim_plan_set_slot_s(j->plan, j->slot_s);
    rc = gather_figures(j);
    if (rc == MIM_OK)
        rc = describe(j);
    return rc == MIM_OK ? set_origin(j) : rc;
}

static int report(job *j)
{
    bool is_dry = mim_args_has(j->args, "dry-run");
    if (!mim_args_has(j->args, "json")) {
        print_table(j);
        return MIM_OK;
    }
    json_object_set_new(j->json, "plan",
                        is_dry ? json_null() : json_string(mim_args_value(j->args, "out")));
    return mim_json_print(j->json, stdout);
}

static void job_clear(job *j)
{
    mim_series_destroy(&j->trace);
    mim_calibration_destroy(&j->calibration);
    mim_actions_destroy(&j->actions);
    mim_adaptation_destroy(&j->adaptation);
    mim_plan_destroy(&j->plan);
    mim_plan_need_clear(&j->need);
    mim_asked_destroy(&j->asked);
    json_decref(j->json);
    json_decref(j->notes);
}

static int run(const mim_args *args, mim_log *log)
{
    job j = {.args = args, .config = mim_args_config(args), .log = log};
    int rc = check_arguments(&j);
    if (rc == MIM_OK)
        rc = mim_generate_find_method(&j);
    if (rc == MIM_OK)
        rc = read_trace(&j);
    if (rc == MIM_OK)
        rc = mim_actions_open(mim_config_text(j.config, "generate.actions"), &j.actions);
    if (rc == MIM_OK)
        rc = read_calibration(&j);
    if (rc == MIM_OK)
        rc = adapt(&j);
    if (rc == MIM_OK)
        rc = make_plan(&j);
    if (rc == MIM_OK && !mim_args_has(args, "dry-run"))
        rc = mim_plan_write(j.plan, mim_args_value(args, "out"));
    if (rc == MIM_OK)
        rc = report(&j);
    job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
