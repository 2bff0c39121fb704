/* client-apis/decrypt.md. The order of the checks is that of esdk.h. */
#include <stdlib.h>

#include "base/base64.h"
#include "esdk/esdk_in.h"

enum state {           /* in this order */
             HEADER,   /* gathering it */
             DATA_KEY, /* waiting for esdk_decrypt_start() */
             FRAME,    /* what stands before a ciphertext */
             TEXT,     /* ciphertext */
             TAG,
             FOOTER_HEAD, /* the signature's length */
             FOOTER,
             DONE,
             FAILED,
};

struct esdk_decrypt {
    struct esdk_decrypt_options options;
    enum state state;
    enum err err; /* of the failure, and its reason */
    struct why fault;
    struct buf head; /* the header as received */
    size_t head_need;
    struct esdk_header header; /* spans of head */
    struct gcm *gcm;
    struct esig *sig; /* over every byte before the footer */
    struct esig_pub *pub;
    uint32_t next;
    struct esdk_frame frame;
    uint8_t small[ESIG_SIG_MAX_BYTES]; /* a head, a tag or a footer that is being gathered */
    size_t small_len, small_need;
    uint8_t *text; /* plaintext of the frame; not to be believed before its tag held */
    size_t text_cap, text_len, text_used;
    uint64_t at; /* bytes taken */
};

enum { PUBLIC_KEY_MAX_BYTES = 64 };

enum err esdk_decrypt_new(const struct esdk_decrypt_options *options, struct esdk_decrypt **out)
{
    struct esdk_decrypt *d = calloc(1, sizeof *d);

    if (!d)
        return ERR_NOMEM;
    if (options)
        d->options = *options;
    d->options.limits = limits_of(&d->options.limits);
    d->head = BUF_INIT(d->options.limits.header_bytes);
    d->head_need = 1;
    *out = d;
    return ERR_OK;
}

static void text_drop(struct esdk_decrypt *d)
{
    if (d->text)
        wipe(d->text, d->text_used);
    free(d->text);
    d->text = NULL;
    d->text_cap = d->text_len = d->text_used = 0;
}

static void drop(struct esdk_decrypt *d)
{
    text_drop(d);
    gcm_freep(&d->gcm);
    esig_freep(&d->sig);
    esig_pub_freep(&d->pub);
    wipe(d->small, sizeof d->small);
}

void esdk_decrypt_free(struct esdk_decrypt *d)
{
    if (!d)
        return;
    drop(d);
    buf_clear(&d->head);
    free(d);
}

void esdk_decrypt_freep(struct esdk_decrypt **d)
{
    esdk_decrypt_free(*d);
    *d = NULL;
}

/* For good. Nothing that was decrypted stays. */
static enum err fail(struct esdk_decrypt *d, enum err r, const char *what, uint64_t at,
                     struct why *why)
{
    d->state = FAILED;
    d->err = r;
    d->fault = (struct why){ .what = what, .at = (size_t)at };
    drop(d);
    return why_fail(why, r, what, (size_t)at);
}

static enum err failed_before(const struct esdk_decrypt *d, struct why *why)
{
    return why_fail(why, d->err, d->fault.what, d->fault.at);
}

/* ---- header ---- */

static enum err public_key_read(struct esdk_decrypt *d, struct crypto *cx)
{
    AUTO(buf_clear) struct buf point = BUF_INIT(PUBLIC_KEY_MAX_BYTES);
    enum esig_curve curve = d->header.suite->curve;

    enum err r = base64_parse(d->header.public_key, &point, NULL);
    if (r == ERR_OK)
        r = esig_pub_parse(cx, curve, buf_view(&point), &d->pub, NULL);
    if (r == ERR_LIMIT)
        r = ERR_MALFORMED;
    return r == ERR_OK ? esig_new(cx, curve, &d->sig) : r;
}

static enum err header_judge(struct esdk_decrypt *d, struct crypto *cx, struct why *why)
{
    const struct esdk_suite *suite = d->header.suite;

    if (!esdk_policy_reads(d->options.policy, suite))
        return fail(
            d, ERR_UNSUPPORTED,
            "the message's algorithm suite has no key commitment, which the policy requires", 0,
            why);
    if (suite->signs && d->options.unsigned_only)
        return fail(d, ERR_UNSUPPORTED, "the message is signed: only unsigned ones are read here",
                    0, why);
    enum err r = suite->signs ? public_key_read(d, cx) : ERR_OK;
    if (r != ERR_OK)
        return fail(d, r, "the message's public key", (size_t)(d->header.context.ptr - d->head.ptr),
                    why);
    d->state = DATA_KEY;
    return ERR_OK;
}

enum err esdk_decrypt_header(struct esdk_decrypt *d, struct crypto *cx, struct span *in,
                             const struct esdk_header **header, struct why *why)
{
    struct why w = { 0 };
    enum err r = ERR_MORE;

    if (d->state == FAILED)
        return failed_before(d, why);
    while (d->state == HEADER && r == ERR_MORE) {
        size_t n = d->head_need - d->head.len;
        n = n < in->len ? n : in->len;
        r = buf_append(&d->head, span_sub(*in, 0, n));
        if (r != ERR_OK)
            return fail(d, r, "header", d->at, why);
        *in = span_from(*in, n);
        d->at += n;
        if (d->head.len < d->head_need)
            return why_fail(why, ERR_MORE, "the header is not complete", (size_t)d->at);
        r = esdk_header_parse(buf_view(&d->head), &d->options.limits, &d->header, &d->head_need,
                              &w);
        if (r != ERR_OK && r != ERR_MORE)
            return fail(d, r, w.what, w.at, why);
    }
    if (d->state == HEADER) {
        r = header_judge(d, cx, why);
        if (r != ERR_OK)
            return r;
    }
    *header = &d->header;
    return ERR_OK;
}

/* ---- the data key ---- */

static enum err header_tag_check(struct esdk_decrypt *d, struct span unstored)
{
    uint8_t iv[GCM_IV_BYTES] = { 0 };

    /* Version 1 stores it outside of what the tag covers: take what is there. */
    if (d->header.iv.len)
        memcpy(iv, d->header.iv.ptr, sizeof iv);
    enum err r = gcm_begin(d->gcm, iv);
    if (r == ERR_OK)
        r = gcm_aad(d->gcm, d->header.body);
    if (r == ERR_OK)
        r = gcm_aad(d->gcm, unstored);
    return r == ERR_OK ? gcm_check(d->gcm, d->header.tag.ptr) : r;
}

static enum err key_try(struct esdk_decrypt *d, struct crypto *cx, const struct secret *data_key,
                        struct span unstored, struct why *why)
{
    const struct esdk_suite *suite = d->header.suite;
    AUTO(secret_clear) struct secret key = { 0 };
    uint8_t commitment[ESDK_COMMITMENT_BYTES] = { 0 };

    enum err r = keys_derive(cx, suite, d->header.message_id, data_key, &key, commitment);
    if (r != ERR_OK)
        return fail(d, r, "key derivation", d->at, why);
    if (suite->commits && !ct_eq(SPAN_ARRAY(commitment), d->header.commitment))
        return fail(d, ERR_VERIFY,
                    "the key commitment does not hold: another data key, or a changed header",
                    (size_t)(d->header.commitment.ptr - d->head.ptr), why);
    r = gcm_new(cx, secret_view(&key), GCM_OPEN, &d->gcm);
    if (r == ERR_OK)
        r = header_tag_check(d, unstored);
    if (r == ERR_OK)
        return ERR_OK;
    return fail(d, r,
                unstored.len ? "the header's tag does not hold: changed, another data key, or it "
                               "does not bind a required pair"
                             : "the header's tag does not hold: changed, or another data key",
                (size_t)(d->header.tag.ptr - d->head.ptr), why);
}

enum err esdk_decrypt_start(struct esdk_decrypt *d, struct crypto *cx,
                            const struct secret *data_key, const struct esdk_pair *required,
                            size_t n, struct why *why)
{
    AUTO(buf_clear) struct buf unstored = BUF_INIT(FIELD_MAX_BYTES);
    struct why w = { 0 };

    if (d->state == FAILED)
        return failed_before(d, why);
    if (d->state != DATA_KEY)
        return fail(d, ERR_INTERNAL, "a data key without a header", d->at, why);
    if (data_key->len != d->header.suite->key_bytes)
        return why_fail(why, ERR_VERIFY, "the data key has another length than the suite's", 0);
    enum err r = context_unstored(&d->header, required, n, &unstored, &w);
    if (r != ERR_OK)
        return fail(d, r, w.what, 0, why);
    r = key_try(d, cx, data_key, buf_view(&unstored), why);
    if (r != ERR_OK)
        return r;
    if (d->sig)
        r = esig_update(d->sig, buf_view(&d->head));
    if (r != ERR_OK)
        return fail(d, r, "signature", d->at, why);
    d->state = FRAME;
    d->next = 1;
    d->small_need = 1;
    return ERR_OK;
}

/* ---- frames ---- */

/* True: all that is needed is there. */
static bool gather(struct esdk_decrypt *d, struct span *in)
{
    size_t n = d->small_need - d->small_len;

    n = n < in->len ? n : in->len;
    if (n)
        memcpy(d->small + d->small_len, in->ptr, n);
    d->small_len += n;
    d->at += n;
    *in = span_from(*in, n);
    return d->small_len == d->small_need;
}

static void expect(struct esdk_decrypt *d, enum state state, size_t n)
{
    d->state = state;
    d->small_len = 0;
    d->small_need = n;
}

/* Room for `n` bytes of text. What is allocated follows what was received, not what is announced:
 * the whole frame at once where all of it is there, else by doubling. */
static enum err text_room(struct esdk_decrypt *d, size_t n)
{
    if (n <= d->text_cap)
        return ERR_OK;
    size_t cap = 2 * d->text_cap > n ? 2 * d->text_cap : n;
    cap = cap < d->frame.length ? cap : (size_t)d->frame.length;
    uint8_t *p = malloc(cap);
    if (!p)
        return ERR_NOMEM;
    if (d->text_len)
        memcpy(p, d->text, d->text_len);
    size_t len = d->text_len;
    text_drop(d);
    d->text = p;
    d->text_cap = cap;
    d->text_len = d->text_used = len;
    return ERR_OK;
}

static enum err step_frame(struct esdk_decrypt *d, struct span *in, struct why *why)
{
    uint8_t aad[BODY_AAD_MAX_BYTES];
    struct why w = { 0 };
    enum err r = ERR_MORE;

    while (r == ERR_MORE) {
        if (!gather(d, in))
            return ERR_MORE;
        r = esdk_frame_parse(&d->header, d->next, span_of(d->small, d->small_len), &d->frame,
                             &d->small_need, &w);
    }
    if (r != ERR_OK)
        return fail(d, r, w.what, d->at - d->small_len + w.at, why);
    if (d->frame.kind == ESDK_FRAME_BLOCK && d->frame.length > d->options.limits.block_bytes)
        return fail(d, ERR_LIMIT, "the block is longer than the limit", d->at, why);
    r = gcm_begin(d->gcm, d->frame.iv.ptr);
    if (r == ERR_OK)
        r = gcm_aad(d->gcm, span_of(aad, body_aad(d->header.message_id, &d->frame, aad)));
    if (r == ERR_OK && d->sig)
        r = esig_update(d->sig, span_of(d->small, d->small_len));
    if (r != ERR_OK)
        return fail(d, r, "frame", d->at, why);
    d->text_len = 0;
    d->state = TEXT;
    return ERR_OK;
}

static enum err step_text(struct esdk_decrypt *d, struct span *in, struct why *why)
{
    uint64_t rest = d->frame.length - d->text_len;
    struct span now = span_sub(*in, 0, rest < in->len ? (size_t)rest : in->len);

    enum err r = text_room(d, d->text_len + now.len);
    if (r == ERR_OK && now.len) {
        size_t end = d->text_len + now.len;
        d->text_used = end > d->text_used ? end : d->text_used;
        r = gcm_update(d->gcm, now, d->text + d->text_len);
        d->text_len = end;
    }
    if (r == ERR_OK && d->sig)
        r = esig_update(d->sig, now);
    if (r != ERR_OK)
        return fail(d, r, "frame", d->at, why);
    *in = span_from(*in, now.len);
    d->at += now.len;
    if (d->text_len < d->frame.length)
        return ERR_MORE;
    expect(d, TAG, ESDK_TAG_BYTES);
    return ERR_OK;
}

static void next_frame(struct esdk_decrypt *d)
{
    d->next++; /* cannot wrap: no regular frame has the last number */
    expect(d, FRAME, 1);
}

static enum err fail_tag(struct esdk_decrypt *d, enum err r, uint64_t at, struct why *why)
{
    return fail(d, r, r != ERR_VERIFY ? "frame" : "a frame's tag does not hold: it was changed", at,
                why);
}

/* *plain: what may leave now. */
static enum err step_tag(struct esdk_decrypt *d, struct span *in, struct span *plain,
                         struct why *why)
{
    if (!gather(d, in))
        return ERR_MORE;
    enum err r = gcm_check(d->gcm, d->small);
    if (r == ERR_OK && d->sig)
        r = esig_update(d->sig, span_of(d->small, ESDK_TAG_BYTES));
    if (r != ERR_OK)
        return fail_tag(d, r, d->at - ESDK_TAG_BYTES, why);
    struct span text = span_of(d->text, d->text_len);
    if (d->frame.kind == ESDK_FRAME_REGULAR) {
        next_frame(d);
        *plain = text;
        return ERR_OK;
    }
    gcm_freep(&d->gcm);
    if (d->sig) {
        expect(d, FOOTER_HEAD, ESDK_FOOTER_HEAD_BYTES);
        return ERR_OK; /* the rest waits for the signature */
    }
    d->state = DONE;
    *plain = text;
    return ERR_OK;
}

static enum err step_footer(struct esdk_decrypt *d, struct span *in, struct span *plain,
                            struct why *why)
{
    if (!gather(d, in))
        return ERR_MORE;
    if (d->state == FOOTER_HEAD) {
        size_t len = get16(d->small);
        if (len == 0 || len > esig_sig_max_bytes(d->header.suite->curve))
            return fail(d, ERR_MALFORMED, "the signature's length", d->at - 2, why);
        expect(d, FOOTER, len);
        return ERR_OK;
    }
    enum err r = esig_verify(d->sig, d->pub, span_of(d->small, d->small_len));
    if (r != ERR_OK)
        return fail(d, r, "the message's signature does not hold", d->at - d->small_len, why);
    d->state = DONE;
    *plain = span_of(d->text, d->text_len);
    return ERR_OK;
}

static enum err step(struct esdk_decrypt *d, struct span *in, struct span *plain, struct why *why)
{
    switch (d->state) {
    case FAILED:
        return failed_before(d, why);
    case HEADER:
    case DATA_KEY:
        return fail(d, ERR_INTERNAL, "frames before the data key", d->at, why);
    case FRAME:
        return step_frame(d, in, why);
    case TEXT:
        return step_text(d, in, why);
    case TAG:
        return step_tag(d, in, plain, why);
    case FOOTER_HEAD:
    case FOOTER:
        return step_footer(d, in, plain, why);
    case DONE:
        if (in->len)
            return fail(d, ERR_MALFORMED, "bytes after the end of the message", d->at, why);
        return ERR_MORE;
    }
    return ERR_INTERNAL;
}

enum err esdk_decrypt_step(struct esdk_decrypt *d, struct span *in, struct span *plain,
                           struct why *why)
{
    enum err r = ERR_OK;

    *plain = SPAN_EMPTY;
    while (r == ERR_OK && plain->len == 0)
        r = step(d, in, plain, why);
    return r;
}

/* The rest of a regular frame: all of its text, and its tag. */
static bool is_whole(const struct esdk_decrypt *d, struct span in)
{
    return d->state == TEXT && d->text_len == 0 && d->frame.kind == ESDK_FRAME_REGULAR &&
           in.len >= d->frame.length + ESDK_TAG_BYTES;
}

static enum err step_whole(struct esdk_decrypt *d, struct span *in, struct buf *out,
                           struct why *why)
{
    size_t n = (size_t)d->frame.length, all = n + ESDK_TAG_BYTES;
    uint8_t *text;

    enum err r = buf_reserve(out, n, &text);
    if (r != ERR_OK)
        return fail(d, r, "no room for a frame", d->at, why);
    r = gcm_update(d->gcm, span_sub(*in, 0, n), text);
    if (r == ERR_OK && d->sig)
        r = esig_update(d->sig, span_sub(*in, 0, all));
    if (r == ERR_OK)
        r = gcm_check(d->gcm, in->ptr + n);
    if (r != ERR_OK) {
        wipe(text, n);
        return fail_tag(d, r, d->at + n, why);
    }
    buf_commit(out, n);
    *in = span_from(*in, all);
    d->at += all;
    next_frame(d);
    return ERR_OK;
}

enum err esdk_decrypt_step_to(struct esdk_decrypt *d, struct span *in, struct buf *out,
                              struct why *why)
{
    struct span plain = SPAN_EMPTY;
    enum err r = ERR_OK;

    while (r == ERR_OK && plain.len == 0) {
        if (is_whole(d, *in))
            return step_whole(d, in, out, why);
        r = step(d, in, &plain, why);
    }
    if (r != ERR_OK)
        return r;
    r = buf_append(out, plain);
    return r == ERR_OK ? ERR_OK : fail(d, r, "no room for a frame", d->at, why);
}

enum err esdk_decrypt_end(struct esdk_decrypt *d, struct why *why)
{
    if (d->state == FAILED)
        return failed_before(d, why);
    if (d->state == DONE)
        return ERR_OK;
    return fail(d, ERR_MALFORMED,
                d->state <= DATA_KEY ? "the message is cut off: it ends in or after its header"
                : d->state <= TAG    ? "the message is cut off: its final frame is missing"
                                     : "the message is cut off: its signature is missing",
                d->at, why);
}

void esdk_decrypt_skip_to(struct esdk_decrypt *d, uint32_t sequence)
{
    d->next = sequence;
}
