#include "bin/vsock-proxy/proxy.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "io/log.h"

struct permit_question {
    struct permit *permit;
    struct dns *dns; /* NULL: answered */
    const char *host;
    bool remote; /* of the target itself, not of an entry */
};

static const char *const denied = "The given address and port are not allowed";

/* The same host, whatever the port. */
static bool same_host(const struct addr *a, const struct addr *b)
{
    const struct sockaddr_in *a4 = (const void *)&a->tcp, *b4 = (const void *)&b->tcp;
    const struct sockaddr_in6 *a6 = (const void *)&a->tcp, *b6 = (const void *)&b->tcp;

    if (a->tcp.ss_family != b->tcp.ss_family)
        return false;
    if (a->tcp.ss_family == AF_INET)
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

static bool has(const struct addr *list, unsigned n, const struct addr *a)
{
    for (unsigned i = 0; i < n; i++)
        if (same_host(&list[i], a))
            return true;
    return false;
}

static void keep(struct permit *p, const struct resolved *found)
{
    for (unsigned i = 0; i < found->n; i++)
        if (p->n_found < PERMIT_ADDRESSES_MAX && !has(p->found, p->n_found, &found->list[i]))
            p->found[p->n_found++] = found->list[i];
}

static void drop_questions(struct permit *p)
{
    for (unsigned i = 0; i < p->n_questions; i++)
        dns_free(p->questions[i].dns);
    free(p->questions);
    p->questions = NULL;
    p->n_questions = p->open = 0;
}

static void decide(struct permit *p, enum permit_state state, const char *why)
{
    drop_questions(p);
    p->state = state;
    p->why = why;
    p->decided(p->arg);
}

/* All questions are answered. */
static void judge(struct permit *p)
{
    bool any = false;

    for (unsigned i = 0; i < p->remote.n; i++)
        any = any || has(p->found, p->n_found, &p->remote.list[i]);
    if (!any) {
        decide(p, PERMIT_NONE, p->fault ? p->fault : denied);
        return;
    }
    memcpy(p->allowed, p->found, sizeof(p->found));
    p->n_allowed = p->n_found;
    log_event(LOG_DEBUG, "allowed by address", LOG_STR("host", p->target->host),
              LOG_INT("port", p->target->port), LOG_INT("addresses", p->n_allowed));
    decide(p, PERMIT_ADDRESSES, NULL);
}

static void on_answer(void *arg, enum err r, const struct resolved *found, uint32_t ttl_s,
                      const struct why *why)
{
    struct permit_question *q = arg;
    struct permit *p = q->permit;
    (void)ttl_s;

    if (r != ERR_OK)
        log_event(LOG_DEBUG, "cannot resolve", LOG_STR("host", q->host), LOG_STR("why", why->what));
    else if (q->remote)
        p->remote = *found;
    else
        keep(p, found);
    dns_free(q->dns); /* and the answer with it */
    q->dns = NULL;
    if (--p->open == 0)
        judge(p);
}

static void ask(struct permit *p, const char *host, bool remote)
{
    const struct dns_options o = { .servers = p->config->dns_servers,
                                   .family = p->config->family,
                                   .fn = on_answer,
                                   .arg = &p->questions[p->n_questions] };
    struct permit_question *q = &p->questions[p->n_questions];
    struct resolved numeric;
    enum err r = resolve_numeric(host, p->target->port, p->config->family, &numeric);

    if (r == ERR_OK && remote)
        p->remote = numeric;
    if (r == ERR_OK && !remote)
        keep(p, &numeric);
    if (r != ERR_UNSUPPORTED || p->n_questions == PERMIT_QUESTIONS_MAX)
        return;
    *q = (struct permit_question){ .permit = p, .host = host, .remote = remote };
    if (dns_ask(p->loop, host, p->target->port, &o, &q->dns, NULL) != ERR_OK)
        return;
    p->n_questions++;
    p->open++;
}

void permit_decide(struct permit *p, const struct allowlist *a)
{
    const struct target *t = p->target;
    struct why why = { 0 };

    drop_questions(p);
    enum err r = allowlist_check(a, t->host, t->port, &why);
    if (r == ERR_OK) {
        log_event(LOG_DEBUG, "allowed by name", LOG_STR("host", t->host), LOG_INT("port", t->port));
        decide(p, PERMIT_NAME, NULL);
        return;
    }
    p->fault = r == ERR_MALFORMED ? why.what : NULL;
    p->n_found = p->remote.n = 0;
    p->questions = calloc(PERMIT_QUESTIONS_MAX + 1, sizeof(*p->questions));
    if (!p->questions) {
        decide(p, PERMIT_NONE, denied);
        return;
    }
    ask(p, t->host, true);
    for (unsigned i = 0; i < a->n && !a->list[i].fault; i++)
        if (a->list[i].port == t->port)
            ask(p, a->list[i].address, false);
    if (p->open == 0)
        judge(p);
}

void permit_filter(const struct permit *p, struct resolved *to)
{
    unsigned n = 0;

    if (p->state == PERMIT_NAME)
        return;
    for (unsigned i = 0; i < to->n; i++)
        if (p->state == PERMIT_ADDRESSES && has(p->allowed, p->n_allowed, &to->list[i]))
            to->list[n++] = to->list[i];
    to->n = n;
}

void permit_clear(struct permit *p)
{
    drop_questions(p);
}
