/* route.c - what a request is for: our own pages, one enclave's, or any enclave; and what is not to
 * pass. */
#include "gateway/gateway.h"

#define ENCLAVES "/enclaves/"

static enum err refuse(struct gateway_fault *fault, unsigned status, const char *code,
                       const char *title, const char *detail)
{
    *fault =
        (struct gateway_fault){ .status = status, .code = code, .title = title, .detail = detail };
    return ERR_DENIED;
}

/* "16/metrics", "16:5000/healthz". */
static enum err enclave_page(struct span rest, struct gateway_route *out,
                             struct gateway_fault *fault)
{
    struct span who = span_cut(&rest, '/');
    struct span port = who;
    struct span cid = span_cut(&port, ':');
    uint64_t c = 0, p = 0;

    if (span_to_u64(cid, UINT32_MAX, &c) != ERR_OK ||
        (port.ptr && span_to_u64(port, UINT32_MAX, &p) != ERR_OK))
        return refuse(fault, 404, "not_found", "No such enclave", "/enclaves/CID/metrics");
    if (span_is(rest, "metrics"))
        out->target = SPAN_LIT("/metrics");
    else if (span_is(rest, "healthz"))
        out->target = SPAN_LIT("/healthz");
    else
        return refuse(fault, 404, "not_found", "There is nothing at this path",
                      "an enclave has metrics and healthz here");
    out->place = GATEWAY_ENCLAVE;
    out->cid = (uint32_t)c;
    out->port = (uint32_t)p;
    return ERR_OK;
}

static enum err own_page(const struct http1_head *head, struct gateway_fault *fault)
{
    if (span_is(head->method, "GET") || span_is(head->method, "HEAD"))
        return ERR_OK;
    (void)refuse(fault, 405, "method_not_allowed", "This path has another method", NULL);
    fault->allow = "GET, HEAD";
    return ERR_DENIED;
}

/* What two readers could take for different things. */
static enum err check(const struct http1_head *head, struct span path, struct gateway_fault *fault)
{
    if (head->upgrade)
        return refuse(fault, 501, "not_implemented", "Protocols are not switched here", NULL);
    if (head->minor == 1 && !http1_header_get(head, "host").ptr)
        return refuse(fault, 400, "invalid_request", "Not an HTTP request that is understood",
                      "HTTP/1.1 without Host");
    struct span expect = http1_header_get(head, "expect");
    if (expect.len && !span_eq_nocase(expect, SPAN_LIT("100-continue")))
        return refuse(fault, 417, "invalid_request", "Expectation is not known", NULL);
    /* Without chunks it could not be seen that an answer was taken back. */
    if (head->minor == 0 && span_starts(path, "/v1/messages/"))
        return refuse(fault, 400, "invalid_request", "Messages need HTTP/1.1",
                      "their answers are chunked");
    if (path.len == 0 || path.ptr[0] != '/')
        return refuse(fault, 400, "invalid_request", "Not an HTTP request that is understood",
                      "a target begins with a slash");
    /* No path of the service needs an escape, and the service compares paths as they come: so
     * nothing can pass here under another spelling. */
    if (span_find(path, '%') != path.len || span_find(path, '\\') != path.len)
        return refuse(fault, 404, "not_found", "There is nothing at this path", NULL);
    return ERR_OK;
}

enum err gateway_route(const struct http1_head *head, struct gateway_route *out,
                       struct gateway_fault *fault)
{
    struct gateway_route r = { .place = GATEWAY_FORWARD, .target = head->target };
    struct span rest = head->target;
    struct span path = span_cut(&rest, '?');

    enum err e = check(head, path, fault);
    if (e != ERR_OK)
        return e;
    if (span_is(path, "/healthz"))
        r.place = GATEWAY_HEALTH;
    else if (span_is(path, "/metrics"))
        r.place = GATEWAY_METRICS;
    else if (span_starts(path, ENCLAVES))
        e = enclave_page(span_from(path, sizeof ENCLAVES - 1), &r, fault);
    else if (span_eq_nocase(path, SPAN_LIT("/v1/credentials")))
        return refuse(fault, 403, "credentials_refused", "Credentials do not pass the gateway",
                      "it keeps its enclaves' credentials itself; with --no-credentials requests "
                      "carry their own (member credentials)");
    if (e == ERR_OK && r.place != GATEWAY_FORWARD)
        e = own_page(head, fault);
    if (e == ERR_OK)
        *out = r;
    return e;
}
