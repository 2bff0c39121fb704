#include "bin/kmstool/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "bin/kmstool/usage.h"
#include "io/addr.h"

enum { LINE_MAX_BYTES = 2048, LENGTH_MAX = 1024 };

void err_line(struct buf *err, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    /* Without room the first lines are the ones that matter. */
    enum err r = buf_printf(err, "kmstool_enclave_cli: %s\n", line);
    (void)r;
}

/* As C's atoi() on glibc: leading digits count, and nothing at all is 0. */
static uint32_t lenient_number(const char *text)
{
    return (uint32_t)(unsigned long)strtol(text, NULL, 10);
}

static int strict_number(const struct option *o, const char *text, uint64_t min, uint64_t max,
                         uint64_t *out, struct buf *err)
{
    uint64_t v;

    if (span_to_u64(span_str(text), max, &v) == ERR_OK && v >= min) {
        *out = v;
        return KMSTOOL_GO;
    }
    err_line(err, "--%s must be a number from %llu to %llu", o->name, (unsigned long long)min,
             (unsigned long long)max);
    return KMSTOOL_USAGE;
}

static int unknown_key_spec(const struct args *a, const char *value, struct buf *err)
{
    err_line(err, "Unknown key spec: %.64s", value);
    usage_write(a->command, err);
    return KMSTOOL_USAGE;
}

static int take_key_spec(struct args *a, const char *value, struct buf *err)
{
    static const struct {
        enum kmstool_command command;
        const char *name, *kms;
    } specs[] = {
        { KMSTOOL_GENKEY, "AES-256", "AES_256" },
        { KMSTOOL_GENKEY, "AES-128", "AES_128" },
        { KMSTOOL_GENKEYPAIR, "RSA-2048", "RSA_2048" },
        { KMSTOOL_GENKEYPAIR, "RSA-3072", "RSA_3072" },
        { KMSTOOL_GENKEYPAIR, "RSA-4096", "RSA_4096" },
        { KMSTOOL_GENKEYPAIR, "ECC-NIST-P256", "ECC_NIST_P256" },
        { KMSTOOL_GENKEYPAIR, "ECC-NIST-P384", "ECC_NIST_P384" },
        { KMSTOOL_GENKEYPAIR, "ECC-NIST-P521", "ECC_NIST_P521" },
        { KMSTOOL_GENKEYPAIR, "ECC-SECG-P256K1", "ECC_SECG_P256K1" },
        { KMSTOOL_GENKEYPAIR, "ECC-NIST-EDWARDS25519", "ECC_NIST_EDWARDS25519" },
        { KMSTOOL_GENKEYPAIR, "SM2", "SM2" },
    };

    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        if (specs[i].command != a->command)
            continue;
        /* KMS's own spelling only where AWS's tool has no say. */
        bool is_kms_word = a->command != KMSTOOL_GENKEY && strcmp(value, specs[i].kms) == 0;
        if (is_kms_word || strcmp(value, specs[i].name) == 0) {
            a->key_spec = specs[i].kms;
            return KMSTOOL_GO;
        }
    }
    return unknown_key_spec(a, value, err);
}

static int add_pair(struct args *a, struct span name, struct span value, struct buf *err)
{
    for (size_t i = 0; i < a->n_context; i++)
        if (span_eq(a->context[i].name, name)) {
            err_line(err, "--encryption-context: a name is given twice");
            return KMSTOOL_USAGE;
        }
    if (a->n_context == KMS_CONTEXT_PAIRS_MAX) {
        err_line(err, "--encryption-context: more than %d pairs", KMS_CONTEXT_PAIRS_MAX);
        return KMSTOOL_USAGE;
    }
    a->context[a->n_context++] = (struct kms_context_pair){ name, value };
    return KMSTOOL_GO;
}

static int take_context_json(struct args *a, struct span json, struct buf *err)
{
    struct json_in j = json_in_init(json);
    struct json_str name;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        struct json_str value = json_in_string(&j);
        struct span n, v;
        if (j.err != ERR_OK)
            break;
        if (json_str_view(name, &a->text, &n) != ERR_OK ||
            json_str_view(value, &a->text, &v) != ERR_OK)
            json_in_fail(&j, ERR_LIMIT, "too long");
        else if (add_pair(a, n, v, err) != KMSTOOL_GO)
            return KMSTOOL_USAGE;
    }
    if (json_in_end(&j) == ERR_OK)
        return KMSTOOL_GO;
    err_line(err, "--encryption-context: not a JSON object of strings (%s at byte %zu)", j.what,
             j.pos);
    return KMSTOOL_USAGE;
}

static int take_context(struct args *a, const char *value, struct buf *err)
{
    struct span rest = span_str(value);

    if (value[0] == '{')
        return take_context_json(a, rest, err);
    size_t at = span_find(rest, '=');
    if (at == rest.len || at == 0 || !span_is_utf8(rest)) {
        err_line(err, "--encryption-context must be NAME=VALUE or a JSON object, in UTF-8");
        return KMSTOOL_USAGE;
    }
    return add_pair(a, span_sub(rest, 0, at), span_from(rest, at + 1), err);
}

static int take_grant_token(struct args *a, const char *value, struct buf *err)
{
    if (a->n_grant_tokens == KMS_GRANT_TOKENS_MAX || value[0] == '\0') {
        err_line(err, "--grant-token: one to %d, none empty", KMS_GRANT_TOKENS_MAX);
        return KMSTOOL_USAGE;
    }
    a->grant_tokens[a->n_grant_tokens++] = span_str(value);
    return KMSTOOL_GO;
}

static int take_number(struct args *a, enum option_id id, const char *value, struct buf *err)
{
    const struct option *o = option_at_id(id);
    uint64_t v = 0;
    int status;

    if (id == OPT_NUMBER_OF_BYTES) {
        status = strict_number(o, value, 1, KMS_RANDOM_MAX, &v, err);
        a->number_of_bytes = (uint32_t)v;
        return status;
    }
    if (id == OPT_CREDENTIALS_FD) {
        status = strict_number(o, value, 0, INT32_MAX, &v, err);
        a->credentials_fd = (int64_t)v;
        return status;
    }
    status = strict_number(o, value, 0, UINT32_MAX, &v, err);
    a->proxy_cid = (uint32_t)v;
    return status;
}

/* A known option of this command. */
static int take(struct args *a, enum option_id id, char *value, struct buf *err)
{
    switch (id) {
    case OPT_REGION:
        a->region = value;
        return KMSTOOL_GO;
    case OPT_PROXY_PORT:
        a->proxy_port = lenient_number(value);
        return KMSTOOL_GO;
    case OPT_ACCESS_KEY_ID:
        a->access_key_id = value;
        return KMSTOOL_GO;
    case OPT_SECRET_ACCESS_KEY:
        a->secret_access_key = value;
        return KMSTOOL_GO;
    case OPT_SESSION_TOKEN:
        a->session_token = value;
        return KMSTOOL_GO;
    case OPT_CIPHERTEXT:
        a->ciphertext = value;
        return KMSTOOL_GO;
    case OPT_KEY_ID:
        a->key_id = value;
        return KMSTOOL_GO;
    case OPT_ENCRYPTION_ALGORITHM:
        a->encryption_algorithm = value;
        return KMSTOOL_GO;
    case OPT_KEY_SPEC:
        return take_key_spec(a, value, err);
    case OPT_LENGTH: /* -1 is what AWS's tool has for none */
        a->length = lenient_number(value) == UINT32_MAX ? KMSTOOL_LENGTH_UNSET
                                                        : (int64_t)lenient_number(value);
        return KMSTOOL_GO;
    case OPT_HELP:
        usage_write(a->command, err);
        return KMSTOOL_USAGE;
    case OPT_ENCRYPTION_CONTEXT:
        return take_context(a, value, err);
    case OPT_GRANT_TOKEN:
        return take_grant_token(a, value, err);
    case OPT_NUMBER_OF_BYTES:
    case OPT_CREDENTIALS_FD:
    case OPT_PROXY_CID:
        return take_number(a, id, value, err);
    case OPT_PUBLIC_KEY:
        a->public_key = value;
        return KMSTOOL_GO;
    case OPT_ENDPOINT:
        a->endpoint = value;
        return KMSTOOL_GO;
    case OPT_CA_FILE:
        a->ca_file = value;
        return KMSTOOL_GO;
    case OPT_NSM:
        a->nsm = value;
        return KMSTOOL_GO;
    case OPT_VSOCK:
        a->vsock = value;
        return KMSTOOL_GO;
    case OPT_SOCKET:
        a->socket = value;
        return KMSTOOL_GO;
    case OPT_JSON:
        a->json = true;
        return KMSTOOL_GO;
    }
    return KMSTOOL_USAGE;
}

/* AWS's `decrypt` refuses what it does not know, `genkey` and `genrandom` pass over it; ours
 * refuse. `name`: without a value behind it. */
static int unknown(const struct args *a, int id, struct span name, struct buf *err)
{
    bool is_lenient = a->command == KMSTOOL_GENKEY || a->command == KMSTOOL_GENRANDOM;
    bool is_ours = id >= OPT_ENCRYPTION_CONTEXT;

    if (is_lenient && !is_ours) {
        err_line(err, "note: %s has no option %.*s: passed over", command_name(a->command),
                 (int)name.len, (const char *)name.ptr);
        return KMSTOOL_GO;
    }
    err_line(err, "Unknown option: %.*s", (int)name.len, (const char *)name.ptr);
    usage_write(a->command, err);
    return KMSTOOL_USAGE;
}

/* One option and its value from argv[*i] on. */
static int option_next(int argc, char **argv, int *i, struct args *a, struct buf *err)
{
    char *word = argv[(*i)++], *value = NULL;
    struct span name = span_str(word);
    bool is_long = word[1] == '-';
    int id = is_long ? option_by_name(span_from(name, 2)) : option_by_letter(word[1]);

    if (is_long && id < 0 && strchr(word, '=')) {
        name = span_sub(name, 0, span_find(name, '='));
        id = option_by_name(span_from(name, 2));
        if (id >= 0 && option_at_id((enum option_id)id)->arg)
            value = strchr(word, '=') + 1;
        else
            id = -1;
    }
    if (!is_long)
        name = span_sub(name, 0, 2);
    if (id < 0)
        return unknown(a, id, name, err);
    if (!value && option_at_id((enum option_id)id)->arg) {
        if (*i >= argc) {
            err_line(err, "note: %.*s has no value behind it", (int)name.len,
                     (const char *)name.ptr);
            return unknown(a, id < OPT_ENCRYPTION_CONTEXT ? -1 : id, name, err);
        }
        value = argv[(*i)++];
    }
    if (!option_belongs(option_at_id((enum option_id)id), a->command))
        return unknown(a, id, name, err);
    return take(a, (enum option_id)id, value, err);
}

int args_parse(int argc, char **argv, const struct args *base, struct args *out, struct buf *err)
{
    size_t bytes = 0;
    uint8_t *room;

    *out = base ? *base
                : (struct args){ .region = KMSTOOL_REGION_DEFAULT,
                                 .proxy_port = KMSTOOL_PORT_DEFAULT,
                                 .proxy_cid = CID_PARENT };
    out->credentials_fd = -1;
    out->length = KMSTOOL_LENGTH_UNSET;
    out->text = BUF_INIT(0);
    out->command = argc > 1 ? command_by_name(argv[1]) : KMSTOOL_COMMANDS;
    if (out->command == KMSTOOL_COMMANDS) {
        if (argc > 1 && argv[1][0] != '-')
            err_line(err, "there is no command %.64s", argv[1]);
        usage_write_commands(err);
        return KMSTOOL_USAGE;
    }
    for (int i = 2; i < argc; i++)
        bytes += strlen(argv[i]);
    out->text = BUF_INIT(bytes);
    if (buf_reserve(&out->text, bytes, &room) != ERR_OK) {
        err_line(err, "out of memory");
        return KMSTOOL_FAILED;
    }
    for (int i = 2; i < argc;) {
        if (argv[i][0] != '-') {
            err_line(err, "note: word %d is not an option: it and what follows is passed over", i);
            return KMSTOOL_GO;
        }
        int status = option_next(argc, argv, &i, out, err);
        if (status != KMSTOOL_GO)
            return status;
    }
    return KMSTOOL_GO;
}

void args_clear(struct args *a)
{
    buf_clear(&a->text);
}

static int must_be_set(const char *name, struct buf *err)
{
    err_line(err, "--%s must be set", name);
    return KMSTOOL_USAGE;
}

static int check_genkey(const struct args *a, struct buf *err)
{
    if (!a->key_id)
        return must_be_set("key-id", err);
    if (!a->key_spec && a->number_of_bytes == 0)
        return must_be_set("key-spec", err);
    if (!a->key_spec || a->number_of_bytes == 0)
        return KMSTOOL_GO;
    err_line(err, "--key-spec and --number-of-bytes exclude each other");
    return KMSTOOL_USAGE;
}

static int check_genrandom(const struct args *a, struct buf *err)
{
    if (a->length == KMSTOOL_LENGTH_UNSET)
        return must_be_set("length", err);
    if (a->length == 0) {
        err_line(err, "--length must be greater than 0");
        return KMSTOOL_USAGE;
    }
    if (a->length <= LENGTH_MAX)
        return KMSTOOL_GO;
    err_line(err, "--length must be smaller or equal to %d", LENGTH_MAX);
    return KMSTOOL_USAGE;
}

int args_check(const struct args *a, struct buf *err)
{
    switch (a->command) {
    case KMSTOOL_DECRYPT:
        return a->ciphertext ? KMSTOOL_GO : must_be_set("ciphertext", err);
    case KMSTOOL_GENKEY:
        return check_genkey(a, err);
    case KMSTOOL_GENRANDOM:
        return check_genrandom(a, err);
    case KMSTOOL_GENKEYPAIR:
        if (!a->key_id)
            return must_be_set("key-id", err);
        return a->key_spec ? KMSTOOL_GO : must_be_set("key-spec", err);
    case KMSTOOL_DERIVE:
        if (!a->key_id)
            return must_be_set("key-id", err);
        return a->public_key ? KMSTOOL_GO : must_be_set("public-key", err);
    case KMSTOOL_SERVE:
        return a->socket ? KMSTOOL_GO : must_be_set("socket", err);
    case KMSTOOL_COMMANDS:
        break;
    }
    return KMSTOOL_USAGE;
}
