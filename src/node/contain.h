/* Keeping a run within what it needs, whatever a plan or a stressor does.
 *
 * Where groups can be made below the process's own (v1 or v2: root, a delegated scope, a batch job
 * that was given its group) the process moves into a group "mimesys-run.<pid>" of its own, with
 * caps on memory, tasks, the scratch device and (below the machine's root group, where being
 * a group changes nothing for it) CPU time; resource limits make allocations fail
 * with a sentence before the kernel would end the process, and are all there is elsewhere. Caps are
 * above what a run needs, so that they bound what goes wrong and do not shape what goes right.
 * Groups of other names are never touched; leave and sweep remove ours. */
#ifndef MIM_NODE_CONTAIN_H
#define MIM_NODE_CONTAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/error.h"
#include "core/log.h"
#include "node/calibration.h"
#include "node/machine.h"
#include "node/scratch.h"
#include "plan/plan.h"

/* Options of section [contain]. */
extern const mim_option mim_contain_options[];

typedef enum {
    MIM_CONTAIN_OFF,
    MIM_CONTAIN_AUTO,   /* a group where one can be made, and limits */
    MIM_CONTAIN_CGROUP, /* a group or nothing */
    MIM_CONTAIN_RLIMITS /* limits only */
} mim_contain_mode;

typedef struct mim_contain_settings {
    mim_contain_mode mode;
    double cpu_margin, memory_margin, io_margin; /* cap / need; 0 = no such cap */
    bool has_cpuset;                             /* also keep to the machine handle's CPUs */
} mim_contain_settings;

void mim_contain_settings_get(const mim_config *config, mim_contain_settings *settings);

/* What a run takes at most; all of it is borrowed until enter returns. */
typedef struct mim_contain_need {
    const mim_machine *machine;
    size_t n_rows;              /* threads of the plan with any weight */
    uint64_t memory_bytes;      /* buffers and results */
    uint64_t file_bytes;        /* scratch files together: each may be as long, all may be cached */
    uint64_t output_bytes;      /* the longest of the run's results */
    int nice;                   /* of its threads */
    const char *scratch_folder; /* NULL: no scratch files */
    bool is_buffered;           /* scratch files go through the page cache */
    /* What the scratch device gives to all or to the plan's rows one by one, whichever is more: it
     * may have been measured at a bad moment. NaN = unknown. */
    double read_bytes_per_s, write_bytes_per_s;
} mim_contain_need;

/* `n_slots` records and `result_bytes` are what the run will store. `scratch` and `calibration` may
 * be NULL. */
void mim_contain_need_of(const mim_plan *plan, const mim_plan_need *plan_need,
                         const mim_machine *machine, const mim_calibration *calibration,
                         const mim_scratch *scratch, int nice, double n_slots, double result_bytes,
                         mim_contain_need *need);

typedef struct mim_contain mim_contain;

/* Moves this process, with all its threads, into its group and sets limits; leftovers of dead runs
 * of this user are removed first. `root` goes before /proc and /sys: "" for the machine, a folder
 * for tests. What could not be had is no failure, unless mode CGROUP asks for it (MIM_EUNSUP). */
int mim_contain_enter(const mim_contain_settings *settings, const mim_contain_need *need,
                      const char *root, mim_contain **contain);
/* Back to the group and limits of before; the own group is removed. Again, or NULL, is fine. */
void mim_contain_leave(mim_contain *contain);
void mim_contain_destroy(mim_contain **contain); /* leaves, too */

/* For programs whose children are to be contained. In v2's tree a group that hands controllers on
 * may hold no process, so this one steps aside into a group of its own where it is the only one;
 * elsewhere there is nothing to do. Destroying the handle steps back. */
int mim_contain_step_aside(const mim_contain_settings *settings, const char *root,
                           mim_contain **contain);

/* One line each, owned by the handle. Applied: "cgroup v1: 1.75 CPUs, memory 812 MiB, 80 tasks;
 * limits: data 900 MiB, ..." or "nothing". Missing: why not more; NULL when all was had. A NULL
 * handle has "nothing" and NULL. */
const char *mim_contain_applied(const mim_contain *contain);
const char *mim_contain_missing(const mim_contain *contain);

/* Removes groups that dead runs of this user left (kill -9). */
void mim_contain_sweep(const char *root);

#endif
