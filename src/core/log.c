#include "core/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/text.h"

struct mim_log {
    FILE *stream;
    mim_log_level level;
    int rank, n_ranks;
    bool is_terminal;
    pthread_mutex_t lock; /* of the stream and of what follows */
    bool is_moving;       /* a progress line without its newline yet */
};

struct mim_progress {
    mim_log *log;
    char *what;
    size_t n_total;
    int64_t begin_ns, next_ns, every_ns;
};

enum { LONGEST_S = 1000000000 };

int mim_log_create(FILE *stream, mim_log_level level, int rank, int n_ranks, mim_log **log)
{
    mim_log *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "log handle");
    pthread_mutex_init(&made->lock, NULL);
    made->stream = stream;
    made->level = level;
    made->rank = rank;
    made->n_ranks = n_ranks;
    made->is_terminal = isatty(fileno(stream)) == 1;
    *log = made;
    return MIM_OK;
}

void mim_log_destroy(mim_log **log)
{
    if (*log)
        pthread_mutex_destroy(&(*log)->lock);
    free(*log);
    *log = NULL;
}

void mim_log_line(mim_log *log, mim_log_level level, const char *module, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (!log || level > log->level || (log->rank != 0 && level > MIM_LOG_WARN))
        return;
    char stamp[MIM_UTC_TEXT_BYTES], text[MIM_ERROR_TEXT_BYTES];
    mim_clock_utc_text(mim_clock_real_ns(), stamp);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mim_make_one_line(text);
    pthread_mutex_lock(&log->lock);
    fprintf(log->stream, "%s%s %s %d/%d %s: %s\n", log->is_moving ? "\n" : "", stamp, names[level],
            log->rank, log->n_ranks, module, text);
    log->is_moving = false;
    fflush(log->stream);
    pthread_mutex_unlock(&log->lock);
}

int mim_progress_create(mim_log *log, const char *what, size_t n_total, double every_s,
                        mim_progress **progress)
{
    mim_progress *made = calloc(1, sizeof *made);
    if (!made || !(made->what = malloc(strlen(what) + 1))) {
        free(made);
        return mim_fail(MIM_ENOMEM, "progress of %s", what);
    }
    memcpy(made->what, what, strlen(what) + 1);
    made->log = log;
    made->n_total = n_total;
    made->begin_ns = mim_clock_mono_ns();
    made->every_ns = (int64_t)(every_s < LONGEST_S ? every_s * 1e9 : LONGEST_S * 1e9);
    made->next_ns = made->begin_ns + (log && log->is_terminal ? 0 : made->every_ns);
    *progress = made;
    return MIM_OK;
}

void mim_progress_step(mim_progress *progress, size_t n_done)
{
    int64_t now = mim_clock_mono_ns();
    mim_log *log = progress->log;
    if (!log || log->level < MIM_LOG_INFO || log->rank != 0 || now < progress->next_ns)
        return;
    double spent_s = (double)(now - progress->begin_ns) * 1e-9;
    double n_left = n_done < progress->n_total ? (double)(progress->n_total - n_done) : 0.0;
    double left_s = n_done ? spent_s * n_left / (double)n_done : 0.0;
    if (log->is_terminal) {
        pthread_mutex_lock(&log->lock);
        fprintf(log->stream, "\r%s: %zu of %zu, %.0f s spent, %.0f s left   ", progress->what,
                n_done, progress->n_total, spent_s, left_s);
        fflush(log->stream);
        log->is_moving = true;
        pthread_mutex_unlock(&log->lock);
        progress->next_ns = now + MIM_NS_PER_S / 5;
    } else {
        mim_log_info(log, progress->what, "done=%zu of=%zu spent_s=%.0f left_s=%.0f", n_done,
                     progress->n_total, spent_s, left_s);
        progress->next_ns = now + progress->every_ns;
    }
}

void mim_progress_destroy(mim_progress **progress)
{
    if (!*progress)
        return;
    mim_log *log = (*progress)->log;
    if (log) {
        pthread_mutex_lock(&log->lock);
        if (log->is_moving) {
            fputc('\n', log->stream);
            fflush(log->stream);
        }
        log->is_moving = false;
        pthread_mutex_unlock(&log->lock);
    }
    free((*progress)->what);
    free(*progress);
    *progress = NULL;
}
