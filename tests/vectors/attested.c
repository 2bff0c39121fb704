/* attested.c - attestation documents, certificates, PCRs, COSE, the NSM's messages. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>

#include "attest/pcrs.h"
#include "base/base64.h"
#include "base/cbor.h"
#include "base/hex.h"
#include "crypto/hash.h"
#include "nsm/nsm.h"

/* A root certificate in DER, from a PEM or DER file. */
static bool read_root(struct runner *r, const char *path, struct buf *der)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(0);

    *der = BUF_INIT(8192);
    if (!path || !read_file(r, path, &file))
        return false;
    if (file.len && file.ptr[0] == 0x30)
        return buf_append(der, buf_view(&file)) == ERR_OK;
    return x509_pem_to_der(buf_view(&file), der, NULL) == ERR_OK;
}

static bool pcrs_match(struct runner *r, const struct entry *e, const struct attest_pcrs *pcrs)
{
    json_t *value, *want = json_object_get(e->values, "pcrs");
    const char *index;

    json_object_foreach(want, index, value)
    {
        char hex[2 * ATTEST_PCR_BYTES + 1];
        unsigned long n = strtoul(index, NULL, 10);
        if (n >= ATTEST_PCRS || !(pcrs->present >> n & 1)) {
            set_note(r, "PCR%s is not in the document", index);
            return false;
        }
        hex_write(SPAN_ARRAY(pcrs->value[n]), hex);
        if (strcmp(hex, json_string_value(value)) != 0) {
            set_note(r, "PCR%s differs", index);
            return false;
        }
    }
    return true;
}

/* The manifest gives an optional field as null, or as {"len", "sha256"}. */
static bool field_matches(const struct entry *e, const char *name, struct span got)
{
    json_t *want = json_object_get(e->values, name), *len = json_object_get(want, "len");
    const char *digest = json_string_value(json_object_get(want, "sha256"));
    uint8_t sum[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];

    if (json_is_null(want))
        return got.ptr == NULL;
    if (json_is_integer(len) && (size_t)json_integer_value(len) != got.len)
        return false;
    if (!digest)
        return true;
    sha256(got, sum);
    hex_write(SPAN_ARRAY(sum), hex);
    return strcmp(hex, digest) == 0;
}

static bool values_match(struct runner *r, const struct entry *e, const struct attest_doc *doc)
{
    const char *module = value_text(e, "module_id");
    json_t *stamp = json_object_get(e->values, "timestamp_ms");
    json_t *certs = json_object_get(e->values, "n_cab");
    json_t *debug = json_object_get(e->values, "debug_mode");

    set_note(r, "a value differs: module_id, timestamp, cabundle, debug_mode or an optional field");
    if (module && !span_is(doc->module_id, module))
        return false;
    if (json_is_integer(stamp) && (uint64_t)json_integer_value(stamp) != doc->timestamp_ms)
        return false;
    if (json_is_integer(certs) && (size_t)json_integer_value(certs) != doc->n_cabundle)
        return false;
    if (json_is_boolean(debug) && json_is_true(debug) != attest_is_debug(&doc->pcrs))
        return false;
    if (!field_matches(e, "public_key", doc->public_key) ||
        !field_matches(e, "user_data", doc->user_data) || !field_matches(e, "nonce", doc->nonce))
        return false;
    return pcrs_match(r, e, &doc->pcrs);
}

/* Unix seconds at which the manifest wants the document judged; without one, its own timestamp. */
static int64_t judge_at(const struct entry *e, const struct attest_doc *doc)
{
    json_t *at = json_object_get(e->values, "verify_time");

    if (json_is_integer(at))
        return json_integer_value(at);
    return (int64_t)(doc->timestamp_ms / 1000);
}

enum outcome run_attestation(struct runner *r, const struct entry *e)
{
    const char *anchor = value_text(e, "trust_anchor");
    AUTO(buf_clear) struct buf root = BUF_INIT(0);
    struct attest_verified *v = calloc(1, sizeof *v);
    struct attest_doc *doc = calloc(1, sizeof *doc);
    struct why why = { 0 };
    enum outcome out = REFUSED;

    if (!v || !doc || (anchor && !read_root(r, anchor, &root))) {
        set_note(r, "trust anchor %s cannot be read", anchor ? anchor : "");
        out = MISMATCH;
    } else if (attest_doc_parse(e->bytes, doc, &why) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
    } else if (attest_verify(r->cx, e->bytes, anchor ? buf_view(&root) : attest_aws_root_g1_der(),
                             judge_at(e, doc), v, &why) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
    } else {
        out = values_match(r, e, &v->doc) ? ACCEPTED : MISMATCH;
    }
    free(v);
    free(doc);
    return out;
}

enum outcome run_attestation_b64(struct runner *r, const struct entry *e)
{
    AUTO(buf_clear) struct buf got = BUF_INIT(e->bytes.len + 1), want = BUF_INIT(0);
    const char *path = value_text(e, "decoded_path");

    if (base64_parse(e->bytes, &got, NULL) != ERR_OK)
        return REFUSED;
    if (path && (!read_file(r, path, &want) || !span_eq(buf_view(&got), buf_view(&want)))) {
        set_note(r, "is not the base64 of %s", path);
        return MISMATCH;
    }
    return ACCEPTED;
}

enum outcome run_x509_root(struct runner *r, const struct entry *e)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(8192);
    AUTO(x509_freep) struct x509 *cert = NULL;
    uint8_t sum[SHA256_BYTES];

    if (e->bytes.len && e->bytes.ptr[0] == 0x30) {
        if (buf_append(&der, e->bytes) != ERR_OK)
            return REFUSED;
    } else if (x509_pem_to_der(e->bytes, &der, NULL) != ERR_OK) {
        return REFUSED;
    }
    if (x509_parse(r->cx, buf_view(&der), &cert, NULL) != ERR_OK || !x509_facts(cert)->is_ca)
        return REFUSED;
    sha256(buf_view(&der), sum);
    return value_matches_hex(r, e, "sha256_fingerprint", SPAN_ARRAY(sum)) ? ACCEPTED : MISMATCH;
}

/* A certificate by itself: does it parse? One that is invalid only in its chain must not be of the
 * kind that a chain here could hold (P-384, ecdsa-with-SHA384), since the chain it belongs to is
 * not in its file. */
enum outcome run_x509_cert(struct runner *r, const struct entry *e)
{
    AUTO(buf_clear) struct buf der = BUF_INIT(1 << 20);
    AUTO(x509_freep) struct x509 *cert = NULL;
    struct why why = { 0 };

    bool pem = e->bytes.len && e->bytes.ptr[0] == '-';
    if (pem ? x509_pem_to_der(e->bytes, &der, &why) != ERR_OK
            : buf_append(&der, e->bytes) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
        return REFUSED;
    }
    if (x509_parse(r->cx, buf_view(&der), &cert, &why) != ERR_OK) {
        set_note(r, "refused: %s", why.what);
        return REFUSED;
    }
    const struct x509_facts *f = x509_facts(cert);
    if (strcmp(e->expected, "invalid") == 0)
        return f->is_p384 && f->sig_is_ecdsa_sha384 ? ACCEPTED : REFUSED;
    return ACCEPTED;
}

enum outcome run_pcr_facts(struct runner *r, const struct entry *e)
{
    json_t *item, *rows = json_loadb((const char *)e->bytes.ptr, e->bytes.len, 0, NULL);
    size_t i;

    if (json_array_size(rows) == 0)
        count_one(r, e, false, "file", "is no list of facts");
    json_array_foreach(rows, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *formula = json_string_value(json_object_get(item, "formula"));
        struct span in = span_str(json_string_value(json_object_get(item, "input_ascii")));
        const char *want = json_string_value(json_object_get(item, "value"));
        uint8_t pcr[ATTEST_PCR_BYTES] = { 0 }, inner[SHA384_BYTES];
        char hex[2 * ATTEST_PCR_BYTES + 1];

        bool good = want && formula;
        sha384(in, inner);
        if (good && strstr(formula, "SHA384(data)"))
            in = SPAN_ARRAY(inner);
        attest_pcr_extend(pcr, in);
        hex_write(SPAN_ARRAY(pcr), hex);
        count_one(r, e, good && strcmp(hex, want) == 0, name ? name : "row", "value differs");
    }
    json_decref(rows);
    return COUNTED;
}

/* A file does not say whether it is a request or a response: it has to be one of them. */
enum outcome run_nsm(struct runner *r, const struct entry *e)
{
    AUTO(buf_clear) struct buf again = BUF_INIT(NSM_RESPONSE_MAX);
    struct nsm_request rq;
    struct nsm_response rs;

    (void)r;
    if (nsm_request_parse(e->bytes, &rq, NULL) == ERR_OK)
        return nsm_request_write(&rq, &again) == ERR_OK ? ACCEPTED : REFUSED;
    for (enum nsm_op op = NSM_DESCRIBE_PCR; op <= NSM_GET_RANDOM; op++)
        if (nsm_response_parse(e->bytes, op, &rs, NULL) == ERR_OK)
            return ACCEPTED;
    return REFUSED;
}

static bool base64url(const char *text, struct buf *out)
{
    char std[256];
    size_t n = 0;

    if (!text || strlen(text) + 4 > sizeof std)
        return false;
    for (; text[n]; n++)
        std[n] = text[n] == '-' ? '+' : text[n] == '_' ? '/' : text[n];
    while (n % 4)
        std[n++] = '=';
    return base64_parse(span_of(std, n), out, NULL) == ERR_OK;
}

static bool read_jwk(struct runner *r, json_t *key, struct ec_pub **pub)
{
    AUTO(buf_clear) struct buf point = BUF_INIT(512);
    const char *curve = json_string_value(json_object_get(key, "crv"));

    return curve && strcmp(curve, "P-384") == 0 && buf_append_byte(&point, 4) == ERR_OK &&
           base64url(json_string_value(json_object_get(key, "x")), &point) &&
           base64url(json_string_value(json_object_get(key, "y")), &point) &&
           ec_pub_parse(r->cx, buf_view(&point), pub, NULL) == ERR_OK;
}

/* The examples carry a key id outside of the signature, which our profile refuses. So for the valid
 * ones of our algorithm the primitive is checked: the last 96 bytes are the signature over the
 * printed Sig_structure. The invalid ones go through our parser. */
enum outcome run_cose(struct runner *r, const struct entry *e)
{
    json_t *doc = json_loadb((const char *)e->bytes.ptr, e->bytes.len, 0, NULL);
    json_t *input = json_object_get(doc, "input");
    json_t *sign = json_object_get(input, "sign0");
    json_t *signer =
        sign ? sign : json_array_get(json_object_get(json_object_get(input, "sign"), "signers"), 0);
    json_t *mid = json_object_get(doc, "intermediates");
    json_t *tbs_holder = sign ? mid : json_array_get(json_object_get(mid, "signers"), 0);
    const char *cbor = json_string_value(json_object_get(json_object_get(doc, "output"), "cbor"));
    const char *tbs_hex = json_string_value(json_object_get(tbs_holder, "ToBeSign_hex"));
    AUTO(buf_clear) struct buf bytes = BUF_INIT(0), tbs = BUF_INIT(0);
    AUTO(ec_pub_freep) struct ec_pub *pub = NULL;
    struct cose_sign1 msg;
    enum outcome out;

    bool readable = cbor && unhex(cbor, &bytes);
    bool has_key = readable && tbs_hex && unhex(tbs_hex, &tbs) &&
                   read_jwk(r, json_object_get(signer, "key"), &pub);
    if (!readable) {
        set_note(r, "no output.cbor");
        out = MISMATCH;
    } else if (strcmp(e->expected, "invalid") == 0) {
        bool parsed = cose_sign1_parse(buf_view(&bytes), &msg, NULL) == ERR_OK;
        out = parsed && (!has_key || cose_sign1_verify(r->cx, &msg, pub, NULL) == ERR_OK) ? ACCEPTED
                                                                                          : REFUSED;
    } else if (!has_key) {
        set_note(r, "another algorithm than ES384");
        out = SKIPPED;
    } else {
        struct span sig = span_from(buf_view(&bytes), bytes.len < 96 ? 0 : bytes.len - 96);
        out = ec_verify_es384(r->cx, pub, buf_view(&tbs), sig) == ERR_OK ? ACCEPTED : REFUSED;
    }
    json_decref(doc);
    return out;
}
