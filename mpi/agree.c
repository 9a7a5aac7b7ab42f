#include "mpi/agree.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int mim_agree(MPI_Comm comm, int local)
{
    int rank = 0, n_ranks = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    /* Failed ranks come before stopped ones, those before ranks that are well. */
    const int order = local == MIM_OK ? INT_MAX : local == MIM_ESTOPPED ? n_ranks + rank : rank;
    int first = order;
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm);
    if (first == INT_MAX)
        return MIM_OK;
    struct {
        int code;
        char text[MIM_ERROR_TEXT_BYTES];
    } verdict = {.code = local};
    const int root = first % n_ranks;
    if (rank == root)
        strncpy(verdict.text, mim_error(), sizeof verdict.text - 1);
    MPI_Bcast(&verdict, (int)sizeof verdict, MPI_BYTE, root, comm);
    return mim_fail(verdict.code, "%s", verdict.text);
}

int mim_share_text(MPI_Comm comm, int root, char **text)
{
    enum { BLOCK = 1 << 30 };
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    unsigned long long n = rank == root ? strlen(*text) : 0;
    MPI_Bcast(&n, 1, MPI_UNSIGNED_LONG_LONG, root, comm);
    char *copy = rank == root ? *text : malloc((size_t)n + 1);
    int rc = mim_agree(comm, copy ? MIM_OK : mim_fail(MIM_ENOMEM, "text of %llu bytes", n));
    for (unsigned long long at = 0; rc == MIM_OK && at < n; at += BLOCK)
        MPI_Bcast(copy + at, (int)(n - at < BLOCK ? n - at : BLOCK), MPI_CHAR, root, comm);
    if (rank == root)
        return rc;
    if (rc == MIM_OK) {
        copy[n] = 0;
        *text = copy;
    } else {
        free(copy);
    }
    return rc;
}

/* Cuts what came in one piece into strings. */
static int cut_texts(const char *all, int n, const int *lengths, char ***texts)
{
    char **made = calloc((size_t)n, sizeof *made);
    bool has_memory = made != NULL;
    for (int i = 0; has_memory && i < n; i++) {
        made[i] = malloc((size_t)lengths[i] + 1);
        has_memory = made[i] != NULL;
        if (has_memory) {
            memcpy(made[i], all, (size_t)lengths[i]);
            made[i][lengths[i]] = 0;
        }
        all += lengths[i];
    }
    if (has_memory) {
        *texts = made;
        return MIM_OK;
    }
    for (int i = 0; made && i < n; i++)
        free(made[i]);
    free(made);
    return mim_fail(MIM_ENOMEM, "texts of %d ranks", n);
}

int mim_gather_texts(MPI_Comm comm, const char *text, char ***texts)
{
    int rank = 0, n_ranks = 0, length = -1;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int *lengths = calloc(2 * (size_t)n_ranks, sizeof *lengths), *starts = NULL;
    char *all = NULL, **made = NULL;
    if (strlen(text) < (size_t)(INT_MAX / n_ranks))
        length = (int)strlen(text);
    int rc = !lengths     ? mim_fail(MIM_ENOMEM, "texts of %d ranks", n_ranks)
             : length < 0 ? mim_fail(MIM_EINVAL, "a text of %zu bytes is too long", strlen(text))
                          : MIM_OK;
    if ((rc = mim_agree(comm, rc)) != MIM_OK)
        goto done;
    MPI_Gather(&length, 1, MPI_INT, lengths, 1, MPI_INT, 0, comm);
    starts = lengths + n_ranks;
    for (int i = 1; i < n_ranks; i++)
        starts[i] = starts[i - 1] + lengths[i - 1];
    all = malloc((size_t)starts[n_ranks - 1] + (size_t)lengths[n_ranks - 1] + 1);
    if ((rc = mim_agree(comm, all ? MIM_OK : mim_fail(MIM_ENOMEM, "texts of ranks"))) != MIM_OK)
        goto done;
    MPI_Gatherv(text, length, MPI_CHAR, all, lengths, starts, MPI_CHAR, 0, comm);
    if (rank == 0)
        rc = cut_texts(all, n_ranks, lengths, &made);
    rc = mim_agree(comm, rc);
    if (rc == MIM_OK)
        *texts = made;
done:
    free(all);
    free(lengths);
    return rc;
}

/* Whether `text` has this line of n bytes. */
static bool has_line(const char *text, const char *line, size_t n)
{
    for (const char *at = text; at && *at; at = (at = strchr(at, '\n')) ? at + 1 : NULL)
        if (strcspn(at, "\n") == n && strncmp(at, line, n) == 0)
            return true;
    return false;
}

/* Rank 0: `all` has room for the lines of all texts. */
static void add_lines(char *all, const char *text)
{
    char *end = all + strlen(all);
    for (const char *at = text; *at;) {
        const size_t n = strcspn(at, "\n");
        if (!has_line(all, at, n)) {
            memcpy(end, at, n);
            end += n;
            *end++ = '\n';
            *end = 0;
        }
        at += n + (at[n] == '\n');
    }
}

static int unite(int n_ranks, char *const *texts, char **lines)
{
    size_t n_bytes = 1;
    for (int r = 0; r < n_ranks; r++)
        n_bytes += strlen(texts[r]) + 1;
    char *all = malloc(n_bytes);
    if (!all)
        return mim_fail(MIM_ENOMEM, "lines of %d ranks", n_ranks);
    *all = 0;
    for (int r = 0; r < n_ranks; r++)
        if (r == 0 || strcmp(texts[r], texts[r - 1]) != 0) /* mostly the same */
            add_lines(all, texts[r]);
    *lines = all;
    return MIM_OK;
}

int mim_union_lines(MPI_Comm comm, const char *text, char **lines)
{
    int rank = 0, n_ranks = 0;
    char **texts = NULL, *all = NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int rc = mim_gather_texts(comm, text, &texts);
    if (rc == MIM_OK)
        rc = mim_agree(comm, rank == 0 ? unite(n_ranks, texts, &all) : MIM_OK);
    if (rc == MIM_OK)
        rc = mim_share_text(comm, 0, &all);
    for (int r = 0; texts && r < n_ranks; r++)
        free(texts[r]);
    free(texts);
    if (rc == MIM_OK)
        *lines = all;
    else
        free(all);
    return rc;
}

void mim_share_of(size_t n, int rank, int n_ranks, size_t *first, size_t *count)
{
    const size_t r = (size_t)rank, p = (size_t)n_ranks, whole = n / p, rest = n % p;
    *first = r * whole + (r < rest ? r : rest);
    *count = whole + (r < rest ? 1 : 0);
}
