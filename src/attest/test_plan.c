#include "attest/test_plan.h"

#include "testing/t.h"

struct world w;

void plan_init(struct plan *p)
{
    static const char *const cn[CERTS] = { "test.root", "test.upper", "test.lower", "test.leaf" };
    const unsigned ca = X509_KU_DIGITAL_SIGNATURE | X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN;

    *p = (struct plan){ .at_s = NOW, .timestamp_ms = UINT64_C(1000) * NOW, .n_cabundle = 3 };
    for (int i = 0; i < CERTS; i++) {
        p->rq[i] = (struct x509_request){
            .subject = { .o = "Test", .cn = cn[i] },
            .key = w.pub[i],
            .not_before = NOW - DAY,
            .not_after = NOW + DAY,
            .is_ca = i != LEAF,
            .path_len = i == UPPER   ? 1
                        : i == LOWER ? 0
                                     : -1,
            .key_usage = i == LEAF ? X509_KU_DIGITAL_SIGNATURE : ca,
            .key_usage_critical = i != LEAF,
        };
        p->issuer[i] = w.key[i == ROOT ? ROOT : i - 1];
    }
    p->signer = w.key[LEAF];
    for (int i = 0; i < LEAF; i++)
        p->order[i] = i;
    p->patch.cert = -1;
}

static void patch_hex(struct buf *der, const char *from_hex, const char *to_hex)
{
    struct span from = t_unhex(from_hex), to = t_unhex(to_hex);
    unsigned n = 0;

    assert_int_equal(from.len, to.len);
    for (size_t i = 0; i + from.len <= der->len; i++) {
        if (!span_eq(span_of(der->ptr + i, from.len), from))
            continue;
        memcpy(der->ptr + i, to.ptr, to.len);
        n++;
    }
    assert_true(n > 0);
    t_free(from);
    t_free(to);
}

/* A certificate that is only a name and a key to issue with: the plan's issuer, or a look-alike. */
static void issuer_make(const struct plan *p, int i, const struct ec_key *key, struct x509 **out)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(DER_MAX);
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    struct x509_request rq = p->rq[i - 1];

    assert_int_equal(ec_key_pub(w.cx, key, &pub), ERR_OK);
    rq.key = pub;
    rq.issuer_key = key;
    rq.issuer = NULL;
    if (p->issuer_cn[i])
        rq.subject.cn = p->issuer_cn[i];
    assert_int_equal(x509_write(w.cx, &rq, &der), ERR_OK);
    assert_int_equal(x509_parse(w.cx, buf_view(&der), out, NULL), ERR_OK);
}

void cert_make(const struct plan *p, int i, struct buf *der)
{
    AUTO(x509_freep) struct x509 *issuer = NULL;
    struct x509_request rq = p->rq[i];

    rq.issuer_key = p->issuer[i];
    if (i != ROOT) {
        issuer_make(p, i, p->issuer[i], &issuer);
        rq.issuer = issuer;
    }
    assert_int_equal(x509_write(w.cx, &rq, der), ERR_OK);
    if (p->patch.cert == i)
        patch_hex(der, p->patch.from, p->patch.to);
}

void document_make(const struct plan *p, struct buf der[static CERTS], struct buf *out)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(ATTEST_DOC_MAX);
    struct attest_doc doc = {
        .module_id = SPAN_LIT("i-1-enc2"),
        .timestamp_ms = p->timestamp_ms,
        .pcrs = { .present = 1 },
        .certificate = p->bad_certificate ? SPAN_LIT("0") : buf_view(&der[LEAF]),
        .n_cabundle = p->n_cabundle,
    };

    if (p->pcrs)
        doc.pcrs = *p->pcrs;
    doc.public_key = p->public_key;
    for (size_t i = 0; i < p->n_cabundle; i++)
        doc.cabundle[i] = buf_view(&der[p->order[i]]);
    assert_int_equal(attest_doc_write(&doc, true, &payload), ERR_OK);
    assert_int_equal(cose_sign1_write(w.cx, p->signer, buf_view(&payload), out), ERR_OK);
}

int world_new(void **state)
{
    (void)state;
    assert_int_equal(crypto_new(&w.cx), ERR_OK);
    for (int i = 0; i < CERTS; i++) {
        assert_int_equal(ec_key_new(w.cx, &w.key[i]), ERR_OK);
        assert_int_equal(ec_key_pub(w.cx, w.key[i], &w.pub[i]), ERR_OK);
    }
    assert_int_equal(ec_key_new(w.cx, &w.other), ERR_OK);
    assert_int_equal(ec_key_pub(w.cx, w.other, &w.other_pub), ERR_OK);
    return 0;
}

int world_free(void **state)
{
    (void)state;
    for (int i = 0; i < CERTS; i++) {
        ec_key_free(w.key[i]);
        ec_pub_free(w.pub[i]);
    }
    ec_key_free(w.other);
    ec_pub_free(w.other_pub);
    crypto_free(w.cx);
    return 0;
}
