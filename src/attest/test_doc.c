#include "testing/t.h"

#include <stdlib.h>

#include "attest/doc.h"
#include "base/cbor.h"
#include "base/hex.h"

/* A payload of nine pairs. A row replaces the head, the tail, or one pair. */
#define PCR                                                                                        \
    "5830000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b" \
    "2c2d2e2f"
#define PCR_47                                                                                     \
    "582f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b" \
    "2c2d2e"
#define PCR_49                                                                                     \
    "5831000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b" \
    "2c2d2e2f30"
#define MODULE_ID  "696d6f64756c655f6964"
#define DIGEST     "66646967657374"
#define TIMESTAMP  "6974696d657374616d70"
#define PCRS       "6470637273"
#define TPM_PCRS   "6d6e6974726f74706d5f70637273"
#define CERT       "6b6365727469666963617465"
#define CABUNDLE   "68636162756e646c65"
#define PUBLIC_KEY "6a7075626c69635f6b6579"
#define USER_DATA  "69757365725f64617461"
#define NONCE      "656e6f6e6365"

enum {
    P_MODULE_ID,
    P_DIGEST,
    P_TIMESTAMP,
    P_PCRS,
    P_CERT,
    P_CABUNDLE,
    P_KEY,
    P_USER,
    P_NONCE,
    PAIRS
};
enum { HEAD = PAIRS, TAIL, NOTHING };

static const char *const pairs[PAIRS] = {
    MODULE_ID "63692d31",
    DIGEST "66534841333834",
    TIMESTAMP "1b0000018bcfe56800",
    PCRS "a200" PCR "181f" PCR,
    CERT "4101",
    CABUNDLE "8241024103",
    PUBLIC_KEY "4104",
    USER_DATA "f6",
    NONCE "f6",
};

static const struct row {
    const char *name;
    int place;
    const char *with;
    enum err want;
    const char *what;
} rows[] = {
    { "as it is", NOTHING, "", ERR_OK, NULL },
    { "optionals missing", HEAD, "a6", ERR_OK, NULL }, /* and the last three pairs left out */
    { "no module_id", P_MODULE_ID, "", ERR_MALFORMED, "field missing" },
    { "no digest", P_DIGEST, "", ERR_MALFORMED, "field missing" },
    { "no timestamp", P_TIMESTAMP, "", ERR_MALFORMED, "field missing" },
    { "pcrs of a NitroTPM", P_PCRS, TPM_PCRS "a200" PCR "181f" PCR, ERR_OK, NULL },
    { "pcrs of both kinds", P_NONCE, TPM_PCRS "a100" PCR, ERR_MALFORMED, "field twice" },
    { "no pcrs", P_PCRS, "", ERR_MALFORMED, "field missing" },
    { "no certificate", P_CERT, "", ERR_MALFORMED, "field missing" },
    { "no cabundle", P_CABUNDLE, "", ERR_MALFORMED, "field missing" },
    { "no public_key", P_KEY, "", ERR_OK, NULL },
    { "no user_data", P_USER, "", ERR_OK, NULL },
    { "no nonce", P_NONCE, "", ERR_OK, NULL },
    { "module_id empty", P_MODULE_ID, MODULE_ID "60", ERR_MALFORMED, "module id" },
    { "module_id bytes", P_MODULE_ID, MODULE_ID "4161", ERR_MALFORMED, "type" },
    { "module_id null", P_MODULE_ID, MODULE_ID "f6", ERR_MALFORMED, "type" },
    { "module_id not UTF-8", P_MODULE_ID, MODULE_ID "61ff", ERR_MALFORMED, "UTF-8" },
    { "module_id chunked", P_MODULE_ID, MODULE_ID "7f6161ff", ERR_MALFORMED, "head" },
    { "digest SHA256", P_DIGEST, DIGEST "66534841323536", ERR_UNSUPPORTED, "digest" },
    { "digest sha384", P_DIGEST, DIGEST "66736861333834", ERR_UNSUPPORTED, "digest" },
    { "digest empty", P_DIGEST, DIGEST "60", ERR_UNSUPPORTED, "digest" },
    { "digest bytes", P_DIGEST, DIGEST "46534841333834", ERR_MALFORMED, "type" },
    { "timestamp 0", P_TIMESTAMP, TIMESTAMP "00", ERR_MALFORMED, "timestamp" },
    { "timestamp 1", P_TIMESTAMP, TIMESTAMP "01", ERR_OK, NULL },
    { "timestamp 2^64-1", P_TIMESTAMP, TIMESTAMP "1bffffffffffffffff", ERR_OK, NULL },
    { "timestamp negative", P_TIMESTAMP, TIMESTAMP "20", ERR_MALFORMED, "type" },
    { "timestamp text", P_TIMESTAMP, TIMESTAMP "6131", ERR_MALFORMED, "type" },
    { "timestamp float", P_TIMESTAMP, TIMESTAMP "fb41d954fc4000000000", ERR_MALFORMED, "type" },
    { "timestamp tagged", P_TIMESTAMP, TIMESTAMP "c101", ERR_MALFORMED, "type" },
    { "timestamp non-minimal", P_TIMESTAMP, TIMESTAMP "1801", ERR_MALFORMED, "head" },
    { "pcrs empty", P_PCRS, PCRS "a0", ERR_MALFORMED, "no PCRs" },
    { "pcrs array", P_PCRS, PCRS "81" PCR, ERR_MALFORMED, "type" },
    { "pcrs null", P_PCRS, PCRS "f6", ERR_MALFORMED, "type" },
    { "pcrs indefinite", P_PCRS, PCRS "bf00" PCR "ff", ERR_MALFORMED, "head" },
    { "pcrs 33 pairs", P_PCRS, PCRS "b821", ERR_LIMIT, "map length" },
    { "pcrs claim 2^64-1", P_PCRS, PCRS "bbffffffffffffffff", ERR_LIMIT, "map length" },
    { "PCR 32", P_PCRS, PCRS "a11820" PCR, ERR_LIMIT, "integer" },
    { "PCR 2^32", P_PCRS, PCRS "a11b0000000100000000" PCR, ERR_LIMIT, "integer" },
    { "PCR -1", P_PCRS, PCRS "a120" PCR, ERR_MALFORMED, "type" },
    { "PCR as text", P_PCRS, PCRS "a16130" PCR, ERR_MALFORMED, "type" },
    { "PCR index non-minimal", P_PCRS, PCRS "a11800" PCR, ERR_MALFORMED, "head" },
    { "PCR twice", P_PCRS, PCRS "a200" PCR "00" PCR, ERR_MALFORMED, "PCR twice" },
    { "PCRs descending", P_PCRS, PCRS "a201" PCR "00" PCR, ERR_OK, NULL },
    { "PCR of 0 bytes", P_PCRS, PCRS "a10040", ERR_MALFORMED, "PCR length" },
    { "PCR of 47 bytes", P_PCRS, PCRS "a100" PCR_47, ERR_MALFORMED, "PCR length" },
    { "PCR of 49 bytes", P_PCRS, PCRS "a100" PCR_49, ERR_LIMIT, "byte string" },
    { "PCR null", P_PCRS, PCRS "a100f6", ERR_MALFORMED, "type" },
    { "certificate empty", P_CERT, CERT "40", ERR_MALFORMED, "empty certificate" },
    { "certificate null", P_CERT, CERT "f6", ERR_MALFORMED, "type" },
    { "certificate text", P_CERT, CERT "6161", ERR_MALFORMED, "type" },
    { "cabundle empty", P_CABUNDLE, CABUNDLE "80", ERR_MALFORMED, "empty cabundle" },
    { "cabundle empty entry", P_CABUNDLE, CABUNDLE "82410240", ERR_MALFORMED, "empty certificate" },
    { "cabundle text entry", P_CABUNDLE, CABUNDLE "816161", ERR_MALFORMED, "type" },
    { "cabundle bytes", P_CABUNDLE, CABUNDLE "4101", ERR_MALFORMED, "type" },
    { "cabundle null", P_CABUNDLE, CABUNDLE "f6", ERR_MALFORMED, "type" },
    { "cabundle indefinite", P_CABUNDLE, CABUNDLE "9f4101ff", ERR_MALFORMED, "head" },
    { "cabundle of 8", P_CABUNDLE, CABUNDLE "8841014101410141014101410141014101", ERR_OK, NULL },
    { "cabundle of 9", P_CABUNDLE, CABUNDLE "89", ERR_LIMIT, "array length" },
    { "cabundle claims 2^63", P_CABUNDLE, CABUNDLE "9b8000000000000000", ERR_LIMIT,
      "array length" },
    { "public_key null", P_KEY, PUBLIC_KEY "f6", ERR_OK, NULL },
    { "public_key empty", P_KEY, PUBLIC_KEY "40", ERR_OK, NULL },
    { "public_key text", P_KEY, PUBLIC_KEY "6161", ERR_MALFORMED, "type" },
    { "public_key undefined", P_KEY, PUBLIC_KEY "f7", ERR_MALFORMED, "type" },
    { "user_data empty", P_USER, USER_DATA "40", ERR_OK, NULL },
    { "user_data number", P_USER, USER_DATA "00", ERR_MALFORMED, "type" },
    { "user_data nested", P_USER, USER_DATA "81818181", ERR_MALFORMED, "type" },
    { "nonce false", P_NONCE, NONCE "f4", ERR_MALFORMED, "type" },
    { "nonce claims 2^64-1", P_NONCE, NONCE "5bffffffffffffffff", ERR_LIMIT, "byte string" },
    { "nonce instead of user_data", P_USER, NONCE "f6", ERR_MALFORMED, "field twice" },
    { "certificate twice", P_NONCE, CERT "4102", ERR_MALFORMED, "field twice" },
    { "certificate again, non-minimal", P_NONCE,
      "780b6365727469666963617465"
      "4102",
      ERR_MALFORMED, "head" },
    { "nonce again, chunked", P_USER,
      "7f656e6f6e6365ff"
      "f6",
      ERR_MALFORMED, "head" },
    { "unknown name", P_NONCE, "6161f6", ERR_MALFORMED, "unknown field" },
    { "name in capitals", P_NONCE, "654e6f6e6365f6", ERR_MALFORMED, "unknown field" },
    { "integer as name", P_NONCE, "01f6", ERR_MALFORMED, "type" },
    { "bytes as name", P_NONCE, "456e6f6e6365f6", ERR_MALFORMED, "type" },
    { "long name", P_NONCE, "71", ERR_LIMIT, "text string" },
    { "one pair too many", HEAD, "aa", ERR_LIMIT, "map length" },
    { "one pair too few", HEAD, "a8", ERR_MALFORMED, "trailing bytes" },
    { "trailing byte", TAIL, "00", ERR_MALFORMED, "trailing bytes" },
    { "stray break", TAIL, "ff", ERR_MALFORMED, "trailing bytes" },
    { "non-minimal head", HEAD, "b809", ERR_MALFORMED, "head" },
    { "an array", HEAD, "89", ERR_MALFORMED, "type" },
};

static const struct row indefinite_rows[] = {
    { "indefinite map", NOTHING, "", ERR_OK, NULL },
    { "indefinite, optionals missing", P_NONCE, "", ERR_OK, NULL },
    { "indefinite without end", TAIL, "", ERR_LIMIT, "map length" },
    { "indefinite with trailing byte", TAIL, "ff00", ERR_MALFORMED, "trailing bytes" },
    { "indefinite with ten pairs", TAIL, "6161f6ff", ERR_LIMIT, "map length" },
    { "indefinite, name without value", P_NONCE, NONCE, ERR_MALFORMED, "type" },
    { "indefinite, field twice", P_NONCE, USER_DATA "f6", ERR_MALFORMED, "field twice" },
    { "indefinite, no certificate", P_CERT, "", ERR_MALFORMED, "field missing" },
};

static void append_hex(struct buf *out, const char *hex)
{
    assert_int_equal(hex_parse(span_str(hex), out), ERR_OK);
}

static struct span envelope(struct span payload)
{
    static const uint8_t phdr[] = { 0xa1, 0x01, 0x38, 0x22 }, sig[COSE_SIG_BYTES];
    AUTO(buf_clear) struct buf out = BUF_INIT(65536);
    struct cbor_out w = cbor_out_init(&out);

    cbor_out_array(&w, 4);
    cbor_out_bstr(&w, SPAN_ARRAY(phdr));
    cbor_out_map(&w, 0);
    cbor_out_bstr(&w, payload);
    cbor_out_bstr(&w, SPAN_ARRAY(sig));
    assert_int_equal(cbor_out_end(&w), ERR_OK);
    return t_copy(buf_view(&out));
}

/* The head of a definite map counts the pairs that are there, unless the row has its own. */
static struct span row_document(const struct row *row, bool indefinite)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(65536);
    bool six = row->place == HEAD && strcmp(row->with, "a6") == 0;
    bool nine = row->place >= PAIRS || row->with[0] != '\0';

    append_hex(&payload, row->place == HEAD ? row->with : indefinite ? "bf" : nine ? "a9" : "a8");
    for (int i = 0; i < (six ? P_KEY : PAIRS); i++)
        append_hex(&payload, row->place == i ? row->with : pairs[i]);
    append_hex(&payload, row->place == TAIL ? row->with : indefinite ? "ff" : "");
    return envelope(buf_view(&payload));
}

static void check_row(const struct row *row, bool indefinite)
{
    struct span in = row_document(row, indefinite);
    struct attest_doc doc = { .timestamp_ms = 777 };
    struct why why = { 0 };

    assert_int_equal(attest_doc_parse(in, &doc, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_true(why.at <= in.len);
        assert_int_equal(doc.timestamp_ms, 777);
    } else {
        assert_int_not_equal(doc.timestamp_ms, 777);
    }
    t_free(in);
}

static void parse_row(void **state)
{
    check_row(*state, false);
}

static void parse_indefinite_row(void **state)
{
    check_row(*state, true);
}

static void values(void **state)
{
    struct span in = row_document(&rows[0], false);
    struct attest_doc doc;
    (void)state;

    assert_int_equal(attest_doc_parse(in, &doc, NULL), ERR_OK);
    assert_true(span_is(doc.module_id, "i-1"));
    assert_int_equal(doc.timestamp_ms, 1700000000000);
    assert_int_equal(doc.pcrs.present, 0x80000001);
    assert_int_equal(doc.pcrs.value[31][47], 0x2f);
    assert_int_equal(doc.certificate.ptr[0], 1);
    assert_int_equal(doc.n_cabundle, 2);
    assert_int_equal(doc.cabundle[1].ptr[0], 3);
    assert_int_equal(doc.public_key.ptr[0], 4);
    assert_null(doc.user_data.ptr);
    assert_null(doc.nonce.ptr);
    t_free(in);
}

/* Where a fault is, counted in the whole document: the digest's value. */
static void fault_offset(void **state)
{
    const struct row row = { .place = P_DIGEST, .with = DIGEST "66534841323536" };
    struct span in = row_document(&row, false);
    struct attest_doc doc;
    struct why why = { 0 };
    (void)state;

    assert_int_equal(attest_doc_parse(in, &doc, &why), ERR_UNSUPPORTED);
    assert_true(span_starts(span_from(in, why.at), "fSHA256"));
    t_free(in);
}

/* A field of each kind, at its limit and one past it. */
static const struct limit_row {
    const char *name;
    size_t member, max;
    const char *what;
} limit_rows[] = {
    { "module_id limit", offsetof(struct attest_doc, module_id), ATTEST_MODULE_ID_MAX,
      "text string" },
    { "certificate limit", offsetof(struct attest_doc, certificate), ATTEST_CERT_MAX,
      "byte string" },
    { "cabundle entry limit", offsetof(struct attest_doc, cabundle[1]), ATTEST_CERT_MAX,
      "byte string" },
    { "public_key limit", offsetof(struct attest_doc, public_key), ATTEST_FIELD_MAX,
      "byte string" },
    { "user_data limit", offsetof(struct attest_doc, user_data), ATTEST_FIELD_MAX, "byte string" },
    { "nonce limit", offsetof(struct attest_doc, nonce), ATTEST_FIELD_MAX, "byte string" },
};

static struct attest_doc small_doc(void)
{
    return (struct attest_doc){
        .module_id = SPAN_LIT("i-1"),
        .timestamp_ms = 1,
        .pcrs = { .present = 1 },
        .certificate = SPAN_LIT("c"),
        .cabundle = { SPAN_LIT("r"), SPAN_LIT("i") },
        .n_cabundle = 2,
    };
}

static enum err written_and_parsed(const struct attest_doc *doc, struct why *why)
{
    AUTO(buf_clear) struct buf payload = BUF_INIT(65536);
    struct attest_doc back;

    assert_int_equal(attest_doc_write(doc, false, &payload), ERR_OK);
    struct span in = envelope(buf_view(&payload));
    enum err r = attest_doc_parse(in, &back, why);
    t_free(in);
    return r;
}

static void limit_row(void **state)
{
    const struct limit_row *row = *state;
    static struct attest_doc doc;
    struct span *member = (struct span *)(void *)((char *)&doc + row->member);
    struct why why = { 0 };
    char text[ATTEST_FIELD_MAX + 1];

    doc = small_doc();
    memset(text, 'a', sizeof(text));
    *member = span_of(text, row->max);
    assert_int_equal(written_and_parsed(&doc, NULL), ERR_OK);
    *member = span_of(text, row->max + 1);
    assert_int_equal(written_and_parsed(&doc, &why), ERR_LIMIT);
    assert_string_equal(why.what, row->what);
}

static void document_length(void **state)
{
    static const uint8_t zeros[ATTEST_DOC_MAX + 1];
    struct attest_doc doc;
    struct why why = { 0 };
    (void)state;

    assert_int_equal(attest_doc_parse(SPAN_ARRAY(zeros), &doc, &why), ERR_LIMIT);
    assert_string_equal(why.what, "document length");
    assert_int_equal(attest_doc_parse(span_of(zeros, ATTEST_DOC_MAX), &doc, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "type");
}

static void write_and_parse(void **state)
{
    static struct attest_doc doc, back;
    (void)state;

    doc = small_doc();
    doc.pcrs.present = 0x8001ffff;
    doc.pcrs.value[31][0] = 9;
    doc.nonce = SPAN_LIT("n");
    doc.user_data = span_of("", 0);
    for (int form = 0; form < 4; form++) {
        bool indefinite = form & 1;
        doc.pcrs.is_tpm = form & 2;
        AUTO(buf_clear) struct buf payload = BUF_INIT(4096);
        assert_int_equal(attest_doc_write(&doc, indefinite, &payload), ERR_OK);
        assert_int_equal(payload.ptr[0], indefinite ? 0xbf : 0xa9);
        struct span in = envelope(buf_view(&payload));
        assert_int_equal(attest_doc_parse(in, &back, NULL), ERR_OK);
        assert_int_equal(back.pcrs.present, doc.pcrs.present);
        assert_int_equal(back.pcrs.is_tpm, doc.pcrs.is_tpm);
        assert_memory_equal(back.pcrs.value[31], doc.pcrs.value[31], ATTEST_PCR_BYTES);
        assert_true(span_is(back.nonce, "n"));
        assert_null(back.public_key.ptr);
        assert_non_null(back.user_data.ptr);
        assert_int_equal(back.user_data.len, 0);
        t_free(in);
    }
}

static void write_without_room(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(100);
    struct attest_doc doc = small_doc();
    (void)state;

    assert_int_equal(buf_append_byte(&out, 'x'), ERR_OK);
    assert_int_equal(attest_doc_write(&doc, true, &out), ERR_LIMIT);
    assert_int_equal(out.len, 1);
}

static void every_truncation(void **state)
{
    (void)state;

    for (int indefinite = 0; indefinite < 2; indefinite++) {
        struct span in = row_document(&rows[0], indefinite);
        struct attest_doc doc;
        assert_int_equal(attest_doc_parse(in, &doc, NULL), ERR_OK);
        struct span payload = t_copy(doc.sign1.payload);
        for (size_t n = 0; n < in.len; n++) {
            struct span cut = t_copy(span_sub(in, 0, n));
            assert_int_not_equal(attest_doc_parse(cut, &doc, NULL), ERR_OK);
            t_free(cut);
        }
        for (size_t n = 0; n < payload.len; n++) {
            struct span cut = envelope(span_sub(payload, 0, n));
            assert_int_not_equal(attest_doc_parse(cut, &doc, NULL), ERR_OK);
            t_free(cut);
        }
        t_free(payload);
        t_free(in);
    }
}

enum {
    ROWS = sizeof(rows) / sizeof(rows[0]),
    INDEFINITE_ROWS = sizeof(indefinite_rows) / sizeof(indefinite_rows[0]),
    LIMIT_ROWS = sizeof(limit_rows) / sizeof(limit_rows[0]),
};

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(fault_offset),
        cmocka_unit_test(document_length),
        cmocka_unit_test(write_and_parse),
        cmocka_unit_test(write_without_room),
        cmocka_unit_test(every_truncation),
    };
    static struct CMUnitTest
        tests[ROWS + INDEFINITE_ROWS + LIMIT_ROWS + sizeof(own) / sizeof(own[0])];
    size_t n = 0;

    n += T_ROWS(tests + n, rows, parse_row);
    n += T_ROWS(tests + n, indefinite_rows, parse_indefinite_row);
    n += T_ROWS(tests + n, limit_rows, limit_row);
    memcpy(&tests[n], own, sizeof(own));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
