/* One plan row at work: a worker thread for CPU and memory stressors and, if it has paced ones, a
 * helper thread beside it. Internal to the executor. */
#ifndef MIM_NODE_ROW_H
#define MIM_NODE_ROW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "node/executor.h"
#include "node/kernel.h"

enum { MIM_ROW_ERROR_BYTES = 256 };

/* Slots of a run, on the absolute schedule, and the gate all threads wait at. */
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
} mim_schedule;

/* A stressor as one row runs it. */
typedef struct mim_instance {
    size_t column; /* in the plan */
    const mim_stressor *stressor;
    const mim_kernel *kernel;
    void *state;
    double full_ops_per_s; /* paced */
    double batch_ns;       /* not paced: measured at warm-up */
    double budget_ns;      /* not paced: CPU time due in this slot, and used so far */
    double used_ns;
    double carry_ns; /* not paced: CPU time owed (+) or overdrawn (-) to the next slot */
    double phase;    /* paced: fraction of the next operation that has fallen due */
    bool is_failed;  /* does not run any more: broke, or */
    bool is_refused; /* the scratch guard said no */
} mim_instance;

typedef struct mim_row_thread {
    struct mim_row_run *row;
    size_t n_instances;
    mim_instance *instances;
    pthread_t thread;
    bool is_started;
    atomic_llong cpu_ns;      /* CPU time of the thread when it last looked */
    double *slot_cpu_s;       /* [n_slots] CPU time used in the slot */
    double *slot_overshoot_s; /* [n_slots] time past the slot's end */
    int rc;                   /* of its set-up or verification */
    char error[MIM_ROW_ERROR_BYTES];
} mim_row_thread;

typedef struct mim_row_run {
    size_t row;
    int cpu;
    int nice;
    const mim_plan *plan;
    mim_schedule *schedule;
    mim_scratch *scratch;
    uint64_t seed;
    mim_run_result *result; /* shared; every row writes its own cells only */
    mim_row_thread worker, helper;
} mim_row_run;

/* Thread bodies; the argument is a mim_row_thread. */
void *mim_row_worker(void *row_thread);
void *mim_row_helper(void *row_thread);

/* Keeps this thread's sentence as the first of the row thread. */
void mim_row_keep_error(mim_row_thread *self, int rc);
/* For both bodies: pins, sets niceness and timer slack, creates the instances. */
void mim_row_prepare(mim_row_thread *self);
/* Reports ready and waits. False: the run was cancelled, as some thread's set-up failed. */
bool mim_row_wait_at_gate(mim_row_thread *self);
/* Runs n batches or one operation and adds to `work`; a failure or refusal ends the instance, its
 * sentence is kept. */
void mim_row_operate(mim_row_thread *self, mim_instance *in, size_t n, mim_work *work);
/* First instant of a slot on the absolute schedule. */
int64_t mim_row_slot_begin_ns(const mim_row_run *row, size_t slot);
/* Verifies and destroys the instances. */
void mim_row_tear_down(mim_row_thread *self);
/* Cell [slot][row][column] and [slot][row] of the result arrays. */
size_t mim_row_cell(const mim_row_run *row, size_t slot, size_t column);
size_t mim_row_slot_cell(const mim_row_run *row, size_t slot);

#endif
