#include "report/compare_model.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/summary.h"
#include "core/text.h"

/* A JSON string; bytes that are not UTF-8 (file names may be any) become '?'. */
static json_t *json_text(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    char *copy = mim_strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    json = copy ? json_string(copy) : NULL;
    free(copy);
    return json;
}

static json_t *json_count(size_t n) { return json_integer((json_int_t)n); }

/* json_object_set_new with a key of any bytes. 0 on success, as jansson's. */
static int set(json_t *object, const char *key, json_t *value)
{
    json_t *name = json_text(key);
    int bad = !name || !value;
    if (bad)
        json_decref(value);
    else
        bad = json_object_set_new(object, json_string_value(name), value);
    json_decref(name);
    return bad;
}

static json_t *family_json(const mim_family_error *family)
{
    json_t *json = json_object();
    if (family->n_metrics == 0) {
        json_decref(json);
        return json_null();
    }
    int bad = set(json, "nl1", mim_json_real(family->nl1));
    bad |= set(json, "mse", mim_json_real(family->mse));
    bad |= set(json, "dtw", mim_json_real(family->dtw));
    bad |= set(json, "n_slots", json_count(family->n_slots));
    if (bad) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *metric_json(const mim_metric *metric, double range, const mim_metric_error *error)
{
    json_t *json = json_object();
    int bad = set(json, "family", json_text(mim_family_name(metric->family)));
    bad |= set(json, "unit", json_text(metric->unit ? metric->unit : ""));
    bad |= set(json, "range", mim_json_real(range));
    bad |= set(json, "nl1", mim_json_real(error->nl1));
    bad |= set(json, "mse", mim_json_real(error->mse));
    bad |= set(json, "dtw", mim_json_real(error->dtw));
    bad |= set(json, "wanted_mean", mim_json_real(error->wanted_mean));
    bad |= set(json, "measured_mean", mim_json_real(error->measured_mean));
    bad |= set(json, "n_slots", json_count(error->n_slots));
    bad |= set(json, "n_absent", json_count(error->n_absent));
    if (bad) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *run_json(const mim_compare *compare, const mim_compare_run *run)
{
    json_t *json = json_object(), *families = json_object(), *metrics = json_object();
    int bad = 0;
    for (int f = 0; f < MIM_N_FAMILIES; f++)
        bad |= set(families, mim_family_name((mim_family)f), family_json(&run->families[f]));
    for (size_t m = 0; m < compare->wanted->n_metrics; m++)
        if (!run->metrics[m].is_left_out)
            bad |= set(
                metrics, compare->wanted->metrics[m].name,
                metric_json(&compare->wanted->metrics[m], compare->ranges[m], &run->metrics[m]));
    bad |= set(json, "file", json_text(run->name));
    bad |= set(json, "label", json_text(run->label));
    bad |= set(json, "hostname", json_text(run->hostname));
    bad |= set(json, "n_slots", json_count(run->n_slots));
    bad |= set(json, "n_accepted", run->is_judged ? json_count(run->n_accepted) : json_null());
    bad |= set(json, "is_measurable",
               run->is_judged ? json_boolean(run->n_accepted >= MIM_COMPARE_MIN_ACCEPTED)
                              : json_null());
    bad |= set(json, "families", families);
    bad |= set(json, "metrics", metrics);
    bad |= set(json, "nl1_mean", mim_json_real(run->nl1_mean));
    if (bad) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *label_json(const mim_label_summary *summary)
{
    json_t *json = json_object(), *families = json_object(), *floors = json_object();
    int bad = 0;
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        bad |= set(families, mim_family_name((mim_family)f), family_json(&summary->families[f]));
        bad |= set(floors, mim_family_name((mim_family)f), mim_json_real(summary->floor[f]));
    }
    bad |= set(json, "n_runs", json_count(summary->n_runs));
    bad |=
        set(json, "n_accepted", summary->is_judged ? json_count(summary->n_accepted) : json_null());
    bad |= set(json, "is_measurable",
               summary->is_judged ? json_boolean(summary->n_accepted >= MIM_COMPARE_MIN_ACCEPTED)
                                  : json_null());
    bad |= set(json, "families", families);
    bad |= set(json, "nl1_mean", mim_json_real(summary->nl1_mean));
    bad |= set(json, "spread", mim_json_real(summary->spread));
    bad |= set(json, "floor", floors);
    bad |= set(json, "floor_mean", mim_json_real(summary->floor_mean));
    if (bad) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *left_out_json(const mim_compare *compare, const mim_left_out *left)
{
    json_t *json = json_object();
    int bad = set(json, "metric", json_text(compare->wanted->metrics[left->metric].name));
    bad |= set(json, "file",
               left->run == SIZE_MAX ? json_null() : json_text(compare->runs[left->run].name));
    bad |= set(json, "reason", json_text(left->reason));
    if (bad) {
        json_decref(json);
        return NULL;
    }
    return json;
}

int mim_compare_json(const mim_compare *compare, json_t **json)
{
    json_t *all = json_object(), *notes = json_array(), *left_out = json_array();
    json_t *files = json_array(), *labels = json_object();
    int bad = 0;
    for (size_t i = 0; i < compare->n_notes; i++)
        bad |= json_array_append_new(notes, json_text(compare->notes[i]));
    for (size_t i = 0; i < compare->n_left_out; i++)
        bad |= json_array_append_new(left_out, left_out_json(compare, &compare->left_out[i]));
    for (size_t i = 0; i < compare->n_runs; i++) {
        mim_label_summary summary;
        bad |= json_array_append_new(files, run_json(compare, &compare->runs[i]));
        if (!mim_compare_first_of_label(compare, i))
            continue;
        mim_compare_summarise(compare, i, &summary);
        bad |= set(labels, summary.label, label_json(&summary));
    }
    bad |= set(all, "wanted", json_text(compare->wanted_name));
    bad |= set(all, "accepted_only", json_boolean(compare->only_accepted));
    bad |= set(all, "notes", notes);
    bad |= set(all, "left_out", left_out);
    bad |= set(all, "files", files);
    bad |= set(all, "labels", labels);
    if (bad) {
        json_decref(all);
        return mim_fail(MIM_ENOMEM, "the comparison as JSON");
    }
    *json = all;
    return MIM_OK;
}
