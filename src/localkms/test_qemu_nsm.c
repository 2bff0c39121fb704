/* test_qemu_nsm.c - documents that nobody signed: taken in exactly QEMU's form, from a module that
 * was named, in time, and judged by the key policy like any other. */
#include <stdio.h>

#include "base/base64.h"
#include "base/cbor.h"
#include "localkms/recipient.h"
#include "localkms/test_api.h"

#define MODULE "i-234-enc5678"

static struct api api;
static struct rsa_key *rsa;

static struct attest_doc doc, out; /* in front of no frame: they are large */

static void plain(void)
{
    doc = (struct attest_doc){ .module_id = SPAN_LIT(MODULE),
                               .timestamp_ms = API_NOW_MS,
                               .public_key = rsa_key_spki(rsa) };
    doc.pcrs.present = 0xffff; /* locked ones only: 0 to 15 */
    for (unsigned i = 0; i < 3; i++)
        memset(doc.pcrs.value[i], 0x11 * (int)(i + 1), ATTEST_PCR_BYTES);
}

static void make(struct buf *to)
{
    assert_int_equal(qemu_nsm_write(&doc, to), ERR_OK);
}

static size_t find(const struct buf *b, const char *hex)
{
    struct span what = t_unhex(hex);
    size_t at = 0;

    while (at + what.len <= b->len && memcmp(b->ptr + at, what.ptr, what.len) != 0)
        at++;
    assert_true(at + what.len <= b->len);
    t_free(what);
    return at;
}

/* The form of qemu-nitro-enclave reference section 4, byte by byte where it is fixed. */
static void form(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(ATTEST_DOC_MAX);
    static struct attest_doc got;

    plain();
    make(&b);
    const uint8_t head[] = { 0x84, 0x43, 0xa1, 0x01, 0x20, 0xa0, 0x59 };
    assert_memory_equal(b.ptr, head, sizeof head);
    assert_int_equal(b.ptr[9], 0xa9);
    assert_int_equal(b.ptr[b.len - 66], 0x58);
    assert_int_equal(b.ptr[b.len - 65], 0x40);
    assert_true(qemu_nsm_is(buf_view(&b)));
    assert_int_equal(qemu_nsm_parse(buf_view(&b), &got, NULL), ERR_OK);
    t_assert_span(got.module_id, doc.module_id);
    t_assert_span(got.public_key, doc.public_key);
    assert_true(got.timestamp_ms == doc.timestamp_ms);
    assert_memory_equal(&got.pcrs, &doc.pcrs, sizeof got.pcrs);
    assert_null(got.user_data.ptr);
    /* Never by the way of the signed ones. */
    assert_int_equal(attest_doc_parse(buf_view(&b), &got, NULL), ERR_UNSUPPORTED);
}

/* One place of a good document, `from` becomes `to` (of the same length). */
static struct row {
    const char *name, *from, *to;
    enum err err;
    const char *what;
} rows[] = {
    { "algorithm -2", "a10120", "a10121", ERR_UNSUPPORTED, "protected header" },
    { "algorithm 1", "a10120", "a10101", ERR_UNSUPPORTED, "protected header" },
    { "another header parameter", "a10120", "a10220", ERR_UNSUPPORTED, "protected header" },
    { "the real algorithm", "8443a10120a059", "8444a1013822a0", ERR_MALFORMED, NULL },
    { "unprotected header is no map", "a10120a0", "a1012080", ERR_MALFORMED, "unprotected header" },
    { "indefinite payload map without an end", "a9696d6f64", "bf696d6f64", ERR_LIMIT, NULL },
    { "eight members", "a9696d6f64", "a8696d6f64", ERR_MALFORMED, NULL },
    { "unknown member", "696d6f64756c655f6964", "696d6f64756c655f6965", ERR_MALFORMED,
      "unknown field" },
    { "digest", "66534841333834", "66534841353132", ERR_UNSUPPORTED, "digest" },
    { "milliseconds", "1b0000018bcfe56800", "1b0000018bcfe56801", ERR_MALFORMED,
      "time of an unsigned document" },
    { "time zero", "1b0000018bcfe56800", "1b0000000000000000", ERR_MALFORMED, NULL },
    { "PCR twice", "0258303333", "0158303333", ERR_MALFORMED, "PCR twice" },
    { "PCRs in another order", "0e58300000", "1058300000", ERR_MALFORMED,
      "form of an unsigned document" },
    { "first byte of the certificate", "63617465584000", "63617465584001", ERR_MALFORMED,
      "certificate of an unsigned document" },
    { "two of the bundle", "6c65815840", "6c65825840", ERR_MALFORMED, NULL },
    { "first byte of the bundle", "6c6581584000", "6c65815840ff", ERR_MALFORMED,
      "cabundle of an unsigned document" },
};

static void deviates(void **state)
{
    const struct row *row = *state;
    AUTO(buf_clear) struct buf b = BUF_INIT(ATTEST_DOC_MAX);
    struct why why = { 0 };

    plain();
    out.timestamp_ms = 7;
    make(&b);
    struct span to = t_unhex(row->to);
    memcpy(b.ptr + find(&b, row->from), to.ptr, to.len);
    t_free(to);
    struct span in = t_copy(buf_view(&b));
    assert_int_equal(qemu_nsm_parse(in, &out, &why), row->err);
    if (row->what)
        assert_string_equal(why.what, row->what);
    assert_true(why.at <= in.len);
    assert_true(out.timestamp_ms == 7);
    t_free(in);
}

/* Every byte of certificate, bundle and signature; a longer and a shorter signature; a tag; a
 * second certificate in the bundle; bytes behind. */
static void zeros_and_lengths(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(ATTEST_DOC_MAX);
    AUTO(buf_clear) struct buf other = BUF_INIT(ATTEST_DOC_MAX);
    struct why why = { 0 };

    plain();
    make(&b);
    const size_t starts[] = { find(&b, "636174655840") + 6, find(&b, "6c65815840") + 5,
                              b.len - 64 };
    for (unsigned p = 0; p < 3; p++)
        for (size_t i = 0; i < QEMU_NSM_ZEROS_BYTES; i++) {
            b.ptr[starts[p] + i] = 1;
            assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, &why), ERR_MALFORMED);
            b.ptr[starts[p] + i] = 0;
        }
    for (size_t cut = 0; cut < b.len; cut++) {
        struct span in = t_copy(span_sub(buf_view(&b), 0, cut));
        assert_int_not_equal(qemu_nsm_parse(in, &out, NULL), ERR_OK);
        t_free(in);
    }
    assert_int_equal(buf_append_byte(&other, 0xd2), ERR_OK);
    assert_int_equal(buf_append(&other, buf_view(&b)), ERR_OK);
    assert_int_equal(qemu_nsm_parse(buf_view(&other), &out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "form of an unsigned document");
    assert_int_equal(buf_append_byte(&b, 0), ERR_OK);
    assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, &why), ERR_MALFORMED);
    b.len--;
    b.ptr[b.len - 65] = 0x3f; /* 63 bytes of signature and one behind */
    assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, &why), ERR_MALFORMED);
}

static void signature_of_another_length(void **state)
{
    (void)state;
    static const uint8_t lengths[] = { 0, 63, 65, 96 };
    AUTO(buf_clear) struct buf b = BUF_INIT(ATTEST_DOC_MAX);
    struct why why = { 0 };

    plain();
    for (size_t i = 0; i < sizeof lengths; i++) {
        static const uint8_t zero[96];
        buf_reset(&b);
        make(&b);
        buf_truncate(&b, b.len - 66);
        assert_int_equal(buf_append_byte(&b, 0x58), ERR_OK);
        assert_int_equal(buf_append_byte(&b, lengths[i]), ERR_OK);
        assert_int_equal(buf_append(&b, span_of(zero, lengths[i])), ERR_OK);
        assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, &why), ERR_MALFORMED);
    }
}

/* As hardware sends it, and QEMU does not. */
static void indefinite_map(void **state)
{
    (void)state;
    static const uint8_t zero[QEMU_NSM_ZEROS_BYTES];
    AUTO(buf_clear) struct buf b = BUF_INIT(ATTEST_DOC_MAX), payload = BUF_INIT(ATTEST_DOC_MAX);
    struct why why = { 0 };

    for (int indefinite = 0; indefinite < 2; indefinite++) {
        plain();
        doc.certificate = doc.cabundle[0] = SPAN_ARRAY(zero);
        doc.n_cabundle = 1;
        buf_reset(&payload);
        buf_reset(&b);
        assert_int_equal(attest_doc_write(&doc, indefinite, &payload), ERR_OK);
        struct cbor_out w = cbor_out_init(&b);
        cbor_out_array(&w, 4);
        cbor_out_bstr(&w, SPAN_LIT("\xa1\x01\x20"));
        cbor_out_map(&w, 0);
        cbor_out_bstr(&w, buf_view(&payload));
        cbor_out_bstr(&w, SPAN_ARRAY(zero));
        assert_int_equal(cbor_out_end(&w), ERR_OK);
        assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, &why),
                         indefinite ? ERR_MALFORMED : ERR_OK);
    }
    assert_string_equal(why.what, "form of an unsigned document");
}

/* Whatever bit is turned: refused, or another document in the same form, never one that is not. */
static void every_bit(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = BUF_INIT(ATTEST_DOC_MAX), again = BUF_INIT(ATTEST_DOC_MAX);
    unsigned taken = 0;

    plain();
    make(&b);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (qemu_nsm_parse(buf_view(&b), &out, NULL) == ERR_OK) {
            buf_reset(&again);
            assert_int_equal(qemu_nsm_write(&out, &again), ERR_OK);
            t_assert_span(buf_view(&again), buf_view(&b));
            taken++;
        }
        b.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    /* PCR values, public key, module id, time: data that anybody may choose. */
    assert_in_range(taken, 16 * 48 * 8, 16 * 48 * 8 + 8 * 400);
}

static void sizes(void **state)
{
    (void)state;
    static uint8_t long_field[ATTEST_FIELD_MAX + 1], long_id[ATTEST_MODULE_ID_MAX + 1];
    AUTO(buf_clear) struct buf b = BUF_INIT(2 * ATTEST_DOC_MAX);

    plain();
    memset(long_id, 'a', sizeof long_id);
    doc.user_data = doc.nonce = span_of(long_field, ATTEST_FIELD_MAX);
    doc.module_id = span_of(long_id, ATTEST_MODULE_ID_MAX);
    make(&b);
    assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, NULL), ERR_OK);
    buf_reset(&b);
    doc.user_data = SPAN_ARRAY(long_field);
    make(&b);
    assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, NULL), ERR_LIMIT);
    buf_reset(&b);
    plain();
    doc.module_id = SPAN_ARRAY(long_id);
    make(&b);
    assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, NULL), ERR_LIMIT);
    buf_reset(&b);
    plain();
    make(&b);
    while (b.len <= ATTEST_DOC_MAX)
        assert_int_equal(buf_append_byte(&b, 0), ERR_OK);
    assert_int_equal(qemu_nsm_parse(buf_view(&b), &out, NULL), ERR_LIMIT);
    assert_false(qemu_nsm_is(buf_view(&b)));
}

static void ask(void)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(ATTEST_DOC_MAX), text = BUF_INIT(65536);

    make(&b);
    assert_int_equal(buf_append_str(&text, "{\"KeyId\":\"$ARN\",\"KeySpec\":\"AES_256\","
                                           "\"Recipient\":{\"KeyEncryptionAlgorithm\":"
                                           "\"RSAES_OAEP_SHA_256\",\"AttestationDocument\":\""),
                     ERR_OK);
    assert_int_equal(base64_append(&text, buf_view(&b)), ERR_OK);
    assert_int_equal(buf_append_str(&text, "\"}}"), ERR_OK);
    api_ask(&api, APP, "GenerateDataKey", buf_cstr(&text));
}

static void trusting(const char *module)
{
    api.qemu_module = module;
    api_restart(&api);
    api_make_key(&api, "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" API_ADMIN
                       "\"},\"Action\":\"kms:*\",\"Resource\":\"*\"},{\"Effect\":\"Allow\","
                       "\"Principal\":{\"AWS\":\"*\"},\"Action\":\"kms:GenerateDataKey\","
                       "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{"
                       "\"kms:RecipientAttestation:PCR1\":\"2222222222222222222222222222222222222"
                       "22222222222222222222222222222222222222222222222222222222222\"}}}]}");
}

static void released_to_the_image(void **state)
{
    (void)state;

    plain();
    trusting(MODULE);
    ask();
    api_assert_ok(&api, "CiphertextForRecipient");
    assert_false(api_has(&api, "Plaintext"));
    assert_true(api.note.attested);
    assert_true(api.note.unsigned_document);
    assert_string_equal(api.note.module_id, MODULE);
    doc.pcrs.value[1][0] ^= 1; /* judged by its PCRs like any other */
    ask();
    assert_int_equal(api.status, 400);
    assert_true(api.note.unsigned_document);
    assert_non_null(strstr(buf_cstr(&api.note.explain), "kms:RecipientAttestation:PCR1"));
}

static void refused_without_being_told(void **state)
{
    (void)state;

    plain();
    trusting(NULL);
    ask();
    api_assert_fault(&api, "ValidationException",
                     "The attestation document is not valid: unsigned, as QEMU's nitro-enclave "
                     "machine makes them; it is taken only by a local KMS started with "
                     "--trust-qemu-nsm and its module id");
    assert_false(api.note.attested);
    trusting(MODULE "0");
    ask();
    api_assert_fault(&api, "ValidationException",
                     "The attestation document is not valid: unsigned, and of a module id that "
                     "--trust-qemu-nsm does not name");
}

static void time_and_key(void **state)
{
    (void)state;

    plain();
    trusting(MODULE);
    doc.timestamp_ms = API_NOW_MS - QEMU_NSM_MAX_AGE_S * 1000;
    ask();
    api_assert_ok(&api, "CiphertextForRecipient");
    doc.timestamp_ms -= 1000;
    ask();
    api_assert_fault(&api, "ValidationException",
                     "The attestation document is not valid: document time");
    doc.timestamp_ms = API_NOW_MS + QEMU_NSM_MAX_AHEAD_S * 1000;
    ask();
    api_assert_ok(&api, "CiphertextForRecipient");
    doc.timestamp_ms += 1000;
    ask();
    api_assert_fault(&api, "ValidationException",
                     "The attestation document is not valid: document time");
    doc.timestamp_ms = UINT64_MAX;
    ask();
    assert_int_equal(api.status, 400);
    /* What is kept of a good document counts no longer than it does. */
    plain();
    ask();
    api_assert_ok(&api, "CiphertextForRecipient");
    api.now_ms += (QEMU_NSM_MAX_AGE_S + 1) * 1000;
    ask();
    api_assert_fault(&api, "ValidationException",
                     "The attestation document is not valid: document time");
    api.now_ms = API_NOW_MS;
    doc.public_key = SPAN_EMPTY;
    ask();
    api_assert_fault(&api, "ValidationException", "The attestation document has no public key");
    doc.public_key = SPAN_LIT("no key at all");
    ask();
    assert_int_equal(api.status, 400);
}

static void module_ids(void **state)
{
    (void)state;
    static char id[ATTEST_MODULE_ID_MAX + 2];
    struct span list[QEMU_NSM_MODULES_MAX + 1], root = SPAN_LIT("root");
    struct recipients *rs = NULL;

    memset(id, 'i', sizeof id - 1);
    for (unsigned i = 0; i <= QEMU_NSM_MODULES_MAX; i++)
        list[i] = span_of(id, ATTEST_MODULE_ID_MAX);
    assert_int_equal(recipients_new(&root, 1, &rs), ERR_OK);
    assert_int_equal(recipients_trust_qemu(rs, list, QEMU_NSM_MODULES_MAX), ERR_OK);
    assert_int_equal(recipients_trust_qemu(rs, list, QEMU_NSM_MODULES_MAX + 1), ERR_LIMIT);
    list[0] = span_of(id, ATTEST_MODULE_ID_MAX + 1);
    assert_int_equal(recipients_trust_qemu(rs, list, 1), ERR_MALFORMED);
    list[0] = SPAN_EMPTY;
    assert_int_equal(recipients_trust_qemu(rs, list, 1), ERR_MALFORMED);
    recipients_free(rs);
}

static int up(void **state)
{
    (void)state;
    api_up(&api, SPAN_LIT("no root is asked for here"), CMS_FORM_A);
    return rsa_key_new(api.cx, 2048, &rsa) == ERR_OK ? 0 : -1;
}

static int down(void **state)
{
    (void)state;
    rsa_key_free(rsa);
    api_down(&api);
    return 0;
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0], OTHERS = 10 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(form),
        cmocka_unit_test(zeros_and_lengths),
        cmocka_unit_test(signature_of_another_length),
        cmocka_unit_test(indefinite_map),
        cmocka_unit_test(every_bit),
        cmocka_unit_test(sizes),
        cmocka_unit_test(released_to_the_image),
        cmocka_unit_test(refused_without_being_told),
        cmocka_unit_test(time_and_key),
        cmocka_unit_test(module_ids),
    };

    T_ROWS(tests + OTHERS, rows, deviates);
    return cmocka_run_group_tests_name("qemu_nsm", tests, up, down);
}
