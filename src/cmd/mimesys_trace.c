/* mimesys_trace: what a stats text holds, per metric, as a table, a file or a figure. */
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/program_main.h"
#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/summary.h"
#include "core/text.h"
#include "report/chart.h"
#include "trace/accept.h"
#include "trace/series_write.h"

static const mim_command commands[] = {
    {"summary", "what the file holds, and each metric's mean, minimum and maximum"},
    {"convert", "metrics per slot as OUT.h5 or OUT.csv"},
    {"plot", "a figure of all metrics as OUT.png"},
    {NULL, NULL},
};

static const mim_flag flags[] = {
    {"out", "OUT", NULL, false, "file to write; its ending tells the form"},
    {"first", "K", NULL, false, "begin with slot K (default 0)"},
    {"slots", "N", NULL, false, "number of slots (default all)"},
    {"disks", "LIST", NULL, false, "disks to count, as vda,vdb (default every whole disk)"},
    {"peak-bandwidth", "GB/S", NULL, false,
     "the traced machine's memory bandwidth, for metrics in % of it (default by its types)"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "summary FILE [--json] [--first K] [--slots N] [--disks LIST]",
    "convert FILE -o OUT.h5|OUT.csv [--first K] [--slots N] [--disks LIST]",
    "plot FILE -o OUT.png [--first K] [--slots N] [--disks LIST]",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_trace",
    .summary = "look at a stats text: what it holds, per metric, as table, HDF5, CSV or figure",
    .synopsis = synopsis,
    .commands = commands,
    .flags = flags,
    .min_arguments = 2,
    .max_arguments = 2,
    .description =
        "FILE is a stats text of the HPCPerfStats family: $tacc_stats 2.3.5, $hpcperfstats 2.4 or\n"
        "3.0, or what mimesys_monitor and mimesys_run write. It is read by its own schema: types,\n"
        "keys and devices may be any. A cut last record is used as far as its whole lines go.\n\n"
        "Each pair of neighbouring records is a slot. A record closer than a quarter of the "
        "median\n"
        "interval to the one before replaces that one. What the file does not hold is absent, "
        "never\n"
        "0: a metric that no record has is not listed, one that a slot lacks is counted as "
        "absent.\n\n"
        "io_read and io_write are sums over whole disks: no partitions, no ram, loop or zram, no\n"
        "device-mapper or md devices. Memory bandwidth is in % of the machine's peak where that "
        "is\n"
        "known, else in GB/s. Means are weighted by the length of the slots.",
    .json_keys =
        "file, dialect, hostname, is_truncated: the file as it is\n"
        "records: records in the file\n"
        "slots: slots that the figures are over, after --first and --slots\n"
        "slot_s: their median length\n"
        "start: time of the first slot, UTC\n"
        "span_s: from the first slot's start to the last one's end\n"
        "cores: per-core metrics\n"
        "types: name -> number of devices\n"
        "metrics: name -> unit, family, tier, mean, min, max, n_absent\n"
        "accepted: slots undisturbed by others (steal <= 1 %, others <= 2 % of the CPU), null when "
        "not known\n"
        "notes: what a reader must know, sentences",
    .files = "FILE: stats text\n"
             "OUT.h5: values [slot][metric], start_s, length_s, names, units and families\n"
             "OUT.csv: one line a slot, an empty field where a value is absent\n"
             "OUT.png: one panel a family of metrics",
    .examples = "mimesys_trace summary stats-sort.txt\n"
                "mimesys_trace summary stats-sort.txt --json --slots 60\n"
                "mimesys_trace convert stats-sort.txt -o sort.h5\n"
                "mimesys_trace plot stats-sort.txt -o sort.png",
};

typedef struct job {
    const mim_args *args;
    const char *path;
    mim_stats *stats;
    mim_series *series; /* after --first and --slots */
    mim_accept *accept;
    char *gaps; /* a note, NULL: none */
} job;

/* ---- reading ----------------------------------------------------------------------------------
 */

static int read_series(job *j)
{
    mim_series_options options = {.disks = mim_args_value(j->args, "disks")};
    const char *peak = mim_args_value(j->args, "peak-bandwidth");
    size_t first = 0, n_slots = SIZE_MAX;
    mim_series *whole = NULL;
    int rc = mim_args_count(j->args, "first", 0, 1000000000, &first);
    if (rc == MIM_OK)
        rc = mim_args_count(j->args, "slots", 1, 1000000000, &n_slots);
    if (rc == MIM_OK && peak)
        rc = mim_parse_real("--peak-bandwidth", peak, 1e-3, 1e6, &options.peak_bandwidth_gb_s);
    if (rc == MIM_OK)
        rc = mim_stats_read(j->path, &j->stats);
    if (rc == MIM_OK && (rc = mim_series_create(j->stats, &options, &whole)) != MIM_OK)
        mim_fail_in(rc, "%s", j->path);
    if (rc == MIM_OK)
        rc = mim_series_window(whole, j->path, first, n_slots, &j->series);
    if (rc == MIM_OK)
        rc = mim_accept_create(j->series, &j->accept);
    if (rc == MIM_OK)
        rc = mim_series_gap_note(j->series, &j->gaps);
    mim_series_destroy(&whole);
    return rc;
}

static double span_s(const mim_series *series)
{
    size_t last = series->n_slots - 1;
    return series->start_s[last] + series->length_s[last] - series->start_s[0];
}

static const char *dialect_text(const mim_stats *stats)
{
    static const char *const names[] = {[MIM_DIALECT_TACC_2_3] = "tacc_stats",
                                        [MIM_DIALECT_HPC_2_4] = "hpcperfstats",
                                        [MIM_DIALECT_HPC_3_0] = "hpcperfstats"};
    return names[mim_stats_dialect(stats)];
}

/* The version as the first line has it. */
static const char *version_text(const mim_stats *stats)
{
    const char *version = mim_stats_property(stats, dialect_text(stats));
    return version ? version : "";
}

/* ---- summary ----------------------------------------------------------------------------------
 */

static json_t *metrics_json(const mim_series *series)
{
    json_t *metrics = json_object();
    for (size_t m = 0; m < series->n_metrics; m++) {
        const mim_metric *metric = &series->metrics[m];
        mim_metric_figures f = mim_series_figures(series, m);
        json_object_set_new(metrics, metric->name,
                            json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:I}", "unit", metric->unit,
                                      "family", mim_family_name(metric->family), "tier",
                                      (int)metric->tier, "mean", mim_json_real(f.mean), "min",
                                      mim_json_real(f.min), "max", mim_json_real(f.max), "n_absent",
                                      (json_int_t)f.n_absent));
    }
    return metrics;
}

static json_t *types_json(const mim_stats *stats)
{
    json_t *types = json_object();
    for (size_t i = 0; i < mim_stats_n_types(stats); i++)
        json_object_set_new(types, mim_stats_type_name(stats, i),
                            json_integer((json_int_t)mim_stats_n_devices(stats, i)));
    return types;
}

static void start_text(const mim_series *series, char text[MIM_UTC_TEXT_BYTES])
{
    mim_clock_utc_text((int64_t)(fmin(series->start_s[0], 9e9) * 1e9), text);
}

/* Bytes that no UTF-8 text has become '?', as JSON cannot hold them. */
static json_t *any_text(const char *text)
{
    json_t *string = json_string(text);
    char *copy = string ? NULL : mim_strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    if (copy)
        string = json_string(copy);
    free(copy);
    return string;
}

static int print_json(const job *j)
{
    char start[MIM_UTC_TEXT_BYTES];
    const mim_series *s = j->series;
    start_text(s, start);
    json_t *accepted =
        j->accept->is_known ? json_integer((json_int_t)j->accept->n_accepted) : json_null();
    json_t *notes = json_array();
    if (j->gaps)
        json_array_append_new(notes, json_string(j->gaps));
    json_t *dialect = json_sprintf("%s %s", dialect_text(j->stats), version_text(j->stats));
    json_t *all = json_pack(
        "{s:o, s:o, s:o, s:b, s:I, s:I, s:o, s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "file",
        any_text(j->path), "dialect", dialect ? dialect : json_string(dialect_text(j->stats)),
        "hostname", any_text(s->hostname), "is_truncated", (int)mim_stats_is_truncated(j->stats),
        "records", (json_int_t)s->n_records, "slots", (json_int_t)s->n_slots, "slot_s",
        mim_json_real(mim_series_median_length_s(s)), "start", start, "span_s",
        mim_json_real(span_s(s)), "cores", (json_int_t)mim_series_n_cores(s), "types",
        types_json(j->stats), "metrics", metrics_json(s), "accepted", accepted, "notes", notes);

    if (!all)
        return mim_fail(MIM_ENOMEM, "JSON of the summary");
    int rc = mim_json_print(all, stdout);
    json_decref(all);
    return rc;
}

/* Names come from the file: nothing of them shall move the cursor. */
static void print_safe(const char *text)
{
    for (; *text; text++)
        putchar(isprint((unsigned char)*text) ? *text : '?');
}

/* Decimals that show two digits of a short time at least, and `usual` ones of others. */
static int n_decimals(double time_s, int usual)
{
    while (usual < 9 && time_s > 0.0 && time_s < 10.0 * pow(10.0, -usual))
        usual++;
    return usual;
}

static int print_table(const job *j)
{
    char start[MIM_UTC_TEXT_BYTES];
    const mim_series *s = j->series;
    start_text(s, start);
    printf("%s: %s ", j->path, dialect_text(j->stats));
    print_safe(version_text(j->stats));
    printf(" of ");
    print_safe(s->hostname);
    const double slot_s = mim_series_median_length_s(s), all_s = span_s(s);
    printf("\n%zu records, %zu slot%s of %.*f s, %.*f s from %s on%s\n", s->n_records, s->n_slots,
           s->n_slots == 1 ? "" : "s", n_decimals(slot_s, 3), slot_s, n_decimals(all_s, 2), all_s,
           start, mim_stats_is_truncated(j->stats) ? "; the last line is cut" : "");
    printf("types (devices):");
    for (size_t i = 0; i < mim_stats_n_types(j->stats); i++) {
        putchar(' ');
        print_safe(mim_stats_type_name(j->stats, i));
        printf("(%zu)", mim_stats_n_devices(j->stats, i));
    }
    if (j->accept->is_known)
        printf("\n%zu slots undisturbed by others (%zu with steal > 1 %%, %zu with others > 2 %%)",
               j->accept->n_accepted, j->accept->n_stolen, j->accept->n_others);
    if (j->gaps)
        printf("\nnote: %s", j->gaps);
    printf("\n\n%-30s %-14s %14s %14s %14s %7s\n", "metric", "unit", "mean", "min", "max",
           "absent");
    for (size_t m = 0; m < s->n_metrics; m++) {
        mim_metric_figures f = mim_series_figures(s, m);
        printf("%-30s %-14s", s->metrics[m].name, s->metrics[m].unit);
        if (f.n_absent == s->n_slots)
            printf(" %14s %14s %14s", "-", "-", "-");
        else
            printf(" %14.2f %14.2f %14.2f", f.mean, f.min, f.max);
        printf(" %7zu\n", f.n_absent);
    }
    return MIM_OK;
}

/* ---- plot -------------------------------------------------------------------------------------
 */

enum { MAX_CORE_CURVES = 8 };

static int add_curve(mim_chart *chart, const mim_series *s, size_t metric, const char *label,
                     const double *x, double *y)
{
    for (size_t i = 0; i < s->n_slots; i++)
        y[i] = mim_series_at(s, i, metric);
    return mim_chart_curve(chart, label, s->n_slots, x, y);
}

/* Many cores: their mean, and the least and the most busy one in each slot. */
static int add_core_band(mim_chart *chart, const mim_series *s, const double *x, double *y)
{
    static const char *const labels[] = {"mean of cores", "busiest core", "idlest core"};
    int rc = MIM_OK;
    for (int kind = 0; rc == MIM_OK && kind < 3; kind++) {
        for (size_t i = 0; i < s->n_slots; i++) {
            double sum = 0.0, low = NAN, high = NAN;
            size_t n = 0;
            for (size_t m = 0; m < s->n_metrics; m++) {
                double value = mim_series_at(s, i, m);
                if (s->metrics[m].family != MIM_FAMILY_CPU || isnan(value))
                    continue;
                sum += value;
                low = fmin(low, value);
                high = fmax(high, value);
                n++;
            }
            y[i] = kind == 0 ? (n ? sum / (double)n : NAN) : kind == 1 ? high : low;
        }
        rc = mim_chart_curve(chart, labels[kind], s->n_slots, x, y);
    }
    return rc;
}

static int add_cores(mim_chart *chart, const mim_series *s, const double *x, double *y)
{
    size_t n_cores = mim_series_n_cores(s);
    if (n_cores == 0)
        return MIM_OK;
    int rc = mim_chart_panel(chart, "CPU use of each core", "%", 0, 100);
    if (rc == MIM_OK && n_cores > MAX_CORE_CURVES)
        return add_core_band(chart, s, x, y);
    for (size_t m = 0; rc == MIM_OK && m < s->n_metrics; m++) {
        char label[32];
        if (s->metrics[m].family != MIM_FAMILY_CPU)
            continue;
        snprintf(label, sizeof label, "core %d", s->metrics[m].core);
        rc = add_curve(chart, s, m, label, x, y);
    }
    return rc;
}

/* A panel for each unit in a family. */
static int add_family(mim_chart *chart, const mim_series *s, mim_family family, const char *title,
                      const double *x, double *y)
{
    int rc = MIM_OK;
    for (size_t m = 0; rc == MIM_OK && m < s->n_metrics; m++) {
        const char *unit = s->metrics[m].unit;
        bool is_first = s->metrics[m].family == family;
        for (size_t k = 0; k < m; k++)
            if (s->metrics[k].family == family && strcmp(s->metrics[k].unit, unit) == 0)
                is_first = false;
        if (!is_first)
            continue;
        rc = mim_chart_panel(chart, title, unit, 0, 0);
        for (size_t k = m; rc == MIM_OK && k < s->n_metrics; k++)
            if (s->metrics[k].family == family && strcmp(s->metrics[k].unit, unit) == 0)
                rc = add_curve(chart, s, k, s->metrics[k].name, x, y);
    }
    return rc;
}

static int plot(const job *j, const char *out)
{
    static const struct {
        mim_family family;
        const char *title;
    } panels[] = {{MIM_FAMILY_IO_READ, "Disk reads"},
                  {MIM_FAMILY_IO_WRITE, "Disk writes"},
                  {MIM_FAMILY_MEMORY, "Memory bandwidth"},
                  {MIM_FAMILY_CACHE, "Last-level cache and instructions"},
                  {MIM_FAMILY_CAPACITY, "Memory in use"},
                  {MIM_FAMILY_NETWORK, "Network"},
                  {MIM_FAMILY_KERNEL, "Kernel"},
                  {MIM_FAMILY_ENERGY, "Energy"}};
    const mim_series *s = j->series;
    mim_chart *chart = NULL;
    double *x = malloc(2 * s->n_slots * sizeof *x), *y = x ? x + s->n_slots : NULL;
    char *title = mim_format("%s (%s)", mim_basename(j->path), s->hostname);
    int rc = x && title ? mim_chart_create(title, "time in s", &chart)
                        : mim_fail(MIM_ENOMEM, "figure of %zu slots", s->n_slots);
    for (size_t i = 0; rc == MIM_OK && i < s->n_slots; i++)
        x[i] = s->start_s[i] + 0.5 * s->length_s[i] - s->start_s[0];
    if (rc == MIM_OK)
        rc = add_cores(chart, s, x, y);
    for (size_t i = 0; rc == MIM_OK && i < sizeof panels / sizeof *panels; i++)
        rc = add_family(chart, s, panels[i].family, panels[i].title, x, y);
    if (rc == MIM_OK)
        rc = mim_chart_write(chart, out);
    mim_chart_destroy(&chart);
    free(title);
    free(x);
    return rc;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static int check_out(const char *command, const char *out, const char *input)
{
    if (out && !*out)
        return mim_fail(MIM_EUSAGE, "--out: expected a file name");
    if (strcmp(command, "summary") == 0)
        return out ? mim_fail(MIM_EUSAGE, "summary: writes to standard output, no --out") : MIM_OK;
    bool is_plot = strcmp(command, "plot") == 0;
    const char *form = is_plot ? "OUT.png" : "OUT.h5 or OUT.csv";
    if (!out)
        return mim_fail(MIM_EUSAGE, "%s: expected -o %s", command, form);
    if (is_plot ? !mim_has_suffix(out, ".png")
                : !mim_has_suffix(out, ".h5") && !mim_has_suffix(out, ".csv"))
        return mim_fail(MIM_EUSAGE, "%s: expected -o %s, found %s", command, form, out);
    return mim_output_check(out, input);
}

static int write_out(const job *j, const char *command, const char *out)
{
    if (strcmp(command, "plot") == 0)
        return plot(j, out);
    if (mim_has_suffix(out, ".csv"))
        return mim_series_write_csv(j->series, out);
    return mim_series_write_h5(j->series, out);
}

static int run(const mim_args *args, mim_log *log)
{
    job j = {.args = args, .path = mim_args_at(args, 1)};
    const char *command = mim_args_at(args, 0), *out = mim_args_value(args, "out");
    int rc = check_out(command, out, j.path);
    if (rc == MIM_OK)
        rc = read_series(&j);
    if (rc == MIM_OK && mim_stats_is_truncated(j.stats))
        mim_log_warn(log, "trace", "%s: the last line is cut and left out", j.path);
    if (rc == MIM_OK && out && mim_args_has(args, "dry-run"))
        mim_log_info(log, "trace", "would write %zu slots of %zu metrics to %s", j.series->n_slots,
                     j.series->n_metrics, out);
    else if (rc == MIM_OK && out)
        rc = write_out(&j, command, out);
    if (rc == MIM_OK && mim_args_has(args, "json"))
        rc = print_json(&j);
    else if (rc == MIM_OK && !out)
        rc = print_table(&j);
    free(j.gaps);
    mim_accept_destroy(&j.accept);
    mim_series_destroy(&j.series);
    mim_stats_destroy(&j.stats);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
