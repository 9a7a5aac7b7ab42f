#include "diffusion/examples.h"

#include <stdlib.h>

int mim_domain_of_corpus(const mim_corpus *corpus, mim_domain **domain)
{
    const mim_layout *l = mim_corpus_layout(corpus);
    size_t *threads = calloc(2 * l->n_threads, sizeof *threads), n_sockets = 1;
    if (!threads)
        return mim_fail(MIM_ENOMEM, "%zu threads", l->n_threads);
    for (size_t t = 0; t < l->n_threads; t++) {
        threads[t] = mim_layout_core_metric(l, t);
        threads[l->n_threads + t] = (size_t)l->thread_sockets[t];
        if (l->thread_sockets[t] >= n_sockets)
            n_sockets = (size_t)l->thread_sockets[t] + 1;
    }
    const mim_domain_parts parts = {.n_metrics = l->n_metrics,
                                    .n_threads = l->n_threads,
                                    .n_stressors = l->n_stressors,
                                    .n_sockets = n_sockets,
                                    .metrics = (const char *const *)l->metric_names,
                                    .actions = (const char *const *)l->action_names,
                                    .minimum = mim_corpus_range_min(corpus),
                                    .maximum = mim_corpus_range_max(corpus),
                                    .thread_metric = threads,
                                    .socket = threads + l->n_threads,
                                    .host_class = l->host_class};
    int rc = mim_domain_create(&parts, domain);
    free(threads);
    return rc;
}

static mim_examples examples_of(const mim_samples *s, size_t n, const size_t *rows)
{
    return (mim_examples){.n = n,
                          .rows = rows,
                          .metric = s->metric,
                          .mask = s->mask,
                          .action = s->action,
                          .previous = s->previous_action,
                          .has_previous = s->has_previous};
}

int mim_lessons_read(mim_corpus *corpus, mim_lessons **lessons)
{
    const size_t n = mim_corpus_n_samples(corpus);
    size_t n_train = 0, n_validation = 0;
    mim_lessons *made = calloc(1, sizeof *made);
    int rc = made && (made->rows = calloc(n ? n : 1, sizeof *made->rows))
                 ? MIM_OK
                 : mim_fail(MIM_ENOMEM, "%zu samples", n);
    if (rc == MIM_OK)
        rc = mim_corpus_read(corpus, 0, n, &made->samples);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) { /* training from the front */
        if (made->samples->is_validation[i])
            made->rows[n - ++n_validation] = i;
        else
            made->rows[n_train++] = i;
    }
    if (rc == MIM_OK && n_train == 0)
        rc = mim_fail(MIM_EDATA, "none of the corpus's %zu samples is for training", n);
    if (rc == MIM_OK) {
        made->train = examples_of(made->samples, n_train, made->rows);
        made->validation = examples_of(made->samples, n_validation, made->rows + n_train);
        *lessons = made;
        made = NULL;
    }
    mim_lessons_destroy(&made);
    return rc;
}

void mim_lessons_destroy(mim_lessons **lessons)
{
    mim_lessons *old = *lessons;
    if (!old)
        return;
    *lessons = NULL;
    mim_samples_destroy(&old->samples);
    free(old->rows);
    free(old);
}
