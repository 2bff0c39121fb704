#include "softnsm/test_world.h"

#include "testing/t.h"

struct crypto *cx;

int world_setup(void **state)
{
    (void)state;
    return crypto_new(&cx) == ERR_OK ? 0 : -1;
}

int world_teardown(void **state)
{
    (void)state;
    crypto_free(cx);
    return 0;
}

struct softnsm_settings settings(void)
{
    struct softnsm_settings s = {
        .role_arn = SPAN_LIT(ROLE),
        .instance_id = SPAN_LIT(INSTANCE),
        .region = SPAN_LIT("us-east-1"),
        .pcrs = { .present = 0x107 },
    };

    memset(s.pcrs.value[0], 0xa0, NSM_PCR_BYTES);
    memset(s.pcrs.value[1], 0xa1, NSM_PCR_BYTES);
    memset(s.pcrs.value[2], 0xa2, NSM_PCR_BYTES);
    memset(s.pcrs.value[8], 0xa8, NSM_PCR_BYTES);
    return s;
}

struct softnsm *nsm_of(const struct softnsm_settings *s)
{
    struct softnsm_pki *pki = NULL;
    struct softnsm *n = NULL;

    assert_int_equal(softnsm_pki_new(cx, NOW_MS / 1000, &pki), ERR_OK);
    assert_int_equal(softnsm_new(cx, s, pki, NOW_MS, &n, NULL), ERR_OK);
    return n;
}

struct softnsm *nsm_new(void)
{
    const struct softnsm_settings s = settings();

    return nsm_of(&s);
}

struct nsm_response ask_at(struct softnsm *n, const struct nsm_request *rq, int64_t now_ms,
                           struct buf *raw)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(NSM_REQUEST_MAX);
    struct nsm_response rs;

    buf_reset(raw);
    assert_int_equal(nsm_request_write(rq, &request), ERR_OK);
    assert_int_equal(softnsm_ask(cx, n, buf_view(&request), now_ms, raw), ERR_OK);
    assert_true(raw->len <= NSM_RESPONSE_MAX);
    assert_int_equal(nsm_response_parse(buf_view(raw), rq->op, &rs, NULL), ERR_OK);
    return rs;
}

struct nsm_response ask(struct softnsm *n, struct nsm_request rq, struct buf *raw)
{
    return ask_at(n, &rq, NOW_MS, raw);
}

void assert_hex(struct span got, const char *hex)
{
    struct span want = t_unhex(hex);

    t_assert_span(got, want);
    t_free(want);
}

void verify_at(const struct softnsm *n, struct span document, int64_t now_ms,
               struct attest_verified *v)
{
    struct why why = { 0 };

    enum err r = attest_verify(cx, document, softnsm_pki_der(softnsm_pki_of(n), SOFTNSM_ROOT),
                               now_ms / 1000, v, &why);
    if (r != ERR_OK)
        fail_msg("%s", why.what);
}
