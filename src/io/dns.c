#include "io/dns.h"

#include <ares.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/time.h>

#include "io/loop_in.h"
#include "io/ready.h"

enum { SOCKETS_MAX = 16 }; /* two questions to a few servers, by UDP and then TCP */

struct dns_socket {
    struct dns *dns;
    struct ready *ready; /* NULL: free */
    int fd;
};

struct dns {
    struct loop *loop;
    struct dns_options o;
    ares_channel channel;
    struct loop_timer *timer;
    struct loop_defer tell;
    struct dns_socket sockets[SOCKETS_MAX];
    uint16_t port;
    bool freeing;
    enum err r;
    struct why why;
    struct resolved found;
    uint32_t ttl_s;
};

static void arm(struct dns *d)
{
    struct timeval tv;

    if (!ares_timeout(d->channel, NULL, &tv)) {
        loop_timer_disarm(d->timer);
        return;
    }
    uint64_t ns = (uint64_t)tv.tv_sec * NS_PER_S + (uint64_t)tv.tv_usec * 1000;
    loop_timer_arm(d->timer, loop_now_ns(d->loop) + ns);
}

static void on_timer(void *arg)
{
    struct dns *d = arg;

    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(d);
}

static void on_ready(void *arg, bool readable, bool writable)
{
    struct dns_socket *s = arg;
    struct dns *d = s->dns;
    int fd = s->fd;

    ares_process_fd(d->channel, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
    arm(d);
}

static struct dns_socket *socket_of(struct dns *d, int fd)
{
    struct dns_socket *empty = NULL;

    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        if (d->sockets[i].ready && d->sockets[i].fd == fd)
            return &d->sockets[i];
        if (!d->sockets[i].ready)
            empty = &d->sockets[i];
    }
    return empty;
}

/* What c-ares wants of a socket; nothing: it is about to close it. */
static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = arg;
    struct dns_socket *s = socket_of(d, fd);

    if (!s) /* past SOCKETS_MAX: that server times out, others answer */
        return;
    if (!readable && !writable) {
        ready_free(s->ready);
        s->ready = NULL;
        return;
    }
    s->dns = d;
    s->fd = fd;
    if (!s->ready && ready_new(d->loop, fd, on_ready, s, &s->ready) != ERR_OK) {
        s->ready = NULL;
        return;
    }
    ready_want(s->ready, readable, writable);
}

static const char *status_what(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
        return "no such name";
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_ETIMEOUT:
        return "the DNS server did not answer";
    case ARES_ECONNREFUSED:
        return "no DNS server can be reached";
    default:
        return ares_strerror(status); /* static texts */
    }
}

static void add_family(struct dns *d, const struct ares_addrinfo *all, int family)
{
    for (const struct ares_addrinfo_node *n = all->nodes; n; n = n->ai_next) {
        struct addr *to = &d->found.list[d->found.n];
        uint32_t ttl = n->ai_ttl > 0 ? (uint32_t)n->ai_ttl : 0;
        if (n->ai_family != family || d->found.n == RESOLVE_MAX ||
            addr_sockaddr(n->ai_addr, n->ai_addrlen, to) != ERR_OK)
            continue;
        if (family == AF_INET)
            ((struct sockaddr_in *)(void *)&to->tcp)->sin_port = htons(d->port);
        else
            ((struct sockaddr_in6 *)(void *)&to->tcp)->sin6_port = htons(d->port);
        if (d->found.n == 0 || ttl < d->ttl_s)
            d->ttl_s = ttl;
        d->found.n++;
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *all)
{
    struct dns *d = arg;
    (void)timeouts;

    if (status == ARES_SUCCESS) {
        add_family(d, all, AF_INET);
        add_family(d, all, AF_INET6);
        for (const struct ares_addrinfo_cname *c = all->cnames; c; c = c->next)
            if (c->ttl >= 0 && (uint32_t)c->ttl < d->ttl_s)
                d->ttl_s = (uint32_t)c->ttl;
    }
    if (all)
        ares_freeaddrinfo(all);
    if (d->freeing)
        return;
    if (status == ARES_SUCCESS && d->found.n == 0)
        status = ARES_ENODATA;
    d->r = status == ARES_SUCCESS ? ERR_OK : ERR_IO;
    d->why.what = status == ARES_SUCCESS ? "" : status_what(status);
    /* Not from here: c-ares is in the middle of its own work, and the owner may free the question.
     */
    loop_defer(d->loop, &d->tell);
}

static void on_tell(struct loop_defer *t)
{
    struct dns *d = (struct dns *)(void *)((char *)t - offsetof(struct dns, tell));

    d->o.fn(d->o.arg, d->r, d->r == ERR_OK ? &d->found : NULL, d->ttl_s, &d->why);
}

static enum err open_channel(struct dns *d, struct why *why)
{
    struct ares_options o = {
        .timeout = DNS_WAIT_MS,
        .tries = DNS_TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = d,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    if (ares_init_options(&d->channel, &o, mask) != ARES_SUCCESS) {
        d->channel = NULL;
        return why_fail(why, ERR_IO, "cannot set the resolver up", 0);
    }
    if (d->o.servers && ares_set_servers_ports_csv(d->channel, d->o.servers) != ARES_SUCCESS)
        return why_fail(why, ERR_MALFORMED, "not a list of DNS servers", 0);
    return ERR_OK;
}

enum err dns_ask(struct loop *l, const char *host, uint16_t port, const struct dns_options *o,
                 struct dns **out, struct why *why)
{
    const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
                                               .ai_family = o->family == RESOLVE_V4   ? AF_INET
                                                            : o->family == RESOLVE_V6 ? AF_INET6
                                                                                      : AF_UNSPEC,
                                               .ai_socktype = SOCK_STREAM };

    if (strlen(host) > RESOLVE_NAME_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "host name too long", RESOLVE_NAME_MAX_BYTES);
    struct dns *d = calloc(1, sizeof(*d));
    if (!d)
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    d->loop = l;
    d->o = *o;
    d->port = port;
    d->tell.fn = on_tell;
    enum err r = loop_timer_new(l, on_timer, d, &d->timer);
    if (r == ERR_OK)
        r = open_channel(d, why);
    if (r != ERR_OK) {
        dns_free(d);
        return r;
    }
    *out = d; /* before an answer can come */
    ares_getaddrinfo(d->channel, host, NULL, &hints, on_answer, d);
    arm(d);
    return ERR_OK;
}

void dns_free(struct dns *d)
{
    if (!d)
        return;
    d->freeing = true;
    if (d->channel)
        ares_destroy(d->channel); /* tells on_socket() of each socket */
    loop_defer_cancel(d->loop, &d->tell);
    loop_timer_free(d->timer);
    free(d);
}
