/* One client and its remote side: performs what the relay decides. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"
#include "io/race.h"
#include "io/ready.h"

enum {
    HURRY_MS = 1000, /* after SIGTERM a relay ends when nothing moved for so long */
};

struct pair {
    struct gate *gate;
    struct pair *prev, *next;
    bool waiting; /* for an address */
    bool relaying;
    int fd[2];
    struct ready *ready[2];
    struct tube tube[2]; /* by the side the bytes come from */
    struct relay relay;
    struct loop_timer *timer;
    struct race *race;
    struct resolved addresses;
    uint64_t start_ns;
};

static void link_pair(struct gate *g, struct pair *p)
{
    p->next = g->first;
    if (g->first)
        g->first->prev = p;
    g->first = p;
    g->active++;
}

static void unlink_pair(struct gate *g, struct pair *p)
{
    if (p->prev)
        p->prev->next = p->next;
    else
        g->first = p->next;
    if (p->next)
        p->next->prev = p->prev;
    g->active--;
}

/* A stream that was cut must not look like one that ended: TCP can say so. */
static void cut_off(int fd)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };

    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void free_pair(struct pair *p)
{
    struct gate *g = p->gate;
    bool torn = p->relay.end == RELAY_BROKEN || p->relay.end == RELAY_IDLE;

    if (p->waiting)
        g->waiting--;
    race_free(p->race);
    loop_timer_free(p->timer);
    for (unsigned i = 0; i < 2; i++) {
        ready_free(p->ready[i]);
        tube_drop(g->proxy->tubes, &p->tube[i]);
        if (torn)
            cut_off(p->fd[i]);
        fd_close(&p->fd[i]);
    }
    unlink_pair(g, p);
    free(p);
}

static void over(struct pair *p)
{
    struct gate *g = p->gate;
    const struct relay_way *way = p->relay.way;

    g->count.done += p->relay.end == RELAY_DONE;
    g->count.broken += p->relay.end == RELAY_BROKEN;
    g->count.idle += p->relay.end == RELAY_IDLE;
    log_event(LOG_DEBUG, "connection ended", LOG_INT("port", g->target->local_port),
              LOG_STR("how", p->relaying ? relay_end_name(p->relay.end) : "no remote"),
              LOG_INT("from_client", way[RELAY_CLIENT].bytes),
              LOG_INT("from_remote", way[RELAY_REMOTE].bytes),
              LOG_INT("ms", (loop_now_ns(g->proxy->loop) - p->start_ns) / NS_PER_MS));
    free_pair(p);
    proxy_pair_gone(g->proxy);
}

static enum relay_got told_by(enum tube_got got)
{
    switch (got) {
    case TUBE_MOVED:
        return RELAY_MOVED;
    case TUBE_AGAIN:
        return RELAY_AGAIN;
    case TUBE_EOF:
        return RELAY_EOF;
    case TUBE_BROKEN:
        return RELAY_BROKE;
    }
    return RELAY_BROKE;
}

static void perform(struct pair *p, struct relay_next next, uint64_t now)
{
    struct tubes *pool = p->gate->proxy->tubes;
    unsigned from = next.from;
    struct tube *t = &p->tube[from];
    int to = p->fd[1 - from];
    const char *what = NULL;
    enum tube_got got = TUBE_MOVED;
    size_t n = 0;

    if (next.what == RELAY_FILL)
        got = tube_fill(pool, t, p->fd[from], &n, &what);
    if (next.what == RELAY_DRAIN)
        got = tube_drain(pool, t, to, &n, &what);
    if (next.what == RELAY_DROP)
        tube_drop(pool, t);
    if (next.what == RELAY_FINISH)
        (void)shutdown(to, SHUT_WR);
    if (next.what == RELAY_DRAIN)
        p->gate->count.bytes[from] += n;
    if (what)
        log_event(LOG_DEBUG, "side broke", LOG_INT("port", p->gate->target->local_port),
                  LOG_STR("from", from == RELAY_CLIENT ? "client" : "remote"),
                  LOG_STR("doing", next.what == RELAY_FILL ? "read" : "write"),
                  LOG_STR("why", what));
    relay_told(&p->relay, next, told_by(got), n, now);
}

/* Go on until the sockets have nothing more to give or take, or others are due. */
static void turn(struct pair *p)
{
    uint64_t now = loop_now_ns(p->gate->proxy->loop);

    for (;;) {
        struct relay_next next = relay_next(&p->relay);
        if (next.what == RELAY_END) {
            over(p);
            return;
        }
        if (next.what == RELAY_WAIT)
            break;
        perform(p, next, now);
    }
    for (unsigned i = 0; i < 2; i++) {
        enum relay_side s = (enum relay_side)i;
        ready_want(p->ready[i], relay_wants_read(&p->relay, s), relay_wants_write(&p->relay, s));
    }
}

static void on_client(void *arg, bool readable, bool writable)
{
    struct pair *p = arg;

    relay_ready(&p->relay, RELAY_CLIENT, readable, writable);
    turn(p);
}

static void on_remote(void *arg, bool readable, bool writable)
{
    struct pair *p = arg;

    relay_ready(&p->relay, RELAY_REMOTE, readable, writable);
    turn(p);
}

static void on_tick(void *arg)
{
    struct pair *p = arg;

    if (relay_tick(&p->relay, loop_now_ns(p->gate->proxy->loop)))
        over(p);
    else if (relay_wake_ns(&p->relay) != 0)
        loop_timer_arm(p->timer, relay_wake_ns(&p->relay));
}

static void refuse(struct pair *p, const char *why)
{
    struct gate *g = p->gate;

    g->count.no_remote++;
    log_event(LOG_WARN, "remote refused", LOG_STR("host", g->target->host),
              LOG_INT("port", g->target->port), LOG_INT("addresses", p->addresses.n),
              LOG_STR("why", why));
    names_expire(&g->names);
    over(p);
}

/* So that the next connection starts with the address that answers. */
static void prefer(struct names *n, const struct addr *good)
{
    for (unsigned i = 1; i < n->known.n; i++) {
        struct addr *a = &n->known.list[i];
        if (a->tcp_len != good->tcp_len || memcmp(&a->tcp, &good->tcp, good->tcp_len) != 0)
            continue;
        struct addr was = n->known.list[0];
        n->known.list[0] = *a;
        *a = was;
        return;
    }
}

static void on_race(void *arg, int fd, unsigned which, enum err r, const struct why *why)
{
    struct pair *p = arg;
    struct loop *loop = p->gate->proxy->loop;

    const char *what = why->what;

    race_free(p->race);
    p->race = NULL;
    if (r != ERR_OK) {
        refuse(p, what);
        return;
    }
    p->fd[RELAY_REMOTE] = fd;
    if (which > 0)
        prefer(&p->gate->names, &p->addresses.list[which]);
    if (ready_new(loop, p->fd[RELAY_CLIENT], on_client, p, &p->ready[RELAY_CLIENT]) != ERR_OK ||
        ready_new(loop, fd, on_remote, p, &p->ready[RELAY_REMOTE]) != ERR_OK) {
        refuse(p, "out of memory");
        return;
    }
    uint64_t idle_ns = p->relay.idle_ns;
    p->relaying = true;
    relay_init(&p->relay, idle_ns, loop_now_ns(loop));
    if (relay_wake_ns(&p->relay) != 0)
        loop_timer_arm(p->timer, relay_wake_ns(&p->relay));
    /* What the client has sent meanwhile is most often there. */
    relay_ready(&p->relay, RELAY_CLIENT, true, false);
    turn(p);
}

/* False: it waits for an address. */
static bool start(struct pair *p)
{
    struct gate *g = p->gate;
    enum names_state state = names_ask(&g->names);

    if (state == NAMES_ASKED)
        return false;
    if (state == NAMES_NONE) {
        refuse(p, "the name cannot be resolved");
        return true;
    }
    p->addresses = g->names.known;
    permit_filter(&g->permit, &p->addresses);
    if (p->addresses.n == 0)
        refuse(p, "no address of it is in the allowlist");
    else if (race_new(g->proxy->loop, &p->addresses, g->proxy->config->connect_ns, on_race, p,
                      &p->race) != ERR_OK)
        refuse(p, "out of memory");
    return true;
}

void pairs_named(struct gate *g)
{
    struct pair *next;

    for (struct pair *p = g->first; p && g->waiting > 0; p = next) {
        next = p->next;
        if (!p->waiting)
            continue;
        p->waiting = false;
        g->waiting--;
        if (start(p))
            continue;
        p->waiting = true;
        g->waiting++;
    }
}

void pair_new(struct gate *g, int client)
{
    struct pair *p = calloc(1, sizeof(*p));
    struct loop *loop = g->proxy->loop;

    if (!p || loop_timer_new(loop, on_tick, p, &p->timer) != ERR_OK) {
        free(p);
        fd_close(&client);
        return;
    }
    p->gate = g;
    p->fd[RELAY_CLIENT] = client;
    p->fd[RELAY_REMOTE] = -1;
    /* Towards TCP a copy is cheaper: spliced pages go out one by one (doc/decisions.md). */
    p->tube[RELAY_CLIENT].no_splice = true;
    p->start_ns = loop_now_ns(loop);
    relay_init(&p->relay, g->proxy->config->idle_ns, p->start_ns);
    link_pair(g, p);
    p->waiting = true;
    g->waiting++;
    if (names_ask(&g->names) != NAMES_ASKED) {
        p->waiting = false;
        g->waiting--;
        (void)start(p);
    }
}

void pairs_hurry(struct gate *g)
{
    for (struct pair *p = g->first; p; p = p->next) {
        relay_hurry(&p->relay, HURRY_MS * NS_PER_MS);
        if (p->relaying)
            loop_timer_arm(p->timer, relay_wake_ns(&p->relay));
    }
}

void pairs_clear(struct gate *g)
{
    while (g->first)
        free_pair(g->first);
}
