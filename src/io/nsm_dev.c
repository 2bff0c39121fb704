/* Source: Linux drivers/misc/nsm.c and include/uapi/linux/nsm.h (ioctl, sizes, the rewritten
 * response length). */
#include "io/nsm_dev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "io/addr.h"
#include "io/sys.h"

/* clang 14's ThreadSanitizer does not know pthread_mutex_clocklock(). */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define LOCKED(m) (__tsan_mutex_pre_lock(m, 0), __tsan_mutex_post_lock(m, 0, 0))
#endif
#endif
#ifndef LOCKED
#define LOCKED(m) ((void)(m))
#endif

enum {
    REQUEST_MAX_BYTES = 0x1000,
    RESPONSE_MAX_BYTES = 0x3000,
};

/* The uapi layout: pointers as 64-bit numbers whatever the userland is. */
struct nsm_iovec {
    uint64_t addr, len;
};
struct nsm_raw {
    struct nsm_iovec request, response;
};
#define NSM_IOCTL_RAW _IOWR(0x0A, 0, struct nsm_raw)
_Static_assert(NSM_IOCTL_RAW == 0xC0200A00, "uapi/linux/nsm.h");

struct nsm_dev {
    pthread_mutex_t lock;
    int fd; /* -1: a Unix NSM that is to be connected again */
    bool is_unix;
    struct addr addr;
};

static enum err unix_connect(struct nsm_dev *d, struct why *why)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    memcpy(un.sun_path, d->addr.path, sizeof(un.sun_path));
    if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0)
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    d->fd = fd;
    fd = -1;
    return ERR_OK;
}

static enum err open_where(struct nsm_dev *d, const char *where, struct why *why)
{
    if (!span_starts(span_str(where), "unix:")) {
        d->fd = open(where, O_RDWR | O_CLOEXEC);
        return d->fd >= 0 ? ERR_OK : why_fail(why, ERR_IO, errno_what(errno), 0);
    }
    d->is_unix = true;
    enum err r = addr_unix(where + strlen("unix:"), &d->addr, why);
    return r == ERR_OK ? unix_connect(d, why) : r;
}

enum err nsm_dev_open(const char *where, struct nsm_dev **out, struct why *why)
{
    struct nsm_dev *d = calloc(1, sizeof(*d));
    if (!d)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    d->fd = -1;
    (void)pthread_mutex_init(&d->lock, NULL);
    enum err r = open_where(d, where, why);
    if (r != ERR_OK) {
        nsm_dev_close(d);
        return r;
    }
    *out = d;
    return ERR_OK;
}

void nsm_dev_close(struct nsm_dev *d)
{
    if (!d)
        return;
    fd_close(&d->fd);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

static enum err ask_device(struct nsm_dev *d, struct span request, uint8_t *into, size_t *len,
                           struct why *why)
{
    struct nsm_raw raw = {
        .request = { .addr = (uintptr_t)request.ptr, .len = request.len },
        .response = { .addr = (uintptr_t)into, .len = RESPONSE_MAX_BYTES },
    };

    while (ioctl(d->fd, NSM_IOCTL_RAW, &raw) != 0)
        if (errno != EINTR)
            return why_fail(why, errno == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO, errno_what(errno), 0);
    if (raw.response.len > RESPONSE_MAX_BYTES)
        return why_fail(why, ERR_IO, "the NSM driver's length is out of range", 0);
    *len = raw.response.len; /* rewritten by the driver */
    return ERR_OK;
}

/* One packet there and one back. *gone: the peer had left, so asking anew makes sense. */
static enum err exchange(struct nsm_dev *d, struct span request, uint8_t *into, size_t *len,
                         uint64_t deadline_ns, bool *gone, struct why *why)
{
    ssize_t n;

    *gone = false;
    while ((n = send(d->fd, request.ptr, request.len, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0) {
        if (errno == EAGAIN) {
            enum err r = fd_wait(d->fd, POLLOUT, deadline_ns, why);
            if (r != ERR_OK)
                return r;
        } else if (errno != EINTR) {
            *gone = errno == EPIPE || errno == ECONNRESET;
            return why_fail(why, ERR_IO, errno_what(errno), 0);
        }
    }
    do {
        enum err r = fd_wait(d->fd, POLLIN, deadline_ns, why);
        if (r != ERR_OK)
            return r;
        n = recv(d->fd, into, RESPONSE_MAX_BYTES, MSG_DONTWAIT | MSG_TRUNC);
    } while (n < 0 && (errno == EAGAIN || errno == EINTR));
    if (n <= 0) {
        *gone = true;
        return why_fail(why, ERR_IO, n == 0 ? "the NSM closed the connection" : errno_what(errno),
                        0);
    }
    if (n > RESPONSE_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "NSM response over 12,288 bytes", 0);
    *len = (size_t)n;
    return ERR_OK;
}

static enum err ask_unix(struct nsm_dev *d, struct span request, uint8_t *into, size_t *len,
                         uint64_t deadline_ns, struct why *why)
{
    enum err r = ERR_OK;
    bool gone = true;

    for (unsigned tries = 0; tries < 2 && gone; tries++) {
        gone = false;
        r = d->fd >= 0 ? ERR_OK : unix_connect(d, why);
        if (r == ERR_OK)
            r = exchange(d, request, into, len, deadline_ns, &gone, why);
        /* After any fault an answer may still be on its way, and would be taken for the next one's.
         */
        if (r != ERR_OK)
            fd_close(&d->fd);
    }
    return r;
}

static enum err lock(struct nsm_dev *d, uint64_t deadline_ns, struct why *why)
{
    const struct timespec at = { .tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                 .tv_nsec = (long)(deadline_ns % NS_PER_S) };
    int e = deadline_ns ? pthread_mutex_clocklock(&d->lock, CLOCK_MONOTONIC, &at)
                        : pthread_mutex_lock(&d->lock);
    if (e == ETIMEDOUT)
        return why_fail(why, ERR_TIMEOUT, errno_what(e), 0);
    if (e == 0 && deadline_ns)
        LOCKED(&d->lock);
    return e == 0 ? ERR_OK : why_fail(why, ERR_INTERNAL, "NSM lock", 0);
}

enum err nsm_dev_ask(struct nsm_dev *d, struct span request, struct buf *response,
                     uint64_t deadline_ns, struct why *why)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(RESPONSE_MAX_BYTES);
    uint8_t *into;
    size_t len = 0;

    if (request.len == 0 || request.len > REQUEST_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "NSM request over 4,096 bytes", 0);
    enum err r = buf_reserve(&answer, RESPONSE_MAX_BYTES, &into);
    if (r != ERR_OK)
        return why_fail(why, r, "out of memory", 0);
    r = lock(d, deadline_ns, why);
    if (r != ERR_OK)
        return r;
    r = d->is_unix ? ask_unix(d, request, into, &len, deadline_ns, why)
                   : ask_device(d, request, into, &len, why);
    (void)pthread_mutex_unlock(&d->lock);
    if (r != ERR_OK)
        return r;
    buf_commit(&answer, len);
    r = buf_append(response, buf_view(&answer));
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "no room for the NSM response", 0);
}
