#include "localkms/test_api.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "localkms/vault.h"
#include "sigv4/sigv4.h"

#define SECRET "not-a-secret"

enum { MESSAGE_MAX_BYTES = 1 << 20 };

static const char principals[] =
    "[{\"access_key_id\":\"ADMIN\",\"secret_access_key\":\"" SECRET "\",\"arn\":\"" API_ADMIN
    "\",\"policies\":[{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
    "\"kms:*\",\"Resource\":\"*\"}}]},"
    "{\"access_key_id\":\"APP\",\"secret_access_key\":\"" SECRET "\",\"arn\":\"" API_APP "\"},"
    "{\"access_key_id\":\"TEMPORARY\",\"secret_access_key\":\"" SECRET
    "\",\"session_token\":\"token\",\"arn\":\"" API_APP "\"},"
    "{\"access_key_id\":\"OLD\",\"secret_access_key\":\"" SECRET
    "\",\"expiration\":\"2023-11-14T22:13:20Z\",\"arn\":\"" API_APP "\"},"
    "{\"access_key_id\":\"FOREIGN\",\"secret_access_key\":\"" SECRET
    "\",\"arn\":\"arn:aws:iam::444455556666:user/x\"},"
    "{\"access_key_id\":\"ROOT_USER\",\"secret_access_key\":\"" SECRET
    "\",\"arn\":\"arn:aws:iam::" API_ACCOUNT ":root\"}]";

static const char *const ids[] = {
    [ADMIN] = "ADMIN",  [APP] = "APP",         [TEMPORARY] = "TEMPORARY",
    [OLD] = "OLD",      [FOREIGN] = "FOREIGN", [ROOT_USER] = "ROOT_USER",
    [NOBODY] = "NOBODY"
};

static void start(struct api *a)
{
    static const uint8_t master[MASTER_KEY_BYTES] = { 7 };
    const struct keystore store = test_keystore_interface(a->store);
    const struct span module = span_str(a->qemu_module);
    const struct localkms_settings s = {
        .region = SPAN_LIT("us-east-1"),
        .account = SPAN_LIT(API_ACCOUNT),
        .partition = SPAN_LIT("aws"),
        .roots = &a->root,
        .n_roots = 1,
        .audit = true,
        .qemu_modules = &module,
        .n_qemu_modules = module.ptr ? 1 : 0,
        .master_key = SPAN_ARRAY(master),
        .form = a->form,
        .store = &store,
        .quota = a->quota,
    };

    assert_int_equal(localkms_new(a->cx, &s, &a->k, NULL), ERR_OK);
    assert_int_equal(localkms_set_principals(a->k, span_str(principals), NULL), ERR_OK);
}

void api_up(struct api *a, struct span root, enum cms_form form)
{
    *a = (struct api){ .now_ms = API_NOW_MS,
                       .note = LOCALKMS_NOTE_INIT,
                       .root = root,
                       .form = form,
                       .request = BUF_INIT(MESSAGE_MAX_BYTES),
                       .response = BUF_INIT(MESSAGE_MAX_BYTES) };
    assert_int_equal(crypto_new(&a->cx), ERR_OK);
    a->store = calloc(1, sizeof *a->store);
    assert_non_null(a->store);
    test_keystore_open(a->store);
    start(a);
}

void api_restart(struct api *a)
{
    localkms_free(a->k);
    start(a);
}

void api_down(struct api *a)
{
    localkms_free(a->k);
    test_keystore_close(a->store);
    free(a->store);
    localkms_note_clear(&a->note);
    buf_clear(&a->request);
    buf_clear(&a->response);
    crypto_free(a->cx);
}

static void substitute(const struct api *a, const char *text, struct buf *out)
{
    const struct {
        const char *name, *value;
    } known[] = { { "$KEY", a->key_id }, { "$ARN", a->key_arn }, { "$KEPT", a->kept } };

    while (*text) {
        size_t i = 2; /* the longest first: $KEPT begins like no other, $KEY is not its start */
        while (i < 3 && strncmp(text, known[i].name, strlen(known[i].name)) != 0)
            i = i == 0 ? 3 : i - 1;
        if (i < 3)
            assert_int_equal(buf_append_str(out, known[i].value), ERR_OK);
        else
            assert_int_equal(buf_append_byte(out, (uint8_t)*text), ERR_OK);
        text += i < 3 ? strlen(known[i].name) : 1;
    }
}

struct headers {
    struct http1_header all[12];
    size_t n;
};

static void add(struct headers *h, const char *name, struct span value)
{
    h->all[h->n++] = (struct http1_header){ span_str(name), value };
}

/* Sign those there are, without x-amz-target if the tweak says so. */
static void sign(enum api_who who, const struct headers *h, struct span body, const char *date,
                 const struct api_tweak *tweak, struct buf *authorization)
{
    struct sigv4_header all[12];
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++)
        if (!tweak->unsigned_target || !span_is(h->all[i].name, "x-amz-target"))
            all[n++] = (struct sigv4_header){ h->all[i].name, h->all[i].value };
    const struct sigv4_request rq = { .method = SPAN_LIT("POST"),
                                      .path = SPAN_LIT("/"),
                                      .headers = all,
                                      .n_headers = n,
                                      .body = body };
    const struct sigv4_scope scope = {
        span_str(tweak->region ? tweak->region : "us-east-1"),
        span_str(tweak->service ? tweak->service : "kms"),
    };
    const struct sigv4_credentials cred = {
        .access_key_id = span_str(ids[who]),
        .secret_access_key = tweak->wrong_secret ? SPAN_LIT("another") : SPAN_LIT(SECRET),
    };
    assert_int_equal(sigv4_sign(&rq, scope, span_str(date), &cred, authorization), ERR_OK);
}

static void write_request(struct api *a, enum api_who who, const char *operation, struct span body,
                          const struct api_tweak *tweak)
{
    AUTO(buf_clear) struct buf authorization = BUF_INIT(4096);
    char target[64], date[SIGV4_TIME_BYTES + 1];
    struct headers h = { .n = 0 };

    snprintf(target, sizeof target, "TrentService.%s", operation);
    sigv4_time_write(a->now_ms / 1000 + tweak->skew_s, date);
    add(&h, "host", SPAN_LIT("localhost:8443"));
    add(&h, "content-type", SPAN_LIT("application/x-amz-json-1.1"));
    if (!tweak->no_date)
        add(&h, "x-amz-date", span_str(date));
    add(&h, "x-amz-target", span_str(target));
    const char *token = tweak->token ? tweak->token : who == TEMPORARY ? "token" : NULL;
    if (token)
        add(&h, "x-amz-security-token", span_str(token));
    sign(who, &h, body, date, tweak, &authorization);
    if (tweak->authorization)
        add(&h, "authorization", span_str(tweak->authorization));
    else if (!tweak->no_authorization)
        add(&h, "authorization", buf_view(&authorization));
    if (tweak->close)
        add(&h, "connection", SPAN_LIT("close"));
    assert_int_equal(http1_request_write(&a->request, span_str(tweak->get ? "GET" : "POST"),
                                         SPAN_LIT("/"), h.all, h.n,
                                         tweak->changed_body ? SPAN_LIT("{ }") : body),
                     ERR_OK);
}

static void make_pair(struct api *a)
{
    AUTO(secret_clear) struct secret pkcs8 = { 0 };
    AUTO(buf_clear) struct buf spki = BUF_INIT(1024);

    assert_int_equal(a->response.len, 0);
    assert_int_equal(keypair_new(a->cx, localkms_wanted(a->k), &pkcs8, &spki), ERR_OK);
    assert_int_equal(localkms_give(a->k, &pkcs8, buf_view(&spki)), ERR_OK);
}

/* Through the HTTP reader, as the program does it; the body in an exact copy, so that ASan sees a
 * byte over. */
static void serve(struct api *a)
{
    struct http1_head head;
    size_t at = 0;

    assert_int_equal(http1_request_parse(buf_view(&a->request), &head, &at, NULL), ERR_OK);
    struct span body = t_copy(span_from(buf_view(&a->request), at));
    enum err r = localkms_handle(a->k, &head, body, a->now_ms, &a->response, &a->note);
    if (r == ERR_MORE) { /* an RSA key pair, which the program makes elsewhere */
        make_pair(a);
        r = localkms_handle(a->k, &head, body, a->now_ms, &a->response, &a->note);
    }
    assert_int_equal(r, ERR_OK);
    t_free(body);
}

void api_ask_tweaked(struct api *a, enum api_who who, const char *operation, const char *body,
                     const struct api_tweak *tweak)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(MESSAGE_MAX_BYTES);
    size_t at = 0;

    substitute(a, body, &text);
    buf_reset(&a->request);
    buf_reset(&a->response);
    write_request(a, who, operation, buf_view(&text), tweak);
    serve(a);
    assert_int_equal(http1_response_parse(buf_view(&a->response), false, &a->head, &at, NULL),
                     ERR_OK);
    a->status = a->head.status;
    a->body = span_from(buf_view(&a->response), at);
    assert_int_equal(a->head.content_length, a->body.len);
    assert_int_equal(a->note.status, a->status);
}

void api_ask(struct api *a, enum api_who who, const char *operation, const char *body)
{
    const struct api_tweak none = { .region = NULL };

    api_ask_tweaked(a, who, operation, body, &none);
}

void api_create(struct api *a, const char *body)
{
    api_ask(a, ADMIN, "CreateKey", body);
    api_assert_ok(a, "\"KeyMetadata\":{");
    memcpy(a->key_id, a->note.key_id, sizeof a->key_id);
    snprintf(a->key_arn, sizeof a->key_arn, "arn:aws:kms:us-east-1:" API_ACCOUNT ":key/%s",
             a->key_id);
}

void api_make_key(struct api *a, const char *policy)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(65536);
    struct json_out w = json_out_init(&body);

    json_out_object(&w);
    if (policy) {
        json_out_key(&w, "Policy");
        json_out_string(&w, span_str(policy));
    }
    json_out_object_end(&w);
    assert_int_equal(json_out_end(&w), ERR_OK);
    const char *text = buf_cstr(&body);
    assert_non_null(text);
    api_create(a, text);
}

void api_does(struct api *a, const char *operation, const char *body, const char *part)
{
    api_ask(a, ADMIN, operation, body);
    api_assert_ok(a, part);
}

void api_refuses(struct api *a, const char *operation, const char *body, const char *type,
                 const char *message)
{
    api_ask(a, ADMIN, operation, body);
    api_assert_fault(a, type, message);
}

void api_keep(struct api *a, const char *member)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(MESSAGE_MAX_BYTES);
    struct span text = api_text(a, member, &scratch);

    snprintf(a->kept, sizeof a->kept, "%.*s", (int)text.len, (const char *)text.ptr);
}

void api_assert_ok(struct api *a, const char *part)
{
    if (a->status != 200 || !memmem(a->body.ptr, a->body.len, part, strlen(part)))
        fail_msg("%u: %.*s", a->status, (int)a->body.len, (const char *)a->body.ptr);
    assert_string_equal(a->note.error, "");
}

void api_assert_fault(struct api *a, const char *type, const char *message)
{
    AUTO(buf_clear) struct buf want = BUF_INIT(65536), text = BUF_INIT(65536);
    struct json_out w = json_out_init(&want);

    substitute(a, message ? message : "", &text);
    json_out_object(&w);
    json_out_key(&w, "__type");
    json_out_string(&w, span_str(type));
    if (message) {
        json_out_key(&w, strcmp(type, "AccessDeniedException") == 0 ? "Message" : "message");
        json_out_string(&w, buf_view(&text));
    }
    json_out_object_end(&w);
    assert_int_equal(json_out_end(&w), ERR_OK);
    if (!span_eq(a->body, buf_view(&want)))
        fail_msg("answered %.*s instead of %.*s", (int)a->body.len, (const char *)a->body.ptr,
                 (int)want.len, (const char *)want.ptr);
    assert_int_equal(a->status, strcmp(type, "KMSInternalException") == 0 ? 500 : 400);
    assert_string_equal(a->note.error, type);
}

static struct json_str member_of(struct api *a, const char *name)
{
    struct json_in j = json_in_init(a->body);
    struct json_str key, found = JSON_STR_NONE;

    for (json_in_object(&j); json_in_member(&j, &key);) {
        if (json_str_is(key, name) && json_in_peek(&j) == JSON_KIND_STRING)
            found = json_in_string(&j);
        else
            json_in_skip(&j);
    }
    assert_int_equal(json_in_end(&j), ERR_OK);
    return found;
}

bool api_has(struct api *a, const char *member)
{
    return json_str_is_set(member_of(a, member));
}

struct span api_text(struct api *a, const char *member, struct buf *scratch)
{
    struct json_str s = member_of(a, member);
    struct span out = SPAN_EMPTY;

    if (!json_str_is_set(s))
        fail_msg("no %s in %.*s", member, (int)a->body.len, (const char *)a->body.ptr);
    assert_int_equal(json_str_view(s, scratch, &out), ERR_OK);
    return out;
}

void api_blob(struct api *a, const char *member, struct buf *out)
{
    AUTO(buf_clear) struct buf scratch = BUF_INIT(MESSAGE_MAX_BYTES);

    assert_int_equal(base64_parse(api_text(a, member, &scratch), out, NULL), ERR_OK);
}
