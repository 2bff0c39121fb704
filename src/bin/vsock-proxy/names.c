#include "bin/vsock-proxy/proxy.h"

#include "io/log.h"

enum {
    FRESH_MIN_S = 1, /* the hosts file has no lifetime, and a record may have 0 */
    FRESH_MAX_S = 3600,
    RETRY_MS = 500,
};

static void told(void *arg, enum err r, const struct resolved *found, uint32_t ttl_s,
                 const struct why *why)
{
    struct names *n = arg;
    uint64_t now = loop_now_ns(n->loop);

    if (r == ERR_OK) {
        char first[ADDR_TEXT_BYTES];
        uint64_t fresh_s = ttl_s < FRESH_MIN_S ? FRESH_MIN_S : ttl_s;
        n->known = *found;
        n->fresh_until_ns = now + (fresh_s > FRESH_MAX_S ? FRESH_MAX_S : fresh_s) * NS_PER_S;
        addr_text(&n->known.list[0], first, sizeof(first));
        log_event(LOG_DEBUG, "resolved", LOG_STR("host", n->target->host),
                  LOG_INT("addresses", n->known.n), LOG_STR("first", first),
                  LOG_INT("ttl_s", ttl_s));
    } else {
        n->failures++;
        n->fresh_until_ns = now + RETRY_MS * NS_PER_MS;
        log_event(LOG_WARN, "cannot resolve", LOG_STR("host", n->target->host),
                  LOG_STR("why", why->what),
                  LOG_STR("using", n->known.n > 0 ? "the last known addresses" : "nothing"));
    }
    dns_free(n->asking); /* and the answer with it */
    n->asking = NULL;
    n->answered(n->arg);
}

enum err names_init(struct names *n, struct why *why)
{
    const struct target *t = n->target;
    enum err r = resolve_numeric(t->host, t->port, n->config->family, &n->known);

    if (r == ERR_DENIED)
        return why_fail(why, r, "the address is of the other IP version", 0);
    n->fixed = r == ERR_OK;
    return ERR_OK;
}

void names_clear(struct names *n)
{
    dns_free(n->asking);
    n->asking = NULL;
}

enum names_state names_ask(struct names *n)
{
    const struct dns_options o = {
        .servers = n->config->dns_servers, .family = n->config->family, .fn = told, .arg = n
    };
    struct why why = { 0 };

    if (n->asking)
        return NAMES_ASKED;
    if (n->fixed || loop_now_ns(n->loop) < n->fresh_until_ns)
        return n->known.n > 0 ? NAMES_KNOWN : NAMES_NONE;
    if (dns_ask(n->loop, n->target->host, n->target->port, &o, &n->asking, &why) == ERR_OK)
        return NAMES_ASKED;
    n->asking = NULL;
    log_event(LOG_WARN, "cannot resolve", LOG_STR("host", n->target->host),
              LOG_STR("why", why.what));
    return n->known.n > 0 ? NAMES_KNOWN : NAMES_NONE;
}

void names_expire(struct names *n)
{
    if (!n->fixed)
        n->fresh_until_ns = 0;
}
