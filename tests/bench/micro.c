/* micro.c - what this machine can do at best, one core, in the units of `./bench`: prints lines of
 * `name value unit`. Each figure is the median of several rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "base/json.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/rsa.h"
#include "crypto/test_pki.h"
#include "crypto/tls.h"
#include "micro_esdk.h"

enum { MIB = 1 << 20, ROUNDS = 7, WIRE_MAX = 65536, DATA_KEY_BYTES = 32, HANDSHAKE_STEPS = 4 };

static const double ROUND_SECONDS = 0.08;

struct bench {
    struct crypto *cx;
    struct rsa_key *rsa;
    struct rsa_pub *rsa_pub;
    struct buf rsa_ct;
    struct ec_key *ec_key;
    struct ec_pub *ec;
    uint8_t sig[ES384_SIG_BYTES];
    struct tls_ctx *client, *server;
    struct buf text, cipher, base64, json, scratch;
};

static void sure(enum err r)
{
    if (r == ERR_OK)
        return;
    fprintf(stderr, "bench_micro: %s\n", err_name(r));
    exit(1);
}

/* CPU time, not the clock: other work on the machine should not count. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Seconds of one call. */
static double median_of(void (*call)(void *), void *arg)
{
    double rounds[ROUNDS];

    call(arg); /* warm */
    for (int i = 0; i < ROUNDS; i++) {
        double from = now(), to = from;
        unsigned n = 0;
        for (; to - from < ROUND_SECONDS; to = now(), n++)
            call(arg);
        rounds[i] = (to - from) / n;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], by_value);
    return rounds[ROUNDS / 2];
}

struct bound {
    void (*call)(struct bench *);
    struct bench *bench;
};

static void call_bound(void *arg)
{
    const struct bound *b = arg;

    b->call(b->bench);
}

static double median_time(void (*call)(struct bench *), struct bench *b)
{
    return median_of(call_bound, &(struct bound){ call, b });
}

static void rsa_open(struct bench *b)
{
    AUTO(secret_clear) struct secret key = { 0 };

    sure(rsa_oaep_open(b->cx, b->rsa, buf_view(&b->rsa_ct), &key));
}

static void rsa_seal(struct bench *b)
{
    static const uint8_t data_key[DATA_KEY_BYTES];
    AUTO(buf_clear) struct buf out = BUF_INIT(1024);

    sure(rsa_oaep_seal(b->cx, b->rsa_pub, SPAN_ARRAY(data_key), &out));
}

static void gcm_hmac(struct bench *b)
{
    static const uint8_t key[AES256_KEY_BYTES], iv[GCM_IV_BYTES];
    uint8_t tag[GCM_TAG_BYTES], mac[HMAC_SHA256_BYTES];

    sure(aes256gcm_seal(b->cx, SPAN_ARRAY(key), SPAN_ARRAY(iv), SPAN_EMPTY, buf_view(&b->text),
                        b->cipher.ptr, tag));
    hmac_sha256(SPAN_ARRAY(key), buf_view(&b->cipher), mac);
}

static void hash_384(struct bench *b)
{
    uint8_t md[SHA384_BYTES];

    sha384(buf_view(&b->cipher), md);
}

static void ec_verify(struct bench *b)
{
    sure(ec_verify_es384(b->cx, b->ec, SPAN_LIT("message"), SPAN_ARRAY(b->sig)));
}

static void ec_sign(struct bench *b)
{
    uint8_t sig[ES384_SIG_BYTES];

    sure(ec_sign_es384(b->cx, b->ec_key, SPAN_LIT("message"), sig));
}

/* Both sides, without a session to resume. */
static void handshake(struct bench *b)
{
    AUTO(tls_freep) struct tls *client = NULL;
    AUTO(tls_freep) struct tls *server = NULL;
    /* A name of the certificate's each time anew: the other's session does not fit. */
    static bool turn;

    turn = !turn;
    sure(tls_new(b->client, turn ? "kms.test" : "127.0.0.1", &client));
    sure(tls_new(b->server, NULL, &server));
    sure(tls_start(client));
    for (int i = 0; i < HANDSHAKE_STEPS && !(tls_is_open(client) && tls_is_open(server)); i++) {
        buf_reset(&b->scratch);
        sure(tls_drain(client, &b->scratch));
        sure(tls_feed(server, buf_view(&b->scratch), NULL));
        buf_reset(&b->scratch);
        sure(tls_drain(server, &b->scratch));
        sure(tls_feed(client, buf_view(&b->scratch), NULL));
    }
    if (!tls_is_open(client) || !tls_is_open(server) || tls_is_resumed(client))
        sure(ERR_INTERNAL);
}

static void json_string(struct bench *b)
{
    struct json_in j = json_in_init(buf_view(&b->json));

    if (json_in_string(&j).raw.len != MIB || json_in_end(&j) != ERR_OK)
        sure(ERR_INTERNAL);
}

static void base64_encode(struct bench *b)
{
    buf_truncate(&b->base64, 0);
    sure(base64_append(&b->base64, buf_view(&b->cipher)));
}

static void base64_decode(struct bench *b)
{
    buf_truncate(&b->text, 0);
    sure(base64_parse(buf_view(&b->base64), &b->text, NULL));
}

static void fill(struct buf *b, size_t n, bool letters)
{
    uint8_t *p = NULL;

    sure(buf_reserve(b, n, &p));
    for (size_t i = 0; i < n; i++)
        p[i] = letters ? (uint8_t)('a' + i % 26) : (uint8_t)(i * 2654435761u >> 13);
    buf_commit(b, n);
}

static void prepare(struct bench *b)
{
    static const uint8_t data_key[DATA_KEY_BYTES];

    sure(crypto_process_init());
    sure(crypto_new(&b->cx));
    sure(rsa_key_new(b->cx, RSA_BITS_DEFAULT, &b->rsa));
    sure(rsa_pub_parse(b->cx, rsa_key_spki(b->rsa), &b->rsa_pub, NULL));
    b->rsa_ct = BUF_INIT(rsa_pub_bytes(b->rsa_pub));
    sure(rsa_oaep_seal(b->cx, b->rsa_pub, SPAN_ARRAY(data_key), &b->rsa_ct));
    sure(ec_key_new(b->cx, &b->ec_key));
    sure(ec_key_pub(b->cx, b->ec_key, &b->ec));
    sure(ec_sign_es384(b->cx, b->ec_key, SPAN_LIT("message"), b->sig));
    AUTO(test_pki_clear)
    struct test_pki pki = test_pki_new(b->cx, -TEST_PKI_HOUR, TEST_PKI_HOUR);
    sure(tls_ctx_client(buf_view(&pki.ca), &b->client, NULL));
    sure(tls_ctx_server(buf_view(&pki.cert), buf_view(&pki.key), &b->server, NULL));
    b->text = b->cipher = BUF_INIT(2 * MIB);
    b->base64 = b->json = BUF_INIT(2 * MIB);
    b->scratch = BUF_INIT(WIRE_MAX);
    fill(&b->text, MIB, true);
    fill(&b->cipher, MIB, false);
    sure(buf_append_byte(&b->json, '"'));
    fill(&b->json, MIB, true);
    sure(buf_append_byte(&b->json, '"'));
}

static void finish(struct bench *b)
{
    struct buf *bufs[] = { &b->rsa_ct, &b->text, &b->cipher, &b->base64, &b->json, &b->scratch };

    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_clear(bufs[i]);
    tls_ctx_free(b->client);
    tls_ctx_free(b->server);
    ec_pub_free(b->ec);
    ec_key_free(b->ec_key);
    rsa_pub_free(b->rsa_pub);
    rsa_key_free(b->rsa);
    crypto_free(b->cx);
}

int main(void)
{
    /* In this order: encoding makes what decoding reads. */
    static const struct {
        const char *name, *unit;
        void (*call)(struct bench *);
        double scale; /* MB of one call, or 0: microseconds */
    } rows[] = {
        { "rsa2048.oaep_open_us", "us", rsa_open, 0 },
        { "rsa2048.oaep_seal_us", "us", rsa_seal, 0 },
        { "gcm_hmac.mb_s", "MB/s", gcm_hmac, MIB / 1e6 },
        { "sha384.mb_s", "MB/s", hash_384, MIB / 1e6 },
        { "p384.verify_us", "us", ec_verify, 0 },
        { "p384.sign_us", "us", ec_sign, 0 },
        { "tls.handshake_us", "us", handshake, 0 },
        { "json.string_mb_s", "MB/s", json_string, MIB / 1e6 },
        { "base64.encode_mb_s", "MB/s", base64_encode, MIB / 1e6 },
        { "base64.decode_mb_s", "MB/s", base64_decode, MIB / 1e6 },
    };
    struct bench b = { 0 };

    prepare(&b);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double t = median_time(rows[i].call, &b);
        printf("%s %.1f %s\n", rows[i].name, rows[i].scale > 0 ? rows[i].scale / t : t * 1e6,
               rows[i].unit);
    }
    micro_esdk(b.cx, median_of);
    finish(&b);
    return 0;
}
