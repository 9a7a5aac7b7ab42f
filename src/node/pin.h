/* Where a thread may run; any number of CPUs. */
#ifndef MIM_NODE_PIN_H
#define MIM_NODE_PIN_H

#include "node/machine.h"

/* Keeps the calling thread on one CPU or on some, or lets it back on all CPUs of the machine
 * handle. A refusal costs accuracy, not correctness, and is ignored. */
void mim_pin(int os_index);
void mim_pin_any(size_t n, const mim_cpu *cpus);
void mim_unpin(const mim_machine *machine);

#endif
