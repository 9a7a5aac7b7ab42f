#include "fleet/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"

struct mim_fleet {
    const mim_fleet_kind *kind;
    void *state;
    size_t n_pending;
};

/* Between looks for a result: rare enough not to be seen in what is measured. */
static const int64_t nap_ns = 20000000;

static const mim_fleet_kind *const kinds[] = {&mim_fleet_local, &mim_fleet_simulated};

const mim_fleet_kind *mim_fleet_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

const char *mim_fleet_status_name(mim_fleet_status status)
{
    static const char *const names[] = {"done",    "refused", "failed",
                                        "stopped", "crashed", "timed out"};
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

mim_fleet_status mim_fleet_status_of(int rc)
{
    switch (rc) {
    case MIM_OK:
        return MIM_FLEET_DONE;
    case MIM_ESTOPPED:
        return MIM_FLEET_STOPPED;
    case MIM_EUNSUP:
    case MIM_EINVAL:
    case MIM_EDATA:
    case MIM_EUSAGE:
        return MIM_FLEET_REFUSED;
    default:
        return MIM_FLEET_FAILED;
    }
}

void mim_fleet_result_destroy(mim_fleet_result **result)
{
    mim_fleet_result *old = result ? *result : NULL;
    if (!old)
        return;
    free(old->error);
    free(old->note);
    free(old->stats_text);
    mim_series_destroy(&old->series);
    free(old->is_accepted);
    free(old->given_share);
    free(old);
    *result = NULL;
}

int mim_fleet_open(const mim_fleet_kind *kind, const mim_fleet_options *options, mim_fleet **fleet)
{
    mim_fleet *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "fleet");
    made->kind = kind;
    int rc = kind->open(options, &made->state);
    if (rc != MIM_OK) {
        free(made);
        return rc;
    }
    *fleet = made;
    return MIM_OK;
}

static int check(const mim_fleet_task *task)
{
    if (!(task->slot_s >= 0.01 && task->slot_s <= 86400))
        return mim_fail(MIM_EINVAL, "task %llu: slots of %g s, expected 0.01 to 86400",
                        (unsigned long long)task->id, task->slot_s);
    if (task->n_iters < 1 || task->n_iters > 1000000)
        return mim_fail(MIM_EINVAL, "task %llu: %zu passes, expected 1 to 1000000",
                        (unsigned long long)task->id, task->n_iters);
    if (mim_plan_first_window(task->plan) != 0)
        return mim_fail(MIM_EINVAL, "task %llu: its first window is idle, which would not be run",
                        (unsigned long long)task->id);
    return MIM_OK;
}

int mim_fleet_submit(mim_fleet *fleet, const mim_fleet_task *task)
{
    int rc = check(task);
    if (rc == MIM_OK)
        rc = fleet->kind->submit(fleet->state, task);
    fleet->n_pending += rc == MIM_OK;
    return rc;
}

size_t mim_fleet_n_pending(const mim_fleet *fleet) { return fleet->n_pending; }

int mim_fleet_poll(mim_fleet *fleet, double timeout_s, mim_fleet_result **result)
{
    int64_t end_ns = mim_clock_mono_ns() + (int64_t)(timeout_s * 1e9);
    mim_fleet_result *found = NULL;
    for (;;) {
        int rc = fleet->kind->poll(fleet->state, &found);
        int64_t now_ns = mim_clock_mono_ns();
        if (rc != MIM_OK)
            return rc;
        if (found || now_ns >= end_ns)
            break;
        mim_clock_sleep_until(end_ns - now_ns < nap_ns ? end_ns : now_ns + nap_ns);
    }
    fleet->n_pending -= found ? 1 : 0;
    *result = found;
    return MIM_OK;
}

void mim_fleet_close(mim_fleet **fleet)
{
    mim_fleet *old = fleet ? *fleet : NULL;
    if (!old)
        return;
    old->kind->close(old->state);
    free(old);
    *fleet = NULL;
}
