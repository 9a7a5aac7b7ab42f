/* Strict text to number, and small string helpers. */
#ifndef MIM_CORE_TEXT_H
#define MIM_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* The whole text must be one decimal number; MIM_EUSAGE otherwise, the sentence naming `what`. */
int mim_parse_i64(const char *what, const char *text, int64_t min, int64_t max, int64_t *value);
int mim_parse_real(const char *what, const char *text, double min, double max, double *value);
/* Bytes with an optional binary suffix K, M, G, T (also KiB, MiB, ...): "16G". */
int mim_parse_bytes(const char *what, const char *text, uint64_t *value);
int mim_parse_bool(const char *what, const char *text,
                   bool *value); /* true/false/yes/no/on/off/1/0 */

/* "1.5 GiB", "300 B": for sentences and tables. */
enum { MIM_BYTES_TEXT_BYTES = 32 };
const char *mim_bytes_text(double bytes, char text[MIM_BYTES_TEXT_BYTES]);

/* printf into a new string; NULL when out of memory. The caller frees it. */
char *mim_format(const char *format, ...) MIM_PRINTF(1, 2);
char *mim_strdup(const char *text);
char *mim_join_path(const char *folder, const char *name); /* "folder/name", new string */
/* Last component without its folder: points into `path`. */
const char *mim_basename(const char *path);

/* Levenshtein distance, for "did you mean". */
size_t mim_edit_distance(const char *a, const char *b);
/* The closest of n names if it is close enough to be a likely typing error, else NULL. */
const char *mim_closest(const char *name, const char *const *names, size_t n);

#endif
