#include "localkms/people.h"

#include <stdio.h>

#include "testing/t.h"

static const struct people_defaults defaults = { "aws", "111122223333" };

#define KEY    "{id: A, secret: s}"
#define POLICY "{Version: 2012-10-17, Statement: {Effect: Allow, Action: 'kms:*', Resource: '*'}}"

static void all_kinds(void **state)
{
    static const char text[] = "users:\n"
                               "  - name: alice\n"
                               "    path: /team/\n"
                               "    access_keys:\n"
                               "      - {id: AKIA1, secret: one}\n"
                               "      - {id: AKIA2, secret: 'two'}\n"
                               "    policies:\n"
                               "      - " POLICY "\n"
                               "      - "
                               "'{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\","
                               "\"Action\":\"*\",\"Resource\":\"*\"}]}'\n"
                               "  - {name: bob, account: '444455556666', access_keys: [{id: AKIA3, "
                               "secret: three}]}\n"
                               "roles:\n"
                               "  - name: parent\n"
                               "    policies: [" POLICY "]\n"
                               "    sessions:\n"
                               "      - name: i-0123\n"
                               "        id: ASIA1\n"
                               "        secret: four\n"
                               "        session_token: token\n"
                               "        expires: 2026-01-02T03:04:05Z\n"
                               "root:\n"
                               "  - access_keys: [{id: AKIAROOT, secret: five}]\n";
    AUTO(principals_clear) struct principals p = { NULL, 0 };
    struct why why = { 0 };

    (void)state;
    if (people_parse(span_str(text), &defaults, &p, &why) != ERR_OK)
        fail_msg("line %zu: %s", why.at, why.what);
    assert_int_equal(p.n, 5);
    const struct principal *alice = principals_find(&p, SPAN_LIT("AKIA2"));
    assert_non_null(alice);
    assert_string_equal(alice->arn, "arn:aws:iam::111122223333:user/team/alice");
    t_assert_span(secret_view(&alice->secret_access_key), SPAN_LIT("two"));
    assert_int_equal(alice->n_policies, 2);
    const struct principal *bob = principals_find(&p, SPAN_LIT("AKIA3"));
    assert_string_equal(bob->arn, "arn:aws:iam::444455556666:user/bob");
    t_assert_span(bob->caller.account, SPAN_LIT("444455556666"));
    const struct principal *session = principals_find(&p, SPAN_LIT("ASIA1"));
    assert_string_equal(session->arn, "arn:aws:sts::111122223333:assumed-role/parent/i-0123");
    assert_int_equal(session->expires_s, 1767323045);
    assert_int_equal(session->n_policies, 1);
    assert_int_equal(session->caller.kind, POLICY_CALLER_SESSION);
    t_assert_span(secret_view(&session->session_token), SPAN_LIT("token"));
    const struct principal *root = principals_find(&p, SPAN_LIT("AKIAROOT"));
    assert_int_equal(root->caller.kind, POLICY_CALLER_ROOT);
}

static const struct row {
    const char *name, *text, *what;
    size_t line;
} rows[] = {
    { "a list", "- a\n", "not a mapping", 1 },
    { "an unknown key", "users: []\ngroups: []\n", "unknown key", 2 },
    { "an unknown key of a user", "users:\n- name: a\n  secret: b\n", "unknown key", 3 },
    { "an unknown key of an access key", "users:\n- name: a\n  access_keys:\n  - {id: A, key: b}\n",
      "unknown key", 4 },
    { "a session's name on a user's key",
      "users:\n- name: a\n  access_keys:\n  - {id: A, secret: b, name: c}\n", "unknown key", 4 },
    { "users is a mapping", "users: {a: b}\n", "not a list", 1 },
    { "no name", "users:\n\n- access_keys: []\n", "name is missing", 3 },
    { "no access keys", "users:\n- name: a\n", "access_keys is missing", 2 },
    { "no sessions", "roles:\n- name: a\n", "sessions is missing", 2 },
    { "no secret", "users:\n- name: a\n  access_keys: [{id: A}]\n", "secret is missing", 3 },
    { "an empty secret", "users:\n- name: a\n  access_keys: [{id: A, secret: ''}]\n",
      "a secret that is empty or too long", 3 },
    { "nothing as a secret", "users:\n- name: a\n  access_keys: [{id: A, secret: }]\n",
      "not a text", 3 },
    { "an id twice", "root:\n- access_keys: [" KEY ",\n  " KEY "]\n",
      "an access key id that comes twice or is empty", 3 },
    { "an id in two places",
      "users:\n- {name: a, access_keys: [" KEY "]}\nroot:\n- access_keys: [" KEY "]\n",
      "an access key id that comes twice or is empty", 4 },
    { "an account of 11 digits", "root:\n- account: '11112222333'\n  access_keys: []\n",
      "an account is 12 digits", 2 },
    { "an account that is no number", "root:\n- account: 'x11122223333'\n  access_keys: []\n",
      "an account is 12 digits", 2 },
    { "a name with a colon", "users:\n- {name: 'a:b', access_keys: []}\n",
      "a character that names cannot have", 2 },
    { "a name with a slash", "users:\n- {name: a/b, access_keys: []}\n",
      "a character that names cannot have", 2 },
    { "a path without its end", "users:\n- {name: a, path: /b, access_keys: []}\n",
      "a path begins and ends with /", 2 },
    { "a time of another form",
      "roles:\n- name: r\n  sessions:\n  - {name: s, id: A, secret: b, expires: 2026-01-02}\n",
      "expires is not a time like 2026-01-02T03:04:05Z", 4 },
    { "policies is one", "users:\n- {name: a, access_keys: [" KEY "], policies: " POLICY "}\n",
      "policies is not a list", 2 },
};

static void fault_row(void **state)
{
    const struct row *row = *state;
    struct principals p = { NULL, 4711 };
    struct why why = { 0 };

    assert_int_equal(people_parse(span_str(row->text), &defaults, &p, &why), ERR_MALFORMED);
    assert_string_equal(why.what, row->what);
    assert_int_equal(why.at, row->line);
    assert_int_equal(p.n, 4711);
}

/* The engine's own word for what is wrong, and the line of the policy. */
static void bad_policy(void **state)
{
    static const char text[] =
        "users:\n- name: a\n  access_keys: [" KEY "]\n  policies:\n"
        "  - " POLICY "\n  - {Version: 2012-10-17, Statement: {Effect: Maybe}}\n";
    struct principals p;
    struct why why = { 0 };

    (void)state;
    assert_int_equal(people_parse(span_str(text), &defaults, &p, &why), ERR_MALFORMED);
    assert_int_equal(why.at, 6);
    assert_non_null(why.what);
}

static enum err policies(unsigned n)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(1 << 20);
    AUTO(principals_clear) struct principals p = { NULL, 0 };

    assert_int_equal(
        buf_append_str(&text, "users:\n- {name: u, access_keys: [" KEY "], policies: ["), ERR_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(buf_append_str(&text, POLICY ","), ERR_OK);
    assert_int_equal(buf_append_str(&text, "]}\n"), ERR_OK);
    return people_parse(buf_view(&text), &defaults, &p, NULL);
}

static enum err keys(unsigned n)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(1 << 20);
    AUTO(principals_clear) struct principals p = { NULL, 0 };

    assert_int_equal(buf_append_str(&text, "root:\n- access_keys:\n"), ERR_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(buf_printf(&text, "  - {id: A%u, secret: s}\n", i), ERR_OK);
    return people_parse(buf_view(&text), &defaults, &p, NULL);
}

static void limits(void **state)
{
    (void)state;
    assert_int_equal(policies(PRINCIPAL_POLICIES_MAX), ERR_OK);
    assert_int_equal(policies(PRINCIPAL_POLICIES_MAX + 1), ERR_LIMIT);
    assert_int_equal(keys(PRINCIPALS_MAX), ERR_OK);
    assert_int_equal(keys(PRINCIPALS_MAX + 1), ERR_LIMIT);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static struct CMUnitTest tests[ROWS + 3];

    T_ROWS(tests, rows, fault_row);
    tests[ROWS] = (struct CMUnitTest){ "all kinds", all_kinds, NULL, NULL, NULL };
    tests[ROWS + 1] = (struct CMUnitTest){ "a bad policy", bad_policy, NULL, NULL, NULL };
    tests[ROWS + 2] = (struct CMUnitTest){ "limits", limits, NULL, NULL, NULL };
    return _cmocka_run_group_tests("people", tests, ROWS + 3, NULL, NULL);
}
