/* What the products share: the plain ones stand in where a library refuses or has no double. */
#ifndef MIM_NN_GEMM_INTERNAL_H
#define MIM_NN_GEMM_INTERNAL_H

#include "nn/gemm.h"
#include "nn/precision.h"

/* assert() of the shape's promises. */
void mim_gemm_assert(const mim_gemm_shape *shape);

void mim_gemm_plain_run_f(const mim_gemm_shape *shape, float alpha, const float *a, const float *b,
                          float beta, float *c);
void mim_gemm_plain_run_d(const mim_gemm_shape *shape, double alpha, const double *a,
                          const double *b, double beta, double *c);
void mim_gemm_plain_run_batch_f(const mim_gemm_shape *shape, const mim_gemm_batch *batch,
                                float alpha, const float *a, const float *b, float beta, float *c);
void mim_gemm_plain_run_batch_d(const mim_gemm_shape *shape, const mim_gemm_batch *batch,
                                double alpha, const double *a, const double *b, double beta,
                                double *c);

/* oneDNN's version and instructions. */
void mim_gemm_onednn_describe(size_t size, char *text);
/* The processor multiplies bf16 numbers; by tiles. */
bool mim_onednn_has_bf16(void);
bool mim_onednn_has_amx(void);

/* How the elements of C are shared out: pieces of row_step by column_step, the last ones maybe
 * smaller. It follows from the shape alone, so that what is summed in which order does not depend
 * on the number of threads. */
typedef struct mim_gemm_cut {
    size_t row_step, column_step, n_columns, n_pieces; /* n_columns: pieces side by side */
} mim_gemm_cut;
mim_gemm_cut mim_gemm_cut_of(const mim_gemm_shape *shape, bool has_whole_rows);

/* Matrices B that change seldom, rearranged as products like them best; each is so once, whoever
 * uses it in however many plans and threads. */
typedef struct mim_onednn_packs mim_onednn_packs;
int mim_onednn_packs_create(mim_onednn_packs **packs);
void mim_onednn_packs_destroy(mim_onednn_packs **packs);
/* After the matrices have changed, while nobody uses them; by all threads. False: the library
 * refuses, and what they are now is of no use. */
bool mim_onednn_packs_renew(mim_onednn_packs *packs);

/* A product that is computed again and again, made ready once: C = A B, or with is_added C += A B.
 */
typedef struct mim_plan_kind {
    bool is_half;    /* A and B are bf16, else float */
    bool gives_half; /* C is bf16, rounded once, of sums in float; else float */
    bool is_added;   /* not with gives_half */
} mim_plan_kind;
typedef struct mim_onednn_plan mim_onednn_plan;
/* packs (may be NULL): B always is the matrix at `weights`, kept there. False where the library
 * refuses. The packs outlive the plan. */
bool mim_onednn_plan_create(const mim_gemm_shape *shape, mim_plan_kind kind,
                            mim_onednn_packs *packs, const void *weights, mim_onednn_plan **plan);
void mim_onednn_plan_destroy(mim_onednn_plan **plan);
/* A piece that the library refuses is computed by plain loops. */
void mim_onednn_plan_run(mim_onednn_plan *plan, const void *a, const void *b, void *c);

#endif
