#include "localkms/fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"

enum { STATUS_CLIENT = 400, STATUS_SERVER = 500 };

static const char *const names[FAULT_KINDS] = {
    [FAULT_NONE] = "",
    [FAULT_ACCESS_DENIED] = "AccessDeniedException",
    [FAULT_ALREADY_EXISTS] = "AlreadyExistsException",
    [FAULT_DISABLED] = "DisabledException",
    [FAULT_DRY_RUN] = "DryRunOperationException",
    [FAULT_EXPIRED_IMPORT_TOKEN] = "ExpiredImportTokenException",
    [FAULT_EXPIRED_TOKEN] = "ExpiredTokenException",
    [FAULT_INCOMPLETE_SIGNATURE] = "IncompleteSignatureException",
    [FAULT_INCORRECT_KEY] = "IncorrectKeyException",
    [FAULT_INCORRECT_KEY_MATERIAL] = "IncorrectKeyMaterialException",
    [FAULT_INTERNAL] = "KMSInternalException",
    [FAULT_INVALID_ALIAS_NAME] = "InvalidAliasNameException",
    [FAULT_INVALID_ARN] = "InvalidArnException",
    [FAULT_INVALID_CIPHERTEXT] = "InvalidCiphertextException",
    [FAULT_INVALID_GRANT_ID] = "InvalidGrantIdException",
    [FAULT_INVALID_GRANT_TOKEN] = "InvalidGrantTokenException",
    [FAULT_INVALID_IMPORT_TOKEN] = "InvalidImportTokenException",
    [FAULT_INVALID_KEY_USAGE] = "InvalidKeyUsageException",
    [FAULT_INVALID_MAC] = "KMSInvalidMacException",
    [FAULT_INVALID_MARKER] = "InvalidMarkerException",
    [FAULT_INVALID_SIGNATURE] = "InvalidSignatureException",
    [FAULT_INVALID_STATE] = "KMSInvalidStateException",
    [FAULT_KMS_INVALID_SIGNATURE] = "KMSInvalidSignatureException",
    [FAULT_LIMIT_EXCEEDED] = "LimitExceededException",
    [FAULT_MALFORMED_POLICY] = "MalformedPolicyDocumentException",
    [FAULT_MISSING_TOKEN] = "MissingAuthenticationTokenException",
    [FAULT_NOT_FOUND] = "NotFoundException",
    [FAULT_SERIALIZATION] = "SerializationException",
    [FAULT_TAG] = "TagException",
    [FAULT_THROTTLING] = "ThrottlingException",
    [FAULT_UNKNOWN_OPERATION] = "UnknownOperationException",
    [FAULT_UNRECOGNIZED_CLIENT] = "UnrecognizedClientException",
    [FAULT_UNSUPPORTED] = "UnsupportedOperationException",
    [FAULT_VALIDATION] = "ValidationException",
};

void fault_clear(struct fault *f)
{
    buf_clear(&f->text);
    f->kind = FAULT_NONE;
}

enum err fault_bare(struct fault *f, enum fault_kind kind)
{
    f->kind = kind;
    buf_reset(&f->text);
    return ERR_DENIED;
}

enum err fault_set(struct fault *f, enum fault_kind kind, const char *fmt, ...)
{
    va_list ap;
    uint8_t *room = NULL;

    enum err r = fault_bare(f, kind);
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n <= 0 || buf_reserve(&f->text, (size_t)n + 1, &room) != ERR_OK)
        return r;
    va_start(ap, fmt);
    vsnprintf((char *)room, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf_commit(&f->text, (size_t)n);
    return r;
}

const char *fault_name(enum fault_kind kind)
{
    return names[kind];
}

unsigned fault_status(enum fault_kind kind)
{
    return kind == FAULT_INTERNAL ? STATUS_SERVER : STATUS_CLIENT;
}

enum err fault_write(const struct fault *f, struct buf *body)
{
    size_t before = body->len;
    struct json_out w = json_out_init(body);

    json_out_object(&w);
    json_out_key(&w, "__type");
    json_out_string(&w, span_str(fault_name(f->kind)));
    if (f->text.len) {
        json_out_key(&w, f->kind == FAULT_ACCESS_DENIED ? "Message" : "message");
        json_out_string(&w, buf_view(&f->text));
    }
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    if (r != ERR_OK)
        buf_truncate(body, before);
    return r;
}
