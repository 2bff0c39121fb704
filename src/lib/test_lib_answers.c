/* What a service may answer with status 200, well or not, to each call of the library. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/t_service.h"

enum call {
    ENCRYPT,
    DECRYPT,
    ENCRYPT_TEXT,
    DECRYPT_TEXT,
    RANDOM,
    ATTEST,
    OWN_ENCRYPT, /* with credentials of the handle's own: in JSON */
};

#define BYTES  "content-type: application/octet-stream\r\n"
#define MAC32  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define SIGNED "nitroseal-signature: " MAC32 "\r\n"
#define BLOB   "nitroseal-ciphertext-blob: YmxvYg==\r\n"
#define NAMED  "nitroseal-key-id: arn\r\nnitroseal-request-id: r-1\r\n"
#define TEXT28 "0123456789012345678901234567"
#define JSON_SEALED(encrypted, signature, blob)                                                    \
    "{\"encrypted\":\"" encrypted "\",\"signature\":\"" signature "\",\"ciphertext_blob\":\"" blob \
    "\"}"

static const struct row {
    const char *name;
    enum call call;
    const char *headers, *body;
    const char *detail; /* NULL: well */
} rows[] = {
    { "sealed", ENCRYPT, BYTES SIGNED BLOB NAMED, TEXT28, NULL },
    { "sealed, without key and request", ENCRYPT, BYTES SIGNED BLOB, TEXT28, NULL },
    { "sealed, of another type", ENCRYPT, SIGNED BLOB "content-type: text/plain\r\n", TEXT28,
      "content type other than application/octet-stream" },
    { "sealed, of no type", ENCRYPT, SIGNED BLOB, TEXT28,
      "content type other than application/octet-stream" },
    { "sealed, a byte short", ENCRYPT, BYTES SIGNED BLOB, "012345678901234567890123456",
      "body of another length" },
    { "sealed, no signature", ENCRYPT, BYTES BLOB, TEXT28,
      "header Nitroseal-Signature is missing" },
    { "sealed, no blob", ENCRYPT, BYTES SIGNED, TEXT28,
      "header Nitroseal-Ciphertext-Blob is missing" },
    { "sealed, a signature of 31 bytes", ENCRYPT,
      BYTES BLOB "nitroseal-signature: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\r\n", TEXT28,
      "the signature is not 32 bytes in base64" },
    { "sealed, a signature not in base64", ENCRYPT, BYTES BLOB "nitroseal-signature: x\r\n", TEXT28,
      "the signature is not 32 bytes in base64" },
    { "sealed, a blob not in base64", ENCRYPT,
      BYTES SIGNED "nitroseal-ciphertext-blob: YmxvYg=\r\n", TEXT28,
      "the ciphertext blob is not base64, or too long" },
    { "opened", DECRYPT, BYTES NAMED, "text", NULL },
    { "opened, empty", DECRYPT, BYTES, "", NULL },
    { "opened, of another type", DECRYPT, "content-type: application/json\r\n", "{}",
      "content type other than application/octet-stream" },
    { "sealed text", ENCRYPT_TEXT, "", JSON_SEALED("ZQ==", "cw==", "Yg=="), NULL },
    { "sealed text, no object", ENCRYPT_TEXT, "", "[]", "" },
    { "sealed text, without a member", ENCRYPT_TEXT, "", "{\"encrypted\":\"ZQ==\"}", "" },
    { "opened text", DECRYPT_TEXT, "", "{\"decrypted\":\"text\",\"signature_valid\":true}", NULL },
    { "opened text, nothing said of the signature", DECRYPT_TEXT, "", "{\"decrypted\":\"text\"}",
      "" },
    { "opened text, no JSON", DECRYPT_TEXT, "", "{\"decrypted\":\"te", "" },
    { "random", RANDOM, BYTES, "four", NULL },
    { "random, one too few", RANDOM, BYTES, "thr", "body of another length" },
    { "random, one too many", RANDOM, BYTES, "fives", "body of another length" },
    { "document", ATTEST, BYTES, "d", NULL },
    { "document, empty", ATTEST, BYTES, "", "body of another length" },
    { "own credentials", OWN_ENCRYPT, "",
      JSON_SEALED("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nw==", MAC32, "YmxvYg=="), NULL },
    { "own credentials, not in base64", OWN_ENCRYPT, "", JSON_SEALED("e", MAC32, "YmxvYg=="),
      "the encrypted text is not base64, or too short" },
    { "own credentials, 27 bytes", OWN_ENCRYPT, "",
      JSON_SEALED("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2", MAC32, "YmxvYg=="),
      "the encrypted text is not base64, or too short" },
};

/* What the call gave, freed again; bytes that it has not touched say so. */
static enum nitroseal_status call(struct nitroseal *ns, const struct row *row,
                                  struct nitroseal_error **error)
{
    struct nitroseal_sealed sealed = { .encrypted_len = 77 };
    struct nitroseal_bytes bytes = { .len = 77 };
    struct nitroseal_message m = { .encrypted = NULL };
    enum nitroseal_status s = NITROSEAL_OK;
    char four[4] = "none";

    switch (row->call) {
    case OWN_ENCRYPT:
        assert_int_equal(nitroseal_set_credentials(ns, "AKID", "secret", NULL, NULL), NITROSEAL_OK);
        /* fall through */
    case ENCRYPT:
        s = nitroseal_encrypt(ns, "a", 1, &sealed, 5000, error);
        assert_int_equal(sealed.encrypted_len, s == NITROSEAL_OK ? 28 : 77);
        if (s == NITROSEAL_OK) {
            assert_memory_equal(sealed.encrypted, TEXT28, 29); /* with the NUL behind it */
            assert_memory_equal(sealed.ciphertext_blob, "blob", 5);
            assert_int_equal(sealed.key_id != NULL, strstr(row->headers, "key-id") != NULL);
            assert_int_equal(sealed.request_id != NULL, strstr(row->headers, "key-id") != NULL);
            nitroseal_sealed_clear(&sealed);
        }
        break;
    case ENCRYPT_TEXT:
        s = nitroseal_encrypt_text(ns, "a", 1, &m, 5000, error);
        if (s == NITROSEAL_OK)
            assert_string_equal(m.encrypted, "ZQ==");
        else
            assert_null(m.encrypted);
        nitroseal_message_clear(&m);
        break;
    case RANDOM:
        s = nitroseal_random(ns, four, sizeof four, 5000, error);
        assert_memory_equal(four, s == NITROSEAL_OK ? "four" : "none", 4);
        break;
    case DECRYPT:
    case DECRYPT_TEXT:
    case ATTEST:
        sealed = (struct nitroseal_sealed){ .encrypted = (unsigned char *)"e",
                                            .encrypted_len = 1,
                                            .ciphertext_blob = (unsigned char *)"b",
                                            .ciphertext_blob_len = 1 };
        s = row->call == DECRYPT  ? nitroseal_decrypt(ns, &sealed, &bytes, 5000, error)
            : row->call == ATTEST ? nitroseal_attest(ns, "nonce", 5, &bytes, 5000, error)
                                  : nitroseal_decrypt_text(ns, "e", "s", "b", &bytes, 5000, error);
        if (s == NITROSEAL_OK)
            nitroseal_bytes_clear(&bytes);
        else
            assert_int_equal(bytes.len, 77);
        break;
    }
    return s;
}

static void answered(void **state)
{
    const struct row *row = *state;
    struct nitroseal_error *error = NULL;
    char text[2048];

    assert_int_equal(t_service_make(NULL), 0);
    struct nitroseal *ns = t_service_handle();
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%scontent-length: %zu\r\n\r\n%s", row->headers,
             strlen(row->body), row->body);
    const struct t_turn t[] = { { .answer = text }, { .answer = HEALTHY } };
    t_service_turns(2, t);
    assert_int_equal(call(ns, row, &error), row->detail ? NITROSEAL_FAILED : NITROSEAL_OK);
    if (row->detail) {
        assert_string_equal(error->code, "malformed_answer");
        if (row->detail[0])
            assert_string_equal(error->detail, row->detail);
        else
            assert_non_null(error->detail);
    } else {
        assert_null(error);
    }
    nitroseal_error_free(error);
    assert_int_equal(nitroseal_health(ns, 5000, NULL), NITROSEAL_OK); /* it goes on */
    nitroseal_free(ns);
    assert_int_equal(t_service_end(NULL), 0);
}

int main(void)
{
    struct CMUnitTest tests[sizeof rows / sizeof rows[0]];
    size_t n = T_ROWS(tests, rows, answered);

    return _cmocka_run_group_tests("lib_answers", tests, n, NULL, NULL);
}
