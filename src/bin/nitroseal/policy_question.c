#include "bin/nitroseal/policy_question.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/hex.h"
#include "bin/nitroseal/attest.h"
#include "bin/nitroseal/policy_grants.h"
#include "io/sys.h"

enum { MS_PER_S = 1000, ARN_COLONS = 5 };

#define SOME_KEY "1234abcd-12ab-34cd-56ef-1234567890ab" /* of AWS's own examples */

struct question *question_new(void)
{
    struct question *q = calloc(1, sizeof *q);
    uint8_t *unused;

    if (!q)
        return NULL;
    q->text = BUF_INIT(QUESTION_TEXT_MAX_BYTES);
    if (buf_reserve(&q->text, QUESTION_TEXT_MAX_BYTES, &unused) == ERR_OK)
        return q;
    free(q);
    return NULL;
}

void question_free(struct question *q)
{
    if (!q)
        return;
    policy_free(q->key);
    for (size_t i = 0; i < q->access.n_identity; i++)
        policy_free(q->identities[i]);
    buf_clear(&q->text);
    free(q);
}

static struct span put(struct question *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Absent if the room is used up: then the fact is. */
static struct span put(struct question *q, const char *fmt, ...)
{
    char line[512];
    size_t at = q->text.len;
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line || buf_append_str(&q->text, line) != ERR_OK)
        return SPAN_EMPTY;
    return span_from(buf_view(&q->text), at);
}

static bool has_fact(const struct question *q, struct span key)
{
    for (size_t i = 0; i < q->n_pairs; i++)
        if (span_eq_nocase(q->pairs[i].name, key))
            return true;
    return false;
}

static int add(struct question *q, struct span key, struct span value, struct cli_fault *f)
{
    if (q->n_pairs == QUESTION_FACTS_MAX || !key.ptr || !value.ptr)
        return cli_fault_set(f, CLI_USAGE, _("too many facts (at most %d)"), QUESTION_FACTS_MAX);
    q->pairs[q->n_pairs++] = (struct policy_pair){ key, value };
    return CLI_OK;
}

/* What the user says goes before what we would fill in. */
static int add_own(struct question *q, struct span key, struct span value, struct cli_fault *f)
{
    return has_fact(q, key) ? CLI_OK : add(q, key, value, f);
}

static int read_given(const struct options *o, struct question *q, struct cli_fault *f)
{
    int status = CLI_OK;

    for (unsigned i = 0; i < option_count(o, "fact") && status == CLI_OK; i++) {
        struct span value = span_str(option_at(o, "fact", i));
        struct span key = span_cut(&value, '=');
        if (!value.ptr || span_find(key, ':') == key.len)
            return cli_fault_set(f, CLI_USAGE,
                                 _("--fact takes KEY=VALUE, as aws:SourceIp=10.0.0.1"));
        status = add(q, key, value, f);
    }
    return status;
}

static int read_caller(const struct options *o, struct question *q, struct cli_fault *f)
{
    const char *who = option_text(o, "principal");

    if (!who)
        return cli_fault_set(f, CLI_USAGE, _("who calls? --principal takes the ARN"));
    if (policy_caller_parse(span_str(who), &q->caller) != ERR_OK &&
        policy_service_parse(span_str(who), &q->caller) != ERR_OK)
        return cli_fault_set(f, CLI_USAGE,
                             _("--principal %s is not the ARN of a user, role or session, and not "
                               "a service"),
                             who);
    q->access.rq.caller = &q->caller;
    return CLI_OK;
}

static int read_operation(const struct options *o, struct question *q, struct cli_fault *f)
{
    const char *name = option_text(o, "operation");
    bool full = strncmp(name, "kms:", 4) == 0;

    struct span action = full ? span_str(name) : put(q, "kms:%s", name);
    q->action = policy_action_find(action);
    if (!q->action)
        return cli_fault_set(f, CLI_USAGE, _("--operation %s: KMS has no such operation"), name);
    q->access.rq.action = span_str(q->action->name);
    return CLI_OK;
}

static int common_facts(struct question *q, struct span region, struct cli_fault *f)
{
    const struct policy_circumstances c = { .caller = &q->caller,
                                            .now_s = clock_wall_ms() / MS_PER_S,
                                            .region = region,
                                            .key_account = q->access.key_account };
    int status = add_own(q, SPAN_LIT("aws:SecureTransport"), SPAN_LIT("true"), f);

    policy_common_facts(&c, &q->common);
    for (size_t i = 0; i < q->common.n && status == CLI_OK; i++)
        status = add_own(q, q->common.facts[i].key, q->common.facts[i].values[0], f);
    return status;
}

static int read_key(const struct options *o, struct question *q, struct cli_fault *f)
{
    const char *key = option_text(o, "key");
    bool service = q->caller.kind == POLICY_CALLER_SERVICE;
    struct span partition = service ? SPAN_LIT("aws") : q->caller.partition;
    struct span account = service ? SPAN_LIT("111122223333") : q->caller.account;

    struct span arn =
        key ? span_str(key)
            : put(q, "arn:%.*s:kms:us-east-1:%.*s:key/" SOME_KEY, (int)partition.len,
                  (const char *)partition.ptr, (int)account.len, (const char *)account.ptr);
    struct span rest = arn, region = SPAN_EMPTY;
    for (unsigned i = 0; i < ARN_COLONS; i++) {
        struct span part = span_cut(&rest, ':');
        if (i == 3)
            region = part;
        if (i == 4)
            q->access.key_account = part;
    }
    if (!span_starts(arn, "arn:") || !rest.ptr)
        return cli_fault_set(f, CLI_USAGE, _("--key takes the whole ARN of a key"));
    bool keyless = q->action->traits & POLICY_ACTION_KEYLESS;
    q->access.rq.resource = keyless ? SPAN_LIT("*") : arn;
    return common_facts(q, region, f);
}

static int context_facts(const struct options *o, struct question *q, struct cli_fault *f)
{
    unsigned n = option_count(o, "context");
    int status = CLI_OK;

    if (!(q->action->traits & POLICY_ACTION_CONTEXT))
        return n == 0 ? CLI_OK
                      : cli_fault_set(f, CLI_USAGE, _("--context: %s takes no encryption context"),
                                      q->action->name);
    status = add_own(q, SPAN_LIT("kms:EncryptionAlgorithm"), SPAN_LIT("SYMMETRIC_DEFAULT"), f);
    for (unsigned i = 0; i < n && status == CLI_OK; i++) {
        struct span value = span_str(option_at(o, "context", i));
        struct span name = span_cut(&value, '=');
        if (!value.ptr || name.len == 0)
            return cli_fault_set(f, CLI_USAGE, _("--context takes NAME=VALUE"));
        status = add(q, put(q, "kms:EncryptionContext:%.*s", (int)name.len, (const char *)name.ptr),
                     value, f);
        if (status == CLI_OK)
            status = add(q, SPAN_LIT("kms:EncryptionContextKeys"), name, f);
    }
    return status;
}

static int register_facts(struct question *q, const struct attest_pcrs *pcrs, struct cli_fault *f)
{
    char hex[2 * ATTEST_PCR_BYTES + 1];
    int status = CLI_OK;

    q->has_registers = pcrs->present != 0;
    q->registers_unused = q->has_registers && !(q->action->traits & POLICY_ACTION_ATTESTED);
    if (q->registers_unused)
        return CLI_OK;
    for (unsigned i = 0; i < ATTEST_PCRS && status == CLI_OK; i++) {
        if (!(pcrs->present & UINT32_C(1) << i))
            continue;
        hex_write(SPAN_ARRAY(pcrs->value[i]), hex);
        struct span value = put(q, "%s", hex);
        status = add(q, put(q, "kms:RecipientAttestation:PCR%u", i), value, f);
        if (status == CLI_OK && i == 0)
            status = add(q, SPAN_LIT("kms:RecipientAttestation:ImageSha384"), value, f);
    }
    return status;
}

static int read_document(const char *path, struct attest_pcrs *out, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf bytes = BUF_INIT(ATTEST_DOC_MAX);
    struct attest_doc doc;
    struct why why = { 0 };
    int status = attest_document_read(path, &bytes, f);

    if (status != CLI_OK)
        return status;
    if (attest_doc_parse(buf_view(&bytes), &doc, &why) != ERR_OK)
        return cli_fault_set(f, CLI_FILE, _("this is not an attestation document: %s (byte %zu)"),
                             why.what, why.at);
    *out = doc.pcrs;
    return CLI_OK;
}

static int read_registers(const struct options *o, struct question *q, struct cli_fault *f)
{
    struct attest_pcrs pcrs = { 0 };
    const char *image = option_text(o, "image"), *document = option_text(o, "document");
    bool listed = option_count(o, "pcr") > 0;
    int status = CLI_OK;

    if ((image != NULL) + (document != NULL) + listed > 1)
        return cli_fault_set(f, CLI_USAGE, _("--image, --document and --pcr exclude each other"));
    if (crypto_process_init() != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the cryptographic library does not start"));
    if (image)
        status = policy_image_read(image, &pcrs, f);
    else if (document)
        status = read_document(document, &pcrs, f);
    else
        status = policy_pcrs_read(o, &pcrs, f);
    return status == CLI_OK ? register_facts(q, &pcrs, f) : status;
}

/* One fact for each key, with all values that were given for it. */
static void gather(struct question *q)
{
    size_t n_values = 0;

    for (size_t i = 0; i < q->n_pairs; i++) {
        struct span key = q->pairs[i].name;
        bool seen = false;
        for (size_t k = 0; k < q->access.rq.n_facts; k++)
            seen = seen || span_eq_nocase(q->facts[k].key, key);
        if (seen)
            continue;
        struct policy_fact *fact = &q->facts[q->access.rq.n_facts++];
        *fact = (struct policy_fact){ .key = key, .values = &q->values[n_values] };
        for (size_t k = i; k < q->n_pairs; k++)
            if (span_eq_nocase(q->pairs[k].name, key)) {
                q->values[n_values++] = q->pairs[k].value;
                fact->n_values++;
            }
    }
    q->access.rq.facts = q->facts;
}

static int read_policies(const struct options *o, struct question *q, struct cli_fault *f)
{
    unsigned n = option_count(o, "identity");
    int status = o->n_args == 1 ? policy_load(o->args[0], POLICY_OF_KEY, &q->key, f) : CLI_OK;

    if (status == CLI_OK && n > QUESTION_IDENTITIES_MAX)
        return cli_fault_set(f, CLI_USAGE, _("--%s: more than %d"), "identity",
                             QUESTION_IDENTITIES_MAX);
    q->access.identity = q->identities;
    for (unsigned i = 0; i < n && status == CLI_OK; i++) {
        status = policy_load(option_at(o, "identity", i), POLICY_OF_IDENTITY, &q->identities[i], f);
        if (status == CLI_OK)
            q->access.n_identity = i + 1;
    }
    bool keyless = status == CLI_OK && q->action->traits & POLICY_ACTION_KEYLESS;
    if (status == CLI_OK && !keyless && !q->key)
        return cli_fault_set(f, CLI_USAGE,
                             _("which key policy? Give its file, or - for standard "
                               "input"));
    q->access.key = keyless ? NULL : q->key;
    return status;
}

int question_read(const struct options *o, struct question *q, struct cli_fault *f)
{
    int status = read_given(o, q, f);

    if (status == CLI_OK)
        status = read_caller(o, q, f);
    if (status == CLI_OK)
        status = read_operation(o, q, f);
    if (status == CLI_OK)
        status = read_policies(o, q, f);
    if (status == CLI_OK)
        status = read_key(o, q, f);
    if (status == CLI_OK)
        status = context_facts(o, q, f);
    if (status == CLI_OK)
        status = read_registers(o, q, f);
    if (status == CLI_OK)
        status = question_grants(o, q, f);
    if (status == CLI_OK)
        gather(q);
    return status;
}
