/* One plan at a time on a host: whoever runs one holds this lock.
 *
 * An advisory lock (flock) on /tmp/mimesys-<uid>.lock, a name that does not depend on how a program
 * was started; MIMESYS_HOST_LOCK names another file. The kernel gives it back however its holder
 * ends. The file stays; removing it would let two in. */
#ifndef MIM_NODE_HOST_LOCK_H
#define MIM_NODE_HOST_LOCK_H

#include "core/error.h"
#include "core/log.h"

/* `path` NULL: the file of this user. *fd is open and not locked yet. MIM_EIO: cannot be opened, or
 * belongs to another user. */
int mim_host_lock_open(const char *path, int *fd);
/* Waits asleep for up to timeout_s (0: only looks, negative: for ever). MIM_ESTOPPED: a stop was
 * asked for (core/signals.h); MIM_EUNSUP: still held by another after timeout_s, whom the sentence
 * names: "mimesys_collect (process 4711) has this host". */
int mim_host_lock_take(int fd, double timeout_s);
/* Opens this user's file and takes the lock; whoever must be waited for stands in the log. */
int mim_host_lock_obtain(double timeout_s, mim_log *log, int *fd);
void mim_host_lock_release(int *fd); /* closes; *fd becomes -1 */

#endif
