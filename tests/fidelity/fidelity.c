/* How exactly does the executor give what is asked? A table with goals, peers and verdicts, and the
 * same as one JSON object a line. Only undisturbed slots count.
 *
 * usage: fidelity [--bin DIR] [--lines FILE] [--tries N] [--patience F] [--quick] [--all-slots]
 * [--strict] [PART...]
 * --patience: how many times the time that a quiet machine takes may be spent.
 * Exit status: 0 measured, 1 failed, 2 usage, 3 a goal was missed and --strict. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/text.h"
#include "tests/fidelity/suite.h"

enum { N_TRIES = 4, MAX_TRIES = 1000 };
static const double goal_overshoot_pct = 1.0;

static const suite_part *const parts[] = {&suite_cpu,    &suite_io,      &suite_share, &suite_drift,
                                          &suite_repeat, &suite_sampler, &suite_dose};
enum { N_PARTS = sizeof parts / sizeof *parts };

typedef struct request {
    const char *bin, *lines;
    size_t n_tries;
    double patience;
    bool is_quick, is_strict, takes_all, is_wanted[N_PARTS];
} request;

static int want(const char *name, request *r)
{
    for (size_t i = 0; i < N_PARTS; i++)
        if (strcmp(parts[i]->name, name) == 0) {
            r->is_wanted[i] = true;
            return MIM_OK;
        }
    char names[256] = "";
    for (size_t i = 0; i < N_PARTS; i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", parts[i]->name);
    }
    return mim_fail(MIM_EUSAGE, "%s: no such part; expected some of: %s", name, names);
}

static int parse(int argc, char **argv, request *r)
{
    int64_t n_tries = N_TRIES;
    bool is_any = false;
    int rc = MIM_OK;
    *r = (request){.bin = "build/bin", .lines = "/dev/null", .patience = 1.0};
    for (int i = 1; i < argc && rc == MIM_OK; i++) {
        const bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--quick") == 0)
            r->is_quick = true;
        else if (strcmp(argv[i], "--strict") == 0)
            r->is_strict = true;
        else if (strcmp(argv[i], "--all-slots") == 0)
            r->takes_all = true;
        else if (strcmp(argv[i], "--bin") == 0 && has_value)
            r->bin = argv[++i];
        else if (strcmp(argv[i], "--lines") == 0 && has_value)
            r->lines = argv[++i];
        else if (strcmp(argv[i], "--tries") == 0 && has_value)
            rc = mim_parse_i64("--tries", argv[++i], 1, MAX_TRIES, &n_tries);
        else if (strcmp(argv[i], "--patience") == 0 && has_value)
            rc = mim_parse_real("--patience", argv[++i], 0.0, MAX_TRIES, &r->patience);
        else if (argv[i][0] == '-')
            rc = mim_fail(MIM_EUSAGE, "%s: unknown, or its value is missing", argv[i]);
        else {
            is_any = true;
            rc = want(argv[i], r);
        }
    }
    for (size_t i = 0; i < N_PARTS; i++)
        r->is_wanted[i] = r->is_wanted[i] || !is_any;
    r->n_tries = (size_t)n_tries;
    return rc;
}

static figure overshoot_of(const suite *s, suite_runs runs, const char *what)
{
    const suite_overshoot *o = &s->overshoot[runs];
    figure f =
        figure_of("overshoot", "% of the slot", "end of work past the slot's end, p99: %s", what);
    f.value = values_quantile(&o->pct, 0.99);
    f.spread = values_max(&o->pct);
    f.n = o->pct.n;
    f.n_rejected = o->n_rejected;
    f.at_most = goal_overshoot_pct;
    return f;
}

static bool has_run(const suite *s, suite_runs runs)
{
    return s->overshoot[runs].pct.n + s->overshoot[runs].n_rejected > 0;
}

/* Of all runs that the parts made in this process. */
static void print_overshoot(suite *s)
{
    enum { N_QUANTILES = 100 };
    const values *mixed = &s->overshoot[SUITE_MIXED].pct;
    const values *compat = &s->overshoot[SUITE_MIXED_COMPAT].pct;
    double x[N_QUANTILES], ours[N_QUANTILES], theirs[N_QUANTILES];
    for (size_t i = 0; i < N_QUANTILES; i++) {
        x[i] = (double)(i + 1);
        ours[i] = values_quantile(mixed, x[i] / 100.0);
        theirs[i] = values_quantile(compat, x[i] / 100.0);
    }
    if (has_run(s, SUITE_SINGLE)) {
        figure f = overshoot_of(s, SUITE_SINGLE, "single stressors");
        figure_print(&f, &s->report);
    }
    if (!has_run(s, SUITE_MIXED))
        return;
    figure f = overshoot_of(s, SUITE_MIXED, "mixed plans");
    figure_add_peer(&f, "--compat", values_quantile(compat, 0.99), NULL);
    f.chart = "Overshoot";
    f.panel = "slots of a second, sorted";
    f.x_label = "slots [%]";
    f.y_label = "% of the slot";
    figure_add_curve(&f, "mimesys", N_QUANTILES, x, ours);
    figure_add_curve(&f, "--compat", N_QUANTILES, x, theirs);
    figure_print(&f, &s->report);
}

static int run_part(suite *s, const suite_part *part)
{
    const int64_t begin_ns = mim_clock_mono_ns();
    int rc = part->run(s);
    if (rc != MIM_OK) {
        fflush(stdout);
        fprintf(stderr, "fidelity: %s: %s\n", part->name, mim_error());
    }
    fprintf(stderr, "fidelity: %s took %.0f s\n", part->name,
            1e-9 * (double)(mim_clock_mono_ns() - begin_ns));
    return rc;
}

static int run_parts(const request *r, suite *s)
{
    int rc = MIM_OK;
    s->repeat_until_ns = mim_clock_mono_ns();
    for (size_t i = 0; i < N_PARTS; i++) {
        if (!r->is_wanted[i])
            continue;
        s->repeat_until_ns += (int64_t)(r->patience * parts[i]->limit_s * 1e9);
        int part_rc = run_part(s, parts[i]);
        rc = rc == MIM_OK ? part_rc : rc;
    }
    print_overshoot(s);
    const size_t *n = s->report.n_verdicts;
    printf("\n%zu met, %zu missed, %zu not measurable now, %zu without a goal\n", n[FIGURE_MET],
           n[FIGURE_MISSED], n[FIGURE_NOT_MEASURABLE], n[FIGURE_NO_GOAL]);
    if (rc == MIM_OK && r->is_strict && n[FIGURE_MISSED] > 0)
        rc = MIM_ECHECK;
    return rc;
}

int main(int argc, char **argv)
{
    request r;
    suite *s = NULL;
    FILE *lines = NULL;
    int rc = parse(argc, argv, &r);
    if (rc == MIM_OK && !(lines = fopen(r.lines, "w")))
        rc = mim_fail(MIM_EIO, "%s: cannot be written", r.lines);
    if (rc == MIM_OK)
        rc = suite_create(r.bin, &s);
    if (rc != MIM_OK)
        fprintf(stderr, "fidelity: %s\n", mim_error());
    else {
        s->is_quick = r.is_quick;
        s->takes_all = s->report.is_disturbed = r.takes_all;
        s->n_tries = r.n_tries;
        s->report.table = stdout;
        s->report.lines = lines;
        rc = run_parts(&r, s);
    }
    suite_destroy(&s);
    if (lines && fclose(lines) != 0 && rc == MIM_OK)
        rc = mim_fail(MIM_EIO, "%s: cannot be written", r.lines);
    return mim_exit_status(rc);
}
