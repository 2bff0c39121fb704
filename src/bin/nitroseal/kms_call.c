#include "bin/nitroseal/kms_call.h"

#include "http1/http1.h"
#include "io/sys.h"

enum { REQUEST_MAX_BYTES = 1 << 20, MS_PER_S = 1000 };

enum err kms_plain_request(struct span host, struct span region,
                           const struct sigv4_credentials *cred, const char *operation,
                           struct span body, struct buf *out)
{
    AUTO(buf_clear) struct buf target = BUF_INIT(256), authorization = BUF_INIT(4096);
    char date[SIGV4_TIME_BYTES + 1];
    enum { SIGNED_MAX = 5 };
    struct sigv4_header h[SIGNED_MAX];
    struct http1_header sent[SIGNED_MAX + 2];
    size_t n = 0;
    enum err r = buf_printf(&target, "TrentService.%s", operation);

    if (r != ERR_OK)
        return r;
    sigv4_time_write(clock_wall_ms() / MS_PER_S, date);
    h[n++] =
        (struct sigv4_header){ SPAN_LIT("content-type"), SPAN_LIT("application/x-amz-json-1.1") };
    h[n++] = (struct sigv4_header){ SPAN_LIT("host"), host };
    h[n++] = (struct sigv4_header){ SPAN_LIT("x-amz-date"), span_str(date) };
    if (cred->session_token.len)
        h[n++] = (struct sigv4_header){ SPAN_LIT("x-amz-security-token"), cred->session_token };
    h[n++] = (struct sigv4_header){ SPAN_LIT("x-amz-target"), buf_view(&target) };
    const struct sigv4_request rq = { .method = SPAN_LIT("POST"),
                                      .path = SPAN_LIT("/"),
                                      .headers = h,
                                      .n_headers = n,
                                      .body = body };
    const struct sigv4_scope scope = { region, SPAN_LIT("kms") };
    r = sigv4_sign(&rq, scope, span_str(date), cred, &authorization);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < n; i++)
        sent[i] = (struct http1_header){ h[i].name, h[i].value };
    sent[n++] = (struct http1_header){ SPAN_LIT("authorization"), buf_view(&authorization) };
    sent[n++] = (struct http1_header){ SPAN_LIT("connection"), SPAN_LIT("close") };
    return http1_request_write(out, rq.method, rq.path, sent, n, body);
}

enum err kms_call(const struct kms_server *server, const struct sigv4_credentials *cred,
                  const char *operation, struct span body, uint64_t deadline_ns,
                  struct http_reply *out, struct why *why)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(REQUEST_MAX_BYTES);
    AUTO(tls_ctx_freep) struct tls_ctx *ctx = NULL;

    enum err r = kms_plain_request(server->host, server->region, cred, operation, body, &request);
    if (r != ERR_OK)
        return why_fail(why, r, "request", 0);
    r = tls_ctx_client(server->ca_pem, &ctx, why);
    if (r != ERR_OK)
        return r;
    const struct http_server at = { .at = server->at, .tls = ctx, .name = "localhost" };
    return http_call(&at, buf_view(&request), deadline_ns, out, why);
}
