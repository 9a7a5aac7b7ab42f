#ifndef MIM_CORE_VERSION_H
#define MIM_CORE_VERSION_H

#define MIM_VERSION "0.1.0"

/* "0.1.0 (gcc 12.2.0, -O2 -g)": version and how it was built. */
const char *mim_version_text(void);

#endif
