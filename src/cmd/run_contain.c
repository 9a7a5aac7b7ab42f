/* mimesys_run's containment: caps from the plan at hand, and what is said of them. */
#include "cmd/run_job.h"

int mim_run_contain(mim_run_job *j)
{
    mim_contain_settings settings;
    mim_contain_need need;
    const double n_slots = j->duration_s / j->slot_s;
    mim_contain_settings_get(j->config, &settings);
    mim_contain_need_of(j->plan, &j->need, j->machine, j->calibration, j->scratch, j->limits.nice,
                        n_slots, mim_run_result_bytes(j->plan, n_slots), &need);
    mim_contain_destroy(&j->contain); /* of an earlier run */
    int rc = mim_contain_enter(&settings, &need, "", &j->contain);
    if (rc != MIM_OK)
        return rc;
    const char *missing = mim_contain_missing(j->contain);
    mim_log_info(j->log, "machine", "%s", j->machine->cpus_from);
    mim_log_info(j->log, "contain", "within %s%s%s", mim_contain_applied(j->contain),
                 missing ? "; " : "", missing ? missing : "");
    return MIM_OK;
}

json_t *mim_run_contain_json(const mim_run_job *j)
{
    if (!j->contain) /* of a simulated run */
        return json_null();
    const char *missing = mim_contain_missing(j->contain);
    return json_pack("{s:s, s:s?}", "applied", mim_contain_applied(j->contain), "missing", missing);
}
