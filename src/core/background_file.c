#include "core/background_file.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/signals.h"
#include "core/text.h"

/* While the thread runs, all but `thread` and `is_running` is the thread's. */
struct mim_background_file {
    pthread_t thread;
    bool is_running;
    char *path;
    void *bytes; /* [n_bytes] */
    size_t n_bytes;
    mim_background_release *release;
    int rc;
    char why[MIM_ERROR_TEXT_BYTES];
};

int mim_background_file_create(mim_background_file **writer)
{
    mim_background_file *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "writer of files");
    *writer = made;
    return MIM_OK;
}

static void *write_file(void *context)
{
    mim_background_file *w = context;
    mim_signals_block(); /* they are the main thread's */
    w->rc = mim_atomic_write(w->path, w->bytes, w->n_bytes);
    if (w->rc != MIM_OK) /* the sentence is this thread's, and ends with it */
        snprintf(w->why, sizeof w->why, "%s", mim_error());
    w->release(w->bytes, w->n_bytes);
    return NULL;
}

int mim_background_file_start(mim_background_file *w, const char *path, void *bytes, size_t n_bytes,
                              mim_background_release *release)
{
    int rc = mim_background_file_wait(w), error;
    if (rc != MIM_OK)
        goto failed;
    if (!(w->path = mim_strdup(path))) {
        rc = mim_fail(MIM_ENOMEM, "%s: file name", path);
        goto failed;
    }
    w->bytes = bytes;
    w->n_bytes = n_bytes;
    w->release = release;
    if ((error = pthread_create(&w->thread, NULL, write_file, w)) != 0) {
        rc = mim_fail(MIM_ENOMEM, "%s: the thread that writes it cannot be started: %s", path,
                      strerror(error));
        goto failed;
    }
    w->is_running = true;
    return MIM_OK;
failed:
    release(bytes, n_bytes);
    free(w->path);
    w->path = NULL;
    return rc;
}

int mim_background_file_wait(mim_background_file *w)
{
    if (!w->is_running)
        return MIM_OK;
    pthread_join(w->thread, NULL);
    w->is_running = false;
    free(w->path);
    w->path = NULL;
    return w->rc == MIM_OK ? MIM_OK : mim_fail(w->rc, "%s", w->why);
}

void mim_background_file_destroy(mim_background_file **writer)
{
    mim_background_file *old = *writer;
    if (!old)
        return;
    if (old->is_running)
        pthread_join(old->thread, NULL);
    free(old->path);
    free(old);
    *writer = NULL;
}
