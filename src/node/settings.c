#include "node/settings.h"

#include <string.h>

#include "node/steady.h"

const mim_option mim_scratch_settings[] = {
    {"scratch", "folder", MIM_OPTION_TEXT, "", "", 0, 0, NULL, "MIMESYS_SCRATCH",
     "folder for scratch files, empty = /var/tmp"},
    {"scratch", "io_mode", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|direct|buffered", NULL,
     "past the page cache (direct) or through it; auto = direct where the file system can"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_calibrate_settings[] = {
    {"calibrate", "seconds_each", MIM_OPTION_REAL, "s", "0.7", 0.05, 60, NULL, NULL,
     "measuring time of one stressor"},
    {"calibrate", "repeats", MIM_OPTION_INT, "", "7", 3, 64, NULL, NULL,
     "repeats of which the median is kept"},
    {"calibrate", "max_spread", MIM_OPTION_REAL, "", "0.1", 0.001, 10, NULL, NULL,
     "spread of a stressor's repeats (quartiles / median) beyond which it is measured longer, then "
     "refused"},
    {"calibrate", "tries", MIM_OPTION_INT, "", "3", 1, MIM_STEADY_MAX_TRIES, NULL,
     "MIMESYS_CALIBRATE_TRIES",
     "times that what others disturbed, or what differs too much, is measured"},
    {"calibrate", "allow_unstable", MIM_OPTION_BOOL, "", "false", 0, 0, NULL,
     "MIMESYS_ALLOW_UNSTABLE",
     "keep what is beyond, or was disturbed by others, marked and with a warning"},
    {"calibrate", "max_age_days", MIM_OPTION_REAL, "days", "30", 0, 1e6, NULL, NULL,
     "a stored calibration older than this is measured anew; 0 = none is too old"},
    {"calibrate", "check_after_h", MIM_OPTION_REAL, "h", "12", 0, 1e6, NULL, NULL,
     "one older than this is checked by two stressors first; 0 = never"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_stressor_settings[] = {
    {"stressors", "sizes", MIM_OPTION_CHOICE, "", "original", 0, 0, "original|node", NULL,
     "working sets of the original's stressors for cache levels: its own, or by this node's "
     "caches"},
    {"stressors", "network_peer", MIM_OPTION_TEXT, "", "", 0, 0, NULL, "MIMESYS_NETWORK_PEER",
     "HOST:PORT that takes and discards what MIM_NETWORK_PEER stressors send"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

void mim_scratch_options_get(const mim_config *config, const mim_limits *limits,
                             mim_scratch_options *options)
{
    const char *folder = mim_config_text(config, "scratch.folder");
    const char *mode = mim_config_text(config, "scratch.io_mode");
    *options = (mim_scratch_options){
        .folder = *folder ? folder : "/var/tmp",
        .min_free_bytes = limits->min_free_bytes,
        .max_written_bytes = limits->max_written_bytes,
        .io_mode = strcmp(mode, "direct") == 0     ? MIM_IO_DIRECT
                   : strcmp(mode, "buffered") == 0 ? MIM_IO_BUFFERED
                                                   : MIM_IO_AUTO,
    };
}

void mim_actions_node_get(const mim_config *config, const mim_machine *machine,
                          mim_actions_node *node)
{
    *node = (mim_actions_node){
        .caches = mim_machine_caches(machine),
        .sizes_all = strcmp(mim_config_text(config, "stressors.sizes"), "node") == 0,
        .network_peer = mim_config_text(config, "stressors.network_peer"),
    };
}

void mim_calibrate_options_get(const mim_config *config, bool has_ceilings,
                               mim_calibrate_options *options)
{
    *options = (mim_calibrate_options){
        .seconds_each = mim_config_real(config, "calibrate.seconds_each"),
        .n_repeats = (size_t)mim_config_int(config, "calibrate.repeats"),
        .has_ceilings = has_ceilings,
        .max_spread = mim_config_real(config, "calibrate.max_spread"),
        .n_tries = (size_t)mim_config_int(config, "calibrate.tries"),
        .allow_unstable = mim_config_bool(config, "calibrate.allow_unstable"),
        .max_age_days = mim_config_real(config, "calibrate.max_age_days"),
        .check_after_h = mim_config_real(config, "calibrate.check_after_h"),
    };
}
