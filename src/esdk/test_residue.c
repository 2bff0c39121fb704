/* After a message was written, read or refused, neither data key nor derived key nor plaintext is
 * anywhere in the memory of the process. */
#include "crypto/test_scan.h"
#include "esdk/esdk_in.h"
#include "esdk/test_make.h"

static struct crypto *cx;
static uint8_t masked_key[N], masked_plain[N], masked_derived[N];

static void nothing_left(void)
{
    assert_int_equal(scan(masked_key), 0);
    assert_int_equal(scan(masked_plain), 0);
    assert_int_equal(scan(masked_derived), 0);
}

/* The key that the message is encrypted with, masked. */
static void note_derived(struct span message)
{
    AUTO(secret_clear) struct secret key = { 0 };
    AUTO(secret_clear) struct secret derived = { 0 };
    struct esdk_header h;
    uint8_t commitment[32];

    assert_int_equal(esdk_header_parse(message, NULL, &h, NULL, NULL), ERR_OK);
    unmask(masked_key, &key);
    assert_int_equal(keys_derive(cx, h.suite, h.message_id, &key, &derived, commitment), ERR_OK);
    assert_true(scan(masked_key) > 0); /* the scan finds */
    for (size_t i = 0; i < N; i++)
        masked_derived[i] = derived.ptr[i] ^ MASK;
}

/* Plaintext of 3 times 32 bytes: a frame at once, one in pieces, and the final one. */
static void write_it(unsigned suite, struct buf *out)
{
    static const struct esdk_key one = { SPAN_INIT("p"), SPAN_INIT("i"), SPAN_INIT("c") };
    const struct esdk_encrypt_options o = { .suite = suite, .frame_length = N };
    AUTO(esdk_encrypt_freep) struct esdk_encrypt *e = NULL;
    AUTO(secret_clear) struct secret key = { 0 };
    AUTO(secret_clear) struct secret plain = { 0 };
    struct span got;

    unmask(masked_key, &key);
    unmask(masked_plain, &plain);
    assert_int_equal(esdk_encrypt_new(cx, &o, &e, NULL), ERR_OK);
    assert_int_equal(esdk_encrypt_start(e, cx, &key, &one, 1, &got, NULL), ERR_OK);
    secret_clear(&key);
    put(out, got);
    for (size_t i = 0; i < 3; i++) {
        struct span first = span_sub(secret_view(&plain), 0, i ? N / 2 : N);
        struct span second = span_from(secret_view(&plain), first.len);
        enum err r = esdk_encrypt_step(e, &first, &got, NULL);
        if (r == ERR_MORE && i == 1)
            r = esdk_encrypt_step(e, &second, &got, NULL);
        assert_int_equal(r, i == 2 ? ERR_MORE : ERR_OK);
        put(out, got);
    }
    secret_clear(&plain);
    assert_int_equal(esdk_encrypt_end(e, &got, NULL), ERR_OK);
    put(out, got);
}

static enum err read_it(struct span message, size_t cut)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(1000);
    AUTO(secret_clear) struct secret key = { 0 };

    unmask(masked_key, &key);
    return read_message(cx, (struct reading){ .key = &key, .cut = cut }, message, &out, NULL);
}

static void both_directions(void **state)
{
    static const unsigned suites[] = { ESDK_SUITE_COMMITTING, ESDK_SUITE_SIGNED };

    (void)state;
    for (size_t s = 0; s < 2; s++) {
        AUTO(buf_clear) struct buf message = BUF_INIT(4096);
        write_it(suites[s], &message);
        note_derived(buf_view(&message));
        nothing_left();
        assert_int_equal(read_it(buf_view(&message), SIZE_MAX), ERR_OK);
        nothing_left();
        assert_int_equal(read_it(buf_view(&message), 5), ERR_OK);
        nothing_left();
        /* Cut off in a frame that was decrypted, but never authenticated. */
        assert_int_equal(read_it(span_sub(buf_view(&message), 0, message.len - 150), 5),
                         ERR_MALFORMED);
        nothing_left();
        message.ptr[message.len - 150] ^= 1;
        assert_int_not_equal(read_it(buf_view(&message), SIZE_MAX), ERR_OK);
        nothing_left();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(both_directions) };

    if (ASAN) {
        puts("1..0 # SKIP AddressSanitizer keeps copies of its own");
        return 0;
    }
    if (t_under_valgrind()) {
        puts("1..0 # SKIP valgrind keeps copies of its own");
        return 0;
    }
    if (crypto_process_init() != ERR_OK || crypto_new(&cx) != ERR_OK ||
        rng_bytes(cx, masked_key, N) != ERR_OK || rng_bytes(cx, masked_plain, N) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests_name("esdk_residue", tests, NULL, NULL);
    crypto_free(cx);
    return failed;
}
