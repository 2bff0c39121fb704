#include "bin/common/process.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "io/sys.h"

enum {
    STAT_MAX_BYTES = 4096,
    FIELD_STATE = 3, /* proc(5), counted from 1 */
    FIELD_STARTED = 22,
};

/* Field `n` >= 3: they begin after the last parenthesis. */
static struct span field(struct span stat, unsigned n)
{
    size_t close = stat.len;

    while (close > 0 && stat.ptr[close - 1] != ')')
        close--;
    struct span rest = close ? span_trim(span_from(stat, close)) : SPAN_EMPTY;
    for (unsigned i = FIELD_STATE; i < n; i++)
        (void)span_cut(&rest, ' ');
    return span_cut(&rest, ' ');
}

enum err process_started_parse(struct span stat, uint64_t *started)
{
    return span_to_u64(field(stat, FIELD_STARTED), UINT64_MAX, started);
}

static enum err read_stat(int pid, struct buf *out)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return file_read(path, out, NULL);
}

enum err process_of(int pid, struct process *out)
{
    AUTO(buf_clear) struct buf stat = BUF_INIT(STAT_MAX_BYTES);
    struct process p = { .pid = pid };

    if (pid <= 0 || read_stat(pid, &stat) != ERR_OK)
        return ERR_IO;
    struct span state = field(buf_view(&stat), FIELD_STATE);
    if (span_is(state, "Z") || span_is(state, "X") ||
        process_started_parse(buf_view(&stat), &p.started) != ERR_OK)
        return ERR_IO;
    *out = p;
    return ERR_OK;
}

bool process_is_alive(const struct process *p)
{
    struct process now;

    return process_of(p->pid, &now) == ERR_OK && now.started == p->started;
}

bool process_signal(const struct process *p, int signo)
{
    /* The descriptor names one process for good: what is checked after opening it stays true. */
    AUTO(fd_close) int fd = p->pid > 0 ? pidfd_open(p->pid, 0) : -1;

    return fd >= 0 && process_is_alive(p) && pidfd_send_signal(fd, signo, NULL, 0) == 0;
}

bool process_wait_gone(const struct process *p, uint64_t deadline_ns)
{
    AUTO(fd_close) int fd = p->pid > 0 ? pidfd_open(p->pid, 0) : -1;

    if (fd < 0 || !process_is_alive(p))
        return true;
    return fd_wait(fd, POLLIN, deadline_ns, NULL) == ERR_OK || !process_is_alive(p);
}
