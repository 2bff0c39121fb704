#include "testing/t.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "nsm/nsm.h"

#define DESCRIBE_PCR "6b4465736372696265504352"
#define EXTEND_PCR   "69457874656e64504352"
#define LOCK_PCR     "674c6f636b504352"
#define LOCK_PCRS    "684c6f636b50435273"
#define DESCRIBE_NSM "6b44657363726962654e534d"
#define ATTESTATION  "6b4174746573746174696f6e"
#define GET_RANDOM   "6947657452616e646f6d"
#define INDEX        "65696e646578"
#define DATA         "6464617461"
#define LOCK         "646c6f636b"
#define RANGE        "6572616e6765"
#define USER_DATA    "69757365725f64617461"
#define NONCE        "656e6f6e6365"
#define PUBLIC_KEY   "6a7075626c69635f6b6579"
#define DOCUMENT     "68646f63756d656e74"
#define RANDOM       "6672616e646f6d"
#define ERROR        "654572726f72"
#define PCR47                                                                                      \
    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e" \
    "2f"
#define PCR48         PCR47 "30"
#define VERSION_MAJOR "6d76657273696f6e5f6d616a6f72"
#define VERSION_MINOR "6d76657273696f6e5f6d696e6f72"
#define VERSION_PATCH "6d76657273696f6e5f7061746368"
#define MODULE_ID     "696d6f64756c655f6964"
#define MAX_PCRS      "686d61785f70637273"
#define LOCKED_PCRS   "6b6c6f636b65645f70637273"
#define DIGEST        "66646967657374"
#define SHA384        "66534841333834"
/* The reference's example (section 3.2): module `i-0abc-enc0def`, PCR0 to 15 locked. */
#define NSM_UP_TO_ID                                                                               \
    "a1" DESCRIBE_NSM "a7" VERSION_MAJOR "01" VERSION_MINOR "00" VERSION_PATCH "00" MODULE_ID
#define NSM_EXAMPLE                                                                                \
    NSM_UP_TO_ID "6e692d306162632d656e6330646566" MAX_PCRS "1820" LOCKED_PCRS                      \
                 "90000102030405060708090a0b0c0d0e0f" DIGEST SHA384

/* Requests: what is accepted and what is not. `again` NULL: written as it was read. */
static const struct request_row {
    const char *name, *hex;
    enum err want;
    const char *what; /* why.what, or NULL */
    enum nsm_op op;
    unsigned index;
    const char *again;
} request_rows[] = {
    { "DescribePCR 16", "a1" DESCRIBE_PCR "a1" INDEX "10", ERR_OK, NULL, NSM_DESCRIBE_PCR, 16,
      NULL },
    { "DescribePCR 31", "a1" DESCRIBE_PCR "a1" INDEX "181f", ERR_OK, NULL, NSM_DESCRIBE_PCR, 31,
      NULL },
    { "DescribePCR 65535", "a1" DESCRIBE_PCR "a1" INDEX "19ffff", ERR_OK, NULL, NSM_DESCRIBE_PCR,
      65535, NULL },
    { "DescribePCR 65536", "a1" DESCRIBE_PCR "a1" INDEX "1a00010000", ERR_LIMIT, "integer", 0, 0,
      NULL },
    { "DescribePCR -1", "a1" DESCRIBE_PCR "a1" INDEX "20", ERR_MALFORMED, "type", 0, 0, NULL },
    { "DescribePCR of text", "a1" DESCRIBE_PCR "a1" INDEX "6131", ERR_MALFORMED, "type", 0, 0,
      NULL },
    { "DescribePCR non-minimal index", "a1" DESCRIBE_PCR "a1" INDEX "1810", ERR_MALFORMED, "head",
      0, 0, NULL },
    { "DescribePCR without index", "a1" DESCRIBE_PCR "a0", ERR_MALFORMED, "field missing", 0, 0,
      NULL },
    { "DescribePCR bare", DESCRIBE_PCR, ERR_UNSUPPORTED, "unknown request", 0, 0, NULL },
    { "DescribePCR index twice", "a1" DESCRIBE_PCR "a2" INDEX "10" INDEX "10", ERR_MALFORMED,
      "field twice", 0, 0, NULL },
    { "DescribePCR with more", "a1" DESCRIBE_PCR "a2" INDEX "10" DATA "40", ERR_MALFORMED,
      "unknown field", 0, 0, NULL },
    { "DescribePCR null", "a1" DESCRIBE_PCR "f6", ERR_MALFORMED, "type", 0, 0, NULL },
    { "DescribePCR indefinite map", "a1" DESCRIBE_PCR "bf" INDEX "10ff", ERR_OK, NULL,
      NSM_DESCRIBE_PCR, 16, "a1" DESCRIBE_PCR "a1" INDEX "10" },
    { "DescribePCR in an indefinite map", "bf" DESCRIBE_PCR "a1" INDEX "10ff", ERR_OK, NULL,
      NSM_DESCRIBE_PCR, 16, "a1" DESCRIBE_PCR "a1" INDEX "10" },
    { "DescribePCR in an indefinite map without its end", "bf" DESCRIBE_PCR "a1" INDEX "10",
      ERR_LIMIT, "map length", 0, 0, NULL },
    { "an empty indefinite map", "bfff", ERR_MALFORMED, "map length", 0, 0, NULL },
    { "ExtendPCR", "a1" EXTEND_PCR "a2" INDEX "10" DATA "44deadbeef", ERR_OK, NULL, NSM_EXTEND_PCR,
      16, NULL },
    { "ExtendPCR other order", "a1" EXTEND_PCR "a2" DATA "44deadbeef" INDEX "10", ERR_OK, NULL,
      NSM_EXTEND_PCR, 16, "a1" EXTEND_PCR "a2" INDEX "10" DATA "44deadbeef" },
    { "ExtendPCR of nothing", "a1" EXTEND_PCR "a2" INDEX "10" DATA "40", ERR_OK, NULL,
      NSM_EXTEND_PCR, 16, NULL },
    { "ExtendPCR text data", "a1" EXTEND_PCR "a2" INDEX "10" DATA "6161", ERR_MALFORMED, "type", 0,
      0, NULL },
    { "ExtendPCR null data", "a1" EXTEND_PCR "a2" INDEX "10" DATA "f6", ERR_MALFORMED, "type", 0, 0,
      NULL },
    { "ExtendPCR without data", "a1" EXTEND_PCR "a1" INDEX "10", ERR_MALFORMED, "field missing", 0,
      0, NULL },
    { "LockPCR", "a1" LOCK_PCR "a1" INDEX "10", ERR_OK, NULL, NSM_LOCK_PCR, 16, NULL },
    { "LockPCR range", "a1" LOCK_PCR "a1" RANGE "10", ERR_MALFORMED, "unknown field", 0, 0, NULL },
    { "LockPCRs", "a1" LOCK_PCRS "a1" RANGE "14", ERR_OK, NULL, NSM_LOCK_PCRS, 20, NULL },
    { "DescribeNSM", DESCRIBE_NSM, ERR_OK, NULL, NSM_DESCRIBE_NSM, 0, NULL },
    { "DescribeNSM as a map", "a1" DESCRIBE_NSM "a0", ERR_UNSUPPORTED, "unknown request", 0, 0,
      NULL },
    { "GetRandom", GET_RANDOM, ERR_OK, NULL, NSM_GET_RANDOM, 0, NULL },
    { "GetRandom trailing", GET_RANDOM "00", ERR_MALFORMED, "trailing bytes", 0, 0, NULL },
    { "Attestation of nulls", "a1" ATTESTATION "a3" USER_DATA "f6" NONCE "f6" PUBLIC_KEY "f6",
      ERR_OK, NULL, NSM_ATTESTATION, 0, NULL },
    { "Attestation of nothing", "a1" ATTESTATION "a0", ERR_OK, NULL, NSM_ATTESTATION, 0,
      "a1" ATTESTATION "a3" USER_DATA "f6" NONCE "f6" PUBLIC_KEY "f6" },
    { "Attestation empty is not null",
      "a1" ATTESTATION "a3" USER_DATA "40" NONCE "f6" PUBLIC_KEY "4101", ERR_OK, NULL,
      NSM_ATTESTATION, 0, NULL },
    { "Attestation other order",
      "a1" ATTESTATION "a3" PUBLIC_KEY "4101" NONCE "4102" USER_DATA "4103", ERR_OK, NULL,
      NSM_ATTESTATION, 0, "a1" ATTESTATION "a3" USER_DATA "4103" NONCE "4102" PUBLIC_KEY "4101" },
    { "Attestation null twice", "a1" ATTESTATION "a2" NONCE "f6" NONCE "4100", ERR_MALFORMED,
      "field twice", 0, 0, NULL },
    { "Attestation chunked nonce", "a1" ATTESTATION "a1" NONCE "5f4100ff", ERR_MALFORMED, "head", 0,
      0, NULL },
    { "Attestation undefined", "a1" ATTESTATION "a1" NONCE "f7", ERR_MALFORMED, "type", 0, 0,
      NULL },
    { "Attestation deep nesting", "a1" ATTESTATION "a1" NONCE "818181818181818181818181",
      ERR_MALFORMED, "type", 0, 0, NULL },
    { "name in another case", "6967657452616e646f6d", ERR_UNSUPPORTED, "unknown request", 0, 0,
      NULL },
    { "unknown name", "a16442616c6ca0", ERR_UNSUPPORTED, "unknown request", 0, 0, NULL },
    { "long name",
      "7818"
      "474747474747474747474747474747474747474747474747",
      ERR_LIMIT, "text string", 0, 0, NULL },
    { "two variants", "a2" DESCRIBE_NSM "f6" GET_RANDOM "f6", ERR_LIMIT, "map length", 0, 0, NULL },
    { "a number", "01", ERR_MALFORMED, "type", 0, 0, NULL },
    { "an array", "81" GET_RANDOM, ERR_MALFORMED, "type", 0, 0, NULL },
    { "nothing", "", ERR_MALFORMED, "end of input", 0, 0, NULL },
};

static void request_row(void **state)
{
    const struct request_row *row = *state;
    AUTO(buf_clear) struct buf out = BUF_INIT(NSM_REQUEST_MAX);
    struct span in = t_unhex(row->hex);
    struct nsm_request rq = { .index = 777 };
    struct why why = { 0 };

    assert_int_equal(nsm_request_parse(in, &rq, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(rq.index, 777);
        t_free(in);
        return;
    }
    assert_int_equal(rq.op, row->op);
    assert_int_equal(rq.index, row->index);
    struct span want = t_unhex(row->again ? row->again : row->hex);
    assert_int_equal(nsm_request_write(&rq, &out), ERR_OK);
    t_assert_span(buf_view(&out), want);
    t_free(want);
    t_free(in);
}

static const struct response_row {
    const char *name, *hex;
    enum nsm_op op;
    enum err want;
    const char *what;
    const char *again;
} response_rows[] = {
    { "DescribePCR", "a1" DESCRIBE_PCR "a2" LOCK "f5" DATA "5830" PCR48, NSM_DESCRIBE_PCR, ERR_OK,
      NULL, NULL },
    { "DescribePCR data first", "a1" DESCRIBE_PCR "a2" DATA "5830" PCR48 LOCK "f4",
      NSM_DESCRIBE_PCR, ERR_OK, NULL, "a1" DESCRIBE_PCR "a2" LOCK "f4" DATA "5830" PCR48 },
    { "DescribePCR 47 bytes", "a1" DESCRIBE_PCR "a2" LOCK "f5" DATA "582f" PCR47, NSM_DESCRIBE_PCR,
      ERR_MALFORMED, "PCR length", NULL },
    { "DescribePCR 49 bytes", "a1" DESCRIBE_PCR "a2" LOCK "f5" DATA "5831" PCR48 "00",
      NSM_DESCRIBE_PCR, ERR_LIMIT, "byte string", NULL },
    { "DescribePCR lock null", "a1" DESCRIBE_PCR "a2" LOCK "f6" DATA "5830" PCR48, NSM_DESCRIBE_PCR,
      ERR_MALFORMED, "type", NULL },
    { "DescribePCR without lock", "a1" DESCRIBE_PCR "a1" DATA "5830" PCR48, NSM_DESCRIBE_PCR,
      ERR_MALFORMED, "field missing", NULL },
    { "ExtendPCR", "a1" EXTEND_PCR "a1" DATA "5830" PCR48, NSM_EXTEND_PCR, ERR_OK, NULL, NULL },
    { "LockPCR", LOCK_PCR, NSM_LOCK_PCR, ERR_OK, NULL, NULL },
    { "LockPCR with null", "a1" LOCK_PCR "f6", NSM_LOCK_PCR, ERR_MALFORMED,
      "another kind of response", NULL },
    { "LockPCRs", LOCK_PCRS, NSM_LOCK_PCRS, ERR_OK, NULL, NULL },
    { "LockPCRs for LockPCR", LOCK_PCRS, NSM_LOCK_PCR, ERR_MALFORMED, "another kind of response",
      NULL },
    { "DescribeNSM", NSM_EXAMPLE, NSM_DESCRIBE_NSM, ERR_OK, NULL, NULL },
    { "DescribeNSM digest first",
      "a1" DESCRIBE_NSM "a7" DIGEST SHA384 MAX_PCRS "1820" LOCKED_PCRS "820102" MODULE_ID
      "6161" VERSION_PATCH "03" VERSION_MINOR "02" VERSION_MAJOR "01",
      NSM_DESCRIBE_NSM, ERR_OK, NULL,
      "a1" DESCRIBE_NSM "a7" VERSION_MAJOR "01" VERSION_MINOR "02" VERSION_PATCH "03" MODULE_ID
      "6161" MAX_PCRS "1820" LOCKED_PCRS "820102" DIGEST SHA384 },
    { "DescribeNSM SHA512",
      NSM_UP_TO_ID "6161" MAX_PCRS "00" LOCKED_PCRS "80" DIGEST "66534841353132", NSM_DESCRIBE_NSM,
      ERR_OK, NULL, NULL },
    { "DescribeNSM SHA256",
      NSM_UP_TO_ID "6161" MAX_PCRS "00" LOCKED_PCRS "80" DIGEST "66534841323536", NSM_DESCRIBE_NSM,
      ERR_OK, NULL, NULL },
    { "DescribeNSM SHA3", NSM_UP_TO_ID "6161" MAX_PCRS "00" LOCKED_PCRS "80" DIGEST "6453484133",
      NSM_DESCRIBE_NSM, ERR_MALFORMED, "digest", NULL },
    { "DescribeNSM without a name", NSM_UP_TO_ID "60" MAX_PCRS "00" LOCKED_PCRS "80" DIGEST SHA384,
      NSM_DESCRIBE_NSM, ERR_MALFORMED, "module id", NULL },
    { "DescribeNSM PCR twice", NSM_UP_TO_ID "6161" MAX_PCRS "00" LOCKED_PCRS "820101" DIGEST SHA384,
      NSM_DESCRIBE_NSM, ERR_MALFORMED, "PCR order", NULL },
    { "DescribeNSM PCRs descending",
      NSM_UP_TO_ID "6161" MAX_PCRS "00" LOCKED_PCRS "820201" DIGEST SHA384, NSM_DESCRIBE_NSM,
      ERR_MALFORMED, "PCR order", NULL },
    { "DescribeNSM PCR 31", NSM_UP_TO_ID "6161" MAX_PCRS "00" LOCKED_PCRS "81181f" DIGEST SHA384,
      NSM_DESCRIBE_NSM, ERR_OK, NULL, NULL },
    { "DescribeNSM PCR 32", NSM_UP_TO_ID "6161" MAX_PCRS "00" LOCKED_PCRS "811820" DIGEST SHA384,
      NSM_DESCRIBE_NSM, ERR_LIMIT, "integer", NULL },
    { "Attestation", "a1" ATTESTATION "a1" DOCUMENT "4101", NSM_ATTESTATION, ERR_OK, NULL, NULL },
    { "Attestation empty", "a1" ATTESTATION "a1" DOCUMENT "40", NSM_ATTESTATION, ERR_MALFORMED,
      "no document", NULL },
    { "Attestation null", "a1" ATTESTATION "a1" DOCUMENT "f6", NSM_ATTESTATION, ERR_MALFORMED,
      "type", NULL },
    { "Attestation extra field",
      "a1" ATTESTATION "a2" DOCUMENT "4101"
      "646d6f7265"
      "01",
      NSM_ATTESTATION, ERR_OK, NULL, "a1" ATTESTATION "a1" DOCUMENT "4101" },
    { "Attestation field twice", "a1" ATTESTATION "a2" DOCUMENT "4101" DOCUMENT "4101",
      NSM_ATTESTATION, ERR_MALFORMED, "field twice", NULL },
    { "GetRandom one byte", "a1" GET_RANDOM "a1" RANDOM "4101", NSM_GET_RANDOM, ERR_OK, NULL,
      NULL },
    { "GetRandom empty", "a1" GET_RANDOM "a1" RANDOM "40", NSM_GET_RANDOM, ERR_MALFORMED,
      "no random bytes", NULL },
    { "GetRandom claimed 2^63", "a1" GET_RANDOM "a1" RANDOM "5b7f7f7f7f7f7f7f7f", NSM_GET_RANDOM,
      ERR_LIMIT, "byte string", NULL },
    { "GetRandom 257", "a1" GET_RANDOM "a1" RANDOM "590101", NSM_GET_RANDOM, ERR_LIMIT,
      "byte string", NULL },
    { "GetRandom indefinite", "a1" GET_RANDOM "bf" RANDOM "4101ff", NSM_GET_RANDOM, ERR_OK, NULL,
      "a1" GET_RANDOM "a1" RANDOM "4101" },
    { "GetRandom in an indefinite map", "bf" GET_RANDOM "bf" RANDOM "4101ffff", NSM_GET_RANDOM,
      ERR_OK, NULL, "a1" GET_RANDOM "a1" RANDOM "4101" },
    { "GetRandom in chunks", "a1" GET_RANDOM "a1" RANDOM "5f4101ff", NSM_GET_RANDOM, ERR_MALFORMED,
      "head", NULL },
    { "Error to any request", "a1" ERROR "6c496e76616c6964496e646578", NSM_EXTEND_PCR, ERR_OK, NULL,
      NULL },
    { "Error bare", ERROR, NSM_EXTEND_PCR, ERR_MALFORMED, "another kind of response", NULL },
    { "Error Success is none", "a1" ERROR "6753756363657373", NSM_LOCK_PCR, ERR_MALFORMED,
      "unknown error", NULL },
    { "Error unknown", "a1" ERROR "644e6f7065", NSM_LOCK_PCR, ERR_MALFORMED, "unknown error",
      NULL },
    { "Error as a number", "a1" ERROR "02", NSM_LOCK_PCR, ERR_MALFORMED, "type", NULL },
    { "Error trailing", "a1" ERROR "6d496e7465726e616c4572726f72f6", NSM_LOCK_PCR, ERR_MALFORMED,
      "trailing bytes", NULL },
    { "nothing", "", NSM_LOCK_PCR, ERR_MALFORMED, "end of input", NULL },
};

static void response_row(void **state)
{
    const struct response_row *row = *state;
    AUTO(buf_clear) struct buf out = BUF_INIT(NSM_RESPONSE_MAX);
    struct span in = t_unhex(row->hex);
    struct nsm_response rs = { .max_pcrs = 777 };
    struct why why = { 0 };

    assert_int_equal(nsm_response_parse(in, row->op, &rs, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        assert_int_equal(rs.max_pcrs, 777);
        t_free(in);
        return;
    }
    assert_int_equal(rs.op, row->op);
    struct span want = t_unhex(row->again ? row->again : row->hex);
    assert_int_equal(nsm_response_write(&rs, &out), ERR_OK);
    t_assert_span(buf_view(&out), want);
    t_free(want);
    t_free(in);
}

static void describe_nsm_values(void **state)
{
    struct span in = t_unhex(NSM_EXAMPLE);
    struct nsm_response rs;
    (void)state;

    assert_int_equal(in.len, 138);
    assert_int_equal(nsm_response_parse(in, NSM_DESCRIBE_NSM, &rs, NULL), ERR_OK);
    assert_true(span_is(rs.module_id, "i-0abc-enc0def"));
    assert_true(span_is(rs.digest, "SHA384"));
    assert_int_equal(rs.version_major, 1);
    assert_int_equal(rs.version_minor, 0);
    assert_int_equal(rs.max_pcrs, 32);
    assert_int_equal(rs.locked_pcrs, 0xffff);
    t_free(in);
}

static void absent_and_empty_differ(void **state)
{
    struct span in = t_unhex("a1" ATTESTATION "a2" USER_DATA "40" NONCE "f6");
    struct nsm_request rq;
    (void)state;

    assert_int_equal(nsm_request_parse(in, &rq, NULL), ERR_OK);
    assert_non_null(rq.user_data.ptr);
    assert_int_equal(rq.user_data.len, 0);
    assert_null(rq.nonce.ptr);
    assert_null(rq.public_key.ptr);
    t_free(in);
}

static void every_error_name(void **state)
{
    (void)state;

    for (unsigned e = NSM_SUCCESS + 1; e <= NSM_INTERNAL_ERROR; e++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(64);
        struct nsm_response rs = { .error = (enum nsm_error)e }, back;
        assert_int_equal(nsm_response_write(&rs, &out), ERR_OK);
        assert_int_equal(nsm_response_parse(buf_view(&out), NSM_GET_RANDOM, &back, NULL), ERR_OK);
        assert_int_equal(back.error, e);
    }
    assert_string_equal(nsm_error_name(NSM_SUCCESS), "Success");
    assert_string_equal(nsm_error_name(NSM_INPUT_TOO_LARGE), "InputTooLarge");
    assert_string_equal(nsm_error_name((enum nsm_error)9), "unknown");
}

/* A 4,096-byte request passes both ways, one more byte does not. */
static void request_limit(void **state)
{
    static const uint8_t zeros[NSM_REQUEST_MAX + 1];
    AUTO(buf_clear) struct buf out = BUF_INIT(NSM_REQUEST_MAX + 100);
    /* a1 69 ExtendPCR a2 65 index 10 64 data 59 xxxx: 27 bytes before the data */
    struct nsm_request rq = { .op = NSM_EXTEND_PCR, .index = 16 };
    struct why why = { 0 };
    (void)state;

    rq.data = span_of(zeros, NSM_REQUEST_MAX - 27);
    assert_int_equal(nsm_request_write(&rq, &out), ERR_OK);
    assert_int_equal(out.len, NSM_REQUEST_MAX);
    assert_int_equal(nsm_request_parse(buf_view(&out), &rq, NULL), ERR_OK);
    buf_reset(&out);
    rq.data = span_of(zeros, NSM_REQUEST_MAX - 26);
    assert_int_equal(nsm_request_write(&rq, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(nsm_request_parse(SPAN_ARRAY(zeros), &rq, &why), ERR_LIMIT);
    assert_string_equal(why.what, "request length");
}

static void response_limit(void **state)
{
    static const uint8_t zeros[NSM_RESPONSE_MAX + 1];
    AUTO(buf_clear) struct buf out = BUF_INIT(NSM_RESPONSE_MAX + 100);
    /* a1 6b Attestation a1 68 document 59 xxxx: 26 bytes before the document */
    struct nsm_response rs = { .op = NSM_ATTESTATION };
    struct why why = { 0 };
    (void)state;

    rs.data = span_of(zeros, NSM_RESPONSE_MAX - 26);
    assert_int_equal(nsm_response_write(&rs, &out), ERR_OK);
    assert_int_equal(out.len, NSM_RESPONSE_MAX);
    assert_int_equal(nsm_response_parse(buf_view(&out), NSM_ATTESTATION, &rs, NULL), ERR_OK);
    buf_reset(&out);
    rs.data = span_of(zeros, NSM_RESPONSE_MAX - 25);
    assert_int_equal(nsm_response_write(&rs, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(nsm_response_parse(SPAN_ARRAY(zeros), NSM_ATTESTATION, &rs, &why), ERR_LIMIT);
    assert_string_equal(why.what, "response length");
}

static void our_own_faults(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(3);
    struct nsm_response rs = { .op = (enum nsm_op)7 };
    struct nsm_request rq = { .op = (enum nsm_op)7 };
    struct why why = { 0 };
    (void)state;

    assert_int_equal(nsm_request_write(&rq, &out), ERR_INTERNAL);
    assert_int_equal(nsm_response_write(&rs, &out), ERR_INTERNAL);
    assert_int_equal(nsm_response_parse(SPAN_LIT("x"), (enum nsm_op)7, &rs, &why), ERR_INTERNAL);
    rs.error = (enum nsm_error)9;
    assert_int_equal(nsm_response_write(&rs, &out), ERR_INTERNAL);
    rs.error = NSM_INVALID_INDEX; /* more than three bytes */
    assert_int_equal(nsm_response_write(&rs, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
}

/* Every truncation fails; every flipped bit either fails or is written back as it stands. */
static void truncations_and_flips(void **state)
{
    static const char *const good[] = { NSM_EXAMPLE,
                                        "a1" DESCRIBE_PCR "a2" LOCK "f5" DATA "5830" PCR48 };
    static const enum nsm_op op[] = { NSM_DESCRIBE_NSM, NSM_DESCRIBE_PCR };
    (void)state;

    for (size_t g = 0; g < 2; g++) {
        struct span in = t_unhex(good[g]);
        struct nsm_response rs;
        for (size_t n = 0; n < in.len; n++) {
            struct span cut = t_copy(span_sub(in, 0, n));
            assert_int_not_equal(nsm_response_parse(cut, op[g], &rs, NULL), ERR_OK);
            t_free(cut);
        }
        for (size_t bit = 0; bit < in.len * 8; bit++) {
            AUTO(buf_clear) struct buf bad = BUF_INIT(4096);
            AUTO(buf_clear) struct buf out = BUF_INIT(4096);
            assert_int_equal(buf_append(&bad, in), ERR_OK);
            bad.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (nsm_response_parse(buf_view(&bad), op[g], &rs, NULL) != ERR_OK)
                continue;
            assert_int_equal(nsm_response_write(&rs, &out), ERR_OK);
            t_assert_span(buf_view(&out), buf_view(&bad));
        }
        t_free(in);
    }
}

/* In how many of the seven kinds is this a good response? And is it a good request? */
static unsigned kinds_accepted(struct span in, bool *as_request)
{
    struct nsm_request rq;
    struct nsm_response rs;
    unsigned n = 0;

    for (unsigned op = 0; op <= NSM_GET_RANDOM; op++)
        n += nsm_response_parse(in, (enum nsm_op)op, &rs, NULL) == ERR_OK;
    *as_request = nsm_request_parse(in, &rq, NULL) == ERR_OK;
    return n;
}

static void shared_vectors(void **state)
{
    struct span text = t_vector("manifest.json");
    json_t *manifest = json_loadb((const char *)text.ptr, text.len, JSON_ALLOW_NUL, NULL), *e;
    size_t i;
    unsigned seen = 0;
    (void)state;

    assert_non_null(manifest);
    json_array_foreach(json_object_get(manifest, "entries"), i, e)
    {
        const char *path = json_string_value(json_object_get(e, "path"));
        const char *kind = json_string_value(json_object_get(e, "kind"));
        const char *expected = json_string_value(json_object_get(e, "expected"));
        bool as_request;
        if (!kind || strcmp(kind, "nsm-message") != 0)
            continue;
        struct span in = t_vector(path);
        unsigned kinds = kinds_accepted(in, &as_request);
        bool is_good = strcmp(expected, "valid") == 0;
        if (strcmp(expected, "policy") == 0) { /* decided in doc/decisions.md, tested above */
            t_free(in);
            continue;
        }
        /* An Error answers every kind. */
        if (is_good != (strstr(path, "/req-") ? as_request : kinds == 1 || kinds == 7))
            fail_msg("%s: %u kinds, request: %d", path, kinds, as_request);
        if (!is_good && (kinds || as_request))
            fail_msg("%s accepted", path);
        t_free(in);
        seen++;
    }
    assert_true(seen >= 19);
    json_decref(manifest);
    t_free(text);
}

enum {
    REQUEST_ROWS = sizeof(request_rows) / sizeof(request_rows[0]),
    RESPONSE_ROWS = sizeof(response_rows) / sizeof(response_rows[0]),
};

static void equal_bytes_are_not_random(void **state)
{
    uint8_t bytes[NSM_RANDOM_BYTES + 1] = { 0 };

    (void)state;
    assert_false(nsm_random_plausible(span_of(bytes, NSM_RANDOM_BYTES)));
    assert_false(nsm_random_plausible(SPAN_EMPTY));
    memset(bytes, 0xff, sizeof bytes);
    assert_false(nsm_random_plausible(span_of(bytes, NSM_RANDOM_BYTES)));
    bytes[NSM_RANDOM_MIN - 2] = 0xfe;
    assert_true(nsm_random_plausible(span_of(bytes, NSM_RANDOM_BYTES)));
    assert_true(nsm_random_plausible(span_of(bytes, NSM_RANDOM_MIN)));
    assert_false(nsm_random_plausible(span_of(bytes, NSM_RANDOM_MIN - 1)));
    assert_false(nsm_random_plausible(span_of(bytes, NSM_RANDOM_BYTES + 1)));
}

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(describe_nsm_values),
        cmocka_unit_test(absent_and_empty_differ),
        cmocka_unit_test(every_error_name),
        cmocka_unit_test(request_limit),
        cmocka_unit_test(response_limit),
        cmocka_unit_test(our_own_faults),
        cmocka_unit_test(truncations_and_flips),
        cmocka_unit_test(shared_vectors),
        cmocka_unit_test(equal_bytes_are_not_random),
    };
    static struct CMUnitTest tests[REQUEST_ROWS + RESPONSE_ROWS + sizeof(own) / sizeof(own[0])];
    static char names[RESPONSE_ROWS][64];
    size_t n = 0;

    n += T_ROWS(tests + n, request_rows, request_row);
    for (size_t i = 0; i < RESPONSE_ROWS; i++) {
        snprintf(names[i], sizeof(names[i]), "response %s", response_rows[i].name);
        tests[n++] = (struct CMUnitTest){ names[i], response_row, NULL, NULL,
                                          (void *)(uintptr_t)&response_rows[i] };
    }
    memcpy(&tests[n], own, sizeof(own));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
