/* Rounds of file names: 32 empty files are made, renamed, looked at, listed and removed.
 *
 * Load for the file system's name tables, and on a network file system for its metadata server.
 * One operation = one round; it moves no bytes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/kernel_family.h"

enum { N_FILES = 32, NAME_BYTES = 16 };

typedef struct names_state {
    uint64_t *n_listed; /* [N_FILES] how often each file was found in the folder */
    mim_scratch *scratch;
    mim_scratch_room *room;
    DIR *dir;
    uint64_t n_rounds;
    uint64_t n_strange; /* names in the folder that are not of the round, sizes not 0 */
} names_state;

static void destroy(void *state)
{
    names_state *s = state;

    if (!s)
        return;
    if (s->dir)
        closedir(s->dir);
    mim_scratch_room_destroy(&s->room);
    free(s->n_listed);
    free(s);
}

static int open_folder(names_state *s)
{
    int fd = openat(mim_scratch_room_fd(s->room), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && (s->dir = fdopendir(fd)) != NULL)
        return MIM_OK;
    if (fd >= 0)
        close(fd);
    return mim_fail(MIM_EIO, "%s: cannot be listed: %s", mim_scratch_room_path(s->room),
                    strerror(errno));
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *listed = NULL;
    names_state *s = NULL;

    if ((rc = mim_kernel_check("metadata", stressor, place, state)) != MIM_OK)
        return rc;
    if (!place->scratch)
        return mim_fail(MIM_EINVAL, "kernel metadata: no scratch folder");
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel metadata");
    s->scratch = place->scratch;
    if ((rc = mim_kernel_buffer(N_FILES * sizeof *s->n_listed, 0, &listed)) != MIM_OK)
        goto done;
    s->n_listed = listed;
    if ((rc = mim_scratch_room_create(place->scratch, MIM_PAGE_BYTES, &s->room)) != MIM_OK ||
        (rc = open_folder(s)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int fail_name(const names_state *s, const char *name, const char *what)
{
    return mim_fail(MIM_EIO, "%s/%s: %s: %s", mim_scratch_room_path(s->room), name, what,
                    strerror(errno));
}

static void name_file(int i, char kind, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%c%d", kind, i);
}

/* The five steps of a round, for file i. */
static int make(names_state *s, int folder, int i)
{
    char name[NAME_BYTES];
    int fd;

    name_file(i, 'a', name);
    if ((fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        return fail_name(s, name, "creating it");
    return close(fd) == 0 ? MIM_OK : fail_name(s, name, "closing it");
}

static int move(names_state *s, int folder, int i)
{
    char name[NAME_BYTES], to[NAME_BYTES];

    name_file(i, 'a', name);
    name_file(i, 'b', to);
    return renameat(folder, name, folder, to) == 0 ? MIM_OK : fail_name(s, name, "renaming it");
}

static int look(names_state *s, int folder, int i)
{
    char name[NAME_BYTES];
    struct stat st;

    name_file(i, 'b', name);
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_name(s, name, "looking at it");
    s->n_strange += !S_ISREG(st.st_mode) || st.st_size != 0;
    return MIM_OK;
}

static int remove_file(names_state *s, int folder, int i)
{
    char name[NAME_BYTES];

    name_file(i, 'b', name);
    return unlinkat(folder, name, 0) == 0 ? MIM_OK : fail_name(s, name, "removing it");
}

static int list(names_state *s)
{
    struct dirent *entry;
    int i, end;

    rewinddir(s->dir);
    while ((errno = 0, entry = readdir(s->dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (sscanf(entry->d_name, "b%d%n", &i, &end) == 1 && !entry->d_name[end] && i >= 0 &&
            i < N_FILES)
            s->n_listed[i]++;
        else
            s->n_strange++;
    }
    return errno == 0 ? MIM_OK : fail_name(s, ".", "listing it");
}

static int round_of_files(names_state *s)
{
    int (*const steps[])(names_state *, int, int) = {make, move, look, remove_file};
    int folder = mim_scratch_room_fd(s->room), rc = MIM_OK;

    if (!mim_scratch_may_allocate(s->scratch, MIM_PAGE_BYTES))
        return mim_fail(MIM_EUNSUP, "%s", mim_scratch_refusal(s->scratch));
    for (size_t step = 0; rc == MIM_OK && step < sizeof steps / sizeof *steps; step++) {
        if (steps[step] == remove_file)
            rc = list(s);
        for (int i = 0; rc == MIM_OK && i < N_FILES; i++)
            rc = steps[step](s, folder, i);
    }
    s->n_rounds += rc == MIM_OK;
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    names_state *s = state;

    for (size_t i = 0; i < n; i++) {
        int rc = round_of_files(s);

        if (rc != MIM_OK)
            return rc;
        work->n_ops++;
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const names_state *s = state;

    if (s->n_strange > 0)
        return mim_fail(MIM_ECHECK, "metadata: %" PRIu64 " names or sizes that no round made",
                        s->n_strange);
    for (int i = 0; i < N_FILES; i++)
        if (s->n_listed[i] != s->n_rounds)
            return mim_fail(MIM_ECHECK,
                            "metadata: file %d was listed %" PRIu64 " times in %" PRIu64 " rounds",
                            i, s->n_listed[i], s->n_rounds);
    return MIM_OK;
}

const mim_kernel mim_kernel_metadata = {
    .name = "metadata", .create = create, .destroy = destroy, .run = run, .verify = verify};
