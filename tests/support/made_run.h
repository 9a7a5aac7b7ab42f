/* A folder with a plan and the stats text of its run, by rule: nothing in them was measured.
 *
 * 2 threads on CPUs 0 and 1, the 3 stressors of made_rows.h, slots of a second. In slot i, CPU c is
 * busy for cpu[i][c] % and read_kbs[i] KB/s are read, both repeated after MADE_MAX_SLOTS. */
#ifndef MIM_TESTS_MADE_RUN_H
#define MIM_TESTS_MADE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MADE_MAX_SLOTS = 64 };

typedef struct made_run {
    const char *folder, *name; /* folder/name.h5, folder/stats-name.txt */
    size_t n_windows, n_slots; /* of the plan; in the stats text */
    uint32_t seed;             /* of the plan's weights */
    int cpu[MADE_MAX_SLOTS][2];
    int read_kbs[MADE_MAX_SLOTS];
    bool is_stolen[MADE_MAX_SLOTS]; /* disturbed: 10 % of the time was stolen */
    size_t lost_record;             /* left out of the text, 0: none */
    bool is_plain;                  /* without the executor's own rows */
    bool is_full; /* the list of 20 stressors, the types of text that a node gives, a result file */
    const char *machine; /* NULL: "made by rule" */
} made_run;

/* The weight in the plan. */
double made_weight(const made_run *run, size_t window, size_t thread, size_t stressor);
int made_run_write(const made_run *run);

#endif
