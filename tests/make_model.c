/* Writes an untrained model of a corpus: its names and ranges, and weights that say nothing. For
 * the tests of programs. usage: make_model CORPUS.h5 MODEL.h5 */
#include <stdio.h>

#include "diffusion/checkpoint.h"
#include "diffusion/examples.h"

int main(int argc, char **argv)
{
    static const mim_architecture size = {.width = 16, .n_blocks = 1, .n_heads = 2, .mlp_ratio = 2};
    static const mim_process process = {MIM_SCHEDULE_COSINE, 50, MIM_PREDICT_X0, MIM_OUTPUT_FREE};
    mim_corpus *corpus = NULL;
    mim_domain *domain = NULL;
    mim_model *model = NULL;
    if (argc != 3)
        return 2;
    int rc = mim_corpus_open(argv[1], &corpus);
    if (rc == MIM_OK)
        rc = mim_domain_of_corpus(corpus, &domain);
    if (rc == MIM_OK)
        rc = mim_model_create(&domain, &size, &process, 1, &model);
    if (rc == MIM_OK)
        rc = mim_checkpoint_write(model, true, argv[2]);
    if (rc != MIM_OK)
        fprintf(stderr, "make_model: %s\n", mim_error());
    mim_model_destroy(&model);
    mim_domain_destroy(&domain);
    mim_corpus_destroy(&corpus);
    return rc == MIM_OK ? 0 : 1;
}
