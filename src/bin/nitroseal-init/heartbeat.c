/* The sign of life that nitro-cli waits for: one byte there and the same one back (enclave-init
 * reference, section 4). */
#include <time.h>
#include <unistd.h>

#include "bin/nitroseal-init/init.h"
#include "io/addr.h"
#include "io/sys.h"

enum {
    HEARTBEAT_PORT = 9000,
    HEARTBEAT_BYTE = 0xb7,
    TRIES = 5,
    TRY_MS = 5000,
    FIRST_PAUSE_MS = 200, /* then doubled: 3 s of pauses in all */
};

static enum err once(const struct addr *parent, struct why *why)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(1);
    const uint8_t beat = HEARTBEAT_BYTE;
    uint64_t deadline_ns = clock_mono_ns() + TRY_MS * NS_PER_MS;
    bool eof = false;
    int s = -1;

    enum err r = addr_connect(parent, deadline_ns, &s, why);
    AUTO(fd_close) int fd = s;
    if (r == ERR_OK)
        r = fd_write_all(fd, span_of(&beat, 1), deadline_ns, why);
    if (r == ERR_OK)
        r = fd_read_some(fd, 1, &answer, &eof, deadline_ns, why);
    if (r != ERR_OK)
        return r;
    if (!span_eq(buf_view(&answer), span_of(&beat, 1)))
        return why_fail(why, ERR_MALFORMED, "the parent does not answer with the same byte", 0);
    return ERR_OK;
}

enum err heartbeat_send(struct fault *f)
{
    struct addr parent;

    f->name = "heartbeat to the parent, CID 3 port 9000";
    enum err r = addr_vsock(NULL, CID_PARENT, HEARTBEAT_PORT, &parent, &f->why);
    for (unsigned i = 0; r == ERR_OK; i++) {
        r = once(&parent, &f->why);
        if (r == ERR_OK)
            return ERR_OK;
        log_event(LOG_WARN, "heartbeat not answered", LOG_INT("try", i + 1),
                  LOG_STR("why", f->why.what));
        if (i + 1 == TRIES)
            return r;
        uint64_t pause_ns = ((uint64_t)FIRST_PAUSE_MS << i) * NS_PER_MS;
        const struct timespec pause = { .tv_sec = (time_t)(pause_ns / NS_PER_S),
                                        .tv_nsec = (long)(pause_ns % NS_PER_S) };
        (void)nanosleep(&pause, NULL);
        r = ERR_OK;
    }
    return r;
}
