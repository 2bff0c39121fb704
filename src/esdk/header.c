/* data-format/message-header.md, and the part of message-body.md that stands before a ciphertext.
 */
#include "esdk/esdk_in.h"

/* A sticky cursor that knows of lengths still to come. */
struct cursor {
    struct span in;
    size_t at, max, need;
    enum err err;
    const char *what;
    size_t fault_at;
};

static void fault(struct cursor *c, enum err r, const char *what, size_t at)
{
    if (c->err != ERR_OK)
        return;
    c->err = r;
    c->what = what;
    c->fault_at = at;
}

/* The limit comes before the wait for more. Zeros of 8 bytes where there is nothing to read. */
static struct span take(struct cursor *c, size_t n)
{
    static const uint8_t zeros[8];

    if (c->err == ERR_OK && n > c->max - c->at)
        fault(c, ERR_LIMIT, "the header is longer than the limit", c->at);
    if (c->err == ERR_OK && n > c->in.len - c->at) {
        fault(c, ERR_MORE, "the header is not complete", c->in.len);
        c->need = c->at + n;
    }
    if (c->err != ERR_OK)
        return n <= sizeof zeros ? span_of(zeros, n) : SPAN_EMPTY;
    c->at += n;
    return span_sub(c->in, c->at - n, n);
}

static unsigned take16(struct cursor *c)
{
    return get16(take(c, 2).ptr);
}

static unsigned take8(struct cursor *c)
{
    return take(c, 1).ptr[0];
}

static struct span take_field(struct cursor *c)
{
    return take(c, take16(c));
}

/* Fields 1 to 4. */
static void parse_suite(struct cursor *c, struct esdk_header *h)
{
    unsigned version = take8(c);

    if (version == 'A' && c->err == ERR_OK)
        fault(c, ERR_UNSUPPORTED,
              "this looks like the base64 text of a message: decode it before reading it", 0);
    if (version != VERSION_1 && version != VERSION_2)
        fault(c, ERR_UNSUPPORTED, "message format version: only 1 and 2 are known", 0);
    if (version == VERSION_1 && take8(c) != TYPE_CUSTOMER_AED)
        fault(c, ERR_MALFORMED, "message type", 1);
    size_t at = c->at;
    unsigned id = take16(c);
    h->suite = esdk_suite_find(id);
    if (!h->suite)
        fault(c, ERR_UNSUPPORTED, "unknown algorithm suite", at);
    else if (h->suite->version != version)
        fault(c, ERR_MALFORMED, "the algorithm suite belongs to the other format version", at);
    h->message_id = take(c, version == VERSION_1 ? ID_V1_BYTES : ID_V2_BYTES);
}

/* Fields 5 and 6. */
static void parse_context(struct cursor *c, const struct esdk_limits *l, struct esdk_header *h)
{
    size_t at = c->at;
    struct why why = { 0 };
    size_t len = take16(c);

    if (len > l->context_bytes)
        fault(c, ERR_LIMIT, "the encryption context is longer than the limit", at);
    if (len == 0 || c->err != ERR_OK)
        return;
    struct span all = take(c, len);
    if (c->err != ERR_OK)
        return;
    if (len >= 2 && get16(all.ptr) > l->pairs)
        fault(c, ERR_LIMIT, "the encryption context has more pairs than the limit", at + 2);
    enum err r = context_check(all, &h->n_pairs, &why);
    if (r != ERR_OK)
        fault(c, r, why.what, at + 2 + why.at);
    h->context = span_from(all, 2);
}

/* Fields 7 and 8. The count is judged before the first key is waited for. */
static void parse_keys(struct cursor *c, const struct esdk_limits *l, struct esdk_header *h)
{
    size_t at = c->at;
    unsigned n = take16(c);

    if (n == 0)
        fault(c, ERR_MALFORMED, "no encrypted data key", at);
    if (n > l->keys)
        fault(c, ERR_LIMIT, "more encrypted data keys than the limit", at);
    size_t start = c->at;
    for (unsigned i = 0; i < n && c->err == ERR_OK; i++) {
        at = c->at;
        if (!span_is_utf8(take_field(c)))
            fault(c, ERR_MALFORMED, "encrypted data key: the provider is not UTF-8", at);
        take_field(c);
        take_field(c);
    }
    h->keys = span_sub(c->in, start, c->at - start);
    h->n_keys = n;
}

/* Fields 9 to 13. */
static void parse_content(struct cursor *c, const struct esdk_limits *l, struct esdk_header *h)
{
    size_t at = c->at;
    unsigned type = take8(c);

    if (type != CONTENT_BLOCK && type != CONTENT_FRAMED)
        fault(c, ERR_MALFORMED, "content type", at);
    h->framed = type == CONTENT_FRAMED;
    at = c->at;
    if (h->suite && h->suite->version == VERSION_1) {
        if (get32(take(c, 4).ptr) != 0)
            fault(c, ERR_MALFORMED, "reserved bytes are not zero", at);
        if (take8(c) != GCM_IV_BYTES)
            fault(c, ERR_MALFORMED, "IV length: only 12 is known", at + 4);
    }
    at = c->at;
    h->frame_length = get32(take(c, 4).ptr);
    if (h->framed != (h->frame_length != 0))
        fault(c, ERR_MALFORMED, "the frame length does not go with the content type", at);
    if (h->frame_length > l->frame_bytes)
        fault(c, ERR_LIMIT, "the frame length is longer than the limit", at);
    if (h->suite && h->suite->version == VERSION_2)
        h->commitment = take(c, ESDK_COMMITMENT_BYTES);
}

enum err esdk_header_parse(struct span in, const struct esdk_limits *limits,
                           struct esdk_header *out, size_t *need, struct why *why)
{
    struct esdk_limits l = limits_of(limits);
    struct cursor c = { .in = in, .max = l.header_bytes };
    struct esdk_header h = { 0 };

    parse_suite(&c, &h);
    size_t at = c.at;
    parse_context(&c, &l, &h);
    parse_keys(&c, &l, &h);
    parse_content(&c, &l, &h);
    h.body = span_sub(in, 0, c.at);
    if (c.err == ERR_OK && h.suite->version == VERSION_1)
        h.iv = take(&c, GCM_IV_BYTES);
    h.tag = take(&c, ESDK_TAG_BYTES);
    h.bytes = c.at;
    if (c.err == ERR_OK &&
        pair_find(h.context, SPAN_LIT(ESDK_PUBLIC_KEY_NAME), &h.public_key) != h.suite->signs)
        fault(&c, ERR_MALFORMED,
              h.suite->signs ? "a signed message has to carry its public key"
                             : "a message that is not signed may not carry a public key",
              at);
    if (c.err == ERR_MORE && need)
        *need = c.need;
    if (c.err != ERR_OK)
        return why_fail(why, c.err, c.what, c.fault_at);
    *out = h;
    return ERR_OK;
}

/* ---- frames ---- */

static enum err more(size_t n, size_t *need, struct span in, struct why *why)
{
    if (need)
        *need = n;
    return why_fail(why, ERR_MORE, "the frame is not complete", in.len);
}

static enum err block_parse(struct span in, struct esdk_frame *out, size_t *need, struct why *why)
{
    enum { HEAD_BYTES = GCM_IV_BYTES + 8 };
    static const uint64_t GCM_TEXT_MAX_BYTES = (UINT64_C(1) << 36) - 32;

    if (in.len < HEAD_BYTES)
        return more(HEAD_BYTES, need, in, why);
    uint64_t length = get64(in.ptr + GCM_IV_BYTES);
    if (length > GCM_TEXT_MAX_BYTES)
        return why_fail(why, ERR_MALFORMED, "the block is longer than AES-GCM can make one",
                        GCM_IV_BYTES);
    *out = (struct esdk_frame){ .kind = ESDK_FRAME_BLOCK,
                                .sequence = 1,
                                .iv = span_sub(in, 0, GCM_IV_BYTES),
                                .length = length,
                                .head_bytes = HEAD_BYTES };
    return ERR_OK;
}

enum err esdk_frame_parse(const struct esdk_header *header, uint32_t sequence, struct span in,
                          struct esdk_frame *out, size_t *need, struct why *why)
{
    struct esdk_frame f = { .kind = ESDK_FRAME_REGULAR, .head_bytes = 4 + GCM_IV_BYTES };

    if (!header->framed)
        return block_parse(in, out, need, why);
    if (in.len < 4)
        return more(4, need, in, why);
    size_t at = 0;
    if (get32(in.ptr) == SEQUENCE_FINAL) {
        f.kind = ESDK_FRAME_FINAL;
        f.head_bytes = ESDK_FRAME_HEAD_MAX_BYTES;
        at = 4;
    }
    if (in.len < at + 4)
        return more(at + 4, need, in, why);
    f.sequence = get32(in.ptr + at);
    if (f.sequence != sequence)
        return why_fail(why, ERR_MALFORMED, "frame out of order: it has another number", at);
    if (in.len < f.head_bytes)
        return more(f.head_bytes, need, in, why);
    f.iv = span_sub(in, at + 4, GCM_IV_BYTES);
    f.length = f.kind == ESDK_FRAME_FINAL ? get32(in.ptr + 20) : header->frame_length;
    if (f.length > header->frame_length)
        return why_fail(why, ERR_MALFORMED, "the final frame is longer than the frame length", 20);
    *out = f;
    return ERR_OK;
}

size_t body_aad(struct span message_id, const struct esdk_frame *frame,
                uint8_t out[static BODY_AAD_MAX_BYTES])
{
    static const struct span texts[] = {
        [ESDK_FRAME_REGULAR] = SPAN_INIT("AWSKMSEncryptionClient Frame"),
        [ESDK_FRAME_FINAL] = SPAN_INIT("AWSKMSEncryptionClient Final Frame"),
        [ESDK_FRAME_BLOCK] = SPAN_INIT("AWSKMSEncryptionClient Single Block"),
    };
    struct span text = texts[frame->kind];
    size_t n = message_id.len;

    memcpy(out, message_id.ptr, n);
    memcpy(out + n, text.ptr, text.len);
    n += text.len;
    put32(out + n, frame->sequence);
    put64(out + n + 4, frame->length);
    return n + 12;
}
