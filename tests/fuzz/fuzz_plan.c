/* Any bytes as a plan file: a valid plan or one of the documented errors, whatever becomes of the
 * HDF5 library on the way; no ended process is left. The library runs in a forked reader, so
 * libFuzzer sees the coverage of what checks its answers only. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_plan: %s (last error: %s)\n", what, mim_error());
        abort();
    }
}

static void check_plan(mim_plan *plan)
{
    mim_plan_need need;
    check(mim_plan_n_windows(plan) > 0 && mim_plan_n_threads(plan) > 0, "an empty plan");
    check(mim_plan_validate(plan, "plan") == MIM_OK, "an invalid plan was read");
    check(mim_actions_n(mim_plan_actions(plan)) == mim_plan_n_stressors(plan), "another list");
    if (mim_plan_needs(plan, &need) == MIM_OK)
        mim_plan_need_clear(&need);
}

/* A reader that was not waited for; the fuzzer's own symboliser may be alive beside. */
static void check_children(void)
{
    siginfo_t info = {0};
    int rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    check((rc == 0 && info.si_pid == 0) || (rc == -1 && errno == ECHILD), "a process is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static mim_h5_reader *reader; /* for all inputs: what one leaves behind, the next ones meet */
    char path[64];
    mim_plan *plan = NULL;
    int fd = memfd_create("plan", 0);
    if (fd < 0 || (!reader && mim_h5_reader_create(&reader) != MIM_OK) ||
        write(fd, data, n_bytes) != (ssize_t)n_bytes)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = mim_plan_read_with(reader, path, NULL, &plan);
    check(rc == MIM_OK || rc == MIM_EDATA || rc == MIM_ENOMEM, "an unexpected code");
    check((rc == MIM_OK) == (plan != NULL), "code and plan disagree");
    if (plan)
        check_plan(plan);
    mim_plan_destroy(&plan);
    close(fd);
    check_children();
    return 0;
}
