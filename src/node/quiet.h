/* Who else used this machine between two instants, so that a measurement knows when it was
 * disturbed. CPU by the kernel's idle counters with the limits of trace/accept.h, widened by what a
 * short interval cannot tell (counters are in ticks of 10 ms); block I/O by the scratch device's
 * counters against this process's own. */
#ifndef MIM_NODE_QUIET_H
#define MIM_NODE_QUIET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All counters at one instant; NaN where there is none. */
typedef struct mim_quiet_reading {
    double mono_s, own_cpu_s;
    double n_cpus;                         /* of the whole machine */
    double idle_s, steal_s;                /* sums over CPUs; idle includes waiting for I/O */
    double device_bytes, own_device_bytes; /* read and written */
} mim_quiet_reading;

/* `root` goes before /proc and /sys ("" for the machine). `folder`: on the device to watch, NULL =
 * none. */
void mim_quiet_read(const char *root, const char *folder, mim_quiet_reading *reading);

typedef struct mim_quiet {
    double steal_pct, others_pct; /* of all CPUs; NaN = cannot be told */
    double resolution_pct;        /* what the interval was too short to see */
    double foreign_share;         /* device bytes of others / own; NaN as well */
} mim_quiet;

void mim_quiet_between(const mim_quiet_reading *before, const mim_quiet_reading *after,
                       mim_quiet *quiet);
/* More than the limits allow. Kernel threads work for a process that does I/O: others may then use
 * five times as much CPU, but hardly any of the device. What cannot be told disturbs nothing. */
bool mim_quiet_is_disturbed(const mim_quiet *quiet, bool is_io);
/* "others used 35 % of the CPUs, ..." for sentences. */
enum { MIM_QUIET_TEXT_BYTES = 160 };
const char *mim_quiet_text(const mim_quiet *quiet, char text[MIM_QUIET_TEXT_BYTES]);

#endif
