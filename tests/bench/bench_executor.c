/* How exactly does the executor give what is asked, beside stress-ng's --cpu-load?
 *
 * usage: bench_executor [PART_OF_A_NAME...] (default: all stressors)
 * For every CPU and memory stressor of the default list: weights 0.1 to 1.0 on all CPUs, the busy
 * time of /proc/stat against the weight; for every paced one: operations done against due; for
 * rows of mixed costs ("mixed"): the share error of the metered and of the original's dispatch;
 * overshoot of all slots. Only accepted (undisturbed) slots count; with fewer than 50 the line says
 * so and its value is null. One JSON object a line. */
#define _GNU_SOURCE /* open_memstream, kill */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/quantile.h"
#include "node/calibration.h"
#include "node/executor.h"
#include "node/sampler.h"
#include "trace/accept.h"
#include "trace/series.h"

enum { N_WEIGHTS = 10, SLOTS_A_WEIGHT = 7, NEEDED_SLOTS = 50, MAX_SLOTS = 100000 };
static const double slot_s = 0.5;
static const uint64_t max_written_bytes = UINT64_C(48) << 30;

typedef struct bench {
    mim_machine *machine;
    mim_actions *actions;
    mim_scratch *scratch;
    double overshoot[MAX_SLOTS];
    size_t n_overshoot;
} bench;

/* Errors of one target list: what was asked, what the CPUs showed. */
typedef struct dose {
    double mean_error, max_error; /* points of CPU, over the weights */
    size_t n_accepted;
} dose;

static void fail(const char *what)
{
    fprintf(stderr, "bench_executor: %s: %s\n", what, mim_error());
    exit(1);
}

static double weight_of(size_t i) { return 0.1 * (double)(i + 1); }

static double busy(const mim_series *series, size_t slot)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t m = 0; m < series->n_metrics; m++) {
        if (series->metrics[m].family != MIM_FAMILY_CPU)
            continue;
        sum += mim_series_at(series, slot, m);
        n++;
    }
    return sum / (double)n;
}

/* Adds one series whose slots [first(i), first(i + 1)) had the target i. */
static dose read_dose(const char *text, size_t n_bytes, size_t n_skip)
{
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    mim_accept *accept = NULL;
    dose d = {0.0, 0.0, 0};
    size_t n_measured = 0;
    if (mim_stats_parse("bench", text, n_bytes, &stats) != MIM_OK ||
        mim_series_create(stats, NULL, &series) != MIM_OK ||
        mim_accept_create(series, &accept) != MIM_OK)
        fail("stats text");
    for (size_t i = 0; i < N_WEIGHTS; i++) {
        double sum = 0.0;
        size_t n = 0, per = series->n_slots / N_WEIGHTS;
        for (size_t s = i * per + n_skip; s < (i + 1) * per; s++) {
            if (accept->is_accepted[s]) {
                sum += busy(series, s);
                n++;
            }
        }
        d.n_accepted += n;
        if (n) {
            double error = fabs(sum / (double)n - 100.0 * weight_of(i));
            d.mean_error += error;
            d.max_error = fmax(d.max_error, error);
            n_measured++;
        }
    }
    d.mean_error = n_measured ? d.mean_error / (double)n_measured : NAN;
    mim_accept_destroy(&accept);
    mim_series_destroy(&series);
    mim_stats_destroy(&stats);
    return d;
}

static mim_run_result *run(bench *b, const mim_calibration *calibration, const mim_plan *plan,
                           double length_s, char **text, size_t *n_bytes)
{
    mim_run_result *result = NULL;
    mim_execute_options options = {
        .slot_s = length_s, .n_iters = 1, .seed = 1, .stats = open_memstream(text, n_bytes)};
    if (mim_execute(plan, b->machine, calibration, b->scratch, &options, NULL, &result) != MIM_OK)
        fail("run");
    fclose(options.stats);
    for (size_t i = 0; i < result->n_slots * result->n_rows && b->n_overshoot < MAX_SLOTS; i++)
        b->overshoot[b->n_overshoot++] = 100.0 * result->overshoot_s[i] / length_s;
    return result;
}

/* {"bench": ..., "value": ..., ...}; a NaN value is null. */
static void print_line(const char *name, const char *detail, double value, const char *unit,
                       const char *peer, double peer_value, size_t n, double spread)
{
    char shown[32] = "null", ratio[32] = "null", peer_shown[160] = "null", range[32] = "null";
    if (isfinite(value))
        snprintf(shown, sizeof shown, "%.4g", value);
    if (isfinite(spread))
        snprintf(range, sizeof range, "%.4g", spread);
    if (isfinite(peer_value))
        snprintf(peer_shown, sizeof peer_shown, "\"%s: %.4g %s\"", peer, peer_value, unit);
    else if (peer)
        snprintf(peer_shown, sizeof peer_shown, "\"%s\"", peer);
    if (isfinite(value) && isfinite(peer_value) && peer_value != 0.0)
        snprintf(ratio, sizeof ratio, "%.4g", value / peer_value);
    printf("{\"bench\": \"%s%s%s\", \"value\": %s, \"unit\": \"%s\", \"peer\": %s, \"ratio\": %s, "
           "\"n\": %zu, \"spread\": %s%s}\n",
           name, *detail ? ": " : "", detail, shown, unit, peer_shown, ratio, n, range,
           isfinite(value) ? "" : ", \"note\": \"not measurable now\"");
    fflush(stdout);
}

static mim_plan *dose_plan(const bench *b, size_t column, size_t n_threads, size_t per_weight)
{
    mim_plan *plan = NULL;
    if (mim_plan_create(N_WEIGHTS * per_weight, n_threads, b->actions, &plan) != MIM_OK)
        fail("plan");
    for (size_t w = 0; w < N_WEIGHTS * per_weight; w++)
        for (size_t t = 0; t < n_threads; t++)
            mim_plan_row(plan, w, t)[column] = weight_of(w / per_weight);
    return plan;
}

static dose bench_cpu(bench *b, size_t column)
{
    char *text = NULL;
    size_t n_bytes = 0;
    mim_plan *plan = dose_plan(b, column, b->machine->n_cpus, SLOTS_A_WEIGHT);
    mim_run_result *result = run(b, NULL, plan, slot_s, &text, &n_bytes);
    dose d = read_dose(text, n_bytes, 0);
    print_line("cpu_error", mim_actions_name(b->actions, column),
               d.n_accepted >= NEEDED_SLOTS ? d.mean_error : NAN, "points", "target 1", NAN,
               d.n_accepted, d.max_error);
    free(text);
    mim_run_result_destroy(&result);
    mim_plan_destroy(&plan);
    return d;
}

static mim_calibration *calibrate(const bench *b, const char *stressor)
{
    const mim_calibrate_options how = {.seconds_each = 0.7, .n_repeats = 7};
    mim_actions *one = NULL;
    mim_calibration *calibration = NULL;
    if (mim_actions_from_names(1, &stressor, &one) != MIM_OK ||
        mim_calibrate(b->machine, one, b->scratch, &how, NULL, &calibration) != MIM_OK)
        fail("calibration");
    mim_actions_destroy(&one);
    return calibration;
}

/* Done against due, over weights 0.1 to 1.0 on one row. The stressor is calibrated before and
 * after: where its full rate changed by more than a tenth meanwhile, as on a disk shared with
 * others, the deviation is not the executor's: NaN. */
static double bench_paced(bench *b, size_t column)
{
    char *text = NULL;
    size_t n_bytes = 0;
    const mim_stressor *stressor = mim_actions_stressor(b->actions, column);
    size_t per_weight = stressor->sleep_us >= 100000 ? 8 : 2;
    mim_plan *plan = dose_plan(b, column, 1, per_weight);
    mim_calibration *before = calibrate(b, stressor->name);
    mim_run_result *r = run(b, before, plan, slot_s, &text, &n_bytes);
    mim_calibration *after = calibrate(b, stressor->name);
    double due = 0.0, done = 0.0, worst = 0.0;
    double change = after->costs[0].ops_per_s / before->costs[0].ops_per_s - 1.0;
    for (size_t w = 0; w < r->n_slots; w++) {
        size_t cell = w * r->n_stressors + column;
        due += r->planned_ops[cell];
        done += r->ops[cell];
        if (r->planned_ops[cell] >= 10.0)
            worst = fmax(worst, fabs(r->ops[cell] / r->planned_ops[cell] - 1.0));
    }
    double error = fabs(change) <= 0.1 ? 100.0 * fabs(done / due - 1.0) : NAN;
    print_line("ops_error", mim_actions_name(b->actions, column), error, "%", "target 5", NAN,
               (size_t)done, 100.0 * worst);
    free(text);
    mim_calibration_destroy(&before);
    mim_calibration_destroy(&after);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
    return error;
}

/* ---- rows of mixed costs ----------------------------------------------------------------------
 */

enum { MIX = 3, N_MIXED_SEEDS = 6, MIXED_WINDOWS = 5 };

/* Those of the original's prototype, and one without long sleeps. */
static const struct {
    const char *names[MIX];
    double weights[MIX];
} mixed[] = {
    {{"BM_HASHING_Computecrc32c_Fleet_cold", "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms", NULL},
     {0.5, 0.5, 0.0}},
    {{"BM_HASHING_Computecrc32c_Fleet_cold", "BM_STRESS_NG_HddRead_1MB_WeightScaled_50ms", NULL},
     {0.5, 0.5, 0.0}},
    {{"BM_HASHING_Computecrc32c_Fleet_cold", "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms", NULL},
     {0.3, 0.2, 0.0}},
    {{"BM_HASHING_Computecrc32c_Fleet_cold", "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms",
      "BM_DIRECTMEMSET_32MB_WeightScaled_50ms"},
     {0.4, 0.3, 0.2}},
};

/* Mean over runs of sum |given - planned| / 2, in points. Given is the mean over a run's slots, as
 * a slot holds whole operations only; operations count as shares of theirs. */
static double mixed_error(const bench *b, const mim_calibration *calibration, const mim_plan *plan,
                          bool is_compat)
{
    double sum = 0.0;
    for (uint64_t seed = 1; seed <= N_MIXED_SEEDS; seed++) {
        mim_run_result *r = NULL;
        const mim_execute_options options = {
            .slot_s = 1.0, .n_iters = 1, .seed = seed, .is_compat = is_compat};
        if (mim_execute(plan, b->machine, calibration, b->scratch, &options, NULL, &r) != MIM_OK)
            fail("run");
        for (size_t s = 0; s < r->n_stressors; s++) {
            double error = 0.0;
            for (size_t slot = 0; slot < r->n_slots; slot++)
                error += r->share[slot * r->n_stressors + s] -
                         r->planned_share[slot * r->n_stressors + s];
            sum += fabs(error) / (double)r->n_slots / 2.0;
        }
        mim_run_result_destroy(&r);
    }
    return 100.0 * sum / N_MIXED_SEEDS;
}

static void bench_mixed(const bench *b, size_t which)
{
    const mim_calibrate_options how = {.seconds_each = 0.7, .n_repeats = 7};
    mim_actions *list = NULL;
    mim_calibration *calibration = NULL;
    mim_plan *plan = NULL;
    char detail[96];
    size_t n = mixed[which].names[MIX - 1] ? MIX : MIX - 1;
    if (mim_actions_from_names(n, mixed[which].names, &list) != MIM_OK ||
        mim_calibrate(b->machine, list, b->scratch, &how, NULL, &calibration) != MIM_OK ||
        mim_plan_create(MIXED_WINDOWS, 1, list, &plan) != MIM_OK)
        fail("mixed row");
    for (size_t w = 0; w < MIXED_WINDOWS; w++)
        for (size_t s = 0; s < n; s++)
            mim_plan_row(plan, w, 0)[s] = mixed[which].weights[s];
    double compat = mixed_error(b, calibration, plan, true);
    double metered = mixed_error(b, calibration, plan, false);
    snprintf(detail, sizeof detail, "mixed row %zu, weights %g %g %g", which,
             mixed[which].weights[0], mixed[which].weights[1], mixed[which].weights[2]);
    print_line("share_error", detail, metered, "points", "--compat", compat,
               N_MIXED_SEEDS * MIXED_WINDOWS, NAN);
    mim_plan_destroy(&plan);
    mim_calibration_destroy(&calibration);
    mim_actions_destroy(&list);
}

/* ---- the peer ---------------------------------------------------------------------------------
 */

static const char *const peer_types[][2] = {{"x_slot", "slot begin_us,E late_us own_cpu_us,E"},
                                            {NULL, NULL}};

/* CPU time of the peer's workers so far, from their scheduling statistics. */
static uint64_t peer_cpu_us(pid_t parent)
{
    char path[96], line[4096];
    uint64_t sum_ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *children = fopen(path, "r");
    if (!children)
        return 0;
    if (fgets(line, sizeof line, children)) {
        char *rest = NULL;
        for (char *pid = strtok_r(line, " ", &rest); pid; pid = strtok_r(NULL, " ", &rest)) {
            unsigned long long ns = 0;
            snprintf(path, sizeof path, "/proc/%s/schedstat", pid);
            FILE *file = fopen(path, "r");
            if (file && fscanf(file, "%llu", &ns) == 1)
                sum_ns += ns;
            if (file)
                fclose(file);
        }
    }
    fclose(children);
    return sum_ns / 1000;
}

static pid_t start_peer(size_t n_cpus, double load, int seconds)
{
    char cpus[16], percent[16], timeout[16];
    snprintf(cpus, sizeof cpus, "%zu", n_cpus);
    snprintf(percent, sizeof percent, "%.0f", load);
    snprintf(timeout, sizeof timeout, "%d", seconds);
    pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stdout);
        freopen("/dev/null", "w", stderr);
        execlp("stress-ng", "stress-ng", "--cpu", cpus, "--cpu-load", percent, "--timeout", timeout,
               (char *)NULL);
        _exit(127);
    }
    return child;
}

/* The same targets and slots by stress-ng, seen by the same sampler. */
static bool bench_peer(const bench *b, dose *d)
{
    char *text = NULL;
    size_t n_bytes = 0, n_slots = 2 + SLOTS_A_WEIGHT; /* two slots of start-up are not counted */
    mim_sampler *sampler = NULL;
    const mim_sampler_options options = {.extra_types = peer_types};
    FILE *out = open_memstream(&text, &n_bytes);
    if (mim_sampler_create(&options, &sampler) != MIM_OK || mim_sampler_header(sampler) != MIM_OK)
        fail("sampler");
    uint64_t own_us = 0, edge = 0;
    bool is_there = true;
    int64_t next_ns = mim_clock_mono_ns();
    for (size_t i = 0; i < N_WEIGHTS && is_there; i++) {
        pid_t peer = start_peer(b->machine->n_cpus, 100.0 * weight_of(i), 60);
        uint64_t before_us = own_us;
        for (size_t s = 0; s < n_slots; s++) {
            const uint64_t cells[4] = {edge, (uint64_t)(next_ns / 1000), 0, own_us};
            const mim_sampler_row row = {"x_slot", "-", 4, cells};
            if ((s > 0 || i == 0) && mim_sampler_take(sampler, NULL, 1, &row) != MIM_OK)
                fail("sample");
            edge++;
            next_ns += (int64_t)(slot_s * 1e9);
            mim_clock_sleep_until(next_ns);
            own_us = before_us + peer_cpu_us(peer);
        }
        const uint64_t cells[4] = {edge, (uint64_t)(next_ns / 1000), 0, own_us};
        const mim_sampler_row row = {"x_slot", "-", 4, cells};
        if (mim_sampler_take(sampler, NULL, 1, &row) != MIM_OK)
            fail("sample");
        int status = 0;
        is_there = waitpid(peer, &status, WNOHANG) == 0;
        kill(peer, SIGTERM);
        waitpid(peer, &status, 0);
        next_ns = mim_clock_mono_ns();
    }
    if (mim_sampler_flush(sampler, out) != MIM_OK)
        fail("sampler");
    fclose(out);
    if (is_there)
        *d = read_dose(text, n_bytes, 2);
    mim_sampler_destroy(&sampler);
    free(text);
    return is_there;
}

/* ---- all --------------------------------------------------------------------------------------
 */

static void set_up(bench *b)
{
    const mim_scratch_options options = {.folder = "/var/tmp",
                                         .min_free_bytes = UINT64_C(2) << 30,
                                         .max_written_bytes = max_written_bytes};
    if (mim_machine_create(0, &b->machine) != MIM_OK ||
        mim_actions_builtin("20", &b->actions) != MIM_OK ||
        mim_scratch_create(&options, &b->scratch) != MIM_OK)
        fail("set-up");
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    bool is_named = argc < 2;
    for (int i = 1; i < argc; i++)
        is_named = is_named || strstr(name, argv[i]);
    return is_named;
}

int main(int argc, char **argv)
{
    static bench b;
    set_up(&b);
    double sum = 0.0, worst = 0.0, worst_ops = NAN;
    size_t n_accepted = 0, n_kernels = 0, n_paced = 0;
    for (size_t s = 0; s < mim_actions_n(b.actions); s++) {
        if (!is_wanted(mim_actions_name(b.actions, s), argc, argv))
            continue;
        if (mim_actions_stressor(b.actions, s)->is_paced) {
            double error = bench_paced(&b, s); /* fmax takes the number of a number and a NaN */
            worst_ops = fmax(worst_ops, error);
            n_paced += isfinite(error);
            continue;
        }
        dose d = bench_cpu(&b, s);
        n_accepted += d.n_accepted;
        if (d.n_accepted >= NEEDED_SLOTS) {
            sum += d.mean_error;
            worst = fmax(worst, d.max_error);
            n_kernels++;
        }
    }
    for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++)
        if (is_wanted("mixed", argc, argv))
            bench_mixed(&b, i);
    dose peer = {NAN, NAN, 0};
    bool is_there = bench_peer(&b, &peer);
    print_line("cpu_error", "", n_kernels ? sum / (double)n_kernels : NAN, "points",
               is_there ? "stress-ng --cpu-load" : "stress-ng is not installed (make deps-bench)",
               peer.n_accepted >= NEEDED_SLOTS ? peer.mean_error : NAN, n_accepted, worst);
    print_line("ops_error", "", worst_ops, "%", "target 5", NAN, n_paced, worst_ops);
    double p99 = NAN, p50 = NAN;
    if (mim_quantile(b.overshoot, b.n_overshoot, 0.99, &p99) != MIM_OK ||
        mim_quantile(b.overshoot, b.n_overshoot, 0.5, &p50) != MIM_OK)
        fail("overshoot");
    print_line("overshoot_p99", "", p99, "% of the slot", "target 1", NAN, b.n_overshoot, p50);
    mim_machine_destroy(&b.machine);
    mim_actions_destroy(&b.actions);
    mim_scratch_destroy(&b.scratch);
    return 0;
}
