/* problem.c - failures as problem documents (RFC 9457). */
#include "api/api.h"

#define TYPE_PREFIX "urn:nitroseal:error:"

enum { TYPE_MAX_BYTES = 96 };

static const struct {
    const char *code;
    unsigned status;
} statuses[] = {
    { "invalid_json", 400 },
    { "invalid_utf8", 400 },
    { "missing_member", 400 },
    { "wrong_type", 400 },
    { "unknown_operation", 400 },
    { "invalid_base64", 400 },
    { "invalid_credentials", 400 },
    { "invalid_request", 400 },
    { "encrypted_too_short", 400 },
    { "message_malformed", 400 },
    { "message_unsupported", 400 },
    { "kms_refused", 403 },
    { "key_mismatch", 403 },
    { "no_key", 403 },
    { "context_mismatch", 403 },
    { "not_found", 404 },
    { "method_not_allowed", 405 },
    { "read_timeout", 408 },
    { "too_large", 413 },
    { "message_limit", 413 },
    { "unsupported_media_type", 415 },
    { "text_not_authentic", 422 },
    { "signature_invalid", 422 },
    { "text_not_utf8", 422 },
    { "message_not_authentic", 422 },
    { "head_too_large", 431 },
    { "internal", 500 },
    { "document_not_trusted", 500 },
    { "not_implemented", 501 },
    { "kms_unreachable", 502 },
    { "kms_tls_refused", 502 },
    { "kms_malformed_answer", 502 },
    { "kms_not_attested", 502 },
    { "data_key_not_opened", 502 },
    { "busy", 503 },
    { "stopping", 503 },
    { "kms_unavailable", 503 },
    { "no_credentials", 503 },
    { "nsm_failed", 503 },
    { "kms_timeout", 504 },
    { "nsm_timeout", 504 },
};

unsigned api_status(const char *code)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (strcmp(code, statuses[i].code) == 0)
            return statuses[i].status;
    return 500;
}

static void put_opt(struct json_out *w, const char *key, struct span text)
{
    if (text.len == 0)
        return;
    json_out_key(w, key);
    json_out_string(w, text);
}

static void put_type(struct json_out *w, const char *code)
{
    AUTO(buf_clear) struct buf type = BUF_INIT(TYPE_MAX_BYTES);

    if (buf_printf(&type, TYPE_PREFIX "%s", code) == ERR_OK)
        put_opt(w, "type", buf_view(&type));
}

void api_problem_put(struct json_out *w, const struct proto_error *e, struct span request_id)
{
    json_out_object(w);
    put_type(w, e->code);
    put_opt(w, "title", span_str(e->error));
    json_out_key(w, "status");
    json_out_uint(w, api_status(e->code));
    put_opt(w, "detail", e->detail);
    put_opt(w, "code", span_str(e->code));
    put_opt(w, "hint", span_str(e->hint));
    put_opt(w, "kms_type", e->kms_type);
    put_opt(w, "kms_message", e->kms_message);
    put_opt(w, "kms_request_id", e->kms_request_id);
    put_opt(w, "request_id", request_id);
    json_out_object_end(w);
}

enum err api_problem_write(struct buf *out, const struct proto_error *e, struct span request_id)
{
    struct json_out w = json_out_init(out);

    api_problem_put(&w, e, request_id);
    return json_out_end(&w);
}
