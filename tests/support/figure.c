#include "tests/support/figure.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include <jansson.h>

#include "core/summary.h"

enum { TEXT_BYTES = 96 };

static const char *const verdicts[FIGURE_N_VERDICTS] = {"met", "missed", "not measurable now", "-"};

figure figure_of(const char *part, const char *unit, const char *format, ...)
{
    figure f = {.part = part,
                .unit = unit,
                .value = NAN,
                .spread = NAN,
                .at_most = NAN,
                .at_least = NAN,
                .peer_allowance = NAN};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f.name, sizeof f.name, format, arguments);
    va_end(arguments);
    return f;
}

void figure_add_peer(figure *f, const char *name, double value, const char *reason)
{
    if (f->n_peers < FIGURE_MAX_PEERS)
        f->peers[f->n_peers++] = (figure_peer){name, value, reason};
}

void figure_add_curve(figure *f, const char *label, size_t n, const double *x, const double *y)
{
    if (f->n_curves == FIGURE_MAX_CURVES)
        return;
    figure_curve *curve = &f->curves[f->n_curves++];
    *curve = (figure_curve){.n = n, .x = x, .y = y};
    snprintf(curve->label, sizeof curve->label, "%s", label);
}

static size_t needed(const figure *f) { return f->n_needed ? f->n_needed : FIGURE_SLOTS_NEEDED; }

/* A peer that is not there, or could not be measured, is nothing to be behind. */
static bool is_behind_peer(const figure *f)
{
    return isfinite(f->peer_allowance) && f->n_peers && isfinite(f->peers[0].value) &&
           f->value > f->peers[0].value + f->peer_allowance;
}

figure_verdict figure_judge(const figure *f)
{
    if (isnan(f->at_most) && isnan(f->at_least))
        return FIGURE_NO_GOAL;
    if (f->n < needed(f) || !isfinite(f->value))
        return FIGURE_NOT_MEASURABLE;
    if (f->value > f->at_most || f->value < f->at_least || is_behind_peer(f))
        return FIGURE_MISSED;
    return FIGURE_MET;
}

/* ---- table ---------------------------------------------------------------------------------- */

static void goal_text(const figure *f, char text[TEXT_BYTES])
{
    snprintf(text, TEXT_BYTES, "-");
    if (isfinite(f->at_most))
        snprintf(text, TEXT_BYTES, "<= %g", f->at_most);
    if (isfinite(f->at_least))
        snprintf(text, TEXT_BYTES, ">= %g", f->at_least);
    if (isfinite(f->peer_allowance) && f->n_peers) {
        size_t n = strlen(text);
        snprintf(text + n, TEXT_BYTES - n, ", <= %s + %g", f->peers[0].name, f->peer_allowance);
    }
}

static void value_text(double value, const char *reason, char text[TEXT_BYTES])
{
    if (isfinite(value))
        snprintf(text, TEXT_BYTES, "%.4g", value);
    else
        snprintf(text, TEXT_BYTES, "%s", reason ? reason : "not measurable now");
}

/* "stress-ng 0.31, fio not installed" */
static void peers_text(const figure *f, char *text, size_t n_bytes)
{
    char value[TEXT_BYTES];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < f->n_peers && n < n_bytes; i++) {
        value_text(f->peers[i].value, f->peers[i].reason, value);
        int written =
            snprintf(text + n, n_bytes - n, "%s%s %s", i ? ", " : "", f->peers[i].name, value);
        n += written > 0 ? (size_t)written : 0;
    }
}

static void print_row(const figure *f, figure_verdict verdict, figure_report *report)
{
    char goal[TEXT_BYTES], value[TEXT_BYTES], peers[256], counted[TEXT_BYTES], shown[TEXT_BYTES];
    if (!report->part || strcmp(report->part, f->part) != 0) {
        fprintf(report->table, "\n%-12s %-48s %-20s %-24s %-34s %-16s %s\n", f->part, "figure",
                "value", "goal", "peers", "slots (rejected)", "verdict");
        report->part = f->part;
    }
    goal_text(f, goal);
    value_text(f->value, "-", value);
    snprintf(shown, sizeof shown, "%.30s %.40s", value, isfinite(f->value) ? f->unit : "");
    peers_text(f, peers, sizeof peers);
    snprintf(counted, sizeof counted, "%zu (%zu)", f->n, f->n_rejected);
    fprintf(report->table, "%-12s %-48s %-20s %-24s %-34s %-16s %s\n", "", f->name, shown, goal,
            *peers ? peers : "-", counted, verdicts[verdict]);
    fflush(report->table);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static json_t *numbers(size_t n, const double *values)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, mim_json_real(values[i]));
    return array;
}

static json_t *curves_of(const figure *f)
{
    json_t *array = json_array();
    for (size_t i = 0; i < f->n_curves; i++) {
        const figure_curve *c = &f->curves[i];
        json_array_append_new(array, json_pack("{s:s, s:o, s:o}", "label", c->label, "x",
                                               numbers(c->n, c->x), "y", numbers(c->n, c->y)));
    }
    return array;
}

static json_t *peers_of(const figure *f)
{
    json_t *object = json_object();
    for (size_t i = 0; i < f->n_peers; i++)
        json_object_set_new(object, f->peers[i].name,
                            isfinite(f->peers[i].value) || !f->peers[i].reason
                                ? mim_json_real(f->peers[i].value)
                                : json_string(f->peers[i].reason));
    return object;
}

static json_t *line_of(const figure *f, figure_verdict verdict)
{
    char bench[2 * FIGURE_NAME_BYTES], peers[256], goal[TEXT_BYTES];
    const double first = f->n_peers ? f->peers[0].value : NAN;
    json_t *line = json_object();
    snprintf(bench, sizeof bench, "fidelity: %s: %s", f->part, f->name);
    peers_text(f, peers, sizeof peers);
    goal_text(f, goal);
    json_object_set_new(line, "bench", json_string(bench));
    json_object_set_new(line, "value", mim_json_real(f->value));
    json_object_set_new(line, "unit", json_string(f->unit));
    json_object_set_new(line, "peer", f->n_peers ? json_string(peers) : json_null());
    json_object_set_new(line, "ratio", mim_json_real(first != 0.0 ? f->value / first : NAN));
    json_object_set_new(line, "n", json_integer((json_int_t)f->n));
    json_object_set_new(line, "spread", mim_json_real(f->spread));
    json_object_set_new(line, "part", json_string(f->part));
    json_object_set_new(line, "goal", json_string(goal));
    json_object_set_new(line, "verdict", json_string(verdicts[verdict]));
    json_object_set_new(line, "n_rejected", json_integer((json_int_t)f->n_rejected));
    json_object_set_new(line, "peers", peers_of(f));
    if (f->chart) {
        json_object_set_new(line, "chart", json_string(f->chart));
        json_object_set_new(line, "panel", json_string(f->panel));
        json_object_set_new(line, "x_label", json_string(f->x_label));
        json_object_set_new(line, "y_label", json_string(f->y_label));
        json_object_set_new(line, "is_bars", json_boolean(f->is_bars));
        json_object_set_new(line, "curves", curves_of(f));
    }
    return line;
}

void figure_print(const figure *f, figure_report *report)
{
    figure_verdict verdict = figure_judge(f);
    if (report->is_disturbed && verdict != FIGURE_NO_GOAL)
        verdict = FIGURE_NOT_MEASURABLE;
    json_t *line = line_of(f, verdict);
    report->n_verdicts[verdict]++;
    print_row(f, verdict, report);
    json_dumpf(line, report->lines, JSON_COMPACT | JSON_REAL_PRECISION(5));
    fputc('\n', report->lines);
    fflush(report->lines);
    json_decref(line);
}
