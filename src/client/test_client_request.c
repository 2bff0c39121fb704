#include "testing/t.h"
#include "client/client.h"

#define MINE ((struct proto_credentials){ SPAN_LIT("AKID"), SPAN_LIT("s\"ecret"), SPAN_LIT("") })

static struct buf out = { .max = CLIENT_REQUEST_MAX_BYTES };

static int reset(void **state)
{
    (void)state;
    buf_clear(&out);
    return 0;
}

static void text(void **state)
{
    (void)state;
    const struct proto_credentials mine = MINE;

    assert_int_equal(client_encrypt_text_write(&out, NULL, SPAN_LIT("a\n")), ERR_OK);
    t_assert_buf(
        &out, "POST /v1/encrypt HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: application/json\r\n"
              "content-length: 39\r\n\r\n{\"operation\":\"encrypt\",\"message\":\"a\\n\"}");
    buf_reset(&out);
    assert_int_equal(client_encrypt_text_write(&out, &mine, SPAN_LIT("")), ERR_OK);
    assert_non_null(memmem(out.ptr, out.len, "\"secret_access_key\":\"s\\\"ecret\"", 30));
    buf_reset(&out);
    assert_int_equal(
        client_decrypt_text_write(&out, NULL, SPAN_LIT("e"), SPAN_LIT("s"), SPAN_LIT("b")), ERR_OK);
    t_assert_buf(
        &out, "POST /v1/decrypt HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: application/json\r\n"
              "content-length: 77\r\n\r\n{\"operation\":\"decrypt\",\"encrypted\":\"e\","
              "\"signature\":\"s\",\"ciphertext_blob\":\"b\"}");
    buf_reset(&out);
    assert_int_equal(client_encrypt_text_write(&out, NULL, SPAN_LIT("\xff")), ERR_MALFORMED);
    assert_int_equal(out.len, 0);
}

static void bytes(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf blob = BUF_INIT(CLIENT_BLOB_MAX_BYTES + 1);
    uint8_t *room;

    assert_int_equal(client_encrypt_bytes_write(&out, SPAN_LIT("\xff\0")), ERR_OK);
    const char want[] = "POST /v1/encrypt HTTP/1.1\r\nhost: nitroseal\r\n"
                        "content-type: application/octet-stream\r\ncontent-length: 2\r\n\r\n\xff";
    t_assert_span(buf_view(&out), SPAN_ARRAY(want)); /* with the NUL */
    buf_reset(&out);
    assert_int_equal(
        client_decrypt_bytes_write(&out, SPAN_LIT("sealed"), SPAN_LIT("mac"), SPAN_LIT("blob")),
        ERR_OK);
    t_assert_buf(
        &out,
        "POST /v1/decrypt HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: application/octet-stream\r\n"
        "nitroseal-signature: bWFj\r\nnitroseal-ciphertext-blob: YmxvYg==\r\n"
        "content-length: 6\r\n\r\nsealed");
    buf_reset(&out);
    assert_int_equal(buf_reserve(&blob, blob.max, &room), ERR_OK);
    memset(room, 'b', blob.max);
    buf_commit(&blob, blob.max);
    assert_int_equal(client_decrypt_bytes_write(&out, SPAN_LIT(""), SPAN_LIT(""), buf_view(&blob)),
                     ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(
        client_decrypt_bytes_write(&out, SPAN_LIT(""), SPAN_LIT(""),
                                   span_sub(buf_view(&blob), 0, CLIENT_BLOB_MAX_BYTES)),
        ERR_OK);
    buf_reset(&out);
    const struct span huge = { room,
                               (size_t)CLIENT_BODY_MAX_BYTES + 1 }; /* refused before it is read */
    assert_int_equal(client_encrypt_bytes_write(&out, huge), ERR_LIMIT);
    assert_int_equal(client_decrypt_bytes_write(&out, huge, SPAN_EMPTY, SPAN_EMPTY), ERR_LIMIT);
}

static void small_ones(void **state)
{
    (void)state;
    const uint8_t nonce[CLIENT_NONCE_MAX_BYTES + 1] = { 0xfb, 0xff };
    const struct proto_credentials mine = MINE, empty = { SPAN_EMPTY, SPAN_EMPTY, SPAN_EMPTY };

    assert_int_equal(client_random_write(&out, 65536), ERR_OK);
    t_assert_buf(&out,
                 "POST /v1/random HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: application/json\r\n"
                 "accept: application/octet-stream\r\ncontent-length: 15\r\n\r\n{\"bytes\":65536}");
    buf_reset(&out);
    assert_int_equal(client_random_write(&out, 65537), ERR_LIMIT);
    assert_int_equal(client_random_write(&out, 0), ERR_LIMIT);
    assert_int_equal(client_attest_write(&out, span_of(nonce, 2)), ERR_OK);
    t_assert_buf(&out, "GET /v1/attestation?nonce=-_8 HTTP/1.1\r\nhost: nitroseal\r\n"
                       "accept: application/octet-stream\r\n\r\n");
    buf_reset(&out);
    assert_int_equal(client_attest_write(&out, span_of(nonce, 512)), ERR_OK);
    buf_reset(&out);
    assert_int_equal(client_attest_write(&out, span_of(nonce, 513)), ERR_LIMIT);
    assert_int_equal(client_attest_write(&out, SPAN_EMPTY), ERR_LIMIT);
    assert_int_equal(client_credentials_write(&out, &mine, SPAN_LIT("2026-11-28T09:00:00Z")),
                     ERR_OK);
    t_assert_buf(
        &out,
        "PUT /v1/credentials HTTP/1.1\r\nhost: nitroseal\r\ncontent-type: application/json\r\n"
        "content-length: "
        "91\r\n\r\n{\"access_key_id\":\"AKID\",\"secret_access_key\":\"s\\\"ecret\","
        "\"expiration\":\"2026-11-28T09:00:00Z\"}");
    buf_reset(&out);
    assert_int_equal(client_credentials_write(&out, &empty, SPAN_EMPTY),
                     ERR_OK); /* the service says no */
    buf_reset(&out);
    assert_int_equal(client_health_write(&out), ERR_OK);
    t_assert_buf(&out, "GET /healthz HTTP/1.1\r\nhost: nitroseal\r\n\r\n");
}

/* No room: nothing is left behind. */
static void no_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf small = BUF_INIT(60);

    assert_int_equal(client_encrypt_text_write(&small, NULL, SPAN_LIT("x")), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    assert_int_equal(client_attest_write(&small, SPAN_LIT("nonce")), ERR_LIMIT);
    assert_int_equal(small.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text, reset),
        cmocka_unit_test_setup(bytes, reset),
        cmocka_unit_test_setup(small_ones, reset),
        cmocka_unit_test_setup_teardown(no_room, reset, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
