/* test_requests.c - requests as botocore serialised them (shared vectors, kms/requests): each is
 * taken apart as it was meant, down to the one thing that it names and that is not here. */
#include "base/json.h"
#include "localkms/test_ops.h"

static struct row {
    const char *name, *type, *message; /* type NULL: answered */
} rows[] = {
    { "decrypt-minimal", "InvalidCiphertextException", NULL },
    { "describe-key", "NotFoundException",
      "Alias arn:aws:kms:us-east-1:" API_ACCOUNT ":alias/ExampleAlias is not found." },
    { "random", NULL, NULL },
    { "sign-digest", "NotFoundException",
      "Key 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab' does not "
      "exist" },
    { "gdk-recipient", "ValidationException", NULL }, /* its document is two bytes */
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* The operation and the body of a vector. */
static void take(struct span json, struct buf *operation, struct buf *body)
{
    struct json_in j = json_in_init(json);
    struct json_str name;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "operation"))
            assert_int_equal(json_str_decode(json_in_string(&j), operation), ERR_OK);
        else if (json_str_is(name, "body"))
            assert_int_equal(json_str_decode(json_in_string(&j), body), ERR_OK);
        else
            json_in_skip(&j);
    }
    assert_int_equal(json_in_end(&j), ERR_OK);
}

static void request(void **state)
{
    AUTO(buf_clear) struct buf operation = BUF_INIT(64), body = BUF_INIT(65536);
    AUTO(buf_clear) struct buf path = BUF_INIT(128);
    const struct row *row = *state;

    assert_int_equal(buf_printf(&path, "kms/requests/%s.json", row->name), ERR_OK);
    struct span json = t_vector(buf_cstr(&path));
    take(json, &operation, &body);
    t_free(json);
    api_ask(&api, ADMIN, buf_cstr(&operation), buf_cstr(&body));
    if (!row->type) {
        api_assert_ok(&api, "\"Plaintext\":\"");
        return;
    }
    if (strcmp(row->type, "ValidationException") != 0) {
        api_assert_fault(&api, row->type, row->message);
        return;
    }
    assert_string_equal(api.note.error, row->type);
    assert_non_null(memmem(api.body.ptr, api.body.len, "ttestation", 10));
}

int main(void)
{
    struct CMUnitTest tests[ROWS];

    T_ROWS(tests, rows, request);
    return cmocka_run_group_tests_name("requests", tests, ops_up, ops_down);
}
