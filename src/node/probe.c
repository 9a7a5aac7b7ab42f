#include "node/probe.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

int mim_probe_create(mim_probe **probe)
{
    mim_probe *p = calloc(1, sizeof *p);

    if (!p)
        return mim_fail(MIM_ENOMEM, "probe");
    *probe = p;
    return MIM_OK;
}

static void free_source(mim_probe_source *source)
{
    free(source->name);
    free(source->types);
    free(source->note);
}

void mim_probe_destroy(mim_probe **probe)
{
    mim_probe *p = *probe;

    if (!p)
        return;
    for (size_t i = 0; i < p->n_sources; i++)
        free_source(&p->sources[i]);
    free(p->sources);
    free(p);
    *probe = NULL;
}

int mim_probe_add(mim_probe *p, unsigned tier, const char *name, const char *types, bool is_read,
                  const char *note)
{
    assert(tier >= 1 && tier <= MIM_PROBE_N_TIERS);
    mim_probe_source *sources = realloc(p->sources, (p->n_sources + 1) * sizeof *sources);

    if (!sources)
        return mim_fail(MIM_ENOMEM, "probe of %s", name);
    p->sources = sources;
    mim_probe_source new = {.tier = tier,
                            .is_read = is_read,
                            .name = mim_strdup(name),
                            .types = mim_strdup(types),
                            .note = mim_strdup(note)};
    if (!new.name || !new.types || !new.note) {
        free_source(&new);
        return mim_fail(MIM_ENOMEM, "probe of %s", name);
    }
    mim_make_one_line(new.note);
    sources[p->n_sources++] = new;
    return MIM_OK;
}

/* Sources that are missing; of tier 1, where the reason is nearly always an old kernel, by name
 * alone. */
static void write_missing(const mim_probe *p, unsigned tier, FILE *out)
{
    const char *separator = "";

    for (size_t i = 0; i < p->n_sources; i++) {
        const mim_probe_source *s = &p->sources[i];
        if (s->tier != tier || s->is_read)
            continue;
        if (tier == 1)
            fprintf(out, "%s%s", *separator ? " " : "", s->name);
        else
            fprintf(out, "%s%s: %s", separator, s->name, s->note);
        separator = "; ";
    }
}

static void write_tier(const mim_probe *p, unsigned tier, FILE *out)
{
    size_t n_read = 0, n_missing = 0;

    for (size_t i = 0; i < p->n_sources; i++) {
        n_read += p->sources[i].tier == tier && p->sources[i].is_read;
        n_missing += p->sources[i].tier == tier && !p->sources[i].is_read;
    }
    fprintf(out, "%s%u:%s", tier > 1 ? " " : "", tier, n_read > 0 ? "yes" : "no");
    if (n_missing == 0)
        return;
    fputs(n_read > 0 ? "(without " : "(", out);
    write_missing(p, tier, out);
    fputc(')', out);
}

char *mim_probe_tiers(const mim_probe *p)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return NULL;
    for (unsigned tier = 1; tier <= MIM_PROBE_N_TIERS; tier++)
        write_tier(p, tier, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

char *mim_probe_table(const mim_probe *p)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return NULL;
    for (unsigned tier = 1; tier <= MIM_PROBE_N_TIERS; tier++) {
        for (size_t i = 0; i < p->n_sources; i++) {
            const mim_probe_source *s = &p->sources[i];
            if (s->tier == tier)
                fprintf(out, "tier %u  %-9s %-12s %s%s%s\n", tier, s->name, s->types,
                        s->is_read ? "read" : "not read", *s->note ? ": " : "", s->note);
        }
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
