#include "eif/signature.h"

#include "base/cbor.h"
#include "cose/cose.h"
#include "crypto/x509.h"
#include "eif/eif.h"

enum {
    PAYLOAD_MAX = 256, /* two names, a number, 48 integers of two bytes at most */
    TBS_MAX = PAYLOAD_MAX + 128,
    PHDR_BYTES = 16,
    NAME_MAX_BYTES = 32,
    REGISTER = 0,
    PCR8 = 8,
};

static const int64_t algs[SIGNER_CURVES] = {
    [SIGNER_P256] = COSE_ALG_ES256,
    [SIGNER_P384] = COSE_ALG_ES384,
    [SIGNER_P521] = COSE_ALG_ES512,
};

void eif_signature_clear(struct eif_signature *s)
{
    signer_cert_free(s->cert);
    buf_clear(&s->pem);
    buf_clear(&s->cose);
    *s = EIF_SIGNATURE_NONE;
}

/* ---- byte strings as serde writes them ---- */

static void ints_read(struct cbor_in *c, struct buf *out)
{
    uint64_t n = cbor_in_array_upto(c, EIF_SIGNATURE_MAX);

    *out = BUF_INIT(EIF_SIGNATURE_MAX);
    for (uint64_t i = 0; i < n && c->err == ERR_OK; i++)
        if (buf_append_byte(out, (uint8_t)cbor_in_uint(c, UINT8_MAX)) != ERR_OK)
            cbor_in_fail(c, ERR_NOMEM, "memory");
}

static void ints_write(struct cbor_out *w, struct span bytes)
{
    cbor_out_array(w, bytes.len);
    for (size_t i = 0; i < bytes.len; i++)
        cbor_out_uint(w, bytes.ptr[i]);
}

static void key_read(struct cbor_in *c, const char *name)
{
    size_t at = c->pos;
    struct span got = cbor_in_tstr(c, NAME_MAX_BYTES);

    if (c->err == ERR_OK && !span_is(got, name)) {
        c->pos = at;
        cbor_in_fail(c, ERR_MALFORMED, "member name");
    }
}

/* What the COSE_Sign1 of this PCR0 has as its payload, to the byte. */
static enum err payload_write(const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out)
{
    struct cbor_out w = cbor_out_init(out);

    cbor_out_map(&w, 2);
    cbor_out_tstr(&w, SPAN_LIT("register_index"));
    cbor_out_uint(&w, REGISTER);
    cbor_out_tstr(&w, SPAN_LIT("register_value"));
    ints_write(&w, span_of(pcr0, ATTEST_PCR_BYTES));
    return cbor_out_end(&w);
}

/* ---- certificates ---- */

enum err eif_cert_from_pem(struct span pem, struct signer_cert **out, struct why *why)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(SIGNER_CERT_MAX_BYTES);

    enum err r = x509_pem_to_der(pem, &der, why);
    return r == ERR_OK ? signer_cert_parse(buf_view(&der), out, why) : r;
}

void eif_pcr8(const struct signer_cert *cert, struct attest_pcrs *pcrs)
{
    attest_pcr_measure(&signer_cert_facts(cert)->der, 1, pcrs->value[PCR8]);
    pcrs->present |= UINT32_C(1) << PCR8;
}

/* ---- reading ---- */

enum err eif_signature_parse(struct span section, struct eif_signature *out, struct why *why)
{
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    struct cbor_in c = cbor_in_init(section);

    cbor_in_array(&c, 1);
    cbor_in_map(&c, 2);
    key_read(&c, "signing_certificate"); /* QEMU too wants it first */
    ints_read(&c, &s.pem);
    key_read(&c, "signature");
    ints_read(&c, &s.cose);
    if (cbor_in_end(&c) != ERR_OK)
        return why_fail(why, c.err, c.what, c.pos);
    enum err r = eif_cert_from_pem(buf_view(&s.pem), &s.cert, why);
    if (r != ERR_OK)
        return r;
    *out = s;
    s = EIF_SIGNATURE_NONE;
    return ERR_OK;
}

enum err eif_signature_verify(const struct eif_signature *s,
                              const uint8_t pcr0[static ATTEST_PCR_BYTES], struct why *why)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(PAYLOAD_MAX);
    AUTO(buf_clear) struct buf tbs = BUF_INIT(TBS_MAX);
    struct cose_sign1 msg;
    struct span uhdr;
    int64_t alg = 0;

    enum err r = cose_sign1_split(buf_view(&s->cose), &msg, &uhdr, why);
    if (r != ERR_OK)
        return r;
    if (uhdr.len != 1 || cose_alg_parse(msg.phdr, &alg) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, "COSE headers", 0);
    if (alg != algs[signer_cert_facts(s->cert)->curve])
        return why_fail(why, ERR_UNSUPPORTED, "the algorithm is not the certificate's", 0);
    r = payload_write(pcr0, &payload);
    if (r != ERR_OK)
        return why_fail(why, r, "payload", 0);
    if (!span_eq(buf_view(&payload), msg.payload))
        return why_fail(why, ERR_VERIFY, "the signature is for another PCR0", 0);
    r = cose_sign1_tbs(msg.phdr, buf_view(&payload), &tbs);
    if (r == ERR_OK)
        r = signer_verify(s->cert, buf_view(&tbs), msg.sig);
    return r == ERR_OK ? r : why_fail(why, r, "signature", 0);
}

enum err eif_signature_check_time(const struct eif_signature *s, int64_t now, struct why *why)
{
    const struct signer_facts *f = signer_cert_facts(s->cert);

    if (now < f->not_before)
        return why_fail(why, ERR_VERIFY, "the signing certificate is not valid yet", 0);
    if (now > f->not_after)
        return why_fail(why, ERR_VERIFY, "the signing certificate has expired", 0);
    return ERR_OK;
}

/* ---- writing ---- */

static enum err phdr_write(enum signer_curve curve, struct buf *out)
{
    struct cbor_out w = cbor_out_init(out);

    cbor_out_map(&w, 1);
    cbor_out_int(&w, 1); /* alg: RFC 9052 section 3.1 */
    cbor_out_int(&w, algs[curve]);
    return cbor_out_end(&w);
}

enum err eif_signature_tbs(enum signer_curve curve, const uint8_t pcr0[static ATTEST_PCR_BYTES],
                           struct buf *out)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(PAYLOAD_MAX);
    AUTO(buf_clear) struct buf phdr = BUF_INIT(PHDR_BYTES);

    enum err r = phdr_write(curve, &phdr);
    if (r == ERR_OK)
        r = payload_write(pcr0, &payload);
    return r == ERR_OK ? cose_sign1_tbs(buf_view(&phdr), buf_view(&payload), out) : r;
}

static enum err cose_write(enum signer_curve curve, struct span sig,
                           const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(PAYLOAD_MAX);
    AUTO(buf_clear) struct buf phdr = BUF_INIT(PHDR_BYTES);
    struct cbor_out w = cbor_out_init(out);

    enum err r = phdr_write(curve, &phdr);
    if (r == ERR_OK)
        r = payload_write(pcr0, &payload);
    if (r != ERR_OK)
        return r;
    cbor_out_array(&w, 4);
    cbor_out_bstr(&w, buf_view(&phdr));
    cbor_out_map(&w, 0);
    cbor_out_bstr(&w, buf_view(&payload));
    cbor_out_bstr(&w, sig);
    return cbor_out_end(&w);
}

/* The section, if `sig` (r || s) really is the certificate's over this PCR0. */
static enum err section_write(struct span cert_pem, struct eif_signature *s, struct span sig,
                              const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out,
                              struct why *why)
{
    AUTO(buf_clear) struct buf section = BUF_INIT(EIF_SIGNATURE_MAX);
    struct cbor_out w = cbor_out_init(&section);

    buf_clear(&s->cose);
    s->cose = BUF_INIT(TBS_MAX + SIGNER_SIG_MAX);
    enum err r = cose_write(signer_cert_facts(s->cert)->curve, sig, pcr0, &s->cose);
    if (r == ERR_OK)
        r = eif_signature_verify(s, pcr0, NULL);
    if (r != ERR_OK)
        return why_fail(why, r, "the key does not belong to the certificate", 0);
    cbor_out_array(&w, 1);
    cbor_out_map(&w, 2);
    cbor_out_tstr(&w, SPAN_LIT("signing_certificate"));
    ints_write(&w, cert_pem);
    cbor_out_tstr(&w, SPAN_LIT("signature"));
    ints_write(&w, buf_view(&s->cose));
    r = cbor_out_end(&w);
    if (r == ERR_OK)
        r = buf_append(out, buf_view(&section));
    return r == ERR_OK ? r : why_fail(why, r, "the signature section is too long", 0);
}

enum err eif_signature_write(struct span cert_pem, const struct signer_key *key,
                             const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out,
                             struct why *why)
{
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    AUTO(buf_clear) struct buf tbs = BUF_INIT(TBS_MAX);
    enum signer_curve curve = signer_key_curve(key);
    uint8_t sig[SIGNER_SIG_MAX];

    enum err r = eif_cert_from_pem(cert_pem, &s.cert, why);
    if (r != ERR_OK)
        return r;
    if (signer_cert_facts(s.cert)->curve != curve)
        return why_fail(why, ERR_VERIFY, "the key does not belong to the certificate", 0);
    r = eif_signature_tbs(curve, pcr0, &tbs);
    if (r == ERR_OK)
        r = signer_sign(key, buf_view(&tbs), sig);
    if (r != ERR_OK)
        return why_fail(why, r, "signing", 0);
    return section_write(cert_pem, &s, span_of(sig, signer_sig_bytes(curve)), pcr0, out, why);
}

enum err eif_signature_attach(struct span cert_pem, struct span sig,
                              const uint8_t pcr0[static ATTEST_PCR_BYTES], struct buf *out,
                              struct why *why)
{
    AUTO(eif_signature_clear) struct eif_signature s = EIF_SIGNATURE_NONE;
    uint8_t raw[SIGNER_SIG_MAX];

    enum err r = eif_cert_from_pem(cert_pem, &s.cert, why);
    if (r != ERR_OK)
        return r;
    enum signer_curve curve = signer_cert_facts(s.cert)->curve;
    /* r || s that begins like DER is possible, and of one length only. */
    if (sig.len == signer_sig_bytes(curve) &&
        section_write(cert_pem, &s, sig, pcr0, out, NULL) == ERR_OK)
        return ERR_OK;
    if (signer_sig_from_der(curve, sig, raw) != ERR_OK)
        return why_fail(why, ERR_VERIFY, "not a signature of the certificate's key over this image",
                        0);
    r = section_write(cert_pem, &s, span_of(raw, signer_sig_bytes(curve)), pcr0, out, why);
    return r != ERR_VERIFY
               ? r
               : why_fail(why, r, "not a signature of the certificate's key over this image", 0);
}
