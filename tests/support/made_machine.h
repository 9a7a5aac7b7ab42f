/* A made machine with hardware counters: a folder of /proc and /sys that a test may change, a
 * perf_event that counts by rule, and a sampler over both. Asserts with cmocka. */
#ifndef MIM_TESTS_MADE_MACHINE_H
#define MIM_TESTS_MADE_MACHINE_H

#include "tests/support/fake_perf.h"
#include "tests/support/sampled.h"

enum { MADE_MS = 1000000 }; /* ns */

typedef struct made_machine {
    char *folder;
    fake_perf fake;
    mim_sampler *sampler;
} made_machine;

/* "skylake", "zen4" ...: still to be opened, so that a test can change it. */
void machine_prepare(made_machine *m, const char *name);
void machine_open(made_machine *m);                    /* the sampler, with its header written */
void machine_start(made_machine *m, const char *name); /* both */
void machine_end(made_machine *m);                     /* asserts that no counter stays open */
void machine_pass(made_machine *m, unsigned ms);       /* lets time pass and takes a sample */

void assert_note(made_machine *m, const char *source, bool is_read, const char *note);
/* The keys of a type, "a b c". */
void assert_keys(const mim_stats *stats, const char *type, const char *expected);
bool has_row(const mim_stats *stats, size_t record, const char *type, const char *device);

#endif
