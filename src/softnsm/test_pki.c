#include "testing/t.h"

#include "softnsm/pki.h"

enum { NOW = 1700000000, HOUR = 3600, DAY = 24 * HOUR };

static struct crypto *cx;

static struct softnsm_identity us;

static int setup(void **state)
{
    (void)state;
    us = (struct softnsm_identity){
        .region = SPAN_LIT("us-east-1"),
        .instance_id = SPAN_LIT("i-0123456789abcdef0"),
        .module_id = SPAN_LIT("i-0123456789abcdef0-enc018bcfe568001234"),
    };
    return crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

static struct softnsm_pki *made(void)
{
    struct softnsm_pki *p = NULL;

    assert_int_equal(softnsm_pki_new(cx, NOW, &p), ERR_OK);
    assert_int_equal(softnsm_pki_renew(cx, p, &us, NOW, NULL), ERR_OK);
    return p;
}

static struct x509 *cert_at(const struct softnsm_pki *p, enum softnsm_level level)
{
    struct x509 *x = NULL;

    assert_int_equal(x509_parse(cx, softnsm_pki_der(p, level), &x, NULL), ERR_OK);
    return x;
}

enum {
    CA_USAGE = X509_KU_DIGITAL_SIGNATURE | X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN,
    LEAF_USAGE = X509_KU_DIGITAL_SIGNATURE | X509_KU_NON_REPUDIATION,
};

/* attestation-document reference, section 3. */
static const struct shape_row {
    const char *name;
    enum softnsm_level level;
    const char *cn_end;
    size_t cn_len;
    int path_len;
    unsigned usage;
    int64_t lifetime_s;
} shape_rows[] = {
    { "root", SOFTNSM_ROOT, "local.nitro-enclaves", 20, -1, CA_USAGE, (int64_t)10958 * DAY + HOUR },
    { "regional", SOFTNSM_REGIONAL, ".us-east-1.local.nitro-enclaves", 16 + 31, 2, CA_USAGE,
      20 * DAY + HOUR },
    { "zonal", SOFTNSM_ZONAL, ".zonal.us-east-1.local.nitro-enclaves", 16 + 37, 1, CA_USAGE,
      5 * DAY + 18 * HOUR },
    { "instance", SOFTNSM_INSTANCE, "i-0123456789abcdef0.us-east-1.local.nitro-enclaves", 50, 0,
      X509_KU_KEY_CERT_SIGN, DAY },
    { "leaf", SOFTNSM_LEAF, "i-0123456789abcdef0-enc018bcfe568001234.us-east-1.local", 55, -1,
      LEAF_USAGE, 3 * HOUR + 3 },
};

static void shape_row(void **state)
{
    const struct shape_row *row = *state;
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = made();
    AUTO(x509_freep) struct x509 *x = cert_at(p, row->level);
    const struct x509_facts *f = x509_facts(x);
    bool is_leaf = row->level == SOFTNSM_LEAF;

    assert_int_equal(f->common_name.len, row->cn_len);
    assert_true(
        span_is(span_from(f->common_name, f->common_name.len - strlen(row->cn_end)), row->cn_end));
    assert_true(f->der.len <= SOFTNSM_CERT_MAX_BYTES);
    assert_int_equal(f->not_after - f->not_before, row->lifetime_s);
    assert_int_equal(f->not_before, NOW - 3);
    assert_int_equal(f->path_len, row->path_len);
    assert_int_equal(f->key_usage, row->usage);
    assert_int_equal(f->key_usage_critical, !is_leaf);
    assert_int_equal(f->is_ca, !is_leaf);
    assert_true(f->basic_constraints_critical && f->is_p384 && f->sig_is_ecdsa_sha384);
    assert_false(f->has_unknown_critical);
    assert_null(memmem(f->der.ptr, f->der.len, "Amazon", 6));
    assert_null(memmem(f->der.ptr, f->der.len, "AWS", 3));
    assert_non_null(memmem(f->der.ptr, f->der.len, "Nitroseal", 9));
}

static void each_signs_the_next(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = made();
    (void)state;

    for (unsigned i = 1; i < SOFTNSM_LEVELS; i++) {
        AUTO(x509_freep) struct x509 *above = cert_at(p, (enum softnsm_level)(i - 1));
        AUTO(x509_freep) struct x509 *x = cert_at(p, (enum softnsm_level)i);
        assert_int_equal(x509_verify(cx, x, x509_pub(above)), ERR_OK);
        t_assert_span(x509_facts(x)->issuer, x509_facts(above)->subject);
    }
}

/* What is renewed when: the highest level that is replaced, LEVELS for none. */
static const struct renew_row {
    const char *name;
    int64_t after_s;
    enum softnsm_level highest;
} renew_rows[] = {
    { "at once", 0, SOFTNSM_LEVELS },
    { "leaf has an eighth left", 3 * HOUR * 7 / 8, SOFTNSM_LEAF },
    { "leaf has a quarter left", 3 * HOUR * 3 / 4, SOFTNSM_LEVELS },
    { "instance has three hours left", 21 * HOUR, SOFTNSM_INSTANCE },
    { "zonal near its end", 5 * DAY + 17 * HOUR, SOFTNSM_ZONAL },
    { "regional near its end", 20 * DAY, SOFTNSM_REGIONAL },
    { "a year later", (int64_t)365 * DAY, SOFTNSM_REGIONAL },
    { "clock went back a second", -1, SOFTNSM_LEVELS },
};

static void renew_row(void **state)
{
    const struct renew_row *row = *state;
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = made();
    struct span before[SOFTNSM_LEVELS];
    unsigned generation = softnsm_pki_generation(p);

    for (unsigned i = 0; i < SOFTNSM_LEVELS; i++)
        before[i] = t_copy(softnsm_pki_der(p, (enum softnsm_level)i));
    assert_int_equal(softnsm_pki_renew(cx, p, &us, NOW + row->after_s, NULL), ERR_OK);
    for (unsigned i = 0; i < SOFTNSM_LEVELS; i++) {
        assert_int_equal(span_eq(before[i], softnsm_pki_der(p, (enum softnsm_level)i)),
                         i < row->highest);
        t_free(before[i]);
    }
    assert_int_equal(softnsm_pki_generation(p) != generation, row->highest < SOFTNSM_LEAF);
}

static void root_out_of_time(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = made();
    struct why why = { 0 };
    (void)state;

    assert_int_equal(softnsm_pki_renew(cx, p, &us, NOW - DAY, &why), ERR_VERIFY);
    assert_string_equal(why.what, "the local root is not valid now");
    assert_int_equal(softnsm_pki_renew(cx, p, &us, NOW + (int64_t)11000 * DAY, &why), ERR_VERIFY);
    assert_non_null(softnsm_pki_leaf_key(p)); /* as before */
}

static void expired_leaf(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = NULL;
    struct softnsm_identity id = us;
    (void)state;

    id.expired_leaf = true;
    assert_int_equal(softnsm_pki_new(cx, NOW, &p), ERR_OK);
    assert_int_equal(softnsm_pki_renew(cx, p, &id, NOW, NULL), ERR_OK);
    AUTO(x509_freep) struct x509 *x = cert_at(p, SOFTNSM_LEAF);
    assert_true(x509_facts(x)->not_after < NOW - SOFTNSM_LEAF_S);
    assert_int_equal(softnsm_pki_renew(cx, p, &id, NOW, NULL), ERR_OK);
    t_assert_span(softnsm_pki_der(p, SOFTNSM_LEAF), x509_facts(x)->der);
}

/* Another instance or region gets other certificates from that level down. */
static void another_identity(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = made();
    struct softnsm_identity id = us;
    struct span zonal = t_copy(softnsm_pki_der(p, SOFTNSM_ZONAL));
    (void)state;

    id.instance_id = SPAN_LIT("i-2");
    assert_int_equal(softnsm_pki_renew(cx, p, &id, NOW, NULL), ERR_OK);
    t_assert_span(softnsm_pki_der(p, SOFTNSM_ZONAL), zonal);
    AUTO(x509_freep) struct x509 *instance = cert_at(p, SOFTNSM_INSTANCE);
    assert_true(span_is(x509_facts(instance)->common_name, "i-2.us-east-1.local.nitro-enclaves"));
    id.region = SPAN_LIT("eu-west-1");
    assert_int_equal(softnsm_pki_renew(cx, p, &id, NOW, NULL), ERR_OK);
    AUTO(x509_freep) struct x509 *regional = cert_at(p, SOFTNSM_REGIONAL);
    assert_true(span_is(span_from(x509_facts(regional)->common_name, 16),
                        ".eu-west-1.local.nitro-enclaves"));
    t_free(zonal);
}

static void kept_and_read(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = made();
    AUTO(softnsm_pki_freep) struct softnsm_pki *q = NULL;
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);
    (void)state;

    assert_int_equal(softnsm_pki_write(p, &pem), ERR_OK);
    assert_int_equal(softnsm_pki_parse(cx, buf_view(&pem), &q, NULL), ERR_OK);
    for (unsigned i = 0; i < SOFTNSM_LEAF; i++)
        t_assert_span(softnsm_pki_der(q, (enum softnsm_level)i),
                      softnsm_pki_der(p, (enum softnsm_level)i));
    assert_null(softnsm_pki_leaf_key(q));
    assert_null(softnsm_pki_der(q, SOFTNSM_LEAF).ptr);
    assert_int_equal(softnsm_pki_renew(cx, q, &us, NOW, NULL), ERR_OK);
    t_assert_span(softnsm_pki_der(q, SOFTNSM_INSTANCE), softnsm_pki_der(p, SOFTNSM_INSTANCE));
    assert_non_null(softnsm_pki_leaf_key(q));
}

static void root_alone_is_kept(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = NULL;
    AUTO(softnsm_pki_freep) struct softnsm_pki *q = NULL;
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);
    (void)state;

    assert_int_equal(softnsm_pki_new(cx, NOW, &p), ERR_OK);
    assert_int_equal(softnsm_pki_write(p, &pem), ERR_OK);
    assert_int_equal(softnsm_pki_parse(cx, buf_view(&pem), &q, NULL), ERR_OK);
    t_assert_span(softnsm_pki_der(q, SOFTNSM_ROOT), softnsm_pki_der(p, SOFTNSM_ROOT));
    pem.max = pem.len + 100; /* no room for a second copy */
    size_t before = pem.len;
    assert_int_equal(softnsm_pki_write(p, &pem), ERR_LIMIT);
    assert_int_equal(pem.len, before);
}

static void parse_fails(struct span pem, enum err want, const char *what)
{
    struct softnsm_pki *q = NULL;
    struct why why = { 0 };

    assert_int_equal(softnsm_pki_parse(cx, pem, &q, &why), want);
    if (what)
        assert_string_equal(why.what, what);
    assert_null(q);
}

/* The first `n` blocks (key and certificate) of a fresh PKI. */
static struct span blocks(const struct softnsm_pki *p, struct buf *pem)
{
    assert_int_equal(softnsm_pki_write(p, pem), ERR_OK);
    return buf_view(pem);
}

static void not_to_be_read(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = made();
    AUTO(softnsm_pki_freep) struct softnsm_pki *other = NULL;
    AUTO(buf_clear) struct buf pem = BUF_INIT(SOFTNSM_PKI_MAX_BYTES);
    AUTO(buf_clear) struct buf mixed = BUF_INIT((size_t)SOFTNSM_PKI_MAX_BYTES * 2);
    static const char zeros[SOFTNSM_PKI_MAX_BYTES + 1];
    (void)state;

    struct span all = blocks(p, &pem);
    parse_fails(SPAN_EMPTY, ERR_MALFORMED, "state is empty");
    parse_fails(SPAN_ARRAY(zeros), ERR_LIMIT, "state is too long");
    parse_fails(SPAN_LIT("nothing"), ERR_MALFORMED, NULL);
    parse_fails(span_sub(all, 0, all.len / 2), ERR_MALFORMED, NULL);

    /* The root twice: the second is its own issuer, so it fits; a fifth block does not. */
    assert_int_equal(buf_append(&mixed, all), ERR_OK);
    assert_int_equal(buf_append(&mixed, all), ERR_OK);
    parse_fails(buf_view(&mixed), ERR_MALFORMED, "state has more than it should");

    /* A root of its own, then our chain. */
    assert_int_equal(softnsm_pki_new(cx, NOW, &other), ERR_OK);
    buf_clear(&mixed);
    assert_int_equal(softnsm_pki_write(other, &mixed), ERR_OK);
    const char *second = memmem(all.ptr, all.len, "-----END CERTIFICATE-----\n", 26);
    assert_non_null(second);
    struct span rest = span_from(all, (size_t)(second + 26 - (const char *)all.ptr));
    assert_int_equal(buf_append(&mixed, rest), ERR_OK);
    parse_fails(buf_view(&mixed), ERR_VERIFY, "a certificate is not its issuer's");

    /* Somebody else's key before our certificate. */
    buf_clear(&mixed);
    assert_int_equal(softnsm_pki_write(other, &mixed), ERR_OK);
    const char *cert = memmem(mixed.ptr, mixed.len, "-----BEGIN CERTIFICATE", 22);
    buf_truncate(&mixed, (size_t)(cert - (const char *)mixed.ptr));
    const char *ours = memmem(all.ptr, all.len, "-----BEGIN CERTIFICATE", 22);
    assert_int_equal(buf_append(&mixed, span_from(all, (size_t)(ours - (const char *)all.ptr))),
                     ERR_OK);
    parse_fails(buf_view(&mixed), ERR_VERIFY, "a key does not belong to its certificate");
}

static void name_too_long(void **state)
{
    AUTO(softnsm_pki_freep) struct softnsm_pki *p = NULL;
    struct softnsm_identity id = us;
    struct why why = { 0 };
    (void)state;

    id.module_id = SPAN_LIT("0123456789012345678901234567890123456789012345678");
    assert_int_equal(softnsm_pki_new(cx, NOW, &p), ERR_OK);
    assert_int_not_equal(softnsm_pki_renew(cx, p, &id, NOW, &why), ERR_OK);
    assert_string_equal(why.what, "cannot make a certificate");
    assert_null(softnsm_pki_leaf_key(p));
    assert_int_equal(softnsm_pki_renew(cx, p, &us, NOW, &why), ERR_OK);
}

enum {
    SHAPE_ROWS = sizeof(shape_rows) / sizeof(shape_rows[0]),
    RENEW_ROWS = sizeof(renew_rows) / sizeof(renew_rows[0]),
};

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(each_signs_the_next), cmocka_unit_test(root_out_of_time),
        cmocka_unit_test(expired_leaf),        cmocka_unit_test(another_identity),
        cmocka_unit_test(kept_and_read),       cmocka_unit_test(root_alone_is_kept),
        cmocka_unit_test(not_to_be_read),      cmocka_unit_test(name_too_long),
    };
    static struct CMUnitTest tests[SHAPE_ROWS + RENEW_ROWS + sizeof(own) / sizeof(own[0])];
    size_t n = 0;

    n += T_ROWS(tests + n, shape_rows, shape_row);
    n += T_ROWS(tests + n, renew_rows, renew_row);
    memcpy(&tests[n], own, sizeof(own));
    return cmocka_run_group_tests(tests, setup, teardown);
}
