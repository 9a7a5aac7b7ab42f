/* Plans as HDF5 files: the original's (one dataset, nothing else) and ours. */
#include "plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA "mimesys_plan"

enum { SCHEMA_VERSION = 1, N_DIMS = 3 };

static const double min_slot_s = 0.01, max_slot_s = 1e6;

/* A file that says what it is must be a plan of a version we know. */
static int check_schema(mim_h5 *file, const char *path)
{
    char *schema = NULL;
    bool has_version = false;
    double version = 0;
    int rc = mim_h5_get_attribute_text(file, NULL, "schema", &schema);
    if (rc != MIM_OK || !schema)
        return rc;
    if (strcmp(schema, SCHEMA) != 0)
        rc = mim_fail(MIM_EDATA, "%s: holds \"%.60s\", expected a plan (%s)", path, schema, SCHEMA);
    else if ((rc = mim_h5_get_attribute_real(file, NULL, "schema_version", &has_version,
                                             &version)) == MIM_OK &&
             version != SCHEMA_VERSION)
        rc = mim_fail(MIM_EDATA, "%s: plan of version %g, this program knows version %d", path,
                      version, SCHEMA_VERSION);
    free(schema);
    return rc;
}

static int check_shape(mim_h5 *file, const char *path, size_t shape[MIM_H5_MAX_RANK])
{
    size_t rank = 0;
    int rc = mim_h5_get_shape(file, "execution_plan", &rank, shape);
    if (rc != MIM_OK)
        return rc;
    if (rank != N_DIMS)
        return mim_fail(MIM_EDATA,
                        "%s: execution_plan has rank %zu, expected 3 (window, thread, stressor)",
                        path, rank);
    if (shape[0] == 0 || shape[1] == 0 || shape[2] == 0)
        return mim_fail(MIM_EDATA, "%s: execution_plan is empty: %zu x %zu x %zu", path, shape[0],
                        shape[1], shape[2]);
    if (shape[0] > MIM_PLAN_MAX_WINDOWS || shape[1] > MIM_PLAN_MAX_THREADS ||
        shape[2] > MIM_PLAN_MAX_VALUES / shape[0] / shape[1])
        return mim_fail(MIM_EDATA,
                        "%s: execution_plan has %zu windows, %zu threads, %zu stressors, expected "
                        "at most %d, %d and %u weights in all",
                        path, shape[0], shape[1], shape[2], MIM_PLAN_MAX_WINDOWS,
                        MIM_PLAN_MAX_THREADS, MIM_PLAN_MAX_VALUES);
    return MIM_OK;
}

/* The file's own list, else the fallback, else the default one. */
static int find_actions(mim_h5 *file, const char *path, const mim_actions *fallback,
                        size_t n_stressors, mim_actions **actions)
{
    mim_actions *found = NULL;
    char **names = NULL;
    size_t n = 0;
    bool is_named = mim_h5_has(file, "action_names");
    int rc;
    if (is_named) {
        if ((rc = mim_h5_get_texts(file, "action_names", n_stressors, &n, &names)) == MIM_OK &&
            (rc = mim_actions_from_names(n, (const char *const *)names, &found)) != MIM_OK)
            rc = mim_fail_in(rc, "%s: action_names", path);
        mim_h5_free_texts(n, &names);
    } else {
        rc = fallback ? mim_actions_copy(fallback, &found) : mim_actions_builtin("20", &found);
    }
    if (rc == MIM_OK && mim_actions_n(found) != n_stressors) {
        rc = is_named
                 ? mim_fail(MIM_EDATA, "%s: %zu action names for %zu stressors a thread", path, n,
                            n_stressors)
                 : mim_fail(MIM_EDATA,
                            "%s: %zu stressors a thread, but the action list has %zu; the file "
                            "does not name its list: give another one (" MIM_ACTIONS_WORDS
                            " or a file)",
                            path, n_stressors, mim_actions_n(found));
        mim_actions_destroy(&found);
    }
    if (rc == MIM_OK)
        *actions = found;
    return rc;
}

static int read_attributes(mim_h5 *file, const char *path, mim_plan *plan)
{
    char *origin = NULL;
    bool has_slot = false;
    double slot_s = 0;
    int rc = mim_h5_get_attribute_real(file, NULL, "slot_s", &has_slot, &slot_s);
    if (rc != MIM_OK)
        return rc;
    if (has_slot && !(slot_s >= min_slot_s && slot_s <= max_slot_s))
        return mim_fail(MIM_EDATA, "%s: slot_s is %g, expected %g to %g", path, slot_s, min_slot_s,
                        max_slot_s);
    mim_plan_set_slot_s(plan, has_slot ? slot_s : 0);
    if ((rc = mim_h5_get_attribute_text(file, NULL, "origin", &origin)) == MIM_OK && origin)
        rc = mim_plan_set_origin(plan, origin);
    free(origin);
    return rc;
}

int mim_plan_read(const char *path, const mim_actions *fallback, mim_plan **plan)
{
    return mim_plan_read_with(NULL, path, fallback, plan);
}

int mim_plan_read_with(mim_h5_reader *reader, const char *path, const mim_actions *fallback,
                       mim_plan **plan)
{
    mim_h5 *file = NULL;
    mim_actions *actions = NULL;
    mim_plan *made = NULL;
    double *values = NULL;
    size_t shape[MIM_H5_MAX_RANK];
    int rc = mim_h5_open_with(reader, path, &file);
    if (rc != MIM_OK)
        return rc;
    if ((rc = check_schema(file, path)) != MIM_OK ||
        (rc = check_shape(file, path, shape)) != MIM_OK ||
        (rc = find_actions(file, path, fallback, shape[2], &actions)) != MIM_OK)
        goto done;
    size_t n = shape[0] * shape[1] * shape[2];
    if ((rc = mim_h5_get_real(file, "execution_plan", N_DIMS, n, shape, &values)) != MIM_OK)
        goto done;
    if (shape[2] != mim_actions_n(actions)) { /* a reader that changed its mind */
        rc = mim_fail(MIM_EDATA, "%s: not a readable HDF5 file", path);
        goto done;
    }
    if ((rc = mim_plan_create(shape[0], shape[1], actions, &made)) != MIM_OK)
        goto done;
    memcpy(mim_plan_row(made, 0, 0), values, shape[0] * shape[1] * shape[2] * sizeof *values);
    if ((rc = read_attributes(file, path, made)) != MIM_OK ||
        (rc = mim_plan_validate(made, path)) != MIM_OK)
        goto done;
    *plan = made;
    made = NULL;
done:
    free(values);
    mim_plan_destroy(&made);
    mim_actions_destroy(&actions);
    mim_h5_destroy(&file);
    return rc;
}

int mim_plan_write(const mim_plan *plan, const char *path)
{
    mim_h5 *file = NULL;
    const mim_actions *actions = mim_plan_actions(plan);
    size_t shape[N_DIMS] = {mim_plan_n_windows(plan), mim_plan_n_threads(plan),
                            mim_plan_n_stressors(plan)};
    const char **names = calloc(shape[2], sizeof *names);
    int rc = names ? mim_h5_create(path, SCHEMA, SCHEMA_VERSION, NULL, &file)
                   : mim_fail(MIM_ENOMEM, "%s: %zu names", path, shape[2]);
    if (rc != MIM_OK)
        goto done;
    for (size_t s = 0; s < shape[2]; s++)
        names[s] = mim_actions_name(actions, s);
    if ((rc = mim_h5_put_real(file, "execution_plan", N_DIMS, shape, mim_plan_weights(plan, 0, 0),
                              "share of a slot", "window, thread, stressor",
                              "weight of each stressor")) != MIM_OK ||
        (rc = mim_h5_put_texts(file, "action_names", shape[2], names, "stressor",
                               "names of the stressors")) != MIM_OK ||
        (rc = mim_h5_put_attribute_text(file, NULL, "origin", mim_plan_origin(plan))) != MIM_OK)
        goto done;
    if (mim_plan_slot_s(plan) > 0 &&
        (rc = mim_h5_put_attribute_real(file, NULL, "slot_s", mim_plan_slot_s(plan))) != MIM_OK)
        goto done;
    rc = mim_h5_commit(&file);
done:
    mim_h5_destroy(&file);
    free(names);
    return rc;
}
