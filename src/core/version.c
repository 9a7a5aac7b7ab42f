#include "core/version.h"

#ifndef MIM_BUILD_FLAGS
#define MIM_BUILD_FLAGS ""
#endif
#if defined(__clang__)
#define MIM_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define MIM_COMPILER "gcc " __VERSION__
#else
#define MIM_COMPILER "C11"
#endif

const char *mim_version_text(void)
{
    return MIM_VERSION " (" MIM_COMPILER ", " MIM_BUILD_FLAGS ")";
}
