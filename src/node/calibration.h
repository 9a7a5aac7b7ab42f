/* What the stressors do on this machine: measured rates and costs, and the node's ceilings.
 *
 * Kept as JSON under the machine's key (MIMESYS_CALIBRATION, else
 * $XDG_CACHE_HOME/mimesys/calibration-<key>-<n>cpus.json, else ~/.cache/...). */
#ifndef MIM_NODE_CALIBRATION_H
#define MIM_NODE_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/log.h"
#include "node/machine.h"
#include "node/scratch.h"
#include "plan/actions.h"

/* Medians of n_repeats short runs of one stressor alone on one CPU. NaN = not measured. */
typedef struct mim_cost {
    char stressor[128];
    double op_s;         /* wall seconds of one operation (paced) or batch (CPU) */
    double ops_per_s;    /* full rate of one thread: 1/op_s, paced with a pause: 1/(op_s + sleep) */
    double bytes_per_s;  /* bytes the kernel moved at that rate */
    double cpu_s_per_op; /* CPU time of one operation */
    double device_bytes_per_op; /* block-device bytes of one operation; NaN for CPU kernels */
    double spread;              /* (third - first quartile) / median of op_s */
    size_t n_repeats;
} mim_cost;

typedef struct mim_calibration {
    char machine_key[17];
    char cpu_model[128];
    char kernel[128];
    char scratch_folder[256];
    char io_mode[16];       /* "direct" or "buffered" */
    char sizes[16];         /* of working sets: "original", or "node" (see mim_actions_sizes) */
    double measured_real_s; /* when, seconds since the epoch */
    size_t n_cpus, n_sockets;
    double io_read_max_kbs, io_write_max_kbs; /* all threads together, block device, KB/s */
    size_t n_costs;
    mim_cost *costs; /* [n_costs] */
} mim_calibration;

/* MIM_EDATA, naming file, stressor and key: not such a file, a number that no machine can have
 * measured, or a stressor that stands twice. */
/* MIM_EIO: cannot be read; MIM_EDATA: no calibration, or figures out of their ranges. */
int mim_calibration_read(const char *path, mim_calibration **calibration);
int mim_calibration_write(const mim_calibration *calibration, const char *path);
void mim_calibration_destroy(mim_calibration **calibration);
const mim_cost *mim_calibration_cost(const mim_calibration *calibration, const char *stressor);
/* New string: where this machine's calibration is kept; the name tells machine and CPUs in use. */
int mim_calibration_path(const mim_machine *machine, char **path);
/* The same for working sets of those sizes; the one above is for "original". */
int mim_calibration_path_of(const mim_machine *machine, const char *sizes, char **path);

typedef struct mim_calibrate_options {
    double seconds_each; /* measuring time a stressor, divided over the repeats */
    size_t n_repeats;    /* >= 7 for a stored calibration */
    bool has_ceilings;   /* measure reads and writes on all CPUs, too */
} mim_calibrate_options;
/* Runs every stressor of the list that this build has a kernel for and this node can run; the log
 * names the others. Those that differ in their pause only are measured once. `scratch` may be NULL
 * when none of them needs a file and no ceilings are asked for. */
int mim_calibrate(const mim_machine *machine, const mim_actions *actions, mim_scratch *scratch,
                  const mim_calibrate_options *options, mim_log *log,
                  mim_calibration **calibration);

#endif
