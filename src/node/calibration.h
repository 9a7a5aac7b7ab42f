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
    bool is_unstable; /* taken although its spread, or what others did, was above the limits */
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
    double memory_read_max_gb_s, memory_write_max_gb_s; /* all CPUs together, 1e9 bytes a second */
    size_t n_costs;
    mim_cost *costs; /* [n_costs] */
} mim_calibration;

/* Files of version 1 have sizes "original", no memory figures and nothing unstable. MIM_EIO: cannot
 * be read; MIM_EDATA, naming file, stressor and key: not such a file or of another version, a
 * number that no machine can have measured, or a stressor that stands twice. */
int mim_calibration_read(const char *path, mim_calibration **calibration);
int mim_calibration_write(const mim_calibration *calibration, const char *path);
void mim_calibration_destroy(mim_calibration **calibration);
const mim_cost *mim_calibration_cost(const mim_calibration *calibration, const char *stressor);
/* New string: where this machine's calibration is kept, for who takes its ceilings and its figures
 * of I/O, which do not depend on sizes: the file of sizes "original", or that of "node" when it is
 * the only one there. The name tells machine and CPUs in use. */
int mim_calibration_path(const mim_machine *machine, char **path);
/* Where that of working sets of those sizes is kept. */
int mim_calibration_path_of(const mim_machine *machine, const char *sizes, char **path);

typedef struct mim_calibrate_options {
    double seconds_each; /* measuring time a stressor, divided over the repeats */
    size_t n_repeats;    /* >= 7 for a stored calibration */
    bool has_ceilings;   /* measure disk and memory with all CPUs, too */
    double max_spread;   /* beyond, a stressor is measured longer, then refused; 0 = no judgement */
    size_t n_tries;      /* of what was disturbed or differed (node/steady.h), 0 = 3 */
    bool allow_unstable; /* keep it all the same, marked, with a warning */
    double max_age_days; /* of a stored one that is taken; 0 = any */
    double check_after_h; /* one older than this is checked first; 0 = never */
} mim_calibrate_options;
/* Runs every stressor of the list that this build has a kernel for and this node can run; the log
 * names the others. Those that differ in their pause only are measured once. `scratch` may be NULL
 * when none of them needs a file and no ceilings are asked for. MIM_EUNSUP: not measurable now, as
 * others use the machine; MIM_ECHECK: stressors whose repeats do not agree. The sentence names the
 * stressor and by how much. */
int mim_calibrate(const mim_machine *machine, const mim_actions *actions, mim_scratch *scratch,
                  const mim_calibrate_options *options, mim_log *log,
                  mim_calibration **calibration);

#endif
