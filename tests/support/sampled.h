/* Samplers over made folders of /proc and /sys, and what their text says. Asserts with cmocka. */
#ifndef MIM_TESTS_SAMPLED_H
#define MIM_TESTS_SAMPLED_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "node/sampler.h"
#include "trace/stats.h"

#define FIXTURE "tests/data/proc-fixture"
#define HARDWARE "tests/data/hardware"

void shell(const char *format, ...) MIM_PRINTF(1, 2);
/* A copy of the fixture that a test may change, with the folders proc and sys. */
char *copy_fixture(void);
/* The same with the hardware of "skylake", "zen4" ... on top. */
char *copy_hardware(const char *machine);
void remove_copy(char *folder);
void put_file(const char *folder, const char *name, const char *text);

/* A sampler over folder/proc and folder/sys. `base` NULL = of host "fixture-node". */
mim_sampler *open_in(const char *folder, const mim_sampler_options *base);
void take_sample(mim_sampler *sampler);
char *text_of(mim_sampler *sampler); /* everything gathered so far; the caller frees it */
mim_stats *parse(const char *text);
mim_stats *stats_of(mim_sampler *sampler); /* text_of, parsed */
mim_stats *sample_in(const char *folder);  /* one sample of a new sampler */
const mim_probe_source *find_source(const mim_sampler *sampler, const char *name);

/* The row of a device in a record, NULL when there is none. */
const uint64_t *find_row(const mim_stats *stats, size_t record, const char *type,
                         const char *device);
uint64_t value_of(const mim_stats *stats, size_t record, const char *type, const char *device,
                  const char *key);

#endif
