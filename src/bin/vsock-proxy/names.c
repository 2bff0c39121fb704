#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"

enum {
    FRESH_S = 30, /* getaddrinfo() does not tell a record's lifetime */
    RETRY_MS = 500,
};

static void ask(struct crypto *cx, void *arg)
{
    struct names *n = arg;
    (void)cx;
    n->found_why = (struct why){ .what = "" };
    n->found_r =
        resolve_name(n->config->host, n->config->port, n->config->family, &n->found, &n->found_why);
}

static void told(void *arg)
{
    struct names *n = arg;

    n->asking = false;
    if (n->found_r == ERR_OK) {
        char first[ADDR_TEXT_BYTES];
        n->known = n->found;
        n->fresh_until_ns = loop_now_ns(n->loop) + FRESH_S * NS_PER_S;
        addr_text(&n->known.list[0], first, sizeof(first));
        log_event(LOG_DEBUG, "resolved", LOG_STR("host", n->config->host),
                  LOG_INT("addresses", n->known.n), LOG_STR("first", first));
    } else {
        n->fresh_until_ns = loop_now_ns(n->loop) + RETRY_MS * NS_PER_MS;
        log_event(LOG_WARN, "cannot resolve", LOG_STR("host", n->config->host),
                  LOG_STR("why", n->found_why.what),
                  LOG_STR("using", n->known.n > 0 ? "the last known address" : "nothing"));
    }
    n->answered(n->arg);
}

enum err names_init(struct names *n, struct loop *l, const struct proxy_config *c, struct why *why)
{
    n->loop = l;
    n->config = c;
    enum err r = resolve_numeric(c->host, c->port, c->family, &n->known);
    if (r == ERR_DENIED)
        return why_fail(why, r, "the address is of the other IP version", 0);
    if (r == ERR_OK)
        return ERR_OK;
    r = work_pool_new(l, 1, 1, &n->pool);
    return r == ERR_OK ? r : why_fail(why, r, "cannot start the resolver's thread", 0);
}

void names_clear(struct names *n)
{
    work_pool_free(n->pool);
    n->pool = NULL;
}

enum names_state names_ask(struct names *n)
{
    bool fresh = !n->pool || loop_now_ns(n->loop) < n->fresh_until_ns;

    if (n->asking)
        return NAMES_ASKED;
    if (fresh)
        return n->known.n > 0 ? NAMES_KNOWN : NAMES_NONE;
    const struct work w = { .run = ask, .done = told, .arg = n };
    if (work_submit(n->pool, w) != ERR_OK)
        return n->known.n > 0 ? NAMES_KNOWN : NAMES_NONE;
    n->asking = true;
    return NAMES_ASKED;
}

void names_expire(struct names *n)
{
    n->fresh_until_ns = 0;
}
