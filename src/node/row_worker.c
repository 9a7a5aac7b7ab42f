/* CPU and memory stressors of a row: metered turns on the absolute schedule.
 *
 * A slot is cut into frames (node/frames.h). In each frame the row works until it has used its
 * share of the time up to the frame's end and then sleeps to the next frame, so the load is even
 * within the slot. Within a frame the stressor with the smallest used/budget has the next turn.
 * What is metered is the thread's own CPU time, so that a preempted thread catches up later in the
 * slot. */
#include "node/row.h"

#include <math.h>

#include "core/clock.h"
#include "node/feedback.h"
#include "node/frames.h"

static const double turn_ns = 100000.0;
static const double least_batch_ns = 100.0; /* coarse clocks may show none */
/* Carried over to the next slot at most: this share of the stressor's budget. */
static const double carry_limit = 0.1;

typedef struct slot_state {
    size_t slot;
    int64_t begin_ns, end_ns;
    mim_frames frames;
    double total_budget_ns, total_used_ns;
    double planned;   /* CPU share of all rows on this CPU */
    double others;    /* estimate that the budgets are for */
    int64_t meter_ns; /* thread CPU clock at the last reading; what passes since is charged */
} slot_state;

/* Turns before slot 0 that no one counts: caches and branch predictors warm, batch time known. */
static void warm_up(mim_row_thread *self)
{
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        mim_work work = {0};
        double best_ns = INFINITY;
        for (int round = 0; round < 20 && in->state && !in->is_failed; round++) {
            int64_t before = mim_clock_thread_cpu_ns();
            mim_row_operate(self, in, 1, &work);
            best_ns = fmin(best_ns, (double)(mim_clock_thread_cpu_ns() - before));
        }
        in->batch_ns = fmax(best_ns, least_batch_ns);
    }
}

/* Sum of the CPU weights of all rows on this row's CPU. */
static double planned_on_cpu(const mim_row_run *row, size_t slot)
{
    size_t window = row->schedule->windows[slot], n = mim_plan_n_stressors(row->plan);
    double sum = 0.0;
    for (size_t r = row->row % row->n_cpus; window != SIZE_MAX && r < mim_plan_n_threads(row->plan);
         r += row->n_cpus) {
        const double *weights = mim_plan_weights(row->plan, window, r);
        for (size_t s = 0; s < n; s++) {
            const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(row->plan), s);
            sum += stressor && !stressor->is_paced ? weights[s] : 0.0;
        }
    }
    return sum;
}

/* Budgets for the share that the closed loop leaves; without one, as asked. */
static void set_budgets(mim_row_thread *self, slot_state *state, double others)
{
    const mim_feedback loop = {.others = others};
    double factor = state->planned > 0.0 && others != 0.0
                        ? mim_feedback_share(&loop, state->planned) / state->planned
                        : 1.0;
    state->others = others;
    state->total_budget_ns = 0.0;
    for (size_t i = 0; i < self->n_instances; i++) {
        self->instances[i].budget_ns = self->instances[i].asked_ns * factor;
        state->total_budget_ns += self->instances[i].budget_ns;
    }
}

static void begin_slot(mim_row_thread *self, size_t slot, slot_state *state)
{
    mim_row_run *row = self->row;
    const mim_schedule *schedule = row->schedule;
    state->slot = slot;
    state->begin_ns = mim_row_slot_begin_ns(row, slot);
    state->end_ns = state->begin_ns + schedule->slot_ns;
    state->total_used_ns = 0.0;
    state->planned = planned_on_cpu(row, slot);
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        double weight = mim_row_weight(row, slot, in);
        double asked = weight * (double)schedule->slot_ns + in->carry_ns;
        in->asked_ns = weight > 0.0 && !in->is_failed ? fmax(asked, 0.0) : 0.0;
        in->used_ns = 0.0;
        row->result->planned_share[mim_row_cell(row, slot, in->column)] = weight;
    }
    set_budgets(self, state, atomic_load_explicit(&row->others, memory_order_relaxed));
}

/* Least served relative to its budget; NULL when all are served. */
static mim_instance *choose(const mim_row_thread *self)
{
    mim_instance *best = NULL;
    double least = 1.0;
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        if (in->budget_ns > 0.0 && !in->is_failed && in->used_ns / in->budget_ns < least) {
            least = in->used_ns / in->budget_ns;
            best = in;
        }
    }
    return best;
}

/* One turn: at most turn_ns, the stressor's budget, and what is left of the slot. Gives the instant
 * of its end. */
static int64_t take_turn(mim_row_thread *self, slot_state *state, mim_instance *in, int64_t now_ns)
{
    double room = fmin(turn_ns, (double)(state->end_ns - now_ns));
    room = fmin(room, in->budget_ns - in->used_ns);
    size_t n = room > in->batch_ns ? (size_t)(room / in->batch_ns) : 1;
    mim_work work = {0};
    mim_row_operate(self, in, n, &work);
    int64_t meter_ns = mim_clock_thread_cpu_ns(), end_ns = mim_clock_mono_ns();
    double spent = (double)(meter_ns - state->meter_ns) + (double)work.extra_cpu_ns;
    state->meter_ns = meter_ns;
    /* The batch time follows the machine: working sets of other rows change it. */
    in->batch_ns = fmax(in->batch_ns + 0.05 * (spent / (double)n - in->batch_ns), least_batch_ns);
    in->used_ns += spent;
    state->total_used_ns += spent;
    mim_row_add(self, state->slot, in, &work, spent, (double)(end_ns - now_ns));
    return end_ns;
}

/* CPU time that may be used up to the end of the frame that holds `now`. */
static double allowance(const slot_state *state, int64_t now_ns, int64_t *frame_end_ns)
{
    int64_t end_ns = mim_frames_end(&state->frames, state->slot, now_ns - state->begin_ns);
    *frame_end_ns = state->begin_ns + end_ns;
    return state->total_budget_ns * (double)end_ns / (double)state->frames.slot_ns;
}

static void run_slot(mim_row_thread *self, slot_state *state)
{
    mim_row_run *row = self->row;
    mim_clock_sleep_until(state->begin_ns);
    int64_t now = mim_clock_mono_ns();
    row->result->start_late_s[mim_row_slot_cell(row, state->slot)] =
        fmax((double)(now - state->begin_ns) * 1e-9, 0.0);
    while (now < state->end_ns && !atomic_load(&row->schedule->is_stopped)) {
        double others = atomic_load_explicit(&row->others, memory_order_relaxed);
        if (others != state->others) /* the loop's news of the slot before */
            set_budgets(self, state, others);
        int64_t frame_end = state->end_ns;
        double allowed = allowance(state, now, &frame_end);
        mim_instance *in = state->total_used_ns < allowed ? choose(self) : NULL;
        if (in) {
            now = take_turn(self, state, in, now);
            continue;
        }
        mim_row_note(self);
        mim_clock_sleep_until(frame_end);
        now = mim_clock_mono_ns();
    }
    self->slot_overshoot_s[state->slot] = fmax((double)(now - state->end_ns) * 1e-9, 0.0);
}

static void end_slot(mim_row_thread *self, const slot_state *state)
{
    const mim_row_run *row = self->row;
    double slot_ns = (double)row->schedule->slot_ns;
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        size_t cell = mim_row_cell(row, state->slot, in->column);
        row->result->share[cell] = in->used_ns / slot_ns;
        double most = carry_limit * row->result->planned_share[cell] * slot_ns;
        in->carry_ns = fmax(-most, fmin(most, in->budget_ns - in->used_ns));
    }
    self->slot_cpu_s[state->slot] = state->total_used_ns * 1e-9;
    mim_row_end_slot(self, state->slot);
}

void *mim_row_worker(void *row_thread)
{
    mim_row_thread *self = row_thread;
    const mim_row_run *row = self->row;
    mim_row_prepare(self);
    warm_up(self);
    if (mim_row_wait_at_gate(self)) {
        slot_state state = {.meter_ns = mim_clock_thread_cpu_ns(),
                            .frames = mim_frames_of(row->schedule->slot_ns)};
        for (size_t slot = 0; slot < row->schedule->n_slots; slot++) {
            if (atomic_load(&row->schedule->is_stopped))
                break;
            begin_slot(self, slot, &state);
            run_slot(self, &state);
            end_slot(self, &state);
        }
    }
    mim_row_tear_down(self);
    return NULL;
}
