/* Loops that become vector code: MIM_VECTOR compiles a function once per instruction set and picks
 * at load time. */
#ifndef MIM_CORE_VECTOR_H
#define MIM_CORE_VECTOR_H

/* Elementwise loops give the same bits in every version: the compiler may not reorder a sum. The
 * thread sanitizer is not up when the loader picks, and clang 14 gives the pick another name
 * (name.ifunc) than callers in other files expect: both do with the baseline. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_THREAD__)
#define MIM_HAS_VERSIONS 1
#define MIM_VECTOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MIM_VECTOR
#endif
/* For loops whose arrays may be the same but never shifted: gcc then makes no test for overlap and
 * no scalar copy. (clang's like would warn of every loop that it cannot turn into vector code.) */
#if defined(__GNUC__) && !defined(__clang__)
#define MIM_ELEMENTWISE _Pragma("GCC ivdep")
#else
#define MIM_ELEMENTWISE
#endif
#define MIM_INLINE static inline __attribute__((always_inline, unused))

#endif
