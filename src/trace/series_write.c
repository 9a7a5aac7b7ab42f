#include "trace/series_write.h"

#include <math.h>
#include <stdlib.h>

#include "core/atomic_file.h"
#include "core/h5.h"

int mim_series_write_csv(const mim_series *series, const char *path)
{
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(path, &file);
    if (rc != MIM_OK)
        return rc;
    FILE *out = mim_atomic_file_stream(file);
    fputs("start_s,length_s", out);
    for (size_t m = 0; m < series->n_metrics; m++)
        fprintf(out, ",%s [%s]", series->metrics[m].name, series->metrics[m].unit);
    fputs("\n", out);
    for (size_t i = 0; i < series->n_slots && !ferror(out); i++) {
        fprintf(out, "%.6f,%.17g", series->start_s[i], series->length_s[i]);
        for (size_t m = 0; m < series->n_metrics; m++) {
            double value = mim_series_at(series, i, m);
            if (isnan(value))
                fputs(",", out);
            else
                fprintf(out, ",%.17g", value);
        }
        fputs("\n", out);
    }
    return mim_atomic_file_commit(&file);
}

/* One text of every metric. */
typedef const char *(*metric_text)(const mim_metric *metric);

static const char *name_of(const mim_metric *metric) { return metric->name; }
static const char *unit_of(const mim_metric *metric) { return metric->unit; }
static const char *family_of(const mim_metric *metric) { return mim_family_name(metric->family); }

static int put_texts(mim_h5 *file, const mim_series *series, const char *dataset, metric_text text,
                     const char *long_name)
{
    const char **texts = malloc((series->n_metrics + 1) * sizeof *texts);
    if (!texts)
        return mim_fail(MIM_ENOMEM, "%zu texts", series->n_metrics);
    for (size_t m = 0; m < series->n_metrics; m++)
        texts[m] = text(&series->metrics[m]);
    int rc = mim_h5_put_texts(file, dataset, series->n_metrics, texts, "metric", long_name);
    free(texts);
    return rc;
}

static int put_all(mim_h5 *file, const mim_series *series)
{
    size_t shape[2] = {series->n_slots, series->n_metrics};
    int rc = mim_h5_put_real(file, "values", 2, shape, series->values, "see metric_units",
                             "slot, metric", "metrics per slot, NaN where absent");
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, "start_s", 1, shape, series->start_s, "s", "slot",
                             "start of the slot since 1970-01-01 UTC");
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, "length_s", 1, shape, series->length_s, "s", "slot",
                             "length of the slot");
    if (rc == MIM_OK)
        rc = put_texts(file, series, "metric_names", name_of, "names of the metrics");
    if (rc == MIM_OK)
        rc = put_texts(file, series, "metric_units", unit_of, "units of the metrics");
    if (rc == MIM_OK)
        rc = put_texts(file, series, "metric_families", family_of, "families of the metrics");
    return rc;
}

int mim_series_write_h5(const mim_series *series, const char *path)
{
    mim_h5 *file = NULL;
    if (series->n_slots == 0 || series->n_metrics == 0)
        return mim_fail(MIM_EDATA, "%s: nothing to write: %zu slots of %zu metrics", path,
                        series->n_slots, series->n_metrics);
    int rc = mim_h5_create(path, "mimesys_series", 1, NULL, &file);
    if (rc != MIM_OK)
        return rc;
    rc = put_all(file, series);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "hostname", series->hostname);
    if (rc == MIM_OK)
        return mim_h5_commit(&file);
    mim_h5_destroy(&file);
    return rc;
}
