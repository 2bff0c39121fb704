#include "bin/nitroseal/inspect.h"

#include "base/base64.h"

enum state { AT_HEADER, AT_FRAME, AT_TEXT, AT_FOOTER, AT_SIGNATURE, AT_DONE };

static const struct esdk_limits limits = {
    .header_bytes = INSPECT_HEADER_MAX_BYTES,
    .context_bytes = 65535,
    .pairs = INSPECT_PAIRS_MAX,
    .keys = INSPECT_KEYS_MAX,
    .frame_bytes = UINT32_MAX,
    .block_bytes = SIZE_MAX,
};

void inspect_init(struct inspect *i)
{
    *i = (struct inspect){ .head = BUF_INIT(INSPECT_HEADER_MAX_BYTES), .need = 1 };
}

void inspect_clear(struct inspect *i)
{
    buf_clear(&i->head);
    inspect_init(i);
}

/* All that is there is kept until the header is whole; what follows it is given back. */
static enum err take_header(struct inspect *i, struct span in, size_t *used, struct why *why)
{
    struct span part = span_sub(in, 0, i->head.max - i->head.len);
    enum err r = buf_append(&i->head, part);

    if (r != ERR_OK)
        return why_fail(why, r, "no memory for the header", 0);
    *used = part.len;
    if (i->head.len < i->need)
        return ERR_OK;
    r = esdk_header_parse(buf_view(&i->head), &limits, &i->header, &i->need, why);
    if (r == ERR_MORE)
        return ERR_OK;
    if (r != ERR_OK)
        return r;
    *used = part.len - (i->head.len - i->header.bytes);
    buf_truncate(&i->head, i->header.bytes);
    i->header_read = true;
    i->state = AT_FRAME;
    return ERR_OK;
}

/* Up to `n` bytes into `small`; true: they are all there. */
static bool gather(struct inspect *i, struct span in, size_t n, size_t *used)
{
    struct span part = span_sub(in, 0, n > i->n_small ? n - i->n_small : 0);

    if (part.len)
        memcpy(i->small + i->n_small, part.ptr, part.len);
    i->n_small += part.len;
    *used = part.len;
    return i->n_small >= n;
}

static enum err take_frame(struct inspect *i, struct span in, size_t *used, struct why *why)
{
    struct esdk_frame f;
    struct why inner = { 0 };
    size_t need = 0;
    enum err r = esdk_frame_parse(&i->header, (uint32_t)(i->frames + 1),
                                  span_of(i->small, i->n_small), &f, &need, &inner);

    if (r == ERR_MORE) {
        (void)gather(i, in, need, used);
        return ERR_OK;
    }
    if (r != ERR_OK)
        return why_fail(why, r, inner.what, (size_t)i->bytes - i->n_small + inner.at);
    i->frames++;
    i->plaintext_bytes += f.length;
    i->last_frame_bytes = f.length;
    i->kind = f.kind;
    i->skip = f.length + ESDK_TAG_BYTES;
    i->n_small = 0;
    i->state = AT_TEXT;
    return ERR_OK;
}

static void finish(struct inspect *i)
{
    i->state = AT_DONE;
    i->whole = true;
}

static void take_skipped(struct inspect *i, struct span in, size_t *used)
{
    *used = i->skip < in.len ? (size_t)i->skip : in.len;
    i->skip -= *used;
    if (i->skip)
        return;
    if (i->state == AT_TEXT && i->kind == ESDK_FRAME_REGULAR)
        i->state = AT_FRAME;
    else if (i->state == AT_TEXT && i->header.suite->signs)
        i->state = AT_FOOTER;
    else
        finish(i);
}

static void take_footer(struct inspect *i, struct span in, size_t *used)
{
    if (!gather(i, in, ESDK_FOOTER_HEAD_BYTES, used))
        return;
    i->signature_bytes = i->skip = (uint64_t)i->small[0] << 8 | i->small[1];
    i->n_small = 0;
    i->state = AT_SIGNATURE;
    if (i->skip == 0)
        finish(i);
}

enum err inspect_take(struct inspect *i, struct span in, struct why *why)
{
    enum err r = ERR_OK;

    while (r == ERR_OK && in.len) {
        size_t used = 0;
        switch ((enum state)i->state) {
        case AT_HEADER:
            r = take_header(i, in, &used, why);
            break;
        case AT_FRAME:
            r = take_frame(i, in, &used, why);
            break;
        case AT_TEXT:
        case AT_SIGNATURE:
            take_skipped(i, in, &used);
            break;
        case AT_FOOTER:
            take_footer(i, in, &used);
            break;
        case AT_DONE:
            i->whole = false;
            r = why_fail(why, ERR_MALFORMED, "bytes follow the message's end", (size_t)i->bytes);
            break;
        }
        i->bytes += used;
        in = span_from(in, used);
    }
    return r;
}

enum err inspect_end(struct inspect *i, struct why *why)
{
    if (i->state == AT_DONE)
        return ERR_OK;
    return why_fail(why, ERR_MALFORMED, "the message is cut off", (size_t)i->bytes);
}

enum err inspect_seed(struct span encrypted, struct span signature, struct span ciphertext_blob,
                      struct inspect_seed *out, struct why *why)
{
    enum { IV_AND_TAG_BYTES = 12 + 16 };
    static const char *const not_base64[] = { "ENCRYPTED is not base64", "SIGNATURE is not base64",
                                              "CIPHERTEXT_BLOB is not base64" };
    const struct span texts[] = { encrypted, signature, ciphertext_blob };
    size_t bytes[3];

    for (size_t i = 0; i < 3; i++) {
        AUTO(buf_clear) struct buf data = BUF_INIT(BASE64_DATA_BYTES(texts[i].len) + 1);
        enum err r = base64_parse(texts[i], &data, NULL);
        if (r != ERR_OK)
            return why_fail(why, r, not_base64[i], 0);
        bytes[i] = data.len;
    }
    if (bytes[0] < IV_AND_TAG_BYTES)
        return why_fail(why, ERR_MALFORMED, "ENCRYPTED is shorter than an IV and a tag", 0);
    *out = (struct inspect_seed){ bytes[0], bytes[0] - IV_AND_TAG_BYTES, bytes[1], bytes[2] };
    return ERR_OK;
}
