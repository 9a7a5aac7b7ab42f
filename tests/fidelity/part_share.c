/* Rows that mix stressors of different cost: shares given against weights, by metered turns and by
 * the original's dispatch. Those of the original's prototype, and some without files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fidelity/suite.h"

enum { MIX = 3, N_SEEDS = 2, N_WINDOWS = 5, N_ROWS = 6, N_NEEDED_A_ROW = 6 };
static const double slot_s = 1.0;
static const double goal_points = 2.0, goal_io_points = 5.0;

#define CRC "BM_HASHING_Computecrc32c_Fleet_cold"
static const struct {
    const char *what;
    bool has_io;
    const char *names[MIX];
    double weights[MIX];
} rows[N_ROWS] = {
    {"CRC 0.5, memset with pauses 0.3",
     false,
     {CRC, "BM_DIRECTMEMSET_32MB_WeightScaled_50ms", NULL},
     {0.5, 0.3, 0.0}},
    {"CRC 0.4, copy in L1 0.2, stream 0.3",
     false,
     {CRC, "BM_LIBC_Memcpy_Fleet_L1", "BM_DIRECTSTREAMSIMD_32MB_NoSleep"},
     {0.4, 0.2, 0.3}},
    {"CRC 0.5, slow reads 0.5",
     true,
     {CRC, "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms", NULL},
     {0.5, 0.5, 0.0}},
    {"CRC 0.5, reads 0.5",
     true,
     {CRC, "BM_STRESS_NG_HddRead_1MB_WeightScaled_50ms", NULL},
     {0.5, 0.5, 0.0}},
    {"CRC 0.3, slow reads 0.2",
     true,
     {CRC, "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms", NULL},
     {0.3, 0.2, 0.0}},
    {"CRC 0.4, writes 0.3, memset with pauses 0.2",
     true,
     {CRC, "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms",
      "BM_DIRECTMEMSET_32MB_WeightScaled_50ms"},
     {0.4, 0.3, 0.2}},
};

/* One run's sums over accepted slots. */
typedef struct shares {
    size_t n_stressors, n;
    double given[MIX], planned[MIX], ops[MIX], planned_ops[MIX];
} shares;

static int read_slot(void *context, size_t window, const mim_run_result *r, size_t slot)
{
    shares *sums = context;
    (void)window;
    for (size_t i = 0; i < sums->n_stressors; i++) {
        sums->given[i] += r->share[slot * r->n_stressors + i];
        sums->planned[i] += r->planned_share[slot * r->n_stressors + i];
        sums->ops[i] += r->ops[slot * r->n_stressors + i];
        sums->planned_ops[i] += r->planned_ops[slot * r->n_stressors + i];
    }
    sums->n++;
    return MIM_OK;
}

/* |given - planned| summed over slots. Metered operations are whole, and the slots end where they
 * end: what is off by less than one is not. (Few are due where pauses are long.) */
static double distance(const shares *sums, size_t i)
{
    const double due = sums->planned_ops[i], off = fabs(sums->ops[i] - due);
    if (isfinite(due) && due > 0.0) /* not finite: given by time */
        return sums->planned[i] * fmax(off - 1.0, 0.0) / due;
    return fabs(sums->given[i] - sums->planned[i]);
}

/* Row errors in points, one a seed that has accepted slots. */
static int measure(suite *s, size_t row, const mim_plan *plan, const mim_calibration *calibration,
                   bool is_compat, values *errors, size_t *n, size_t *n_rejected)
{
    int rc = MIM_OK;
    for (uint64_t seed = 1; rc == MIM_OK && seed <= (s->is_quick ? 1 : N_SEEDS); seed++) {
        const mim_execute_options options = {.slot_s = s->is_quick ? slot_s / 2.0 : slot_s,
                                             .n_iters = 1,
                                             .seed = seed,
                                             .is_compat = is_compat};
        shares sums = {.n_stressors = rows[row].names[MIX - 1] ? MIX : MIX - 1};
        double error = 0.0;
        rc = suite_collect(s, plan, calibration, &options, read_slot, &sums, n, n_rejected);
        for (size_t i = 0; i < sums.n_stressors; i++)
            error += 100.0 * distance(&sums, i) / (double)sums.n / 2.0;
        if (rc == MIM_OK && sums.n > 0)
            rc = values_add(errors, error);
    }
    return rc;
}

static int prepare(suite *s, size_t row, mim_calibration **calibration, mim_plan **plan)
{
    const size_t n = rows[row].names[MIX - 1] ? MIX : MIX - 1;
    const size_t n_windows = s->is_quick ? 1 : N_WINDOWS;
    mim_actions *list = NULL;
    int rc = mim_actions_from_names(n, rows[row].names, &list);
    if (rc == MIM_OK)
        rc = suite_calibrate(s, list, calibration);
    if (rc == MIM_OK)
        rc = mim_plan_create(n_windows, 1, list, plan);
    for (size_t w = 0; rc == MIM_OK && w < n_windows; w++)
        for (size_t i = 0; i < n; i++)
            mim_plan_row(*plan, w, 0)[i] = rows[row].weights[i];
    mim_actions_destroy(&list);
    return rc;
}

typedef struct measured {
    double place[N_ROWS], ours[N_ROWS], compat[N_ROWS];
    size_t n_io, n_cpu, n_rejected;
} measured;

static int run_row(suite *s, size_t row, measured *m)
{
    mim_calibration *calibration = NULL;
    mim_plan *plan = NULL;
    values ours = {0}, compat = {0};
    size_t n = 0, n_rejected = 0, n_compat = 0, n_compat_rejected = 0;
    int rc = prepare(s, row, &calibration, &plan);
    if (rc == MIM_OK)
        rc = measure(s, row, plan, calibration, false, &ours, &n, &n_rejected);
    if (rc == MIM_OK)
        rc = measure(s, row, plan, calibration, true, &compat, &n_compat, &n_compat_rejected);
    if (rc == MIM_OK) {
        figure f = figure_of("share", "points", "%zu: %s", row + 1, rows[row].what);
        m->ours[row] = f.value = values_mean(&ours);
        m->compat[row] = values_mean(&compat);
        f.spread = ours.n ? values_max(&ours) - values_quantile(&ours, 0.0) : NAN;
        f.n = n;
        f.n_needed = N_NEEDED_A_ROW;
        f.n_rejected = n_rejected;
        f.at_most = rows[row].has_io ? goal_io_points : goal_points;
        figure_add_peer(&f, "--compat", m->compat[row], NULL);
        figure_print(&f, &s->report);
        m->n_io += rows[row].has_io ? n : 0;
        m->n_cpu += rows[row].has_io ? 0 : n;
        m->n_rejected += n_rejected;
    }
    values_clear(&ours);
    values_clear(&compat);
    mim_plan_destroy(&plan);
    mim_calibration_destroy(&calibration);
    return rc;
}

static double largest(const double *errors, bool has_io)
{
    double most = NAN;
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].has_io == has_io)
            most = fmax(most, errors[i]);
    return most;
}

static int run(suite *s)
{
    measured m = {.n_io = 0};
    for (size_t row = 0; row < N_ROWS; row++) {
        m.place[row] = (double)(row + 1);
        m.ours[row] = m.compat[row] = NAN;
    }
    int rc = MIM_OK;
    for (size_t row = 0; rc == MIM_OK && row < N_ROWS; row += s->is_quick ? N_ROWS : 1)
        rc = run_row(s, row, &m);
    if (rc != MIM_OK)
        return rc;
    figure plain = figure_of("share", "points", "largest of rows without I/O");
    plain.value = largest(m.ours, false);
    plain.n = m.n_cpu;
    plain.n_needed = 2 * N_NEEDED_A_ROW;
    plain.at_most = goal_points;
    figure_add_peer(&plain, "--compat", largest(m.compat, false), NULL);
    figure_print(&plain, &s->report);
    figure f = figure_of("share", "points", "largest of all rows");
    f.value = fmax(largest(m.ours, false), largest(m.ours, true));
    f.n = m.n_io + m.n_cpu;
    f.n_rejected = m.n_rejected;
    f.at_most = goal_io_points;
    figure_add_peer(&f, "--compat", fmax(largest(m.compat, false), largest(m.compat, true)), NULL);
    f.chart = "Rows of mixed costs";
    f.panel = "share error";
    f.x_label = "row";
    f.y_label = "points";
    f.is_bars = true;
    figure_add_curve(&f, "mimesys", N_ROWS, m.place, m.ours);
    figure_add_curve(&f, "--compat", N_ROWS, m.place, m.compat);
    figure_print(&f, &s->report);
    return MIM_OK;
}

const suite_part suite_share = {"share", "rows of mixed costs beside the original's dispatch",
                                130.0, run};
