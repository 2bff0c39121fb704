/* lint_registers.c - conditions on the registers of an attestation document. */
#include "policy/lint_in.h"

enum {
    HEX_DIGITS = 96,
    IMAGE_REGISTERS = 0x7,
    PARENT_REGISTERS = 0x18, /* PCR3, PCR4 */
    SIGNER_REGISTER = 8,
    FIRST_FREE_REGISTER = 16, /* and on: the enclave's own */
    TPM_REGISTERS = 1 << 4 | 1 << 7 | 1 << 12,
};

/* The registers that a statement asks for with a positive condition. */
struct asked {
    uint32_t enclave, tpm;
    unsigned lists; /* registers with more than one value */
};

static struct asked asked_of(const struct policy_statement *st)
{
    struct asked a = { 0 };
    unsigned pcr;

    for (size_t i = 0; i < st->n_conditions; i++) {
        const struct policy_condition *c = &st->conditions[i];
        if (!lint_is_image_condition(c))
            continue;
        enum policy_register_kind kind = policy_register_of(c->key, &pcr);
        if (kind == POLICY_REGISTER_ENCLAVE)
            a.enclave |= UINT32_C(1) << pcr;
        if (kind == POLICY_REGISTER_NITROTPM)
            a.tpm |= UINT32_C(1) << pcr;
        a.lists += c->values.n > 1;
    }
    return a;
}

static bool is_zeros(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '0')
            return false;
    return s.len == HEX_DIGITS;
}

static bool is_digits(struct span s, bool *upper)
{
    *upper = false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool capital = c >= 'A' && c <= 'F';
        if (!capital && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *upper = *upper || capital;
    }
    return s.len == HEX_DIGITS;
}

static bool has_wildcard(struct span s)
{
    return span_find(s, '*') < s.len || span_find(s, '?') < s.len;
}

static const char *zero_rule(unsigned pcr)
{
    return pcr < 3                  ? "debug-register"
           : pcr == SIGNER_REGISTER ? "unsigned-register"
                                    : "zero-register";
}

static void check_value(const struct policy *p, size_t i, const struct policy_condition *c,
                        struct span value, struct policy_lint *out)
{
    unsigned pcr;
    bool upper, allows = p->statements[i].allows;
    enum policy_register_kind kind = policy_register_of(c->key, &pcr);

    if (c->op->test == TEST_LIKE && has_wildcard(value)) {
        if (allows)
            lint_add(out, p, (long)i, "register-wildcard", value);
    } else if (!is_digits(value, &upper)) {
        lint_add(out, p, (long)i, "register-value", value);
    } else if (upper && !c->op->ignore_case) {
        lint_add(out, p, (long)i, "register-case", value);
    } else if (is_zeros(value) && allows && !c->op->negated && kind == POLICY_REGISTER_ENCLAVE) {
        lint_add(out, p, (long)i, zero_rule(pcr), c->key);
    } else if (kind == POLICY_REGISTER_ENCLAVE && !c->op->negated && !is_zeros(value) &&
               ((pcr > 4 && pcr < SIGNER_REGISTER) ||
                (pcr > SIGNER_REGISTER && pcr < FIRST_FREE_REGISTER))) {
        lint_add(out, p, (long)i, "empty-register", c->key);
    }
}

/* What makes an Allow hold for calls that are not attested. */
static void check_allow(const struct policy *p, size_t i, const struct policy_condition *c,
                        struct policy_lint *out)
{
    bool absent_wanted = false;

    for (size_t k = 0; c->op->test == TEST_NULL && k < c->values.n; k++)
        absent_wanted = absent_wanted || span_eq_nocase(c->values.items[k], SPAN_LIT("true"));
    if (absent_wanted)
        lint_add(out, p, (long)i, "null-allow", c->key);
    else if (c->op->negated && c->op->test != TEST_NULL)
        lint_add(out, p, (long)i, "negated-allow", c->key);
    else if (c->if_exists)
        lint_add(out, p, (long)i, "if-exists", c->key);
    else if (c->quantifier == QUANTIFIER_ALL)
        lint_add(out, p, (long)i, "all-values", c->key);
}

static void check_condition(const struct policy *p, size_t i, const struct policy_condition *c,
                            struct policy_lint *out)
{
    unsigned pcr;
    enum policy_register_kind kind = policy_register_of(c->key, &pcr);

    if (kind == POLICY_REGISTER_NONE)
        return;
    if (kind == POLICY_REGISTER_UNKNOWN) {
        lint_add(out, p, (long)i, "unknown-register", c->key);
        return;
    }
    if (p->statements[i].allows)
        check_allow(p, i, c, out);
    if (kind == POLICY_REGISTER_ENCLAVE && pcr >= FIRST_FREE_REGISTER)
        lint_add(out, p, (long)i, "run-time-register", c->key);
    for (size_t k = 0; c->op->test != TEST_NULL && k < c->values.n; k++)
        check_value(p, i, c, c->values.items[k], out);
}

/* Which registers an Allow asks for, taken together. */
static void check_image(const struct policy *p, size_t i, struct policy_lint *out)
{
    struct asked a = asked_of(&p->statements[i]);
    bool image = a.enclave & (1U | 1U << SIGNER_REGISTER);

    if (a.enclave && a.tpm)
        lint_add(out, p, (long)i, "mixed-devices", SPAN_EMPTY);
    else if (a.tpm && (a.tpm & TPM_REGISTERS) != TPM_REGISTERS)
        lint_add(out, p, (long)i, "nitrotpm-registers", SPAN_EMPTY);
    if (a.lists > 1)
        lint_add(out, p, (long)i, "mixed-images", SPAN_EMPTY);
    if (a.enclave && !image && (a.enclave & ~(uint32_t)PARENT_REGISTERS) == 0)
        lint_add(out, p, (long)i, "parent-only", SPAN_EMPTY);
    else if (a.enclave && !image)
        lint_add(out, p, (long)i, "no-image", SPAN_EMPTY);
    else if (a.enclave && (a.enclave & IMAGE_REGISTERS) != IMAGE_REGISTERS &&
             !(a.enclave & 1U << SIGNER_REGISTER))
        lint_add(out, p, (long)i, "image-by-pcr0", SPAN_EMPTY);
}

static void check_actions(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];

    for (const struct policy_action *a = policy_actions; a->name; a++)
        if (!(a->traits & POLICY_ACTION_ATTESTED) && lint_names(st, a->name))
            lint_add(out, p, (long)i, "never-attested", span_str(a->name));
}

void lint_registers(const struct policy *p, size_t i, struct policy_lint *out)
{
    const struct policy_statement *st = &p->statements[i];

    for (size_t c = 0; c < st->n_conditions; c++)
        check_condition(p, i, &st->conditions[c], out);
    if (!st->allows || !lint_is_attested(st))
        return;
    check_image(p, i, out);
    check_actions(p, i, out);
}
