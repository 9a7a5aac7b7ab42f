#include "node/loaded_plan.h"

#include "node/executor.h"

int mim_loaded_plan_read(const char *path, const mim_actions *actions, const mim_plan_pace *pace,
                         const mim_machine *machine, const mim_limits *limits, mim_log *log,
                         mim_loaded_plan *loaded)
{
    static const double shortest_slot_s = 0.01;
    mim_loaded_plan made = {.slot_s = pace->slot_s};
    int rc = mim_plan_read(path, actions, &made.plan);
    if (rc == MIM_OK)
        rc = mim_plan_needs(made.plan, &made.need);
    if (rc == MIM_OK && made.slot_s == 0.0)
        made.slot_s = mim_plan_slot_s(made.plan) > 0.0 ? mim_plan_slot_s(made.plan) : 1.0;
    if (rc == MIM_OK && made.slot_s < shortest_slot_s)
        rc = mim_fail(MIM_EUSAGE, "slot_s: expected 0 or at least %g s, found %g", shortest_slot_s,
                      made.slot_s);
    if (rc == MIM_OK) {
        const double n_slots =
            (double)pace->n_iters * (made.need.n_slots + (pace->idle_slot ? 1.0 : 0.0));
        const double result_bytes = mim_run_result_bytes(made.plan, n_slots);
        made.duration_s = n_slots * made.slot_s;
        made.need.memory_bytes += result_bytes < 9e18 ? (uint64_t)result_bytes : UINT64_MAX / 2;
        if (made.need.cpu_s_per_slot_s > (double)machine->n_cpus)
            mim_log_warn(log, "plan",
                         "its threads ask for %.1f CPUs at once, this run may use %zu: they share, "
                         "and get less than their weights",
                         made.need.cpu_s_per_slot_s, machine->n_cpus);
        rc = mim_limits_check(limits, machine, &made.need, made.duration_s);
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
