/* models/: what is shipped is sound and belongs together, and what was learnt holds for plans that
 * were kept out of training. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "corpus/corpus.h"
#include "diffusion/checkpoint.h"
#include "diffusion/lessons.h"

static const char corpus_path[] = "models/epyc-2cpu/corpus.h5";
static const char model_path[] = "models/epyc-2cpu/model.h5";

typedef struct shipped {
    mim_corpus *corpus;
    mim_lessons *lessons;
    mim_model *model;
} shipped;

static int setup(void **state)
{
    static const mim_lessons_options all = {1 << 30, SIZE_MAX, SIZE_MAX};
    shipped *s = calloc(1, sizeof *s);
    *state = s;
    if (!s || mim_corpus_open(corpus_path, &s->corpus) != MIM_OK ||
        mim_lessons_read(s->corpus, &all, &s->lessons) != MIM_OK ||
        mim_checkpoint_read(model_path, false, &s->model) != MIM_OK) {
        print_error("%s\n", mim_error());
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    shipped *s = *state;
    mim_model_destroy(&s->model);
    mim_lessons_destroy(&s->lessons);
    mim_corpus_destroy(&s->corpus);
    free(s);
    return 0;
}

static void files_belong_together(void **state)
{
    const shipped *s = *state;
    mim_response *again = NULL;
    assert_int_equal(mim_corpus_check(s->corpus), MIM_OK);
    assert_true(s->model->corpus_hash == mim_corpus_hash(s->corpus));
    assert_non_null(s->model->response);
    assert_int_equal(mim_response_fit(s->model->domain, &s->lessons->fit, &again), MIM_OK);
    for (size_t i = 0; i < again->n_rows * again->n_columns; i++)
        assert_true(fabs(again->mean[i] - s->model->response->mean[i]) < 1e-6);
    mim_response_destroy(&again);
}

/* Mean absolute error in shares of the range over the plans kept out of training: what was measured
 * is known to a point of a core (ticks of 10 ms), the disk rates far better. */
static void response_holds_for_new_plans(void **state)
{
    const shipped *s = *state;
    const mim_examples *e = &s->lessons->validation;
    const mim_domain *d = s->model->domain;
    const size_t n_cells = d->n_threads * d->n_stressors;
    double *weights = calloc(n_cells, sizeof *weights);
    double *found = calloc(2 * d->n_metrics, sizeof *found), *sums = found + d->n_metrics;
    assert_true(weights && found && e->n > 100);
    for (size_t i = 0; i < e->n; i++) {
        for (size_t k = 0; k < n_cells; k++)
            weights[k] = (double)e->action[e->rows[i] * n_cells + k];
        mim_response_predict(s->model->response, d, weights, found);
        for (size_t m = 0; m < d->n_metrics; m++) {
            const double measured = (double)e->metric[e->rows[i] * d->n_metrics + m];
            sums[m] += fabs(found[m] - measured) / (d->maximum[m] - d->minimum[m]) / (double)e->n;
        }
    }
    for (size_t m = 0; m < d->n_metrics; m++)
        if (!(sums[m] < (d->metrics[m][0] == 'a' ? 0.01 : 0.005)))
            fail_msg("%s: off by %.4f of its range", d->metrics[m], sums[m]);
    free(weights);
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_belong_together),
        cmocka_unit_test(response_holds_for_new_plans),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
