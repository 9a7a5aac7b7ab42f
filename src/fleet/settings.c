#include "fleet/settings.h"

const mim_option mim_fleet_settings[] = {
    {"fleet", "kind", MIM_OPTION_CHOICE, "", "local", 0, 0, "local|simulated", NULL,
     "where plans run: on this node, or on a simulated one (nothing runs)"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_simulated_settings[] = {
    {"simulated", "size", MIM_OPTION_TEXT, "", "2x10", 0, 0, NULL, NULL,
     "sockets x cores of a socket of the simulated node, such as 1x2, 2x10 or 2x96"},
    {"simulated", "noise", MIM_OPTION_BOOL, "", "true", 0, 0, NULL, NULL,
     "metrics of the simulated node are noisy"},
    {"simulated", "carry_over", MIM_OPTION_BOOL, "", "true", 0, 0, NULL, NULL,
     "its page cache carries writes and reads over to the next slot"},
    {"simulated", "seed", MIM_OPTION_INT, "", "1", 0, 9e15, NULL, NULL, "seed of its noise"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_fleet_kind *mim_fleet_kind_get(const mim_config *config)
{
    return mim_fleet_find(mim_config_text(config, "fleet.kind"));
}

int mim_simulated_options_get(const mim_config *config, mim_simulated_options *options)
{
    mim_simulated_options found = {
        .has_noise = mim_config_bool(config, "simulated.noise"),
        .has_carry_over = mim_config_bool(config, "simulated.carry_over"),
        .seed = (uint64_t)mim_config_int(config, "simulated.seed"),
    };
    int rc = mim_simulated_size_parse("simulated.size", mim_config_text(config, "simulated.size"),
                                      &found.size);
    if (rc == MIM_OK)
        *options = found;
    return rc;
}
