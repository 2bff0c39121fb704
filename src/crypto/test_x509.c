/* Reading certificates: facts, faults, real ones, signatures. */
#include "crypto/x509.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/test_keys.h"
#include "crypto/x509_oracle.h"
#include "testing/t.h"

static struct crypto *cx;
static struct ec_key *ca_key, *leaf_key;
static struct ec_pub *ca_pub, *leaf_pub;
static struct buf ca_der, leaf_der; /* the fixtures: a CA, and a server's certificate under it */
static struct x509 *ca;

enum { LEAP_DAY_2024 = 1709164800 };

static void make_fixtures(void)
{
    static const char *const dns[] = { "kms.example", NULL };
    static const char *const ip[] = { "127.0.0.1", NULL };
    struct x509_request rq = { .subject = { .c = "US", .o = "Nitroseal", .cn = "Test root" },
                               .issuer_key = ca_key,
                               .key = ca_pub,
                               .not_before = LEAP_DAY_2024,
                               .not_after = INT64_C(2524608000),
                               .serial = SPAN_LIT("\x01\x02\x03\x04"),
                               .is_ca = true,
                               .path_len = 2,
                               .key_usage = X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN,
                               .key_usage_critical = true,
                               .key_ids = true };

    ca_der = BUF_INIT(X509_MAX_BYTES);
    leaf_der = BUF_INIT(X509_MAX_BYTES);
    assert_int_equal(x509_write(cx, &rq, &ca_der), ERR_OK);
    assert_int_equal(x509_parse(cx, buf_view(&ca_der), &ca, NULL), ERR_OK);
    rq.subject = (struct x509_name){ .cn = "Leaf" };
    rq.issuer = ca;
    rq.key = leaf_pub;
    rq.is_ca = false;
    rq.path_len = -1;
    rq.key_usage = X509_KU_DIGITAL_SIGNATURE;
    rq.key_usage_critical = false;
    rq.dns_names = dns;
    rq.ip_names = ip;
    rq.server_auth = true;
    assert_int_equal(x509_write(cx, &rq, &leaf_der), ERR_OK);
}

static void facts_of_the_ca(void **state)
{
    (void)state;
    const struct x509_facts *f = x509_facts(ca);

    t_assert_span(f->der, buf_view(&ca_der));
    t_assert_span(f->common_name, SPAN_LIT("Test root"));
    t_assert_span(f->subject, f->issuer);
    assert_int_equal(f->not_before, LEAP_DAY_2024);
    assert_true(f->not_after == INT64_C(2524608000));
    assert_true(f->is_ca && f->has_basic_constraints && f->basic_constraints_critical);
    assert_int_equal(f->path_len, 2);
    assert_true(f->has_key_usage && f->key_usage_critical);
    assert_int_equal(f->key_usage, X509_KU_KEY_CERT_SIGN | X509_KU_CRL_SIGN);
    assert_false(f->has_unknown_critical);
    assert_true(f->is_p384 && f->sig_is_ecdsa_sha384);
    assert_non_null(x509_pub(ca));
    assert_null(x509_oracle(ca));
}

static void facts_of_the_leaf(void **state)
{
    (void)state;
    AUTO(x509_freep) struct x509 *leaf = NULL;

    assert_int_equal(x509_parse(cx, buf_view(&leaf_der), &leaf, NULL), ERR_OK);
    const struct x509_facts *f = x509_facts(leaf);
    t_assert_span(f->common_name, SPAN_LIT("Leaf"));
    t_assert_span(f->issuer, x509_facts(ca)->subject);
    assert_false(f->is_ca);
    assert_true(f->has_basic_constraints);
    assert_int_equal(f->path_len, -1);
    assert_int_equal(f->key_usage, X509_KU_DIGITAL_SIGNATURE);
    assert_false(f->key_usage_critical);
    assert_null(x509_oracle(leaf));
}

static void signatures(void **state)
{
    (void)state;
    AUTO(x509_freep) struct x509 *leaf = NULL;

    assert_int_equal(x509_parse(cx, buf_view(&leaf_der), &leaf, NULL), ERR_OK);
    assert_int_equal(x509_verify(cx, ca, x509_pub(ca)), ERR_OK);
    assert_int_equal(x509_verify(cx, leaf, x509_pub(ca)), ERR_OK);
    assert_int_equal(x509_verify(cx, leaf, x509_pub(leaf)), ERR_VERIFY);
    assert_int_equal(x509_verify(cx, ca, x509_pub(leaf)), ERR_VERIFY);
}

/* No certificate with one bit changed is both read and verified. */
static void every_bit_counts(void **state)
{
    (void)state;
    struct span copy = t_copy(buf_view(&leaf_der));
    uint8_t *bytes = leaf_der.ptr;

    for (size_t bit = 0; bit < leaf_der.len * 8; bit += 3) {
        AUTO(x509_freep) struct x509 *cert = NULL;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (x509_parse(cx, buf_view(&leaf_der), &cert, NULL) == ERR_OK)
            assert_int_equal(x509_verify(cx, cert, x509_pub(ca)), ERR_VERIFY);
        else
            assert_null(cert);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    t_assert_span(buf_view(&leaf_der), copy);
    t_free(copy);
}

static void cut_anywhere(void **state)
{
    (void)state;
    struct x509 *none = NULL;
    struct why why = { 0 };

    for (size_t n = 0; n < ca_der.len; n++) {
        struct span cut = t_copy(span_sub(buf_view(&ca_der), 0, n));
        assert_int_equal(x509_parse(cx, cut, &none, &why), ERR_MALFORMED);
        assert_string_equal(why.what, "certificate");
        t_free(cut);
    }
    AUTO(buf_clear) struct buf more = BUF_INIT(X509_MAX_BYTES);
    assert_int_equal(buf_append(&more, buf_view(&ca_der)), ERR_OK);
    assert_int_equal(buf_append_byte(&more, 0), ERR_OK);
    assert_int_equal(x509_parse(cx, buf_view(&more), &none, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "certificate");
    assert_null(none);
}

static void size_limit(void **state)
{
    (void)state;
    struct x509 *none = NULL;
    struct why why = { 0 };
    uint8_t *zeros = calloc(1, X509_MAX_BYTES + 1);

    assert_non_null(zeros);
    assert_int_equal(x509_parse(cx, span_of(zeros, X509_MAX_BYTES), &none, &why), ERR_MALFORMED);
    assert_int_equal(x509_parse(cx, span_of(zeros, X509_MAX_BYTES + 1), &none, &why), ERR_LIMIT);
    assert_string_equal(why.what, "certificate size");
    free(zeros);
}

/* The CA's certificate with one pattern (hex, of equal length) replaced, the last time it occurs
 * unless `first`. */
struct patch_row {
    const char *name, *find, *put, *what; /* what NULL: still read */
    bool first;
};

static struct patch_row patch_rows[] = {
    { "version 1", "a003020102", "a003020100", "version", false },
    { "version 2", "a003020102", "a003020101", "version", false },
    { "version of two bytes", "a003020102", "a003020202", "version", false },
    { "version absent", "a003020102", "0203020102", "version", false },
    { "negative serial", "020401020304", "020481020304", "serial number", false },
    { "serial not the shortest", "020401020304", "020400010304", "serial number", false },
    { "inner algorithm differs", "2a8648ce3d040303", "2a8648ce3d040302", "signature algorithm",
      true },
    { "outer algorithm differs", "2a8648ce3d040303", "2a8648ce3d040302", "signature algorithm",
      false },
    { "no 29 February", "323430323239", "323330323239", "validity", true },
    { "month 13", "323430323239", "323431333031", "validity", true },
    { "day 0", "323430323239", "323430323030", "validity", true },
    { "hour 24", "3234303232393030", "3234303232393234", "validity", true },
    { "not a digit", "323430323239", "3234303232ff", "validity", true },
    { "not UTC", "3030303030305a180f", "3030303030302b180f", "validity", false },
    { "year 2050 in two digits", "180f32303530", "170f32303530", "validity", false },
    { "name with a NUL", "5465737420726f6f74", "5465737400726f6f74", "common name", false },
    { "name not UTF-8", "5465737420726f6f74", "54657374ff726f6f74", "issuer", true },
    { "point compressed", "03620004", "03620006", NULL, false },
    { "key of another curve", "2b81040022", "2b81040023", NULL, false },
    { "key with unused bits", "03620004", "03620104", "public key", false },
    { "constraints: BOOLEAN 1", "0101ff020102", "010101020102", "basicConstraints", false },
    { "constraints: FALSE written out", "0101ff020102", "010100020102", NULL, false },
    { "constraints: negative length", "0101ff020102", "0101ff0201ff", "basicConstraints", false },
    { "constraints: trailing bytes", "30060101ff020102", "30030101ff020102", "basicConstraints",
      false },
    { "constraints: not a sequence", "30060101ff020102", "31060101ff020102", "basicConstraints",
      false },
    { "extension: criticality 1", "551d130101ff", "551d13010101", "extensions", false },
    { "extension: bad object identifier", "0603551d13", "0603558013", "extensions", false },
    { "extension: object identifier cut", "0603551d13", "0603551d93", "extensions", false },
    { "usage: 8 unused bits", "03020106", "03020806", "keyUsage", false },
    { "usage: unused bit set", "03020106", "03020306", "keyUsage", false },
    { "usage: not a bit string", "03020106", "04020106", "keyUsage", false },
    { "key identifier: not an octet string", "551d0e041604", "551d0e041603", "subjectKeyIdentifier",
      false },
    { "constraints twice", "551d0e0416", "551d130416", "duplicate extension", false },
    { "extensions not there, another field", "a3453043", "a2453043", "extensions", false },
};

static size_t find(struct span in, struct span what, bool first)
{
    size_t at = SIZE_MAX;

    for (size_t i = 0; i + what.len <= in.len; i++)
        if (span_eq(span_sub(in, i, what.len), what) && (at == SIZE_MAX || !first))
            at = i;
    return at;
}

static void patched(void **state)
{
    const struct patch_row *row = *state;
    AUTO(x509_freep) struct x509 *cert = NULL;
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES);
    struct why why = { 0 };

    assert_int_equal(buf_append(&der, buf_view(&ca_der)), ERR_OK);
    struct span what = t_unhex(row->find), put = t_unhex(row->put);
    size_t at = find(buf_view(&der), what, row->first);
    assert_true(at != SIZE_MAX);
    assert_int_equal(what.len, put.len);
    memcpy(der.ptr + at, put.ptr, put.len);
    t_free(what);
    t_free(put);
    enum err r = x509_parse(cx, buf_view(&der), &cert, &why);
    if (!row->what) {
        assert_int_equal(r, ERR_OK);
        assert_null(x509_oracle(cert));
        return;
    }
    assert_int_equal(r, ERR_MALFORMED);
    assert_string_equal(why.what, row->what);
    assert_null(cert);
}

static void point_off_the_curve(void **state)
{
    (void)state;
    struct x509 *none = NULL;
    struct why why = { 0 };
    struct span head = t_unhex("03620004"), der = t_copy(buf_view(&ca_der));
    size_t at = find(der, head, false);

    ca_der.ptr[at + head.len + 10] ^= 1;
    assert_int_equal(x509_parse(cx, buf_view(&ca_der), &none, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "point is not on P-384");
    ca_der.ptr[at + head.len + 10] ^= 1;
    t_assert_span(buf_view(&ca_der), der);
    t_free(head);
    t_free(der);
}

/* Changed object identifiers turn known extensions into unknown ones. */
static void unknown_critical(void **state)
{
    (void)state;
    AUTO(x509_freep) struct x509 *cert = NULL;
    AUTO(buf_clear) struct buf der = BUF_INIT(X509_MAX_BYTES);
    struct span oid = t_unhex("0603551d13");

    assert_int_equal(buf_append(&der, buf_view(&ca_der)), ERR_OK);
    der.ptr[find(buf_view(&der), oid, false) + 4] = 0x63;
    assert_int_equal(x509_parse(cx, buf_view(&der), &cert, NULL), ERR_OK);
    assert_true(x509_facts(cert)->has_unknown_critical);
    assert_false(x509_facts(cert)->has_basic_constraints);
    assert_false(x509_facts(cert)->is_ca);
    assert_null(x509_oracle(cert));
    t_free(oid);
}

static void pem(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf text = BUF_INIT(32768), der = BUF_INIT(X509_MAX_BYTES);
    struct why why = { 0 };

    assert_int_equal(buf_append_str(&text, "a comment\n"), ERR_OK);
    assert_int_equal(buf_append_str(&text, p384_pem), ERR_OK);
    assert_int_equal(x509_pem_to_der(buf_view(&text), &der, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "PEM certificate");
    assert_int_equal(x509_der_to_pem(buf_view(&leaf_der), &text), ERR_OK);
    assert_int_equal(x509_der_to_pem(buf_view(&ca_der), &text), ERR_OK);
    assert_int_equal(x509_pem_to_der(buf_view(&text), &der, &why), ERR_OK);
    t_assert_span(buf_view(&der), buf_view(&leaf_der)); /* the first one */
    assert_int_equal(x509_pem_to_der(SPAN_EMPTY, &der, &why), ERR_MALFORMED);
    AUTO(buf_clear) struct buf small = BUF_INIT(10);
    assert_int_equal(x509_pem_to_der(buf_view(&text), &small, &why), ERR_LIMIT);
    assert_int_equal(x509_der_to_pem(buf_view(&ca_der), &small), ERR_LIMIT);
    assert_int_equal(small.len, 0);
}

static void aws_root(void **state)
{
    (void)state;
    AUTO(x509_freep) struct x509 *cert = NULL;
    struct span der = t_vector("attestation/aws-nitro-root-g1.der");

    assert_int_equal(x509_parse(cx, der, &cert, NULL), ERR_OK);
    const struct x509_facts *f = x509_facts(cert);
    t_assert_span(f->common_name, SPAN_LIT("aws.nitro-enclaves"));
    assert_int_equal(f->not_before, 1572269285);      /* 2019-10-28 13:28:05 */
    assert_true(f->not_after == INT64_C(2519044085)); /* 2049-10-28 14:28:05 */
    assert_true(f->is_ca && f->basic_constraints_critical && f->key_usage_critical);
    assert_int_equal(f->path_len, -1);
    assert_true(f->key_usage & X509_KU_KEY_CERT_SIGN);
    assert_int_equal(x509_verify(cx, cert, x509_pub(cert)), ERR_OK);
    assert_int_equal(x509_verify(cx, cert, ca_pub), ERR_VERIFY);
    assert_null(x509_oracle(cert));
    t_free(der);
}

/* Every certificate of a folder is refused or read as OpenSSL reads it; returns how many. */
static size_t read_folder(const char *folder, size_t *files)
{
    char path[2048];
    const char *root = t_vectors_dir();
    struct dirent *e;
    size_t read = 0;

    snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((e = readdir(dir))) {
        AUTO(x509_freep) struct x509 *cert = NULL;
        AUTO(buf_clear) struct buf der = BUF_INIT(65536);
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s/%s", root, folder, e->d_name);
        struct span file = t_file(path);
        struct span in = x509_pem_to_der(file, &der, NULL) == ERR_OK ? buf_view(&der) : file;
        if (x509_parse(cx, in, &cert, NULL) == ERR_OK) {
            const char *differs = x509_oracle(cert);
            if (differs)
                fail_msg("%s: OpenSSL reads another %s", e->d_name, differs);
            read++;
        }
        (*files)++;
        t_free(file);
    }
    closedir(dir);
    return read;
}

static void folders(void **state)
{
    (void)state;
    size_t files = 0;

    if (!t_vectors_dir())
        skip();
    assert_int_equal(read_folder("x509/pkits", &files), 21);
    assert_int_equal(read_folder("x509/seeds", &files), 53);
    assert_int_equal(files, 86);
}

static void freeing_nothing(void **state)
{
    (void)state;
    x509_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest plain[] = {
        cmocka_unit_test(facts_of_the_ca),
        cmocka_unit_test(facts_of_the_leaf),
        cmocka_unit_test(signatures),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(size_limit),
        cmocka_unit_test(unknown_critical),
        cmocka_unit_test(point_off_the_curve),
        cmocka_unit_test(pem),
        cmocka_unit_test(aws_root),
        cmocka_unit_test(folders),
        cmocka_unit_test(freeing_nothing),
    };
    enum {
        PLAIN = sizeof plain / sizeof plain[0],
        ROWS = sizeof patch_rows / sizeof patch_rows[0]
    };
    struct CMUnitTest tests[PLAIN + ROWS];

    memcpy(tests, plain, sizeof plain);
    T_ROWS(tests + PLAIN, patch_rows, patched);
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
        ec_key_parse_pem(cx, span_str(p384_pem), &ca_key, NULL) != ERR_OK ||
        ec_key_parse_pem(cx, span_str(p384_compressed_pem), &leaf_key, NULL) != ERR_OK ||
        ec_key_pub(cx, ca_key, &ca_pub) != ERR_OK || ec_key_pub(cx, leaf_key, &leaf_pub) != ERR_OK)
        return 1;
    make_fixtures();
    int failed = cmocka_run_group_tests_name("x509", tests, NULL, NULL);
    x509_free(ca);
    buf_clear(&ca_der);
    buf_clear(&leaf_der);
    ec_pub_free(ca_pub);
    ec_pub_free(leaf_pub);
    ec_key_free(ca_key);
    ec_key_free(leaf_key);
    crypto_free(cx);
    return failed;
}
