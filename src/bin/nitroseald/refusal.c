#include "bin/nitroseald/refusal.h"

#include "http1/http1.h"

enum { TEXT_MAX_BYTES = 4096 };

const struct api_fault refusal_busy = {
    .code = "busy",
    .title = "Service is busy",
    .detail = "too many requests at one time",
};

void refusal_clear(struct refusal *r)
{
    buf_clear(&r->text);
}

/* Where the id stands. */
static enum err find_id(struct refusal *r, struct span id)
{
    struct span rest = buf_view(&r->text);

    for (size_t i = 0; i < sizeof r->id_at / sizeof r->id_at[0]; i++) {
        const uint8_t *at = memmem(rest.ptr, rest.len, id.ptr, id.len);
        if (!at)
            return ERR_INTERNAL;
        r->id_at[i] = (size_t)(at - r->text.ptr);
        rest = span_from(buf_view(&r->text), r->id_at[i] + id.len);
    }
    return ERR_OK;
}

enum err refusal_new(struct span id, struct refusal *out)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(TEXT_MAX_BYTES);
    const struct proto_error e = { .error = refusal_busy.title,
                                   .code = refusal_busy.code,
                                   .detail = span_str(refusal_busy.detail) };
    struct refusal made = { .text = BUF_INIT(TEXT_MAX_BYTES), .id_len = id.len };
    const struct http1_header h[] = {
        { SPAN_LIT("content-type"), SPAN_LIT("application/problem+json") },
        { SPAN_LIT("retry-after"), SPAN_LIT("1") },
        { SPAN_LIT("nitroseal-request-id"), id },
    };

    enum err r = api_problem_write(&body, &e, id);
    if (r == ERR_OK)
        r = http1_response_write(&made.text, api_status(refusal_busy.code), h,
                                 sizeof h / sizeof h[0], buf_view(&body));
    if (r == ERR_OK)
        r = find_id(&made, id);
    if (r == ERR_OK)
        *out = made;
    else
        refusal_clear(&made);
    return r;
}

enum err refusal_put(const struct refusal *r, struct span id, struct buf *out)
{
    size_t start = out->len;

    if (id.len != r->id_len)
        return ERR_INTERNAL;
    enum err e = buf_append(out, buf_view(&r->text));
    for (size_t i = 0; e == ERR_OK && i < sizeof r->id_at / sizeof r->id_at[0]; i++)
        memcpy(out->ptr + start + r->id_at[i], id.ptr, id.len);
    return e;
}
