#include "diffusion/examples.h"

#include <math.h>
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
                                    .host_class = l->host_class,
                                    .sizes = l->sizes};
    int rc = mim_domain_create(&parts, domain);
    free(threads);
    return rc;
}

size_t mim_examples_row(const mim_examples *examples, size_t i)
{
    return examples->rows ? examples->rows[i] : i;
}

mim_examples mim_examples_of_samples(const mim_samples *s)
{
    return (mim_examples){.n = s->n,
                          .metric = s->metric,
                          .mask = s->mask,
                          .action = s->action,
                          .previous = s->previous_action,
                          .has_previous = s->has_previous};
}

int mim_examples_check(const mim_examples *examples, const mim_domain *d)
{
    const size_t n_cells = d->n_threads * d->n_stressors;
    for (size_t e = 0; e < examples->n; e++) {
        const size_t row = mim_examples_row(examples, e);
        for (size_t m = 0; m < d->n_metrics; m++)
            if (examples->mask[row * d->n_metrics + m] &&
                !isfinite(examples->metric[row * d->n_metrics + m]))
                return mim_fail(MIM_EDATA, "example %zu: %s is not finite", row, d->metrics[m]);
        for (size_t i = 0; i < 2 * n_cells; i++) {
            const float w = i < n_cells ? examples->action[row * n_cells + i]
                                        : examples->previous[row * n_cells + i - n_cells];
            if (!(w >= 0 && w <= 1))
                return mim_fail(MIM_EDATA, "example %zu: weight %g is not 0 to 1", row, (double)w);
        }
    }
    return MIM_OK;
}
