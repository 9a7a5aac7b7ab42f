#include "core/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/text.h"
#include "core/version.h"

struct mim_summary {
    json_t *root;
    int64_t begin_ns;
};

/* Comment lines of the ini text are help and do not count. */
static uint64_t hash_settings(const char *ini)
{
    uint64_t hash = MIM_HASH_START;
    while (*ini) {
        size_t n = strcspn(ini, "\n");
        n += ini[n] == '\n';
        if (*ini != '#')
            hash = mim_hash_text(hash, ini, n);
        ini += n;
    }
    return hash;
}

int mim_summary_create(const char *program, uint64_t seed, int n_ranks, const mim_config *config,
                       mim_summary **summary)
{
    if (seed > INT64_MAX)
        return mim_fail(MIM_EINVAL, "seed: expected at most %lld, found %llu", (long long)INT64_MAX,
                        (unsigned long long)seed);
    mim_summary *made = calloc(1, sizeof *made);
    char *ini = config ? mim_config_text_ini(config) : NULL;
    char hash[24] = "";
    if (ini)
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_settings(ini));
    bool is_known = !config || ini;
    free(ini);
    if (made && is_known)
        made->root = json_pack("{s:s, s:i, s:s, s:s, s:n, s:I, s:i, s:s?, s:n, s:{}}", "schema",
                               "mimesys_summary", "schema_version", 1, "program", program,
                               "version", MIM_VERSION, "status", "seed", (json_int_t)seed, "ranks",
                               n_ranks, "config_hash", *hash ? hash : NULL, "wall_s", "figures");
    if (!made || !made->root) {
        free(made);
        return mim_fail(MIM_ENOMEM, "summary");
    }
    made->begin_ns = mim_clock_mono_ns();
    *summary = made;
    return MIM_OK;
}

void mim_summary_destroy(mim_summary **summary)
{
    if (!*summary)
        return;
    json_decref((*summary)->root);
    free(*summary);
    *summary = NULL;
}

json_t *mim_summary_figures(mim_summary *summary)
{
    return json_object_get(summary->root, "figures");
}

static void finish(mim_summary *summary, const char *status)
{
    double wall_s = (double)(mim_clock_mono_ns() - summary->begin_ns) * 1e-9;
    json_object_set_new(summary->root, "status", json_string(status));
    json_object_set_new(summary->root, "wall_s", mim_json_real(wall_s));
}

static char *text_of(const json_t *object)
{
    char *json = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    char *text = json ? mim_format("%s\n", json) : NULL;
    free(json);
    return text;
}

int mim_summary_write(mim_summary *summary, const char *status, const char *path)
{
    finish(summary, status);
    return mim_json_write(summary->root, path);
}

int mim_summary_print(mim_summary *summary, const char *status, FILE *out)
{
    finish(summary, status);
    return mim_json_print(summary->root, out);
}

json_t *mim_json_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

int mim_json_print(const json_t *object, FILE *out)
{
    char *text = text_of(object);
    if (!text)
        return mim_fail(MIM_ENOMEM, "JSON text");
    fputs(text, out);
    free(text);
    if (fflush(out) != 0 || ferror(out))
        return mim_fail(MIM_EIO, "standard output: cannot be written");
    return MIM_OK;
}

int mim_json_write(const json_t *object, const char *path)
{
    char *text = text_of(object);
    if (!text)
        return mim_fail(MIM_ENOMEM, "%s: text", path);
    int rc = mim_atomic_write(path, text, strlen(text));
    free(text);
    return rc;
}
