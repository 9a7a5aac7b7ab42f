#include "diffusion/simplex.h"

#include <math.h>
#include <string.h>

static const char *const names[MIM_N_OUTPUTS] = {"free", "simplex"};

const char *mim_output_name(mim_output output) { return names[output]; }

int mim_output_find(const char *name, mim_output *output)
{
    for (int i = 0; i < MIM_N_OUTPUTS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *output = (mim_output)i;
            return MIM_OK;
        }
    }
    return mim_fail(MIM_EDATA, "output: expected free or simplex, found %s", name);
}

#include "nn/as_float.h"

#include "diffusion/simplex_internal.h"

#include "nn/as_double.h"

#include "diffusion/simplex_internal.h"
