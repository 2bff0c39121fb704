#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"

enum {
    WAITING_MAX = 1024, /* connections beyond the limit that may wait for their turn */
    PATIENCE_S = 5,     /* after SIGTERM */
};

static void on_accepted(struct conn *c, void *arg)
{
    pair_new(arg, c);
}

static void on_answered(void *arg)
{
    struct proxy *p = arg;
    if (!p->stopping)
        pairs_start(p);
}

static void out_of_patience(void *arg)
{
    struct proxy *p = arg;
    log_event(LOG_WARN, "leaving with connections open", LOG_INT("connections", p->active));
    loop_stop(p->loop);
}

enum err proxy_start(struct proxy *p, struct loop *l, const struct proxy_config *c, struct why *why)
{
    const struct listener_options o = {
        .conn = { .in_max = PROXY_SIDE_BYTES },
        .max = c->max + WAITING_MAX,
        .accepted = on_accepted,
        .arg = p,
    };

    memset(p, 0, sizeof(*p)); /* too large for a value on the stack */
    p->loop = l;
    p->config = c;
    p->names.answered = on_answered;
    p->names.arg = p;
    enum err r = names_init(&p->names, l, c, why);
    if (r != ERR_OK)
        return r;
    r = loop_timer_new(l, out_of_patience, p, &p->leave);
    if (r != ERR_OK)
        return why_fail(why, r, "out of memory", 0);
    return listener_new(l, &c->at, &o, &p->listener, why);
}

void proxy_stop(struct proxy *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    listener_free(p->listener);
    p->listener = NULL;
    log_event(LOG_INFO, "stopping", LOG_INT("connections", p->active));
    if (!p->first) {
        loop_stop(p->loop);
        return;
    }
    loop_timer_arm(p->leave, loop_now_ns(p->loop) + PATIENCE_S * NS_PER_S);
    pairs_stop(p);
}

void proxy_clear(struct proxy *p)
{
    p->stopping = true;
    listener_free(p->listener);
    names_clear(&p->names);
    pairs_clear(p);
    loop_timer_free(p->leave);
}
