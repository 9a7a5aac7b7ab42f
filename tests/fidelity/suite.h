/* What the parts of the fidelity suite share: this machine, runs whose slots are judged, and
 * repetition of what others disturbed. */
#ifndef MIM_TESTS_FIDELITY_SUITE_H
#define MIM_TESTS_FIDELITY_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/executor.h"
#include "tests/fidelity/memory_watch.h"
#include "tests/support/figure.h"
#include "tests/support/values.h"

#define MIB 1048576.0

/* Overshoots are compared where the same plans ran. */
typedef enum { SUITE_MIXED, SUITE_MIXED_COMPAT, SUITE_SINGLE, SUITE_N_RUNS } suite_runs;

/* Of slots of half a second and more: % of the slot. */
typedef struct suite_overshoot {
    values pct;
    size_t n_rejected;
} suite_overshoot;

/* Slots that are accepted only while others left the memory alone, too: none, those of memory
 * stressors only, all without pauses and I/O. */
typedef enum { SUITE_NO_MEMORY, SUITE_MEMORY_STRESSORS, SUITE_COMPUTING } suite_memory;

typedef struct suite {
    mim_machine *machine;
    mim_actions *actions; /* the default list */
    mim_scratch *scratch;
    memory_watch *memory;
    suite_memory memory_for;
    const char *bin; /* folder of the programs */
    bool is_quick;   /* little of everything: shows that it works, measures nothing */
    bool takes_all;  /* disturbed slots, too: no verdicts then */
    size_t n_tries;
    int64_t repeat_until_ns; /* after that nothing disturbed is repeated in this part */
    figure_report report;
    suite_runs runs; /* what the parts run now, of metered ones */
    suite_overshoot overshoot[SUITE_N_RUNS];
} suite;

/* One file each, ended by one of these, listed in fidelity.c. */
typedef struct suite_part {
    const char *name, *what;
    double limit_s; /* of the suite's time for it and its repetitions; what is left is the next's */
    int (*run)(suite *s);
} suite_part;

extern const suite_part suite_dose, suite_cpu, suite_io, suite_share, suite_drift, suite_repeat,
    suite_sampler;

int suite_create(const char *bin, suite **s); /* the rest is the caller's to set */
void suite_destroy(suite **s);
void suite_watch_memory(suite *s, suite_memory memory_for); /* from here on */
/* Whether a disturbed measurement may be tried again; n_done: times it was tried. Waits until the
 * machine is quiet, or until it is too late. */
bool suite_may_repeat(const suite *s, size_t n_done);

/* Costs and rates of these stressors here; pointers to names of the catalogue. */
int suite_calibrate(const suite *s, const mim_actions *actions, mim_calibration **calibration);
int suite_calibrate_one(const suite *s, const char *stressor, mim_calibration **calibration);

/* A run and which of its slots were undisturbed. */
typedef struct suite_run {
    mim_run_result *result;
    bool *is_accepted; /* [result->n_slots] */
    size_t n_accepted;
} suite_run;
/* `options`' stats are the suite's. Adds overshoots of long slots to those of the suite. */
int suite_run_plan(suite *s, const mim_plan *plan, const mim_calibration *calibration,
                   const mim_execute_options *options, suite_run *run);
void suite_run_clear(suite_run *run);

/* Runs the plan, and again those windows that were disturbed, as often as may be. `read` gets every
 * accepted slot (each window once at most, in the order of the plan within a run). */
typedef int suite_reader(void *context, size_t window, const mim_run_result *result, size_t slot);
int suite_collect(suite *s, const mim_plan *plan, const mim_calibration *calibration,
                  const mim_execute_options *options, suite_reader *read, void *context,
                  size_t *n_accepted, size_t *n_rejected);

#endif
