/* Memory that whole passes walk over, in large pages: fewer entries of the translation buffer. */
#ifndef MIM_NN_PAGES_H
#define MIM_NN_PAGES_H

#include <stddef.h>

/* Asks the kernel for large pages (2 MiB, where it grants them) within n bytes at `memory`, before
 * they are first touched. Gives `memory`, which may be NULL. Where the kernel does not, nothing
 * changes. */
void *mim_prefer_large_pages(void *memory, size_t n);
/* calloc() of such memory; NULL: there is none. free() returns it. */
void *mim_calloc_large(size_t n, size_t size);

#endif
