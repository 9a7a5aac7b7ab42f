#define _GNU_SOURCE /* CPU sets of any size */
#include "node/pin.h"

#include <sched.h>

void mim_pin_any(size_t n, const mim_cpu *cpus)
{
    int highest = 0;
    for (size_t i = 0; i < n; i++)
        highest = cpus[i].os_index > highest ? cpus[i].os_index : highest;
    cpu_set_t *set = CPU_ALLOC((size_t)highest + 1);
    if (!set)
        return;
    size_t n_bytes = CPU_ALLOC_SIZE((size_t)highest + 1);
    CPU_ZERO_S(n_bytes, set);
    for (size_t i = 0; i < n; i++)
        CPU_SET_S((size_t)cpus[i].os_index, n_bytes, set);
    sched_setaffinity(0, n_bytes, set);
    CPU_FREE(set);
}

void mim_pin(int os_index)
{
    const mim_cpu cpu = {.os_index = os_index};
    mim_pin_any(1, &cpu);
}

void mim_unpin(const mim_machine *machine) { mim_pin_any(machine->n_cpus, machine->cpus); }
