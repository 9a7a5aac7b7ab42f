/* "FILE:LABEL" on a command line: a file (or folder) and what it is called in figures. */
#ifndef MIM_CMD_LABELLED_PATH_H
#define MIM_CMD_LABELLED_PATH_H

#include "core/error.h"

/* Split at the last ':' when the part before it is a file and the whole is not. `path` is new
 * memory, `label` points into `text`, NULL: none is given. `what` is how sentences begin, such as
 * "--measured". MIM_EUSAGE: an empty label, or one with control characters, which would steer a
 * terminal. */
int mim_labelled_path(const char *what, const char *text, char **path, const char **label);
/* The latter of any label. */
int mim_label_check(const char *what, const char *text, const char *label);

#endif
