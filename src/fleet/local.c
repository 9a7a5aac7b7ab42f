/* The local fleet: a child process a task, the host's lock around what it runs.
 *
 * The child is forked, not executed anew, so that it finds plan, machine, calibration and the
 * shared read file in its memory; it calls nothing of its parent's communication and ends by _exit.
 * What it measured it writes into an unnamed file in memory (memfd), the header last, so that half
 * a result is no result. */
#define _GNU_SOURCE /* memfd_create */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/signals.h"
#include "core/text.h"
#include "fleet/fleet.h"
#include "node/executor.h"
#include "node/host_lock.h"
#include "trace/accept.h"

enum { MAX_REPORT_BYTES = 1 << 30, MAX_SENTENCE_BYTES = 1024 };
static const uint64_t report_magic = UINT64_C(0x6d696d666c656574);

/* What a child leaves in its file: this, then the stats text, then the given shares. */
typedef struct report {
    uint64_t magic;
    int32_t status; /* mim_fleet_status */
    uint32_t reserved;
    uint64_t n_stats_bytes, n_slots, n_threads, n_stressors;
    double written_bytes, wall_s;
    char error[MAX_SENTENCE_BYTES], note[MAX_SENTENCE_BYTES];
} report;

typedef struct child {
    uint64_t task_id;
    pid_t pid;
    int fd;                 /* of its report */
    atomic_llong *begun_ns; /* shared with it: when it got the host, 0 = waiting */
    double may_take_s;
    bool was_told_to_stop, has_timed_out;
    size_t n_slots; /* expected */
    struct child *next;
} child;

typedef struct local {
    mim_fleet_options options;
    char *scratch_folder, *host_lock;
    mim_scratch *scratch; /* NULL until a task needs it */
    child *children;      /* in the order of submission */
} local;

/* ---- in the child ---------------------------------------------------------------------------- */

static bool write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

/* What was measured may be of another action than the planned one. */
static int verdict(const mim_run_result *r)
{
    if (r->failure)
        return mim_fail(MIM_EIO, "stats text: %s", r->failure);
    if (r->n_failed)
        return mim_fail(MIM_EIO, "%zu stressors failed", r->n_failed);
    if (!r->is_verified)
        return mim_fail(MIM_ECHECK, "a stressor's verification failed");
    if (r->is_stopped)
        return mim_fail(MIM_EIO, "ended after %zu slots", r->n_slots);
    if (r->note)
        return mim_fail(MIM_EIO, "some I/O was not done: %s", r->note);
    return MIM_OK;
}

static int check_limits(const local *l, const mim_fleet_task *task, mim_plan_need *need)
{
    int rc = mim_plan_needs(task->plan, need);
    if (rc != MIM_OK)
        return rc;
    double n_slots = need->n_slots * (double)task->n_iters;
    need->memory_bytes += (uint64_t)mim_run_result_bytes(task->plan, n_slots);
    return mim_limits_check(&l->options.limits, l->options.machine, need, n_slots * task->slot_s);
}

static int execute(const local *l, const mim_fleet_task *task, FILE *stats, mim_log *log,
                   mim_run_result **result)
{
    char job[32];
    snprintf(job, sizeof job, "plan-%llu", (unsigned long long)task->id);
    const mim_execute_options options = {
        .slot_s = task->slot_s,
        .n_iters = task->n_iters,
        .nice = l->options.limits.nice,
        .seed = task->seed,
        .stats = stats,
        .job = job,
    };
    int rc = mim_execute(task->plan, l->options.machine, l->options.calibration, l->scratch,
                         &options, log, result);
    return rc == MIM_OK ? verdict(*result) : rc;
}

/* Fills the rest of the report and writes everything, the header last. */
static void leave_report(int fd, report *r, const char *stats, const mim_run_result *result)
{
    size_t n_cells = result ? result->n_slots * result->n_rows * result->n_stressors : 0;
    if (r->status == MIM_FLEET_DONE && result) {
        r->n_slots = result->n_slots;
        r->n_threads = result->n_rows;
        r->n_stressors = result->n_stressors;
    } else {
        r->n_stats_bytes = n_cells = 0;
    }
    const report empty = {0};
    bool is_written = write_all(fd, &empty, sizeof empty) &&
                      write_all(fd, stats, (size_t)r->n_stats_bytes) &&
                      write_all(fd, n_cells ? result->share : NULL, n_cells * sizeof(double)) &&
                      lseek(fd, 0, SEEK_SET) == 0 && write_all(fd, r, sizeof *r);
    _exit(is_written ? 0 : 1);
}

/* Waits for the host, runs, reports. The host is given back by the end of the process. */
static _Noreturn void live(const local *l, const mim_fleet_task *task, int fd,
                           atomic_llong *begun_ns)
{
    report r = {.magic = report_magic};
    char *stats_text = NULL, *log_text = NULL;
    size_t n_stats_bytes = 0, n_log_bytes = 0;
    mim_log *log = NULL;
    mim_run_result *result = NULL;
    mim_plan_need need = {0};
    int lock = -1;
    FILE *stats = open_memstream(&stats_text, &n_stats_bytes);
    FILE *log_stream = open_memstream(&log_text, &n_log_bytes);
    int rc = stats && log_stream ? mim_log_create(log_stream, MIM_LOG_WARN, 0, 1, &log)
                                 : mim_fail(MIM_ENOMEM, "task");
    if (rc == MIM_OK)
        rc = check_limits(l, task, &need);
    if (rc == MIM_OK)
        rc = mim_host_lock_open(l->host_lock, &lock);
    if (rc == MIM_OK)
        rc = mim_host_lock_take(lock, -1);
    static const int ignored[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN); /* a task that has begun is finished */
    int64_t begin_ns = mim_clock_mono_ns();
    atomic_store(begun_ns, begin_ns);
    uint64_t written = l->scratch ? mim_scratch_written_bytes(l->scratch) : 0;
    if (rc == MIM_OK)
        rc = execute(l, task, stats, log, &result);
    r.status = (int32_t)mim_fleet_status_of(rc);
    if (rc != MIM_OK)
        snprintf(r.error, sizeof r.error, "%s", mim_error());
    r.wall_s = (double)(mim_clock_mono_ns() - begin_ns) * 1e-9;
    if (l->scratch)
        r.written_bytes = (double)(mim_scratch_written_bytes(l->scratch) - written);
    if (stats)
        fflush(stats);
    if (log_stream)
        fflush(log_stream);
    r.n_stats_bytes = n_stats_bytes;
    snprintf(r.note, sizeof r.note, "%.*s", (int)strcspn(log_text ? log_text : "", "\n"),
             log_text ? log_text : "");
    leave_report(fd, &r, stats_text, result);
    _exit(1);
}

/* ---- submitting ------------------------------------------------------------------------------ */

static int open_local(const mim_fleet_options *options, void **state)
{
    local *l = calloc(1, sizeof *l);
    if (!l || !(l->scratch_folder = mim_strdup(options->scratch_folder)) ||
        (options->host_lock && !(l->host_lock = mim_strdup(options->host_lock)))) {
        if (l)
            free(l->scratch_folder);
        free(l);
        return mim_fail(MIM_ENOMEM, "local fleet");
    }
    l->options = *options;
    l->options.scratch_folder = l->scratch_folder;
    l->options.host_lock = l->host_lock;
    *state = l;
    return MIM_OK;
}

/* The scratch guard and the shared read file, once for all tasks. */
static int prepare_scratch(local *l, const mim_fleet_task *task)
{
    mim_plan_need need = {0};
    uint64_t shared_bytes = 0;
    int rc = mim_plan_needs(task->plan, &need);
    size_t n = mim_plan_n_stressors(task->plan);
    for (size_t i = 0; rc == MIM_OK && i < n * mim_plan_n_threads(task->plan); i++) {
        const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(task->plan), i % n);
        if (need.uses[i] && stressor && stressor->shared_file_bytes > shared_bytes)
            shared_bytes = stressor->shared_file_bytes;
    }
    uint64_t needed = need.scratch_bytes;
    mim_plan_need_clear(&need);
    if (rc == MIM_OK && needed > 0 && !l->scratch) {
        const mim_scratch_options options = {
            .folder = l->scratch_folder,
            .min_free_bytes = l->options.limits.min_free_bytes,
            .max_written_bytes = l->options.limits.max_written_bytes,
            .io_mode = l->options.io_mode,
        };
        rc = mim_scratch_create(&options, &l->scratch);
    }
    if (rc == MIM_OK && shared_bytes > 0) {
        int fd = -1;
        rc = mim_scratch_shared_file(l->scratch, shared_bytes, &fd);
        if (rc == MIM_OK)
            close(fd);
    }
    return rc;
}

static void forget(child *c)
{
    if (c->fd >= 0)
        close(c->fd);
    if (c->begun_ns)
        munmap(c->begun_ns, sizeof *c->begun_ns);
    free(c);
}

/* Stop signals stay blocked until the child ignores nothing it should see, and sees nothing twice.
 */
static int start(local *l, const mim_fleet_task *task, child *c)
{
    sigset_t all, before;
    pid_t parent = getpid();
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    c->pid = fork();
    if (c->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (getppid() == parent)
            live(l, task, c->fd, c->begun_ns);
        _exit(1);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return c->pid > 0 ? MIM_OK : mim_fail(MIM_EIO, "process of a task: %s", strerror(error));
}

static int submit_local(void *state, const mim_fleet_task *task)
{
    local *l = state;
    int rc = mim_fault("process of a task");
    if (rc == MIM_OK)
        rc = prepare_scratch(l, task);
    if (rc != MIM_OK)
        return rc;
    child *c = calloc(1, sizeof *c), **last = &l->children;
    if (!c)
        return mim_fail(MIM_ENOMEM, "task");
    c->task_id = task->id;
    c->n_slots = mim_plan_n_windows(task->plan) * task->n_iters;
    c->may_take_s = 1.5 * (double)c->n_slots * task->slot_s + l->options.grace_s;
    c->fd = memfd_create("mimesys-task", MFD_CLOEXEC);
    void *shared =
        mmap(NULL, sizeof *c->begun_ns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    c->begun_ns = shared == MAP_FAILED ? NULL : shared;
    if (c->fd < 0 || !c->begun_ns)
        rc = mim_fail(MIM_EIO, "memory shared with a task: %s", strerror(errno));
    if (rc == MIM_OK)
        rc = start(l, task, c);
    if (rc != MIM_OK) {
        forget(c);
        return rc;
    }
    while (*last)
        last = &(*last)->next;
    *last = c;
    return MIM_OK;
}

/* ---- results --------------------------------------------------------------------------------- */

/* Stats text and shares behind the header of a report of n_bytes. */
static int unpack(const report *r, const char *bytes, size_t n_bytes, mim_fleet_result *result)
{
    uint64_t n_cells = 0;
    if (r->n_stats_bytes > n_bytes || r->n_slots > n_bytes || r->n_threads > n_bytes ||
        r->n_stressors > n_bytes ||
        __builtin_mul_overflow(r->n_slots * r->n_threads, r->n_stressors, &n_cells) ||
        n_cells > n_bytes / sizeof(double) ||
        sizeof *r + r->n_stats_bytes + n_cells * sizeof(double) != n_bytes)
        return mim_fail(MIM_EDATA, "a report of %zu bytes with %llu cells and a text of %llu bytes",
                        n_bytes, (unsigned long long)n_cells, (unsigned long long)r->n_stats_bytes);
    result->n_stats_bytes = (size_t)r->n_stats_bytes;
    result->n_slots = (size_t)r->n_slots;
    result->n_threads = (size_t)r->n_threads;
    result->n_stressors = (size_t)r->n_stressors;
    result->stats_text = malloc(result->n_stats_bytes + 1);
    result->given_share = malloc(n_cells ? n_cells * sizeof(double) : 1);
    if (!result->stats_text || !result->given_share)
        return mim_fail(MIM_ENOMEM, "a result of %zu bytes", n_bytes);
    memcpy(result->stats_text, bytes + sizeof *r, result->n_stats_bytes);
    result->stats_text[result->n_stats_bytes] = 0;
    memcpy(result->given_share, bytes + sizeof *r + result->n_stats_bytes,
           n_cells * sizeof(double));
    return MIM_OK;
}

/* Metrics per slot and which slots count. */
static int evaluate(size_t n_slots, mim_fleet_result *result)
{
    mim_stats *stats = NULL;
    mim_accept *accept = NULL;
    int rc = mim_stats_parse("stats text", result->stats_text, result->n_stats_bytes, &stats);
    if (rc == MIM_OK)
        rc = mim_series_create(stats, NULL, &result->series);
    if (rc == MIM_OK && result->series->n_slots != n_slots)
        rc = mim_fail(MIM_EDATA, "%zu slots were measured, expected %zu", result->series->n_slots,
                      n_slots);
    if (rc == MIM_OK)
        rc = mim_accept_create(result->series, &accept);
    if (rc == MIM_OK) {
        result->is_accepted = accept->is_accepted;
        accept->is_accepted = NULL;
    }
    mim_accept_destroy(&accept);
    mim_stats_destroy(&stats);
    return rc;
}

static int read_report(const child *c, mim_fleet_result *result)
{
    report r = {0};
    off_t n_bytes = lseek(c->fd, 0, SEEK_END);
    if (n_bytes < (off_t)sizeof r || n_bytes > MAX_REPORT_BYTES)
        return mim_fail(MIM_EDATA, "a report of %lld bytes", (long long)n_bytes);
    char *bytes = mmap(NULL, (size_t)n_bytes, PROT_READ, MAP_PRIVATE, c->fd, 0);
    if (bytes == MAP_FAILED)
        return mim_fail(MIM_EIO, "a report of %lld bytes: %s", (long long)n_bytes, strerror(errno));
    int rc = MIM_OK;
    memcpy(&r, bytes, sizeof r);
    r.error[sizeof r.error - 1] = r.note[sizeof r.note - 1] = 0;
    if (r.magic != report_magic || r.status < 0 || r.status > (int32_t)MIM_FLEET_STOPPED)
        rc = mim_fail(MIM_EDATA, "a report without its header");
    if (rc == MIM_OK) {
        result->status = (mim_fleet_status)r.status;
        result->written_bytes = r.written_bytes;
        result->wall_s = r.wall_s;
        result->error = r.status != MIM_FLEET_DONE ? mim_strdup(r.error) : NULL;
        result->note = r.note[0] ? mim_strdup(r.note) : NULL;
    }
    if (rc == MIM_OK && result->status == MIM_FLEET_DONE)
        rc = unpack(&r, bytes, (size_t)n_bytes, result);
    munmap(bytes, (size_t)n_bytes);
    if (rc == MIM_OK && result->status == MIM_FLEET_DONE)
        rc = evaluate(c->n_slots, result);
    return rc;
}

static int make_result(const local *l, const child *c, int how, mim_fleet_result **result)
{
    mim_fleet_result *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "result of a task");
    made->task_id = c->task_id;
    snprintf(made->host, sizeof made->host, "%s", l->options.machine->hostname);
    if (c->has_timed_out) {
        made->status = MIM_FLEET_TIMED_OUT;
        made->error = mim_format("did not end within %.1f s and was killed", c->may_take_s);
    } else if (c->was_told_to_stop && WIFSIGNALED(how)) {
        made->status = MIM_FLEET_STOPPED;
        made->error = mim_strdup("stopped while waiting for the host");
    } else if (WIFSIGNALED(how)) {
        made->status = MIM_FLEET_CRASHED;
        made->error = mim_format("its process died: %s", strsignal(WTERMSIG(how)));
    } else if (read_report(c, made) != MIM_OK) {
        made->status = MIM_FLEET_FAILED;
        free(made->error);
        made->error = mim_strdup(mim_error());
    }
    if (made->status != MIM_FLEET_DONE && !made->error) {
        mim_fleet_result_destroy(&made);
        return mim_fail(MIM_ENOMEM, "result of a task");
    }
    *result = made;
    return MIM_OK;
}

/* Ends a child that takes too long; tells one that still waits that nobody does. */
static void watch(child *c)
{
    long long begun_ns = atomic_load(c->begun_ns);
    if (begun_ns == 0 && mim_signals_stop() && !c->was_told_to_stop) {
        c->was_told_to_stop = true;
        kill(c->pid, SIGTERM);
    }
    if (begun_ns == 0 || c->has_timed_out)
        return;
    if ((double)(mim_clock_mono_ns() - begun_ns) * 1e-9 > c->may_take_s) {
        c->has_timed_out = true;
        kill(c->pid, SIGKILL);
    }
}

static int poll_local(void *state, mim_fleet_result **result)
{
    local *l = state;
    for (child **at = &l->children; *at; at = &(*at)->next) {
        child *c = *at;
        int how = 0;
        watch(c);
        pid_t ended = waitpid(c->pid, &how, WNOHANG);
        if (ended == 0 || (ended < 0 && errno == EINTR))
            continue;
        if (ended < 0) /* somebody else took its status: what it left tells */
            how = 0;
        int rc = make_result(l, c, how, result);
        *at = c->next;
        forget(c);
        return rc;
    }
    return MIM_OK;
}

static void close_local(void *state)
{
    local *l = state;
    for (child *c = l->children; c; c = c->next)
        kill(c->pid, SIGKILL);
    while (l->children) {
        child *c = l->children;
        l->children = c->next;
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        forget(c);
    }
    mim_scratch_destroy(&l->scratch);
    free(l->scratch_folder);
    free(l->host_lock);
    free(l);
}

const mim_fleet_kind mim_fleet_local = {
    .name = "local",
    .help = "processes on this node, one running at a time",
    .open = open_local,
    .submit = submit_local,
    .poll = poll_local,
    .close = close_local,
};
