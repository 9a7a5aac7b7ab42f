/* Injected faults, so that tests can prove what happens when a call fails on one process of many.
 *
 * With MIMESYS_FAULT=every:seed in the environment, every n-th call of mim_fault fails; which one
 * comes first is drawn from the seed and the process's rank. Without the variable nothing fails.
 * The state is the process's (a third exception to "no mutable globals": a fault has no caller that
 * could carry it). */
#ifndef MIM_CORE_FAULT_H
#define MIM_CORE_FAULT_H

#include <stdint.h>

#include "core/error.h"

/* For mains: reads the variable; without this call nothing ever fails. MIM_EUSAGE when it is not
 * two whole numbers, the first from 1 on. */
int mim_fault_start(uint32_t rank);

/* Stands where a call of the operating system may fail: MIM_EIO with the sentence "WHAT: injected
 * fault (call N)" when it is its turn, else MIM_OK. Thread-safe. */
int mim_fault(const char *what);

#endif
