/* Whether others load the memory: on a shared host they take bandwidth and cache, which no counter
 * of a virtual machine shows. A thread copies memory for 4 ms ten times a second, by its own clock,
 * on the last CPU, which the plans that are measured beside it leave alone. */
#ifndef MIM_TESTS_FIDELITY_MEMORY_WATCH_H
#define MIM_TESTS_FIDELITY_MEMORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "node/machine.h"

typedef struct memory_watch memory_watch;

/* Does nothing on a machine with one CPU. */
int memory_watch_create(const mim_machine *machine, memory_watch **watch);
void memory_watch_destroy(memory_watch **watch);

/* It copies from here on, or rests. */
void memory_watch_set(memory_watch *watch, bool is_on);

/* Copies between the two instants were as fast as the fastest tenth of all so far, within 8 %. True
 * also when nothing is known: fewer than two readings then, or than twenty in all. */
bool memory_watch_was_quiet(memory_watch *watch, int64_t from_ns, int64_t to_ns);

#endif
