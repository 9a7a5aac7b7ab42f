/* Loops shared out to OpenMP's threads: MIM_PARALLEL_FOR(condition) before a for loop. Which
 * iterations there are must follow from sizes alone, and none may touch what another writes: then
 * results are the same to the bit for any number of threads. Builds without OpenMP (clang, whose
 * run-time library is not the one oneDNN uses, and the thread sanitizer, which does not know it)
 * run the loops in order. Who gets which iteration is settled as they go, since the processor may
 * be shared; an iteration should take some microseconds at least.
 *
 * A parallel loop does not belong into a MIM_VECTOR function (nn/vector_internal.h): gcc moves its
 * body into a function of its own before the versions are made, so it would be compiled for the
 * oldest processor. Let it call one. */
#ifndef MIM_NN_PARALLEL_INTERNAL_H
#define MIM_NN_PARALLEL_INTERNAL_H

#include <stddef.h>

#if defined(_OPENMP)
#include <omp.h>

#define MIM_PRAGMA(text) _Pragma(#text)
#define MIM_PARALLEL_FOR(condition) MIM_PRAGMA(omp parallel for schedule(dynamic) if (condition))
/* n > 1 long iterations, a thread each: the caller's has the first. Loops within them are not
 * shared out. */
#define MIM_PARALLEL_LANES(n)                                                                      \
    MIM_PRAGMA(omp parallel for schedule(static, 1) num_threads((int)(n)))
#else
#define MIM_PARALLEL_FOR(condition)
#define MIM_PARALLEL_LANES(n)
#endif

/* Threads of the parallel loops that this thread starts from here on; gives how many they were. */
static inline int mim_set_threads(int n)
{
#if defined(_OPENMP)
    const int before = omp_get_max_threads();
    omp_set_num_threads(n);
    return before;
#else
    return n;
#endif
}

/* How many iterations a loop is to have that gives each thread memory of its own: at most `max`.
 * Only for work whose results do not depend on how it is shared out. */
static inline size_t mim_n_workers(size_t max)
{
#if defined(_OPENMP)
    const size_t n = (size_t)omp_get_max_threads();
#else
    const size_t n = 1;
#endif
    return n < max ? n : max;
}

#endif
