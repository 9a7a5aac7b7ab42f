/* One plan row at work: a worker thread for CPU and memory stressors and, if it has paced ones, a
 * helper thread beside it; with the original's dispatch one thread for all. Internal to the
 * executor. */
#ifndef MIM_NODE_ROW_H
#define MIM_NODE_ROW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "node/compat.h"
#include "node/executor.h"
#include "node/kernel.h"

enum { MIM_ROW_ERROR_BYTES = 256 };

/* Slots of a run, and the gate all threads wait at. Metered slots lie on the absolute schedule;
 * the original's are handed out one by one. */
typedef struct mim_schedule {
    int64_t start_ns; /* of slot 0; valid once the gate is open */
    int64_t slot_ns;
    size_t n_slots;
    const size_t *windows; /* [n_slots] plan window of the slot, SIZE_MAX = idle slot */
    atomic_bool is_stopped;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t n_ready; /* threads that finished their set-up */
    bool is_open, is_cancelled;
    /* The original's: the slot handed out last, and how many rows are done with it. */
    size_t n_dispatched, task_slot;
    int64_t deadline_ns;
    size_t n_returned;
    pthread_cond_t returned;
    bool is_over;
} mim_schedule;

/* A stressor as one row runs it. */
typedef struct mim_instance {
    size_t column; /* in the plan */
    const mim_stressor *stressor;
    const mim_kernel *kernel;
    void *state;
    double full_ops_per_s; /* paced; NaN: not known (the original's dispatch needs none) */
    double batch_ns;       /* not paced: measured at warm-up */
    double asked_ns;  /* not paced: CPU time asked for in this slot, what was carried included */
    double budget_ns; /* the same after the closed loop's correction, and used so far */
    double used_ns;
    double carry_ns; /* not paced: CPU time owed (+) or overdrawn (-) to the next slot */
    double phase;    /* paced: fraction of the next operation that has fallen due */
    double owed_ops; /* paced: operations due in the slot before and not done */
    double op_ns;    /* paced: how long one operation may take, of those seen */
    bool is_failed;  /* does not run any more: broke, or */
    bool is_refused; /* the scratch guard said no */
} mim_instance;

/* What a thread has used since its start, for who samples meanwhile. */
typedef struct mim_row_use {
    atomic_llong cpu_ns, n_ops, n_bytes;
    atomic_llong n_switches, n_forced_switches, n_faults, n_major_faults; /* some slices old */
    atomic_int cpu;                                                       /* where it runs */
} mim_row_use;

typedef struct mim_row_thread {
    struct mim_row_run *row;
    size_t n_instances;
    mim_instance *instances;
    pthread_t thread;
    bool is_started;
    mim_row_use use;
    atomic_size_t n_done;     /* slots: what follows is complete for them */
    double *slot_cpu_s;       /* [n_slots] CPU time used in the slot */
    double *slot_overshoot_s; /* [n_slots] time past the slot's end */
    int rc;                   /* of its set-up or verification */
    char error[MIM_ROW_ERROR_BYTES];
} mim_row_thread;

typedef struct mim_row_run {
    size_t row;
    int cpu; /* it is pinned to */
    int nice;
    const mim_plan *plan;
    mim_schedule *schedule;
    mim_scratch *scratch;
    uint64_t seed;
    mim_run_result *result; /* shared; every row writes its own cells only */
    mim_row_thread worker, helper;
    /* Closed loop: share of this CPU that others are thought to use; rows that share the CPU. */
    _Atomic double others;
    size_t n_cpus;
    /* The original's dispatch: an order a window, and the thread's duty that leaks. */
    mim_compat_order *orders; /* [plan's windows]; NULL: metered */
    double current_duty, warm_up_s;
} mim_row_run;

/* Thread bodies; the argument is a mim_row_thread. */
void *mim_row_worker(void *row_thread);
void *mim_row_helper(void *row_thread);
void *mim_row_compat(void *row_thread);

/* Keeps this thread's sentence as the first of the row thread. */
void mim_row_keep_error(mim_row_thread *self, int rc);
/* For all bodies: pins, sets niceness and timer slack, creates the instances. */
void mim_row_prepare(mim_row_thread *self);
/* Reports ready and waits. False: the run was cancelled, as some thread's set-up failed. */
bool mim_row_wait_at_gate(mim_row_thread *self);
/* Runs n batches or one operation and adds to `work`; a failure or refusal ends the instance, its
 * sentence is kept. */
void mim_row_operate(mim_row_thread *self, mim_instance *in, size_t n, mim_work *work);
/* Weight of the instance in the slot, 0 in an idle one. */
double mim_row_weight(const mim_row_run *row, size_t slot, const mim_instance *in);
/* Adds to the cell of (slot, instance) and to what the thread has used. */
void mim_row_add(mim_row_thread *self, size_t slot, const mim_instance *in, const mim_work *work,
                 double cpu_ns, double wall_ns);
/* Takes switches, faults and the CPU the thread is on; one system call. */
void mim_row_note(mim_row_thread *self);
/* A slot's figures are complete. */
void mim_row_end_slot(mim_row_thread *self, size_t slot);
/* First instant of a slot on the absolute schedule. */
int64_t mim_row_slot_begin_ns(const mim_row_run *row, size_t slot);
/* To the instant, in naps; false when the run was stopped. */
bool mim_row_sleep_to(const mim_row_run *row, int64_t instant_ns);
/* Verifies and destroys the instances. */
void mim_row_tear_down(mim_row_thread *self);
/* Cell [slot][row][column] and [slot][row] of the result arrays. */
size_t mim_row_cell(const mim_row_run *row, size_t slot, size_t column);
size_t mim_row_slot_cell(const mim_row_run *row, size_t slot);

#endif
