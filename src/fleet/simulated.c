/* The simulated fleet: tasks on a simulated node (node/simulated.h). Nothing runs and no time
 * passes: a task's result is there when it was submitted. Any number may be pending; results come
 * in the order of submission. */
#include <stdlib.h>

#include "core/fault.h"
#include "core/text.h"
#include "fleet/fleet.h"

typedef struct item {
    mim_fleet_result *result;
    struct item *next;
} item;

typedef struct simulated {
    mim_simulated *node;
    item *first, **last; /* where the next one is put */
} simulated;

static int open_simulated(const mim_fleet_options *options, void **state)
{
    simulated *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "simulated fleet");
    int rc = mim_simulated_create(&options->simulated, &made->node);
    if (rc != MIM_OK) {
        free(made);
        return rc;
    }
    made->last = &made->first;
    *state = made;
    return MIM_OK;
}

static void take_shares(mim_run_result *run, mim_fleet_result *result)
{
    result->n_slots = run->n_slots;
    result->n_threads = run->n_rows;
    result->n_stressors = run->n_stressors;
    result->given_share = run->share;
    run->share = NULL;
}

/* Nobody disturbs a simulated node. */
static int accept_all(mim_fleet_result *result)
{
    const size_t n = result->series->n_slots;
    if (!(result->is_accepted = calloc(n + 1, sizeof *result->is_accepted)))
        return mim_fail(MIM_ENOMEM, "marks of %zu slots", n);
    for (size_t i = 0; i < n; i++)
        result->is_accepted[i] = true;
    return MIM_OK;
}

static int run_task(const simulated *s, const mim_fleet_task *task, mim_fleet_result *result)
{
    const mim_simulated_task asked = {
        .plan_id = task->id, .plan = task->plan, .slot_s = task->slot_s, .n_iters = task->n_iters};
    mim_run_result *run = NULL;
    const mim_simulated_outputs outputs = {.series = &result->series, .result = &run};
    int rc = mim_simulated_run(s->node, &asked, &outputs);
    if (rc == MIM_OK && run)
        take_shares(run, result);
    if (rc == MIM_OK)
        rc = accept_all(result);
    mim_run_result_destroy(&run);
    return rc;
}

static int submit_simulated(void *state, const mim_fleet_task *task)
{
    simulated *s = state;
    item *made = calloc(1, sizeof *made);
    mim_fleet_result *result = calloc(1, sizeof *result);
    int rc = made && result ? mim_fault("simulated task") : mim_fail(MIM_ENOMEM, "simulated task");
    if (rc == MIM_OK) {
        result->task_id = task->id;
        snprintf(result->host, sizeof result->host, "%s", mim_simulated_name(s->node));
        result->status = mim_fleet_status_of(run_task(s, task, result));
        if (result->status != MIM_FLEET_DONE && !(result->error = mim_strdup(mim_error())))
            rc = mim_fail(MIM_ENOMEM, "simulated task");
    }
    if (rc != MIM_OK) {
        mim_fleet_result_destroy(&result);
        free(made);
        return rc;
    }
    made->result = result;
    *s->last = made;
    s->last = &made->next;
    return MIM_OK;
}

static int poll_simulated(void *state, mim_fleet_result **result)
{
    simulated *s = state;
    item *old = s->first;
    if (!old)
        return MIM_OK;
    *result = old->result;
    s->first = old->next;
    if (!s->first)
        s->last = &s->first;
    free(old);
    return MIM_OK;
}

static void close_simulated(void *state)
{
    simulated *s = state;
    mim_fleet_result *result = NULL;
    while (s->first) {
        poll_simulated(s, &result);
        mim_fleet_result_destroy(&result);
    }
    mim_simulated_destroy(&s->node);
    free(s);
}

const mim_fleet_kind mim_fleet_simulated = {
    .name = "simulated",
    .help = "an openly simulated node: nothing runs",
    .open = open_simulated,
    .submit = submit_simulated,
    .poll = poll_simulated,
    .close = close_simulated,
};
