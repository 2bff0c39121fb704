/* problem.c - answers of the gateway's own, and the one thing it reads in an answer of the service:
 * which refusal a 503 is. */
#include "base/json.h"
#include "gateway/gateway.h"

#define TYPE_PREFIX "urn:nitroseal:error:"

enum { TYPE_MAX_BYTES = 96, BODY_MAX_BYTES = 4096, HEADERS_MAX = 4 };

static enum err write_answer(unsigned status, const struct http1_header *fields, size_t n,
                             struct span body, const struct gateway_client *to, struct buf *out)
{
    struct http1_header h[HEADERS_MAX + 2];
    AUTO(buf_clear) struct buf length = BUF_INIT(32);
    size_t k = 0;

    for (; k < n && k < HEADERS_MAX; k++)
        h[k] = fields[k];
    if (buf_printf(&length, "%zu", body.len) != ERR_OK)
        return ERR_NOMEM;
    h[k++] = (struct http1_header){ SPAN_LIT("content-length"), buf_view(&length) };
    if (!to->keep_alive)
        h[k++] = (struct http1_header){ SPAN_LIT("connection"), SPAN_LIT("close") };
    else if (to->minor == 0)
        h[k++] = (struct http1_header){ SPAN_LIT("connection"), SPAN_LIT("keep-alive") };
    return http1_response_write(out, status, h, k, to->head_only ? SPAN_EMPTY : body);
}

static void put_opt(struct json_out *w, const char *key, const char *text)
{
    if (!text)
        return;
    json_out_key(w, key);
    json_out_string(w, span_str(text));
}

static enum err write_document(const struct gateway_fault *f, struct buf *out)
{
    AUTO(buf_clear) struct buf type = BUF_INIT(TYPE_MAX_BYTES);
    struct json_out w = json_out_init(out);

    enum err r = buf_printf(&type, TYPE_PREFIX "%s", f->code);
    if (r != ERR_OK)
        return r;
    json_out_object(&w);
    json_out_key(&w, "type");
    json_out_string(&w, buf_view(&type));
    put_opt(&w, "title", f->title);
    json_out_key(&w, "status");
    json_out_uint(&w, f->status);
    put_opt(&w, "detail", f->detail);
    put_opt(&w, "code", f->code);
    json_out_object_end(&w);
    return json_out_end(&w);
}

enum err gateway_problem_write(const struct gateway_fault *f, const struct gateway_client *to,
                               struct buf *out)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(BODY_MAX_BYTES);
    AUTO(buf_clear) struct buf seconds = BUF_INIT(16);
    struct http1_header h[3] = { { SPAN_LIT("content-type"),
                                   SPAN_LIT("application/problem+json") } };
    size_t n = 1;

    enum err r = write_document(f, &body);
    if (r == ERR_OK && f->status == 503) {
        r = buf_printf(&seconds, "%d", GATEWAY_RETRY_AFTER_S);
        h[n++] = (struct http1_header){ SPAN_LIT("retry-after"), buf_view(&seconds) };
    }
    if (f->allow)
        h[n++] = (struct http1_header){ SPAN_LIT("allow"), span_str(f->allow) };
    return r == ERR_OK ? write_answer(f->status, h, n, buf_view(&body), to, out) : r;
}

enum err gateway_text_write(unsigned status, const char *type, struct span body,
                            const struct gateway_client *to, struct buf *out)
{
    const struct http1_header h[1] = { { SPAN_LIT("content-type"), span_str(type) } };

    return write_answer(status, h, 1, body, to, out);
}

enum gateway_refusal gateway_refusal_parse(struct span body)
{
    struct json_in j = json_in_init(body);
    struct json_str key, code = JSON_STR_NONE;

    if (body.len > GATEWAY_REFUSAL_MAX_BYTES)
        return GATEWAY_REFUSAL_OTHER;
    for (json_in_object(&j); json_in_member(&j, &key);) {
        if (json_str_is(key, "code"))
            code = json_in_string(&j);
        else
            (void)json_in_skip(&j);
    }
    if (json_in_end(&j) != ERR_OK || !json_str_is_set(code))
        return GATEWAY_REFUSAL_OTHER;
    if (json_str_is(code, "busy"))
        return GATEWAY_REFUSAL_BUSY;
    if (json_str_is(code, "stopping"))
        return GATEWAY_REFUSAL_STOPPING;
    if (json_str_is(code, "no_credentials"))
        return GATEWAY_REFUSAL_NO_CREDENTIALS;
    if (json_str_is(code, "nsm_failed"))
        return GATEWAY_REFUSAL_NO_DOCUMENT;
    return GATEWAY_REFUSAL_OTHER;
}
