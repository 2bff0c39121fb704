/* route.c - which endpoint a request means, and in which form. */
#include "api/api.h"

struct endpoint {
    const char *path, *name, *method;
    bool json_body,
        binary_body; /* media types that the body may have; neither: no body is looked at */
};

static const struct endpoint endpoints[API_ENDPOINTS] = {
    [API_ENCRYPT] = { "/v1/encrypt", "encrypt", "POST", true, true },
    [API_DECRYPT] = { "/v1/decrypt", "decrypt", "POST", true, true },
    [API_BATCH] = { "/v1/batch", "batch", "POST", true, false },
    [API_RANDOM] = { "/v1/random", "random", "POST", true, false },
    [API_ATTESTATION] = { "/v1/attestation", "attestation", "GET", false, false },
    [API_CREDENTIALS] = { "/v1/credentials", "credentials", "PUT", true, false },
    [API_HEALTH] = { "/healthz", "health", "GET", false, false },
    [API_METRICS] = { "/metrics", "metrics", "GET", false, false },
    [API_MESSAGE_ENCRYPT] = { "/v1/messages/encrypt", "message-encrypt", "POST", false, false },
    [API_MESSAGE_DECRYPT] = { "/v1/messages/decrypt", "message-decrypt", "POST", false, false },
    [API_MESSAGE_REWRAP] = { "/v1/messages/rewrap", "message-rewrap", "POST", false, false },
};

#define BINARY_TYPE "application/octet-stream"
#define JSON_TYPE   "application/json"

const char *api_endpoint_name(enum api_endpoint e)
{
    return e < API_ENDPOINTS ? endpoints[e].name : "?";
}

bool api_is_stream(enum api_endpoint e)
{
    return e == API_MESSAGE_ENCRYPT || e == API_MESSAGE_DECRYPT || e == API_MESSAGE_REWRAP;
}

static bool is_type(struct span value, const char *type)
{
    return span_eq_nocase(span_trim(span_cut(&value, ';')), span_str(type));
}

/* Is the type among those that are accepted by name? Weights are not looked at: whoever names it
 * can take it. */
static bool accepts(const struct http1_head *h, const char *type)
{
    for (size_t i = 0; i < h->n_headers; i++) {
        struct span rest = h->headers[i].value;
        if (!span_eq_nocase(h->headers[i].name, SPAN_LIT("accept")))
            continue;
        while (rest.ptr)
            if (is_type(span_cut(&rest, ','), type))
                return true;
    }
    return false;
}

/* A body without a type is JSON where JSON is taken. */
static enum err media_type(const struct http1_head *h, const struct endpoint *e,
                           struct api_route *r, struct api_fault *fault)
{
    struct span type = http1_header_get(h, "content-type");

    r->is_binary = e->binary_body && is_type(type, BINARY_TYPE);
    if (!e->json_body || r->is_binary || type.len == 0 || is_type(type, JSON_TYPE))
        return ERR_OK;
    *fault = (struct api_fault){
        .code = "unsupported_media_type",
        .title = "Content-Type is not one that this path takes",
        .detail =
            e->binary_body ? JSON_TYPE " and " BINARY_TYPE " are known" : JSON_TYPE " is known",
    };
    return ERR_UNSUPPORTED;
}

enum err api_route(const struct http1_head *head, struct api_route *out, struct api_fault *fault)
{
    struct api_route r = { .query = head->target };
    struct span path = span_cut(&r.query, '?');
    size_t i = 0;

    while (i < API_ENDPOINTS && !span_is(path, endpoints[i].path))
        i++;
    if (i == API_ENDPOINTS) {
        *fault = (struct api_fault){
            .code = "not_found",
            .title = "There is nothing at this path",
            .detail = "paths begin with /v1/; /healthz and /metrics are there, too",
        };
        return ERR_UNSUPPORTED;
    }
    if (!span_is(head->method, endpoints[i].method)) {
        *fault = (struct api_fault){
            .code = "method_not_allowed",
            .title = "This path has another method",
            .detail = "the field Allow names it",
            .allow = span_str(endpoints[i].method),
        };
        return ERR_UNSUPPORTED;
    }
    r.endpoint = (enum api_endpoint)i;
    enum err e = media_type(head, &endpoints[i], &r, fault);
    if (e != ERR_OK)
        return e;
    r.wants_binary = r.is_binary || accepts(head, BINARY_TYPE);
    *out = r;
    return ERR_OK;
}
