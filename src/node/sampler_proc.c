/* Sources that are one text file of the whole node: CPU time, paging, file tables, shared memory,
 * pressure. */
#include <stdio.h>
#include <stdlib.h>

#include "core/text.h"
#include "node/sampler_source.h"

/* ---- /proc/stat and /proc/loadavg: cpu, x_cpu, ps ------------------------------------------- */
enum { N_CPU_VALUES = 7, N_X_CPU_VALUES = 3, N_PS_VALUES = 7 };

typedef struct stat_source {
    mim_source base; /* tables: cpu, x_cpu, ps */
    mim_kept_file stat, loadavg;
} stat_source;

static size_t cpu_name_bytes(const char *line)
{
    size_t n = 0;

    if (strncmp(line, "cpu", 3) != 0)
        return 0;
    while (mim_is_digit(line[3 + n]))
        n++;
    return n;
}

static void stat_close(mim_source *source)
{
    stat_source *s = (stat_source *)source;

    mim_kept_close(&s->stat);
    mim_kept_close(&s->loadavg);
    mim_source_free(source);
}

/* Gives every CPU in the text a row; CPUs that went offline keep theirs, it is just not present. */
static int add_cpus(stat_source *s)
{
    mim_table *cpu = &s->base.tables[0], *x_cpu = &s->base.tables[1];
    int rc = MIM_OK;

    for (const char *p = s->stat.text; rc == MIM_OK && *p; p = mim_next_line(p)) {
        size_t n = cpu_name_bytes(p);
        char device[16];
        if (n == 0 || n >= sizeof device || mim_table_find(cpu, p + 3, n, SIZE_MAX) != SIZE_MAX)
            continue;
        memcpy(device, p + 3, n);
        device[n] = 0;
        rc = mim_table_add(cpu, device);
        if (rc == MIM_OK && (rc = mim_table_add(x_cpu, device)) != MIM_OK)
            mim_table_remove(cpu, cpu->n_rows - 1);
    }
    return rc;
}

static int stat_open(const mim_source_roots *roots, mim_source **source)
{
    stat_source *s = mim_source_new(sizeof *s, &mim_source_stat);
    int rc = MIM_ENOMEM;

    if (!s)
        goto done;
    mim_table_init(&s->base.tables[0], "cpu",
                   "user,E,U=cs nice,E,U=cs system,E,U=cs idle,E,U=cs iowait,E,U=cs irq,E,U=cs "
                   "softirq,E,U=cs");
    mim_table_init(&s->base.tables[1], "x_cpu", "steal,E,U=cs guest,E,U=cs guest_nice,E,U=cs");
    mim_table_init(&s->base.tables[2], "ps",
                   "ctxt,E processes,E load_1 load_5 load_15 nr_running nr_threads");
    s->base.n_tables = 3;
    if ((rc = mim_kept_open(&s->stat, roots->proc, "stat")) != MIM_OK ||
        (rc = add_cpus(s)) != MIM_OK)
        goto done;
    if (s->base.tables[0].n_rows == 0) {
        rc = mim_fail(MIM_EUNSUP, "%s/stat: no line of a CPU", roots->proc);
        goto done;
    }
    if (mim_kept_open(&s->loadavg, roots->proc, "loadavg") != MIM_OK)
        s->base.n_tables = 2;
    else if ((rc = mim_table_add(&s->base.tables[2], "-")) != MIM_OK)
        goto done;
    *source = &s->base;
    s = NULL;
done:
    if (s)
        stat_close(&s->base);
    return rc;
}

/* One "cpuN ..." line into row *hint or wherever the CPU stands. */
static void scan_cpu(stat_source *s, const char *line, size_t name_bytes, size_t *hint)
{
    mim_table *cpu = &s->base.tables[0], *x_cpu = &s->base.tables[1];
    size_t row = mim_table_find(cpu, line + 3, name_bytes, *hint);

    if (row == SIZE_MAX) {
        s->base.is_refresh_due = true;
        return;
    }
    *hint = row + 1;
    const char *p = line + 3 + name_bytes;
    uint64_t all[N_CPU_VALUES + N_X_CPU_VALUES];
    size_t n = 0;
    while (n < N_CPU_VALUES + N_X_CPU_VALUES && mim_scan_u64(&p, &all[n]))
        n++;
    p = mim_skip_spaces(p);
    if (n < N_CPU_VALUES || (*p != '\n' && !mim_is_digit(*p)))
        return; /* malformed */
    memcpy(cpu->rows[row].values, all, N_CPU_VALUES * sizeof *all);
    cpu->rows[row].is_present = true;
    if (n == N_CPU_VALUES + N_X_CPU_VALUES) { /* kernels before 2.6.33 give fewer */
        memcpy(x_cpu->rows[row].values, all + N_CPU_VALUES, N_X_CPU_VALUES * sizeof *all);
        x_cpu->rows[row].is_present = true;
    }
}

/* "1.42" as 142; false when it is not of that form. */
static bool scan_load(const char **text, uint64_t *value)
{
    const char *p = mim_skip_spaces(*text);
    uint64_t whole = 0;

    if (!mim_is_digit(*p))
        return false;
    for (; mim_is_digit(*p) && whole < UINT64_C(1000000000000); p++)
        whole = whole * 10 + (uint64_t)(*p - '0');
    if (p[0] != '.' || !mim_is_digit(p[1]) || !mim_is_digit(p[2]) || p[3] != ' ')
        return false;
    *value = whole * 100 + (uint64_t)(p[1] - '0') * 10 + (uint64_t)(p[2] - '0');
    *text = p + 3;
    return true;
}

/* "0.42 0.30 0.21 3/115 9999" */
static bool scan_loadavg(const char *p, uint64_t values[5])
{
    for (size_t i = 0; i < 3; i++)
        if (!scan_load(&p, &values[i]))
            return false;
    p = mim_skip_spaces(p);
    uint64_t running = 0;
    if (!mim_is_digit(*p))
        return false;
    for (; mim_is_digit(*p) && running < UINT64_C(1000000000000); p++)
        running = running * 10 + (uint64_t)(*p - '0');
    if (*p++ != '/' || !mim_is_digit(*p) || !mim_scan_u64(&p, &values[4]))
        return false;
    values[3] = running;
    return true;
}

static bool scan_named(const char *line, const char *name, uint64_t *value)
{
    size_t n = strlen(name);

    if (strncmp(line, name, n) != 0)
        return false;
    line += n;
    return mim_scan_u64(&line, value);
}

static void stat_read(mim_source *source)
{
    stat_source *s = (stat_source *)source;
    uint64_t ps[N_PS_VALUES];
    unsigned found = 0;
    size_t hint = 0;

    mim_kept_read(&s->stat);
    for (const char *p = s->stat.text; *p; p = mim_next_line(p)) {
        size_t name_bytes = *p == 'c' ? cpu_name_bytes(p) : 0;
        if (name_bytes > 0)
            scan_cpu(s, p, name_bytes, &hint);
        else if (*p == 'c' && scan_named(p, "ctxt ", &ps[0]))
            found |= 1u;
        else if (*p == 'p' && scan_named(p, "processes ", &ps[1]))
            found |= 2u;
        if (found == 3u)
            break;
    }
    if (s->base.n_tables < 3 || found != 3u)
        return;
    if (mim_kept_read(&s->loadavg) && scan_loadavg(s->loadavg.text, ps + 2)) {
        mim_table_row *row = &s->base.tables[2].rows[0];
        memcpy(row->values, ps, sizeof ps);
        row->is_present = true;
    }
}

static void stat_refresh(mim_source *source)
{
    if (source->is_refresh_due)
        add_cpus((stat_source *)source); /* out of memory: the new CPU stays absent */
}

const mim_source_ops mim_source_stat = {.name = "stat",
                                        .tier = 1,
                                        .types = "cpu x_cpu ps",
                                        .open = stat_open,
                                        .read = stat_read,
                                        .refresh = stat_refresh,
                                        .close = stat_close};

/* ---- sources with one type and one row, all from files with fixed names --------------------- */
enum { MAX_ROW_FILES = 3 };

typedef struct row_source {
    mim_source base;
    mim_kept_file files[MAX_ROW_FILES];
    mim_keyed keyed; /* vm */
} row_source;

static void row_close(mim_source *source)
{
    row_source *s = (row_source *)source;

    for (size_t i = 0; i < MAX_ROW_FILES; i++)
        mim_kept_close(&s->files[i]);
    mim_source_free(source);
}

static int row_open(const mim_source_ops *ops, const mim_source_roots *roots, const char *type,
                    const char *keys, size_t n_files, const char *const *names, mim_source **source)
{
    row_source *s = mim_source_new(sizeof *s, ops);
    int rc = s ? MIM_OK : MIM_ENOMEM;

    for (size_t i = 0; rc == MIM_OK && i < n_files; i++)
        rc = mim_kept_open(&s->files[i], roots->proc, names[i]);
    if (rc == MIM_OK) {
        mim_table_init(&s->base.tables[0], type, keys);
        s->base.n_tables = 1;
        rc = mim_table_add(&s->base.tables[0], "-");
    }
    if (rc == MIM_OK)
        *source = &s->base;
    else if (s)
        row_close(&s->base);
    return rc;
}

/* ---- /proc/vmstat: vm ----------------------------------------------------------------------- */
/* Counters that newer kernels renamed or dropped stay 0, as the original collector writes them. */
static const char vm_schema[] =
    "nr_anon_transparent_hugepages pgpgin,E,U=KB pgpgout,E,U=KB pswpin,E pswpout,E "
    "pgalloc_normal,E pgfree,E pgactivate,E pgdeactivate,E pgfault,E pgmajfault,E "
    "pgrefill_normal,E pgsteal_normal,E pgscan_kswapd_normal,E pgscan_direct_normal,E "
    "pginodesteal,E slabs_scanned,E kswapd_steal,E kswapd_inodesteal,E pageoutrun,E allocstall,E "
    "pgrotated,E thp_fault_alloc,E thp_fault_fallback,E thp_collapse_alloc,E "
    "thp_collapse_alloc_failed,E thp_split,E";

static const char *const vm_keys[] = {"nr_anon_transparent_hugepages",
                                      "pgpgin",
                                      "pgpgout",
                                      "pswpin",
                                      "pswpout",
                                      "pgalloc_normal",
                                      "pgfree",
                                      "pgactivate",
                                      "pgdeactivate",
                                      "pgfault",
                                      "pgmajfault",
                                      "pgrefill_normal",
                                      "pgsteal_normal",
                                      "pgscan_kswapd_normal",
                                      "pgscan_direct_normal",
                                      "pginodesteal",
                                      "slabs_scanned",
                                      "kswapd_steal",
                                      "kswapd_inodesteal",
                                      "pageoutrun",
                                      "allocstall",
                                      "pgrotated",
                                      "thp_fault_alloc",
                                      "thp_fault_fallback",
                                      "thp_collapse_alloc",
                                      "thp_collapse_alloc_failed",
                                      "thp_split"};
enum { N_VM_KEYS = sizeof vm_keys / sizeof *vm_keys, VM_PGPGIN = 1, VM_PGFAULT = 9 };

static int vm_open(const mim_source_roots *roots, mim_source **source)
{
    static const char *const names[] = {"vmstat"};
    int rc = row_open(&mim_source_vm, roots, "vm", vm_schema, 1, names, source);

    if (rc == MIM_OK)
        mim_keyed_init(&((row_source *)*source)->keyed, vm_keys, N_VM_KEYS,
                       UINT32_C(1) << VM_PGPGIN | UINT32_C(1) << VM_PGFAULT);
    return rc;
}

static void vm_read(mim_source *source)
{
    row_source *s = (row_source *)source;
    mim_table_row *row = &source->tables[0].rows[0];

    row->is_present =
        mim_kept_read(&s->files[0]) && mim_keyed_scan(&s->keyed, s->files[0].text, 0, row->values);
}

const mim_source_ops mim_source_vm = {.name = "vmstat",
                                      .tier = 1,
                                      .types = "vm",
                                      .open = vm_open,
                                      .read = vm_read,
                                      .close = row_close};

/* ---- /proc/sys/fs: vfs ---------------------------------------------------------------------- */
static int vfs_open(const mim_source_roots *roots, mim_source **source)
{
    static const char *const names[] = {"sys/fs/dentry-state", "sys/fs/file-nr", "sys/fs/inode-nr"};

    return row_open(&mim_source_vfs, roots, "vfs", "dentry_use file_use inode_use", 3, names,
                    source);
}

/* Each file starts with "allocated unused". */
static void vfs_read(mim_source *source)
{
    row_source *s = (row_source *)source;
    mim_table_row *row = &source->tables[0].rows[0];
    size_t n = 0;

    for (; n < 3; n++) {
        uint64_t pair[2];
        if (!mim_kept_read(&s->files[n]) || !mim_scan_u64_n(s->files[n].text, 2, pair) ||
            pair[1] > pair[0])
            break;
        row->values[n] = pair[0] - pair[1];
    }
    row->is_present = n == 3;
}

const mim_source_ops mim_source_vfs = {.name = "vfs",
                                       .tier = 1,
                                       .types = "vfs",
                                       .is_slow = true,
                                       .open = vfs_open,
                                       .read = vfs_read,
                                       .close = row_close};

/* ---- /proc/sysvipc/shm: sysv_shm ------------------------------------------------------------ */
static int shm_open_source(const mim_source_roots *roots, mim_source **source)
{
    static const char *const names[] = {"sysvipc/shm"};

    return row_open(&mim_source_shm, roots, "sysv_shm", "mem_used,U=B segs_used", 1, names, source);
}

/* "key shmid perms size ...": the key may be negative. */
static bool scan_segment(const char *p, uint64_t *size)
{
    uint64_t skipped, sum;

    p = mim_skip_spaces(p);
    p += *p == '-';
    for (size_t i = 0; i < 3; i++)
        if (!mim_scan_u64(&p, &skipped))
            return false;
    if (!mim_scan_u64(&p, &skipped) || __builtin_add_overflow(*size, skipped, &sum))
        return false;
    *size = sum;
    return true;
}

static void shm_read(mim_source *source)
{
    row_source *s = (row_source *)source;
    mim_table_row *row = &source->tables[0].rows[0];
    uint64_t size = 0, n = 0;

    if (!mim_kept_read(&s->files[0]))
        return;
    for (const char *p = mim_next_line(s->files[0].text); *p; p = mim_next_line(p), n++)
        if (!scan_segment(p, &size))
            return;
    row->values[0] = size;
    row->values[1] = n;
    row->is_present = true;
}

const mim_source_ops mim_source_shm = {.name = "sysv_shm",
                                       .tier = 1,
                                       .types = "sysv_shm",
                                       .is_slow = true,
                                       .open = shm_open_source,
                                       .read = shm_read,
                                       .close = row_close};

/* ---- /proc/pressure: x_psi ------------------------------------------------------------------ */
static const char *const psi_devices[] = {"cpu", "io", "memory"};
enum { N_PSI = 3 };

/* Opens the files that are there, with a row each. */
static int add_pressure(row_source *s, const char *folder, const char *suffix)
{
    mim_table *table = &s->base.tables[0];
    char name[32];
    int rc = MIM_OK;

    for (size_t i = 0; rc == MIM_OK && i < N_PSI; i++) {
        snprintf(name, sizeof name, "%s%s", psi_devices[i], suffix);
        if (mim_kept_open(&s->files[table->n_rows], folder, name) == MIM_OK)
            rc = mim_table_add(table, psi_devices[i]);
    }
    return rc;
}

/* /proc/pressure tells of the machine. Where a container hides it, the group at the root of its
 * control group tree (version 2) tells of the container. */
static int psi_open(const mim_source_roots *roots, mim_source **source)
{
    row_source *s = mim_source_new(sizeof *s, &mim_source_psi);
    char *folder = mim_join_path(roots->proc, "pressure");
    char *group = mim_join_path(roots->sys, "fs/cgroup");
    mim_table *table = s ? &s->base.tables[0] : NULL;
    int rc = MIM_ENOMEM;

    if (!s || !folder || !group)
        goto done;
    mim_table_init(table, "x_psi", "some_us,E full_us,E");
    s->base.n_tables = 1;
    rc = add_pressure(s, folder, "");
    if (rc == MIM_OK && table->n_rows == 0) {
        rc = add_pressure(s, group, ".pressure");
        snprintf(s->base.note, sizeof s->base.note, "of this control group, not of the machine");
    }
    if (rc == MIM_OK && table->n_rows == 0)
        rc = mim_fail(MIM_EUNSUP, "%s: no pressure file", folder);
    if (rc != MIM_OK)
        goto done;
    *source = &s->base;
    s = NULL;
done:
    free(folder);
    free(group);
    if (s)
        row_close(&s->base);
    return rc;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=123": the total of the line that starts so. */
static bool scan_total(const char *text, const char *start, uint64_t *value)
{
    for (const char *p = text; *p; p = mim_next_line(p)) {
        if (strncmp(p, start, strlen(start)) != 0)
            continue;
        const char *total = strstr(p, " total=");
        if (!total || total > mim_next_line(p))
            return false;
        total += strlen(" total=");
        return mim_is_digit(*total) && mim_scan_u64(&total, value);
    }
    return false;
}

static void psi_read(mim_source *source)
{
    row_source *s = (row_source *)source;

    for (size_t i = 0; i < source->tables[0].n_rows; i++) {
        mim_table_row *row = &source->tables[0].rows[i];
        if (!mim_kept_read(&s->files[i]) || !scan_total(s->files[i].text, "some ", &row->values[0]))
            continue;
        /* Kernels before 5.13 have no full line for cpu, later ones one that is always 0. */
        if (strcmp(row->device, "cpu") == 0 && !strstr(s->files[i].text, "full "))
            row->values[1] = 0;
        else if (!scan_total(s->files[i].text, "full ", &row->values[1]))
            continue;
        row->is_present = true;
    }
}

const mim_source_ops mim_source_psi = {.name = "pressure",
                                       .tier = 1,
                                       .types = "x_psi",
                                       .open = psi_open,
                                       .read = psi_read,
                                       .close = row_close};
