#include "policy/diff.h"

#include "base/json.h"
#include "bin/nitroseal/policy_cmd.h"

enum { OUT_MAX_BYTES = 4 << 20, STATUS_DIFFERENT = 1 };

static const struct option_def options[] = {
    { "identity", 0, NULL, NULL, NULL, "They are identity policies, not key policies." },
    { "json", 0, NULL, NULL, NULL, "Print JSON, also for a failure." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal policy diff",
    .synopsis = "[OPTION ...] BEFORE AFTER",
    .summary = "Say what changed from one policy to another by meaning: statements, principals, "
               "actions, PCRs.\nOrder, lists of one and letters of actions are no change.",
    .options = options,
    .footer = "Exit status: 0 they mean the same, 1 they differ, 2 usage, 6 file or policy "
              "unreadable.\n",
    .args_min = 2,
    .args_max = 2,
};

struct sink {
    bool json;
    struct json_out w;
    struct buf *out;
    enum err err;
};

static const char *part_name(enum policy_part part)
{
    static const char *const names[] = {
        [POLICY_PART_STATEMENT] = "Statement", [POLICY_PART_SID] = "Sid",
        [POLICY_PART_EFFECT] = "Effect",       [POLICY_PART_PRINCIPAL] = "Principal",
        [POLICY_PART_ACTION] = "Action",       [POLICY_PART_RESOURCE] = "Resource",
        [POLICY_PART_CONDITION] = "Condition",
    };

    return names[part];
}

static void number_or_null(struct json_out *w, const char *name, unsigned n)
{
    json_out_key(w, name);
    if (n)
        json_out_uint(w, n);
    else
        json_out_null(w);
}

static void change_json(struct json_out *w, const struct policy_change *c)
{
    json_out_object(w);
    json_out_key(w, "change");
    json_out_string(w, c->added ? SPAN_LIT("added") : SPAN_LIT("removed"));
    number_or_null(w, "before", c->before);
    number_or_null(w, "after", c->after);
    json_out_key(w, "sid");
    json_out_string(w, c->sid);
    json_out_key(w, "part");
    json_out_string(w, span_str(part_name(c->part)));
    json_out_key(w, "not");
    json_out_bool(w, c->negated);
    if (c->op) {
        AUTO(buf_clear) struct buf op = BUF_INIT(128);
        json_out_key(w, "operator");
        if (buf_printf(&op, "%s%s%s", c->quantifier, c->op, c->if_exists ? "IfExists" : "") ==
            ERR_OK)
            json_out_string(w, buf_view(&op));
        json_out_key(w, "key");
        json_out_string(w, c->key);
    }
    json_out_key(w, "value");
    json_out_string(w, c->value);
    json_out_object_end(w);
}

static enum err statement_text(const struct policy_change *c, struct buf *out)
{
    enum err r = !c->before  ? buf_printf(out, _("statement %u (new)"), c->after)
                 : !c->after ? buf_printf(out, _("statement %u (gone)"), c->before)
                 : c->before == c->after
                     ? buf_printf(out, _("statement %u"), c->after)
                     : buf_printf(out, _("statement %u (before: %u)"), c->after, c->before);

    if (r == ERR_OK && c->sid.len)
        r = buf_append_str(out, " \"");
    if (r == ERR_OK && c->sid.len)
        r = policy_put_clean(out, c->sid);
    return r == ERR_OK && c->sid.len ? buf_append_byte(out, '"') : r;
}

static enum err what_text(const struct policy_change *c, struct buf *out)
{
    if (c->part == POLICY_PART_STATEMENT)
        return buf_append_str(out, span_is(c->value, "Allow") ? _("allows") : _("denies"));
    if (c->part != POLICY_PART_CONDITION) {
        enum err r = buf_printf(out, "%s%s ", c->negated ? "Not" : "", part_name(c->part));
        return r == ERR_OK ? policy_put_clean(out, c->value) : r;
    }
    enum err r = buf_printf(out, "%s%s%s ", c->quantifier, c->op, c->if_exists ? "IfExists" : "");
    if (r == ERR_OK)
        r = policy_put_clean(out, c->key);
    if (r == ERR_OK)
        r = buf_append_byte(out, ' ');
    return r == ERR_OK ? policy_put_clean(out, c->value) : r;
}

static void take(void *arg, const struct policy_change *c)
{
    struct sink *s = arg;

    if (s->json) {
        change_json(&s->w, c);
        return;
    }
    if (s->err == ERR_OK)
        s->err = buf_append_str(s->out, c->added ? "+ " : "- ");
    if (s->err == ERR_OK)
        s->err = statement_text(c, s->out);
    if (s->err == ERR_OK)
        s->err = buf_append_str(s->out, ": ");
    if (s->err == ERR_OK)
        s->err = what_text(c, s->out);
    if (s->err == ERR_OK)
        s->err = buf_append_byte(s->out, '\n');
}

static int run(const struct options *o, struct cli_fault *f)
{
    AUTO(policy_freep) struct policy *before = NULL, *after = NULL;
    AUTO(buf_clear) struct buf out = BUF_INIT(OUT_MAX_BYTES);
    enum policy_use use = option_flag(o, "identity") ? POLICY_OF_IDENTITY : POLICY_OF_KEY;
    struct sink s = { .json = option_flag(o, "json"), .w = json_out_init(&out), .out = &out };
    int status = policy_load(o->args[0], use, &before, f);

    if (status == CLI_OK)
        status = policy_load(o->args[1], use, &after, f);
    if (status != CLI_OK)
        return status;
    if (s.json) {
        json_out_object(&s.w);
        json_out_key(&s.w, "changes");
        json_out_array(&s.w);
    }
    size_t n = policy_diff(before, after, take, &s);
    if (s.json) {
        json_out_array_end(&s.w);
        json_out_object_end(&s.w);
        s.err = json_out_end(&s.w);
        if (s.err == ERR_OK)
            s.err = buf_append_byte(&out, '\n');
    }
    if (s.err != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(s.err));
    status = cli_print(buf_view(&out), f);
    return status == CLI_OK && n > 0 ? STATUS_DIFFERENT : status;
}

int cmd_policy_diff(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run);
}
