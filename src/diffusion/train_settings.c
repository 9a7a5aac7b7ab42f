#include "diffusion/train_settings.h"

#include <stdio.h>
#include <string.h>

const mim_option mim_model_settings[] = {
    {"model", "kind", MIM_OPTION_CHOICE, "", "thread_token", 0, 0, "thread_token|cell_token|unet",
     NULL,
     "network: thread_token, a transformer with one token a thread, whose order does not matter; "
     "cell_token, one with a token for each stressor of each thread; unet, convolutions along the "
     "stressors; the latter two for a fixed number of threads"},
    {"model", "width", MIM_OPTION_INT, "", "128", 4, MIM_NETWORK_MAX_WIDTH, NULL, NULL,
     "numbers a token has: even and a multiple of heads; unet: channels of the first level, even"},
    {"model", "blocks", MIM_OPTION_INT, "", "4", 1, MIM_NETWORK_MAX_BLOCKS, NULL, NULL,
     "blocks of attention and MLP (not of unet)"},
    {"model", "heads", MIM_OPTION_INT, "", "4", 1, MIM_NETWORK_MAX_WIDTH, NULL, NULL,
     "heads of attention"},
    {"model", "mlp_ratio", MIM_OPTION_INT, "", "4", 1, MIM_NETWORK_MAX_RATIO, NULL, NULL,
     "width of a block's MLP over the width (not of unet)"},
    {"model", "dropout", MIM_OPTION_REAL, "", "0.1", 0, 0.99, NULL, NULL,
     "cell_token, unet: share of activations that falls in training"},
    {"model", "head_width", MIM_OPTION_INT, "", "32", 1, MIM_NETWORK_MAX_WIDTH, NULL, NULL,
     "unet: numbers of a head of attention"},
    {"model", "multipliers", MIM_OPTION_TEXT, "", "1,2,4", 0, 0, NULL, NULL,
     "unet: channels over width, a level each"},
    {"model", "pointwise", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "unet: convolutions of single positions, as many on all levels"},
    {"model", "metric_masks", MIM_OPTION_BOOL, "", "true", 0, 0, NULL, NULL,
     "cell_token, unet: tell which metrics are known and whether there is a slot before"},
    {"model", "previous", MIM_OPTION_CHOICE, "", "token", 0, 0, "none|token", NULL,
     "cell_token: tell tokens the slot before"},
    {"model", "freeze_previous", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "cell_token, unet: but tell that there was none, for comparison"},
    {"model", "thread_condition", MIM_OPTION_CHOICE, "", "none", 0, 0, "none|bias|film|film_enc",
     NULL,
     "cell_token: tell tokens their thread's CPU metric, added to them (bias) or to their "
     "condition "
     "(film), or by a context for each thread (film_enc, with encoder = per_position); unet: "
     "metrics as channels beside the threads' (bias)"},
    {"model", "quiet_rows", MIM_OPTION_TEXT, "", "", 0, 0, NULL, NULL,
     "cell_token: stressors whose tokens are not told that, as 8-14 or 0,3,5-7 (with bias, film)"},
    {"model", "encoder", MIM_OPTION_CHOICE, "", "metrics_only", 0, 0,
     "metrics_only|concat|concat_sym|prev_sums|residual_prev|addition|gated|film|per_position|"
     "transformer_metrics_only|transformer|transformer_full|transformer_tokens|concat_transformer",
     NULL,
     "cell_token, unet: what makes the context of metrics and, most of them, of the slot before"},
    {"model", "encoder_width", MIM_OPTION_INT, "", "128", 1, MIM_NETWORK_MAX_WIDTH, NULL, NULL,
     "cell_token, unet: numbers between the encoder's layers"},
    {"model", "context_width", MIM_OPTION_INT, "", "128", 1, MIM_NETWORK_MAX_WIDTH, NULL, NULL,
     "cell_token, unet: numbers of the context"},
    {"model", "encoder_blocks", MIM_OPTION_INT, "", "6", 1, MIM_NETWORK_MAX_BLOCKS, NULL, NULL,
     "cell_token, unet: blocks of an encoder that is a transformer"},
    {"model", "encoder_heads", MIM_OPTION_INT, "", "4", 1, MIM_NETWORK_MAX_WIDTH, NULL, NULL,
     "cell_token, unet: its heads"},
    {"model", "encoder_ratio", MIM_OPTION_INT, "", "4", 1, MIM_NETWORK_MAX_RATIO, NULL, NULL,
     "cell_token, unet: width of its MLPs over encoder_width"},
    {"model", "encoder_dropout", MIM_OPTION_REAL, "", "0.1", 0, 0.99, NULL, NULL,
     "cell_token, unet: share of its attention and of its MLPs that falls in training"},
    {"model", "schedule", MIM_OPTION_CHOICE, "", "cosine", 0, 0, "cosine|linear", NULL,
     "how noise grows over the timesteps"},
    {"model", "timesteps", MIM_OPTION_INT, "", "250", 1, MIM_SCHEDULE_MAX_STEPS, NULL, NULL,
     "timesteps of the noise process"},
    {"model", "prediction", MIM_OPTION_CHOICE, "", "x0", 0, 0, "x0|v|eps|flow", NULL,
     "what the network predicts: plans, noise (eps), what lies between (v), or the way from plans "
     "to "
     "noise on a straight path (flow, which has that path instead of the schedule)"},
    {"model", "output", MIM_OPTION_CHOICE, "", "free", 0, 0, "free|simplex", NULL,
     "simplex: threads' weights are shares with idle, which never sum to more than 1 and often are "
     "exactly 0; with another prediction than x0 that follows from them"},
    {"model", "normalisation", MIM_OPTION_CHOICE, "", "linear", 0, 0, "linear|log", NULL,
     "metrics to -1 to 1 by their range, or by the logarithm of 1 + the distance from its minimum"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_train_settings[] = {
    {"train", "seed", MIM_OPTION_INT, "", "1", 0, 9.2e18, NULL, NULL,
     "initial values, order of examples, noise"},
    {"train", "steps", MIM_OPTION_INT, "", "20000", 1, 1e12, NULL, NULL, "training steps"},
    {"train", "batch", MIM_OPTION_INT, "", "256", 1, MIM_TRAIN_MAX_BATCH, NULL, NULL,
     "examples a step, over all ranks"},
    {"train", "shards", MIM_OPTION_INT, "", "4", 1, MIM_TRAIN_MAX_BATCH, NULL, NULL,
     "equal parts of a batch, shared out to the ranks: gradients are accumulated over them, which "
     "costs a pass over all of them for each. A rank computes one per OpenMP thread at a time, "
     "each with memory of its own, or one by all threads where it has fewer; the result depends on "
     "it by rounding, and not on the ranks"},
    {"train", "micro_batch", MIM_OPTION_INT, "", "0", 0, MIM_TRAIN_MAX_BATCH, NULL, NULL,
     "examples of a shard that go through the network at a time: what memory grows with; 0: as "
     "many as it is fast with. A whole shard with variance_weight"},
    {"train", "precision", MIM_OPTION_CHOICE, "", "f32", 0, 0, "f32|bf16", NULL,
     "numbers that matrix products multiply; bf16 where the processor has AMX, or is AMD's and has "
     "AVX512-BF16; others are faster in f32, which they take instead. Not of unet; what is trained "
     "and stored is f32"},
    {"train", "rate", MIM_OPTION_REAL, "", "1e-3", 0, 1, NULL, NULL, "largest learning rate"},
    {"train", "rate_floor", MIM_OPTION_REAL, "", "0.01", 0, 1, NULL, NULL,
     "share of it at the last step"},
    {"train", "rate_decay", MIM_OPTION_CHOICE, "", "cosine", 0, 0, "constant|linear|cosine", NULL,
     "how the rate falls"},
    {"train", "warmup", MIM_OPTION_INT, "", "200", 0, 1e12, NULL, NULL,
     "steps in which the rate rises"},
    {"train", "beta_1", MIM_OPTION_REAL, "", "0.9", 0, 0.999999, NULL, NULL, "of Adam"},
    {"train", "beta_2", MIM_OPTION_REAL, "", "0.999", 0, 0.999999, NULL, NULL, "of Adam"},
    {"train", "epsilon", MIM_OPTION_REAL, "", "1e-8", 0, 1, NULL, NULL, "of Adam"},
    {"train", "weight_decay", MIM_OPTION_REAL, "", "0.01", 0, 1, NULL, NULL,
     "decoupled from the gradient (AdamW)"},
    {"train", "clip", MIM_OPTION_REAL, "", "1", 0, 1e9, NULL, NULL,
     "largest norm of a gradient, 0 = any"},
    {"train", "max_skipped", MIM_OPTION_INT, "steps", "10", 0, 1e12, NULL, NULL,
     "steps in a row that may be left out because their gradient is not finite"},
    {"train", "ema", MIM_OPTION_REAL, "", "0.999", 0, 0.999999, NULL, NULL,
     "weight of the old in the moving average of the parameters"},
    {"train", "ema_start", MIM_OPTION_INT, "", "1000", 0, 1e12, NULL, NULL,
     "steps in which the average is a copy"},
    {"train", "hide_all", MIM_OPTION_REAL, "", "0.1", 0, 1, NULL, NULL,
     "share of examples without any metric, for guidance"},
    {"train", "hide_metric", MIM_OPTION_REAL, "", "0.02", 0, 1, NULL, NULL,
     "share of metrics hidden one by one, so that traces may lack some"},
    {"train", "hide_previous", MIM_OPTION_REAL, "", "0.1", 0, 1, NULL, NULL,
     "share of examples without their previous slot"},
    {"train", "jitter", MIM_OPTION_REAL, "", "1e-3", 0, 1, NULL, NULL,
     "deviation of the noise on metrics, which are normalised to -1 to 1"},
    {"train", "snr_gamma", MIM_OPTION_REAL, "", "0", 0, 1e9, NULL, NULL,
     "timesteps count by their signal to noise up to this (min-SNR weights, 5 is usual; not of "
     "flow); 0 = all alike"},
    {"train", "variance_weight", MIM_OPTION_REAL, "", "0", 0, 1e9, NULL, NULL,
     "of the difference of variances over a shard between what is predicted and what it should be"},
    {"train", "row_sum_weight", MIM_OPTION_REAL, "", "0", 0, 1e9, NULL, NULL,
     "of the difference between a thread's weights in all and its wanted CPU use"},
    {"train", "sparsity_weight", MIM_OPTION_REAL, "", "0", 0, 1e9, NULL, NULL,
     "of weights on threads that are wanted idle"},
    {"train", "patience", MIM_OPTION_INT, "", "0", 0, 1e9, NULL, NULL,
     "validations without a better one after which training ends with the best model; 0 = never"},
    {"train", "min_improvement", MIM_OPTION_REAL, "share of the loss", "0", 0, 1, NULL, NULL,
     "by which a validation must be better to count as that"},
    {"train", "bucket", MIM_OPTION_BYTES, "", "4M", 0, 0, NULL, NULL,
     "bytes of the gradient that ranks sum up at a time, while the rest is still computed; 0 = all "
     "of it at the end"},
    {"train", "shard_optimizer", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "each rank updates a part of the parameters and keeps Adam's moments and the moving average "
     "of that part alone, which takes less memory and comes to the same, to the bit"},
    {"train", "checkpoint_every", MIM_OPTION_INT, "steps", "1000", 1, 1e12, NULL, NULL,
     "steps between checkpoints"},
    {"train", "milestone_every", MIM_OPTION_INT, "steps", "0", 0, 1e12, NULL, NULL,
     "steps between checkpoints that are never removed; 0 = none"},
    {"train", "log_every", MIM_OPTION_INT, "steps", "100", 1, 1e12, NULL, NULL,
     "steps between lines of metrics.jsonl"},
    {"train", "time_limit_s", MIM_OPTION_REAL, "s", "0", 0, 1e9, NULL, NULL,
     "after this time a checkpoint is written and the exit status is 75; 0 = no limit"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_examples_settings[] = {
    {"examples", "in_memory", MIM_OPTION_BYTES, "", "1G", 0, 0, NULL, NULL,
     "a larger corpus is read as it is needed instead of staying in memory"},
    {"examples", "read_ahead", MIM_OPTION_INT, "steps", "2", 1, 64, NULL, NULL,
     "steps whose examples are then read before they are needed"},
    {"examples", "permute_threads", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|on|off", NULL,
     "change the threads within a socket about in each example; auto: on for networks to which "
     "they "
     "are not alike (cell_token, unet)"},
    {"examples", "swap_sockets", MIM_OPTION_REAL, "share of examples", "0", 0, 1, NULL, NULL,
     "change the sockets about, which must have as many threads each"},
    {"examples", "high_io", MIM_OPTION_REAL, "", "1", 0, 1e6, NULL, NULL,
     "times as often come examples with at least io_threshold of reads and writes"},
    {"examples", "io_threshold", MIM_OPTION_REAL, "KB/s", "1000", 0, 1e12, NULL, NULL,
     "see high_io"},
    {"examples", "tail", MIM_OPTION_REAL, "", "1", 0, 1e6, NULL, NULL,
     "times as often come examples with a metric of memory or cache above tail_from"},
    {"examples", "tail_from", MIM_OPTION_REAL, "share of the range", "0.5", 0, 1, NULL, NULL,
     "see tail"},
    {"examples", "previous", MIM_OPTION_REAL, "", "1", 0, 1e6, NULL, NULL,
     "times as often come examples with a slot before"},
    {"examples", "min_active_cores", MIM_OPTION_INT, "", "0", 0, MIM_DOMAIN_MAX_THREADS, NULL, NULL,
     "examples with fewer threads of at least active_threshold are left out"},
    {"examples", "active_threshold", MIM_OPTION_REAL, "%", "20", 0, 100, NULL, NULL,
     "see min_active_cores"},
    {"examples", "target_cpu", MIM_OPTION_REAL, "%", "0", 0, 100, NULL, NULL,
     "examples come the more often the closer their mean CPU use is to this; 0 = all alike"},
    {"examples", "target_sigma", MIM_OPTION_REAL, "%", "10", 1e-3, 1e6, NULL, NULL,
     "deviation of the bell curve of that"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

const mim_option mim_validate_settings[] = {
    {"validate", "every", MIM_OPTION_INT, "steps", "500", 1, 1e12, NULL, NULL,
     "steps between validations"},
    {"validate", "draws", MIM_OPTION_INT, "", "4", 1, 1000, NULL, NULL,
     "timesteps at which each example is validated"},
    {"validate", "examples", MIM_OPTION_INT, "", "4096", 1, 1e9, NULL, NULL,
     "examples that are validated, evenly chosen of those that are not for training"},
    {"validate", "n_samples", MIM_OPTION_INT, "", "256", 0, 1e6, NULL, NULL,
     "of a corpus of a simulated node: examples of these whose metrics the model makes plans of, "
     "which then run on that node; 0 = none"},
    {"validate", "solver", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|dpm++|ddim|ddpm|euler|heun",
     NULL, "of these plans; auto: dpm++, of flow euler"},
    {"validate", "steps", MIM_OPTION_INT, "", "8", 1, MIM_SCHEDULE_MAX_STEPS, NULL, NULL,
     "of the solver, at most the timesteps"},
    {"validate", "guidance", MIM_OPTION_REAL, "", "1", 0, 100, NULL, NULL,
     "1 = the conditional model as it is, more goes beyond the metrics asked for"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static size_t size_of(const mim_config *config, const char *name)
{
    return (size_t)mim_config_int(config, name);
}

static mim_lr_decay decay_of(const char *word)
{
    if (strcmp(word, "constant") == 0)
        return MIM_LR_CONSTANT;
    return strcmp(word, "linear") == 0 ? MIM_LR_LINEAR : MIM_LR_COSINE;
}

static mim_train_options options_of(const mim_config *c, uint64_t n_steps)
{
    return (mim_train_options){
        .batch = size_of(c, "train.batch"),
        .n_shards = size_of(c, "train.shards"),
        .micro_batch = size_of(c, "train.micro_batch"),
        .adam = {.beta_1 = mim_config_real(c, "train.beta_1"),
                 .beta_2 = mim_config_real(c, "train.beta_2"),
                 .eps = mim_config_real(c, "train.epsilon"),
                 .weight_decay = mim_config_real(c, "train.weight_decay"),
                 .is_decoupled = true},
        .rate = {.base = mim_config_real(c, "train.rate"),
                 .floor = mim_config_real(c, "train.rate_floor"),
                 .n_warmup = (uint64_t)mim_config_int(c, "train.warmup"),
                 .n_steps = n_steps,
                 .decay = decay_of(mim_config_text(c, "train.rate_decay"))},
        .ema = {.beta = mim_config_real(c, "train.ema"),
                .n_copies = (uint64_t)mim_config_int(c, "train.ema_start")},
        .clip_norm = mim_config_real(c, "train.clip"),
        .hide_all = mim_config_real(c, "train.hide_all"),
        .hide_metric = mim_config_real(c, "train.hide_metric"),
        .hide_previous = mim_config_real(c, "train.hide_previous"),
        .jitter = mim_config_real(c, "train.jitter"),
        .swap_sockets = mim_config_real(c, "examples.swap_sockets"),
        .objective = {.snr_gamma = mim_config_real(c, "train.snr_gamma"),
                      .variance = mim_config_real(c, "train.variance_weight"),
                      .row_sum = mim_config_real(c, "train.row_sum_weight"),
                      .sparsity = mim_config_real(c, "train.sparsity_weight")},
        .max_skipped = (uint64_t)mim_config_int(c, "train.max_skipped"),
    };
}

static mim_weighting weighting_of(const mim_config *c)
{
    return (mim_weighting){
        .high_io = mim_config_real(c, "examples.high_io"),
        .io_threshold_kbs = mim_config_real(c, "examples.io_threshold"),
        .tail = mim_config_real(c, "examples.tail"),
        .tail_from = mim_config_real(c, "examples.tail_from"),
        .previous = mim_config_real(c, "examples.previous"),
        .min_active_cores = size_of(c, "examples.min_active_cores"),
        .active_percent = mim_config_real(c, "examples.active_threshold"),
        .target_percent = mim_config_real(c, "examples.target_cpu"),
        .target_sigma = mim_config_real(c, "examples.target_sigma"),
    };
}

/* Also for corpora in memory, so that it does not matter which are. */
static mim_lessons_options lessons_of(const mim_config *c)
{
    return (mim_lessons_options){.max_bytes = mim_config_bytes(c, "examples.in_memory"),
                                 .max_validation = size_of(c, "validate.examples"),
                                 .max_fit_rows = MIM_TRAIN_MAX_FIT_ROWS};
}

static int process_of(const mim_config *c, mim_process *process)
{
    mim_process got = {.n_timesteps = size_of(c, "model.timesteps")};
    int rc = mim_prediction_find(mim_config_text(c, "model.prediction"), &got.prediction);
    if (rc == MIM_OK)
        rc = mim_output_find(mim_config_text(c, "model.output"), &got.output);
    if (rc == MIM_OK)
        rc = mim_schedule_find(mim_config_text(c, "model.schedule"), &got.schedule);
    if (got.prediction == MIM_PREDICT_FLOW)
        got.schedule = MIM_SCHEDULE_FLOW;
    if (rc == MIM_OK)
        *process = got;
    return rc;
}

static int trial_of(const mim_config *c, const mim_process *process, uint64_t seed,
                    mim_generation *how)
{
    const char *solver = mim_config_text(c, "validate.solver");
    mim_generation got = {.sampling = {.n_steps = size_of(c, "validate.steps"), .seed = seed},
                          .guidance = mim_config_real(c, "validate.guidance"),
                          .smallest = MIM_TRAIN_TRIAL_SMALLEST,
                          .n_candidates = 1};
    int rc = MIM_OK;
    if (strcmp(solver, "auto") == 0)
        got.sampling.solver =
            process->prediction == MIM_PREDICT_FLOW ? MIM_SOLVER_EULER : MIM_SOLVER_DPMPP;
    else
        rc = mim_solver_find(solver, &got.sampling.solver);
    if (got.sampling.n_steps > process->n_timesteps)
        got.sampling.n_steps = process->n_timesteps;
    if (rc == MIM_OK && !mim_solver_fits(got.sampling.solver, process->schedule))
        rc = mim_fail(MIM_EUSAGE, "validate.solver = %s does not go with model.prediction = %s",
                      solver, mim_prediction_name(process->prediction));
    if (rc == MIM_OK)
        *how = got;
    return rc;
}

/* Fields of the network are settings of the same name. Of the corpus nothing is known yet; what may
 * be too large is asked again when it is. */
static int architecture_of(const mim_config *c, mim_architecture *size)
{
    mim_architecture a = {.n_stressors = MIM_DOMAIN_MAX_STRESSORS,
                          .n_threads = 1,
                          .n_node_metrics = 1,
                          .n_sockets = 1};
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < mim_architecture_n_fields(); i++) {
        char name[64];
        snprintf(name, sizeof name, "model.%s", mim_architecture_field(i));
        if (!mim_architecture_is_of_domain(i) && mim_architecture_is_of_kind(i, a.kind))
            rc = mim_architecture_set(&a, mim_architecture_field(i), mim_config_as_text(c, name));
    }
    if (rc == MIM_OK)
        rc = mim_network_check(&a);
    if (rc != MIM_OK)
        return mim_fail_in(MIM_EUSAGE, "[model]");
    *size = a;
    return MIM_OK;
}

static bool permutes(const mim_config *c, const mim_architecture *size)
{
    const char *word = mim_config_text(c, "examples.permute_threads");
    return strcmp(word, "auto") == 0 ? size->kind != MIM_NETWORK_THREAD_TOKEN
                                     : strcmp(word, "on") == 0;
}

/* What settings say together. */
static int check(const mim_train_plan *p)
{
    const mim_train_options *o = &p->options;
    if (o->batch % o->n_shards)
        return mim_fail(MIM_EUSAGE,
                        "train.batch = %zu is no multiple of train.shards = %zu, the equal parts "
                        "it is cut into",
                        o->batch, o->n_shards);
    if (o->objective.variance > 0 && o->batch == o->n_shards)
        return mim_fail(MIM_EUSAGE,
                        "train.variance_weight: shards of one example have no variance");
    if (mim_network_check_precision(&p->size, o->precision) != MIM_OK)
        return mim_fail_in(MIM_EUSAGE, "train.precision");
    return mim_objective_check(&o->objective, p->process.prediction) == MIM_OK
               ? MIM_OK
               : mim_fail_in(MIM_EUSAGE, "[train]");
}

int mim_train_plan_get(const mim_config *c, mim_train_plan *plan)
{
    const uint64_t n_steps = (uint64_t)mim_config_int(c, "train.steps");
    mim_train_plan got = {
        .options = options_of(c, n_steps),
        .seed = (uint64_t)mim_config_int(c, "train.seed"),
        .n_steps = n_steps,
        .weighting = weighting_of(c),
        .lessons = lessons_of(c),
        .n_ahead = size_of(c, "examples.read_ahead"),
        .shards_optimizer = mim_config_bool(c, "train.shard_optimizer"),
        .bucket_bytes = mim_config_bytes(c, "train.bucket"),
        .checkpoint_every = (uint64_t)mim_config_int(c, "train.checkpoint_every"),
        .milestone_every = (uint64_t)mim_config_int(c, "train.milestone_every"),
        .validate_every = (uint64_t)mim_config_int(c, "validate.every"),
        .log_every = (uint64_t)mim_config_int(c, "train.log_every"),
        .validate_draws = size_of(c, "validate.draws"),
        .n_trials = size_of(c, "validate.n_samples"),
        .patience = (uint64_t)mim_config_int(c, "train.patience"),
        .min_improvement = mim_config_real(c, "train.min_improvement"),
        .time_limit_s = mim_config_real(c, "train.time_limit_s"),
    };
    int rc = architecture_of(c, &got.size);
    if (rc == MIM_OK)
        rc = process_of(c, &got.process);
    if (rc == MIM_OK)
        rc = mim_normalisation_find(mim_config_text(c, "model.normalisation"), &got.normalisation);
    if (rc == MIM_OK)
        rc = mim_precision_find(mim_config_text(c, "train.precision"), &got.options.precision);
    if (rc == MIM_OK)
        rc = trial_of(c, &got.process, got.seed, &got.trial);
    if (rc != MIM_OK)
        return rc;
    got.options.permutes_threads = permutes(c, &got.size);
    rc = check(&got);
    if (rc == MIM_OK)
        *plan = got;
    return rc;
}
