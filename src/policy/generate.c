#include "policy/generate.h"

#include <stdio.h>

#include "base/json.h"
#include "policy/policy.h"

enum { SID_BYTES = 64, KEY_NAME_BYTES = 48, ARN_MAX_BYTES = 2048 };

#define SEALING "kms:GenerateDataKey"

const char *const policy_attested_actions[POLICY_ATTESTED] = {
    [POLICY_DECRYPT] = "kms:Decrypt",
    [POLICY_GENERATE_DATA_KEY] = "kms:GenerateDataKey",
    [POLICY_GENERATE_DATA_KEY_PAIR] = "kms:GenerateDataKeyPair",
    [POLICY_DERIVE_SHARED_SECRET] = "kms:DeriveSharedSecret",
    [POLICY_GENERATE_RANDOM] = "kms:GenerateRandom",
};

/* Everything but use, and but CreateGrant, which hands use on. */
static const char *const admin_actions[] = {
    "kms:CancelKeyDeletion",    "kms:DescribeKey",
    "kms:DisableKey",           "kms:EnableKey",
    "kms:EnableKeyRotation",    "kms:DisableKeyRotation",
    "kms:GetKeyPolicy",         "kms:GetKeyRotationStatus",
    "kms:ListGrants",           "kms:ListKeyPolicies",
    "kms:ListKeyRotations",     "kms:ListResourceTags",
    "kms:PutKeyPolicy",         "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",    "kms:ScheduleKeyDeletion",
    "kms:TagResource",          "kms:UntagResource",
    "kms:UpdateKeyDescription",
};

/* Ways to use the key's ciphertexts that never carry a document, so that the belt shuts them. */
static const char *const unattestable[] = {
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:CreateGrant",
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void member(struct json_out *w, const char *name, const char *value)
{
    json_out_key(w, name);
    json_out_string(w, span_str(value));
}

static void spans(struct json_out *w, const struct span *list, size_t n)
{
    if (n != 1)
        json_out_array(w);
    for (size_t i = 0; i < n; i++)
        json_out_string(w, list[i]);
    if (n != 1)
        json_out_array_end(w);
}

static void principals(struct json_out *w, const struct span *list, size_t n)
{
    json_out_key(w, "Principal");
    json_out_object(w);
    json_out_key(w, "AWS");
    spans(w, list, n);
    json_out_object_end(w);
}

static void strings(struct json_out *w, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_out_string(w, span_str(list[i]));
}

/* GenerateRandom has no key, so a key policy cannot speak of it. */
static void operations(struct json_out *w, unsigned bits, bool with_random)
{
    for (unsigned i = 0; i < POLICY_ATTESTED; i++)
        if (bits & 1U << i && (with_random || i != POLICY_GENERATE_RANDOM))
            json_out_string(w, span_str(policy_attested_actions[i]));
}

static void begin(struct json_out *w, const char *sid, const char *effect)
{
    json_out_object(w);
    member(w, "Sid", sid);
    member(w, "Effect", effect);
}

static void pcr_key(struct json_out *w, unsigned i)
{
    char name[KEY_NAME_BYTES];

    snprintf(name, sizeof name, "kms:RecipientAttestation:PCR%u", i);
    json_out_key(w, name);
}

static void image_condition(struct json_out *w, const struct policy_image *image)
{
    json_out_key(w, "Condition");
    json_out_object(w);
    json_out_key(w, "StringEqualsIgnoreCase");
    json_out_object(w);
    for (unsigned i = 0; i < POLICY_PCRS; i++) {
        if (!image->pcr[i])
            continue;
        pcr_key(w, i);
        json_out_string(w, span_str(image->pcr[i]));
    }
    json_out_object_end(w);
    json_out_object_end(w);
}

static void administration(struct json_out *w, const struct policy_plan *plan, bool of_key)
{
    begin(w, of_key ? "Administration without use" : "KeyAdministration", "Allow");
    if (of_key)
        principals(w, plan->admins, plan->n_admins);
    json_out_key(w, "Action");
    json_out_array(w);
    strings(w, admin_actions, COUNT(admin_actions));
    json_out_array_end(w);
    json_out_key(w, "Resource");
    json_out_string(w, of_key ? SPAN_LIT("*") : plan->key);
    json_out_object_end(w);
}

/* Sids of identity policies have letters and digits only. */
static void use(struct json_out *w, const struct policy_plan *plan, size_t i, bool of_key,
                bool random)
{
    char sid[SID_BYTES];

    snprintf(sid, sizeof sid,
             of_key   ? "Use by attested image %zu"
             : random ? "RandomInAttestedImage%zu"
                      : "UseByAttestedImage%zu",
             i + 1);
    begin(w, sid, "Allow");
    if (of_key)
        principals(w, plan->users, plan->n_users);
    json_out_key(w, "Action");
    json_out_array(w);
    operations(w, random ? 1U << POLICY_GENERATE_RANDOM : plan->operations, random);
    json_out_array_end(w);
    json_out_key(w, "Resource");
    json_out_string(w, of_key || random ? SPAN_LIT("*") : plan->key);
    image_condition(w, &plan->images[i]);
    json_out_object_end(w);
}

/* A new data key is all that an Encryption SDK asks for when it seals under one key of KMS. */
static void sealing(struct json_out *w, const struct policy_plan *plan, bool of_key)
{
    begin(w, of_key ? "Sealing for the images" : "SealingForTheImages", "Allow");
    if (of_key)
        principals(w, plan->sealers, plan->n_sealers);
    member(w, "Action", SEALING);
    json_out_key(w, "Resource");
    json_out_string(w, of_key ? SPAN_LIT("*") : plan->key);
    json_out_object_end(w);
}

/* aws:PrincipalArn of a role's session is the role's ARN; whether with its path, not all say. Names
 * are unique in an account whatever the path, so the ARN without it means the same one. */
static void without_path(struct json_out *w, struct span arn)
{
    size_t type = span_find(arn, '/') + 1;
    struct span name = SPAN_EMPTY;
    char text[ARN_MAX_BYTES];

    for (struct span rest = arn; rest.ptr;)
        name = span_cut(&rest, '/');
    if (type + name.len >= arn.len || type + name.len > sizeof text)
        return;
    memcpy(text, arn.ptr, type);
    memcpy(text + type, name.ptr, name.len);
    json_out_string(w, span_of(text, type + name.len));
}

static void but_sealers(struct json_out *w, const struct policy_plan *plan)
{
    json_out_key(w, "ArnNotEquals");
    json_out_object(w);
    json_out_key(w, "aws:PrincipalArn");
    json_out_array(w);
    for (size_t i = 0; i < plan->n_sealers; i++) {
        json_out_string(w, plan->sealers[i]);
        without_path(w, plan->sealers[i]);
    }
    json_out_array_end(w);
    json_out_object_end(w);
}

/* What a Deny is about: with sealers, new data keys have one of their own. */
enum belt { BELT_WHOLE, BELT_BUT_SEALING, BELT_SEALING };

/* A negated operator holds for an absent key, so this denies what is not attested at all, too. The
 * values are those of all images: none of them may be there. */
static void belt(struct json_out *w, const struct policy_plan *plan, unsigned pcr, enum belt kind)
{
    unsigned all = (1U << POLICY_ATTESTED) - 1, data_key = 1U << POLICY_GENERATE_DATA_KEY;
    char sid[SID_BYTES];

    snprintf(sid, sizeof sid,
             kind == BELT_SEALING ? "No sealing but by sealers and images (PCR%u)"
                                  : "No use outside the images (PCR%u)",
             pcr);
    begin(w, sid, "Deny");
    json_out_key(w, "Principal");
    json_out_string(w, SPAN_LIT("*"));
    json_out_key(w, "Action");
    json_out_array(w);
    operations(w,
               kind == BELT_WHOLE     ? all
               : kind == BELT_SEALING ? data_key
                                      : all & ~data_key,
               false);
    if (kind != BELT_SEALING)
        strings(w, unattestable, COUNT(unattestable));
    json_out_array_end(w);
    member(w, "Resource", "*");
    json_out_key(w, "Condition");
    json_out_object(w);
    json_out_key(w, "StringNotEqualsIgnoreCase");
    json_out_object(w);
    pcr_key(w, pcr);
    json_out_array(w);
    for (size_t i = 0; i < plan->n_images; i++)
        json_out_string(w, span_str(plan->images[i].pcr[pcr]));
    json_out_array_end(w);
    json_out_object_end(w);
    if (kind == BELT_SEALING)
        but_sealers(w, plan);
    json_out_object_end(w);
    json_out_object_end(w);
}

static void belts(struct json_out *w, const struct policy_plan *plan, unsigned pcr)
{
    belt(w, plan, pcr, plan->n_sealers ? BELT_BUT_SEALING : BELT_WHOLE);
    if (plan->n_sealers)
        belt(w, plan, pcr, BELT_SEALING);
}

static bool all_have(const struct policy_plan *plan, unsigned pcr)
{
    for (size_t i = 0; i < plan->n_images; i++)
        if (!plan->images[i].pcr[pcr])
            return false;
    return true;
}

static const char *image_fault(const struct policy_image *image)
{
    if (!image->pcr[0] && !image->pcr[8])
        return "an image without PCR0 and PCR8: the others do not name it";
    for (unsigned i = 0; i < POLICY_PCRS; i++) {
        const char *hex = image->pcr[i];
        if (hex &&
            (strlen(hex) != POLICY_PCR_HEX || strspn(hex, "0123456789abcdef") != POLICY_PCR_HEX))
            return "a PCR is not 96 hexadecimal digits in lower case";
    }
    return NULL;
}

/* Those that aws:PrincipalArn can name: neither an account nor one session. */
static const char *sealer_fault(const struct policy_plan *plan)
{
    struct policy_caller who;

    if (plan->n_sealers > POLICY_PLAN_ROLES_MAX)
        return "more than 16 sealers";
    for (size_t i = 0; i < plan->n_sealers; i++) {
        struct span rest = plan->sealers[i];
        (void)span_cut(&rest, ':');
        (void)span_cut(&rest, ':');
        if (policy_caller_parse(plan->sealers[i], &who) != ERR_OK ||
            who.kind != POLICY_CALLER_NAMED || !span_starts(rest, "iam:"))
            return "a sealer is not a role or a user";
    }
    return NULL;
}

static const char *plan_fault(const struct policy_plan *plan, enum policy_kind kind)
{
    unsigned known = (1U << POLICY_ATTESTED) - 1, random = 1U << POLICY_GENERATE_RANDOM;
    bool of_key = kind == POLICY_FOR_KEY, uses = of_key || kind == POLICY_FOR_USER;

    if (of_key && plan->n_admins == 0)
        return "no administrator: nobody could change the policy again";
    if (of_key && plan->n_users == 0)
        return "no user: whom does the enclave call KMS as?";
    if (plan->n_admins > POLICY_PLAN_ROLES_MAX || plan->n_users > POLICY_PLAN_ROLES_MAX)
        return "more than 16 users or administrators";
    if (!of_key && plan->key.len == 0)
        return "no key";
    if (uses && (plan->n_images == 0 || plan->n_images > POLICY_PLAN_IMAGES_MAX))
        return plan->n_images ? "more than four images" : "no image";
    if (uses && (plan->operations & known & (of_key ? ~random : known)) == 0)
        return of_key ? "no operation (GenerateRandom has no key: it is for identity policies)"
                      : "no operation";
    for (size_t i = 0; uses && i < plan->n_images; i++) {
        const char *fault = image_fault(&plan->images[i]);
        if (fault)
            return fault;
    }
    if (of_key && !plan->no_belt && !all_have(plan, 0) && !all_have(plan, 8))
        return "some images have PCR0 and others PCR8 only: no denial can hold for all of them";
    return sealer_fault(plan);
}

static void statements(struct json_out *w, const struct policy_plan *plan, enum policy_kind kind)
{
    bool of_key = kind == POLICY_FOR_KEY;
    unsigned random = 1U << POLICY_GENERATE_RANDOM;

    if (of_key || kind == POLICY_FOR_ADMIN)
        administration(w, plan, of_key);
    if (kind == POLICY_FOR_SEALER)
        sealing(w, plan, false);
    if (!of_key && kind != POLICY_FOR_USER)
        return;
    for (size_t i = 0; i < plan->n_images; i++) {
        if (plan->operations & ~random)
            use(w, plan, i, of_key, false);
        if (!of_key && plan->operations & random)
            use(w, plan, i, false, true);
    }
    if (of_key && plan->n_sealers)
        sealing(w, plan, true);
    if (of_key && !plan->no_belt && all_have(plan, 0))
        belts(w, plan, 0);
    if (of_key && !plan->no_belt && all_have(plan, 8))
        belts(w, plan, 8);
}

enum err policy_generate(const struct policy_plan *plan, enum policy_kind kind, struct buf *out,
                         struct why *why)
{
    const char *fault = plan_fault(plan, kind);
    struct json_out w = json_out_init(out);
    size_t before = out->len;

    if (fault)
        return why_fail(why, ERR_MALFORMED, fault, 0);
    json_out_object(&w);
    member(&w, "Version", "2012-10-17");
    json_out_key(&w, "Statement");
    json_out_array(&w);
    statements(&w, plan, kind);
    json_out_array_end(&w);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r == ERR_OK ? r : why_fail(why, r, err_name(r), 0);
}
