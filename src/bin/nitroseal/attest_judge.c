#include "base/hex.h"
#include "bin/nitroseal/attest.h"
#include "enclave/enclave.h"

enum { SKEW_S = 300, MS_PER_S = 1000 };

static int unverified(struct cli_fault *f, const char *text)
{
    return cli_fault_set(f, CLI_UNVERIFIED, "%s", text);
}

/* The document's own time, before anything is believed: for --at document. */
static int time_of(struct span document, int64_t *out, struct cli_fault *f)
{
    struct attest_doc doc;
    struct why why = { 0 };

    if (attest_doc_parse(document, &doc, &why) != ERR_OK)
        return cli_fault_set(f, CLI_UNVERIFIED,
                             _("this is not an attestation document: %s (byte %zu)"), why.what,
                             why.at);
    *out = (int64_t)(doc.timestamp_ms / MS_PER_S);
    return CLI_OK;
}

static int chain(struct crypto *cx, struct span document, const struct attest_question *q,
                 int64_t at_s, struct attest_verified *out, struct cli_fault *f)
{
    struct why why = { 0 };
    enum err r = attest_verify(cx, document, q->root_der, at_s, out, &why);

    if (r == ERR_OK)
        return CLI_OK;
    if (r == ERR_VERIFY && why.what && strcmp(why.what, "root") == 0)
        return unverified(
            f, q->aws_root ? _("the document does not verify: its chain does not end at AWS's "
                               "Nitro root (a document of a software NSM needs --root)")
                           : _("the document does not verify: its chain does not end at the "
                               "given root"));
    if (r == ERR_VERIFY && why.what && strcmp(why.what, "certificate time") == 0)
        return unverified(f,
                          _("the document does not verify: a certificate of its chain is not "
                            "valid at that time (a document's own lives three hours; --at judges "
                            "a saved document at another time)"));
    if (r == ERR_NOMEM || r == ERR_CRYPTO || r == ERR_INTERNAL)
        return cli_fault_set(f, CLI_FAILED, _("could not judge the document: %s"), err_name(r));
    return cli_fault_set(f, CLI_UNVERIFIED, _("the document does not verify: %s"), why.what);
}

static int age(const struct attest_question *q, const struct attest_verified *v, int64_t at_s,
               struct cli_fault *f)
{
    int64_t made_s = (int64_t)(v->doc.timestamp_ms / MS_PER_S);

    if (q->max_age_s == 0)
        return CLI_OK;
    if (made_s > at_s && made_s - at_s > SKEW_S)
        return cli_fault_set(f, CLI_UNVERIFIED,
                             _("the document is %lld seconds in the future: one of the clocks is "
                               "wrong"),
                             (long long)(made_s - at_s));
    if (at_s > made_s && (uint64_t)(at_s - made_s) > q->max_age_s)
        return cli_fault_set(f, CLI_UNVERIFIED,
                             _("the document is %lld seconds old, more than %llu allowed"),
                             (long long)(at_s - made_s), (unsigned long long)q->max_age_s);
    return CLI_OK;
}

/* Names the first PCR that differs, and both values. */
static int differing(const struct attest_question *q, const struct attest_verified *v,
                     const char *what, struct cli_fault *f)
{
    for (unsigned i = 0; i < ATTEST_PCRS; i++) {
        char is[2 * ATTEST_PCR_BYTES + 1], want[2 * ATTEST_PCR_BYTES + 1];
        if (!(q->want.present & v->doc.pcrs.present & UINT32_C(1) << i) ||
            memcmp(q->want.value[i], v->doc.pcrs.value[i], ATTEST_PCR_BYTES) == 0)
            continue;
        hex_write(SPAN_ARRAY(v->doc.pcrs.value[i]), is);
        hex_write(SPAN_ARRAY(q->want.value[i]), want);
        return cli_fault_set(f, CLI_UNVERIFIED, _("PCR%u differs: the enclave has %s, expected %s"),
                             i, is, want);
    }
    return unverified(f, what);
}

static int pcrs(const struct attest_question *q, const struct attest_verified *v,
                struct cli_fault *f)
{
    struct why why = { 0 };

    if (!q->allow_debug && attest_is_debug(&v->doc.pcrs))
        return unverified(f, _("this is a debug enclave (PCR0, PCR1 and PCR2 are zero), which "
                               "proves nothing about its image; --allow-debug accepts it"));
    if (q->any_image)
        return CLI_OK;
    enum err r = attest_pcrs_check(v, &q->want, q->allow_debug, &why);
    if (r == ERR_OK)
        return CLI_OK;
    if (r == ERR_MALFORMED && q->want.present != 0)
        return unverified(f, _("PCR3 and PCR4 are those of the parent, in a debug enclave too: "
                               "expect PCR0 as well (--pcr 0=HEX)"));
    return differing(q, v, why.what, f);
}

int attest_judge(struct crypto *cx, struct span document, const struct attest_question *q,
                 struct attest_verified *out, struct cli_fault *f)
{
    struct attest_verified v;
    int64_t at_s = q->at_s;
    int status = CLI_OK;

    if (at_s == AT_DOCUMENT)
        status = time_of(document, &at_s, f);
    if (status == CLI_OK)
        status = chain(cx, document, q, at_s, &v, f);
    if (status != CLI_OK)
        return status;
    if (q->nonce.ptr && !ct_eq(q->nonce, v.doc.nonce))
        return unverified(f, _("the document's nonce is not the one that was sent: a replay, or "
                               "another request's document"));
    if (q->fresh && !span_is(v.doc.user_data, ENCLAVE_ATTEST_LABEL))
        return unverified(f, _("the document's user data is not the label of this service"));
    if (q->fresh && v.doc.public_key.ptr)
        return unverified(f, _("the document carries a public key: the service must not make such "
                               "documents for callers"));
    status = age(q, &v, at_s, f);
    if (status == CLI_OK)
        status = pcrs(q, &v, f);
    if (status == CLI_OK)
        *out = v;
    return status;
}
