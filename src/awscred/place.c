#include "awscred/awscred.h"

static bool host_is_fine(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i], lower = c | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-' &&
            c != ':' && c != '_')
            return false;
    }
    return host.len > 0;
}

static bool path_is_fine(struct span path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] <= 0x20 || path.ptr[i] >= 0x7f || path.ptr[i] == '#')
            return false;
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static enum err authority_parse(struct span s, struct awscred_place *p, struct why *why)
{
    struct span host = s, port = SPAN_EMPTY;
    uint64_t number = p->tls ? 443 : 80;

    if (s.len && s.ptr[0] == '[') {
        struct span rest = span_from(s, 1);
        host = span_cut(&rest, ']');
        if (!rest.ptr || (rest.len && rest.ptr[0] != ':'))
            return why_fail(why, ERR_MALFORMED, "host", 0);
        port = rest.len ? span_from(rest, 1) : SPAN_EMPTY;
    } else {
        port = s;
        host = span_cut(&port, ':');
        if (port.ptr && span_find(port, ':') != port.len)
            return why_fail(why, ERR_MALFORMED, "host", 0);
    }
    if (!host_is_fine(host))
        return why_fail(why, ERR_MALFORMED, "host", 0);
    if (host.len >= sizeof p->host)
        return why_fail(why, ERR_LIMIT, "host", 0);
    if (port.ptr && (span_to_u64(port, UINT16_MAX, &number) != ERR_OK || number == 0))
        return why_fail(why, ERR_MALFORMED, "port", 0);
    memcpy(p->host, host.ptr, host.len);
    p->host[host.len] = '\0';
    p->port = (uint16_t)number;
    return ERR_OK;
}

enum err awscred_url_parse(struct span url, struct awscred_place *out, struct why *why)
{
    struct awscred_place p = { .tls = span_starts(url, "https://") };
    size_t at = p.tls ? 8 : 7;

    if (!p.tls && !span_starts(url, "http://"))
        return why_fail(why, ERR_MALFORMED, "neither http:// nor https://", 0);
    struct span rest = span_from(url, at);
    size_t slash = span_find(rest, '/');
    enum err r = authority_parse(span_sub(rest, 0, slash), &p, why);
    if (r != ERR_OK)
        return r;
    p.path = slash < rest.len ? span_from(rest, slash) : SPAN_LIT("/");
    if (!path_is_fine(p.path))
        return why_fail(why, ERR_MALFORMED, "path", at + slash);
    *out = p;
    return ERR_OK;
}

/* 127.x.y.z in digits: a name may begin like that, too. */
static bool is_loopback_v4(struct span host)
{
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9'))
            return false;
    return span_starts(host, "127.");
}

bool awscred_container_allows(const struct awscred_place *p)
{
    static const char *const plain[] = { "localhost", "::1", "169.254.170.2", "169.254.170.23",
                                         "fd00:ec2::23" };
    struct span host = span_str(p->host);

    if (p->tls || is_loopback_v4(host))
        return true;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (span_eq_nocase(host, span_str(plain[i])))
            return true;
    return false;
}

enum err awscred_place_host(const struct awscred_place *p, struct buf *out)
{
    bool v6 = strchr(p->host, ':') != NULL, usual = p->port == (p->tls ? 443 : 80);
    enum err r = buf_printf(out, v6 ? "[%s]" : "%s", p->host);

    return r == ERR_OK && !usual ? buf_printf(out, ":%u", (unsigned)p->port) : r;
}
