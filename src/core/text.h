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

/* Control characters become '?': what quotes names and values of others shall stay one line, and
 * not steer a terminal. */
void mim_make_one_line(char *text);

/* printf into a new string; NULL when out of memory. The caller frees it. */
char *mim_format(const char *format, ...) MIM_PRINTF(1, 2);
char *mim_strdup(const char *text);
char *mim_join_path(const char *folder, const char *name); /* "folder/name", new string */
/* Last component without its folder: points into `path`. */
const char *mim_basename(const char *path);
/* Whether `text` ends with `suffix` and has something before it. */
bool mim_has_suffix(const char *text, const char *suffix);

/* FNV-1a, 64 bits, of n bytes of text; begin with MIM_HASH_START, go on with the last result. */
#define MIM_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t mim_hash_text(uint64_t hash, const char *text, size_t n);

/* Letters to insert, delete, replace or swap with their neighbour, for "did you mean"; SIZE_MAX for
 * texts longer than a name. */
size_t mim_edit_distance(const char *a, const char *b);
/* The distance up to which another name is likely to be meant: a third of the letters, and one. */
size_t mim_typing_errors(const char *name);
/* The closest of n names if it is close enough to be a likely typing error, else NULL. */
const char *mim_closest(const char *name, const char *const *names, size_t n);

#endif
