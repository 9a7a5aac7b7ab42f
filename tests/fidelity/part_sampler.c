/* What a monitor that samples once a second takes of a core: mimesys_monitor, seen from outside. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/text.h"
#include "tests/fidelity/watch.h"

enum { N_SECONDS = 12, N_SKIPPED = 2, N_NEEDED = 5 };
static const double goal_pct = 0.1; /* of a core */

static int watch(suite *s, const char *program, const char *file, size_t n, values *core_pct)
{
    const char *const arguments[] = {program, "loop", "--out", file, "--interval", "1", NULL};
    watch_slot slots[N_SECONDS + N_SKIPPED];
    pid_t pid = watch_start(arguments);
    /* half a second off: no edge is where it samples */
    int rc = pid > 0 ? watch_slots(s, pid, mim_clock_mono_ns() + MIM_NS_PER_S / 2, 1.0, false,
                                   n + N_SKIPPED, slots)
                     : mim_fail(MIM_EIO, "%s: cannot be started", program);
    watch_stop(&pid);
    /* its own CPU time hardly depends on what others do: all seconds count */
    for (size_t i = N_SKIPPED; rc == MIM_OK && i < n + N_SKIPPED; i++)
        rc = values_add(core_pct, slots[i].cpu_pct * (double)s->machine->n_cpus);
    return rc == MIM_OK ? rc : mim_fail_in(rc, "%s", program);
}

static int run(suite *s)
{
    mim_scratch_room *room = NULL;
    values core_pct = {0};
    char *program = mim_join_path(s->bin, "mimesys_monitor"), *file = NULL;
    int rc = mim_scratch_room_create(s->scratch, (uint64_t)MIB, &room);
    if (rc == MIM_OK)
        file = mim_join_path(mim_scratch_room_path(room), "stats.txt");
    if (rc == MIM_OK)
        rc = program && file ? watch(s, program, file, s->is_quick ? 2 : N_SECONDS, &core_pct)
                             : mim_fail(MIM_ENOMEM, "monitor");
    if (rc == MIM_OK) {
        figure f = figure_of("sampler", "% of a core", "mimesys_monitor at 1 Hz");
        f.value = values_median(&core_pct);
        f.spread = values_quantile(&core_pct, 0.75) - values_quantile(&core_pct, 0.25);
        f.n = core_pct.n;
        f.n_needed = N_NEEDED;
        f.at_most = goal_pct;
        figure_print(&f, &s->report);
    }
    values_clear(&core_pct);
    mim_scratch_room_destroy(&room);
    free(program);
    free(file);
    return rc;
}

const suite_part suite_sampler = {"sampler", "what sampling once a second costs", 15.0, run};
