#include "sigv4/presign.h"

#include <stdio.h>

#include "base/hex.h"
#include "base/percent.h"
#include "sigv4/signing.h"

enum { SIGNED_NAMES_MAX_BYTES = 4096, ESCAPE_BYTES = 3 };

enum parameter {
    P_ALGORITHM,
    P_CREDENTIAL,
    P_DATE,
    P_EXPIRES,
    P_SIGNED_HEADERS,
    P_SIGNATURE,
    P_TOKEN, /* the only one that may be absent */
};

static const char *const names[SIGV4_PRESIGN_PARAMETERS] = {
    [P_ALGORITHM] = "X-Amz-Algorithm",
    [P_CREDENTIAL] = "X-Amz-Credential",
    [P_DATE] = "X-Amz-Date",
    [P_EXPIRES] = "X-Amz-Expires",
    [P_SIGNED_HEADERS] = "X-Amz-SignedHeaders",
    [P_SIGNATURE] = "X-Amz-Signature",
    [P_TOKEN] = "X-Amz-Security-Token",
};

void sigv4_presigned_clear(struct sigv4_presigned *p)
{
    buf_clear(&p->text);
    *p = (struct sigv4_presigned){ .expires_s = 0 };
}

/* Which of ours the name is, or -1. Names of ours need no escapes. */
static int parameter_of(struct span name)
{
    for (int i = 0; i < SIGV4_PRESIGN_PARAMETERS; i++)
        if (span_is(name, names[i]))
            return i;
    return -1;
}

bool sigv4_is_presigned(struct span query)
{
    while (query.len > 0) {
        struct span value = span_cut(&query, '&');
        int which = parameter_of(span_cut(&value, '='));
        if (which == P_ALGORITHM || which == P_CREDENTIAL || which == P_SIGNATURE)
            return true;
    }
    return false;
}

/* "%2F" and "%2f"; '+' stands for itself, as everywhere in SigV4. */
static enum err decode(struct span s, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        bool escaped = s.ptr[i] == '%';
        if (escaped && s.len - i < ESCAPE_BYTES)
            return ERR_MALFORMED;
        enum err r =
            escaped ? hex_parse(span_sub(s, i + 1, 2), out) : buf_append_byte(out, s.ptr[i]);
        if (r != ERR_OK)
            return r;
        i += escaped ? ESCAPE_BYTES - 1 : 0;
    }
    return ERR_OK;
}

static enum err values_decode(const struct span *raw, struct buf *text, struct span *value,
                              struct why *why)
{
    uint8_t *room;

    /* All at once: views must not move. */
    enum err r = buf_reserve(text, SIGV4_QUERY_MAX_BYTES, &room);
    if (r != ERR_OK)
        return why_fail(why, r, "memory", 0);
    for (int i = 0; i < SIGV4_PRESIGN_PARAMETERS; i++) {
        size_t at = text->len;
        if (!raw[i].ptr)
            continue;
        r = decode(raw[i], text);
        if (r != ERR_OK)
            return why_fail(why, r, names[i], 0);
        value[i] = span_from(buf_view(text), at);
    }
    return ERR_OK;
}

static enum err values_take(const struct span *value, struct sigv4_presigned *p, struct why *why)
{
    int64_t unused;

    if (!span_is(value[P_ALGORITHM], SIGNING_ALGORITHM))
        return why_fail(why, ERR_MALFORMED, names[P_ALGORITHM], 0);
    if (!signing_credential(value[P_CREDENTIAL], &p->claim))
        return why_fail(why, ERR_MALFORMED, names[P_CREDENTIAL], 0);
    if (sigv4_time_parse(value[P_DATE], &unused) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, names[P_DATE], 0);
    if (span_to_u64(value[P_EXPIRES], SIGV4_EXPIRES_MAX_S, &p->expires_s) != ERR_OK ||
        p->expires_s == 0)
        return why_fail(why, ERR_MALFORMED, names[P_EXPIRES], 0);
    if (value[P_SIGNED_HEADERS].len == 0)
        return why_fail(why, ERR_MALFORMED, names[P_SIGNED_HEADERS], 0);
    p->amz_date = value[P_DATE];
    p->claim.signed_headers = value[P_SIGNED_HEADERS];
    p->claim.signature = value[P_SIGNATURE];
    p->security_token = value[P_TOKEN];
    return ERR_OK;
}

enum err sigv4_presigned_parse(struct span query, struct sigv4_presigned *out, struct why *why)
{
    AUTO(sigv4_presigned_clear)
    struct sigv4_presigned p = { .text = BUF_INIT(SIGV4_QUERY_MAX_BYTES) };
    struct span raw[SIGV4_PRESIGN_PARAMETERS] = { { NULL, 0 } };
    struct span value[SIGV4_PRESIGN_PARAMETERS] = { { NULL, 0 } };

    if (query.len > SIGV4_QUERY_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "query", 0);
    while (query.len > 0) {
        struct span text = span_cut(&query, '&');
        int which = parameter_of(span_cut(&text, '='));
        if (which < 0)
            continue;
        if (raw[which].ptr)
            return why_fail(why, ERR_MALFORMED, names[which], 0);
        raw[which] = text.ptr ? text : SPAN_LIT("");
    }
    for (int i = 0; i < P_TOKEN; i++)
        if (raw[i].len == 0)
            return why_fail(why, ERR_MALFORMED, names[i], 0);
    enum err r = values_decode(raw, &p.text, value, why);
    if (r == ERR_OK)
        r = values_take(value, &p, why);
    if (r != ERR_OK)
        return r;
    *out = p;
    p = (struct sigv4_presigned){ .expires_s = 0 }; /* handed over */
    return ERR_OK;
}

/* The query that was signed: all but the signature. */
static enum err without_signature(struct span query, struct buf *out)
{
    enum err r = ERR_OK;

    while (query.len > 0 && r == ERR_OK) {
        struct span one = span_cut(&query, '&'), value = one;
        if (parameter_of(span_cut(&value, '=')) == P_SIGNATURE)
            continue;
        if (out->len)
            r = buf_append_byte(out, '&');
        if (r == ERR_OK)
            r = buf_append(out, one);
    }
    return r;
}

enum err sigv4_presigned_verify(const struct sigv4_request *rq, const struct sigv4_presigned *p,
                                struct span secret_access_key, struct why *why)
{
    AUTO(buf_clear) struct buf query = BUF_INIT(SIGV4_QUERY_MAX_BYTES);
    const struct sigv4_claim *claim = &p->claim;
    struct key_scope key = { claim->date, claim->region, claim->service };
    struct sigv4_request covered = *rq;
    struct selection sel = { .n = 0 };
    char hex[SIGNING_HEX_BYTES + 1];

    enum err r = signing_select(rq, claim->signed_headers, false, &sel);
    if (r != ERR_OK)
        return why_fail(why, r, "signed headers", 0);
    r = signing_check_body(rq);
    if (r != ERR_OK)
        return why_fail(why, r, "body hash", 0);
    r = without_signature(rq->query, &query);
    covered.query = buf_view(&query);
    if (r == ERR_OK)
        r = signing_hex(&covered, &sel, p->amz_date, key, secret_access_key, hex);
    if (r != ERR_OK)
        return why_fail(why, r, "signature", 0);
    bool same = ct_eq(claim->signature, span_str(hex));
    wipe(hex, sizeof hex);
    return same ? ERR_OK : why_fail(why, ERR_VERIFY, "signature", 0);
}

static enum err put(struct buf *out, enum parameter which, const struct span *parts, size_t n)
{
    enum err r = out->len ? buf_append_byte(out, '&') : ERR_OK;

    if (r == ERR_OK)
        r = buf_append_str(out, names[which]);
    if (r == ERR_OK)
        r = buf_append_byte(out, '=');
    for (size_t i = 0; i < n && r == ERR_OK; i++)
        r = percent_append(out, parts[i]);
    return r;
}

static enum err put_one(struct buf *out, enum parameter which, struct span value)
{
    return put(out, which, &value, 1);
}

/* Everything but the signature. */
static enum err put_all(struct buf *out, const struct sigv4_request *rq, struct key_scope key,
                        struct span amz_date, uint64_t expires_s,
                        const struct sigv4_credentials *cred, struct span signed_names)
{
    const struct span credential[] = {
        cred->access_key_id, SPAN_LIT("/"), key.date,    SPAN_LIT("/"),
        key.region,          SPAN_LIT("/"), key.service, SPAN_LIT("/" SIGNING_TERMINATOR),
    };
    char expires[24];

    snprintf(expires, sizeof expires, "%llu", (unsigned long long)expires_s);
    enum err r = buf_append(out, rq->query);
    if (r == ERR_OK)
        r = put_one(out, P_ALGORITHM, SPAN_LIT(SIGNING_ALGORITHM));
    if (r == ERR_OK)
        r = put(out, P_CREDENTIAL, credential, sizeof credential / sizeof credential[0]);
    if (r == ERR_OK)
        r = put_one(out, P_DATE, amz_date);
    if (r == ERR_OK)
        r = put_one(out, P_SIGNED_HEADERS, signed_names);
    if (r == ERR_OK)
        r = put_one(out, P_EXPIRES, span_str(expires));
    return r == ERR_OK && cred->session_token.len ? put_one(out, P_TOKEN, cred->session_token) : r;
}

enum err sigv4_presign(const struct sigv4_request *rq, struct sigv4_scope scope,
                       struct span amz_date, uint64_t expires_s,
                       const struct sigv4_credentials *cred, struct buf *query)
{
    AUTO(buf_clear) struct buf made = BUF_INIT(SIGV4_QUERY_MAX_BYTES);
    AUTO(buf_clear) struct buf signed_names = BUF_INIT(SIGNED_NAMES_MAX_BYTES);
    struct key_scope key = { span_sub(amz_date, 0, SIGNING_DATE_BYTES), scope.region,
                             scope.service };
    struct sigv4_request covered = *rq;
    struct selection sel = { .n = 0 };
    char hex[SIGNING_HEX_BYTES + 1];
    int64_t when;

    if (expires_s == 0 || expires_s > SIGV4_EXPIRES_MAX_S)
        return ERR_MALFORMED;
    enum err r = sigv4_time_parse(amz_date, &when);
    for (size_t i = 0; i < rq->n_headers && r == ERR_OK; i++)
        r = selection_add(&sel, rq, i);
    if (r == ERR_OK)
        r = selection_names(&sel, rq, &signed_names);
    if (r == ERR_OK)
        r = put_all(&made, rq, key, amz_date, expires_s, cred, buf_view(&signed_names));
    covered.query = buf_view(&made);
    if (r == ERR_OK)
        r = signing_hex(&covered, &sel, amz_date, key, cred->secret_access_key, hex);
    if (r == ERR_OK)
        r = put_one(&made, P_SIGNATURE, span_str(hex));
    return r == ERR_OK ? buf_append(query, buf_view(&made)) : r;
}
