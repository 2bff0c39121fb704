/* The grammar, row by row: what is read, with which status, and what stderr is told. The same rows
 * as whole programs are in tests/e2e/test_kmstool.py. */
#include "bin/kmstool/args.h"
#include "bin/kmstool/usage.h"
#include "testing/t.h"

#include <stdio.h>

enum { WORDS_MAX = 16 };

static const struct row {
    const char *name;
    const char *words[WORDS_MAX];
    int status;
    const char *text; /* part of what stderr is told; NULL: nothing at all */
} rows[] = {
    { "nothing", { NULL }, KMSTOOL_USAGE, " Commands: " },
    { "unknown command", { "encrypt" }, KMSTOOL_USAGE, "there is no command encrypt" },
    { "help as a command", { "--help" }, KMSTOOL_USAGE, " Commands: " },
    { "command alone", { "decrypt" }, KMSTOOL_GO, NULL },
    { "help", { "decrypt", "--help" }, KMSTOOL_USAGE, "usage: kmstool_enclave_cli decrypt [opt" },
    { "help by letter", { "genkey", "-h" }, KMSTOOL_USAGE, "usage: kmstool_enclave_cli genkey" },
    { "help after a word", { "genkey", "x", "-h" }, KMSTOOL_GO, "word 2 is not an option" },
    { "decrypt: unknown", { "decrypt", "--nope" }, KMSTOOL_USAGE, "Unknown option: --nope\n" },
    { "decrypt: unknown with =",
      { "decrypt", "--nope=x" },
      KMSTOOL_USAGE,
      "Unknown option: --nope\n" },
    { "decrypt: a flag with =",
      { "decrypt", "--json=x" },
      KMSTOOL_USAGE,
      "Unknown option: --json\n" },
    { "decrypt: another command's",
      { "decrypt", "-l", "5" },
      KMSTOOL_USAGE,
      "Unknown option: -l\n" },
    { "decrypt: no value", { "decrypt", "-c" }, KMSTOOL_USAGE, "Unknown option: -c\n" },
    { "decrypt: two hyphens", { "decrypt", "--" }, KMSTOOL_USAGE, "Unknown option: --\n" },
    { "genkey: unknown", { "genkey", "--nope" }, KMSTOOL_GO, "no option --nope: passed over" },
    { "genkey: no value", { "genkey", "-K" }, KMSTOOL_GO, "-K has no value behind it" },
    { "genkey: ours without value",
      { "genkey", "--grant-token" },
      KMSTOOL_USAGE,
      "Unknown option: --grant-token" },
    { "genrandom: ours of another",
      { "genrandom", "--encryption-context", "a=b" },
      KMSTOOL_USAGE,
      "Unknown option: --encryption-context" },
    { "genkeypair: unknown", { "genkeypair", "--nope" }, KMSTOOL_USAGE, "Unknown option: --nope" },
    { "key spec", { "genkey", "-p", "AES_256" }, KMSTOOL_USAGE, "Unknown key spec: AES_256" },
    { "key spec of a pair", { "genkeypair", "-p", "AES-256" }, KMSTOOL_USAGE, "Unknown key spec" },
    { "context without =",
      { "decrypt", "--encryption-context", "x" },
      KMSTOOL_USAGE,
      "NAME=VALUE" },
    { "context without name",
      { "decrypt", "--encryption-context", "=x" },
      KMSTOOL_USAGE,
      "NAME=VALUE" },
    { "context not UTF-8",
      { "decrypt", "--encryption-context", "a=\xff" },
      KMSTOOL_USAGE,
      "NAME=VALUE" },
    { "context twice",
      { "decrypt", "--encryption-context", "a=1", "--encryption-context", "a=1" },
      KMSTOOL_USAGE,
      "given twice" },
    { "context twice, escaped",
      { "decrypt", "--encryption-context", "a=1", "--encryption-context", "{\"\\u0061\":\"\"}" },
      KMSTOOL_USAGE,
      "given twice" },
    { "context not JSON",
      { "decrypt", "--encryption-context", "{" },
      KMSTOOL_USAGE,
      "not a JSON object of strings" },
    { "context JSON with more",
      { "decrypt", "--encryption-context", "{}x" },
      KMSTOOL_USAGE,
      "not a JSON object of strings" },
    { "context number",
      { "decrypt", "--encryption-context", "{\"a\":1}" },
      KMSTOOL_USAGE,
      "not a JSON object of strings" },
    { "bytes: none", { "genkey", "--number-of-bytes", "0" }, KMSTOOL_USAGE, "from 1 to 1024" },
    { "bytes: 1024", { "genkey", "--number-of-bytes", "1024" }, KMSTOOL_GO, NULL },
    { "bytes: 1025", { "genkey", "--number-of-bytes", "1025" }, KMSTOOL_USAGE, "from 1 to 1024" },
    { "descriptor", { "genkey", "--credentials-fd", "3x" }, KMSTOOL_USAGE, "must be a number" },
    { "CID", { "genkey", "--proxy-cid", "4294967296" }, KMSTOOL_USAGE, "must be a number" },
    { "empty grant token", { "genkey", "--grant-token", "" }, KMSTOOL_USAGE, "--grant-token" },
};

static int parse(const char *const *words, const struct args *base, struct args *a, struct buf *err)
{
    static char copies[WORDS_MAX + 1][256]; /* argv is writable */
    char *argv[WORDS_MAX + 2] = { copies[0] };
    int argc = 1;

    for (; words[argc - 1]; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc - 1]);
        argv[argc] = copies[argc];
    }
    return args_parse(argc, argv, base, a, err);
}

static bool says(const struct buf *err, const char *text)
{
    return err->len > 0 && memmem(err->ptr, err->len, text, strlen(text)) != NULL;
}

static void is_read(void **state)
{
    const struct row *row = *state;
    AUTO(args_clear) struct args a = { .text = BUF_INIT(0) };
    AUTO(buf_clear) struct buf err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES);

    assert_int_equal(parse(row->words, NULL, &a, &err), row->status);
    assert_true(row->text ? says(&err, row->text) : err.len == 0);
}

#define PARSE(...)                                                                                 \
    AUTO(args_clear) struct args a = { .text = BUF_INIT(0) };                                      \
    AUTO(buf_clear) struct buf err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES);                              \
    assert_int_equal(parse((const char *const[WORDS_MAX + 1]){ __VA_ARGS__ }, NULL, &a, &err),     \
                     KMSTOOL_GO)

static void defaults(void **state)
{
    (void)state;
    PARSE("decrypt");
    assert_string_equal(a.region, "us-east-1");
    assert_int_equal(a.proxy_port, 8000);
    assert_int_equal(a.proxy_cid, 3);
    assert_int_equal(a.credentials_fd, -1);
    assert_null(a.access_key_id);
    assert_false(a.json);
}

static void all_of_decrypt(void **state)
{
    (void)state;
    PARSE("decrypt", "-rx", "eu-west-1", "-x", "70000", "-k", "-s", "-s", "S", "-t", "T", "-c", "C",
          "--key-id=K", "-a", "A");
    assert_string_equal(a.region, "eu-west-1");
    assert_int_equal(a.proxy_port, 70000);
    assert_string_equal(a.access_key_id, "-s");
    assert_string_equal(a.secret_access_key, "S");
    assert_string_equal(a.session_token, "T");
    assert_string_equal(a.ciphertext, "C");
    assert_string_equal(a.key_id, "K");
    assert_string_equal(a.encryption_algorithm, "A");
    assert_int_equal(err.len, 0);
}

static void contexts(void **state)
{
    (void)state;
    PARSE("genkey", "--encryption-context", "a=b=c",
          "--encryption-context=d=", "--encryption-context",
          "{\"x\\ny\":\"\\u00e4\",\"z\":\"plain\"}");
    assert_int_equal(a.n_context, 4);
    t_assert_span(a.context[0].name, SPAN_LIT("a"));
    t_assert_span(a.context[0].value, SPAN_LIT("b=c"));
    t_assert_span(a.context[1].name, SPAN_LIT("d"));
    t_assert_span(a.context[1].value, SPAN_EMPTY);
    t_assert_span(a.context[2].name, SPAN_LIT("x\ny"));
    t_assert_span(a.context[2].value, SPAN_LIT("\xc3\xa4"));
    t_assert_span(a.context[3].value, SPAN_LIT("plain"));
}

/* 64 pairs are read, 65 are not. */
static void context_limit(void **state)
{
    (void)state;
    for (int n = KMS_CONTEXT_PAIRS_MAX; n <= KMS_CONTEXT_PAIRS_MAX + 1; n++) {
        AUTO(args_clear) struct args a = { .text = BUF_INIT(0) };
        AUTO(buf_clear) struct buf err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES);
        static char json[4096] = "{";
        char name[] = "x", command[] = "decrypt", option[] = "--encryption-context";
        size_t at = 1;
        for (int i = 0; i < n; i++)
            at += (size_t)snprintf(json + at, sizeof json - at, "%s\"%d\":\"\"", i ? "," : "", i);
        snprintf(json + at, sizeof json - at, "}");
        char *argv[] = { name, command, option, json, NULL };
        assert_int_equal(args_parse(4, argv, NULL, &a, &err),
                         n == KMS_CONTEXT_PAIRS_MAX ? KMSTOOL_GO : KMSTOOL_USAGE);
    }
}

static const struct length_row {
    const char *text;
    int status;
    const char *says;
} lengths[] = {
    { "1", KMSTOOL_GO, NULL },
    { "1024", KMSTOOL_GO, NULL },
    { "16bytes", KMSTOOL_GO, NULL },
    { "0", KMSTOOL_USAGE, "greater than 0" },
    { "x", KMSTOOL_USAGE, "greater than 0" },
    { "", KMSTOOL_USAGE, "greater than 0" },
    { "-1", KMSTOOL_USAGE, "must be set" },
    { "-2", KMSTOOL_USAGE, "smaller or equal to 1024" },
    { "1025", KMSTOOL_USAGE, "smaller or equal to 1024" },
    { "4294967297", KMSTOOL_GO, NULL }, /* 1 in 32 bits */
};

static void lengths_as_ever(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        PARSE("genrandom", "-l", lengths[i].text);
        assert_int_equal(args_check(&a, &err), lengths[i].status);
        assert_true(lengths[i].says ? says(&err, lengths[i].says) : err.len == 0);
    }
}

static void must_haves(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *says; /* NULL: all there */
    } cases[] = {
        { { "decrypt" }, "--ciphertext must be set" },
        { { "decrypt", "-c", "x" }, NULL },
        { { "genkey" }, "--key-id must be set" },
        { { "genkey", "-p", "AES-128" }, "--key-id must be set" },
        { { "genkey", "-K", "x" }, "--key-spec must be set" },
        { { "genkey", "-K", "x", "-p", "AES-128" }, NULL },
        { { "genkey", "-K", "x", "--number-of-bytes", "5" }, NULL },
        { { "genkey", "-K", "x", "-p", "AES-128", "--number-of-bytes", "5" },
          "exclude each other" },
        { { "genrandom" }, "--length must be set" },
        { { "genkeypair", "-K", "x" }, "--key-spec must be set" },
        { { "genkeypair", "-K", "x", "-p", "ECC-NIST-P256" }, NULL },
        { { "genkeypair", "-K", "x", "-p", "ECC_NIST_P256" }, NULL },
        { { "derive", "-K", "x" }, "--public-key must be set" },
        { { "derive", "--public-key", "x" }, "--key-id must be set" },
        { { "serve" }, "--socket must be set" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        AUTO(args_clear) struct args a = { .text = BUF_INIT(0) };
        AUTO(buf_clear) struct buf err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES);
        assert_int_equal(parse(cases[i].words, NULL, &a, &err), KMSTOOL_GO);
        assert_int_equal(args_check(&a, &err), cases[i].says ? KMSTOOL_USAGE : KMSTOOL_GO);
        assert_true(cases[i].says ? says(&err, cases[i].says) : err.len == 0);
    }
}

/* A helper's settings stand behind what the command line does not say. */
static void with_a_base(void **state)
{
    (void)state;
    static const struct args base = { .region = "eu-central-1",
                                      .proxy_port = 9000,
                                      .proxy_cid = 5 };
    const char *const words[] = { "genrandom", "-l", "3", "--proxy-cid", "6", NULL };
    AUTO(args_clear) struct args a = { .text = BUF_INIT(0) };
    AUTO(buf_clear) struct buf err = BUF_INIT(KMSTOOL_ERR_MAX_BYTES);

    assert_int_equal(parse(words, &base, &a, &err), KMSTOOL_GO);
    assert_string_equal(a.region, "eu-central-1");
    assert_int_equal(a.proxy_port, 9000);
    assert_int_equal(a.proxy_cid, 6);
    assert_int_equal(a.length, 3);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0], OTHERS = 7 };
    static struct CMUnitTest tests[N + OTHERS];
    const struct CMUnitTest others[OTHERS] = {
        cmocka_unit_test(defaults),        cmocka_unit_test(all_of_decrypt),
        cmocka_unit_test(contexts),        cmocka_unit_test(context_limit),
        cmocka_unit_test(lengths_as_ever), cmocka_unit_test(must_haves),
        cmocka_unit_test(with_a_base),
    };

    T_ROWS(tests, rows, is_read);
    memcpy(tests + N, others, sizeof others);
    return _cmocka_run_group_tests("kmstool_args", tests, N + OTHERS, NULL, NULL);
}
