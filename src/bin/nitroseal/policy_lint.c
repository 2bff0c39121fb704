#include "policy/lint.h"

#include <stdlib.h>

#include "base/json.h"
#include "bin/nitroseal/policy_cmd.h"

enum { OUT_MAX_BYTES = 1 << 20 };

static const struct option_def options[] = {
    { "identity", 0, NULL, NULL, NULL, "It is an identity policy, not a key policy." },
    { "strict", 0, NULL, NULL, NULL, "End with 5 for warnings, too, not for errors only." },
    { "rules", 0, NULL, NULL, NULL, "Print the rules instead: id, severity, reason, fix." },
    { "json", 0, NULL, NULL, NULL, "Print JSON, also for a failure." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal policy lint",
    .synopsis = "[OPTION ...] FILE|- | --rules",
    .summary = "Say what is wrong or weak about a policy for attested images: each finding with "
               "its rule,\nreason and remedy.",
    .options = options,
    .footer = "Exit status: 0 no error found, 5 errors (with --strict: warnings), 2 usage, 6 file "
              "or policy\nunreadable.\n",
    .args_min = 0,
    .args_max = 1,
};

static const char *severity_name(enum policy_severity s)
{
    static const char *const names[] = { "note", "warning", "error" };

    return names[s];
}

static const char *severity_text(enum policy_severity s)
{
    return s == POLICY_ERROR ? _("error") : s == POLICY_WARNING ? _("warning") : _("note");
}

static void rule_members(struct json_out *w, const struct policy_rule *r)
{
    json_out_key(w, "id");
    json_out_string(w, span_str(r->id));
    json_out_key(w, "severity");
    json_out_string(w, span_str(severity_name(r->severity)));
    json_out_key(w, "reason");
    json_out_string(w, span_str(r->what));
    json_out_key(w, "fix");
    json_out_string(w, span_str(r->fix));
}

static void finding_json(struct json_out *w, const struct policy_lint_finding *f)
{
    json_out_object(w);
    rule_members(w, f->rule);
    json_out_key(w, "statement");
    if (f->statement)
        json_out_uint(w, f->statement);
    else
        json_out_null(w);
    json_out_key(w, "sid");
    if (f->sid.len)
        json_out_string(w, f->sid);
    else
        json_out_null(w);
    json_out_key(w, "detail");
    json_out_string(w, span_str(f->detail));
    json_out_object_end(w);
}

static enum err findings_json(const struct policy_lint *l, struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, "findings");
    json_out_array(&w);
    for (size_t i = 0; i < l->n; i++)
        finding_json(&w, &l->found[i]);
    json_out_array_end(&w);
    json_out_key(&w, "more");
    json_out_bool(&w, l->more);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

static enum err finding_lines(const struct policy_lint_finding *f, struct buf *out)
{
    enum err r = buf_printf(out, "%s %s", severity_text(f->rule->severity), f->rule->id);

    if (r == ERR_OK && f->statement)
        r = buf_printf(out, _(", statement %u"), f->statement);
    if (r == ERR_OK && f->sid.len)
        r = buf_append_str(out, " \"");
    if (r == ERR_OK && f->sid.len)
        r = policy_put_clean(out, f->sid);
    if (r == ERR_OK && f->sid.len)
        r = buf_append_byte(out, '"');
    if (r == ERR_OK)
        r = buf_printf(out, ": %s", _(f->rule->what));
    if (r == ERR_OK && f->detail[0])
        r = buf_append_str(out, ": ");
    if (r == ERR_OK && f->detail[0])
        r = policy_put_clean(out, span_str(f->detail));
    return r == ERR_OK ? buf_printf(out, _("\n    do: %s\n"), _(f->rule->fix)) : r;
}

/* Errors first, notes last. */
static enum err findings_lines(const struct policy_lint *l, struct buf *out)
{
    enum err r = ERR_OK;

    for (int s = POLICY_ERROR; s >= POLICY_NOTE && r == ERR_OK; s--)
        for (size_t i = 0; i < l->n && r == ERR_OK; i++)
            if ((int)l->found[i].rule->severity == s)
                r = finding_lines(&l->found[i], out);
    if (r == ERR_OK && l->n == 0)
        r = buf_append_str(out, _("nothing found\n"));
    if (r == ERR_OK && l->more)
        r = buf_printf(out, _("and more than these %d\n"), POLICY_LINT_MAX);
    return r;
}

static int print_rules(bool json, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(OUT_MAX_BYTES);
    struct json_out w = json_out_init(&out);
    enum err r = ERR_OK;

    if (json)
        json_out_array(&w);
    for (const struct policy_rule *rule = policy_rules; rule->id && r == ERR_OK; rule++) {
        if (!json) {
            r = buf_printf(&out, _("%s %s: %s\n    do: %s\n"), severity_text(rule->severity),
                           rule->id, _(rule->what), _(rule->fix));
            continue;
        }
        json_out_object(&w);
        rule_members(&w, rule);
        json_out_object_end(&w);
    }
    if (json) {
        json_out_array_end(&w);
        r = json_out_end(&w);
        if (r == ERR_OK)
            r = buf_append_byte(&out, '\n');
    }
    return r == ERR_OK
               ? cli_print(buf_view(&out), f)
               : cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
}

static int judge(const struct options *o, struct policy_lint *l, struct cli_fault *f)
{
    AUTO(policy_freep) struct policy *p = NULL;
    AUTO(buf_clear) struct buf out = BUF_INIT(OUT_MAX_BYTES);
    enum policy_use use = option_flag(o, "identity") ? POLICY_OF_IDENTITY : POLICY_OF_KEY;
    int status = policy_load(o->args[0], use, &p, f);

    if (status != CLI_OK)
        return status;
    policy_lint(p, l);
    enum err r = option_flag(o, "json") ? findings_json(l, &out) : findings_lines(l, &out);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    status = cli_print(buf_view(&out), f);
    if (status != CLI_OK)
        return status;
    enum policy_severity bad = option_flag(o, "strict") ? POLICY_WARNING : POLICY_ERROR;
    return l->n > 0 && policy_lint_worst(l) >= bad ? CLI_UNVERIFIED : CLI_OK;
}

static int run(const struct options *o, struct cli_fault *f)
{
    if (option_flag(o, "rules"))
        return print_rules(option_flag(o, "json"), f);
    if (o->n_args != 1)
        return cli_fault_set(f, CLI_USAGE,
                             _("which policy? Give its file, or - for standard input"));
    struct policy_lint *l = calloc(1, sizeof *l);
    int status = l ? judge(o, l, f) : cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));
    free(l);
    return status;
}

int cmd_policy_lint(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run);
}
