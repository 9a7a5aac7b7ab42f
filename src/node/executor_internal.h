/* What the parts of the executor share: one run on its way. For src/node/executor*.c only. */
#ifndef MIM_NODE_EXECUTOR_INTERNAL_H
#define MIM_NODE_EXECUTOR_INTERNAL_H

#include "node/compat_cost.h"
#include "node/cpu_usage.h"
#include "node/executor.h"
#include "node/feedback.h"
#include "node/row.h"
#include "node/sampler.h"

/* One CPU with rows, as the closed loop sees it. */
typedef struct mim_loop_cpu {
    mim_feedback feedback;
    double busy_s, own_s; /* at the last edge */
} mim_loop_cpu;

typedef struct mim_execution {
    const mim_plan *plan;
    const mim_machine *machine;
    const mim_calibration *calibration;
    mim_scratch *scratch;
    const mim_execute_options *options;
    mim_log *log;
    mim_plan_need need;
    mim_schedule schedule;
    size_t *windows;
    size_t n_rows;
    mim_row_run *rows;
    mim_sampler *sampler;
    mim_sampler_row *sample_rows; /* [1 + n_rows] x_slot and the rows' x_thr */
    uint64_t *sample_cells;       /* [n_rows][keys of x_thr] */
    char (*sample_devices)[24];   /* [n_rows] */
    double planned_cpu_s;         /* of all rows up to the last edge */
    double *collect_s;            /* [n_slots + 1] what the record at an edge took */
    size_t n_logged;              /* slots whose line is in the log */
    bool *is_moved;               /* [n_rows] it lost its CPU and this was told */
    /* closed loop; n_loop_cpus 0: open */
    size_t n_loop_cpus;
    mim_cpu_usage *usage;
    mim_loop_cpu *loop_cpus; /* [n_loop_cpus] row r is on r % n_loop_cpus */
    double *busy_s;          /* [n_loop_cpus] */
    int64_t loop_ns;         /* of the last edge */
    mim_run_result *result;
} mim_execution;

/* executor_sample.c */
int mim_execution_open_sampler(mim_execution *x);
/* The record at the edge where slot i begins and slot i - 1 ended. */
int mim_execution_sample(mim_execution *x, size_t edge);
void mim_execution_close_sampler(mim_execution *x);

/* executor_watch.c: what is looked at from edge to edge. */
int mim_execution_open_watch(mim_execution *x);
/* Right after an edge's record: rows that lost their CPU, the closed loop, lines of slots that all
 * rows are done with. */
void mim_execution_watch(mim_execution *x, size_t edge);
/* When the rows are home: the lines of the last slots. */
void mim_execution_end_watch(mim_execution *x);
void mim_execution_close_watch(mim_execution *x);

/* executor_run.c and executor_compat.c: from the open gate to the end of the last slot; for slots
 * on the absolute schedule, and for the original's. */
int mim_execution_run(mim_execution *x);
int mim_execution_run_compat(mim_execution *x);
/* Common to both: sleeps to the instant; false when a signal came meanwhile. */
bool mim_execution_sleep_to(int64_t instant_ns);
/* The edge's record and what goes with it; a slot's length once it has ended. */
int mim_execution_pass_edge(mim_execution *x, size_t edge);
void mim_execution_note_slot(mim_execution *x, size_t slot, int64_t begin_ns, int64_t end_ns);
/* A record that cannot be written ends the run, not what was measured before it. */
int mim_execution_keep_failure(mim_execution *x);

#endif
