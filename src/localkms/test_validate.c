/* test_validate.c - the exact words for what breaks a constraint. */
#include "localkms/validate.h"
#include "testing/t.h"

#define ONE "1 validation error detected: "

static const char *const specs[] = { "AES_256", "AES_128", NULL };
static const char *const usage[] = { "ENCRYPT_DECRYPT", NULL };

struct value {
    enum { REQUIRED, RANGE, LENGTH, HIDDEN, ENUM, CHARACTERS } check;
    const char *member;
    const char *text; /* NULL: absent */
    int64_t number, min, max;
    const char *const *set;
};

static const struct row {
    const char *name;
    struct value v;
    const char *text; /* NULL: passes */
} rows[] = {
    { "required: given", { REQUIRED, "keyId", .number = 1 }, NULL },
    { "required: absent",
      { REQUIRED, "keyId", .number = 0 },
      ONE "Value null at 'keyId' failed to satisfy constraint: Member must not be null" },
    { "range: lowest", { RANGE, "numberOfBytes", .number = 1, .min = 1, .max = 1024 }, NULL },
    { "range: highest", { RANGE, "numberOfBytes", .number = 1024, .min = 1, .max = 1024 }, NULL },
    { "range: one past",
      { RANGE, "numberOfBytes", .number = 1025, .min = 1, .max = 1024 },
      ONE
      "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less "
      "than or equal to 1024" },
    { "range: one short",
      { RANGE, "numberOfBytes", .number = 0, .min = 1, .max = 1024 },
      ONE
      "Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater "
      "than or equal to 1" },
    { "range: negative",
      { RANGE, "limit", .number = -5, .min = 1, .max = 1000 },
      ONE "Value '-5' at 'limit' failed to satisfy constraint: Member must have value greater than "
          "or equal to 1" },
    { "length: shortest", { LENGTH, "keyId", "a", .min = 1, .max = 3 }, NULL },
    { "length: longest", { LENGTH, "keyId", "abc", .min = 1, .max = 3 }, NULL },
    { "length: absent", { LENGTH, "keyId", NULL, .min = 1, .max = 3 }, NULL },
    { "length: empty",
      { LENGTH, "keyId", "", .min = 1, .max = 3 },
      ONE
      "Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or "
      "equal to 1" },
    { "length: one past",
      { LENGTH, "description", "abcd", .min = 0, .max = 3 },
      ONE
      "Value 'abcd' at 'description' failed to satisfy constraint: Member must have length less "
      "than or equal to 3" },
    { "hidden length: longest",
      { HIDDEN, "plaintext", .number = 4096, .min = 1, .max = 4096 },
      NULL },
    { "hidden length: one past",
      { HIDDEN, "plaintext", .number = 4097, .min = 1, .max = 4096 },
      ONE "Value at 'plaintext' failed to satisfy constraint: Member must have length less than or "
          "equal to 4096" },
    { "hidden length: none",
      { HIDDEN, "ciphertextBlob", .number = 0, .min = 1, .max = 6144 },
      ONE "Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length greater "
          "than or equal to 1" },
    { "enum: last", { ENUM, "keySpec", "AES_128", .set = specs }, NULL },
    { "enum: absent", { ENUM, "keySpec", NULL, .set = specs }, NULL },
    { "enum: not one of two",
      { ENUM, "keySpec", "AES_512", .set = specs },
      ONE
      "Value 'AES_512' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value "
      "set: [AES_256, AES_128]" },
    { "enum: not the one",
      { ENUM, "keyUsage", "SIGN", .set = usage },
      ONE "Value 'SIGN' at 'keyUsage' failed to satisfy constraint: Member must satisfy enum value "
          "set: [ENCRYPT_DECRYPT]" },
    { "enum: in lower case",
      { ENUM, "keySpec", "aes_256", .set = specs },
      ONE
      "Value 'aes_256' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value "
      "set: [AES_256, AES_128]" },
    { "enum: empty",
      { ENUM, "keySpec", "", .set = specs },
      ONE "Value '' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: "
          "[AES_256, AES_128]" },
    { "characters: absent", { CHARACTERS, "policy", .text = NULL }, NULL },
    { "characters: tab, line feed, carriage return",
      { CHARACTERS, "policy", .text = "{\t\n\r}" },
      NULL },
    { "characters: space to tilde", { CHARACTERS, "policy", .text = " ~" }, NULL },
    { "characters: U+007F to U+00FF",
      { CHARACTERS, "policy", .text = "\x7f\xc2\x80\xc3\xbf" },
      NULL },
};
enum { N = sizeof rows / sizeof rows[0] };

static void run(struct checks *c, const struct value *v)
{
    struct span text = v->text ? t_copy(span_str(v->text)) : SPAN_EMPTY;

    switch (v->check) {
    case REQUIRED:
        check_required(c, v->member, v->number);
        break;
    case RANGE:
        check_range(c, v->member, v->number, v->min, v->max);
        break;
    case LENGTH:
        check_length(c, v->member, text, (size_t)v->min, (size_t)v->max);
        break;
    case HIDDEN:
        check_hidden_length(c, v->member, (size_t)v->number, (size_t)v->min, (size_t)v->max);
        break;
    case ENUM:
        check_enum(c, v->member, text, v->set);
        break;
    case CHARACTERS:
        check_policy_characters(c, v->member, text);
        break;
    }
    t_free(text);
}

static void one(void **state)
{
    const struct row *row = *state;
    AUTO(checks_clear) struct checks c = CHECKS_INIT;
    AUTO(fault_clear) struct fault f = FAULT_INIT;

    run(&c, &row->v);
    enum err r = checks_end(&c, &f);
    if (!row->text) {
        assert_int_equal(r, ERR_OK);
        assert_int_equal(f.kind, FAULT_NONE);
        return;
    }
    assert_int_equal(r, ERR_DENIED);
    assert_int_equal(f.kind, FAULT_VALIDATION);
    t_assert_buf(&f.text, row->text);
}

static void policy_characters(void **state)
{
    (void)state;
    static const char *const bad[] = { "\x01",      "\x1f",         "\x0b",
                                       "a\xc4\x80", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        AUTO(checks_clear) struct checks c = CHECKS_INIT;
        AUTO(fault_clear) struct fault f = FAULT_INIT;
        AUTO(buf_clear) struct buf want = BUF_INIT(256);
        run(&c, &(struct value){ CHARACTERS, "policy", .text = bad[i] });
        assert_int_equal(checks_end(&c, &f), ERR_DENIED);
        assert_int_equal(buf_printf(&want,
                                    ONE
                                    "Value '%s' at 'policy' failed to satisfy constraint: Member "
                                    "must satisfy regular expression pattern: "
                                    "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
                                    bad[i]),
                         ERR_OK);
        t_assert_span(buf_view(&f.text), buf_view(&want));
    }
}

static void several(void **state)
{
    (void)state;
    AUTO(checks_clear) struct checks c = CHECKS_INIT;
    AUTO(fault_clear) struct fault f = FAULT_INIT;

    check_required(&c, "keyId", false);
    check_required(&c, "policy", true);
    check_range(&c, "numberOfBytes", 0, 1, 1024);
    check_hidden_length(&c, "plaintext", 0, 1, 4096);
    assert_int_equal(checks_end(&c, &f), ERR_DENIED);
    t_assert_buf(
        &f.text,
        "3 validation errors detected: "
        "Value null at 'keyId' failed to satisfy constraint: Member must not be null; "
        "Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value "
        "greater than or equal to 1; "
        "Value at 'plaintext' failed to satisfy constraint: Member must have length greater "
        "than or equal to 1");
}

/* However long the values, what comes out can be sent, and tells how many faults there are. */
static void long_values(void **state)
{
    (void)state;
    enum { LONG_BYTES = 10001 };
    AUTO(buf_clear) struct buf text = BUF_INIT(LONG_BYTES);

    for (unsigned shift = 0; shift < 4; shift++) {
        AUTO(checks_clear) struct checks c = CHECKS_INIT;
        AUTO(fault_clear) struct fault f = FAULT_INIT;
        AUTO(buf_clear) struct buf body = BUF_INIT(65536);
        buf_reset(&text);
        for (unsigned i = 0; i < shift; i++)
            assert_int_equal(buf_append_byte(&text, 'a'), ERR_OK);
        while (text.len + 4 <= LONG_BYTES)
            assert_int_equal(buf_append_str(&text, "\xf0\x9f\x98\x80"), ERR_OK);
        for (unsigned i = 0; i < 9; i++)
            check_length(&c, "keyId", buf_view(&text), 1, 2048);
        assert_int_equal(checks_end(&c, &f), ERR_DENIED);
        assert_int_equal(f.kind, FAULT_VALIDATION);
        assert_true(span_starts(buf_view(&f.text), "9 validation errors detected: Value '"));
        assert_int_equal(fault_write(&f, &body), ERR_OK);
    }
}

int main(void)
{
    enum { OTHERS = 3 };
    static struct CMUnitTest tests[N + OTHERS] = {
        cmocka_unit_test(policy_characters),
        cmocka_unit_test(several),
        cmocka_unit_test(long_values),
    };

    T_ROWS(tests + OTHERS, rows, one);
    return cmocka_run_group_tests_name("validate", tests, NULL, NULL);
}
