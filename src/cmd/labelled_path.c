#include "cmd/labelled_path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"

int mim_label_check(const char *what, const char *text, const char *label)
{
    /* those of two bytes in UTF-8 included */
    for (const unsigned char *p = (const unsigned char *)label; *p; p++)
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            return mim_fail(MIM_EUSAGE, "%s %s: expected a label without control characters", what,
                            text);
    return MIM_OK;
}

int mim_labelled_path(const char *what, const char *text, char **path, const char **label)
{
    const char *colon = strrchr(text, ':');
    char *copy = mim_strdup(text);
    int rc = copy ? MIM_OK : mim_fail(MIM_ENOMEM, "%s %s", what, text);
    if (rc == MIM_OK && colon && access(text, F_OK) != 0) {
        copy[colon - text] = 0;
        if (access(copy, F_OK) != 0) {
            copy[colon - text] = ':';
            colon = NULL;
        }
    } else {
        colon = NULL;
    }
    if (rc == MIM_OK && colon && !colon[1])
        rc = mim_fail(MIM_EUSAGE, "%s %s: expected a label after the ':'", what, text);
    if (rc == MIM_OK && colon)
        rc = mim_label_check(what, text, colon + 1);
    if (rc == MIM_OK) {
        *path = copy;
        *label = colon ? colon + 1 : NULL;
        copy = NULL;
    }
    free(copy);
    return rc;
}
