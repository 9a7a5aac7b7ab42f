/* Included by nn/dit.c once per type of number: what the owner of a transformer sees, whatever its
 * products run in. Not guarded. */

#define KIND MIM_NN(dit_kind)

typedef struct KIND {
    const MIM_REAL *(*forward)(MIM_DIT *dit, const MIM_REAL *values, const mim_dit_call *call,
                               const MIM_REAL *condition);
    const MIM_REAL *(*backward)(MIM_DIT *dit, const MIM_REAL *values, const mim_dit_call *call,
                                const MIM_REAL *condition, MIM_REAL *grads, MIM_REAL *d_condition);
    void (*destroy)(MIM_DIT *dit);
} KIND;

struct MIM_DIT {
    const KIND *kind;
    MIM_REAL *tokens, *answer, *d_answer;
    size_t n_bytes;
};

void MIM_NN(mim_dit_destroy)(MIM_DIT **dit)
{
    if (!dit || !*dit)
        return;
    (*dit)->kind->destroy(*dit);
    *dit = NULL;
}

size_t MIM_NN(mim_dit_n_bytes)(const MIM_DIT *dit) { return dit->n_bytes; }

MIM_REAL *MIM_NN(mim_dit_tokens)(MIM_DIT *dit) { return dit->tokens; }

MIM_REAL *MIM_NN(mim_dit_d_answer)(MIM_DIT *dit) { return dit->d_answer; }

const MIM_REAL *MIM_NN(mim_dit_answer)(const MIM_DIT *dit) { return dit->answer; }

const MIM_REAL *MIM_NN(mim_dit_forward)(MIM_DIT *dit, const MIM_REAL *values,
                                        const mim_dit_call *call, const MIM_REAL *condition)
{
    return dit->kind->forward(dit, values, call, condition);
}

const MIM_REAL *MIM_NN(mim_dit_backward)(MIM_DIT *dit, const MIM_REAL *values,
                                         const mim_dit_call *call, const MIM_REAL *condition,
                                         MIM_REAL *grads, MIM_REAL *d_condition)
{
    return dit->kind->backward(dit, values, call, condition, grads, d_condition);
}

#undef KIND
