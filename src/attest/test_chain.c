#include "testing/t.h"

#include "attest/test_plan.h"
#include "crypto/hash.h"

/* ---- what the rows change ---- */

static void as_it_is(struct plan *p)
{
    (void)p;
}
static void root_alone(struct plan *p)
{
    p->n_cabundle = 1;
    p->rq[LEAF].issuer = NULL;
    p->issuer[LEAF] = w.key[ROOT];
    p->issuer_cn[LEAF] = "test.root";
}
static void root_path_len_fits(struct plan *p)
{
    p->rq[ROOT].path_len = 2;
}
static void path_len_huge(struct plan *p)
{
    p->rq[UPPER].path_len = 65535;
}
static void root_path_len_short(struct plan *p)
{
    p->rq[ROOT].path_len = 1;
}
static void upper_path_len_short(struct plan *p)
{
    p->rq[UPPER].path_len = 0;
}
static void upper_no_path_len(struct plan *p)
{
    p->rq[UPPER].path_len = -1;
}
static void upper_not_ca(struct plan *p)
{
    p->rq[UPPER].is_ca = false;
    p->rq[UPPER].path_len = -1;
}
static void root_not_ca(struct plan *p)
{
    p->rq[ROOT].is_ca = false;
}
static void leaf_is_ca(struct plan *p)
{
    p->rq[LEAF].is_ca = true;
}
static void leaf_path_len(struct plan *p)
{
    p->rq[LEAF].path_len = 0;
}
static void constraints_not_critical(struct plan *p)
{
    p->patch.cert = LOWER;
    p->patch.from = "551d130101ff";
    p->patch.to = "551d13010100";
}
static void constraints_missing(struct plan *p)
{
    p->patch.cert = LOWER; /* an unknown extension, not critical, in its place */
    p->patch.from = "551d130101ff";
    p->patch.to = "551d63010100";
}
static void upper_no_usage(struct plan *p)
{
    p->rq[UPPER].key_usage = 0;
}
static void upper_wrong_usage(struct plan *p)
{
    p->rq[UPPER].key_usage = X509_KU_DIGITAL_SIGNATURE | X509_KU_CRL_SIGN;
}
static void root_wrong_usage(struct plan *p)
{
    p->rq[ROOT].key_usage = X509_KU_CRL_SIGN;
}
static void usage_not_critical(struct plan *p)
{
    p->rq[UPPER].key_usage_critical = false;
}
static void leaf_no_usage(struct plan *p)
{
    p->rq[LEAF].key_usage = 0;
}
static void leaf_wrong_usage(struct plan *p)
{
    p->rq[LEAF].key_usage = X509_KU_KEY_CERT_SIGN;
}
static void unknown_critical(struct plan *p)
{
    p->patch.cert = LOWER;
    p->patch.from = "551d0f0101ff";
    p->patch.to = "551d630101ff";
}
static void other_extensions(struct plan *p)
{
    p->rq[LEAF].server_auth = true;
    p->rq[LEAF].key_ids = p->rq[UPPER].key_ids = true;
}
static void sha256_leaf(struct plan *p)
{
    p->patch.cert = LEAF;
    p->patch.from = "06082a8648ce3d040303"; /* ecdsa-with-SHA384 */
    p->patch.to = "06082a8648ce3d040302";   /* ecdsa-with-SHA256 */
}
static void secp256k1_lower(struct plan *p)
{
    p->patch.cert = LOWER;
    p->patch.from = "06052b81040022"; /* secp384r1 */
    p->patch.to = "06052b8104000a";   /* secp256k1 */
}
static void leaf_expired(struct plan *p)
{
    p->rq[LEAF].not_after = NOW - 1;
}
static void leaf_last_second(struct plan *p)
{
    p->rq[LEAF].not_after = NOW;
}
static void leaf_first_second(struct plan *p)
{
    p->rq[LEAF].not_before = NOW;
}
static void leaf_not_yet(struct plan *p)
{
    p->rq[LEAF].not_before = NOW + 1;
}
static void upper_expired(struct plan *p)
{
    p->rq[UPPER].not_after = NOW - 1;
}
static void root_expired(struct plan *p)
{
    p->rq[ROOT].not_after = NOW - 1;
}
static void root_not_yet(struct plan *p)
{
    p->rq[ROOT].not_before = NOW + 1;
}
static void judged_next_week(struct plan *p)
{
    p->at_s = NOW + 7 * DAY;
}
static void judged_before_1970(struct plan *p)
{
    p->at_s = INT64_MIN;
}
static void document_before_leaf(struct plan *p)
{
    p->timestamp_ms = UINT64_C(1000) * (NOW - DAY) - 1;
}
static void document_at_leaf_start(struct plan *p)
{
    p->timestamp_ms = UINT64_C(1000) * (NOW - DAY);
}
static void document_in_last_second(struct plan *p)
{
    p->timestamp_ms = UINT64_C(1000) * (NOW + DAY) + 999;
}
static void document_after_leaf(struct plan *p)
{
    p->timestamp_ms = UINT64_C(1000) * (NOW + DAY + 1);
}
static void document_at_the_end_of_time(struct plan *p)
{
    p->timestamp_ms = UINT64_MAX;
}
static void leaf_issuer_name(struct plan *p)
{
    p->issuer_cn[LEAF] = "test.l0wer";
}
static void leaf_issuer_key(struct plan *p)
{
    p->issuer[LEAF] = w.other;
}
static void upper_issuer_key(struct plan *p)
{
    p->issuer[UPPER] = w.other;
}
static void leaf_from_upper(struct plan *p)
{
    p->issuer[LEAF] = w.key[UPPER]; /* in the name of lower */
}
static void leaf_signature_bit(struct plan *p)
{
    p->patch.cert = LEAF;
    p->patch.from = "040403020780"; /* keyUsage gains nonRepudiation */
    p->patch.to = "0404030206c0";
}
static void signed_by_lower(struct plan *p)
{
    p->signer = w.key[LOWER];
}
static void signed_by_other(struct plan *p)
{
    p->signer = w.other;
}
static void look_alike_root(struct plan *p)
{
    p->other_root = true;
}
static void no_root(struct plan *p)
{
    p->order[0] = UPPER;
    p->order[1] = LOWER;
    p->n_cabundle = 2;
}
static void swapped(struct plan *p)
{
    p->order[1] = LOWER;
    p->order[2] = UPPER;
}
static void reversed(struct plan *p)
{
    p->order[0] = LOWER;
    p->order[2] = ROOT;
}
static void intermediate_missing(struct plan *p)
{
    p->order[1] = LOWER;
    p->n_cabundle = 2;
}
static void extra_at_the_end(struct plan *p)
{
    p->order[3] = LEAF;
    p->n_cabundle = 4;
}
static void root_twice(struct plan *p)
{
    p->order[1] = ROOT;
    p->order[2] = UPPER;
    p->order[3] = LOWER;
    p->n_cabundle = 4;
}
static void no_certificate(struct plan *p)
{
    p->bad_certificate = true;
}

static const struct row {
    const char *name;
    void (*change)(struct plan *p);
    enum err want;
    const char *what;
} rows[] = {
    { "as it is", as_it_is, ERR_OK, NULL },
    { "root issues the leaf", root_alone, ERR_OK, NULL },
    { "root's pathLen fits", root_path_len_fits, ERR_OK, NULL },
    { "huge pathLen", path_len_huge, ERR_OK, NULL },
    { "no pathLen", upper_no_path_len, ERR_OK, NULL },
    { "root's pathLen exceeded", root_path_len_short, ERR_VERIFY, "path length" },
    { "pathLen exceeded", upper_path_len_short, ERR_VERIFY, "path length" },
    { "intermediate is no CA", upper_not_ca, ERR_VERIFY, "basic constraints" },
    { "root is no CA", root_not_ca, ERR_VERIFY, "basic constraints" },
    { "leaf is a CA", leaf_is_ca, ERR_VERIFY, "basic constraints" },
    { "leaf has pathLen", leaf_path_len, ERR_VERIFY, "basic constraints" },
    { "constraints not critical", constraints_not_critical, ERR_VERIFY, "basic constraints" },
    { "constraints missing", constraints_missing, ERR_VERIFY, "basic constraints" },
    { "intermediate without key usage", upper_no_usage, ERR_VERIFY, "key usage" },
    { "intermediate may not sign certificates", upper_wrong_usage, ERR_VERIFY, "key usage" },
    { "root may not sign certificates", root_wrong_usage, ERR_VERIFY, "key usage" },
    { "key usage not critical", usage_not_critical, ERR_OK, NULL },
    { "leaf without key usage", leaf_no_usage, ERR_VERIFY, "key usage" },
    { "leaf may not sign documents", leaf_wrong_usage, ERR_VERIFY, "key usage" },
    { "unknown critical extension", unknown_critical, ERR_VERIFY, "critical extension" },
    { "other extensions", other_extensions, ERR_OK, NULL },
    { "leaf signed over SHA-256", sha256_leaf, ERR_VERIFY, "chain signature" },
    { "intermediate on another curve", secp256k1_lower, ERR_VERIFY, "certificate key" },
    { "leaf expired", leaf_expired, ERR_VERIFY, "certificate time" },
    { "leaf in its last second", leaf_last_second, ERR_OK, NULL },
    { "leaf in its first second", leaf_first_second, ERR_OK, NULL },
    { "leaf not valid yet", leaf_not_yet, ERR_VERIFY, "certificate time" },
    { "intermediate expired", upper_expired, ERR_VERIFY, "certificate time" },
    { "root expired", root_expired, ERR_VERIFY, "certificate time" },
    { "root not valid yet", root_not_yet, ERR_VERIFY, "certificate time" },
    { "judged next week", judged_next_week, ERR_VERIFY, "certificate time" },
    { "judged before 1970", judged_before_1970, ERR_VERIFY, "certificate time" },
    { "document before the leaf", document_before_leaf, ERR_VERIFY, "document time" },
    { "document at the leaf's start", document_at_leaf_start, ERR_OK, NULL },
    { "document in the leaf's last second", document_in_last_second, ERR_OK, NULL },
    { "document after the leaf", document_after_leaf, ERR_VERIFY, "document time" },
    { "document at 2^64 - 1", document_at_the_end_of_time, ERR_VERIFY, "document time" },
    { "leaf's issuer has another name", leaf_issuer_name, ERR_VERIFY, "chain names" },
    { "leaf's issuer has another key", leaf_issuer_key, ERR_VERIFY, "chain signature" },
    { "intermediate's issuer has another key", upper_issuer_key, ERR_VERIFY, "chain signature" },
    { "leaf signed by the upper one", leaf_from_upper, ERR_VERIFY, "chain signature" },
    { "leaf altered", leaf_signature_bit, ERR_VERIFY, "chain signature" },
    { "document signed by the issuer", signed_by_lower, ERR_VERIFY, "document signature" },
    { "document signed by a stranger", signed_by_other, ERR_VERIFY, "document signature" },
    { "look-alike root", look_alike_root, ERR_VERIFY, "root" },
    { "root left out", no_root, ERR_VERIFY, "root" },
    { "intermediates swapped", swapped, ERR_VERIFY, "chain names" },
    { "cabundle reversed", reversed, ERR_VERIFY, "root" },
    { "intermediate missing", intermediate_missing, ERR_VERIFY, "chain names" },
    { "extra certificate at the end", extra_at_the_end, ERR_VERIFY, "path length" },
    { "root twice", root_twice, ERR_VERIFY, "chain names" },
    { "certificate is none", no_certificate, ERR_MALFORMED, "certificate" },
};

static struct attest_seen seen_by_rows;

static void chain_row(void **state)
{
    const struct row *row = *state;
    struct buf der[CERTS], document = BUF_INIT(ATTEST_DOC_MAX), twin = BUF_INIT(DER_MAX);
    struct attest_verified v = { .not_after = 777 };
    struct why why = { 0 };
    struct plan p;

    plan_init(&p);
    row->change(&p);
    for (int i = 0; i < CERTS; i++) {
        der[i] = BUF_INIT(DER_MAX);
        cert_make(&p, i, &der[i]);
    }
    document_make(&p, der, &document);
    struct x509_request look_alike = p.rq[ROOT];
    look_alike.key = w.other_pub;
    look_alike.issuer_key = w.other;
    assert_int_equal(x509_write(w.cx, &look_alike, &twin), ERR_OK);
    struct span root = buf_view(p.other_root ? &twin : &der[ROOT]);

    assert_int_equal(attest_verify(w.cx, buf_view(&document), root, p.at_s, &v, &why), row->want);
    if (row->want == ERR_OK) {
        assert_int_equal(v.not_after, p.rq[LEAF].not_after);
        assert_int_equal(v.not_before, p.rq[LEAF].not_before);
        assert_int_equal(v.doc.timestamp_ms, p.timestamp_ms);
    } else {
        assert_string_equal(why.what, row->what);
        assert_int_equal(v.not_after, 777);
    }
    /* The verdict is the same whatever was seen before, of this chain and of others. */
    for (int again = 0; again < 2; again++) {
        why.what = "";
        assert_int_equal(
            attest_verify_seen(w.cx, buf_view(&document), root, p.at_s, &seen_by_rows, &v, &why),
            row->want);
        if (row->want != ERR_OK)
            assert_string_equal(why.what, row->what);
    }
    for (int i = 0; i < CERTS; i++)
        buf_clear(&der[i]);
    buf_clear(&document);
    buf_clear(&twin);
}

/* Documents under a chain that is known: found, and refused for their own faults all the same. */
static void known_chain(void **state)
{
    static struct attest_seen known;
    static struct attest_verified v;
    struct buf der[CERTS], document = BUF_INIT(ATTEST_DOC_MAX);
    struct why why = { 0 };
    struct plan p;
    (void)state;

    plan_init(&p);
    p.rq[UPPER].not_after = NOW + 50;
    for (int i = 0; i < CERTS; i++) {
        der[i] = BUF_INIT(DER_MAX);
        cert_make(&p, i, &der[i]);
    }
    const struct span root = buf_view(&der[ROOT]), other = buf_view(&der[UPPER]);
    static const struct {
        int64_t at_s, stamp_s;
        bool other_root, other_signer;
        const char *what; /* NULL: it holds */
        unsigned found;
    } steps[] = {
        { NOW, NOW, false, true, "document signature", 0 }, /* keeps nothing */
        { NOW, NOW, false, false, NULL, 0 },
        { NOW + 50, NOW + 1, false, false, NULL, 1 },
        { NOW + 51, NOW + 1, false, false, "certificate time", 1 },
        { NOW, NOW + 2, false, true, "document signature", 2 },
        { NOW, NOW - 10 * DAY, false, false, "document time", 3 },
        { NOW, NOW, true, false, "root", 3 },
        { NOW, NOW + 3, false, false, NULL, 4 },
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        p.timestamp_ms = (uint64_t)steps[i].stamp_s * 1000;
        p.signer = steps[i].other_signer ? w.other : w.key[LEAF];
        buf_reset(&document);
        document_make(&p, der, &document);
        enum err r =
            attest_verify_seen(w.cx, buf_view(&document), steps[i].other_root ? other : root,
                               steps[i].at_s, &known, &v, &why);
        assert_int_equal(r, steps[i].what ? ERR_VERIFY : ERR_OK);
        if (steps[i].what)
            assert_string_equal(why.what, steps[i].what);
        else
            assert_int_equal(v.chain_to, NOW + 50);
        assert_int_equal(known.chains_found, steps[i].found);
    }
    attest_seen_clear(&known);
    for (int i = 0; i < CERTS; i++)
        buf_clear(&der[i]);
    buf_clear(&document);
}

/* More chains than are kept: the oldest makes room. */
static void many_chains(void **state)
{
    static struct attest_seen known;
    static struct attest_verified v;
    struct buf der[CERTS], document = BUF_INIT(ATTEST_DOC_MAX);
    struct plan p;
    (void)state;

    plan_init(&p);
    for (int i = 0; i < CERTS; i++) {
        der[i] = BUF_INIT(DER_MAX);
        cert_make(&p, i, &der[i]);
    }
    for (unsigned n = 0; n <= ATTEST_CHAINS_MAX + 1; n++) {
        if (n <= ATTEST_CHAINS_MAX) { /* another leaf each time; the last one twice */
            p.rq[LEAF].not_after++;
            buf_reset(&der[LEAF]);
            cert_make(&p, LEAF, &der[LEAF]);
        }
        buf_reset(&document);
        document_make(&p, der, &document);
        assert_int_equal(attest_verify_seen(w.cx, buf_view(&document), buf_view(&der[ROOT]), NOW,
                                            &known, &v, NULL),
                         ERR_OK);
    }
    assert_int_equal(known.chains_found, 1);
    assert_int_equal(known.n_chains, ATTEST_CHAINS_MAX + 1);
    attest_seen_clear(&known);
    for (int i = 0; i < CERTS; i++)
        buf_clear(&der[i]);
    buf_clear(&document);
}

/* No flipped bit of a good document is accepted, although its certificates have been seen. */
static void every_flipped_bit(void **state)
{
    struct buf der[CERTS], document = BUF_INIT(ATTEST_DOC_MAX);
    static struct attest_verified v;
    static struct attest_seen seen;
    struct plan p;
    (void)state;

    plan_init(&p);
    root_alone(&p);
    for (int i = 0; i < CERTS; i++) {
        der[i] = BUF_INIT(DER_MAX);
        cert_make(&p, i, &der[i]);
    }
    document_make(&p, der, &document);
    struct span root = buf_view(&der[ROOT]);
    assert_int_equal(attest_verify_seen(w.cx, buf_view(&document), root, NOW, &seen, &v, NULL),
                     ERR_OK);
    assert_int_equal(seen.n, 1);
    for (size_t bit = 0; bit < document.len * 8; bit++) {
        document.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (attest_verify_seen(w.cx, buf_view(&document), root, NOW, &seen, &v, NULL) == ERR_OK)
            fail_msg("bit %zu", bit);
        document.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    attest_seen_clear(&seen);
    for (int i = 0; i < CERTS; i++)
        buf_clear(&der[i]);
    buf_clear(&document);
}

/* The fingerprint as AWS publishes it, typed from there. */
static void aws_root(void **state)
{
    struct span want = t_unhex("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
    AUTO(x509_freep) struct x509 *root = NULL;
    uint8_t got[SHA256_BYTES];
    (void)state;

    assert_int_equal(attest_aws_root_g1_der().len, 533);
    sha256(attest_aws_root_g1_der(), got);
    t_assert_span(SPAN_ARRAY(got), want);
    t_assert_span(SPAN_ARRAY(attest_aws_root_g1_sha256), want);
    assert_int_equal(x509_parse(w.cx, attest_aws_root_g1_der(), &root, NULL), ERR_OK);
    assert_true(span_is(x509_facts(root)->common_name, "aws.nitro-enclaves"));
    assert_int_equal(x509_facts(root)->not_before, 1572269285);
    assert_int_equal(x509_facts(root)->not_after, 2519044085);
    assert_int_equal(x509_verify(w.cx, root, x509_pub(root)), ERR_OK);
    t_free(want);
}

static void aws_root_refuses_ours(void **state)
{
    struct buf der[CERTS], document = BUF_INIT(ATTEST_DOC_MAX);
    static struct attest_verified v;
    struct why why = { 0 };
    struct plan p;
    (void)state;

    plan_init(&p);
    for (int i = 0; i < CERTS; i++) {
        der[i] = BUF_INIT(DER_MAX);
        cert_make(&p, i, &der[i]);
    }
    document_make(&p, der, &document);
    assert_int_equal(
        attest_verify(w.cx, buf_view(&document), attest_aws_root_g1_der(), NOW, &v, &why),
        ERR_VERIFY);
    assert_string_equal(why.what, "root");
    assert_int_equal(attest_verify(w.cx, buf_view(&document), SPAN_EMPTY, NOW, &v, &why),
                     ERR_VERIFY);
    for (int i = 0; i < CERTS; i++)
        buf_clear(&der[i]);
    buf_clear(&document);
}

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(known_chain),           cmocka_unit_test(many_chains),
        cmocka_unit_test(every_flipped_bit),     cmocka_unit_test(aws_root),
        cmocka_unit_test(aws_root_refuses_ours),
    };
    static struct CMUnitTest tests[ROWS + sizeof(own) / sizeof(own[0])];

    T_ROWS(tests, rows, chain_row);
    memcpy(&tests[ROWS], own, sizeof(own));
    int failed = cmocka_run_group_tests(tests, world_new, world_free);
    attest_seen_clear(&seen_by_rows);
    return failed;
}
