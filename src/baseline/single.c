#include "baseline/single.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Weights below this are nothing: 1e-12 of a slot. */
static const double nothing = 1e-12;

typedef struct io_stressor {
    size_t column;    /* in the action list */
    size_t metric;    /* in the series, SIZE_MAX = absent there */
    double kbs;       /* at weight 1, block device; 0 = cannot be used */
    double cpu_share; /* of a core, at weight 1 */
    double lessens;   /* CPU points (of 1, over all rows) worth one unit of weight */
} io_stressor;

typedef struct layout {
    size_t n_rows;
    size_t cpu_column;
    io_stressor read, write;
    size_t *core_metrics; /* [n_rows] */
    double *cpu;          /* [n_rows] CPU weight left */
    double *io;           /* [n_rows] weight of all I/O */
    double *caps;         /* [n_rows] work space */
    double *placed;       /* [n_rows] work space */
} layout;

/* ---- setting up ---------------------------------------------------------------------------- */

static int find_column(const mim_actions *actions, const char *name, const char *kind,
                       mim_stress_class stress_class, size_t *column)
{
    size_t found = name ? mim_actions_find(actions, name) : SIZE_MAX;
    if (found == SIZE_MAX)
        return mim_fail(MIM_EUSAGE, "%s stressor %s is not in the action list", kind,
                        name ? name : "(none)");
    const mim_stressor *stressor = mim_actions_stressor(actions, found);
    bool fits =
        stressor && (stress_class == MIM_STRESS_CPU ? !stressor->is_paced
                                                    : stressor->stress_class == stress_class);
    if (!fits)
        return mim_fail(MIM_EUSAGE, "%s is no %s stressor", name, kind);
    *column = found;
    return MIM_OK;
}

static int find_io(const mim_calibration *calibration, const mim_actions *actions, const char *name,
                   mim_stress_class stress_class, double ceiling_kbs, size_t n_rows,
                   io_stressor *io)
{
    const char *kind = stress_class == MIM_STRESS_READ ? "read" : "write";
    if (name && strcmp(name, "none") == 0)
        return MIM_OK; /* moves nothing, is not used */
    int rc = find_column(actions, name, kind, stress_class, &io->column);
    if (rc != MIM_OK)
        return rc;
    const mim_cost *cost = mim_calibration_cost(calibration, name);
    if (!cost || !(cost->ops_per_s > 0))
        return mim_fail(MIM_EUNSUP,
                        "the calibration has no figures of %s: run mimesys_run "
                        "--calibrate",
                        name);
    io->kbs =
        cost->device_bytes_per_op > 0 ? cost->ops_per_s * cost->device_bytes_per_op / 1024 : 0;
    io->cpu_share = cost->cpu_s_per_op > 0 ? cost->ops_per_s * cost->cpu_s_per_op : 0;
    io->lessens = ceiling_kbs > 0 ? (double)n_rows * io->kbs / ceiling_kbs : INFINITY;
    return MIM_OK;
}

static int compare_cores(const void *a, const void *b)
{
    const mim_metric *const *x = a, *const *y = b;
    return ((*x)->core > (*y)->core) - ((*x)->core < (*y)->core);
}

static bool is_any_present(const mim_series *wanted, const layout *l)
{
    for (size_t slot = 0; slot < wanted->n_slots; slot++)
        for (size_t i = 0; i < l->n_rows; i++)
            if (isfinite(mim_series_at(wanted, slot, l->core_metrics[i])))
                return true;
    return false;
}

/* The per-core metrics in the order of their core numbers. */
static int find_cores(const mim_series *wanted, layout *l)
{
    size_t n = 0;
    const mim_metric **cores = calloc(wanted->n_metrics ? wanted->n_metrics : 1, sizeof *cores);
    if (!cores)
        return mim_fail(MIM_ENOMEM, "%zu metrics", wanted->n_metrics);
    for (size_t m = 0; m < wanted->n_metrics; m++)
        if (wanted->metrics[m].family == MIM_FAMILY_CPU && wanted->metrics[m].core >= 0)
            cores[n++] = &wanted->metrics[m];
    qsort(cores, n, sizeof *cores, compare_cores);
    l->n_rows = n;
    l->core_metrics = calloc(n ? n : 1, sizeof *l->core_metrics);
    l->cpu = calloc(n ? 4 * n : 1, sizeof *l->cpu);
    if (l->core_metrics && l->cpu) {
        l->io = l->cpu + n;
        l->caps = l->io + n;
        l->placed = l->caps + n;
        for (size_t i = 0; i < n; i++)
            l->core_metrics[i] = (size_t)(cores[i] - wanted->metrics);
    }
    free(cores);
    if (!l->core_metrics || !l->cpu)
        return mim_fail(MIM_ENOMEM, "%zu cores", n);
    if (!is_any_present(wanted, l))
        return mim_fail(MIM_EDATA, "the trace holds no CPU utilisation of any core");
    return MIM_OK;
}

static int prepare(const mim_series *wanted, const mim_calibration *calibration,
                   const mim_actions *actions, const mim_single_options *options, layout *l)
{
    int rc = find_cores(wanted, l);
    if (rc == MIM_OK)
        rc = find_column(actions, options->cpu_stressor, "CPU", MIM_STRESS_CPU, &l->cpu_column);
    if (rc == MIM_OK)
        rc = find_io(calibration, actions, options->read_stressor, MIM_STRESS_READ,
                     calibration->io_read_max_kbs, l->n_rows, &l->read);
    if (rc == MIM_OK)
        rc = find_io(calibration, actions, options->write_stressor, MIM_STRESS_WRITE,
                     calibration->io_write_max_kbs, l->n_rows, &l->write);
    l->read.metric = mim_series_find(wanted, "io_read");
    l->write.metric = mim_series_find(wanted, "io_write");
    return rc;
}

/* ---- placing ------------------------------------------------------------------------------- */

typedef enum { STEP_FREE, STEP_IDLE, STEP_INSTEAD } step;

/* How much more weight of `io` row i takes in this step. */
static double row_cap(const layout *l, const io_stressor *io, step s, size_t i)
{
    double k = io->cpu_share, room = fmax(0, 1 - l->cpu[i] - l->io[i]), cpu = l->cpu[i];
    switch (s) {
    case STEP_FREE:
        return fmin(k > 0 ? cpu / k : INFINITY, k < 1 ? room / (1 - k) : INFINITY);
    case STEP_IDLE:
        return cpu <= nothing ? room : 0;
    default:
        return room <= nothing ? cpu : 0;
    }
}

/* Equal shares of `need` for all rows, less where a cap is reached. Fills l->placed and returns
 * what is left. */
static double share_out(layout *l, double need)
{
    size_t n_open = 0;
    for (size_t i = 0; i < l->n_rows; i++) {
        l->placed[i] = 0;
        n_open += l->caps[i] > nothing;
    }
    while (n_open > 0 && need > nothing) {
        double share = need / (double)n_open;
        n_open = 0;
        for (size_t i = 0; i < l->n_rows; i++) {
            double left = l->caps[i] - l->placed[i];
            if (l->caps[i] <= nothing || left <= 0)
                continue;
            double more = fmin(left, share);
            l->placed[i] += more;
            need -= more;
            n_open += l->placed[i] < l->caps[i];
        }
    }
    return fmax(0, need);
}

static double take_step(layout *l, const io_stressor *io, step s, double need, double *weights)
{
    for (size_t i = 0; i < l->n_rows; i++)
        l->caps[i] = row_cap(l, io, s, i);
    need = share_out(l, need);
    for (size_t i = 0; i < l->n_rows; i++) {
        double x = l->placed[i], cpu_back = s == STEP_INSTEAD ? 1 : io->cpu_share;
        l->cpu[i] = fmax(0, l->cpu[i] - cpu_back * x);
        l->io[i] += x;
        weights[i] += x;
    }
    return need;
}

/* weights: [n_rows], what `io` gets on each row. */
static void place(layout *l, const io_stressor *io, double wanted_kbs, double *weights)
{
    for (size_t i = 0; i < l->n_rows; i++)
        weights[i] = 0;
    if (!(wanted_kbs > 0) || !(io->kbs > 0))
        return;
    double left = take_step(l, io, STEP_FREE, wanted_kbs / io->kbs, weights);
    bool idle_first = io->cpu_share <= 0.5;
    for (int i = 0; i < 2 && left > nothing; i++) {
        step s = idle_first == (i == 0) ? STEP_IDLE : STEP_INSTEAD;
        double costs = s == STEP_IDLE ? io->cpu_share : 1 - io->cpu_share;
        if (io->lessens >= costs)
            left = take_step(l, io, s, left, weights);
    }
}

static double wanted_at(const mim_series *wanted, size_t slot, size_t metric)
{
    double value = metric == SIZE_MAX ? NAN : mim_series_at(wanted, slot, metric);
    return isfinite(value) && value > 0 ? value : 0;
}

static void plan_slot(const mim_series *wanted, size_t slot, layout *l, double *weights,
                      mim_plan *plan)
{
    double *reads = weights, *writes = weights + l->n_rows;
    for (size_t i = 0; i < l->n_rows; i++) {
        l->cpu[i] = fmin(1, wanted_at(wanted, slot, l->core_metrics[i]) / 100);
        l->io[i] = 0;
    }
    place(l, &l->read, wanted_at(wanted, slot, l->read.metric), reads);
    place(l, &l->write, wanted_at(wanted, slot, l->write.metric), writes);
    for (size_t i = 0; i < l->n_rows; i++) {
        double *row = mim_plan_row(plan, slot, i);
        row[l->cpu_column] = l->cpu[i] > nothing ? l->cpu[i] : 0;
        if (l->read.kbs > 0)
            row[l->read.column] = fmin(1, reads[i]);
        if (l->write.kbs > 0)
            row[l->write.column] = fmin(1, writes[i]);
    }
}

int mim_single_plan(const mim_series *wanted, const mim_calibration *calibration,
                    const mim_actions *actions, const mim_single_options *options, mim_plan **plan)
{
    layout l = {0};
    mim_plan *made = NULL;
    double *weights = NULL;
    int rc = prepare(wanted, calibration, actions, options, &l);
    if (rc != MIM_OK || (rc = mim_plan_create(wanted->n_slots, l.n_rows, actions, &made)) != MIM_OK)
        goto done;
    if (!(weights = calloc(l.n_rows, 2 * sizeof *weights))) {
        rc = mim_fail(MIM_ENOMEM, "%zu rows", l.n_rows);
        goto done;
    }
    for (size_t slot = 0; slot < wanted->n_slots; slot++)
        plan_slot(wanted, slot, &l, weights, made);
    if ((rc = mim_plan_validate(made, "plan")) != MIM_OK)
        goto done;
    *plan = made;
    made = NULL;
done:
    free(weights);
    free(l.core_metrics);
    free(l.cpu);
    mim_plan_destroy(&made);
    return rc;
}
