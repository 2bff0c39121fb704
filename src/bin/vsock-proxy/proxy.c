#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"
#include "io/notify.h"

enum { TELL_OVER_S = 1 }; /* one line in so much time about refusals for the limit */

static void on_accepted(void *arg, int fd)
{
    struct gate *g = arg;
    uint64_t now = loop_now_ns(g->proxy->loop);

    if (g->permit.state == PERMIT_NONE) {
        g->count.denied++;
        log_event(LOG_WARN, "refused: no longer in the allowlist", LOG_STR("host", g->target->host),
                  LOG_INT("port", g->target->port));
        fd_close(&fd);
        return;
    }
    if (g->active >= g->proxy->config->max) {
        if (g->count.over++ == 0 || now - g->over_told_ns >= TELL_OVER_S * NS_PER_S) {
            g->over_told_ns = now;
            log_event(LOG_WARN, "refused: too many connections",
                      LOG_INT("port", g->target->local_port), LOG_INT("active", g->active),
                      LOG_INT("refused", g->count.over));
        }
        fd_close(&fd);
        return;
    }
    g->count.accepted++;
    pair_new(g, fd);
}

static void on_answered(void *arg)
{
    pairs_named(arg);
}

static void out_of_patience(void *arg)
{
    struct proxy *p = arg;
    unsigned active = 0;

    for (unsigned i = 0; i < p->n_gates; i++)
        active += p->gates[i].active;
    log_event(LOG_WARN, "leaving with connections open", LOG_INT("connections", active));
    loop_stop(p->loop);
}

static enum err listen_at(struct gate *g, unsigned i, struct why *why)
{
    struct proxy *p = g->proxy;
    char at[ADDR_TEXT_BYTES];
    enum err r =
        i < p->config->n_sockets
            ? acceptor_adopt(p->loop, NOTIFY_FD_FIRST + (int)i, on_accepted, g, &g->acceptor, why)
            : acceptor_new(p->loop, &g->target->at, on_accepted, g, &g->acceptor, why);

    if (r != ERR_OK)
        return r;
    addr_text(&g->target->at, at, sizeof(at));
    log_event(LOG_INFO, "listening", LOG_STR("at", i < p->config->n_sockets ? "systemd" : at),
              LOG_STR("remote", g->target->host), LOG_INT("port", g->target->port));
    return ERR_OK;
}

/* All gates are decided. */
static void listen_all(struct proxy *p)
{
    for (unsigned i = 0; i < p->n_gates && p->r == ERR_OK; i++) {
        const struct permit *permit = &p->gates[i].permit;
        if (permit->state == PERMIT_NONE) {
            p->stage = "Error at checking the allowlist";
            p->r = why_fail(&p->why, ERR_DENIED, permit->why, i);
        }
    }
    for (unsigned i = 0; i < p->n_gates && p->r == ERR_OK; i++) {
        p->stage = "Could not listen for connections: Could not bind to VsockAddr";
        p->r = listen_at(&p->gates[i], i, &p->why);
    }
    p->listening = p->r == ERR_OK;
    if (!p->listening)
        loop_stop(p->loop);
    else
        notify_send("READY=1");
}

static void on_decided(void *arg)
{
    struct gate *g = arg;
    struct proxy *p = g->proxy;

    if (p->listening && g->permit.state == PERMIT_NONE)
        log_event(LOG_WARN, "no longer in the allowlist", LOG_STR("host", g->target->host),
                  LOG_INT("port", g->target->port), LOG_STR("why", g->permit.why));
    if (--p->undecided > 0 || p->stopping)
        return;
    if (p->listening)
        notify_send("READY=1");
    else
        listen_all(p);
}

static enum err read_list(const char *path, struct allowlist *out, struct why *why)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ALLOWLIST_MAX_BYTES);
    struct why why_not = { .what = "" };
    enum err r = file_read(path, &text, &why_not);

    if (r == ERR_LIMIT)
        return why_fail(why, r, "Could not read the file", 0);
    if (r != ERR_OK) {
        /* AWS's text does not say which file, and scripts know it as it is. */
        log_event(LOG_ERROR, "allowlist not read", LOG_STR("file", path),
                  LOG_STR("why", why_not.what), LOG_STR("see", "--config FILE"));
        return why_fail(why, r, "Could not open the file", 0);
    }
    return allowlist_parse(buf_view(&text), out, why);
}

static void decide_all(struct proxy *p)
{
    p->undecided = p->n_gates;
    for (unsigned i = 0; i < p->n_gates; i++)
        permit_decide(&p->gates[i].permit, &p->list);
}

static enum err make_gate(struct proxy *p, unsigned i)
{
    struct gate *g = &p->gates[i];
    const struct target *t = &p->config->targets[i];

    g->proxy = p;
    g->target = g->names.target = g->permit.target = t;
    g->names.loop = g->permit.loop = p->loop;
    g->names.config = g->permit.config = p->config;
    g->names.answered = on_answered;
    g->permit.decided = on_decided;
    g->names.arg = g->permit.arg = g;
    return names_init(&g->names, &p->why);
}

bool proxy_start(struct proxy *p, struct loop *l, const struct proxy_config *c)
{
    memset(p, 0, sizeof(*p)); /* too large for a value on the stack */
    p->loop = l;
    p->config = c;
    p->stage = "Error at checking the allowlist";
    p->r = read_list(c->allowlist, &p->list, &p->why);
    for (unsigned i = 0; i < c->n_targets && p->r == ERR_OK; i++) {
        p->n_gates++;
        p->r = make_gate(p, i);
    }
    if (p->r == ERR_OK && (loop_timer_new(l, out_of_patience, p, &p->leave) != ERR_OK ||
                           tubes_new(c->pipes_max, &p->tubes) != ERR_OK)) {
        p->stage = "Could not create proxy";
        p->r = why_fail(&p->why, ERR_NOMEM, "out of memory", 0);
    }
    if (p->r != ERR_OK)
        return false;
    decide_all(p);
    return p->r == ERR_OK;
}

void proxy_reload(struct proxy *p)
{
    struct allowlist list;
    struct why why = { 0 };

    if (!p->listening || p->stopping)
        return;
    notify_reloading();
    enum err r = read_list(p->config->allowlist, &list, &why);
    if (r != ERR_OK) {
        log_event(LOG_ERROR, "allowlist not reloaded, the old one stays in force",
                  LOG_STR("file", p->config->allowlist), LOG_STR("why", why.what),
                  LOG_INT("at", why.at));
        notify_send("READY=1");
        return;
    }
    allowlist_clear(&p->list);
    p->list = list;
    log_event(LOG_INFO, "allowlist reloaded", LOG_STR("file", p->config->allowlist),
              LOG_INT("entries", list.n));
    decide_all(p);
}

void proxy_metrics(const struct proxy *p)
{
    for (unsigned i = 0; i < p->n_gates; i++) {
        const struct gate *g = &p->gates[i];
        const struct counters *c = &g->count;
        log_event(LOG_INFO, "metrics", LOG_INT("port", g->target->local_port),
                  LOG_STR("remote", g->target->host), LOG_INT("remote_port", g->target->port),
                  LOG_INT("active", g->active), LOG_INT("accepted", c->accepted),
                  LOG_INT("over_limit", c->over), LOG_INT("denied", c->denied),
                  LOG_INT("no_remote", c->no_remote), LOG_INT("done", c->done),
                  LOG_INT("broken", c->broken), LOG_INT("idle", c->idle),
                  LOG_INT("bytes_from_client", c->bytes[RELAY_CLIENT]),
                  LOG_INT("bytes_from_remote", c->bytes[RELAY_REMOTE]),
                  LOG_INT("addresses", g->names.known.n),
                  LOG_INT("dns_failures", g->names.failures));
    }
}

void proxy_pair_gone(struct proxy *p)
{
    if (!p->stopping)
        return;
    for (unsigned i = 0; i < p->n_gates; i++)
        if (p->gates[i].first)
            return;
    loop_stop(p->loop);
}

void proxy_stop(struct proxy *p)
{
    if (p->stopping || !p->listening) {
        loop_stop(p->loop);
        return;
    }
    p->stopping = true;
    notify_send("STOPPING=1");
    for (unsigned i = 0; i < p->n_gates; i++) {
        struct gate *g = &p->gates[i];
        acceptor_free(g->acceptor);
        g->acceptor = NULL;
        if (g->active > 0)
            log_event(LOG_INFO, "stopping", LOG_INT("port", g->target->local_port),
                      LOG_INT("connections", g->active));
        pairs_hurry(g);
    }
    loop_timer_arm(p->leave, loop_now_ns(p->loop) + p->config->drain_ns);
    proxy_pair_gone(p); /* there may be none */
}

void proxy_clear(struct proxy *p)
{
    p->stopping = true;
    for (unsigned i = 0; i < p->n_gates; i++) {
        acceptor_free(p->gates[i].acceptor);
        pairs_clear(&p->gates[i]);
        names_clear(&p->gates[i].names);
        permit_clear(&p->gates[i].permit);
    }
    loop_timer_free(p->leave);
    tubes_free(p->tubes);
    allowlist_clear(&p->list);
}
