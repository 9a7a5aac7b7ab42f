#define _GNU_SOURCE /* open_memstream, prctl's signal */
#include "tests/fidelity/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/sampler.h"
#include "tests/support/judge.h"
#include "trace/series.h"

enum { MAX_DEPTH = 3, STOP_POLLS = 200 };

/* ---- processes ------------------------------------------------------------------------------ */

pid_t watch_start(const char *const *arguments)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nowhere = open("/dev/null", O_RDWR);
    for (int fd = 0; nowhere >= 0 && fd < 3; fd++)
        dup2(nowhere, fd);
    execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

bool watch_is_installed(const char *program)
{
    if (strchr(program, '/'))
        return access(program, X_OK) == 0;
    char *all = mim_strdup(getenv("PATH") ? getenv("PATH") : ""), *rest = NULL;
    bool is = false;
    for (char *folder = all ? strtok_r(all, ":", &rest) : NULL; folder && !is;
         folder = strtok_r(NULL, ":", &rest)) {
        char *path = mim_join_path(folder, program);
        is = path && access(path, X_OK) == 0;
        free(path);
    }
    free(all);
    return is;
}

void watch_stop(pid_t *pid)
{
    int status = 0;
    if (*pid <= 0)
        return;
    kill(*pid, SIGTERM);
    for (int i = 0; i < STOP_POLLS; i++) {
        if (waitpid(*pid, &status, WNOHANG) != 0) {
            *pid = -1;
            return;
        }
        mim_clock_sleep_until(mim_clock_mono_ns() + MIM_NS_PER_S / 20);
    }
    kill(*pid, SIGKILL);
    waitpid(*pid, &status, 0);
    *pid = -1;
}

/* What the executor's process tells before slot 0. */
typedef struct message {
    int rc;
    int64_t start_ns;
    char error[MIM_ERROR_TEXT_BYTES];
} message;

static void tell(int fd, int rc, int64_t start_ns)
{
    message m = {.rc = rc, .start_ns = start_ns};
    snprintf(m.error, sizeof m.error, "%s", rc == MIM_OK ? "" : mim_error());
    if (write(fd, &m, sizeof m) != (ssize_t)sizeof m)
        _exit(1);
}

static int agree(void *context, int rc, int64_t *start_ns)
{
    *start_ns = mim_clock_mono_ns() + MIM_NS_PER_S / 5;
    if (rc == MIM_OK)
        tell(*(int *)context, MIM_OK, *start_ns);
    return rc;
}

int watch_start_executor(const suite *s, const mim_plan *plan, const mim_calibration *calibration,
                         const mim_execute_options *options, pid_t *pid, int64_t *start_ns)
{
    int ends[2];
    message m = {0};
    if (pipe(ends) != 0)
        return mim_fail(MIM_EIO, "pipe: %s", strerror(errno));
    fflush(NULL);
    *pid = fork();
    if (*pid == 0) {
        mim_run_result *result = NULL;
        mim_execute_options own = *options;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        own.agree_start = agree;
        own.start_context = &ends[1];
        int rc = mim_execute(plan, s->machine, calibration, s->scratch, &own, NULL, &result);
        if (rc != MIM_OK)
            tell(ends[1], rc, 0);
        _exit(mim_exit_status(rc));
    }
    close(ends[1]);
    bool is_told = *pid > 0 && read(ends[0], &m, sizeof m) == (ssize_t)sizeof m;
    close(ends[0]);
    if (!is_told || m.rc != MIM_OK) {
        watch_stop(pid);
        return mim_fail(is_told ? m.rc : MIM_EIO, "the executor's process: %s",
                        is_told ? m.error : "ended without a word");
    }
    *start_ns = m.start_ns;
    return MIM_OK;
}

/* ---- what they used ------------------------------------------------------------------------- */

typedef struct use {
    double cpu_s, read_bytes, write_bytes;
} use;

static double process_cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0.0;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void add_bytes(pid_t pid, use *u)
{
    char path[64], key[32];
    unsigned long long value;
    snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && fscanf(file, "%31s %llu", key, &value) == 2) {
        u->read_bytes += strcmp(key, "read_bytes:") == 0 ? (double)value : 0.0;
        u->write_bytes += strcmp(key, "write_bytes:") == 0 ? (double)value : 0.0;
    }
    if (file)
        fclose(file);
}

static void add_use(pid_t pid, int depth, use *u)
{
    char path[64];
    int child;
    u->cpu_s += process_cpu_s(pid);
    add_bytes(pid, u);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *children = depth < MAX_DEPTH ? fopen(path, "r") : NULL;
    while (children && fscanf(children, "%d", &child) == 1)
        add_use((pid_t)child, depth + 1, u);
    if (children)
        fclose(children);
}

/* ---- slots ---------------------------------------------------------------------------------- */

static const char *const extra_types[][2] = {{"x_slot", "slot begin_us,E late_us own_cpu_us,E"},
                                             {NULL, NULL}};

static double value_of(const mim_series *series, size_t slot, const char *metric)
{
    const size_t column = mim_series_find(series, metric);
    return column == SIZE_MAX ? NAN : mim_series_at(series, slot, column);
}

/* figures: [2][n_slots] and is_accepted: [n_slots] are work space. */
static void fill_from(const suite *s, const mim_series *series, double slot_s, bool is_io,
                      size_t n_slots, double *figures, bool *is_accepted, watch_slot *slots)
{
    /* with records that came too close to each other what slot is which cannot be told */
    const bool is_known = series->n_slots == n_slots;
    for (size_t i = 0; i < n_slots; i++) {
        figures[i] = is_known ? value_of(series, i, "steal_pct") : NAN;
        figures[n_slots + i] = is_known ? value_of(series, i, "others_cpu_pct") : NAN;
        slots[i].disk_read_mib_s = is_known ? value_of(series, i, "io_read") / 1024.0 : NAN;
        slots[i].disk_write_mib_s = is_known ? value_of(series, i, "io_write") / 1024.0 : NAN;
    }
    judge_slots(n_slots, slot_s, is_io, figures, figures + n_slots, is_accepted);
    for (size_t i = 0; i < n_slots; i++)
        slots[i].is_accepted = is_accepted[i] || s->takes_all;
}

static int judge(const suite *s, const char *text, size_t n_bytes, double slot_s, bool is_io,
                 size_t n_slots, watch_slot *slots)
{
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    double *figures = calloc(2 * n_slots, sizeof *figures);
    bool *is_accepted = calloc(n_slots, sizeof *is_accepted);
    int rc = figures && is_accepted ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu slots", n_slots);
    if (rc == MIM_OK)
        rc = mim_stats_parse("the watch's stats text", text, n_bytes, &stats);
    if (rc == MIM_OK)
        rc = mim_series_create(stats, NULL, &series);
    if (rc == MIM_OK)
        fill_from(s, series, slot_s, is_io, n_slots, figures, is_accepted, slots);
    mim_series_destroy(&series);
    mim_stats_destroy(&stats);
    free(figures);
    free(is_accepted);
    return rc;
}

/* The record of an edge, and what the processes used until now. */
static int sample(mim_sampler *sampler, pid_t pid, size_t edge, int64_t edge_ns, use *u,
                  int64_t *at_ns)
{
    *u = (use){0};
    *at_ns = mim_clock_mono_ns();
    add_use(pid, 0, u);
    const double own_s = u->cpu_s + 1e-9 * (double)mim_clock_process_cpu_ns();
    const uint64_t cells[4] = {edge, (uint64_t)(edge_ns / 1000), 0, (uint64_t)(1e6 * own_s)};
    const mim_sampler_row row = {"x_slot", "-", 4, cells};
    return mim_sampler_take(sampler, NULL, 1, &row);
}

static void fill(const suite *s, const use *before, const use *after, double length_s,
                 watch_slot *slot)
{
    *slot = (watch_slot){
        .cpu_pct = 100.0 * (after->cpu_s - before->cpu_s) / length_s / (double)s->machine->n_cpus,
        .read_mib_s = (after->read_bytes - before->read_bytes) / length_s / MIB,
        .write_mib_s = (after->write_bytes - before->write_bytes) / length_s / MIB,
    };
}

/* Left to be waited for by watch_stop. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

int watch_slots(const suite *s, pid_t pid, int64_t start_ns, double slot_s, bool is_io,
                size_t n_slots, watch_slot *slots)
{
    const mim_sampler_options options = {.extra_types = extra_types};
    mim_sampler *sampler = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    use before = {0}, after;
    int64_t before_ns = 0, after_ns;
    FILE *out = open_memstream(&text, &n_bytes);
    int rc = out ? mim_sampler_create(&options, &sampler) : mim_fail(MIM_ENOMEM, "stats text");
    if (rc == MIM_OK)
        rc = mim_sampler_header(sampler);
    for (size_t i = 0; rc == MIM_OK && i <= n_slots; i++) {
        const int64_t edge_ns = start_ns + (int64_t)((double)i * slot_s * 1e9);
        mim_clock_sleep_until(edge_ns);
        if (has_ended(pid))
            rc = mim_fail(MIM_ECHECK, "it ended by itself");
        if (rc == MIM_OK)
            rc = sample(sampler, pid, i, edge_ns, &after, &after_ns);
        if (rc == MIM_OK && i > 0)
            fill(s, &before, &after, 1e-9 * (double)(after_ns - before_ns), &slots[i - 1]);
        before = after;
        before_ns = after_ns;
    }
    if (rc == MIM_OK)
        rc = mim_sampler_flush(sampler, out);
    if (out)
        fclose(out);
    if (rc == MIM_OK)
        rc = judge(s, text, n_bytes, slot_s, is_io, n_slots, slots);
    mim_sampler_destroy(&sampler);
    free(text);
    return rc;
}
