/* client-apis/encrypt.md */
#include <stdlib.h>

#include "base/base64.h"
#include "esdk/esdk_in.h"

enum state { CONTEXT, BODY, DONE, FAILED };

/* The frame's buffer: a final frame's head, text, tag, footer. A regular frame's head is shorter
 * and begins later, so that the text always stands at the same place. */
enum {
    TEXT_AT = ESDK_FRAME_HEAD_MAX_BYTES,
    REGULAR_HEAD_BYTES = 4 + GCM_IV_BYTES,
    AFTER_TEXT_MAX_BYTES = ESDK_TAG_BYTES + ESDK_FOOTER_HEAD_BYTES + ESIG_SIG_MAX_BYTES,
};

struct esdk_encrypt {
    const struct esdk_suite *suite;
    struct esdk_limits limits;
    uint32_t frame_length;
    uint64_t plaintext_max, plaintext;
    enum state state;
    enum err err;
    struct why fault;
    uint8_t message_id[ID_V2_BYTES];
    struct buf context, header;
    struct esig_key *own_key;
    const struct esig_key *key;
    struct gcm *gcm;
    struct esig *sig;
    uint32_t next;
    uint8_t *frame;
    size_t text_len, used; /* used: how far the frame's buffer was ever written */
};

void esdk_encrypt_free(struct esdk_encrypt *e)
{
    if (!e)
        return;
    if (e->frame)
        wipe(e->frame, e->used);
    free(e->frame);
    gcm_free(e->gcm);
    esig_free(e->sig);
    esig_key_free(e->own_key);
    buf_clear(&e->context);
    buf_clear(&e->header);
    free(e);
}

void esdk_encrypt_freep(struct esdk_encrypt **e)
{
    esdk_encrypt_free(*e);
    *e = NULL;
}

static enum err fail(struct esdk_encrypt *e, enum err r, const char *what, struct why *why)
{
    e->state = FAILED;
    e->err = r;
    e->fault = (struct why){ .what = what };
    gcm_freep(&e->gcm);
    return why_fail(why, r, what, 0);
}

static enum err failed_before(const struct esdk_encrypt *e, struct why *why)
{
    return why_fail(why, e->err, e->fault.what, 0);
}

/* ---- suite and context ---- */

static enum err take_options(struct esdk_encrypt *e, const struct esdk_encrypt_options *o,
                             struct why *why)
{
    unsigned id = o->suite ? o->suite : ESDK_SUITE_COMMITTING;

    if (id != ESDK_SUITE_COMMITTING && id != ESDK_SUITE_SIGNED)
        return why_fail(why, ERR_UNSUPPORTED, "algorithm suite: only 0x0478 and 0x0578 are written",
                        0);
    e->suite = esdk_suite_find(id);
    if (!esdk_policy_writes(o->policy, e->suite))
        return why_fail(why, ERR_UNSUPPORTED, "the policy does not let this suite be written", 0);
    e->limits = limits_of(&o->limits);
    e->frame_length = o->frame_length ? o->frame_length : ESDK_FRAME_LENGTH_DEFAULT;
    if (e->frame_length > e->limits.frame_bytes)
        return why_fail(why, ERR_LIMIT, "the frame length is longer than the limit", 0);
    if (o->signing_key && (!e->suite->signs || esig_key_curve(o->signing_key) != e->suite->curve))
        return why_fail(why, ERR_INTERNAL, "the signing key does not go with the suite", 0);
    e->plaintext_max = o->plaintext_max ? o->plaintext_max : UINT64_MAX;
    e->key = o->signing_key;
    e->next = 1;
    return ERR_OK;
}

static void freep(struct esdk_pair **p)
{
    free(*p);
}

static enum err context_make(struct esdk_encrypt *e, const struct esdk_encrypt_options *o,
                             struct why *why)
{
    AUTO(buf_clear)
    struct buf point = BUF_INIT(BASE64_TEXT_BYTES(ESIG_POINT_MAX_BYTES));
    size_t n = o->n_pairs;

    for (size_t i = 0; i < n; i++)
        if (span_starts(o->context[i].key, "aws-crypto-"))
            return why_fail(why, ERR_MALFORMED,
                            "encryption context: names that begin aws-crypto- are reserved", 0);
    if (n + e->suite->signs > e->limits.pairs)
        return why_fail(why, ERR_LIMIT, "the encryption context has more pairs than the limit", 0);
    AUTO(freep) struct esdk_pair *pairs = calloc(n + 1, sizeof *pairs);
    if (!pairs)
        return why_fail(why, ERR_NOMEM, "encryption context", 0);
    if (n)
        memcpy(pairs, o->context, n * sizeof *pairs);
    if (e->suite->signs) {
        enum err r = base64_append(&point, esig_key_point(e->key));
        if (r != ERR_OK)
            return why_fail(why, r, "encryption context", 0);
        pairs[n++] = (struct esdk_pair){ SPAN_LIT(ESDK_PUBLIC_KEY_NAME), buf_view(&point) };
    }
    e->context = BUF_INIT(FIELD_MAX_BYTES);
    enum err r = esdk_context_write(pairs, n, &e->context, why);
    if (r == ERR_OK && e->context.len > e->limits.context_bytes)
        return why_fail(why, ERR_LIMIT, "the encryption context is longer than the limit", 0);
    return r;
}

enum err esdk_encrypt_new(struct crypto *cx, const struct esdk_encrypt_options *options,
                          struct esdk_encrypt **out, struct why *why)
{
    const struct esdk_random *random = &options->random;
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = calloc(1, sizeof *e);

    if (!e)
        return why_fail(why, ERR_NOMEM, "message", 0);
    enum err r = take_options(e, options, why);
    if (r != ERR_OK)
        return r;
    r = random->fill ? random->fill(random->arg, e->message_id, ID_V2_BYTES)
                     : rng_public(cx, e->message_id, ID_V2_BYTES);
    if (r == ERR_OK && e->suite->signs && !e->key) {
        r = esig_key_new(cx, e->suite->curve, &e->own_key);
        e->key = e->own_key;
    }
    if (r == ERR_OK && e->suite->signs)
        r = esig_new(cx, e->suite->curve, &e->sig);
    if (r != ERR_OK)
        return why_fail(why, r, "message id or signing key", 0);
    r = context_make(e, options, why);
    if (r != ERR_OK)
        return r;
    *out = e;
    e = NULL;
    return ERR_OK;
}

const struct esdk_suite *esdk_encrypt_suite(const struct esdk_encrypt *e)
{
    return e->suite;
}

struct span esdk_encrypt_context(const struct esdk_encrypt *e)
{
    return buf_view(&e->context);
}

struct span esdk_encrypt_pairs(const struct esdk_encrypt *e)
{
    return span_from(buf_view(&e->context), 2);
}

/* ---- header ---- */

static enum err put_field(struct buf *out, struct span field)
{
    uint8_t len[2];

    put16(len, field.len);
    enum err r = buf_append(out, SPAN_ARRAY(len));
    return r == ERR_OK ? buf_append(out, field) : r;
}

static enum err keys_check(const struct esdk_encrypt *e, const struct esdk_key *keys, size_t n,
                           struct why *why)
{
    if (n == 0)
        return why_fail(why, ERR_MALFORMED, "no encrypted data key", 0);
    if (n > e->limits.keys || n > FIELD_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "more encrypted data keys than the limit", 0);
    for (size_t i = 0; i < n; i++) {
        const struct esdk_key *k = &keys[i];
        if (k->provider.len > FIELD_MAX_BYTES || k->info.len > FIELD_MAX_BYTES ||
            k->ciphertext.len > FIELD_MAX_BYTES)
            return why_fail(why, ERR_LIMIT, "encrypted data key: a field is too long", 0);
        if (!span_is_utf8(k->provider))
            return why_fail(why, ERR_MALFORMED, "encrypted data key: the provider is not UTF-8", 0);
    }
    return ERR_OK;
}

static enum err body_write(struct esdk_encrypt *e, const struct esdk_key *keys, size_t n,
                           const uint8_t commitment[static ESDK_COMMITMENT_BYTES])
{
    struct buf *h = &e->header;
    uint8_t start[3] = { VERSION_2 }, count[2], content[5] = { CONTENT_FRAMED };

    put16(start + 1, e->suite->id);
    put16(count, n);
    put32(content + 1, e->frame_length);
    enum err r = buf_append(h, SPAN_ARRAY(start));
    if (r == ERR_OK)
        r = buf_append(h, SPAN_ARRAY(e->message_id));
    if (r == ERR_OK)
        r = put_field(h, buf_view(&e->context));
    if (r == ERR_OK)
        r = buf_append(h, SPAN_ARRAY(count));
    for (size_t i = 0; r == ERR_OK && i < n; i++) {
        r = put_field(h, keys[i].provider);
        if (r == ERR_OK)
            r = put_field(h, keys[i].info);
        if (r == ERR_OK)
            r = put_field(h, keys[i].ciphertext);
    }
    if (r == ERR_OK)
        r = buf_append(h, SPAN_ARRAY(content));
    return r == ERR_OK ? buf_append(h, span_of(commitment, ESDK_COMMITMENT_BYTES)) : r;
}

/* The IV of zeros is the header's alone: frames count from 1. */
static enum err header_seal(struct esdk_encrypt *e)
{
    static const uint8_t iv[GCM_IV_BYTES];
    uint8_t tag[ESDK_TAG_BYTES];

    enum err r = gcm_begin(e->gcm, iv);
    if (r == ERR_OK)
        r = gcm_aad(e->gcm, buf_view(&e->header));
    if (r == ERR_OK)
        r = gcm_tag(e->gcm, tag);
    if (r == ERR_OK)
        r = buf_append(&e->header, SPAN_ARRAY(tag));
    if (r == ERR_OK && e->sig)
        r = esig_update(e->sig, buf_view(&e->header));
    return r;
}

enum err esdk_encrypt_start(struct esdk_encrypt *e, struct crypto *cx,
                            const struct secret *data_key, const struct esdk_key *keys, size_t n,
                            struct span *out, struct why *why)
{
    AUTO(secret_clear) struct secret key = { 0 };
    uint8_t commitment[ESDK_COMMITMENT_BYTES];
    struct why w = { 0 };

    if (e->state == FAILED)
        return failed_before(e, why);
    if (e->state != CONTEXT)
        return fail(e, ERR_INTERNAL, "the message has a header already", why);
    if (data_key->len != e->suite->key_bytes)
        return fail(e, ERR_MALFORMED, "the data key has another length than the suite's", why);
    enum err r = keys_check(e, keys, n, &w);
    if (r != ERR_OK)
        return fail(e, r, w.what, why);
    r = keys_derive(cx, e->suite, SPAN_ARRAY(e->message_id), data_key, &key, commitment);
    if (r == ERR_OK)
        r = gcm_new(cx, secret_view(&key), GCM_SEAL, &e->gcm);
    if (r != ERR_OK)
        return fail(e, r, "key derivation", why);
    e->header = BUF_INIT(e->limits.header_bytes);
    r = body_write(e, keys, n, commitment);
    if (r == ERR_OK)
        r = header_seal(e);
    if (r != ERR_OK)
        return fail(e, r, r == ERR_LIMIT ? "the header is longer than the limit" : "header", why);
    e->frame = malloc((size_t)TEXT_AT + e->frame_length + AFTER_TEXT_MAX_BYTES);
    if (!e->frame)
        return fail(e, ERR_NOMEM, "frame", why);
    e->state = BODY;
    *out = buf_view(&e->header);
    return ERR_OK;
}

/* ---- frames ---- */

static void touched(struct esdk_encrypt *e, size_t end)
{
    e->used = end > e->used ? end : e->used;
}

/* Seals `text` (of the caller's, or already in its place) as the next frame, from `head` on. */
static enum err frame_seal(struct esdk_encrypt *e, enum esdk_frame_kind kind, struct span text,
                           uint8_t *head)
{
    size_t head_bytes = kind == ESDK_FRAME_FINAL ? TEXT_AT : REGULAR_HEAD_BYTES;
    uint8_t *at = head + head_bytes, *p = head;
    struct esdk_frame frame = { .kind = kind, .sequence = e->next, .length = text.len };
    uint8_t aad[BODY_AAD_MAX_BYTES];

    if (kind == ESDK_FRAME_FINAL) {
        put32(p, SEQUENCE_FINAL);
        put32(at - 4, (uint32_t)text.len);
        p += 4;
    }
    put32(p, e->next);
    uint8_t *iv = p + 4;
    memset(iv, 0, GCM_IV_BYTES - 4);
    put32(iv + GCM_IV_BYTES - 4, e->next);
    enum err r = gcm_begin(e->gcm, iv);
    if (r == ERR_OK)
        r = gcm_aad(e->gcm, span_of(aad, body_aad(SPAN_ARRAY(e->message_id), &frame, aad)));
    if (r == ERR_OK)
        r = gcm_update(e->gcm, text, at);
    if (r == ERR_OK)
        r = gcm_tag(e->gcm, at + text.len);
    if (r == ERR_OK && e->sig)
        r = esig_update(e->sig, span_of(head, head_bytes + text.len + ESDK_TAG_BYTES));
    return r;
}

/* What is left of an incomplete frame has to be copied: whether it becomes a regular frame or the
 * final one stands in the additional data, which comes first. */
static bool take_text(struct esdk_encrypt *e, struct span *in, struct span *text)
{
    if (e->text_len == 0 && in->len >= e->frame_length) {
        *text = span_sub(*in, 0, e->frame_length);
        *in = span_from(*in, e->frame_length);
        return true;
    }
    size_t n = e->frame_length - e->text_len;
    n = n < in->len ? n : in->len;
    if (n)
        memcpy(e->frame + TEXT_AT + e->text_len, in->ptr, n);
    e->text_len += n;
    touched(e, TEXT_AT + e->text_len);
    *in = span_from(*in, n);
    *text = span_of(e->frame + TEXT_AT, e->text_len);
    return e->text_len == e->frame_length;
}

/* Text of a whole frame. */
static enum err next_text(struct esdk_encrypt *e, struct span *in, struct span *text,
                          struct why *why)
{
    size_t had = in->len;

    if (e->state == FAILED)
        return failed_before(e, why);
    if (e->state != BODY)
        return fail(e, ERR_INTERNAL, "plaintext without a header, or after the end", why);
    if (in->len > e->plaintext_max - e->plaintext)
        return fail(e, ERR_LIMIT, "more plaintext than was announced", why);
    bool whole = take_text(e, in, text);
    e->plaintext += had - in->len;
    if (!whole)
        return ERR_MORE;
    if (e->next == SEQUENCE_FINAL)
        return fail(e, ERR_LIMIT, "too many frames: choose a longer frame length", why);
    return ERR_OK;
}

static size_t regular_bytes(const struct esdk_encrypt *e)
{
    return REGULAR_HEAD_BYTES + (size_t)e->frame_length + ESDK_TAG_BYTES;
}

static enum err regular_seal(struct esdk_encrypt *e, struct span text, uint8_t *head,
                             struct why *why)
{
    enum err r = frame_seal(e, ESDK_FRAME_REGULAR, text, head);

    if (r != ERR_OK)
        return fail(e, r, "frame", why);
    e->next++;
    e->text_len = 0;
    return ERR_OK;
}

enum err esdk_encrypt_step(struct esdk_encrypt *e, struct span *in, struct span *out,
                           struct why *why)
{
    struct span text = SPAN_EMPTY;

    *out = SPAN_EMPTY;
    enum err r = next_text(e, in, &text, why);
    if (r != ERR_OK)
        return r;
    uint8_t *head = e->frame + TEXT_AT - REGULAR_HEAD_BYTES;
    touched(e, TEXT_AT + text.len + ESDK_TAG_BYTES);
    r = regular_seal(e, text, head, why);
    if (r == ERR_OK)
        *out = span_of(head, regular_bytes(e));
    return r;
}

enum err esdk_encrypt_step_to(struct esdk_encrypt *e, struct span *in, struct buf *out,
                              struct why *why)
{
    struct span text;
    uint8_t *head;

    enum err r = next_text(e, in, &text, why);
    if (r != ERR_OK)
        return r;
    r = buf_reserve(out, regular_bytes(e), &head);
    if (r != ERR_OK)
        return fail(e, r, "no room for a frame", why);
    r = regular_seal(e, text, head, why);
    if (r == ERR_OK)
        buf_commit(out, regular_bytes(e));
    return r;
}

enum err esdk_encrypt_end(struct esdk_encrypt *e, struct span *out, struct why *why)
{
    size_t n = TEXT_AT + e->text_len + ESDK_TAG_BYTES, sig_len = 0;

    *out = SPAN_EMPTY;
    if (e->state == FAILED)
        return failed_before(e, why);
    if (e->state != BODY)
        return fail(e, ERR_INTERNAL, "the end without a header, or twice", why);
    touched(e, n);
    enum err r =
        frame_seal(e, ESDK_FRAME_FINAL, span_of(e->frame + TEXT_AT, e->text_len), e->frame);
    if (r == ERR_OK && e->sig) {
        r = esig_sign(e->sig, e->key, e->frame + n + ESDK_FOOTER_HEAD_BYTES, &sig_len);
        put16(e->frame + n, sig_len);
        n += ESDK_FOOTER_HEAD_BYTES + sig_len;
    }
    if (r != ERR_OK)
        return fail(e, r, "the end of the message", why);
    gcm_freep(&e->gcm);
    e->state = DONE;
    *out = span_of(e->frame, n);
    return ERR_OK;
}

void esdk_encrypt_skip_to(struct esdk_encrypt *e, uint32_t sequence)
{
    e->next = sequence;
}
