/* A program's load, seen from outside: CPU time and storage bytes of a process and its descendants
 * per slot, what the disks moved, and whether the slot was undisturbed. The same eye for our
 * executor and for its peers. */
#ifndef MIM_TESTS_FIDELITY_WATCH_H
#define MIM_TESTS_FIDELITY_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/fidelity/suite.h"

/* Ends with us, whatever happens; its output goes nowhere. -1: cannot be started. */
pid_t watch_start(const char *const *arguments);
bool watch_is_installed(const char *program); /* in PATH, or a path */
void watch_stop(pid_t *pid);

/* Our executor in a process of its own; *start_ns: when its slot 0 begins. */
int watch_start_executor(const suite *s, const mim_plan *plan, const mim_calibration *calibration,
                         const mim_execute_options *options, pid_t *pid, int64_t *start_ns);

typedef struct watch_slot {
    double cpu_pct;                 /* CPU time of the processes, of all CPUs' */
    double read_mib_s, write_mib_s; /* asked of storage, as the kernel accounts it to them */
    double disk_read_mib_s, disk_write_mib_s; /* at the disks, others' too; NaN = not known */
    bool is_accepted;
} watch_slot;

/* Slots of slot_s from start_ns on; MIM_ECHECK when the process has ended before. `is_io`: the
 * kernel works for it (tests/support/judge.h). */
int watch_slots(const suite *s, pid_t pid, int64_t start_ns, double slot_s, bool is_io,
                size_t n_slots, watch_slot *slots);

#endif
