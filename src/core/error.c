#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

static _Thread_local char error_text[MIM_ERROR_TEXT_BYTES];

static void keep(char text[MIM_ERROR_TEXT_BYTES])
{
    mim_make_one_line(text);
    memcpy(error_text, text, MIM_ERROR_TEXT_BYTES);
}

/* Unless it is a sentence that says so, as of another rank or thread. */
static void say_out_of_memory(char text[MIM_ERROR_TEXT_BYTES])
{
    static const char words[] = "out of memory: ";
    const size_t n = sizeof words - 1, length = strlen(text);
    if (strncmp(text, words, n) == 0)
        return;
    memmove(text + n, text,
            length + n < MIM_ERROR_TEXT_BYTES ? length : MIM_ERROR_TEXT_BYTES - 1 - n);
    memcpy(text, words, n);
    text[length + n < MIM_ERROR_TEXT_BYTES ? length + n : MIM_ERROR_TEXT_BYTES - 1] = 0;
}

int mim_fail(int code, const char *format, ...)
{
    int saved = errno;
    char text[MIM_ERROR_TEXT_BYTES] = ""; /* arguments may point into error_text */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (code == MIM_ENOMEM)
        say_out_of_memory(text);
    keep(text);
    errno = saved;
    return code;
}

int mim_fail_in(int code, const char *format, ...)
{
    int saved = errno;
    char text[MIM_ERROR_TEXT_BYTES] = "";
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 3 < sizeof text) {
        memcpy(text + n, ": ", 2);
        size_t room = sizeof text - (size_t)n - 3;
        size_t length = strlen(error_text) < room ? strlen(error_text) : room;
        memcpy(text + n + 2, error_text, length);
        text[(size_t)n + 2 + length] = 0;
    }
    keep(text);
    errno = saved;
    return code;
}

const char *mim_error(void) { return error_text; }

int mim_exit_status(int code)
{
    switch (code) {
    case MIM_OK:
        return 0;
    case MIM_EUSAGE:
        return 2;
    case MIM_ECHECK:
        return 3;
    case MIM_EUNSUP:
        return 4;
    case MIM_EDATA:
        return 5;
    case MIM_ESTOPPED:
        return 75;
    default:
        return 1;
    }
}
