#include "sigv4/sigv4.h"

#include "base/hex.h"
#include "sigv4/signing.h"

enum err sigv4_canonical_request(const struct sigv4_request *rq, struct buf *out)
{
    struct selection sel = { .n = 0 };

    for (size_t i = 0; i < rq->n_headers; i++) {
        enum err r = selection_add(&sel, rq, i);
        if (r != ERR_OK)
            return r;
    }
    return canonical_write(rq, &sel, out);
}

enum err signing_append(struct buf *out, const struct span *parts, size_t n)
{
    size_t before = out->len;

    for (size_t i = 0; i < n; i++) {
        enum err r = buf_append(out, parts[i]);
        if (r != ERR_OK) {
            buf_truncate(out, before);
            return r;
        }
    }
    return ERR_OK;
}

enum err signing_text(struct span amz_date, struct key_scope scope, struct span canonical,
                      struct buf *out)
{
    uint8_t hash[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];

    sha256(canonical, hash);
    hex_write(SPAN_ARRAY(hash), hex);
    const struct span parts[] = {
        SPAN_LIT(SIGNING_ALGORITHM "\n"),
        amz_date,
        SPAN_LIT("\n"),
        scope.date,
        SPAN_LIT("/"),
        scope.region,
        SPAN_LIT("/"),
        scope.service,
        SPAN_LIT("/" SIGNING_TERMINATOR "\n"),
        span_str(hex),
    };
    return signing_append(out, parts, sizeof parts / sizeof parts[0]);
}

enum err sigv4_string_to_sign(struct span amz_date, struct sigv4_scope scope, struct span canonical,
                              struct buf *out)
{
    struct key_scope key = { span_sub(amz_date, 0, SIGNING_DATE_BYTES), scope.region,
                             scope.service };

    return signing_text(amz_date, key, canonical, out);
}

enum err signing_mac(struct span secret, struct key_scope scope, struct span text,
                     uint8_t out[static HMAC_SHA256_BYTES])
{
    const struct span steps[] = { scope.date, scope.region, scope.service,
                                  SPAN_LIT(SIGNING_TERMINATOR), text };
    uint8_t start[4 + SIGV4_SECRET_MAX_BYTES] = "AWS4";

    if (secret.len > SIGV4_SECRET_MAX_BYTES)
        return ERR_LIMIT;
    if (secret.len)
        memcpy(start + 4, secret.ptr, secret.len);
    struct span with = span_of(start, 4 + secret.len);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        hmac_sha256(with, steps[i], out);
        with = span_of(out, HMAC_SHA256_BYTES);
    }
    wipe(start, sizeof start);
    return ERR_OK;
}

enum err signing_hex(const struct sigv4_request *rq, const struct selection *sel,
                     struct span amz_date, struct key_scope scope, struct span secret,
                     char out[static SIGNING_HEX_BYTES + 1])
{
    AUTO(buf_clear) struct buf canonical = BUF_INIT(SIGNING_CANONICAL_MAX_BYTES);
    AUTO(buf_clear) struct buf text = BUF_INIT(SIGNING_TEXT_MAX_BYTES);
    uint8_t mac[HMAC_SHA256_BYTES];

    enum err r = canonical_write(rq, sel, &canonical);
    if (r == ERR_OK)
        r = signing_text(amz_date, scope, buf_view(&canonical), &text);
    if (r == ERR_OK)
        r = signing_mac(secret, scope, buf_view(&text), mac);
    if (r != ERR_OK)
        return r;
    hex_write(SPAN_ARRAY(mac), out);
    wipe(mac, sizeof mac);
    return ERR_OK;
}

enum err sigv4_sign(const struct sigv4_request *rq, struct sigv4_scope scope, struct span amz_date,
                    const struct sigv4_credentials *cred, struct buf *authorization)
{
    AUTO(buf_clear) struct buf names = BUF_INIT(SIGNING_CANONICAL_MAX_BYTES);
    struct key_scope key = { span_sub(amz_date, 0, SIGNING_DATE_BYTES), scope.region,
                             scope.service };
    struct selection sel = { .n = 0 };
    char hex[SIGNING_HEX_BYTES + 1];
    int64_t when;

    enum err r = sigv4_time_parse(amz_date, &when);
    for (size_t i = 0; i < rq->n_headers && r == ERR_OK; i++)
        r = selection_add(&sel, rq, i);
    if (r == ERR_OK)
        r = selection_names(&sel, rq, &names);
    if (r == ERR_OK)
        r = signing_hex(rq, &sel, amz_date, key, cred->secret_access_key, hex);
    if (r != ERR_OK)
        return r;
    const struct span parts[] = {
        SPAN_LIT(SIGNING_ALGORITHM " Credential="),
        cred->access_key_id,
        SPAN_LIT("/"),
        key.date,
        SPAN_LIT("/"),
        key.region,
        SPAN_LIT("/"),
        key.service,
        SPAN_LIT("/" SIGNING_TERMINATOR ", SignedHeaders="),
        buf_view(&names),
        SPAN_LIT(", Signature="),
        span_str(hex),
    };
    return signing_append(authorization, parts, sizeof parts / sizeof parts[0]);
}

bool signing_credential(struct span s, struct sigv4_claim *out)
{
    out->access_key_id = span_cut(&s, '/');
    out->date = span_cut(&s, '/');
    out->region = span_cut(&s, '/');
    out->service = span_cut(&s, '/');
    return out->access_key_id.len && out->date.len && out->region.len && out->service.len &&
           span_is(s, SIGNING_TERMINATOR);
}

/* One "Name=value" of the list, into where it belongs; NULL, or the part that is wrong. */
static const char *parameter_take(struct span name, struct span value, struct sigv4_claim *claim,
                                  struct span *credential)
{
    const struct {
        const char *name;
        struct span *to;
    } table[] = {
        { "Credential", credential },
        { "SignedHeaders", &claim->signed_headers },
        { "Signature", &claim->signature },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!span_is(name, table[i].name))
            continue;
        if (table[i].to->ptr || value.len == 0)
            return table[i].name; /* twice, or empty */
        *table[i].to = value;
        return NULL;
    }
    return "parameter";
}

enum err sigv4_claim_parse(struct span authorization, struct sigv4_claim *out, struct why *why)
{
    struct sigv4_claim claim = { 0 };
    struct span credential = SPAN_EMPTY;
    struct span rest = authorization;

    if (!span_starts(rest, SIGNING_ALGORITHM " "))
        return why_fail(why, ERR_MALFORMED, "algorithm", 0);
    rest = span_from(rest, sizeof SIGNING_ALGORITHM);
    while (rest.ptr) {
        size_t at = authorization.len - rest.len;
        struct span value = span_trim(span_cut(&rest, ','));
        struct span name = span_cut(&value, '=');
        const char *fault = parameter_take(name, value, &claim, &credential);
        if (fault)
            return why_fail(why, ERR_MALFORMED, fault, at);
    }
    if (!credential.ptr || !signing_credential(credential, &claim))
        return why_fail(why, ERR_MALFORMED, "Credential", 0);
    if (!claim.signed_headers.ptr)
        return why_fail(why, ERR_MALFORMED, "SignedHeaders", 0);
    if (!claim.signature.ptr)
        return why_fail(why, ERR_MALFORMED, "Signature", 0);
    *out = claim;
    return ERR_OK;
}

static bool list_has(struct span list, struct span name)
{
    while (list.ptr)
        if (span_eq_nocase(span_cut(&list, ';'), name))
            return true;
    return false;
}

/* What came but is not covered could have been added on the way, so what KMS reads has to be
 * covered. */
static enum err claimed_headers(const struct sigv4_request *rq, struct span names, bool dated,
                                struct selection *sel)
{
    for (size_t i = 0; i < rq->n_headers; i++) {
        struct span name = rq->headers[i].name;
        if (list_has(names, name)) {
            enum err r = selection_add(sel, rq, i);
            if (r != ERR_OK)
                return r;
        } else if (span_eq_nocase(span_sub(name, 0, 6), SPAN_LIT("x-amz-"))) {
            return ERR_VERIFY;
        }
    }
    return list_has(names, SPAN_LIT("host")) && (!dated || list_has(names, SPAN_LIT("x-amz-date")))
               ? ERR_OK
               : ERR_VERIFY;
}

/* The list as claimed has to be the one that follows from the headers: lower case, sorted, each
 * once, none that did not come. */
static enum err check_names(const struct sigv4_request *rq, const struct selection *sel,
                            struct span claimed)
{
    AUTO(buf_clear) struct buf names = BUF_INIT(SIGNING_CANONICAL_MAX_BYTES);

    enum err r = selection_names(sel, rq, &names);
    if (r != ERR_OK)
        return r;
    return span_eq(buf_view(&names), claimed) ? ERR_OK : ERR_VERIFY;
}

enum err signing_select(const struct sigv4_request *rq, struct span names, bool dated,
                        struct selection *sel)
{
    enum err r = claimed_headers(rq, names, dated, sel);

    return r == ERR_OK ? check_names(rq, sel, names) : r;
}

enum err signing_check_body(const struct sigv4_request *rq)
{
    struct span given = header_only(rq, "x-amz-content-sha256");
    uint8_t hash[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];

    for (size_t i = 0; i < rq->n_headers && !given.ptr; i++)
        if (span_eq_nocase(rq->headers[i].name, SPAN_LIT("x-amz-content-sha256")))
            return ERR_VERIFY; /* more than one */
    if (!given.ptr)
        return ERR_OK;
    sha256(rq->body, hash);
    hex_write(SPAN_ARRAY(hash), hex);
    return span_eq(given, span_str(hex)) ? ERR_OK : ERR_VERIFY;
}

enum err sigv4_verify(const struct sigv4_request *rq, const struct sigv4_claim *claim,
                      struct span secret_access_key, struct why *why)
{
    struct key_scope key = { claim->date, claim->region, claim->service };
    struct span amz_date = header_only(rq, "x-amz-date");
    struct selection sel = { .n = 0 };
    char hex[SIGNING_HEX_BYTES + 1];

    enum err r = amz_date.ptr ? signing_select(rq, claim->signed_headers, true, &sel) : ERR_VERIFY;
    if (r != ERR_OK)
        return why_fail(why, r, "signed headers", 0);
    r = signing_check_body(rq);
    if (r != ERR_OK)
        return why_fail(why, r, "body hash", 0);
    r = signing_hex(rq, &sel, amz_date, key, secret_access_key, hex);
    if (r != ERR_OK)
        return why_fail(why, r, "signature", 0);
    bool same = ct_eq(claim->signature, span_str(hex));
    wipe(hex, sizeof hex);
    return same ? ERR_OK : why_fail(why, ERR_VERIFY, "signature", 0);
}
