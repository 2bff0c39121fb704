/* One client and its remote side: performs what relay_step() decides. */
#include <stdlib.h>

#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"

enum {

    CONNECT_S = 10, /* for each address */
};

enum pair_stage {
    PAIR_WAITING, /* for its turn */
    PAIR_NAMING,  /* for an address */
    PAIR_DIALING,
    PAIR_RELAYING,
    PAIR_REFUSED,
};

struct pair {
    struct proxy *proxy;
    struct pair *prev, *next;
    enum pair_stage stage;
    struct conn *side[2]; /* NULL: gone */
    struct relay relay;
    struct loop_timer *timer;
    struct resolved addresses; /* as they were when it was its turn */
    unsigned address;
    uint64_t start_ns;
};

static void step(struct pair *p, enum relay_event event, enum relay_side side, bool broken);
static void dial(struct pair *p);

static void link_last(struct proxy *proxy, struct pair *p)
{
    p->prev = proxy->last;
    if (proxy->last)
        proxy->last->next = p;
    else
        proxy->first = p;
    proxy->last = p;
}

static void unlink_pair(struct proxy *proxy, struct pair *p)
{
    if (p->prev)
        p->prev->next = p->next;
    else
        proxy->first = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        proxy->last = p->prev;
}

static void set_stage(struct pair *p, enum pair_stage stage)
{
    struct proxy *proxy = p->proxy;
    bool was_pending = p->stage == PAIR_WAITING || p->stage == PAIR_NAMING;

    if (p->stage == PAIR_WAITING && stage != PAIR_WAITING)
        proxy->active++;
    if (was_pending && stage != PAIR_WAITING && stage != PAIR_NAMING)
        proxy->pending--;
    p->stage = stage;
}

static void forget(struct pair *p)
{
    struct proxy *proxy = p->proxy;
    bool in_order = p->relay.end == RELAY_DONE || p->relay.end == RELAY_NO_REMOTE;

    log_event(in_order ? LOG_DEBUG : LOG_INFO, "connection ended",
              LOG_STR("how", relay_end_name(p->relay.end)),
              LOG_INT("from_client", p->relay.bytes[RELAY_CLIENT]),
              LOG_INT("from_remote", p->relay.bytes[RELAY_REMOTE]),
              LOG_INT("ms", (loop_now_ns(proxy->loop) - p->start_ns) / NS_PER_MS));
    if (p->stage == PAIR_WAITING || p->stage == PAIR_NAMING)
        proxy->pending--;
    if (p->stage != PAIR_WAITING)
        proxy->active--;
    unlink_pair(proxy, p);
    loop_timer_free(p->timer);
    free(p);
    if (proxy->stopping && !proxy->first)
        loop_stop(proxy->loop);
    else
        pairs_start(proxy);
}

static void move(struct pair *p, enum relay_side from, size_t n)
{
    struct conn *to = p->side[from == RELAY_CLIENT ? RELAY_REMOTE : RELAY_CLIENT];
    AUTO(buf_clear) struct buf part = BUF_INIT(PROXY_SIDE_BYTES);

    if (n == 0)
        return;
    struct buf *in = conn_in(p->side[from]);
    bool paused = in->len == PROXY_SIDE_BYTES;
    if (n == in->len) {
        part = buf_take(in);
    } else {
        if (buf_append(&part, span_sub(buf_view(in), 0, n)) != ERR_OK) {
            conn_close(to);
            return;
        }
        buf_consume(in, n);
    }
    if (conn_send(to, &part) != ERR_OK)
        conn_close(to);
    if (paused)
        conn_resume(p->side[from]);
}

static void act(struct pair *p, const struct relay_action *a)
{
    for (unsigned i = 0; i < 2; i++)
        move(p, (enum relay_side)i, a->move[i]);
    for (unsigned i = 0; i < 2; i++) {
        if (a->finish[i] && p->side[i])
            conn_finish(p->side[i]);
        if (a->close[i] && p->side[i])
            conn_close(p->side[i]);
    }
    if (a->wake_ns != 0)
        loop_timer_arm(p->timer, a->wake_ns);
    else
        loop_timer_disarm(p->timer);
}

static void step(struct pair *p, enum relay_event event, enum relay_side side, bool broken)
{
    struct relay_input in = {
        .event = event, .side = side, .broken = broken, .now_ns = loop_now_ns(p->proxy->loop)
    };
    struct relay_action a;

    for (unsigned i = 0; i < 2; i++) {
        in.waiting[i] = p->side[i] ? conn_in(p->side[i])->len : 0;
        in.unsent[i] = p->side[i] ? conn_unsent(p->side[i]) : 0;
    }
    relay_step(&p->relay, &in, &a);
    act(p, &a);
    if (event == RELAY_CLOSED)
        p->side[side] = NULL;
    /* A remote that was closed before it had a conn of its own has nobody to tell that. */
    if (a.close[RELAY_REMOTE] && !p->side[RELAY_REMOTE] && !a.over) {
        step(p, RELAY_CLOSED, RELAY_REMOTE, false);
        return;
    }
    if (a.over)
        forget(p);
}

static enum relay_side side_of(const struct pair *p, const struct conn *c)
{
    return p->side[RELAY_CLIENT] == c ? RELAY_CLIENT : RELAY_REMOTE;
}

static void on_data(struct conn *c, void *arg)
{
    step(arg, RELAY_PROGRESS, side_of(arg, c), false);
}

static void on_eof(struct conn *c, void *arg)
{
    step(arg, RELAY_EOF, side_of(arg, c), false);
}

static void on_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct pair *p = arg;
    enum relay_side side = side_of(p, c);

    if (r != ERR_OK)
        log_event(LOG_DEBUG, "side closed",
                  LOG_STR("side", side == RELAY_CLIENT ? "client" : "remote"),
                  LOG_STR("why", why->what));
    step(p, RELAY_CLOSED, side, r != ERR_OK);
}

static void refuse(struct pair *p, const char *why)
{
    char where[ADDR_TEXT_BYTES] = "";

    if (p->address > 0)
        addr_text(&p->addresses.list[p->address - 1], where, sizeof(where));
    set_stage(p, PAIR_REFUSED);
    log_event(LOG_WARN, "remote refused", LOG_STR("host", p->proxy->config->host),
              LOG_INT("port", p->proxy->config->port), LOG_STR("address", where),
              LOG_INT("tried", p->address), LOG_STR("why", why));
    names_expire(&p->proxy->names);
    step(p, RELAY_REFUSED, RELAY_REMOTE, false);
}

static void on_remote_open(struct conn *c, void *arg)
{
    struct pair *p = arg;
    (void)c;
    set_stage(p, PAIR_RELAYING);
    step(p, RELAY_CONNECTED, RELAY_REMOTE, false);
}

static void on_remote_closed(struct conn *c, void *arg, enum err r, const struct why *why)
{
    struct pair *p = arg;

    if (p->stage == PAIR_RELAYING || p->relay.closing[RELAY_REMOTE]) {
        on_closed(c, arg, r, why);
        return;
    }
    p->side[RELAY_REMOTE] = NULL;
    if (p->address < p->addresses.n)
        dial(p);
    else
        refuse(p, why->what);
}

static const struct conn_events client_events = { NULL, on_data, on_eof, on_data, on_closed };
static const struct conn_events remote_events = { on_remote_open, on_data, on_eof, on_data,
                                                  on_remote_closed };

static void dial(struct pair *p)
{
    const struct conn_options o = {
        .in_max = PROXY_SIDE_BYTES,
        .deadline_ns = loop_now_ns(p->proxy->loop) + CONNECT_S * NS_PER_S,
        .events = &remote_events,
        .arg = p,
    };
    struct why why = { 0 };
    const struct addr *to = &p->addresses.list[p->address++];

    set_stage(p, PAIR_DIALING);
    if (conn_connect(p->proxy->loop, to, &o, &p->side[RELAY_REMOTE], &why) != ERR_OK)
        refuse(p, why.what);
}

static void on_tick(void *arg)
{
    step(arg, RELAY_TICK, RELAY_CLIENT, false);
}

static void start(struct pair *p)
{
    struct proxy *proxy = p->proxy;

    set_stage(p, PAIR_NAMING);
    switch (names_ask(&proxy->names)) {
    case NAMES_ASKED:
        return;
    case NAMES_NONE:
        refuse(p, "the name cannot be resolved");
        return;
    case NAMES_KNOWN:
        p->addresses = proxy->names.known;
        dial(p);
        return;
    }
}

void pairs_start(struct proxy *proxy)
{
    struct pair *next;

    for (struct pair *p = proxy->first; p && proxy->pending > 0; p = next) {
        next = p->next;
        if (p->stage == PAIR_NAMING ||
            (p->stage == PAIR_WAITING && proxy->active < proxy->config->max))
            start(p);
    }
}

void pair_new(struct proxy *proxy, struct conn *client)
{
    struct pair *p = calloc(1, sizeof(*p));

    if (!p || loop_timer_new(proxy->loop, on_tick, p, &p->timer) != ERR_OK) {
        free(p);
        conn_close(client);
        return;
    }
    p->proxy = proxy;
    p->side[RELAY_CLIENT] = client;
    p->start_ns = loop_now_ns(proxy->loop);
    relay_init(&p->relay, PROXY_SIDE_BYTES, proxy->config->idle_ns, p->start_ns);
    link_last(proxy, p);
    proxy->pending++;
    conn_set_arg(client, &client_events, p);
    if (proxy->active < proxy->config->max)
        start(p);
}

void pairs_stop(struct proxy *proxy)
{
    struct pair *next;

    for (struct pair *p = proxy->first; p; p = next) {
        next = p->next;
        step(p, RELAY_STOP, RELAY_CLIENT, false);
    }
}

void pairs_clear(struct proxy *proxy)
{
    while (proxy->first) {
        struct pair *p = proxy->first;
        unlink_pair(proxy, p);
        loop_timer_free(p->timer);
        free(p); /* its conns are dropped with the loop, which tells nobody */
    }
}
