#include "node/loaded_plan.h"

#include "node/executor.h"

static const double shortest_slot_s = 0.01;

static int choose_slot(const mim_plan_pace *pace, mim_loaded_plan *p)
{
    p->slot_s = pace->slot_s;
    if (p->slot_s == 0.0)
        p->slot_s = mim_plan_slot_s(p->plan);
    if (p->slot_s == 0.0)
        p->slot_s = pace->usual_slot_s;
    if (p->slot_s < shortest_slot_s)
        return mim_fail(MIM_EUSAGE, "slot_s: expected 0 or at least %g s, found %g",
                        shortest_slot_s, p->slot_s);
    return MIM_OK;
}

static void estimate(const mim_plan_pace *pace, mim_loaded_plan *p)
{
    const double n_slots =
        (double)pace->n_iters * (p->need.n_slots + (pace->idle_slot ? 1.0 : 0.0));
    const double result_bytes = mim_run_result_bytes(p->plan, n_slots);
    p->duration_s = n_slots * p->slot_s;
    p->longest_s = (double)pace->n_runs * (p->duration_s + pace->before_s);
    p->need.memory_bytes += result_bytes < 9e18 ? (uint64_t)result_bytes : UINT64_MAX / 2;
}

int mim_loaded_plan_read(const char *path, const mim_actions *actions, const mim_actions_node *node,
                         const mim_plan_pace *pace, const mim_machine *machine,
                         const mim_limits *limits, mim_log *log, mim_loaded_plan *loaded)
{
    mim_loaded_plan made = {0};
    int rc = pace->has_any_row_sums ? mim_plan_read_any(path, actions, &made.plan)
                                    : mim_plan_read(path, actions, &made.plan);
    if (rc == MIM_OK)
        rc = mim_plan_fit(made.plan, node);
    if (rc == MIM_OK)
        rc = mim_plan_needs(made.plan, &made.need);
    if (rc == MIM_OK)
        rc = choose_slot(pace, &made);
    if (rc == MIM_OK) {
        estimate(pace, &made);
        if (made.need.cpu_s_per_slot_s > (double)machine->n_cpus)
            mim_log_warn(log, "plan",
                         "its threads ask for %.1f CPUs at once, this run may use %zu: they share, "
                         "and get less than their weights",
                         made.need.cpu_s_per_slot_s, machine->n_cpus);
        if (limits)
            rc = mim_limits_check(limits, machine, &made.need, made.longest_s);
    }
    if (rc == MIM_OK) {
        *loaded = made;
        made = (mim_loaded_plan){0};
    }
    mim_loaded_plan_clear(&made);
    return rc;
}

void mim_loaded_plan_clear(mim_loaded_plan *loaded)
{
    mim_plan_destroy(&loaded->plan);
    mim_plan_need_clear(&loaded->need);
}
