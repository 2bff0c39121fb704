#include "bin/nitroseald/settings.h"
#include "testing/t.h"

#include <stdlib.h>

enum { GO = -1, USAGE = 2, ARGS = 8 };

#define ARN "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

struct row {
    const char *name;
    const char *args[ARGS];
    int status;
    const char *host_header, *server_name; /* where status is GO and it matters */
};

static const struct row rows[] = {
    { "key alone",
      { "-k", ARN },
      GO,
      "kms.us-east-1.amazonaws.com",
      "kms.us-east-1.amazonaws.com" },
    { "no key", { "--vsock", "kernel" }, EXIT_CONFIGURATION, NULL, NULL },
    { "region of China",
      { "-k", ARN, "--region", "cn-north-1" },
      GO,
      "kms.cn-north-1.amazonaws.com.cn",
      "kms.cn-north-1.amazonaws.com.cn" },
    { "no region", { "-k", ARN, "--region", "a/b" }, EXIT_CONFIGURATION, NULL, NULL },
    { "endpoint with port",
      { "-k", ARN, "--endpoint", "https://localhost:8443" },
      GO,
      "localhost:8443",
      "localhost" },
    { "endpoint with slash", { "-k", ARN, "--endpoint", "https://h/" }, GO, "h", "h" },
    { "endpoint on 443", { "-k", ARN, "--endpoint", "https://h:443" }, GO, "h", "h" },
    { "endpoint without TLS",
      { "-k", ARN, "--endpoint", "http://h" },
      EXIT_CONFIGURATION,
      NULL,
      NULL },
    { "endpoint with a path",
      { "-k", ARN, "--endpoint", "https://h/x" },
      EXIT_CONFIGURATION,
      NULL,
      NULL },
    { "endpoint with a user",
      { "-k", ARN, "--endpoint", "https://u@h" },
      EXIT_CONFIGURATION,
      NULL,
      NULL },
    { "endpoint without a name",
      { "-k", ARN, "--endpoint", "https://:1" },
      EXIT_CONFIGURATION,
      NULL,
      NULL },
    { "endpoint with a bad port",
      { "-k", ARN, "--endpoint", "https://h:65536" },
      EXIT_CONFIGURATION,
      NULL,
      NULL },
    { "mapping", { "-k", ARN, "--vsock", "unix:/tmp" }, GO, NULL, NULL },
    { "mapping that is none", { "-k", ARN, "--vsock", "tcp:1" }, EXIT_CONFIGURATION, NULL, NULL },
    { "port past the end", { "-k", ARN, "--port", "4294967295" }, USAGE, NULL, NULL },
    { "port zero", { "-k", ARN, "--port", "0" }, USAGE, NULL, NULL },
    { "CID is no number", { "-k", ARN, "--cid", "x" }, USAGE, NULL, NULL },
    { "request limit too small", { "-k", ARN, "--max-request", "1023" }, USAGE, NULL, NULL },
    { "NSM check", { "-k", ARN, "--nsm-check", "none" }, GO, NULL, NULL },
    { "NSM check that is none",
      { "-k", ARN, "--nsm-check", "off" },
      EXIT_CONFIGURATION,
      NULL,
      NULL },
    { "seccomp off", { "-k", ARN, "--seccomp", "off" }, GO, NULL, NULL },
    { "seccomp that is neither", { "-k", ARN, "--seccomp", "no" }, EXIT_CONFIGURATION, NULL, NULL },
    { "log level", { "-k", ARN, "--log-level", "loud" }, USAGE, NULL, NULL },
    { "argument", { "-k", ARN, "x" }, USAGE, NULL, NULL },
};

static void settings_row(void **state)
{
    const struct row *row = *state;
    char *argv[ARGS + 1] = { strdup("nitroseald") };
    struct settings s = { .nsm = "untouched" };
    int argc = 1;

    for (int i = 0; i < ARGS && row->args[i]; i++)
        argv[argc++] = strdup(row->args[i]);
    assert_int_equal(settings_parse(argc, argv, &s), row->status);
    if (row->status != GO)
        assert_string_equal(s.nsm, "untouched");
    if (row->host_header) {
        t_assert_buf(&s.host_header, row->host_header);
        assert_string_equal((const char *)s.server_name.ptr, row->server_name);
    }
    if (row->status == GO)
        settings_clear(&s);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
}

static void environment(void **state)
{
    (void)state;
    char name[] = "nitroseald";
    char *argv[] = { name, NULL };
    struct settings s;

    setenv("KMS_KEY_ID", ARN, 1);
    setenv("VSOCK_PORT", "5005", 1);
    setenv("KMS_PROXY_PORT", "8008", 1);
    setenv("KMS_PROXY_CID", "4", 1);
    assert_int_equal(settings_parse(1, argv, &s), GO);
    assert_string_equal(s.key_id, ARN);
    assert_int_equal(s.listen.port, 5005);
    assert_int_equal(s.listen.cid, CID_ANY);
    assert_int_equal(s.kms.port, 8008);
    assert_int_equal(s.kms.cid, 4);
    assert_string_equal(s.region, "us-east-1");
    assert_string_equal(s.nsm, "/dev/nsm");
    assert_null(s.root_file);
    assert_false(s.nsm_unsigned);
    assert_int_equal(s.request_max, 16 << 20);
    assert_true(s.workers >= 1);
    settings_clear(&s);
    setenv("NITROSEAL_VSOCK", "unix:/tmp", 1);
    setenv("NITROSEAL_NSM_CHECK", "none", 1);
    assert_int_equal(settings_parse(1, argv, &s), GO);
    assert_int_equal(s.listen.cid, 16);
    assert_true(s.nsm_unsigned);
    settings_clear(&s);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 1];
    const char *const names[] = {
        "KMS_KEY_ID",          "AWS_REGION",    "VSOCK_PORT",           "NITROSEAL_VSOCK",
        "KMS_PROXY_PORT",      "KMS_PROXY_CID", "AWS_ENDPOINT_URL_KMS", "NITROSEAL_NSM",
        "NITROSEAL_ROOT_FILE", "NITROSEAL_LOG", "NITROSEAL_NSM_CHECK",  "NITROSEAL_SECCOMP"
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    T_ROWS(tests, rows, settings_row);
    tests[N] = (struct CMUnitTest){ "environment", environment, NULL, NULL, NULL };
    return _cmocka_run_group_tests("nitroseald_settings", tests, N + 1, NULL, NULL);
}
