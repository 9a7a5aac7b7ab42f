/* Network interfaces that are up, with the 23 counters of the kernel's interface statistics.
 *
 * /proc/net/dev gives all interfaces in one read but adds some counters up: drop = dropped +
 * missed, frame = length + over + crc + frame errors, carrier = carrier + aborted + window +
 * heartbeat errors. The parts are read from /sys/class/net/NAME/statistics, and only when their sum
 * has changed: counters only grow, so an unchanged sum has unchanged parts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/text.h"
#include "node/sampler_source.h"

/* Index of each key in the row. */
enum {
    COLLISIONS,
    MULTICAST,
    RX_BYTES,
    RX_COMPRESSED,
    RX_CRC_ERRORS,
    RX_DROPPED,
    RX_ERRORS,
    RX_FIFO_ERRORS,
    RX_FRAME_ERRORS,
    RX_LENGTH_ERRORS,
    RX_MISSED_ERRORS,
    RX_OVER_ERRORS,
    RX_PACKETS,
    TX_ABORTED_ERRORS,
    TX_BYTES,
    TX_CARRIER_ERRORS,
    TX_COMPRESSED,
    TX_DROPPED,
    TX_ERRORS,
    TX_FIFO_ERRORS,
    TX_HEARTBEAT_ERRORS,
    TX_PACKETS,
    TX_WINDOW_ERRORS,
};

typedef struct part {
    int key;
    const char *file;
} part;

/* Sums in /proc/net/dev. The first part takes the whole sum when the parts cannot be read: it is
 * what the kernel calls the column. */
typedef struct group {
    size_t column;
    part parts[4]; /* ended by a NULL file or full */
} group;

enum { N_COLUMNS = 16, N_GROUPS = 3, MAX_PARTS = 4, IS_SUM = -1 };

static const group groups[N_GROUPS] = {
    {3, {{RX_DROPPED, "rx_dropped"}, {RX_MISSED_ERRORS, "rx_missed_errors"}}},
    {5,
     {{RX_FRAME_ERRORS, "rx_frame_errors"},
      {RX_LENGTH_ERRORS, "rx_length_errors"},
      {RX_OVER_ERRORS, "rx_over_errors"},
      {RX_CRC_ERRORS, "rx_crc_errors"}}},
    {14,
     {{TX_CARRIER_ERRORS, "tx_carrier_errors"},
      {TX_ABORTED_ERRORS, "tx_aborted_errors"},
      {TX_WINDOW_ERRORS, "tx_window_errors"},
      {TX_HEARTBEAT_ERRORS, "tx_heartbeat_errors"}}},
};

/* Key of each column of /proc/net/dev. */
static const int column_keys[N_COLUMNS] = {
    RX_BYTES,       RX_PACKETS, RX_ERRORS, IS_SUM,       RX_FIFO_ERRORS, IS_SUM,
    RX_COMPRESSED,  MULTICAST,  TX_BYTES,  TX_PACKETS,   TX_ERRORS,      TX_DROPPED,
    TX_FIFO_ERRORS, COLLISIONS, IS_SUM,    TX_COMPRESSED};

typedef struct interface {
    bool is_up, is_listed;
    uint64_t sums[N_GROUPS]; /* the parts in the row add up to these */
} interface;

typedef struct net_source {
    mim_source base;
    char *folder;
    mim_kept_file dev;
    size_t capacity;
    interface *interfaces; /* [rows of the table] */
} net_source;

static void net_close(mim_source *source)
{
    net_source *s = (net_source *)source;

    mim_kept_close(&s->dev);
    free(s->interfaces);
    free(s->folder);
    mim_source_free(source);
}

/* A short file without keeping it open; false when it cannot be read. */
static bool read_text(const char *folder, const char *name, const char *file, char *text,
                      size_t n_bytes)
{
    char path[512];
    ssize_t got = -1;

    if (snprintf(path, sizeof path, "%s/%s/%s", folder, name, file) >= (int)sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        got = read(fd, text, n_bytes - 1);
        close(fd);
    }
    text[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* IFF_UP is bit 0 of "0x1003". An interface that /sys does not show (it may be that of another
 * network namespace) counts as up. */
static bool is_interface_up(const net_source *s, const char *name)
{
    char text[32];

    if (!read_text(s->folder, name, "flags", text, sizeof text))
        return true;
    return strtoul(text, NULL, 16) & 1;
}

static bool read_parts(const net_source *s, const char *name, const group *g, uint64_t sum,
                       uint64_t *values)
{
    uint64_t found[MAX_PARTS] = {0}, total = 0;

    for (size_t i = 0; i < MAX_PARTS && g->parts[i].file && sum > 0; i++) {
        char file[64], text[32];
        const char *p = text;
        snprintf(file, sizeof file, "statistics/%s", g->parts[i].file);
        if (!read_text(s->folder, name, file, text, sizeof text) || !mim_scan_u64(&p, &found[i]))
            total = UINT64_MAX / 2; /* never the sum */
        total += found[i];
    }
    /* A packet between the two reads makes the parts larger than the sum: both are right. */
    bool is_split = total >= sum && total - sum < UINT64_MAX / 4;
    for (size_t i = 0; i < MAX_PARTS && g->parts[i].file; i++)
        values[g->parts[i].key] = is_split ? found[i] : (i == 0 ? sum : 0);
    return is_split && total == sum;
}

static void read_row(net_source *s, size_t row, const uint64_t columns[N_COLUMNS])
{
    mim_table_row *r = &s->base.tables[0].rows[row];
    interface *state = &s->interfaces[row];

    for (size_t i = 0; i < N_COLUMNS; i++)
        if (column_keys[i] != IS_SUM)
            r->values[column_keys[i]] = columns[i];
    for (size_t g = 0; g < N_GROUPS; g++) {
        uint64_t sum = columns[groups[g].column];
        if (sum != state->sums[g]) {
            /* parts that do not match the sum are looked at again next time */
            bool is_exact = read_parts(s, r->device, &groups[g], sum, r->values);
            state->sums[g] = is_exact ? sum : UINT64_MAX;
        }
    }
    r->is_present = true;
}

/* "  eth0: 1 2 ...": the name's length, its start in *name, and the text behind the colon. */
static size_t scan_name(const char *line, const char **name, const char **values)
{
    const char *p = mim_skip_spaces(line);
    size_t n = strcspn(p, ":\n");

    if (n == 0 || p[n] != ':')
        return 0;
    *name = p;
    *values = p + n + 1;
    return n;
}

static void net_read(mim_source *source)
{
    net_source *s = (net_source *)source;
    size_t hint = 0;

    mim_kept_read(&s->dev);
    const char *p = mim_next_line(mim_next_line(s->dev.text)); /* two lines of titles */
    for (; *p; p = mim_next_line(p)) {
        const char *name, *text;
        size_t n = scan_name(p, &name, &text);
        size_t row = n ? mim_table_find(&source->tables[0], name, n, hint) : SIZE_MAX;
        uint64_t columns[N_COLUMNS];
        if (row == SIZE_MAX) {
            source->is_refresh_due |= n > 0;
            continue;
        }
        hint = row + 1;
        if (s->interfaces[row].is_up && mim_scan_u64_n(text, N_COLUMNS, columns))
            read_row(s, row, columns);
    }
}

static int add_interface(net_source *s, const char *name, size_t n_bytes)
{
    mim_table *table = &s->base.tables[0];
    char device[64];

    if (n_bytes >= sizeof device)
        return mim_fail(MIM_EUNSUP, "interface name of %zu characters", n_bytes);
    memcpy(device, name, n_bytes);
    device[n_bytes] = 0;
    if (table->n_rows == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 8;
        interface *interfaces = realloc(s->interfaces, capacity * sizeof *interfaces);
        if (!interfaces)
            return mim_fail(MIM_ENOMEM, "table of %zu interfaces", capacity);
        s->interfaces = interfaces;
        s->capacity = capacity;
    }
    int rc = mim_table_add(table, device);
    if (rc == MIM_OK)
        s->interfaces[table->n_rows - 1] = (interface){.is_listed = true};
    return rc;
}

static void remove_interface(net_source *s, size_t row)
{
    mim_table *table = &s->base.tables[0];

    memmove(s->interfaces + row, s->interfaces + row + 1,
            (table->n_rows - row - 1) * sizeof *s->interfaces);
    mim_table_remove(table, row);
}

/* Works on the text read last. */
static void net_refresh(mim_source *source)
{
    net_source *s = (net_source *)source;
    mim_table *table = &source->tables[0];

    for (size_t i = 0; i < table->n_rows; i++)
        s->interfaces[i].is_listed = false;
    const char *p = mim_next_line(mim_next_line(s->dev.text));
    for (; *p; p = mim_next_line(p)) {
        const char *name, *text;
        size_t n = scan_name(p, &name, &text);
        size_t row = n ? mim_table_find(table, name, n, SIZE_MAX) : SIZE_MAX;
        if (row != SIZE_MAX)
            s->interfaces[row].is_listed = true;
        else if (n > 0)
            add_interface(s, name, n); /* out of memory: it stays absent */
    }
    for (size_t i = table->n_rows; i-- > 0;) {
        if (!s->interfaces[i].is_listed)
            remove_interface(s, i);
        else
            s->interfaces[i].is_up = is_interface_up(s, table->rows[i].device);
    }
}

static int net_open(const mim_source_roots *roots, mim_source **source)
{
    net_source *s = mim_source_new(sizeof *s, &mim_source_net);
    int rc = MIM_ENOMEM;

    if (!s)
        goto done;
    mim_table_init(&s->base.tables[0], "net",
                   "collisions,E multicast,E rx_bytes,E,U=B rx_compressed,E rx_crc_errors,E "
                   "rx_dropped,E rx_errors,E rx_fifo_errors,E rx_frame_errors,E "
                   "rx_length_errors,E rx_missed_errors,E rx_over_errors,E rx_packets,E "
                   "tx_aborted_errors,E tx_bytes,E,U=B tx_carrier_errors,E tx_compressed,E "
                   "tx_dropped,E tx_errors,E tx_fifo_errors,E tx_heartbeat_errors,E tx_packets,E "
                   "tx_window_errors,E");
    s->base.n_tables = 1;
    if (!(s->folder = mim_join_path(roots->sys, "class/net"))) {
        rc = mim_fail(MIM_ENOMEM, "%s/class/net", roots->sys);
        goto done;
    }
    if ((rc = mim_kept_open(&s->dev, roots->proc, "net/dev")) != MIM_OK)
        goto done;
    net_refresh(&s->base);
    *source = &s->base;
    s = NULL;
done:
    if (s)
        net_close(&s->base);
    return rc;
}

const mim_source_ops mim_source_net = {.name = "net",
                                       .tier = 1,
                                       .types = "net",
                                       .open = net_open,
                                       .read = net_read,
                                       .refresh = net_refresh,
                                       .close = net_close};
