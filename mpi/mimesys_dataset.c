/* mimesys_dataset: measured runs and campaigns become a training corpus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/summary.h"
#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/check.h"
#include "mpi/dataset.h"
#include "mpi/program_mpi.h"

static const mim_option options[] = {
    {"dataset", "seed", MIM_OPTION_INT, "", "42", 0, 9e15, NULL, NULL,
     "decides with a plan's id whether it is for validation"},
    {"dataset", "validation", MIM_OPTION_REAL, "share of the plans", "0.1", 0, 0.9, NULL, NULL,
     "plans kept out of training"},
    {"dataset", "metrics", MIM_OPTION_CHOICE, "", "targets", 0, 0, "targets|all", NULL,
     "what a plan can be asked to imitate, or everything that was measured"},
    {"dataset", "idle_slot", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|no|yes", NULL,
     "whether an idle slot follows each pass of a run; auto: as its result file says"},
    {"dataset", "with_disturbed", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "take slots in which others used the machine, too"},
    {"dataset", "min_repeats", MIM_OPTION_INT, "", "1", 1, 1000000, NULL, NULL,
     "leave out windows with fewer usable repetitions"},
    {"dataset", "mixed_hosts", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "accept sources measured on different kinds of hosts"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {options, NULL};

static const mim_flag flags[] = {
    {"out", "OUT", NULL, false, "file to write: a corpus, with convert a CSV"},
    {"check", "FILE", NULL, false, "read a corpus or campaign wholly and say whether it is sound"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "CAMPAIGN.h5|DIR ... -o CORPUS.h5",
    "--check FILE.h5",
    "convert CORPUS.h5 -o OUT.csv",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_dataset",
    .summary = "make a training corpus of campaigns and measured runs",
    .synopsis = synopsis,
    .flags = flags,
    .tables = tables,
    .min_arguments = 0,
    .max_arguments = 100000,
    .description =
        "Each measured window of a plan becomes a sample: what ran, what ran before it, and the\n"
        "median and spread of every metric over the repetitions. Zeros are values; what was not\n"
        "measured is masked. Slots in which others used the machine are left out.\n\n"
        "Sources are campaign stores and folders with plans NAME.h5 and stats-NAME.txt, as\n"
        "mimesys_run leaves them, each named once. They must agree in stressors, their working\n"
        "sets (stressors.sizes; where no file tells: original), threads, kind of host and, within\n"
        "5 %, in the length of their slots. Validation plans are chosen by plan id and seed\n"
        "alone, so the samples of a plan stand on one side.\n\n"
        "Campaigns and corpora hold digests (XXH64) of their rows. --check compares them and "
        "every\n"
        "value's range, and names the file, dataset and rows that are damaged; files of schema\n"
        "version 1 have no digests. Damaged rows of a campaign become no samples, the build "
        "ends.\n\n"
        "Under mpirun or srun the ranks share the sources and write one file together; it is the\n"
        "same for any number of ranks. A failure on one rank ends all with its sentence.",
    .json_keys = "status: done\n"
                 "figures.n_sources: runs and campaign rows read\n"
                 "figures.n_samples, figures.n_validation: windows in the corpus\n"
                 "figures.n_slots: measured slots looked at\n"
                 "figures.n_disturbed: of them left out because others used the machine\n"
                 "figures.n_lost: windows without a usable slot\n"
                 "figures.n_unchecked: runs that do not tell whether they were disturbed\n"
                 "figures.bytes_in, figures.read_s, figures.read_mb_per_s: stats text parsed\n"
                 "figures.bytes_out, figures.write_s, figures.write_mb_per_s: the collective write",
    .files = "CORPUS.h5: samples, ranges, names, host class, stressor sizes (HDF5, schema\n"
             "  mimesys_corpus)\n"
             "CORPUS.json: how it was made\n"
             "OUT.csv: one line a sample, an empty field where a value is absent",
    .examples = "mimesys_dataset campaign.h5 -o corpus.h5\n"
                "mpirun -n 2 mimesys_dataset run1 run2 -o corpus.h5 --set dataset.validation=0.2\n"
                "mimesys_dataset --check corpus.h5\n"
                "mimesys_dataset convert corpus.h5 -o corpus.csv",
};

/* ---- looking at files ----------------------------------------------------------------------- */

static int check(MPI_Comm comm, const char *path)
{
    char *verdict = NULL;
    int rc = mim_check_file(comm, path, &verdict);
    if (rc == MIM_OK && verdict)
        printf("%s: %s\n", path, verdict);
    free(verdict);
    return rc;
}

static int convert(const mim_args *args)
{
    const char *out = mim_args_value(args, "out"), *path = mim_args_at(args, 1);
    mim_corpus *corpus = NULL;
    if (mim_args_n(args) != 2 || !out || !mim_has_suffix(out, ".csv"))
        return mim_fail(MIM_EUSAGE, "expected: mimesys_dataset convert CORPUS.h5 -o OUT.csv");
    int rc = mim_corpus_open(path, &corpus);
    if (rc == MIM_OK)
        rc = mim_corpus_write_csv(corpus, out);
    mim_corpus_destroy(&corpus);
    return rc;
}

/* ---- building ------------------------------------------------------------------------------- */

static void get_options(const mim_config *config, mim_dataset_options *o)
{
    const char *idle = mim_config_text(config, "dataset.idle_slot");
    *o = (mim_dataset_options){
        .import = {.all_metrics = strcmp(mim_config_text(config, "dataset.metrics"), "all") == 0,
                   .with_disturbed = mim_config_bool(config, "dataset.with_disturbed"),
                   .idle_slot = strcmp(idle, "auto") == 0  ? MIM_IDLE_AUTO
                                : strcmp(idle, "yes") == 0 ? MIM_IDLE_YES
                                                           : MIM_IDLE_NO,
                   .min_repeats = (size_t)mim_config_int(config, "dataset.min_repeats")},
        .mixed_hosts = mim_config_bool(config, "dataset.mixed_hosts"),
        .split_seed = (uint64_t)mim_config_int(config, "dataset.seed"),
        .validation_share = mim_config_real(config, "dataset.validation"),
    };
}

static void add_figures(mim_summary *summary, const mim_dataset_figures *f)
{
    json_t *figures = mim_summary_figures(summary);
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {{"n_sources", f->n_sources},       {"n_samples", f->n_samples},
                  {"n_validation", f->n_validation}, {"n_slots", f->n_slots},
                  {"n_disturbed", f->n_disturbed},   {"n_lost", f->n_lost},
                  {"n_unchecked", f->n_unchecked},   {"bytes_in", f->bytes_in},
                  {"bytes_out", f->bytes_out}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_object_set_new(figures, counts[i].key, json_integer((json_int_t)counts[i].value));
    json_object_set_new(figures, "read_s", mim_json_real(f->read_s));
    json_object_set_new(figures, "write_s", mim_json_real(f->write_s));
    json_object_set_new(figures, "read_mb_per_s",
                        f->bytes_in ? mim_json_real((double)f->bytes_in / 1e6 / f->read_s)
                                    : json_null());
    json_object_set_new(figures, "write_mb_per_s",
                        mim_json_real((double)f->bytes_out / 1e6 / f->write_s));
}

/* Rank 0 tells what was made. */
static int tell(const mim_args *args, mim_summary *summary, const char *out,
                const mim_dataset_figures *f)
{
    char *path = mim_format("%.*s.json", (int)(strlen(out) - 3), out);
    add_figures(summary, f);
    int rc = path ? mim_summary_write(summary, "done", path)
                  : mim_fail(MIM_ENOMEM, "%s: name of the summary", out);
    free(path);
    if (rc == MIM_OK && mim_args_has(args, "json"))
        rc = mim_summary_print(summary, "done", stdout);
    else if (rc == MIM_OK)
        printf("%s: %llu samples, %llu of them for validation, from %llu measured slots\n", out,
               (unsigned long long)f->n_samples, (unsigned long long)f->n_validation,
               (unsigned long long)f->n_slots);
    return rc;
}

static int build(MPI_Comm comm, const mim_args *args, mim_log *log, int rank, int n_ranks)
{
    const char *out = mim_args_value(args, "out");
    const size_t n = mim_args_n(args);
    const mim_config *config = mim_args_config(args);
    const char **sources = calloc(n + 1, sizeof *sources);
    char *ini = mim_config_text_ini(config);
    mim_dataset_options o;
    mim_dataset_figures figures = {0};
    mim_summary *summary = NULL;
    int rc = sources && ini ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu sources", n);
    get_options(config, &o);
    o.config = ini;
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        sources[i] = mim_args_at(args, i);
        rc = mim_output_check(out, sources[i]);
    }
    if (rc == MIM_OK)
        rc = mim_summary_create(program.name, o.split_seed, n_ranks, config, &summary);
    rc = mim_agree(comm, rc);
    if (rc == MIM_OK)
        rc = mim_dataset_build(comm, n, sources, out, &o, log, &figures);
    if (rc == MIM_OK && rank == 0) {
        if (figures.n_unchecked > 0)
            mim_log_warn(log, "dataset", "%llu runs do not tell whether others disturbed them",
                         (unsigned long long)figures.n_unchecked);
        rc = tell(args, summary, out, &figures);
    }
    rc = mim_agree(comm, rc);
    mim_summary_destroy(&summary);
    free(ini);
    free(sources);
    return rc;
}

static int dry_run(const mim_args *args, int n_ranks)
{
    const size_t n = mim_args_n(args);
    const char **sources = calloc(n + 1, sizeof *sources);
    size_t n_units = 0;
    if (!sources)
        return mim_fail(MIM_ENOMEM, "%zu sources", n);
    for (size_t i = 0; i < n; i++)
        sources[i] = mim_args_at(args, i);
    int rc = mim_dataset_count(n, sources, &n_units);
    if (rc == MIM_OK)
        printf("would read %zu runs or campaign rows on %d rank%s\n"
               "sbatch --ntasks=%d --wrap=\"srun --mpi=pmix mimesys_dataset",
               n_units, n_ranks, n_ranks == 1 ? "" : "s", n_ranks);
    if (rc == MIM_OK) {
        mim_args_print(args, true, stdout);
        printf("\"\n");
    }
    free(sources);
    return rc;
}

static int run(MPI_Comm comm, const mim_args *args, mim_log *log)
{
    int rank = 0, n_ranks = 0;
    const char *checked = mim_args_value(args, "check"), *out = mim_args_value(args, "out");
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    if (checked && (mim_args_n(args) > 0 || out))
        return mim_fail(MIM_EUSAGE, "--check stands alone: it reads one file and writes none");
    if (checked)
        return check(comm, checked);
    if (mim_args_n(args) > 0 && strcmp(mim_args_at(args, 0), "convert") == 0)
        return mim_agree(comm, rank == 0 ? convert(args) : MIM_OK);
    if (mim_args_n(args) == 0 || !out)
        return mim_fail(MIM_EUSAGE, "expected: mimesys_dataset CAMPAIGN.h5|DIR ... -o CORPUS.h5 "
                                    "(see --help)");
    if (!mim_has_suffix(out, ".h5"))
        return mim_fail(MIM_EUSAGE, "-o: expected a name that ends with .h5, found %s", out);
    if (mim_args_has(args, "dry-run"))
        return mim_agree(comm, rank == 0 ? dry_run(args, n_ranks) : MIM_OK);
    return build(comm, args, log, rank, n_ranks);
}

int main(int argc, char **argv) { return mim_program_mpi_main(&program, argc, argv, run); }
