#include "policy/test_rows.h"

#include <stdlib.h>

#include "testing/t.h"

void rows_facts_parse(const char *text, struct rows_facts *out)
{
    struct span rest = span_str(text);

    out->n = 0;
    while (rest.len > 0) {
        struct span value = span_trim(span_cut(&rest, ';'));
        struct span key = span_cut(&value, '=');
        struct policy_fact *f = &out->list[out->n];
        *f = (struct policy_fact){ .key = key, .values = out->values[out->n] };
        while (value.ptr) {
            assert_true(f->n_values < ROWS_VALUES_MAX);
            out->values[out->n][f->n_values++] = span_cut(&value, '|');
        }
        assert_true(++out->n < ROWS_FACTS_MAX);
    }
}

struct policy *rows_parse(const char *statements, enum policy_use use)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(POLICY_MAX_BYTES);
    struct policy_fault f = { .what = "" };
    struct policy *p = NULL;
    bool old = statements[0] == '!';

    assert_int_equal(
        buf_printf(&text, "{\"Version\":\"%s\",\"Statement\":[", old ? "2008-10-17" : "2012-10-17"),
        ERR_OK);
    for (const char *c = statements + old; *c; c++)
        assert_int_equal(buf_append_byte(&text, *c == '\''  ? '"'
                                                : *c == '`' ? '\''
                                                            : (uint8_t)*c),
                         ERR_OK);
    assert_int_equal(buf_append_str(&text, "]}"), ERR_OK);
    struct span exact = t_copy(buf_view(&text));
    if (policy_parse_at(exact, use, &p, &f) != ERR_OK)
        fail_msg("%s at %zu of %s", f.what, f.at, buf_cstr(&text));
    t_free(exact);
    return p;
}

void rows_caller(const char *text, struct policy_caller *out)
{
    if (policy_caller_parse(span_str(text), out) != ERR_OK)
        assert_int_equal(policy_service_parse(span_str(text), out), ERR_OK);
}

static enum err put_condition(const struct policy_finding *f, struct buf *out)
{
    return buf_printf(out, " %u %s%s%s %.*s", f->statement, f->quantifier, f->op,
                      f->if_exists ? "IfExists" : "", (int)f->key.len, (const char *)f->key.ptr);
}

static enum err put(const struct policy_verdict *v, struct buf *out)
{
    static const char *const answers[] = { "silent", "delegate", "allow", "deny" };
    static const char *const misses[] = { "", "action", "principal", "resource", "condition", "" };
    enum err r = buf_append_str(out, answers[v->answer]);

    if (r != ERR_OK || v->answer != POLICY_SILENT) {
        if (r == ERR_OK && v->decided.op)
            return put_condition(&v->decided, out);
        return r == ERR_OK ? buf_printf(out, " %u", v->decided.statement) : r;
    }
    if (v->nearest.miss == POLICY_MISS_NONE)
        return ERR_OK;
    return v->nearest.op ? put_condition(&v->nearest, out)
                         : buf_printf(out, " %s %u", misses[v->nearest.miss], v->nearest.statement);
}

static void decides(void **state)
{
    const struct rows_row *row = *state;
    static struct rows_facts facts;
    AUTO(policy_freep) struct policy *p = rows_parse(row->statements, POLICY_OF_KEY);
    AUTO(buf_clear) struct buf got = BUF_INIT(4096);
    struct policy_caller who;
    struct policy_verdict v;

    rows_caller(row->caller, &who);
    rows_facts_parse(row->facts, &facts);
    const struct policy_request rq = { .caller = &who,
                                       .action = span_str(row->action),
                                       .resource = SPAN_LIT(KEY),
                                       .facts = facts.list,
                                       .n_facts = facts.n };
    policy_evaluate(p, &rq, &v);
    assert_int_equal(put(&v, &got), ERR_OK);
    t_assert_buf(&got, row->want);
}

int rows_run(const char *suite, const struct rows_row *rows, size_t n)
{
    struct CMUnitTest *tests = calloc(n, sizeof *tests);

    if (!tests)
        return 1;
    t_rows(tests, rows, n, sizeof rows[0], offsetof(struct rows_row, name),
           (struct CMUnitTest){ NULL, decides, NULL, NULL, NULL });
    int status = _cmocka_run_group_tests(suite, tests, n, NULL, NULL);
    free(tests);
    return status;
}
