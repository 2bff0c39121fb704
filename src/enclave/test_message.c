#include "enclave/message.h"
#include "testing/t.h"

#include <stdio.h>
#include <stdlib.h>

#define ARN     "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define ARN_2   "arn:aws:kms:us-east-1:111122223333:key/ffffabcd-12ab-34cd-56ef-1234567890ab"
#define MRK     "arn:aws:kms:us-east-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef"
#define MRK_EU  "arn:aws:kms:eu-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef"
#define MRK_ACC "arn:aws:kms:eu-west-1:999922223333:key/mrk-0123456789abcdef0123456789abcdef"
#define ALIAS   "arn:aws:kms:us-east-1:111122223333:alias/a"

static struct crypto *cx;

static int setup(void **state)
{
    (void)state;
    return crypto_new(&cx) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

/* The KMS of this test: the data key is the blob, 32 times its first byte. */
static void give(struct message *m)
{
    const struct enclave_key_ask *ask = message_key_ask(m);
    struct secret key;
    uint8_t first = ask->is_new ? 0x5a : ask->ciphertext.ptr[0];

    assert_int_equal(ask->bytes, 32);
    assert_int_equal(secret_new(ask->bytes, &key), ERR_OK);
    memset(key.ptr, first, key.len);
    assert_int_equal(message_key_give(m, &key, SPAN_LIT("Z")), ERR_OK); /* 'Z' is 0x5a */
}

/* Of the last message, at its end; spans no more. */
static struct message_facts facts;

static void facts_are(unsigned suite, unsigned opened, bool seals)
{
    assert_int_equal(facts.suite, suite);
    assert_int_equal(facts.opened_suite, opened);
    assert_int_equal(facts.opened_arn.len > 0, opened > 0);
    assert_int_equal(facts.sealed_arn.len > 0, seals);
}

/* All of `in` through a message, `piece` bytes at a time. */
static enum err through(const struct message_options *o, struct span in, size_t piece,
                        struct buf *out, struct message_fault *fault)
{
    struct message *m;
    enum err r = message_new(o, &m, fault);
    size_t at = 0;
    struct span part = SPAN_EMPTY;

    if (r != ERR_OK)
        return r;
    while (r == ERR_OK && !message_is_done(m)) {
        AUTO(buf_clear) struct buf some = BUF_INIT(MESSAGE_OUT_MAX);
        if (part.len == 0) {
            part = span_sub(in, at, piece);
            at += part.len;
        }
        r = message_step(m, cx, &part, at == in.len, &some);
        assert_true(some.len <= MESSAGE_OUT_MAX);
        if (r == ERR_OK)
            assert_int_equal(buf_append(out, buf_view(&some)), ERR_OK);
        if (message_wants_key(m))
            give(m);
    }
    *fault = *message_fault(m);
    if (r != ERR_OK) { /* and so it stays */
        struct span more = SPAN_LIT("more");
        AUTO(buf_clear) struct buf none = BUF_INIT(MESSAGE_OUT_MAX);
        assert_int_equal(message_step(m, cx, &more, true, &none), r);
        assert_int_equal(none.len, 0);
    }
    facts = message_facts(m);
    message_free(m);
    return r;
}

static const struct span arn_list[] = { SPAN_INIT(ARN), SPAN_INIT(MRK) };

static struct message_options options(enum message_op op)
{
    return (struct message_options){
        .op = op,
        .seal_arn = SPAN_LIT(ARN),
        .arns = arn_list,
        .n_arns = 2,
        .keeps_context = true,
    };
}

static struct span text_of(size_t n)
{
    uint8_t *p = malloc(n + 1);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + i / 256);
    return span_of(p, n);
}

static void there_and_back(void **state)
{
    (void)state;
    static const struct {
        size_t bytes, piece;
        uint32_t frame;
        unsigned suite;
    } rows[] = {
        { 0, 1, 0, 0 },
        { 1, 1, 1, ESDK_SUITE_SIGNED },
        { 100, 3, 7, ESDK_SUITE_SIGNED },
        { 65536, 65536, 65536, 0 },
        { 100000, 999, 1, 0 }, /* grows by the factor 33: several steps for each piece */
        { 3000000, 70001, MESSAGE_FRAME_MAX, 0 },
        { 3000000, 3000000, 4096, ESDK_SUITE_SIGNED },
    };
    const struct esdk_pair pairs[] = { { SPAN_LIT("b"), SPAN_LIT("2") },
                                       { SPAN_LIT("a"), SPAN_LIT("1") } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AUTO(buf_clear) struct buf sealed = BUF_INIT(1 << 24), again = BUF_INIT(1 << 24);
        AUTO(buf_clear) struct buf back = BUF_INIT(1 << 24);
        struct span text = text_of(rows[i].bytes);
        struct message_options seal = options(MESSAGE_ENCRYPT), wrap = options(MESSAGE_REWRAP),
                               open = options(MESSAGE_DECRYPT);
        struct message_fault fault;
        seal.suite = rows[i].suite;
        seal.frame_length = rows[i].frame;
        seal.context = pairs;
        seal.n_context = 2;
        open.required = pairs;
        open.n_required = 1;
        assert_int_equal(through(&seal, text, rows[i].piece, &sealed, &fault), ERR_OK);
        unsigned first = rows[i].suite ? rows[i].suite : ESDK_SUITE_COMMITTING;
        facts_are(first, 0, true);
        assert_int_equal(through(&wrap, buf_view(&sealed), rows[i].piece, &again, &fault), ERR_OK);
        facts_are(ESDK_SUITE_COMMITTING, first, true); /* of the new message, not of the old */
        assert_int_equal(through(&open, buf_view(&again), rows[i].piece, &back, &fault), ERR_OK);
        facts_are(ESDK_SUITE_COMMITTING, ESDK_SUITE_COMMITTING, false);
        assert_true(span_eq(buf_view(&back), text));
        free((void *)(uintptr_t)text.ptr);
    }
}

/* Which encrypted data key is ours: a message is made with other ARNs than the service has. */
static const struct key_row {
    const char *name, *sealed_under, *code; /* NULL: opens */
} key_rows[] = {
    { "key: the same", ARN, NULL },
    { "key: another", ARN_2, "no_key" },
    { "key: multi-Region", MRK, NULL },
    { "key: its replica", MRK_EU, NULL },
    { "key: a replica's name in another account", MRK_ACC, "no_key" },
    { "key: an alias", ALIAS, "no_key" },
    { "key: no ARN", "1234abcd-12ab-34cd-56ef-1234567890ab", "message_malformed" },
    { "key: of another service", "arn:aws:s3:us-east-1:111122223333:key/1234abcd",
      "message_malformed" },
};

static void key_row(void **state)
{
    const struct key_row *row = *state;
    AUTO(buf_clear) struct buf sealed = BUF_INIT(65536), back = BUF_INIT(65536);
    struct message_options seal = options(MESSAGE_ENCRYPT), open = options(MESSAGE_DECRYPT);
    struct message_fault fault;

    seal.seal_arn = span_str(row->sealed_under);
    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &sealed, &fault), ERR_OK);
    enum err r = through(&open, buf_view(&sealed), 4096, &back, &fault);
    if (!row->code) {
        assert_int_equal(r, ERR_OK);
        t_assert_buf(&back, "text");
        return;
    }
    assert_int_not_equal(r, ERR_OK);
    assert_string_equal(fault.code, row->code);
    assert_int_equal(back.len, 0);
}

static void faults(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf sealed = BUF_INIT(65536), back = BUF_INIT(65536);
    struct message_options seal = options(MESSAGE_ENCRYPT), open = options(MESSAGE_DECRYPT);
    const struct esdk_pair has[] = { { SPAN_LIT("a"), SPAN_LIT("1") } };
    const struct esdk_pair wants[] = { { SPAN_LIT("a"), SPAN_LIT("2") } };
    const struct esdk_pair reserved[] = { { SPAN_LIT("aws-crypto-x"), SPAN_LIT("2") } };
    struct esdk_pair many[MESSAGE_PAIRS_MAX + 1];
    struct message_fault fault;

    seal.context = has;
    seal.n_context = 1;
    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &sealed, &fault), ERR_OK);
    open.required = wants;
    open.n_required = 1;
    assert_int_equal(through(&open, buf_view(&sealed), 9999, &back, &fault), ERR_VERIFY);
    assert_string_equal(fault.code, "context_mismatch");
    open.n_required = 0;
    for (size_t cut = 0; cut < sealed.len; cut++) {
        struct span part = span_sub(buf_view(&sealed), 0, cut);
        assert_int_not_equal(through(&open, part, 50, &back, &fault), ERR_OK);
        assert_string_equal(fault.code, "message_malformed");
    }
    sealed.ptr[sealed.len - 1] ^= 1;
    assert_int_equal(through(&open, buf_view(&sealed), 9999, &back, &fault), ERR_VERIFY);
    assert_string_equal(fault.code, "message_not_authentic");
    assert_int_equal(back.len, 0);

    seal.context = reserved;
    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &back, &fault), ERR_MALFORMED);
    seal.suite = 0x0178;
    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &back, &fault), ERR_MALFORMED);
    assert_string_equal(fault.code, "invalid_request");
    seal.suite = 0;
    seal.frame_length = MESSAGE_FRAME_MAX + 1;
    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &back, &fault), ERR_MALFORMED);
    seal.frame_length = 0;
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++)
        many[i] = has[0];
    seal.context = many;
    seal.n_context = sizeof many / sizeof many[0];
    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &back, &fault), ERR_LIMIT);
    assert_string_equal(fault.code, "message_limit");
}

/* Pairs that a message does not carry but is required to be bound to go to KMS as well: there they
 * have to fit, all together. None of these is bound, which shows once the key is there. */
static void required_beside_its_own(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf sealed = BUF_INIT(65536), back = BUF_INIT(65536);
    struct message_options seal = options(MESSAGE_ENCRYPT), open = options(MESSAGE_DECRYPT);
    const struct esdk_pair has[] = { { SPAN_LIT("a"), SPAN_LIT("1") },
                                     { SPAN_LIT("b"), SPAN_LIT("2") } };
    struct esdk_pair wants[MESSAGE_PAIRS_MAX];
    char names[MESSAGE_PAIRS_MAX][8];
    struct message_fault fault;

    seal.context = has;
    seal.n_context = 2;
    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &sealed, &fault), ERR_OK);
    for (size_t i = 0; i < MESSAGE_PAIRS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "r%02zu", i);
        wants[i] = (struct esdk_pair){ span_str(names[i]), SPAN_LIT("v") };
    }
    open.required = wants;
    open.n_required = MESSAGE_PAIRS_MAX - 2;
    assert_int_equal(through(&open, buf_view(&sealed), 9999, &back, &fault), ERR_VERIFY);
    assert_string_equal(fault.code, "message_not_authentic");
    open.n_required++;
    assert_int_equal(through(&open, buf_view(&sealed), 9999, &back, &fault), ERR_LIMIT);
    assert_string_equal(fault.code, "message_limit");
    assert_non_null(strstr(fault.why.what, "64 pairs"));
    wants[0] = has[0]; /* one that it carries counts once */
    assert_int_equal(through(&open, buf_view(&sealed), 9999, &back, &fault), ERR_VERIFY);
}

/* The key that KMS gave is not the message's. */
static void another_data_key(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf sealed = BUF_INIT(65536), out = BUF_INIT(MESSAGE_OUT_MAX);
    struct message_options seal = options(MESSAGE_ENCRYPT), open = options(MESSAGE_DECRYPT);
    struct message_fault fault;
    struct message *m;
    struct secret key;

    assert_int_equal(through(&seal, SPAN_LIT("text"), 4, &sealed, &fault), ERR_OK);
    assert_int_equal(message_new(&open, &m, &fault), ERR_OK);
    struct span in = buf_view(&sealed);
    assert_int_equal(message_step(m, cx, &in, true, &out), ERR_OK);
    assert_true(message_wants_key(m));
    assert_int_equal(secret_new(32, &key), ERR_OK);
    assert_int_equal(message_key_give(m, &key, SPAN_EMPTY), ERR_OK);
    assert_int_equal(message_step(m, cx, &in, true, &out), ERR_VERIFY);
    assert_string_equal(message_fault(m)->code, "message_not_authentic");
    assert_int_equal(out.len, 0);
    message_free(m);
}

int main(void)
{
    enum { N = sizeof key_rows / sizeof key_rows[0], FIXED = 4 };
    struct CMUnitTest tests[FIXED + N] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(faults),
        cmocka_unit_test(required_beside_its_own),
        cmocka_unit_test(another_data_key),
    };

    T_ROWS(tests + FIXED, key_rows, key_row);
    return cmocka_run_group_tests_name("message", tests, setup, teardown);
}
