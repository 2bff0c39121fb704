/* body.c - the small JSON bodies of the API, and the query of /v1/attestation. */
#include "api/api.h"
#include "base/base64.h"
#include "base/percent.h"
#include "base/rfc3339.h"

enum {
    QUERY_VALUE_MAX_BYTES = 1024, /* a nonce of 512 bytes takes 684 in base64 */
    JSON_INTEGER_MAX = 1 << 30,
};

static enum err refuse(struct api_fault *fault, const char *code, const char *title)
{
    *fault = (struct api_fault){ .code = code, .title = title };
    return ERR_MALFORMED;
}

/* base64 in either alphabet, to the standard one with its padding. */
static enum err standard_base64(struct span value, struct buf *text)
{
    enum err r = ERR_OK;

    while (value.len && r == ERR_OK) {
        int c = percent_next(&value);
        if (c < 0)
            return ERR_MALFORMED;
        c = c == '-' ? '+' : c == '_' ? '/' : c;
        r = buf_append_byte(text, (uint8_t)c);
    }
    while (r == ERR_OK && text->len % 4 != 0)
        r = buf_append_byte(text, '=');
    return r;
}

enum err api_nonce_parse(struct span query, struct buf *out, struct api_fault *fault)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(QUERY_VALUE_MAX_BYTES);
    AUTO(buf_clear) struct buf bytes = BUF_INIT(BASE64_DATA_BYTES(QUERY_VALUE_MAX_BYTES));
    struct span value = SPAN_EMPTY;

    while (query.ptr) {
        struct span rest = span_cut(&query, '&'), all = rest;
        bool is_nonce = span_is(span_cut(&rest, '='), "nonce");
        if (is_nonce && value.ptr)
            return refuse(fault, "invalid_request", "query parameter 'nonce' comes twice");
        if (!is_nonce && all.len)
            return refuse(fault, "invalid_request", "the query has a parameter that is not known");
        if (is_nonce)
            value = rest.ptr ? rest : SPAN_LIT("");
    }
    if (value.len == 0)
        return refuse(fault, "missing_member", "query parameter 'nonce' is missing or empty");
    enum err r = standard_base64(value, &text);
    if (r == ERR_OK)
        r = base64_parse(buf_view(&text), &bytes, NULL);
    if (r == ERR_NOMEM)
        return r;
    if (r != ERR_OK || bytes.len == 0 || bytes.len > API_NONCE_MAX_BYTES)
        return refuse(fault, "invalid_base64",
                      "query parameter 'nonce' is not base64 of 1 to 512 bytes");
    return buf_append(out, buf_view(&bytes));
}

static const char *json_fault(const struct json_in *j)
{
    return span_starts(span_str(j->what), "member '") ? j->what : "invalid JSON";
}

static enum err json_refusal(const struct json_in *j, struct api_fault *fault)
{
    if (strcmp(j->what, "UTF-8") == 0)
        return refuse(fault, "invalid_utf8", "invalid UTF-8");
    return refuse(fault,
                  j->what[0] == 'm' && strstr(j->what, "not a") ? "wrong_type" : "invalid_json",
                  json_fault(j));
}

enum err api_random_parse(struct span body, size_t *bytes, struct api_fault *fault)
{
    struct json_in j = json_in_init(body);
    struct json_str name;
    uint64_t n = API_RANDOM_DEFAULT_BYTES;

    if (body.len == 0) {
        *bytes = API_RANDOM_DEFAULT_BYTES;
        return ERR_OK;
    }
    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (!json_str_is(name, "bytes"))
            json_in_skip(&j);
        else if (json_in_peek(&j) == JSON_KIND_NUMBER)
            n = json_in_uint(&j, JSON_INTEGER_MAX);
        else
            json_in_fail(&j, ERR_MALFORMED, "member 'bytes' is not a number");
    }
    enum err r = json_in_end(&j);
    if (r == ERR_LIMIT || (r == ERR_OK && (n < 1 || n > API_RANDOM_MAX_BYTES)))
        return refuse(fault, "invalid_request", "member 'bytes' is not from 1 to 65536");
    if (r != ERR_OK)
        return json_refusal(&j, fault);
    *bytes = (size_t)n;
    return ERR_OK;
}

enum err api_random_write(struct buf *out, struct span bytes, struct span request_id)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, "random");
    json_out_base64(&w, bytes);
    json_out_key(&w, "request_id");
    json_out_string(&w, request_id);
    json_out_object_end(&w);
    return json_out_end(&w);
}

struct credential_texts {
    struct json_str id, secret, token, expiration;
};

/* Members of a credentials object; the cursor carries the fault. */
static void take_credential(struct json_in *j, struct json_str name, struct credential_texts *t)
{
    const struct {
        const char *name, *mistyped;
        struct json_str *to;
        bool may_be_null;
    } table[] = {
        { "access_key_id", "member 'access_key_id' is not a string", &t->id, false },
        { "secret_access_key", "member 'secret_access_key' is not a string", &t->secret, false },
        { "session_token", "member 'session_token' is not a string", &t->token, true },
        { "expiration", "member 'expiration' is not a string", &t->expiration, true },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!json_str_is(name, table[i].name))
            continue;
        if (json_in_peek(j) == JSON_KIND_STRING)
            *table[i].to = json_in_string(j);
        else if (json_in_peek(j) == JSON_KIND_NULL && table[i].may_be_null)
            json_in_null(j);
        else
            json_in_fail(j, ERR_MALFORMED, table[i].mistyped);
        return;
    }
    json_in_skip(j);
}

static size_t raw_len(const struct credential_texts *t)
{
    return t->id.raw.len + t->secret.raw.len + t->token.raw.len + t->expiration.raw.len;
}

static enum err decode(struct json_str s, struct buf *room, struct span *out)
{
    size_t at = room->len;
    enum err r = json_str_is_set(s) ? json_str_decode(s, room) : ERR_OK;

    *out = span_from(buf_view(room), at);
    return r;
}

/* Decoded into `room`, which does not move: it has been reserved. */
static enum err weigh_credentials(const struct credential_texts *t, struct buf *room,
                                  struct api_credentials *out, struct api_fault *fault)
{
    struct api_credentials c = { .expire_s = 0 };
    struct span expiration;
    uint8_t *reserved;

    if (!json_str_is_set(t->id))
        return refuse(fault, "missing_member", "member 'access_key_id' is missing");
    if (!json_str_is_set(t->secret))
        return refuse(fault, "missing_member", "member 'secret_access_key' is missing");
    enum err r = buf_reserve(room, raw_len(t), &reserved);
    if (r == ERR_LIMIT)
        return refuse(fault, "invalid_credentials", "AWS credentials are too long");
    if (r == ERR_OK)
        r = decode(t->id, room, &c.access_key_id);
    if (r == ERR_OK)
        r = decode(t->secret, room, &c.secret_access_key);
    if (r == ERR_OK)
        r = decode(t->token, room, &c.session_token);
    if (r == ERR_OK)
        r = decode(t->expiration, room, &expiration);
    if (r != ERR_OK)
        return r;
    if (expiration.len && (rfc3339_parse(expiration, &c.expire_s) != ERR_OK || c.expire_s <= 0))
        return refuse(fault, "invalid_request", "member 'expiration' is not an RFC 3339 time");
    *out = c;
    return ERR_OK;
}

enum err api_credentials_parse(struct span body, struct buf *room, struct api_credentials *out,
                               struct api_fault *fault)
{
    struct json_in j = json_in_init(body);
    struct credential_texts t = { .id = JSON_STR_NONE };
    struct json_str name;

    for (json_in_object(&j); json_in_member(&j, &name);)
        take_credential(&j, name, &t);
    if (json_in_end(&j) != ERR_OK)
        return json_refusal(&j, fault);
    return weigh_credentials(&t, room, out, fault);
}

static void take_items(struct json_in *j, struct span *items, size_t *n)
{
    if (json_in_peek(j) != JSON_KIND_ARRAY) {
        json_in_fail(j, ERR_MALFORMED, "member 'items' is not an array");
        return;
    }
    for (json_in_array(j); json_in_element(j);) {
        if (*n == API_BATCH_MAX_ITEMS) {
            json_in_fail(j, ERR_LIMIT, "member 'items' has more than 1000 elements");
            return;
        }
        items[(*n)++] = json_in_skip(j); /* each is judged on its own */
    }
}

enum err api_batch_parse(struct span body, struct span items[static API_BATCH_MAX_ITEMS],
                         struct buf *room, struct api_batch *out, struct api_fault *fault)
{
    struct json_in j = json_in_init(body);
    struct credential_texts t = { .id = JSON_STR_NONE };
    struct api_batch b = { .n = 0 };
    struct json_str name;
    bool has_items = false;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "items")) {
            has_items = true;
            take_items(&j, items, &b.n);
        } else if (json_str_is(name, "credentials")) {
            b.has_credentials = true;
            for (json_in_object(&j); json_in_member(&j, &name);)
                take_credential(&j, name, &t);
        } else {
            json_in_skip(&j);
        }
    }
    enum err r = json_in_end(&j);
    if (r == ERR_LIMIT && span_starts(span_str(j.what), "member 'items'"))
        return refuse(fault, "invalid_request", j.what);
    if (r != ERR_OK)
        return json_refusal(&j, fault);
    if (!has_items)
        return refuse(fault, "missing_member", "member 'items' is missing");
    if (b.n == 0)
        return refuse(fault, "invalid_request", "member 'items' is empty");
    r = b.has_credentials ? weigh_credentials(&t, room, &b.credentials, fault) : ERR_OK;
    if (r == ERR_OK)
        *out = b;
    return r;
}
