#include "mpi/dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"
#include "corpus/corpus_internal.h"
#include "mpi/agree.h"
#include "mpi/campaign_mpi.h"

static const double progress_every_s = 10.0;

/* A folder of runs (a unit each) or a campaign (a unit a row). */
typedef struct source {
    char *path;
    size_t n_units;
    mim_run_files *runs; /* [n_units], NULL for a campaign */
    /* Of a campaign's first row, which no other campaign has; start_s 0: not known. */
    uint64_t plan_id;
    double start_s;
    char host[MIM_HOST_NAME_BYTES];
} source;

typedef struct dataset {
    MPI_Comm comm;
    int rank, n_ranks;
    const mim_dataset_options *options;
    mim_log *log;
    size_t n_sources, n_units;
    source *sources;
    mim_h5_reader *reader; /* of the runs' plans and results */
    size_t n_parts, parts_capacity;
    mim_part **parts;
    const char **part_names; /* [n_parts] in the sources */
    mim_layout *layout;
    mim_samples *samples;
    uint64_t n_unchecked;
} dataset;

/* ---- listing -------------------------------------------------------------------------------- */

/* A file or folder that is read, whatever it is called. */
typedef struct known_file {
    dev_t device;
    ino_t inode;
    size_t place; /* in the order given */
    const char *path;
} known_file;

static int by_file(const void *a, const void *b)
{
    const known_file *x = a, *y = b;
    if (x->device != y->device)
        return (x->device > y->device) - (x->device < y->device);
    if (x->inode != y->inode)
        return (x->inode > y->inode) - (x->inode < y->inode);
    return (x->place > y->place) - (x->place < y->place);
}

static void know(const char *path, size_t *n, known_file *files)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return; /* whoever reads it will say so */
    files[*n] = (known_file){status.st_dev, status.st_ino, *n, path};
    ++*n;
}

/* Samples that stood twice in a corpus would count double, and nobody would see it. */
static int check_once(size_t n_sources, const source *sources)
{
    size_t most = n_sources, n = 0;
    for (size_t i = 0; i < n_sources; i++)
        most += sources[i].runs ? sources[i].n_units : 0;
    known_file *files = malloc(most * sizeof *files);
    if (!files)
        return mim_fail(MIM_ENOMEM, "%zu files", most);
    for (size_t i = 0; i < n_sources; i++)
        know(sources[i].path, &n, files);
    for (size_t i = 0; i < n_sources; i++)
        for (size_t k = 0; sources[i].runs && k < sources[i].n_units; k++)
            know(sources[i].runs[k].stats, &n, files);
    qsort(files, n, sizeof *files, by_file);
    size_t twice = 0; /* the first in the order given */
    for (size_t i = 1; i < n; i++)
        if (files[i - 1].device == files[i].device && files[i - 1].inode == files[i].inode &&
            (twice == 0 || files[i].place < files[twice].place))
            twice = i;
    const int rc = twice ? mim_fail(MIM_EUSAGE, "%s is among the sources twice, first as %s",
                                    files[twice].path, files[twice - 1].path)
                         : MIM_OK;
    free(files);
    return rc;
}

/* A campaign goes on where it stood, so what was copied from it begins like it. */
static int check_copies(size_t n, const source *sources)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; sources[i].start_s > 0 && k < i; k++)
            if (sources[k].start_s == sources[i].start_s &&
                sources[k].plan_id == sources[i].plan_id &&
                strcmp(sources[k].host, sources[i].host) == 0)
                return mim_fail(MIM_EUSAGE,
                                "%s begins with the same measurement as %s: one is a copy of the "
                                "other; leave out the shorter",
                                sources[i].path, sources[k].path);
    return MIM_OK;
}

static void free_sources(size_t n, source **sources)
{
    for (size_t i = 0; *sources && i < n; i++) {
        mim_runs_free((*sources)[i].n_units, &(*sources)[i].runs);
        free((*sources)[i].path);
    }
    free(*sources);
    *sources = NULL;
}

static int list_source(const char *path, source *found)
{
    struct stat status;
    mim_campaign *campaign = NULL;
    if (!(found->path = mim_strdup(path)))
        return mim_fail(MIM_ENOMEM, "%s: name", path);
    if (stat(path, &status) != 0)
        return mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return mim_runs_list(path, &found->n_units, &found->runs);
    int rc = mim_campaign_open(path, false, &campaign);
    if (rc == MIM_OK && (found->n_units = mim_campaign_n_rows(campaign)) > 0) {
        mim_campaign_rows *first = NULL;
        if (mim_campaign_read(campaign, 0, 1, &first) == MIM_OK) { /* else told when it is read */
            found->plan_id = first->plan_id[0];
            found->start_s = first->start_s[0];
            memcpy(found->host, first->host[0], sizeof found->host);
        }
        mim_campaign_rows_destroy(&first);
    }
    mim_campaign_destroy(&campaign);
    return rc;
}

static int list_sources(size_t n, const char *const *paths, source **sources)
{
    source *made = calloc(n, sizeof *made);
    int rc = made ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu sources", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        rc = list_source(paths[i], &made[i]);
    if (rc == MIM_OK)
        rc = check_once(n, made);
    if (rc == MIM_OK)
        rc = check_copies(n, made);
    if (rc != MIM_OK) {
        free_sources(n, &made);
        return rc;
    }
    *sources = made;
    return MIM_OK;
}

int mim_dataset_count(size_t n_sources, const char *const *sources, size_t *n_units)
{
    source *made = NULL;
    int rc = list_sources(n_sources, sources, &made);
    for (size_t i = 0; rc == MIM_OK && i < n_sources; i++)
        *n_units += made[i].n_units;
    free_sources(n_sources, &made);
    return rc;
}

static json_t *runs_json(const source *s)
{
    json_t *runs = json_array();
    for (size_t i = 0; s->runs && i < s->n_units; i++) {
        const mim_run_files *run = &s->runs[i];
        json_array_append_new(runs,
                              json_pack("[s%, s%, s%]", run->plan, strlen(run->plan), run->stats,
                                        strlen(run->stats), run->result ? run->result : "",
                                        run->result ? strlen(run->result) : 0));
    }
    const bool is_whole = json_array_size(runs) == (s->runs ? s->n_units : 0);
    if (s->runs && is_whole)
        return runs;
    json_decref(runs);
    return is_whole ? json_null() : NULL; /* NULL: a name that JSON cannot hold */
}

static char *sources_text(size_t n, const source *sources)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, json_pack("{s:s, s:I, s:o}", "path", sources[i].path, "n",
                                             (json_int_t)sources[i].n_units, "runs",
                                             runs_json(&sources[i])));
    char *text = json_array_size(all) == n ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    return text;
}

static bool take_runs(const json_t *runs, source *s)
{
    if (!json_is_array(runs))
        return json_is_null(runs);
    if (json_array_size(runs) != s->n_units || !(s->runs = calloc(s->n_units, sizeof *s->runs)))
        return false;
    for (size_t i = 0; i < s->n_units; i++) {
        const char *text[3] = {NULL, NULL, NULL};
        for (size_t k = 0; k < 3; k++)
            text[k] = json_string_value(json_array_get(json_array_get(runs, i), k));
        if (!text[0] || !text[1] || !text[2] || !(s->runs[i].plan = mim_strdup(text[0])) ||
            !(s->runs[i].stats = mim_strdup(text[1])) ||
            (*text[2] && !(s->runs[i].result = mim_strdup(text[2]))))
            return false;
    }
    return true;
}

static int take_sources(const char *text, size_t n, source **sources)
{
    json_t *all = json_loads(text, 0, NULL);
    source *made = calloc(n, sizeof *made);
    bool is_taken = all && made && json_array_size(all) == n;
    for (size_t i = 0; is_taken && i < n; i++) {
        const json_t *one = json_array_get(all, i);
        const char *path = json_string_value(json_object_get(one, "path"));
        made[i].n_units = (size_t)json_integer_value(json_object_get(one, "n"));
        is_taken = path && (made[i].path = mim_strdup(path)) &&
                   take_runs(json_object_get(one, "runs"), &made[i]);
    }
    json_decref(all);
    if (!is_taken) {
        free_sources(n, &made);
        return mim_fail(MIM_ENOMEM, "list of %zu sources", n);
    }
    *sources = made;
    return MIM_OK;
}

/* Rank 0 looks; all know. */
static int share_sources(dataset *d, const char *const *paths)
{
    char *text = NULL;
    int rc = MIM_OK;
    if (d->rank == 0 && (rc = list_sources(d->n_sources, paths, &d->sources)) == MIM_OK &&
        !(text = sources_text(d->n_sources, d->sources)))
        rc = mim_fail(MIM_EUNSUP, "the names of the sources are not UTF-8 texts");
    rc = mim_agree(d->comm, rc);
    if (rc == MIM_OK)
        rc = mim_share_text(d->comm, 0, &text);
    if (rc == MIM_OK)
        rc = mim_agree(d->comm,
                       d->rank == 0 ? MIM_OK : take_sources(text, d->n_sources, &d->sources));
    free(text);
    for (size_t i = 0; rc == MIM_OK && i < d->n_sources; i++)
        d->n_units += d->sources[i].n_units;
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int make_room(dataset *d)
{
    if (d->n_parts < d->parts_capacity)
        return MIM_OK;
    const size_t capacity = d->parts_capacity ? 2 * d->parts_capacity : 64;
    mim_part **parts = realloc(d->parts, capacity * sizeof(mim_part *));
    if (parts)
        d->parts = parts;
    const char **names = realloc(d->part_names, capacity * sizeof(char *));
    if (names)
        d->part_names = names;
    if (!parts || !names)
        return mim_fail(MIM_ENOMEM, "%zu parts", capacity);
    d->parts_capacity = capacity;
    return MIM_OK;
}

/* Takes `part` over. */
static int add_part(dataset *d, mim_part *part, const char *name)
{
    const int rc = make_room(d);
    if (rc != MIM_OK) {
        mim_part_destroy(&part);
        return rc;
    }
    d->n_unchecked += part->is_unchecked;
    d->part_names[d->n_parts] = name;
    d->parts[d->n_parts++] = part;
    return MIM_OK;
}

/* Widens this rank's layout by the last part's. */
static int take_layout(dataset *d)
{
    const mim_layout *found = d->parts[d->n_parts - 1]->layout;
    const char *what = d->part_names[d->n_parts - 1];
    mim_layout *merged = NULL;
    if (d->layout && mim_layout_compare_columns(d->layout, found, what, true) == MIM_OK)
        return MIM_OK; /* as good as always */
    int rc = d->layout ? mim_layout_merge(d->layout, found, what, d->options->mixed_hosts, &merged)
                       : mim_layout_copy(found, &merged);
    if (rc == MIM_OK) {
        mim_layout_destroy(&d->layout);
        d->layout = merged;
    }
    return rc;
}

static int check_stop(void)
{
    return mim_signals_stop() ? mim_fail(MIM_ESTOPPED, "stopped by a signal; nothing was written")
                              : MIM_OK;
}

static int read_runs(dataset *d, const source *s, size_t first, size_t n, mim_progress *progress,
                     size_t *n_done)
{
    int rc = MIM_OK;
    for (size_t i = first; rc == MIM_OK && i < first + n; i++) {
        mim_part *part = NULL;
        rc = check_stop();
        if (rc == MIM_OK)
            rc = mim_run_import(d->reader, &s->runs[i], &d->options->import, &part);
        if (rc == MIM_OK)
            rc = add_part(d, part, s->runs[i].stats);
        if (rc == MIM_OK)
            rc = take_layout(d);
        mim_progress_step(progress, ++*n_done);
    }
    return rc;
}

static int read_rows(dataset *d, const source *s, size_t first, size_t n, mim_progress *progress,
                     size_t *n_done)
{
    mim_campaign *campaign = NULL;
    mim_part *part = NULL;
    size_t begin = 0, end = 0;
    int rc = check_stop();
    if (rc == MIM_OK)
        rc = mim_campaign_open(s->path, false, &campaign);
    if (rc == MIM_OK && mim_campaign_n_rows(campaign) < s->n_units)
        rc = mim_fail(MIM_EDATA, "%s: lost rows while being read", s->path);
    if (rc == MIM_OK)
        rc = mim_campaign_plan_start(campaign, first, &begin);
    if (rc == MIM_OK)
        rc = mim_campaign_plan_start(campaign, first + n, &end);
    if (rc == MIM_OK && first + n == s->n_units)
        end = s->n_units; /* rows appended meanwhile are left for the next time */
    if (rc == MIM_OK)
        rc = mim_campaign_import(campaign, begin, end - begin, &d->options->import, &part);
    if (rc == MIM_OK && (rc = add_part(d, part, s->path)) == MIM_OK)
        rc = take_layout(d);
    mim_campaign_destroy(&campaign);
    mim_progress_step(progress, *n_done += n);
    return rc;
}

/* This rank's share of all units, source by source. */
static int read_share(dataset *d)
{
    size_t first = 0, count = 0, start = 0, n_done = 0;
    mim_progress *progress = NULL;
    mim_share_of(d->n_units, d->rank, d->n_ranks, &first, &count);
    int rc = mim_progress_create(d->rank == 0 ? d->log : NULL, "read", count, progress_every_s,
                                 &progress);
    if (rc == MIM_OK)
        rc = mim_h5_reader_create(&d->reader);
    for (size_t i = 0; rc == MIM_OK && i < d->n_sources; i++) {
        const source *s = &d->sources[i];
        const size_t from = first > start ? first - start : 0;
        const size_t behind = first + count > start ? first + count - start : 0;
        const size_t to = behind < s->n_units ? behind : s->n_units;
        if (from < to)
            rc = s->runs ? read_runs(d, s, from, to - from, progress, &n_done)
                         : read_rows(d, s, from, to - from, progress, &n_done);
        start += s->n_units;
    }
    mim_h5_reader_destroy(&d->reader);
    mim_progress_destroy(&progress);
    return rc;
}

/* ---- one layout ----------------------------------------------------------------------------- */

static int merge_text(dataset *d, const char *text, mim_layout **all)
{
    mim_layout *found = NULL, *merged = NULL;
    if (!*text)
        return MIM_OK;
    int rc = mim_layout_from_text(text, &found);
    if (rc == MIM_OK && !*all) {
        *all = found;
        return MIM_OK;
    }
    if (rc == MIM_OK)
        rc = mim_layout_merge(*all, found, "another rank's sources", d->options->mixed_hosts,
                              &merged);
    if (rc == MIM_OK) {
        mim_layout_destroy(all);
        *all = merged;
    }
    mim_layout_destroy(&found);
    return rc;
}

/* The ranks' layouts become one, on rank 0, then on all. */
static int agree_layout(dataset *d)
{
    char *mine = NULL, **texts = NULL, *all_text = NULL;
    mim_layout *all = NULL;
    int rc = d->layout                 ? mim_layout_to_text(d->layout, &mine)
             : (mine = mim_strdup("")) ? MIM_OK
                                       : mim_fail(MIM_ENOMEM, "layout");
    rc = mim_agree(d->comm, rc);
    if (rc == MIM_OK)
        rc = mim_gather_texts(d->comm, mine, &texts);
    if (rc != MIM_OK)
        goto done;
    for (int r = 0; d->rank == 0 && r < d->n_ranks; r++) {
        if (rc == MIM_OK)
            rc = merge_text(d, texts[r], &all);
        free(texts[r]);
    }
    if (d->rank == 0 && rc == MIM_OK)
        rc = all ? mim_layout_to_text(all, &all_text)
                 : mim_fail(MIM_EDATA, "the sources hold no measured slot");
    if ((rc = mim_agree(d->comm, rc)) == MIM_OK)
        rc = mim_share_text(d->comm, 0, &all_text);
    if (rc == MIM_OK) {
        mim_layout_destroy(&d->layout);
        rc = mim_agree(d->comm, mim_layout_from_text(all_text, &d->layout));
    }
done:
    mim_layout_destroy(&all);
    free(all_text);
    free(texts);
    free(mine);
    return rc;
}

/* Of the first source of all, so that it does not matter which rank read what. */
static int check_slots(const dataset *d)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < d->n_parts; i++)
        rc = mim_layout_compare_slots(d->layout, d->parts[i]->layout, d->part_names[i]);
    return mim_agree(d->comm, rc);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Collective. Says what left no sample where that can be mended by a setting. */
static int check_samples(const dataset *d, const char *out)
{
    uint64_t sums[3] = {d->samples->n, 0, 0};
    for (size_t i = 0; i < d->n_parts; i++) {
        sums[1] += d->parts[i]->n_slots;
        sums[2] += d->parts[i]->n_disturbed;
    }
    MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_UINT64_T, MPI_SUM, d->comm);
    if (sums[0] > 0 || sums[2] == 0)
        return MIM_OK;
    return mim_fail(
        MIM_EDATA,
        "%s: a corpus needs at least one sample, there is none: others disturbed %" PRIu64
        " of %" PRIu64 " measured slots; dataset.with_disturbed=true takes them",
        out, sums[2], sums[1]);
}

static void sum_figures(const dataset *d, double read_s, double write_s, mim_dataset_figures *f)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    uint64_t sums[7] = {d->samples->n, 0, 0, 0, 0, d->n_unchecked, 0};
    double times[2] = {read_s, write_s};
    for (size_t i = 0; i < d->samples->n; i++)
        sums[1] += d->samples->is_validation[i];
    for (size_t i = 0; i < d->n_parts; i++) {
        sums[2] += d->parts[i]->n_slots;
        sums[3] += d->parts[i]->n_disturbed;
        sums[4] += d->parts[i]->n_lost;
        sums[6] += d->parts[i]->n_bytes;
    }
    MPI_Allreduce(MPI_IN_PLACE, sums, 7, MPI_UINT64_T, MPI_SUM, d->comm);
    MPI_Allreduce(MPI_IN_PLACE, times, 2, MPI_DOUBLE, MPI_MAX, d->comm);
    uint64_t row_bytes = 0;
    mim_corpus_columns(d->layout, columns);
    for (size_t c = 0; c < MIM_CORPUS_N_COLUMNS; c++)
        row_bytes += mim_column_row_bytes(&columns[c]);
    *f = (mim_dataset_figures){.n_sources = d->n_units,
                               .n_samples = sums[0],
                               .n_validation = sums[1],
                               .n_slots = sums[2],
                               .n_disturbed = sums[3],
                               .n_lost = sums[4],
                               .n_unchecked = sums[5],
                               .bytes_in = sums[6],
                               .bytes_out = sums[0] * row_bytes,
                               .read_s = times[0],
                               .write_s = times[1]};
}

static void clear(dataset *d)
{
    for (size_t i = 0; i < d->n_parts; i++)
        mim_part_destroy(&d->parts[i]);
    free(d->parts);
    free(d->part_names);
    free_sources(d->n_sources, &d->sources);
    mim_layout_destroy(&d->layout);
    mim_samples_destroy(&d->samples);
}

static char *source_names(size_t n, const char *const *paths)
{
    char *names = mim_strdup("");
    for (size_t i = 0; names && i < n && i < 100; i++) {
        char *longer = mim_format("%s%s%s", names, i ? " " : "", mim_basename(paths[i]));
        free(names);
        names = longer;
    }
    return names;
}

int mim_dataset_build(MPI_Comm comm, size_t n_sources, const char *const *sources, const char *out,
                      const mim_dataset_options *options, mim_log *log,
                      mim_dataset_figures *figures)
{
    dataset d = {.comm = comm, .options = options, .log = log, .n_sources = n_sources};
    double write_s = 0.0;
    MPI_Comm_rank(comm, &d.rank);
    MPI_Comm_size(comm, &d.n_ranks);
    char *names = source_names(n_sources, sources);
    int rc = mim_agree(comm, names ? MIM_OK : mim_fail(MIM_ENOMEM, "names of sources"));
    if (rc == MIM_OK)
        rc = share_sources(&d, sources);
    const double begin_s = MPI_Wtime();
    if (rc == MIM_OK)
        rc = mim_agree(comm, read_share(&d));
    const double read_s = MPI_Wtime() - begin_s;
    if (rc == MIM_OK)
        rc = agree_layout(&d);
    if (rc == MIM_OK)
        rc = check_slots(&d);
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_parts_join(d.n_parts, d.parts, d.layout, options->split_seed,
                                            options->validation_share, &d.samples));
    if (rc == MIM_OK)
        rc = check_samples(&d, out);
    if (rc == MIM_OK) {
        const mim_corpus_info info = {.split_seed = options->split_seed,
                                      .validation_share = options->validation_share,
                                      .config = options->config,
                                      .source = names};
        rc = mim_corpus_mpi_write(comm, out, d.layout, &info, d.samples, &write_s);
    }
    if (rc == MIM_OK)
        sum_figures(&d, read_s, write_s, figures);
    clear(&d);
    free(names);
    return rc;
}
