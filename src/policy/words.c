#include "policy/words.h"

#define ATTESTATION "kms:RecipientAttestation"

enum { REGISTERS = 32 };
enum {
    A = POLICY_ACTION_ATTESTED,
    C = POLICY_ACTION_CONTEXT,
    K = POLICY_ACTION_KEYLESS,
    U = POLICY_ACTION_USE,
};

const struct policy_action policy_actions[] = {
    { "kms:CancelKeyDeletion", 0 },
    { "kms:ConnectCustomKeyStore", K },
    { "kms:CreateAlias", 0 },
    { "kms:CreateCustomKeyStore", K },
    { "kms:CreateGrant", 0 },
    { "kms:CreateKey", K },
    { "kms:Decrypt", A | C | U },
    { "kms:DeleteAlias", 0 },
    { "kms:DeleteCustomKeyStore", K },
    { "kms:DeleteImportedKeyMaterial", 0 },
    { "kms:DeriveSharedSecret", A | U },
    { "kms:DescribeCustomKeyStores", K },
    { "kms:DescribeKey", 0 },
    { "kms:DisableKey", 0 },
    { "kms:DisableKeyRotation", 0 },
    { "kms:DisconnectCustomKeyStore", K },
    { "kms:EnableKey", 0 },
    { "kms:EnableKeyRotation", 0 },
    { "kms:Encrypt", C | U },
    { "kms:GenerateDataKey", A | C | U },
    { "kms:GenerateDataKeyPair", A | C | U },
    { "kms:GenerateDataKeyPairWithoutPlaintext", C | U },
    { "kms:GenerateDataKeyWithoutPlaintext", C | U },
    { "kms:GenerateMac", U },
    { "kms:GenerateRandom", A | K },
    { "kms:GetKeyPolicy", 0 },
    { "kms:GetKeyRotationStatus", 0 },
    { "kms:GetParametersForImport", 0 },
    { "kms:GetPublicKey", 0 },
    { "kms:ImportKeyMaterial", 0 },
    { "kms:ListAliases", K },
    { "kms:ListGrants", 0 },
    { "kms:ListKeyPolicies", 0 },
    { "kms:ListKeyRotations", 0 },
    { "kms:ListKeys", K },
    { "kms:ListResourceTags", 0 },
    { "kms:ListRetirableGrants", K },
    { "kms:PutKeyPolicy", 0 },
    { "kms:ReEncryptFrom", C | U },
    { "kms:ReEncryptTo", C | U },
    { "kms:ReplicateKey", 0 },
    { "kms:RetireGrant", 0 },
    { "kms:RevokeGrant", 0 },
    { "kms:RotateKeyOnDemand", 0 },
    { "kms:ScheduleKeyDeletion", 0 },
    { "kms:Sign", U },
    { "kms:SynchronizeMultiRegionKey", 0 },
    { "kms:TagResource", 0 },
    { "kms:UntagResource", 0 },
    { "kms:UpdateAlias", 0 },
    { "kms:UpdateCustomKeyStore", K },
    { "kms:UpdateKeyDescription", 0 },
    { "kms:UpdatePrimaryRegion", 0 },
    { "kms:Verify", U },
    { "kms:VerifyMac", U },
    { 0 },
};

static const struct policy_key keys[] = {
    { "aws:CurrentTime", POLICY_KEY_DATE, false },
    { "aws:EpochTime", POLICY_KEY_DATE, false },
    { "aws:MultiFactorAuthPresent", POLICY_KEY_BOOL, false },
    { "aws:PrincipalAccount", POLICY_KEY_STRING, false },
    { "aws:PrincipalArn", POLICY_KEY_ARN, false },
    { "aws:PrincipalIsAWSService", POLICY_KEY_BOOL, false },
    { "aws:PrincipalOrgID", POLICY_KEY_STRING, false },
    { "aws:PrincipalServiceName", POLICY_KEY_STRING, false },
    { "aws:PrincipalTag/", POLICY_KEY_STRING, false },
    { "aws:PrincipalType", POLICY_KEY_STRING, false },
    { "aws:RequestTag/", POLICY_KEY_STRING, false },
    { "aws:RequestedRegion", POLICY_KEY_STRING, false },
    { "aws:ResourceAccount", POLICY_KEY_STRING, false },
    { "aws:ResourceTag/", POLICY_KEY_STRING, false },
    { "aws:SecureTransport", POLICY_KEY_BOOL, false },
    { "aws:SourceAccount", POLICY_KEY_STRING, false },
    { "aws:SourceArn", POLICY_KEY_ARN, false },
    { "aws:SourceIp", POLICY_KEY_ADDRESS, false },
    { "aws:SourceVpc", POLICY_KEY_STRING, false },
    { "aws:SourceVpce", POLICY_KEY_STRING, false },
    { "aws:TagKeys", POLICY_KEY_STRING, true },
    { "aws:TokenIssueTime", POLICY_KEY_DATE, false },
    { "aws:UserAgent", POLICY_KEY_STRING, false },
    { "aws:ViaAWSService", POLICY_KEY_BOOL, false },
    { "aws:VpcSourceIp", POLICY_KEY_ADDRESS, false },
    { "aws:userid", POLICY_KEY_STRING, false },
    { "aws:username", POLICY_KEY_STRING, false },
    { "kms:BypassPolicyLockoutSafetyCheck", POLICY_KEY_BOOL, false },
    { "kms:CallerAccount", POLICY_KEY_STRING, false },
    { "kms:DataKeyPairSpec", POLICY_KEY_STRING, false },
    { "kms:EncryptionAlgorithm", POLICY_KEY_STRING, false },
    { "kms:EncryptionContext:", POLICY_KEY_STRING, false },
    { "kms:EncryptionContextKeys", POLICY_KEY_STRING, true },
    { "kms:ExpirationModel", POLICY_KEY_STRING, false },
    { "kms:GrantConstraintType", POLICY_KEY_STRING, false },
    { "kms:GrantIsForAWSResource", POLICY_KEY_BOOL, false },
    { "kms:GrantOperations", POLICY_KEY_STRING, true },
    { "kms:GranteePrincipal", POLICY_KEY_STRING, false },
    { "kms:KeyAgreementAlgorithm", POLICY_KEY_STRING, false },
    { "kms:KeyOrigin", POLICY_KEY_STRING, false },
    { "kms:KeySpec", POLICY_KEY_STRING, false },
    { "kms:KeyUsage", POLICY_KEY_STRING, false },
    { "kms:MacAlgorithm", POLICY_KEY_STRING, false },
    { "kms:MessageType", POLICY_KEY_STRING, false },
    { "kms:MultiRegion", POLICY_KEY_BOOL, false },
    { "kms:MultiRegionKeyType", POLICY_KEY_STRING, false },
    { "kms:PrimaryRegion", POLICY_KEY_STRING, false },
    { "kms:ReEncryptOnSameKey", POLICY_KEY_BOOL, false },
    { "kms:ReplicaRegion", POLICY_KEY_STRING, false },
    { "kms:RequestAlias", POLICY_KEY_STRING, false },
    { "kms:ResourceAliases", POLICY_KEY_STRING, true },
    { "kms:RetiringPrincipal", POLICY_KEY_STRING, false },
    { "kms:RotationPeriodInDays", POLICY_KEY_NUMBER, false },
    { "kms:ScheduleKeyDeletionPendingWindowInDays", POLICY_KEY_NUMBER, false },
    { "kms:SigningAlgorithm", POLICY_KEY_STRING, false },
    { "kms:ValidTo", POLICY_KEY_DATE, false },
    { "kms:ViaService", POLICY_KEY_STRING, false },
    { "kms:WrappingAlgorithm", POLICY_KEY_STRING, false },
    { "kms:WrappingKeySpec", POLICY_KEY_STRING, false },
};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

static const struct policy_key register_key = { ATTESTATION ":", POLICY_KEY_STRING, false };

const struct policy_action *policy_action_find(struct span name)
{
    for (const struct policy_action *a = policy_actions; a->name; a++)
        if (span_eq_nocase(name, span_str(a->name)))
            return a;
    return NULL;
}

static bool is_key(struct span name, const struct policy_key *k)
{
    struct span known = span_str(k->name);
    uint8_t last = known.ptr[known.len - 1];

    if (last != ':' && last != '/')
        return span_eq_nocase(name, known);
    return name.len > known.len && span_eq_nocase(span_sub(name, 0, known.len), known);
}

const struct policy_key *policy_key_find(struct span name)
{
    unsigned pcr;
    enum policy_register_kind kind = policy_register_of(name, &pcr);

    if (kind != POLICY_REGISTER_NONE)
        return kind == POLICY_REGISTER_UNKNOWN ? NULL : &register_key;
    for (size_t i = 0; i < N_KEYS; i++)
        if (is_key(name, &keys[i]))
            return &keys[i];
    return NULL;
}

const char *policy_key_type_name(enum policy_key_type type)
{
    static const char *const names[] = {
        [POLICY_KEY_STRING] = "text",   [POLICY_KEY_BOOL] = "true or false",
        [POLICY_KEY_NUMBER] = "number", [POLICY_KEY_DATE] = "time",
        [POLICY_KEY_ARN] = "ARN",       [POLICY_KEY_ADDRESS] = "IP address",
    };

    return names[type];
}

/* "PCR7" after `prefix`; leading zeros name no register. */
static bool take_register(struct span s, const char *prefix, unsigned *pcr)
{
    struct span known = span_str(prefix);
    struct span number = span_from(s, known.len);
    uint64_t n;

    if (!span_eq_nocase(span_sub(s, 0, known.len), known) ||
        (number.len > 1 && number.ptr[0] == '0') ||
        span_to_u64(number, REGISTERS - 1, &n) != ERR_OK)
        return false;
    *pcr = (unsigned)n;
    return true;
}

enum policy_register_kind policy_register_of(struct span key, unsigned *pcr)
{
    struct span prefix = SPAN_LIT(ATTESTATION);
    struct span rest = span_from(key, prefix.len);

    *pcr = 0;
    if (!span_eq_nocase(span_sub(key, 0, prefix.len), prefix) ||
        (rest.len > 0 && rest.ptr[0] != ':'))
        return POLICY_REGISTER_NONE;
    rest = span_from(rest, 1);
    if (span_eq_nocase(rest, SPAN_LIT("ImageSha384")) || take_register(rest, "PCR", pcr))
        return POLICY_REGISTER_ENCLAVE;
    return take_register(rest, "NitroTPMPCR", pcr) ? POLICY_REGISTER_NITROTPM
                                                   : POLICY_REGISTER_UNKNOWN;
}
