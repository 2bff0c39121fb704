#include "bin/kmstool/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bin/kmstool/helper.h"
#include "bin/kmstool/usage.h"
#include "io/log.h"
#include "io/sys.h"

enum {
    WORKERS = 4,
    BACKLOG = 128,
    READ_MS = 2000, /* a command sends at once */
    WRITE_MS = 5000,
    RENEW_EVERY_S = 20, /* so that no command has to wait for a document */
    RENEW_AHEAD_S = 30,
    ANSWER_MAX_BYTES = 512 << 10,
};

struct server {
    const struct args *base;
    struct identity *id;
    int listening, stop; /* `stop`: readable once it is time to go */
};

struct worker {
    struct server *sv;
    struct crypto *cx;
    struct session session;
    pthread_t thread;
};

/* What a command line asks for, answered. */
static void answer(struct worker *w, struct helper_request *rq, struct outcome *o)
{
    struct args a = { .text = BUF_INIT(0) };

    int status = args_parse(rq->argc, rq->argv, w->sv->base, &a, &o->err);
    if (status == KMSTOOL_GO && a.command == KMSTOOL_SERVE)
        status = KMSTOOL_USAGE;
    if (status == KMSTOOL_GO)
        status = args_check(&a, &o->err);
    o->status = status;
    if (status == KMSTOOL_GO)
        session_run(&w->session, &a, &rq->cred, o);
    args_clear(&a);
}

static enum err serve_one(struct worker *w, int fd, struct outcome *o, struct why *why)
{
    AUTO(buf_clear) struct buf in = BUF_INIT(HELPER_REQUEST_MAX_BYTES);
    AUTO(buf_clear) struct buf out = BUF_INIT(ANSWER_MAX_BYTES);
    AUTO(helper_request_clear) struct helper_request rq = { .argc = 0 };

    enum err r = fd_read_all(fd, &in, clock_mono_ns() + READ_MS * NS_PER_MS, why);
    if (r == ERR_OK)
        r = helper_request_parse(buf_view(&in), &rq, why);
    if (r != ERR_OK)
        return r;
    uint64_t start_ns = clock_mono_ns();
    answer(w, &rq, o);
    log_event(LOG_INFO, "command", LOG_STR("name", rq.argc > 1 ? rq.argv[1] : ""),
              LOG_INT("status", o->status), LOG_INT("us", (clock_mono_ns() - start_ns) / 1000));
    r = helper_answer_write(o, &out);
    return r == ERR_OK
               ? fd_write_all(fd, buf_view(&out), clock_mono_ns() + WRITE_MS * NS_PER_MS, why)
               : r;
}

/* Wait for a command or for the end; false at the end. */
static bool accept_next(const struct server *sv, int *fd)
{
    struct pollfd p[2] = { { .fd = sv->listening, .events = POLLIN },
                           { .fd = sv->stop, .events = POLLIN } };

    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return false;
        if (p[1].revents)
            return false;
        *fd = accept4(sv->listening, NULL, NULL, SOCK_CLOEXEC);
        if (*fd >= 0)
            return true;
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            (void)poll(NULL, 0, 10); /* until another worker has closed one */
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    int fd = -1;

    session_warm(&w->session, w->sv->base);
    while (accept_next(w->sv, &fd)) {
        AUTO(outcome_clear) struct outcome o = OUTCOME_INIT;
        AUTO(fd_close) int owned = fd;
        struct why why = { 0 };
        enum err r = serve_one(w, owned, &o, &why);
        if (r != ERR_OK)
            log_event(LOG_WARN, "no command", LOG_STR("error", err_name(r)),
                      LOG_STR("why", why.what ? why.what : ""));
    }
    return NULL;
}

/* Until a signal ends it: renew key and document ahead of time. */
static void keep_warm(struct server *sv, struct crypto *cx, const sigset_t *ends)
{
    const struct timespec every = { .tv_sec = RENEW_EVERY_S };

    for (;;) {
        int number = sigtimedwait(ends, NULL, &every);
        if (number > 0) {
            log_event(LOG_INFO, "stopping", LOG_INT("signal", number));
            return;
        }
        struct why why = { 0 };
        enum err r = identity_renew(sv->id, cx, RENEW_AHEAD_S, &why);
        if (r != ERR_OK)
            log_event(LOG_ERROR, "no attestation document", LOG_STR("error", err_name(r)),
                      LOG_STR("why", why.what ? why.what : ""));
    }
}

static unsigned start_workers(struct server *sv, struct worker *all)
{
    unsigned n = 0;

    while (n < WORKERS) {
        struct worker *w = &all[n];
        w->sv = sv;
        if (crypto_new(&w->cx) != ERR_OK)
            break;
        session_init(&w->session, w->cx, sv->id);
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            crypto_free(w->cx);
            break;
        }
        n++;
    }
    return n;
}

static int run(struct server *sv, struct crypto *cx)
{
    struct worker workers[WORKERS] = { 0 };
    sigset_t ends;
    uint64_t one = 1;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* the workers inherit it */
    unsigned n = start_workers(sv, workers);
    if (n == WORKERS) {
        log_event(LOG_INFO, "ready", LOG_STR("version", NITROSEAL_VERSION),
                  LOG_STR("at", sv->base->socket));
        keep_warm(sv, cx, &ends);
    }
    bool told = write(sv->stop, &one, sizeof one) == sizeof one;
    for (unsigned i = 0; i < n && told; i++) {
        pthread_join(workers[i].thread, NULL);
        session_clear(&workers[i].session);
        crypto_free(workers[i].cx);
    }
    return n == WORKERS ? KMSTOOL_OK : KMSTOOL_FAILED;
}

static int fail(const char *what, const char *name, const struct why *why)
{
    log_event(LOG_ERROR, what, LOG_STR("name", name), LOG_STR("why", why->what ? why->what : ""));
    return KMSTOOL_FAILED;
}

int serve(const struct args *base)
{
    AUTO(crypto_freep) struct crypto *cx = NULL;
    AUTO(fd_close) int stop = eventfd(0, EFD_CLOEXEC);
    AUTO(fd_close) int listening = -1;
    struct server sv = { .base = base, .stop = stop };
    struct why why = { 0 };
    struct addr at;

    log_init("kmstool_enclave_cli", LOG_INFO);
    if (stop < 0 || crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return fail("cannot start", "process", &why);
    if (identity_new(base->nsm, &sv.id, &why) != ERR_OK)
        return fail("NSM not usable", base->nsm, &why);
    if (identity_renew(sv.id, cx, 0, &why) != ERR_OK) {
        identity_free(sv.id);
        return fail("no attestation document", base->nsm, &why);
    }
    int status;
    if (addr_unix(base->socket, &at, &why) != ERR_OK ||
        addr_listen(&at, BACKLOG, &listening, &why) != ERR_OK) {
        status = fail("cannot listen", base->socket, &why);
    } else {
        sv.listening = listening;
        status = run(&sv, cx);
        (void)unlink(base->socket);
    }
    identity_free(sv.id);
    return status;
}
