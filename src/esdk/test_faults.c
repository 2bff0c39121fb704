/* Every allocation fails once, the module's, OpenSSL's and those of secrets' owners: whatever is
 * then said, it does not crash or leak, says no, and gives out no wrong byte. Linked with
 * --wrap=malloc,calloc. */
#include <stdlib.h>

#include "esdk/test_make.h"
#include "testing/failing_malloc.h"

static struct crypto *cx;
static const char text[] = "plaintext of more than one frame";
static struct buf message;

/* The test's own buffers have their room before anything fails. */
static enum err read_it(struct secret *key, uint8_t *out, size_t *len)
{
    AUTO(esdk_decrypt_freep) struct esdk_decrypt *d = NULL;
    static const struct esdk_pair required[] = { { SPAN_INIT("a"), SPAN_INIT("1") } };
    struct span in = buf_view(&message), got;
    const struct esdk_header *h = NULL;

    enum err r = esdk_decrypt_new(NULL, &d);
    if (r == ERR_OK)
        r = esdk_decrypt_header(d, cx, &in, &h, NULL);
    if (r == ERR_OK)
        r = esdk_decrypt_start(d, cx, key, required, 1, NULL);
    while (r == ERR_OK) {
        r = esdk_decrypt_step(d, &in, &got, NULL);
        memcpy(out + *len, got.ptr ? got.ptr : (const uint8_t *)"", got.len);
        *len += got.len;
    }
    return r == ERR_MORE ? esdk_decrypt_end(d, NULL) : r;
}

static enum err write_it(struct secret *key, uint8_t *out, size_t *len)
{
    static const struct esdk_key one = { SPAN_INIT("p"), SPAN_INIT("i"), SPAN_INIT("c") };
    static const struct esdk_pair pairs[] = { { SPAN_INIT("a"), SPAN_INIT("1") } };
    const struct esdk_encrypt_options o = {
        .suite = ESDK_SUITE_SIGNED, .frame_length = 10, .context = pairs, .n_pairs = 1
    };
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    struct span in = SPAN_ARRAY(text), got = SPAN_EMPTY;

    enum err r = esdk_encrypt_new(cx, &o, &e, NULL);
    if (r == ERR_OK)
        r = esdk_encrypt_start(e, cx, key, &one, 1, &got, NULL);
    while (r == ERR_OK) {
        memcpy(out + *len, got.ptr, got.len);
        *len += got.len;
        r = esdk_encrypt_step(e, &in, &got, NULL);
    }
    if (r == ERR_MORE)
        r = esdk_encrypt_end(e, &got, NULL);
    if (r == ERR_OK) {
        memcpy(out + *len, got.ptr, got.len);
        *len += got.len;
    }
    return r;
}

static void each(enum err (*run)(struct secret *key, uint8_t *out, size_t *len), bool reads)
{
    AUTO(secret_clear) struct secret key = test_data_key(esdk_suite_find(ESDK_SUITE_SIGNED));
    uint8_t out[1500];
    unsigned failed = 0;

    for (size_t n = 1;; n++) {
        size_t len = 0;
        hit = false;
        countdown = n;
        enum err r = run(&key, out, &len);
        countdown = 0;
        if (reads)
            t_assert_span(span_of(out, len), span_sub(SPAN_ARRAY(text), 0, len));
        if (!hit) {
            assert_int_equal(r, ERR_OK);
            if (reads)
                assert_int_equal(len, sizeof text);
            break;
        }
        failed += r != ERR_OK;
        assert_true(r == ERR_OK || r == ERR_NOMEM || r == ERR_CRYPTO || r == ERR_MALFORMED ||
                    r == ERR_VERIFY);
    }
    assert_in_range(failed, 10, 100000);
}

static void reading(void **state)
{
    AUTO(secret_clear) struct secret key = test_data_key(esdk_suite_find(ESDK_SUITE_SIGNED));
    uint8_t out[1500];
    size_t len = 0;

    (void)state;
    message = BUF_INIT(1500);
    assert_int_equal(write_it(&key, out, &len), ERR_OK);
    put(&message, span_of(out, len));
    each(read_it, true);
    buf_clear(&message);
}

static void writing(void **state)
{
    (void)state;
    each(write_it, false);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(reading),
                                               cmocka_unit_test(writing) };

    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("esdk_faults", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
