/* What the executor looks at from edge to edge: rows that lost their CPU, the closed loop, and one
 * log line a slot. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/executor_internal.h"

static int open_loop(mim_execution *x)
{
    size_t n = x->n_rows < x->machine->n_cpus ? x->n_rows : x->machine->n_cpus;
    int *cpus = calloc(n, sizeof *cpus);
    x->loop_cpus = calloc(n, sizeof *x->loop_cpus);
    x->busy_s = calloc(n, sizeof *x->busy_s);
    if (!cpus || !x->loop_cpus || !x->busy_s) {
        free(cpus);
        return mim_fail(MIM_ENOMEM, "closed loop of %zu CPUs", n);
    }
    for (size_t i = 0; i < n; i++) {
        cpus[i] = x->machine->cpus[i].os_index;
        mim_feedback_start(&x->loop_cpus[i].feedback, x->options->loop_gain);
    }
    int rc = mim_cpu_usage_open(NULL, n, cpus, &x->usage);
    if (rc == MIM_OK)
        x->n_loop_cpus = n;
    free(cpus);
    return rc;
}

int mim_execution_open_watch(mim_execution *x)
{
    x->is_moved = calloc(x->n_rows, sizeof *x->is_moved);
    x->collect_s = calloc(x->schedule.n_slots + 1, sizeof *x->collect_s);
    if (!x->is_moved || !x->collect_s)
        return mim_fail(MIM_ENOMEM, "%zu plan rows", x->n_rows);
    return x->options->loop_gain > 0.0 ? open_loop(x) : MIM_OK;
}

void mim_execution_close_watch(mim_execution *x)
{
    free(x->is_moved);
    free(x->collect_s);
    free(x->loop_cpus);
    free(x->busy_s);
    mim_cpu_usage_close(&x->usage);
}

/* ---- revoked CPUs ----------------------------------------------------------------------------
 */

static void note_move(mim_execution *x, const mim_row_run *row, int cpu, size_t edge)
{
    x->is_moved[row->row] = true;
    mim_log_warn(x->log, "executor",
                 "row %zu: CPU %d was taken from this process during the run (cpuset, affinity or "
                 "hot-unplug); it goes on on CPU %d",
                 row->row, row->cpu, cpu);
    const char *before = x->result->cpu_note;
    char *note = mim_format("%s%srow %zu lost CPU %d in slot %zu", before ? before : "",
                            before ? "; " : "", row->row, row->cpu, edge ? edge - 1 : 0);
    if (!note)
        return; /* the log has it */
    free(x->result->cpu_note);
    x->result->cpu_note = note;
}

static void look_for_moves(mim_execution *x, size_t edge)
{
    for (size_t r = 0; r < x->n_rows; r++) {
        mim_row_run *row = &x->rows[r];
        mim_row_thread *threads[] = {&row->worker, &row->helper};
        for (size_t t = 0; t < 2; t++) {
            int cpu = atomic_load_explicit(&threads[t]->use.cpu, memory_order_relaxed);
            if (threads[t]->is_started && cpu != row->cpu && !x->is_moved[r])
                note_move(x, row, cpu, edge);
        }
    }
}

/* ---- the closed loop --------------------------------------------------------------------------
 */

/* CPU time of all rows of the CPU. */
static double own_s(mim_execution *x, size_t cpu)
{
    double sum = 0.0;
    for (size_t r = cpu; r < x->n_rows; r += x->n_loop_cpus) {
        sum += (double)atomic_load_explicit(&x->rows[r].worker.use.cpu_ns, memory_order_relaxed);
        sum += (double)atomic_load_explicit(&x->rows[r].helper.use.cpu_ns, memory_order_relaxed);
    }
    return sum * 1e-9;
}

static void close_loop(mim_execution *x, size_t edge)
{
    int64_t now_ns = mim_clock_mono_ns();
    double elapsed_s = (double)(now_ns - x->loop_ns) * 1e-9;
    mim_cpu_usage_read(x->usage, x->busy_s); /* what it cannot tell is NaN */
    x->loop_ns = now_ns;
    for (size_t i = 0; i < x->n_loop_cpus; i++) {
        mim_loop_cpu *cpu = &x->loop_cpus[i];
        double busy_s = x->busy_s[i], own = own_s(x, i);
        if (edge > 0)
            mim_feedback_take(&cpu->feedback, (busy_s - cpu->busy_s) / elapsed_s,
                              (own - cpu->own_s) / elapsed_s);
        cpu->busy_s = busy_s;
        cpu->own_s = own;
        for (size_t r = i; r < x->n_rows; r += x->n_loop_cpus) {
            atomic_store_explicit(&x->rows[r].others, cpu->feedback.others, memory_order_relaxed);
            if (edge < x->schedule.n_slots)
                x->result->others_share[edge * x->n_rows + r] = cpu->feedback.others;
        }
    }
}

/* ---- log --------------------------------------------------------------------------------------
 */

static bool is_done(const mim_execution *x, size_t slot)
{
    for (size_t r = 0; x->windows[slot] != SIZE_MAX && r < x->n_rows; r++) {
        const mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++)
            if (threads[t]->is_started &&
                atomic_load_explicit(&threads[t]->n_done, memory_order_acquire) <= slot)
                return false;
    }
    return true;
}

/* dispatch: from the slot's begin to the last worker at work; collect: the record at its end;
 * duration: its length; late: its begin against the schedule; over: the slowest thread past its
 * end. */
static void log_slot(const mim_execution *x, size_t slot)
{
    const mim_run_result *r = x->result;
    double late_s = r->slot_begin_s[slot] - (double)slot * r->slot_s, dispatch_s = 0.0,
           over_s = 0.0;
    for (size_t row = 0; row < x->n_rows && x->windows[slot] != SIZE_MAX; row++) {
        const mim_row_thread *threads[] = {&x->rows[row].worker, &x->rows[row].helper};
        double begun_s = r->start_late_s[slot * x->n_rows + row] - fmax(late_s, 0.0);
        dispatch_s = fmax(dispatch_s, begun_s);
        for (size_t t = 0; t < 2; t++)
            over_s = fmax(over_s, threads[t]->slot_overshoot_s[slot]);
    }
    char window[24] = "idle";
    if (x->windows[slot] != SIZE_MAX)
        snprintf(window, sizeof window, "%zu", x->windows[slot]);
    mim_log_debug(x->log, "executor",
                  "slot=%zu window=%s dispatch_us=%.0f collect_us=%.0f duration_us=%.0f "
                  "late_us=%.0f over_us=%.0f",
                  slot, window, 1e6 * dispatch_s, 1e6 * x->collect_s[slot + 1],
                  1e6 * r->slot_length_s[slot], 1e6 * late_s, 1e6 * over_s);
}

static void log_slots(mim_execution *x)
{
    while (x->n_logged < x->result->n_slots && is_done(x, x->n_logged))
        log_slot(x, x->n_logged++);
}

void mim_execution_watch(mim_execution *x, size_t edge)
{
    look_for_moves(x, edge);
    if (x->n_loop_cpus)
        close_loop(x, edge);
    log_slots(x);
}

void mim_execution_end_watch(mim_execution *x) { log_slots(x); }
