/* Which endpoint wins: order, switches, and what does not go together. */
#include "awsconf/endpoint.h"

#include "testing/t.h"

#define S    SPAN_INIT
#define FIPS "use_fips_endpoint is neither true nor false"

static const struct row {
    const char *name;
    struct awsconf_endpoint_in in;
    enum err want;
    const char *url; /* or the fault */
    bool fips, dualstack;
} rows[] = {
    { "nothing", { .env_any = S("") }, ERR_OK, "", false, false },
    { "the service's variable first",
      { .env_service = S("1"), .env_any = S("2"), .service_url = S("3"), .any_url = S("4") },
      ERR_OK,
      "1",
      false,
      false },
    { "then the variable for all",
      { .env_any = S("2"), .service_url = S("3"), .any_url = S("4") },
      ERR_OK,
      "2",
      false,
      false },
    { "then the services section",
      { .service_url = S("3"), .any_url = S("4") },
      ERR_OK,
      "3",
      false,
      false },
    { "then the profile", { .any_url = S("4") }, ERR_OK, "4", false, false },
    { "all ignored by the variable",
      { .env_service = S("1"), .any_url = S("4"), .env_ignore = S("TRUE") },
      ERR_OK,
      "",
      false,
      false },
    { "all ignored by the profile",
      { .env_service = S("1"), .ignore = S("true") },
      ERR_OK,
      "",
      false,
      false },
    { "the variable says not to ignore",
      { .env_any = S("2"), .env_ignore = S("false"), .ignore = S("true") },
      ERR_OK,
      "2",
      false,
      false },
    { "FIPS by variable", { .env_fips = S("true") }, ERR_OK, "", true, false },
    { "FIPS by profile", { .fips = S("True") }, ERR_OK, "", true, false },
    { "FIPS: the variable switches off",
      { .env_fips = S("false"), .fips = S("true") },
      ERR_OK,
      "",
      false,
      false },
    { "dual-stack", { .dualstack = S("true") }, ERR_OK, "", false, true },
    { "both", { .env_fips = S("true"), .env_dualstack = S("true") }, ERR_OK, "", true, true },
    { "FIPS and a URL",
      { .fips = S("true"), .any_url = S("4") },
      ERR_UNSUPPORTED,
      "use_fips_endpoint together with an endpoint URL",
      false,
      false },
    { "dual-stack and a URL",
      { .dualstack = S("true"), .env_any = S("2") },
      ERR_UNSUPPORTED,
      "use_dualstack_endpoint together with an endpoint URL",
      false,
      false },
    { "FIPS and a URL that is ignored",
      { .fips = S("true"), .any_url = S("4"), .ignore = S("true") },
      ERR_OK,
      "",
      true,
      false },
    { "a flag of another word", { .fips = S("yes") }, ERR_MALFORMED, FIPS, false, false },
    { "a flag of another word in the environment",
      { .env_fips = S("1") },
      ERR_MALFORMED,
      FIPS,
      false,
      false },
    { "dual-stack of another word",
      { .dualstack = S("on") },
      ERR_MALFORMED,
      "use_dualstack_endpoint is neither true nor false",
      false,
      false },
    { "ignore of another word",
      { .ignore = S("x") },
      ERR_MALFORMED,
      "ignore_configured_endpoint_urls is neither true nor false",
      false,
      false },
};

static void choose(void **state)
{
    const struct row *row = *state;
    struct awsconf_endpoint out = { .url = SPAN_LIT("untouched") };
    struct why why = { 0 };

    assert_int_equal(awsconf_endpoint_choose(&row->in, &out, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->url);
        t_assert_span(out.url, SPAN_LIT("untouched"));
        return;
    }
    t_assert_span(out.url, span_str(row->url));
    assert_int_equal(out.fips, row->fips);
    assert_int_equal(out.dualstack, row->dualstack);
}

/* [services] sections of the config file. */
static const struct services_row {
    const char *name, *text;
    enum err want;
    const char *url; /* or the fault */
} services[] = {
    { "services: nested", "[services x]\nsts =\n  endpoint_url = https://a\n", ERR_OK,
      "https://a" },
    { "services: other services pass",
      "[services x]\nkms=\n endpoint_url=1\nsts =\n\tendpoint_url=2 # c\ns3=\n endpoint_url=3\n",
      ERR_OK, "2" },
    { "services: other settings pass", "[services x]\nsts =\n  a = b\n  endpoint_url = u\n", ERR_OK,
      "u" },
    { "services: name in quotes", "[services \"x\"]\nsts =\n  endpoint_url = u\n", ERR_OK, "u" },
    { "services: another section", "[services y]\nsts =\n  endpoint_url = u\n", ERR_OK, "" },
    { "services: a profile of that name", "[profile x]\nsts =\n  endpoint_url = u\n", ERR_OK, "" },
    { "services: not nested", "[services x]\nsts = 1\nendpoint_url = u\n", ERR_OK, "" },
    { "services: ends with the section", "[services x]\nsts =\n[profile x]\n  endpoint_url = u\n",
      ERR_OK, "" },
    { "services: in any case", "[services x]\nSTS =\n  Endpoint_URL = u\n", ERR_OK, "u" },
    { "services: the later wins",
      "[services x]\nsts =\n  endpoint_url = 1\n[services x]\nsts =\n  endpoint_url = 2\n", ERR_OK,
      "2" },
    { "services: a fault elsewhere", "[services x]\nsts =\n  endpoint_url = 1\n[y\n", ERR_MALFORMED,
      "section without a closing bracket" },
};

static void service(void **state)
{
    const struct services_row *row = *state;
    struct span text = t_copy(span_str(row->text)), url = SPAN_LIT("untouched");
    struct why why = { 0 };

    assert_int_equal(awsconf_service_url(text, SPAN_LIT("x"), "sts", &url, &why), row->want);
    if (row->want != ERR_OK)
        assert_string_equal(why.what, row->url);
    t_assert_span(url, row->want == ERR_OK ? span_str(row->url) : SPAN_LIT("untouched"));
    t_free(text);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0], M = sizeof services / sizeof services[0] };
    struct CMUnitTest tests[N + M];

    for (size_t i = 0; i < N + M; i++) {
        union {
            const void *view;
            void *state;
        } u = { .view = i < N ? (const void *)&rows[i] : &services[i - N] };
        tests[i] = (struct CMUnitTest){ i < N ? rows[i].name : services[i - N].name,
                                        i < N ? choose : service, NULL, NULL, u.state };
    }
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
