/* A corpus as text for other programs. */
#include <inttypes.h>
#include <stdio.h>

#include "core/atomic_file.h"
#include "corpus/corpus.h"

/* Names hold commas and quotes in some action lists: fields are quoted as RFC 4180 says. */
static void put_field(FILE *out, const char *before, const char *name, const char *after)
{
    fputs(",\"", out);
    fputs(before, out);
    for (const char *at = name; *at; at++) {
        if (*at == '"')
            fputc('"', out);
        fputc(*at, out);
    }
    fputs(after, out);
    fputc('"', out);
}

static void put_actions(FILE *out, const mim_layout *l, const char *kind)
{
    char before[64];
    for (size_t t = 0; t < l->n_threads; t++)
        for (size_t s = 0; s < l->n_stressors; s++) {
            snprintf(before, sizeof before, "%s thread %zu ", kind, t);
            put_field(out, before, l->action_names[s], "");
        }
}

static void put_names(FILE *out, const mim_layout *l)
{
    fputs("plan_id,window,n_repeats,has_previous,is_validation", out);
    for (size_t m = 0; m < l->n_metrics; m++) {
        char unit[128];
        snprintf(unit, sizeof unit, " [%.100s]", l->metric_units[m]);
        put_field(out, "", l->metric_names[m], unit);
        put_field(out, "spread of ", l->metric_names[m], unit);
    }
    put_actions(out, l, "action");
    put_actions(out, l, "previous");
    fputc('\n', out);
}

static void put_sample(FILE *out, const mim_layout *l, const mim_samples *s, size_t i)
{
    const size_t cells = l->n_threads * l->n_stressors;
    fprintf(out, "%" PRIu64 ",%u,%u,%d,%d", s->plan_id[i], s->window[i], s->n_repeats[i],
            s->has_previous[i], s->is_validation[i]);
    for (size_t m = i * l->n_metrics; m < (i + 1) * l->n_metrics; m++) {
        if (s->mask[m])
            fprintf(out, ",%.9g,%.9g", (double)s->metric[m], (double)s->spread[m]);
        else
            fputs(",,", out);
    }
    for (size_t a = i * cells; a < (i + 1) * cells; a++)
        fprintf(out, ",%.9g", (double)s->action[a]);
    for (size_t a = i * cells; a < (i + 1) * cells; a++)
        fprintf(out, ",%.9g", (double)s->previous_action[a]);
    fputc('\n', out);
}

int mim_corpus_write_csv(mim_corpus *corpus, const char *path)
{
    enum { BLOCK = 1024 };
    const mim_layout *l = mim_corpus_layout(corpus);
    const size_t n = mim_corpus_n_samples(corpus);
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(path, &file);
    if (rc == MIM_OK)
        put_names(mim_atomic_file_stream(file), l);
    for (size_t at = 0; rc == MIM_OK && at < n; at += BLOCK) {
        mim_samples *block = NULL;
        rc = mim_corpus_read(corpus, at, n - at < BLOCK ? n - at : BLOCK, &block);
        for (size_t i = 0; rc == MIM_OK && i < block->n; i++)
            put_sample(mim_atomic_file_stream(file), l, block, i);
        mim_samples_destroy(&block);
    }
    if (rc == MIM_OK)
        rc = mim_atomic_file_commit(&file);
    mim_atomic_file_destroy(&file);
    return rc;
}
