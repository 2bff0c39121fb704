#include "cose/cose.h"

#include "base/cbor.h"

enum {
    HEADER_ALG = 1, /* RFC 9052 section 3.1 */
    PHDR_MAX_BYTES = 256,
    SIG_MAX_BYTES = 1024,        /* of any algorithm; ES384 has COSE_SIG_BYTES */
    SIG_STRUCTURE_OVERHEAD = 64, /* context and heads in Sig_structure */
};

static const uint8_t es384_phdr[] = { 0xa1, 0x01, 0x38, 0x22 }; /* {1: -35} */

enum err cose_sign1_split(struct span in, struct cose_sign1 *out, struct span *uhdr,
                          struct why *why)
{
    struct cose_sign1 msg;
    struct cbor_in c = cbor_in_init(in);

    cbor_in_tag_opt(&c, COSE_TAG_SIGN1); /* attestation_process.md section 3.1: tagged or bare */
    cbor_in_array(&c, 4);
    msg.phdr = cbor_in_bstr(&c, PHDR_MAX_BYTES);
    if (c.err == ERR_OK && cbor_in_peek(&c) != CBOR_MAP)
        cbor_in_fail(&c, ERR_MALFORMED, "unprotected header");
    struct span unprotected = cbor_in_skip(&c);
    msg.payload = cbor_in_bstr(&c, COSE_PAYLOAD_MAX);
    msg.sig = cbor_in_bstr(&c, SIG_MAX_BYTES);
    if (cbor_in_end(&c) != ERR_OK)
        return why_fail(why, c.err, c.what, c.pos);

    *out = msg;
    *uhdr = unprotected;
    return ERR_OK;
}

enum err cose_alg_parse(struct span phdr, int64_t *out)
{
    struct cbor_in c = cbor_in_init(phdr);

    cbor_in_map(&c, 1);
    int64_t label = cbor_in_int(&c);
    int64_t alg = cbor_in_int(&c);
    if (cbor_in_end(&c) != ERR_OK || label != HEADER_ALG)
        return ERR_MALFORMED;
    *out = alg;
    return ERR_OK;
}

static enum err check_alg(struct span phdr)
{
    int64_t alg = 0;

    enum err r = cose_alg_parse(phdr, &alg);
    return r == ERR_OK && alg != COSE_ALG_ES384 ? ERR_UNSUPPORTED : r;
}

enum err cose_sign1_parse(struct span in, struct cose_sign1 *out, struct why *why)
{
    struct cose_sign1 msg;
    struct span uhdr;

    enum err r = cose_sign1_split(in, &msg, &uhdr, why);
    if (r != ERR_OK)
        return r;
    r = check_alg(msg.phdr);
    if (r != ERR_OK)
        return why_fail(why, r, "protected header", (size_t)(msg.phdr.ptr - in.ptr));
    if (uhdr.len != 1) /* an empty map of definite length is one byte */
        return why_fail(why, ERR_MALFORMED, "unprotected header", (size_t)(uhdr.ptr - in.ptr));
    if (msg.sig.len != COSE_SIG_BYTES)
        return why_fail(why, ERR_MALFORMED, "signature length", (size_t)(msg.sig.ptr - in.ptr));

    *out = msg;
    return ERR_OK;
}

enum err cose_sign1_tbs(struct span phdr, struct span payload, struct buf *out)
{
    struct cbor_out w = cbor_out_init(out);

    cbor_out_array(&w, 4);
    cbor_out_tstr(&w, SPAN_LIT("Signature1"));
    cbor_out_bstr(&w, phdr);
    cbor_out_bstr(&w, SPAN_EMPTY);
    cbor_out_bstr(&w, payload);
    return cbor_out_end(&w);
}

enum err cose_sign1_verify(struct crypto *cx, const struct cose_sign1 *msg,
                           const struct ec_pub *key, struct why *why)
{
    AUTO(buf_clear)
    struct buf tbs = BUF_INIT(PHDR_MAX_BYTES + COSE_PAYLOAD_MAX + SIG_STRUCTURE_OVERHEAD);

    enum err r = cose_sign1_tbs(msg->phdr, msg->payload, &tbs);
    if (r == ERR_OK)
        r = ec_verify_es384(cx, key, buf_view(&tbs), msg->sig);
    return r == ERR_OK ? ERR_OK : why_fail(why, r, "ES384 signature", 0);
}

enum err cose_sign1_write(struct crypto *cx, const struct ec_key *key, struct span payload,
                          struct buf *out)
{
    AUTO(buf_clear)
    struct buf tbs = BUF_INIT(PHDR_MAX_BYTES + COSE_PAYLOAD_MAX + SIG_STRUCTURE_OVERHEAD);
    uint8_t sig[ES384_SIG_BYTES];
    size_t before = out->len;

    if (payload.len > COSE_PAYLOAD_MAX)
        return ERR_LIMIT;
    enum err r = cose_sign1_tbs(SPAN_ARRAY(es384_phdr), payload, &tbs);
    if (r == ERR_OK)
        r = ec_sign_es384(cx, key, buf_view(&tbs), sig);
    if (r != ERR_OK)
        return r;

    struct cbor_out w = cbor_out_init(out);
    cbor_out_array(&w, 4);
    cbor_out_bstr(&w, SPAN_ARRAY(es384_phdr));
    cbor_out_map(&w, 0);
    cbor_out_bstr(&w, payload);
    cbor_out_bstr(&w, SPAN_ARRAY(sig));
    r = cbor_out_end(&w);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}
