#include "mpi/replay_map.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

typedef struct entry {
    const char *who, *plan; /* in the map's text */
    size_t line;
    long rank; /* -1: `who` is a host */
} entry;

struct mim_replay_map {
    char *path, *text;
    size_t n;
    entry *entries;
};

static const char blanks[] = " \t\r\v\f";

static bool is_number(const char *word) { return word[strspn(word, "0123456789")] == 0; }

/* Cuts one line in place. */
static int read_line(mim_replay_map *m, char *line, size_t number)
{
    enum { MAX_DIGITS = 9 };
    char *who = line + strspn(line, blanks), *end = who + strlen(who);
    if (!*who || *who == '#')
        return MIM_OK;
    while (end > who && strchr(blanks, end[-1]))
        *--end = 0;
    char *plan = who + strcspn(who, blanks);
    if (*plan) {
        *plan++ = 0;
        plan += strspn(plan, blanks);
    }
    if (!*plan)
        return mim_fail(MIM_EUSAGE, "%s:%zu: expected a rank or host and its plan, found \"%s\"",
                        m->path, number, who);
    if (is_number(who) && (strlen(who) > MAX_DIGITS || (who[0] == '0' && who[1])))
        return mim_fail(MIM_EUSAGE, "%s:%zu: no job has a rank %s", m->path, number, who);
    m->entries[m->n++] = (entry){who, plan, number, is_number(who) ? strtol(who, NULL, 10) : -1};
    return MIM_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *const *x = a, *const *y = b;
    const int order = strcmp((*x)->who, (*y)->who);
    return order ? order : ((*x)->line > (*y)->line) - ((*x)->line < (*y)->line);
}

static int check_once(const mim_replay_map *m)
{
    const entry **sorted = calloc(m->n, sizeof *sorted);
    if (!sorted)
        return mim_fail(MIM_ENOMEM, "%s: %zu lines", m->path, m->n);
    for (size_t i = 0; i < m->n; i++)
        sorted[i] = &m->entries[i];
    qsort(sorted, m->n, sizeof *sorted, compare_entries);
    int rc = MIM_OK;
    for (size_t i = 1; rc == MIM_OK && i < m->n; i++)
        if (strcmp(sorted[i - 1]->who, sorted[i]->who) == 0)
            rc = mim_fail(MIM_EUSAGE, "%s:%zu: %s has a plan in line %zu already", m->path,
                          sorted[i]->line, sorted[i]->who, sorted[i - 1]->line);
    free(sorted);
    return rc;
}

int mim_replay_map_create(const char *path, const char *text, mim_replay_map **map)
{
    size_t n_lines = 1, number = 0;
    for (const char *at = text; *at; at++)
        n_lines += *at == '\n';
    mim_replay_map *m = calloc(1, sizeof *m);
    if (!m || !(m->path = mim_strdup(path)) || !(m->text = mim_strdup(text)) ||
        !(m->entries = calloc(n_lines, sizeof *m->entries))) {
        mim_replay_map_destroy(&m);
        return mim_fail(MIM_ENOMEM, "%s: %zu lines", path, n_lines);
    }
    int rc = MIM_OK;
    for (char *line = m->text, *next; rc == MIM_OK && line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        rc = read_line(m, line, ++number);
    }
    if (rc == MIM_OK && m->n == 0)
        rc = mim_fail(MIM_EUSAGE, "%s: expected lines \"RANK-OR-HOST PLAN\", found none", path);
    if (rc == MIM_OK)
        rc = check_once(m);
    if (rc == MIM_OK) {
        *map = m;
        m = NULL;
    }
    mim_replay_map_destroy(&m);
    return rc;
}

void mim_replay_map_destroy(mim_replay_map **map)
{
    mim_replay_map *m = *map;
    if (!m)
        return;
    free(m->entries);
    free(m->text);
    free(m->path);
    free(m);
    *map = NULL;
}

size_t mim_replay_map_n(const mim_replay_map *map) { return map->n; }

const char *mim_replay_map_plan(const mim_replay_map *map, size_t i)
{
    return map->entries[i].plan;
}

size_t mim_replay_map_line(const mim_replay_map *map, size_t i) { return map->entries[i].line; }

/* "n1" is "n1.cluster", too. */
static bool is_host(const char *who, const char *name)
{
    const size_t n = strcspn(name, ".");
    return strcmp(who, name) == 0 || (strlen(who) == n && strncmp(who, name, n) == 0);
}

/* SIZE_MAX: none. */
static size_t find(const mim_replay_map *m, long rank, const char *host)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < m->n; i++) {
        if (m->entries[i].rank == rank)
            return i;
        if (m->entries[i].rank < 0 && is_host(m->entries[i].who, host))
            found = i;
    }
    return found;
}

int mim_replay_map_choose(const mim_replay_map *map, const mim_hosts *hosts, int rank,
                          size_t *chosen)
{
    for (size_t i = 0; i < map->n; i++)
        if (map->entries[i].rank >= hosts->n_ranks)
            return mim_fail(MIM_EUSAGE, "%s:%zu: there is no rank %ld among %d", map->path,
                            map->entries[i].line, map->entries[i].rank, hosts->n_ranks);
    for (int r = 0; r < hosts->n_ranks; r++)
        if (find(map, r, hosts->names[r]) == SIZE_MAX)
            return mim_fail(MIM_EUSAGE, "%s: no plan for rank %d on host %s", map->path, r,
                            hosts->names[r]);
    *chosen = find(map, rank, hosts->names[rank]);
    return MIM_OK;
}
