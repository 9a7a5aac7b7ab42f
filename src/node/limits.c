#include "node/limits.h"

#include "core/text.h"

const mim_option mim_limits_options[] = {
    {"limits", "cpus", MIM_OPTION_INT, "", "0", 0, 65536, NULL, NULL,
     "CPUs to use at most, 0 = all this process may use"},
    {"limits", "memory", MIM_OPTION_BYTES, "bytes", "0", 0, 0, NULL, NULL,
     "memory for buffers at most, 0 = half of what is available"},
    {"limits", "disk_write", MIM_OPTION_BYTES, "bytes", "16G", 0, 0, NULL, NULL,
     "bytes written to the scratch disk at most, 0 = no ceiling"},
    {"limits", "disk_free", MIM_OPTION_BYTES, "bytes", "2G", 0, 0, NULL, NULL,
     "space that stays free on the scratch file system"},
    {"limits", "time_s", MIM_OPTION_REAL, "s", "3600", 0, 1e9, NULL, NULL,
     "length of a run at most"},
    {"limits", "nice", MIM_OPTION_INT, "", "5", 0, 19, NULL, NULL,
     "niceness of the load, so that the machine stays usable"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

void mim_limits_get(const mim_config *config, mim_limits *limits)
{
    limits->max_cpus = (size_t)mim_config_int(config, "limits.cpus");
    limits->max_memory_bytes = mim_config_bytes(config, "limits.memory");
    limits->max_written_bytes = mim_config_bytes(config, "limits.disk_write");
    limits->min_free_bytes = mim_config_bytes(config, "limits.disk_free");
    limits->max_time_s = mim_config_real(config, "limits.time_s");
    limits->nice = (int)mim_config_int(config, "limits.nice");
}

int mim_limits_check(const mim_limits *limits, const mim_machine *machine,
                     const mim_plan_need *need, double duration_s)
{
    char needed[MIM_BYTES_TEXT_BYTES], allowed[MIM_BYTES_TEXT_BYTES];
    uint64_t memory =
        limits->max_memory_bytes ? limits->max_memory_bytes : machine->memory_available_bytes / 2;
    if (memory && need->memory_bytes > memory)
        return mim_fail(MIM_EUNSUP,
                        "the plan needs %s of memory, the ceiling is %s (limits.memory)",
                        mim_bytes_text((double)need->memory_bytes, needed),
                        mim_bytes_text((double)memory, allowed));
    if (limits->max_written_bytes && need->scratch_bytes > limits->max_written_bytes)
        return mim_fail(MIM_EUNSUP,
                        "the plan needs scratch files of %s, the ceiling is %s (limits.disk_write)",
                        mim_bytes_text((double)need->scratch_bytes, needed),
                        mim_bytes_text((double)limits->max_written_bytes, allowed));
    if (duration_s > limits->max_time_s)
        return mim_fail(MIM_EUNSUP,
                        "the run would take %.0f s, the ceiling is %.0f s (limits.time_s)",
                        duration_s, limits->max_time_s);
    return MIM_OK;
}
