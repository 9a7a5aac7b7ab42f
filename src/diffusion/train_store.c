#include "diffusion/train_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/background_file.h"
#include "core/clock.h"
#include "core/h5.h"
#include "core/text.h"
#include "diffusion/checkpoint.h"
#include "diffusion/train_folder.h"

enum { N_KEPT = 2 };
static const int64_t patience_ns = 3000000000, nap_ns = 50000000;

struct mim_train_store {
    char *folder;
    int fd; /* of the folder: locked */
    uint64_t milestone_every;
    mim_background_file *writer;
    char *newest;  /* published; NULL before the first */
    char *writing; /* NULL: nothing is */
    uint64_t step; /* of `writing` */
};

/* Waits a little: readers that a killed training had forked hold its lock until they notice. */
static int lock_folder(mim_train_store *s)
{
    const int64_t until = mim_clock_mono_ns() + patience_ns;
    s->fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0)
        return mim_fail(MIM_EIO, "%s: %s", s->folder, strerror(errno));
    while (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) /* a file system without locks */
            return MIM_OK;
        if (mim_clock_mono_ns() > until)
            return mim_fail(MIM_EIO, "%s: another training is writing there", s->folder);
        mim_clock_sleep_until(mim_clock_mono_ns() + nap_ns);
    }
    return MIM_OK;
}

int mim_train_store_create(const char *folder, uint64_t milestone_every, mim_train_store **store)
{
    mim_train_store *made = calloc(1, sizeof *made);
    if (made)
        made->fd = -1;
    int rc = made && (made->folder = mim_strdup(folder))
                 ? lock_folder(made)
                 : mim_fail(MIM_ENOMEM, "%s: store of checkpoints", folder);
    if (rc == MIM_OK)
        rc = mim_background_file_create(&made->writer);
    if (rc == MIM_OK) {
        made->milestone_every = milestone_every;
        *store = made;
        made = NULL;
    }
    mim_train_store_destroy(&made);
    return rc;
}

/* Of the checkpoints up to the one that was just published. Later ones, which could not be read, do
 * not push this one's out. */
static int remove_old(const mim_train_store *s)
{
    size_t n = 0, n_seen = 0;
    uint64_t *steps = NULL;
    int rc = mim_train_folder_steps(s->folder, &n, &steps);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        if (steps[i] > s->step || n_seen++ < N_KEPT ||
            (s->milestone_every > 0 && steps[i] % s->milestone_every == 0))
            continue;
        char *old = mim_train_folder_checkpoint(s->folder, steps[i]);
        if (!old)
            rc = mim_fail(MIM_ENOMEM, "%s: file name", s->folder);
        else if (unlink(old) != 0 && errno != ENOENT)
            rc = mim_fail(MIM_EIO, "%s: cannot be removed: %s", old, strerror(errno));
        free(old);
    }
    free(steps);
    return rc;
}

int mim_train_store_wait(mim_train_store *s)
{
    if (!s->writing)
        return MIM_OK;
    const int rc = mim_background_file_wait(s->writer);
    if (rc != MIM_OK) {
        free(s->writing);
        s->writing = NULL;
        return rc;
    }
    free(s->newest);
    s->newest = s->writing;
    s->writing = NULL;
    return remove_old(s);
}

/* What reading refuses must not push out what can be read. */
static int check_finite(const mim_model *model)
{
    const mim_params_f *p = model->params;
    const struct {
        const char *name;
        const float *numbers;
    } arrays[] = {{"values", p->values},
                  {"ema", p->ema},
                  {"moment_1", p->moment_1},
                  {"moment_2", p->moment_2}};
    for (size_t a = 0; a < sizeof arrays / sizeof *arrays; a++)
        for (size_t i = 0; i < p->n_values; i++)
            if (!isfinite(arrays[a].numbers[i]))
                return mim_fail(MIM_ECHECK,
                                "after step %" PRIu64 " value %zu of %s is not finite, so there is "
                                "no checkpoint of it: a smaller learning rate may help",
                                model->step, i, arrays[a].name);
    return MIM_OK;
}

int mim_train_store_put(mim_train_store *s, const mim_model *model)
{
    void *image = NULL;
    size_t n_bytes = 0;
    int rc = mim_train_store_wait(s); /* before the image: one at a time in memory */
    if (rc == MIM_OK)
        rc = check_finite(model);
    if (rc != MIM_OK)
        return rc;
    char *path = mim_train_folder_checkpoint(s->folder, model->step);
    if (!path)
        return mim_fail(MIM_ENOMEM, "%s: file name", s->folder);
    rc = mim_checkpoint_image(model, false, path, &image, &n_bytes);
    if (rc == MIM_OK)
        rc = mim_background_file_start(s->writer, path, image, n_bytes, mim_h5_release_image);
    if (rc == MIM_OK) {
        s->writing = path;
        s->step = model->step;
        path = NULL;
    }
    free(path);
    return rc;
}

const char *mim_train_store_newest(const mim_train_store *s) { return s->newest; }

void mim_train_store_destroy(mim_train_store **store)
{
    mim_train_store *old = *store;
    if (!old)
        return;
    mim_background_file_destroy(&old->writer);
    if (old->fd >= 0)
        close(old->fd);
    free(old->folder);
    free(old->newest);
    free(old->writing);
    free(old);
    *store = NULL;
}
