#include <jansson.h>
#include <stdlib.h>

#include "base/hex.h"
#include "bin/nitroseal/policy_cmd.h"
#include "policy/generate.h"

enum { ARN_BYTES = 256, REGISTERS_DEFAULT = 7, ACCOUNT_DIGITS = 12 };

static const struct option_def options[] = {
    { "image", 'i', "FILE", NULL, NULL,
      "EIF, or JSON with its PCRs (describe-eif, --print-pcrs); twice for a roll-out, where both "
      "may use the key." },
    { "pcr", 0, "N=HEX", NULL, NULL, "A PCR of one more image; repeatable, all for the same one." },
    { "registers", 0, "LIST", NULL, "0,1,2", "Which PCRs of the files to ask for, as 0,1,2,8." },
    { "parent-role", 0, "ARN", NULL, NULL, "Ask for PCR3, the parent's role, too." },
    { "parent-instance", 0, "ID", NULL, NULL, "Ask for PCR4, the parent's instance id, too." },
    { "account", 0, "ID", NULL, NULL, "Account of key, users and administrators." },
    { "partition", 0, "NAME", NULL, "aws", "aws, aws-cn or aws-us-gov." },
    { "user", 0, "WHO", NULL, NULL,
      "Whose credentials the enclave uses: a role's name, user/NAME, role/NAME or an ARN; "
      "repeatable." },
    { "admin", 0, "WHO", NULL, NULL,
      "Who administers the key without being able to use it; written as --user; repeatable." },
    { "sealer", 0, "WHO", NULL, NULL,
      "Who may seal messages for the images without being able to open any; written as --user; "
      "repeatable." },
    { "operation", 0, "NAME", NULL, NULL,
      "Decrypt, GenerateDataKey, GenerateDataKeyPair, DeriveSharedSecret or GenerateRandom; "
      "repeatable. Without it the first two." },
    { "kind", 0, "KIND", NULL, "key",
      "key: the key policy; user, admin, sealer: the identity policy of users, administrators or "
      "sealers." },
    { "key", 0, "ARN", NULL, NULL,
      "Key in identity policies; without it all keys of the account." },
    { "no-belt", 0, NULL, NULL, NULL,
      "Without the statement that denies all use outside the images." },
    { "allow-debug", 0, NULL, NULL, NULL, "Accept PCRs that are zero, as of any debug enclave." },
    { "compact", 0, NULL, NULL, NULL, "On one line." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal policy generate",
    .synopsis = "--account ID --user WHO --admin WHO --image FILE|--pcr N=HEX ... [OPTION ...]",
    .summary = "Write the policy that lets these images, and nothing else, use a key.",
    .options = options,
    .footer = CLI_EXIT_STATUSES,
};

/* What the plan points into. */
struct work {
    struct policy_plan plan;
    struct attest_pcrs images[POLICY_PLAN_IMAGES_MAX];
    char hex[POLICY_PLAN_IMAGES_MAX][POLICY_PCRS][POLICY_PCR_HEX + 1];
    char arns[3 * POLICY_PLAN_ROLES_MAX + 1][ARN_BYTES];
    unsigned n_arns;
};

static int read_account(const struct options *o, struct cli_fault *f)
{
    const char *account = option_text(o, "account");
    uint64_t unused;

    if (account && strlen(account) == ACCOUNT_DIGITS &&
        span_to_u64(span_str(account), UINT64_MAX, &unused) == ERR_OK)
        return CLI_OK;
    return cli_fault_set(f, CLI_USAGE, _("--account takes the 12 digits of an account"));
}

static int read_who(const struct options *o, const char *option, struct work *w, struct span *list,
                    size_t *n, struct cli_fault *f)
{
    if (option_count(o, option) > POLICY_PLAN_ROLES_MAX)
        return cli_fault_set(f, CLI_USAGE, _("--%s: more than %d"), option, POLICY_PLAN_ROLES_MAX);
    for (unsigned i = 0; i < option_count(o, option); i++) {
        const char *name = option_at(o, option, i);
        char *arn = w->arns[w->n_arns++];
        struct policy_caller who;
        bool full = strncmp(name, "arn:", 4) == 0;
        bool typed = strncmp(name, "role/", 5) == 0 || strncmp(name, "user/", 5) == 0;
        int len = full
                      ? snprintf(arn, ARN_BYTES, "%s", name)
                      : snprintf(arn, ARN_BYTES, "arn:%s:iam::%s:%s%s", option_text(o, "partition"),
                                 option_text(o, "account"), typed ? "" : "role/", name);
        if (len >= ARN_BYTES || policy_caller_parse(span_str(arn), &who) != ERR_OK)
            return cli_fault_set(f, CLI_USAGE, _("--%s %s: not a role, user or ARN of one"), option,
                                 name);
        list[(*n)++] = span_str(arn);
    }
    return CLI_OK;
}

static int read_operations(const struct options *o, struct policy_plan *plan, struct cli_fault *f)
{
    unsigned n = option_count(o, "operation");

    if (n == 0)
        plan->operations = 1U << POLICY_DECRYPT | 1U << POLICY_GENERATE_DATA_KEY;
    for (unsigned i = 0; i < n; i++) {
        const char *name = option_at(o, "operation", i);
        unsigned op = 0;
        while (op < POLICY_ATTESTED && strcmp(policy_attested_actions[op] + 4, name) != 0)
            op++;
        if (op == POLICY_ATTESTED)
            return cli_fault_set(
                f, CLI_USAGE, _("--operation %s: KMS takes no attestation document for it"), name);
        plan->operations |= 1U << op;
    }
    return CLI_OK;
}

static int read_registers(const struct options *o, uint32_t *out, struct cli_fault *f)
{
    struct span list = span_str(option_text(o, "registers"));
    uint64_t n;

    *out = 0;
    while (list.ptr) {
        struct span one = span_cut(&list, ',');
        if (span_to_u64(one, ATTEST_PCRS - 1, &n) != ERR_OK)
            return cli_fault_set(f, CLI_USAGE, _("--registers takes numbers from 0 to 31: %s"),
                                 option_text(o, "registers"));
        *out |= UINT32_C(1) << n;
    }
    return CLI_OK;
}

static int read_images(const struct options *o, struct work *w, struct cli_fault *f)
{
    unsigned n = option_count(o, "image"), more = option_count(o, "pcr") > 0;
    uint32_t registers = REGISTERS_DEFAULT;
    int status = read_registers(o, &registers, f);

    if (status == CLI_OK && n + more > POLICY_PLAN_IMAGES_MAX)
        return cli_fault_set(f, CLI_USAGE, _("more than %d images"), POLICY_PLAN_IMAGES_MAX);
    for (unsigned i = 0; i < n && status == CLI_OK; i++) {
        const char *path = option_at(o, "image", i);
        status = policy_image_read(path, &w->images[i], f);
        if (status == CLI_OK && (registers & ~w->images[i].present))
            return cli_fault_set(f, CLI_FILE, _("%s has no PCR%d%s"), path,
                                 __builtin_ctz(registers & ~w->images[i].present),
                                 w->images[i].present & 1U << 8 ? "" : _(" (it is not signed)"));
        w->images[i].present &= registers;
    }
    if (status == CLI_OK && more)
        status = policy_pcrs_read(o, &w->images[n], f);
    w->plan.n_images = n + more;
    return status;
}

/* PCR3 and PCR4 are one extension of zero by the text (eif and nsm references). */
static int add_parent(const struct options *o, const char *option, unsigned pcr, struct work *w,
                      struct cli_fault *f)
{
    const char *text = option_text(o, option);

    for (size_t i = 0; text && i < w->plan.n_images; i++) {
        struct attest_pcrs *p = &w->images[i];
        if (p->present & UINT32_C(1) << pcr)
            return cli_fault_set(f, CLI_USAGE, _("--%s and another value of PCR%u"), option, pcr);
        memset(p->value[pcr], 0, ATTEST_PCR_BYTES);
        attest_pcr_extend(p->value[pcr], span_str(text));
        p->present |= UINT32_C(1) << pcr;
    }
    return CLI_OK;
}

static bool is_zero(const uint8_t pcr[static ATTEST_PCR_BYTES])
{
    static const uint8_t zeros[ATTEST_PCR_BYTES];

    return memcmp(pcr, zeros, sizeof zeros) == 0;
}

/* zeros are what every debug enclave has, and PCR8 of every image that is not signed. */
static int take_images(const struct options *o, struct work *w, struct cli_fault *f)
{
    for (size_t k = 0; k < w->plan.n_images; k++) {
        const struct attest_pcrs *p = &w->images[k];
        for (unsigned i = 0; i < ATTEST_PCRS; i++) {
            if (!(p->present & UINT32_C(1) << i))
                continue;
            if (is_zero(p->value[i]) && !option_flag(o, "allow-debug"))
                return cli_fault_set(f, CLI_USAGE,
                                     _("PCR%u is zero, as in every debug enclave or unsigned "
                                       "image: it names nothing (--allow-debug accepts it)"),
                                     i);
            hex_write(SPAN_ARRAY(p->value[i]), w->hex[k][i]);
            w->plan.images[k].pcr[i] = w->hex[k][i];
        }
    }
    return CLI_OK;
}

static int read_key(const struct options *o, struct work *w, struct cli_fault *f)
{
    const char *key = option_text(o, "key");
    char *arn = w->arns[w->n_arns++];

    if (key && strncmp(key, "arn:", 4) != 0)
        return cli_fault_set(f, CLI_USAGE, _("--key takes the whole ARN of a key"));
    snprintf(arn, ARN_BYTES, "arn:%s:kms:*:%s:key/*", option_text(o, "partition"),
             option_text(o, "account"));
    w->plan.key = span_str(key ? key : arn);
    return CLI_OK;
}

static int read_kind(const struct options *o, enum policy_kind *out, struct cli_fault *f)
{
    static const char *const kinds[] = { "key", "user", "admin", "sealer" };
    const char *kind = option_text(o, "kind");

    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i]) == 0) {
            *out = (enum policy_kind)i;
            return CLI_OK;
        }
    return cli_fault_set(f, CLI_USAGE, _("--kind '%s' is not key, user, admin or sealer"), kind);
}

static int print(const struct options *o, struct span text, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(4 * POLICY_FILE_MAX_BYTES);
    json_t *j = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    char *pretty = json_dumps(j, (option_flag(o, "compact") ? JSON_COMPACT : JSON_INDENT(2)) |
                                     JSON_PRESERVE_ORDER);
    enum err r = pretty ? buf_append_str(&out, pretty) : ERR_NOMEM;

    json_decref(j);
    free(pretty);
    if (r == ERR_OK)
        r = buf_append_byte(&out, '\n');
    return r == ERR_OK
               ? cli_print(buf_view(&out), f)
               : cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
}

static int generate(const struct options *o, struct work *w, enum policy_kind kind,
                    struct cli_fault *f)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_FILE_MAX_BYTES);
    AUTO(policy_freep) struct policy *compiled = NULL;
    struct why why = { 0 };

    enum err r = policy_generate(&w->plan, kind, &text, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_USAGE, "%s", _(why.what));
    /* What KMS would not take is not printed. */
    r = policy_parse(buf_view(&text), kind == POLICY_FOR_KEY ? POLICY_OF_KEY : POLICY_OF_IDENTITY,
                     &compiled, &why);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("KMS would refuse this policy: %s"),
                             why.what ? why.what : err_name(r));
    return print(o, buf_view(&text), f);
}

static int run(const struct options *o, struct work *w, struct cli_fault *f)
{
    enum policy_kind kind = POLICY_FOR_KEY;

    if (crypto_process_init() != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("the cryptographic library does not start"));
    w->plan.no_belt = option_flag(o, "no-belt");
    int status = read_kind(o, &kind, f);
    if (status == CLI_OK)
        status = read_account(o, f);
    if (status == CLI_OK)
        status = read_who(o, "user", w, w->plan.users, &w->plan.n_users, f);
    if (status == CLI_OK)
        status = read_who(o, "admin", w, w->plan.admins, &w->plan.n_admins, f);
    if (status == CLI_OK)
        status = read_who(o, "sealer", w, w->plan.sealers, &w->plan.n_sealers, f);
    if (status == CLI_OK)
        status = read_key(o, w, f);
    if (status == CLI_OK)
        status = read_operations(o, &w->plan, f);
    if (status == CLI_OK)
        status = read_images(o, w, f);
    if (status == CLI_OK)
        status = add_parent(o, "parent-role", 3, w, f);
    if (status == CLI_OK)
        status = add_parent(o, "parent-instance", 4, w, f);
    if (status == CLI_OK)
        status = take_images(o, w, f);
    return status == CLI_OK ? generate(o, w, kind, f) : status;
}

static int run_work(const struct options *o, struct cli_fault *f)
{
    struct work *w = calloc(1, sizeof *w);
    int status = w ? run(o, w, f) : cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));

    free(w);
    return status;
}

int cmd_policy_generate(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run_work);
}
