/* A perf_event that counts by rule: no hardware, a clock that the test sets. */
#ifndef MIM_TESTS_FAKE_PERF_H
#define MIM_TESTS_FAKE_PERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/perf_group.h"

enum { FAKE_PERF_MAX_FDS = 512, FAKE_PERF_FIRST_FD = 1000, FAKE_PERF_MAX_ANSWERS = 8 };

typedef struct fake_perf_counter {
    bool is_open;
    mim_perf_event event;
    int cpu, leader; /* index of the group's leader */
    uint64_t opened_ns;
} fake_perf_counter;

/* What the next read on a CPU gives instead: a negative errno or so many bytes of words. */
typedef struct fake_perf_answer {
    int cpu;
    long result;
    const uint64_t *words;
} fake_perf_answer;

typedef struct fake_perf {
    mim_perf_calls calls; /* give these away; their context is this struct */
    uint64_t now_ns;
    double running; /* part of the time that groups count; 1 at first */
    /* Counts after `us` of counting; NULL = the event's config times us. */
    uint64_t (*count)(const mim_perf_event *event, int cpu, uint64_t us);
    int offline_cpu;  /* its counters stand still, opening them is refused; -1 = none */
    size_t max_group; /* larger groups are refused with EINVAL; 0 = any */
    /* errno for opening a counter, 0 = it can be opened; NULL = all can */
    int (*refuse)(const mim_perf_event *event, int cpu);
    fake_perf_counter counters[FAKE_PERF_MAX_FDS];
    size_t n_opened, n_open, n_reads;
    fake_perf_answer answers[FAKE_PERF_MAX_ANSWERS];
    size_t n_answers;
} fake_perf;

void fake_perf_init(fake_perf *fake);
void fake_perf_answer_once(fake_perf *fake, int cpu, long result, const uint64_t *words);

#endif
