#include "kms/kms.h"

static bool contains_nocase(struct span s, const char *part)
{
    size_t n = strlen(part);

    for (size_t i = 0; i + n <= s.len; i++)
        if (span_eq_nocase(span_sub(s, i, n), span_str(part)))
            return true;
    return false;
}

static bool is_one_of(struct span s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_is(s, list[i]))
            return true;
    return false;
}

/* The exact text is not documented; both the constraint form ('recipient.attestationDocument') and
 * the prose that was seen name it. */
static bool names_document(struct span type, struct span message)
{
    return span_is(type, "ValidationException") && contains_nocase(message, "attestation");
}

enum kms_verdict kms_verdict_of(const struct kms_answer *a)
{
    /* What botocore's standard mode retries, as far as a service of KMS's protocol can say it. */
    static const char *const transient[] = {
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestThrottled",
        "SlowDown",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
    };

    if (a->status == 200)
        return KMS_VERDICT_OK;
    if (a->status >= 500 || a->status == 429 ||
        is_one_of(a->error_type, transient, sizeof transient / sizeof transient[0]))
        return KMS_VERDICT_RETRY;
    if (names_document(a->error_type, a->error_message))
        return KMS_VERDICT_FRESH_DOCUMENT;
    return KMS_VERDICT_FINAL;
}

struct hint {
    const char *type, *message; /* message: a part of it; NULL: any */
    const char *text;
};

/* The first that fits. */
static const struct hint hints[] = {
    { "AccessDeniedException", "identity-based policy",
      "the key policy leaves it to IAM: allow the action in a policy of the role whose credentials "
      "were sent" },
    { "AccessDeniedException", "explicit deny",
      "a Deny statement matched: compare its conditions with this image's PCRs; a debug enclave "
      "has zeros" },
    { "AccessDeniedException", "ciphertext refers to",
      "the message was encrypted under a key of another account or region, or one this role may "
      "not use" },
    { "AccessDeniedException", NULL,
      "compare the PCRs in the key policy with this image's, and its principal with the role whose "
      "credentials were sent; a debug enclave has zero PCRs and is refused" },
    { "ValidationException", "attestation",
      "the attestation document was refused: check the enclave's clock, whether the document has "
      "expired, and whether KMS trusts its root (AWS's accepts only real Nitro Enclaves)" },
    { "InvalidSignatureException", "Signature expired",
      "the enclave's clock is slow: more than five minutes behind KMS" },
    { "InvalidSignatureException", "not yet current",
      "the enclave's clock is fast: more than five minutes ahead of KMS" },
    { "InvalidSignatureException", "scoped",
      "AWS_REGION of the enclave and the region of the KMS endpoint differ" },
    { "InvalidSignatureException", NULL,
      "check the secret access key that the client sends, and the enclave's clock" },
    { "IncompleteSignatureException", NULL,
      "check the credentials that the client sends: a character in them breaks the request" },
    { "MissingAuthenticationTokenException", NULL, "the client sent no credentials" },
    { "UnrecognizedClientException", NULL,
      "the access key is unknown: check access_key_id, and that session_token belongs to it" },
    { "InvalidClientTokenId", NULL,
      "the access key is unknown: check access_key_id, and that session_token belongs to it" },
    { "ExpiredTokenException", NULL, "the session token has expired: get fresh credentials" },
    { "IncorrectKeyException", NULL,
      "the message was encrypted under another key than KMS_KEY_ID of this enclave" },
    { "NotFoundException", NULL,
      "KMS_KEY_ID names no key of this account and region: check the ARN and AWS_REGION" },
    { "InvalidArnException", NULL, "KMS_KEY_ID is not an ARN that KMS understands" },
    { "InvalidCiphertextException", NULL, "ciphertext_blob was altered or does not come from KMS" },
    { "DisabledException", NULL, "the key is disabled: enable it, or use another" },
    { "KMSInvalidStateException", NULL,
      "the key cannot be used in its present state: is it pending deletion or import?" },
    { "InvalidKeyUsageException", NULL, "KMS_KEY_ID has to be a symmetric encryption key" },
    { "KeyUnavailableException", NULL, "KMS cannot reach the key at present: try again later" },
    { "ThrottlingException", NULL,
      "too many KMS requests of this account and region: slow down or ask for a higher quota" },
    { "LimitExceededException", NULL, "a quota of the account is used up" },
    { "KMSInternalException", NULL, "KMS failed: try again later" },
    { "DependencyTimeoutException", NULL, "KMS failed: try again later" },
};

const char *kms_hint(struct span error_type, struct span error_message)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (span_is(error_type, hints[i].type) &&
            (!hints[i].message || contains_nocase(error_message, hints[i].message)))
            return hints[i].text;
    return NULL;
}
