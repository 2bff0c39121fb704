#include "bin/nitro-local/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bin/nitro-local/qemu.h"
#include "bin/nitro-local/vdev.h"
#include "io/log.h"

enum {
    READ_BYTES = 1024,
    TAIL_BYTES = 8192, /* of the console, for the report */
    KILL_MS = 2000,    /* from SIGTERM to SIGKILL */
};

struct world {
    struct supervise *s;
    struct loop *loop;
    struct vdev *device;
    struct loop_timer *timer;
    struct loop_watch *on_qemu, *on_console, *on_beat, *on_report;
    int qemu_fd, console, beat; /* pidfd, pipe, our end of the heartbeat's connection */
    int kept;                   /* the console's file */
    off_t kept_bytes;
    bool ready, ending;
    char tail[TAIL_BYTES];
    size_t tail_len;
};

/* --- ending --- */

static void kill_qemu(struct world *w, int signo)
{
    if (w->qemu_fd >= 0)
        (void)pidfd_send_signal(w->qemu_fd, signo, NULL, 0);
}

static void end(struct world *w)
{
    if (w->ending)
        return;
    w->ending = true;
    w->s->e->state = ENCLAVE_TERMINATING;
    if (state_write(w->s->e, NULL) != ERR_OK)
        log_event(LOG_WARN, "state not written", LOG_STR("enclave", w->s->e->id));
    if (w->qemu_fd < 0) {
        loop_stop(w->loop);
        return;
    }
    kill_qemu(w, SIGTERM);
    loop_timer_arm(w->timer, clock_mono_ns() + KILL_MS * NS_PER_MS);
}

static void report(struct world *w, struct span text)
{
    loop_watch_free(w->on_report);
    w->on_report = NULL;
    if (w->s->report >= 0 &&
        fd_write_all(w->s->report, text, clock_mono_ns() + NS_PER_S, NULL) != ERR_OK)
        log_event(LOG_WARN, "nobody waits", LOG_STR("enclave", w->s->e->id));
    fd_close(&w->s->report);
}

static void fail(struct world *w, enum code code, const char *what)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(REPORT_MAX_BYTES);

    log_event(LOG_ERROR, "enclave failed", LOG_STR("enclave", w->s->e->id), LOG_STR("why", what));
    enum err r = buf_printf(&text, "%d %s\n", code, what);
    if (r == ERR_OK)
        r = buf_append(&text, span_of(w->tail, w->tail_len));
    if (r == ERR_OK && !w->ready)
        report(w, buf_view(&text));
    end(w);
}

static void on_signal(void *arg)
{
    struct world *w = arg;

    log_event(LOG_INFO, "terminating", LOG_STR("enclave", w->s->e->id));
    end(w);
}

static void on_timer(void *arg)
{
    struct world *w = arg;

    if (w->ending)
        kill_qemu(w, SIGKILL);
    else if (!w->ready)
        fail(w, E36_BOOT,
             "Enclave boot failure: no heartbeat on port 9000 before the time limit "
             "(NITRO_LOCAL_BOOT_SECONDS changes it). The console's output is in the error log.");
}

/* Who asked for this enclave is gone before he could be told of it. */
static void on_report(void *arg)
{
    struct world *w = arg;

    log_event(LOG_WARN, "run-enclave was ended", LOG_STR("enclave", w->s->e->id));
    loop_watch_free(w->on_report);
    w->on_report = NULL;
    end(w);
}

/* A guest that reboots by the keyboard controller, which this machine does not have, ends up
 * jumping to the BIOS and boots again with the PCRs that it had: QEMU sees no reset, so -no-reboot
 * is of no use. On Nitro an enclave that reboots has ended. */
static void restarted(void *arg)
{
    struct world *w = arg;

    if (w->ending)
        return;
    if (!w->ready)
        fail(w, E36_BOOT,
             "Enclave boot failure: it rebooted before its heartbeat on port 9000. The console's "
             "output is in the error log.");
    log_event(LOG_INFO, "the guest rebooted", LOG_STR("enclave", w->s->e->id));
    end(w);
}

/* --- the console --- */

static void keep(struct world *w, const char *bytes, size_t n)
{
    char path[STATE_PATH_BYTES], old[STATE_PATH_BYTES];

    if (w->kept < 0 || w->kept_bytes + (off_t)n > CONSOLE_MAX_BYTES) {
        state_path(w->s->e->slot, "console", path);
        state_path(w->s->e->slot, "console.old", old);
        if (w->kept >= 0)
            (void)rename(path, old);
        fd_close(&w->kept);
        w->kept = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        w->kept_bytes = 0;
    }
    if (w->kept >= 0 && write(w->kept, bytes, n) == (ssize_t)n)
        w->kept_bytes += (off_t)n;
    if (n >= TAIL_BYTES) {
        bytes += n - TAIL_BYTES;
        n = TAIL_BYTES;
    }
    if (w->tail_len + n > TAIL_BYTES) {
        size_t drop = w->tail_len + n - TAIL_BYTES;
        memmove(w->tail, w->tail + drop, w->tail_len - drop);
        w->tail_len -= drop;
    }
    memcpy(w->tail + w->tail_len, bytes, n);
    w->tail_len += n;
}

static void on_console(void *arg)
{
    struct world *w = arg;
    char bytes[READ_BYTES];

    ssize_t n = read(w->console, bytes, sizeof bytes);
    if (n > 0) {
        keep(w, bytes, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_watch_free(w->on_console);
    w->on_console = NULL;
}

static void on_qemu(void *arg)
{
    struct world *w = arg;
    int status = 0;

    while (w->on_console) /* what it said last */
        on_console(w);
    loop_watch_free(w->on_qemu);
    w->on_qemu = NULL;
    (void)waitpid(w->s->e->qemu.pid, &status, 0);
    fd_close(&w->qemu_fd);
    log_event(LOG_INFO, "enclave ended", LOG_STR("enclave", w->s->e->id),
              LOG_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
              LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
    if (!w->ready && !w->ending)
        fail(w, E36_BOOT,
             "Enclave boot failure: it ended before its heartbeat on port 9000. The console's "
             "output is in the error log.");
    loop_stop(w->loop);
}

/* --- the heartbeat --- */

static void beaten(struct world *w)
{
    const uint8_t byte = HEARTBEAT_BYTE;

    if (fd_write_all(w->beat, span_of(&byte, 1), clock_mono_ns() + NS_PER_S, NULL) != ERR_OK)
        log_event(LOG_WARN, "heartbeat not answered", LOG_STR("enclave", w->s->e->id));
    w->ready = true;
    loop_timer_disarm(w->timer);
    w->s->e->state = ENCLAVE_RUNNING;
    struct why why = { 0 };
    if (state_write(w->s->e, &why) != ERR_OK)
        log_event(LOG_ERROR, "state not written", LOG_STR("why", why.what));
    log_event(LOG_INFO, "running", LOG_STR("enclave", w->s->e->id), LOG_INT("cid", w->s->e->cid));
    report(w, SPAN_LIT(REPORT_READY));
}

static void on_beat(void *arg)
{
    struct world *w = arg;
    uint8_t byte = 0;

    ssize_t n = read(w->beat, &byte, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    loop_watch_free(w->on_beat);
    w->on_beat = NULL;
    if (n == 1 && byte == HEARTBEAT_BYTE)
        beaten(w);
    else
        fail(w, E36_BOOT,
             "Enclave boot failure: something else than the heartbeat (0xB7) came on port 9000.");
    fd_close(&w->beat);
}

/* Port 9000 is ours until the heartbeat has come: two enclaves that start at once do not meet. */
static int serve(void *arg, uint32_t port)
{
    struct world *w = arg;
    int ends[2];

    if (port != HEARTBEAT_PORT || w->ready || w->ending || w->beat >= 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    w->beat = ends[0];
    if (loop_watch_new(w->loop, w->beat, on_beat, w, &w->on_beat) != ERR_OK) {
        fd_close(&ends[1]);
        fd_close(&w->beat);
        return -1;
    }
    return ends[1];
}

/* --- the whole --- */

static enum err start_qemu(struct world *w, struct why *why)
{
    struct enclave *e = w->s->e;
    int pid = 0;

    enum err r = qemu_start(w->s->qemu, e, w->s->eif, &pid, &w->console, why);
    if (r != ERR_OK)
        return r;
    w->qemu_fd = pidfd_open(pid, 0);
    if (process_of(pid, &e->qemu) != ERR_OK)
        e->qemu = (struct process){ .pid = pid }; /* over already: on_qemu() tells */
    if (w->qemu_fd < 0) {
        (void)kill(pid, SIGKILL); /* our child, and not waited for yet */
        return why_fail(why, ERR_IO, errno_what(errno), 0);
    }
    r = state_write(e, why);
    if (r == ERR_OK)
        r = loop_watch_new(w->loop, w->qemu_fd, on_qemu, w, &w->on_qemu);
    if (r == ERR_OK)
        r = loop_watch_new(w->loop, w->console, on_console, w, &w->on_console);
    return r;
}

static enum err start(struct world *w, struct why *why)
{
    char socket[STATE_PATH_BYTES];

    state_path(w->s->e->slot, "vhost.sock", socket);
    const struct vdev_options device = { .socket = socket,
                                         .folder = w->s->e->vsock,
                                         .cid = w->s->e->cid,
                                         .serve = serve,
                                         .restarted = restarted,
                                         .arg = w };
    enum err r = loop_new(&w->loop);
    if (r == ERR_OK)
        r = loop_timer_new(w->loop, on_timer, w, &w->timer);
    if (r == ERR_OK)
        r = loop_on_signal(w->loop, SIGTERM, on_signal, w);
    if (r == ERR_OK)
        r = loop_on_signal(w->loop, SIGINT, on_signal, w);
    if (r == ERR_OK)
        r = loop_watch_new(w->loop, w->s->report, on_report, w, &w->on_report);
    if (r == ERR_OK)
        r = process_of(getpid(), &w->s->e->supervisor);
    if (r == ERR_OK)
        r = vdev_new(w->loop, &device, &w->device, why);
    if (r == ERR_OK)
        r = start_qemu(w, why);
    if (r == ERR_OK)
        loop_timer_arm(w->timer, clock_mono_ns() + w->s->boot_ns);
    return r;
}

static void clear(struct world *w)
{
    vdev_free(w->device);
    loop_watch_free(w->on_qemu);
    loop_watch_free(w->on_console);
    loop_watch_free(w->on_beat);
    loop_watch_free(w->on_report);
    loop_timer_free(w->timer);
    loop_free(w->loop);
    fd_close(&w->qemu_fd);
    fd_close(&w->console);
    fd_close(&w->beat);
    fd_close(&w->kept);
    fd_close(&w->s->report);
}

void supervise(struct supervise *s)
{
    struct world *w = calloc(1, sizeof *w);
    struct why why = { 0 };

    if (!w)
        return; /* the other end of the report says so */
    w->s = s;
    w->qemu_fd = w->console = w->beat = w->kept = -1;
    vdev_raise_limits();
    enum err r = process_harden() == ERR_OK ? start(w, &why) : ERR_IO;
    if (r != ERR_OK) {
        char text[STATE_PATH_BYTES + 256];
        (void)snprintf(text, sizeof text, "The enclave cannot be started (vsock folder %s): %s.",
                       s->e->vsock, why.what ? why.what : err_name(r));
        if (w->loop && w->timer)
            fail(w, E29_IOCTL, text);
    }
    if (w->loop && (r == ERR_OK || w->on_qemu))
        loop_run(w->loop);
    else if (w->qemu_fd >= 0)
        kill_qemu(w, SIGKILL);
    clear(w);
    state_remove(s->e);
    free(w);
}
