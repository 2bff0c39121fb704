/* test_registers.c - which registers a policy asks for, and which of them a request has. */
#include "policy/registers.h"
#include "policy/test_rows.h"
#include "testing/t.h"

#define PCR(n) "kms:RecipientAttestation:PCR" #n

static const struct row {
    const char *name, *statements, *caller, *action, *facts, *told;
} rows[] = {
    { "none asked for", EVERYBODY, ALICE, "kms:Decrypt", PCR(0) "=aa", "" },
    { "as asked", ALLOW_IF("'StringEquals':{'" PCR(0) "':'aa'}"), ALICE, "kms:Decrypt",
      PCR(0) "=aa", "1 + " PCR(0) " [aa] aa holds|" },
    { "another", ALLOW_IF("'StringEquals':{'" PCR(0) "':['aa','bb']}"), ALICE, "kms:Decrypt",
      PCR(0) "=cc", "1 + " PCR(0) " [aa,bb] cc fails|" },
    { "absent", ALLOW_IF("'StringEquals':{'" PCR(8) "':'aa'}"), ALICE, "kms:Decrypt", "",
      "1 + " PCR(8) " [aa] - fails|" },
    { "a denial", EVERYBODY "," DENY_IF("'StringNotEquals':{'" PCR(0) "':'aa'}"), ALICE,
      "kms:Decrypt", PCR(0) "=bb", "2 - " PCR(0) " [aa] bb holds|" },
    { "all of a statement, whatever else fails",
      ALLOW_IF("'Bool':{'aws:SecureTransport':'true'},'StringEquals':{'" PCR(0) "':'aa','" PCR(
          1) "':'bb'}"),
      ALICE, "kms:Decrypt", PCR(1) "=bb",
      "1 + " PCR(0) " [aa] - fails|1 + " PCR(1) " [bb] bb holds|" },
    { "not of other actions", ST("Allow", "'*'", "'kms:Sign'", IF("'Null':{'" PCR(0) "':'false'}")),
      ALICE, "kms:Decrypt", PCR(0) "=aa", "" },
    { "not for others", ST("Allow", AWS(BOB), "'kms:*'", IF("'StringEquals':{'" PCR(0) "':'aa'}")),
      ALICE, "kms:Decrypt", PCR(0) "=aa", "" },
};
enum { N = sizeof rows / sizeof rows[0] };

static void take(void *arg, const struct policy_register *r)
{
    assert_int_equal(buf_printf(arg, "%u %c %.*s [", r->statement, r->allows ? '+' : '-',
                                (int)r->key.len, (const char *)r->key.ptr),
                     ERR_OK);
    for (size_t i = 0; i < r->n_wanted; i++)
        assert_int_equal(buf_printf(arg, "%s%.*s", i ? "," : "", (int)r->wanted[i].len,
                                    (const char *)r->wanted[i].ptr),
                         ERR_OK);
    assert_int_equal(buf_printf(arg, "] %.*s %s|", r->got.ptr ? (int)r->got.len : 1,
                                r->got.ptr ? (const char *)r->got.ptr : "-",
                                r->holds ? "holds" : "fails"),
                     ERR_OK);
}

static void tells(void **state)
{
    const struct row *row = *state;
    static struct rows_facts facts;
    AUTO(policy_freep) struct policy *p = rows_parse(row->statements, POLICY_OF_KEY);
    AUTO(buf_clear) struct buf told = BUF_INIT(4096);
    struct policy_caller who;

    rows_caller(row->caller, &who);
    rows_facts_parse(row->facts, &facts);
    const struct policy_request rq = { .caller = &who,
                                       .action = span_str(row->action),
                                       .resource = SPAN_LIT(KEY),
                                       .facts = facts.list,
                                       .n_facts = facts.n };
    policy_registers(p, &rq, take, &told);
    t_assert_buf(&told, row->told);
}

int main(void)
{
    static struct CMUnitTest tests[N];

    T_ROWS(tests, rows, tells);
    return cmocka_run_group_tests_name("policy_registers", tests, NULL, NULL);
}
