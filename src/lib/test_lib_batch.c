/* Batches against a service played here. */
#include <stdlib.h>

#include "lib/t_service.h"

#define BATCH(length, json)                                                                        \
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " length "\r\n\r\n" json

static const struct nitroseal_item items[] = {
    { .operation = NITROSEAL_ENCRYPT, .text = "a\0b", .len = 3 },
    { .operation = NITROSEAL_DECRYPT, .encrypted = "e", .signature = "s", .ciphertext_blob = "b" },
    { .operation = NITROSEAL_DECRYPT, .encrypted = "e", .signature = "s", .ciphertext_blob = "b" },
};

/* Each result for itself: one that went well, one that did not, one that is a text. */
static void each(void **state)
{
    (void)state;
    const struct t_turn t[] = {
        { .answer =
              BATCH("206", "{\"results\":[{\"encrypted\":\"E\",\"signature\":\"S\",\"ciphertext_"
                           "blob\":\"B\",\"key_id\":\"k\"},{\"code\":\"text_not_authentic\","
                           "\"title\":\"T\",\"status\":422},{\"decrypted\":\"x\\u0000y\","
                           "\"signature_valid\":true}],\"request_id\":\"r\"}    ") },
    };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_result results[3];
    struct nitroseal_error *error = NULL;

    t_service_turns(1, t);
    assert_int_equal(nitroseal_batch(ns, items, 3, results, 0, &error), NITROSEAL_OK);
    assert_null(error);
    assert_int_equal(results[0].status, NITROSEAL_OK);
    assert_string_equal(results[0].message.ciphertext_blob, "B");
    assert_string_equal(results[0].message.key_id, "k");
    assert_null(results[0].error);
    assert_int_equal(results[1].status, NITROSEAL_UNVERIFIED);
    assert_string_equal(results[1].error->code, "text_not_authentic");
    assert_int_equal(results[1].error->http_status, 422);
    assert_null(results[1].text.data);
    assert_int_equal(results[2].status, NITROSEAL_OK);
    assert_int_equal(results[2].text.len, 3);
    assert_memory_equal(results[2].text.data, "x\0y", 4);
    assert_non_null(
        memmem(t_service_request(0).ptr, t_service_request(0).len, "\"a\\u0000b\"", 10));
    nitroseal_results_clear(results, 3);
    nitroseal_results_clear(results, 3); /* of zeros */
    nitroseal_free(ns);
}

/* The whole fails: nothing of it is a result. */
static void whole(void **state)
{
    (void)state;
    static const struct {
        struct t_turn turn;
        enum nitroseal_status status;
        const char *code;
    } rows[] = {
        { { .answer = PROBLEM("503 Busy", "37", "{\"code\":\"busy\",\"title\":\"Later\"}      ") },
          NITROSEAL_BUSY,
          "busy" },
        { { .answer = BATCH("16", "{\"results\":[{}]}") }, NITROSEAL_FAILED, "malformed_answer" },
        { { .answer = BATCH("22", "{\"results\":[{},{},{}]}") },
          NITROSEAL_FAILED,
          "malformed_answer" },
        { { .answer = BATCH("100", "{"), .close = true }, NITROSEAL_UNREACHABLE, "closed" },
    };
    struct nitroseal *ns = t_service_handle();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct nitroseal_result results[3] = { { .status = 77 } };
        struct nitroseal_error *error = NULL;
        t_service_turns(1, &rows[i].turn);
        assert_int_equal(nitroseal_batch(ns, items, 3, results, 5000, &error), rows[i].status);
        assert_string_equal(error->code, rows[i].code);
        assert_int_equal(results[0].status, 77);
        assert_null(results[0].message.encrypted);
        nitroseal_error_free(error);
    }
    nitroseal_free(ns);
}

static void arguments(void **state)
{
    (void)state;
    static const struct {
        struct nitroseal_item item;
        enum nitroseal_status status;
        const char *detail;
    } rows[] = {
        { { .operation = 0 }, NITROSEAL_INVALID, "item 1: no such operation" },
        { { .operation = NITROSEAL_ENCRYPT, .len = 1 },
          NITROSEAL_INVALID,
          "item 1: its text is NULL" },
        { { .operation = NITROSEAL_ENCRYPT, .text = "\xff", .len = 1 }, NITROSEAL_NOT_TEXT, NULL },
        { { .operation = NITROSEAL_DECRYPT, .encrypted = "e", .signature = "s" },
          NITROSEAL_INVALID,
          "item 1: a value is NULL" },
        { { .operation = NITROSEAL_DECRYPT,
            .encrypted = "e",
            .signature = "\xff",
            .ciphertext_blob = "b" },
          NITROSEAL_NOT_TEXT,
          NULL },
    };
    struct nitroseal *ns = t_service_handle();
    struct nitroseal_result *results = calloc(1001, sizeof *results);
    struct nitroseal_item *many = calloc(1001, sizeof *many);
    struct nitroseal_error *error = NULL;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct nitroseal_item two[2] = { items[0], rows[i].item };
        assert_int_equal(nitroseal_batch(ns, two, 2, results, 0, &error), rows[i].status);
        if (rows[i].detail)
            assert_string_equal(error->detail, rows[i].detail);
        else
            assert_non_null(strstr(error->hint, "item 1: "));
        nitroseal_error_free(error);
    }
    for (size_t i = 0; i < 1001; i++)
        many[i] = items[0];
    assert_int_equal(nitroseal_batch(ns, many, 1001, results, 0, &error), NITROSEAL_INVALID);
    nitroseal_error_free(error);
    assert_int_equal(nitroseal_batch(ns, many, 0, results, 0, NULL), NITROSEAL_INVALID);
    assert_int_equal(nitroseal_batch(ns, NULL, 1, results, 0, NULL), NITROSEAL_INVALID);
    assert_int_equal(nitroseal_batch(ns, many, 1, NULL, 0, NULL), NITROSEAL_INVALID);
    assert_int_equal(nitroseal_batch(NULL, many, 1, results, 0, NULL), NITROSEAL_INVALID);
    assert_int_equal(t_service_connections(), 0);
    free(results);
    free(many);
    nitroseal_free(ns);
}

#define T(f) cmocka_unit_test_setup_teardown(f, t_service_make, t_service_end)

int main(void)
{
    const struct CMUnitTest tests[] = { T(each), T(whole), T(arguments) };

    return cmocka_run_group_tests_name("lib_batch", tests, NULL, NULL);
}
