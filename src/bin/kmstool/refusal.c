#include "bin/kmstool/refusal.h"

#include "bin/kmstool/args.h"

enum { TEXT_MAX_BYTES = 1024 };

/* Control bytes as '?'; cut. */
static const char *shown(struct span s, char out[static TEXT_MAX_BYTES])
{
    size_t n = s.len < TEXT_MAX_BYTES - 1 ? s.len : TEXT_MAX_BYTES - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ? '?' : s.ptr[i]);
    out[n] = '\0';
    return out;
}

struct hint {
    const char *type; /* NULL: any */
    int op;           /* -1: any */
    const char *text;
};

/* Where the words of this program say more than those of the service. */
static const struct hint hints[] = {
    { "InvalidCiphertextException", -1,
      "the ciphertext is not KMS's or was altered, or --encryption-context is not the one it was "
      "encrypted with; a ciphertext of an RSA key needs --key-id and --encryption-algorithm" },
    { "IncorrectKeyException", -1, "the ciphertext was encrypted under another key than --key-id" },
    { "NotFoundException", -1,
      "--key-id names no key of this account and --region (or the relay leads to another region)" },
    { "InvalidArnException", -1, "--key-id is not an ARN that KMS understands" },
    { "InvalidKeyUsageException", KMS_DERIVE_SHARED_SECRET,
      "derive needs a key of usage KEY_AGREEMENT" },
    { "InvalidKeyUsageException", -1, "--key-id has to be a symmetric encryption key" },
    { "UnrecognizedClientException", -1,
      "the access key is unknown: check --aws-access-key-id, and that --aws-session-token belongs "
      "to it" },
    { "InvalidClientTokenId", -1,
      "the access key is unknown: check --aws-access-key-id, and that --aws-session-token belongs "
      "to it" },
    { "InvalidGrantTokenException", -1, "--grant-token is not valid, or no longer needed" },
    { "DryRunOperationException", -1, "a dry run was asked for" },
};

static const char *hint_for(enum kms_op op, const struct kms_answer *a)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (span_is(a->error_type, hints[i].type) && (hints[i].op < 0 || hints[i].op == (int)op))
            return hints[i].text;
    return kms_hint(a->error_type, a->error_message);
}

void refusal_write(enum kms_op op, const struct kms_answer *a, struct buf *err)
{
    char text[TEXT_MAX_BYTES];
    const char *hint = hint_for(op, a);

    err_line(err, "KMS refused %s: HTTP status %u, %s", kms_op_name(op), a->status,
             a->error_type.len ? shown(a->error_type, text) : "no error type");
    if (a->error_message.len)
        err_line(err, "message: %s", shown(a->error_message, text));
    if (a->request_id.len)
        err_line(err, "request id: %s", shown(a->request_id, text));
    err_line(err, "check: %s",
             hint ? hint : "the message; AWS's documentation of the error type says more");
}
