#include "base/json.h"
#include "bin/nitroseal/policy_question.h"
#include "policy/registers.h"

enum { OUT_MAX_BYTES = 1 << 20, LINE_MAX_BYTES = 65536 };

static const struct option_def options[] = {
    { "principal", 0, "ARN", NULL, NULL, "Who calls: user, role, session, root, or a service." },
    { "operation", 0, "NAME", NULL, "Decrypt", "What is called." },
    { "image", 'i', "FILE", NULL, NULL,
      "The call is attested by this image: EIF, or JSON with PCRs." },
    { "document", 0, "FILE", NULL, NULL,
      "It carries this attestation document, binary or base64; not verified here." },
    { "pcr", 0, "N=HEX", NULL, NULL, "It is attested with this PCR; repeatable." },
    { "context", 0, "NAME=VALUE", NULL, NULL, "A pair of the encryption context; repeatable." },
    { "fact", 0, "KEY=VALUE", NULL, NULL,
      "A condition key of the request; repeatable, several times for several values." },
    { "identity", 0, "FILE", NULL, NULL, "An identity policy of the caller; repeatable." },
    { "grant", 0, "FILE", NULL, NULL, "A grant on the key, as CreateGrant takes it; repeatable." },
    { "key", 0, "ARN", NULL, NULL, "The key; without it some key of the caller's account." },
    { "json", 0, NULL, NULL, NULL, "Print JSON, also for a failure." },
    { 0 },
};

static const struct program_def program = {
    .name = "nitroseal policy explain",
    .synopsis = "--principal ARN [OPTION ...] KEY_POLICY|-",
    .summary = "Say whether KMS would allow a call, by which statement, and which PCR differs, "
               "without a key or\na call.",
    .options = options,
    .footer = "Exit status: 0 allowed, 4 denied, 2 usage, 6 file or policy unreadable.\n",
    .args_max = 1,
};

struct sink {
    struct json_out *w; /* NULL: lines */
    struct buf *out;
    enum err err;
    unsigned statement; /* of the last line */
};

/* "PCR0" of "kms:RecipientAttestation:PCR0". */
static struct span short_name(struct span key)
{
    for (struct span rest = key; rest.ptr;)
        key = span_cut(&rest, ':');
    return key;
}

static void spans(struct json_out *w, const struct span *list, size_t n)
{
    json_out_array(w);
    for (size_t i = 0; i < n; i++)
        json_out_string(w, list[i]);
    json_out_array_end(w);
}

static void register_json(struct json_out *w, const struct policy_register *r)
{
    json_out_object(w);
    json_out_key(w, "statement");
    json_out_uint(w, r->statement);
    json_out_key(w, "sid");
    json_out_string(w, r->sid);
    json_out_key(w, "effect");
    json_out_string(w, r->allows ? SPAN_LIT("Allow") : SPAN_LIT("Deny"));
    json_out_key(w, "register");
    json_out_string(w, short_name(r->key));
    json_out_key(w, "operator");
    json_out_string(w, span_str(r->op));
    json_out_key(w, "policy");
    spans(w, r->wanted, r->n_wanted);
    json_out_key(w, "request");
    if (r->got.ptr)
        json_out_string(w, r->got);
    else
        json_out_null(w);
    json_out_key(w, "holds");
    json_out_bool(w, r->holds);
    json_out_object_end(w);
}

static bool wants(const struct policy_register *r)
{
    for (size_t i = 0; i < r->n_wanted; i++)
        if (span_eq_nocase(r->wanted[i], r->got))
            return true;
    return false;
}

static enum err register_line(const struct policy_register *r, struct buf *out)
{
    enum err e = buf_append_str(out, "    ");

    if (e == ERR_OK)
        e = policy_put_clean(out, short_name(r->key));
    if (e == ERR_OK && wants(r) && r->got.ptr)
        return buf_append_str(out, _(" is as in the policy\n"));
    if (e == ERR_OK)
        e = buf_append_str(out,
                           r->got.ptr ? _(" differs: the call has ") : _(" is not in the call"));
    if (e == ERR_OK && r->got.ptr)
        e = policy_put_clean(out, r->got);
    if (e == ERR_OK)
        e = buf_append_str(out, _(", the policy "));
    for (size_t i = 0; i < r->n_wanted && e == ERR_OK; i++) {
        e = buf_append_str(out, i ? ", " : "");
        if (e == ERR_OK)
            e = policy_put_clean(out, r->wanted[i]);
    }
    return e == ERR_OK ? buf_append_byte(out, '\n') : e;
}

static void take_register(void *arg, const struct policy_register *r)
{
    struct sink *s = arg;

    if (s->w) {
        register_json(s->w, r);
        return;
    }
    if (s->err == ERR_OK && s->statement != r->statement) {
        s->err = buf_printf(s->out,
                            r->allows ? _("PCRs of statement %u (Allow)")
                                      : _("PCRs of statement %u (Deny outside)"),
                            r->statement);
        if (s->err == ERR_OK && r->sid.len)
            s->err = buf_append_byte(s->out, ' ');
        if (s->err == ERR_OK)
            s->err = policy_put_clean(s->out, r->sid);
        if (s->err == ERR_OK)
            s->err = buf_append_str(s->out, ":\n");
    }
    s->statement = r->statement;
    if (s->err == ERR_OK)
        s->err = register_line(r, s->out);
}

static const char *by_name(const struct access *a)
{
    switch (a->reason) {
    case ACCESS_ALLOWED:
        if (a->grant)
            return "grant";
        return a->has_key && a->key.answer == POLICY_ALLOW ? "key policy" : "identity policy";
    case ACCESS_DENIED_BY_KEY:
    case ACCESS_NOT_BY_KEY:
        return "key policy";
    case ACCESS_DENIED_BY_IDENTITY:
    case ACCESS_NOT_BY_IDENTITY:
        break;
    }
    return "identity policy";
}

static const struct policy_finding *decided(const struct access *a)
{
    bool key = strcmp(by_name(a), "key policy") == 0;

    return a->grant && a->reason == ACCESS_ALLOWED ? NULL
           : key                                   ? &a->key.decided
                                                   : &a->identity.decided;
}

static void decision_json(struct json_out *w, const struct question *q, const struct access *a)
{
    const struct policy_finding *d = decided(a);
    bool allowed = a->reason == ACCESS_ALLOWED;

    json_out_key(w, "decision");
    json_out_string(w, allowed ? SPAN_LIT("allowed") : SPAN_LIT("denied"));
    json_out_key(w, "explicit");
    json_out_bool(w, a->reason == ACCESS_DENIED_BY_KEY || a->reason == ACCESS_DENIED_BY_IDENTITY);
    json_out_key(w, "by");
    json_out_string(w, span_str(by_name(a)));
    json_out_key(w, "statement");
    if (d && d->statement)
        json_out_uint(w, d->statement);
    else
        json_out_null(w);
    json_out_key(w, "sid");
    json_out_string(w, d ? d->sid : SPAN_EMPTY);
    json_out_key(w, "attested");
    json_out_bool(w, q->has_registers && !q->registers_unused);
}

static enum err texts(const struct question *q, const struct access *a, struct buf *why,
                      struct buf *message)
{
    enum err r = access_explain(a, why);

    return r == ERR_OK && a->reason != ACCESS_ALLOWED ? access_refusal(a, &q->access.rq, message)
                                                      : r;
}

static enum err write_json(const struct question *q, const struct access *a, struct buf *out)
{
    AUTO(buf_clear) struct buf why = BUF_INIT(LINE_MAX_BYTES), message = BUF_INIT(LINE_MAX_BYTES);
    struct json_out w = json_out_init(out);
    struct sink s = { .w = &w };

    enum err r = texts(q, a, &why, &message);
    if (r != ERR_OK)
        return r;
    json_out_object(&w);
    decision_json(&w, q, a);
    json_out_key(&w, "explanation");
    json_out_string(&w, buf_view(&why));
    json_out_key(&w, "message");
    if (message.len)
        json_out_string(&w, buf_view(&message));
    else
        json_out_null(&w);
    json_out_key(&w, "registers");
    json_out_array(&w);
    if (q->access.key)
        policy_registers(q->access.key, &q->access.rq, take_register, &s);
    json_out_array_end(&w);
    json_out_object_end(&w);
    r = json_out_end(&w);
    return r == ERR_OK ? buf_append_byte(out, '\n') : r;
}

static enum err write_lines(const struct question *q, const struct access *a, struct buf *out)
{
    AUTO(buf_clear) struct buf why = BUF_INIT(LINE_MAX_BYTES), message = BUF_INIT(LINE_MAX_BYTES);
    struct sink s = { .out = out };
    bool allowed = a->reason == ACCESS_ALLOWED;

    enum err r = texts(q, a, &why, &message);
    if (r == ERR_OK)
        r = buf_printf(out, "%s: ", allowed ? _("allowed") : _("denied"));
    if (r == ERR_OK)
        r = policy_put_clean(out, buf_view(&why));
    if (r == ERR_OK && message.len)
        r = buf_append_str(out, _("\nKMS would say: "));
    if (r == ERR_OK && message.len)
        r = policy_put_clean(out, buf_view(&message));
    if (r == ERR_OK)
        r = buf_append_byte(out, '\n');
    if (r == ERR_OK && q->registers_unused)
        r = buf_printf(out, _("%s takes no attestation document: PCRs do not count\n"),
                       q->action->name);
    if (r == ERR_OK && q->access.key)
        policy_registers(q->access.key, &q->access.rq, take_register, &s);
    return r == ERR_OK ? s.err : r;
}

static int run(const struct options *o, struct question *q, struct cli_fault *f)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(OUT_MAX_BYTES);
    struct access a;
    int status = question_read(o, q, f);

    if (status != CLI_OK)
        return status;
    access_decide(&q->access, &a);
    enum err r = option_flag(o, "json") ? write_json(q, &a, &out) : write_lines(q, &a, &out);
    if (r != ERR_OK)
        return cli_fault_set(f, CLI_FAILED, _("cannot write the answer: %s"), err_name(r));
    status = cli_print(buf_view(&out), f);
    return status == CLI_OK && a.reason != ACCESS_ALLOWED ? CLI_REFUSED : status;
}

static int run_question(const struct options *o, struct cli_fault *f)
{
    struct question *q = question_new();
    int status = q ? run(o, q, f) : cli_fault_set(f, CLI_FAILED, "%s", err_name(ERR_NOMEM));

    question_free(q);
    return status;
}

int cmd_policy_explain(int argc, char **argv)
{
    return cli_command(&program, argc, argv, run_question);
}
