#include "bin/kmstool/usage.h"

#define BIT(command) (1u << (command))
#define ALL          (BIT(KMSTOOL_COMMANDS) - 1)
#define CALLS        (ALL & ~BIT(KMSTOOL_SERVE))
#define KEYS         (CALLS & ~BIT(KMSTOOL_GENRANDOM))

static const struct option table[] = {
    [OPT_REGION] = { "region", 'r', "REGION", ALL, "AWS region of KMS. Default: us-east-1." },
    [OPT_PROXY_PORT] = { "proxy-port", 'x', "PORT", ALL,
                         "vsock port of the relay to KMS. Default: 8000." },
    [OPT_ACCESS_KEY_ID] = { "aws-access-key-id", 'k', "ID", CALLS, "AWS access key id." },
    [OPT_SECRET_ACCESS_KEY] = { "aws-secret-access-key", 's', "SECRET", CALLS,
                                "AWS secret access key." },
    [OPT_SESSION_TOKEN] = { "aws-session-token", 't', "TOKEN", CALLS,
                            "AWS session token; long-term keys have none." },
    [OPT_CIPHERTEXT] = { "ciphertext", 'c', "BASE64", BIT(KMSTOOL_DECRYPT),
                         "What is to be decrypted." },
    [OPT_KEY_ID] = { "key-id", 'K', "KEY", KEYS,
                     "Key id, ARN or alias; decrypt: only together with --encryption-algorithm." },
    [OPT_ENCRYPTION_ALGORITHM] = { "encryption-algorithm", 'a', "NAME", BIT(KMSTOOL_DECRYPT),
                                   "SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1 or RSAES_OAEP_SHA_256." },
    [OPT_KEY_SPEC] = { "key-spec", 'p', "SPEC", BIT(KMSTOOL_GENKEY) | BIT(KMSTOOL_GENKEYPAIR),
                       "genkey: AES-256 or AES-128; genkeypair: RSA_2048, RSA_3072, RSA_4096, "
                       "ECC_NIST_P256,\n        ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, "
                       "ECC_NIST_EDWARDS25519 or SM2." },
    [OPT_LENGTH] = { "length", 'l', "BYTES", BIT(KMSTOOL_GENRANDOM), "1 to 1024." },
    [OPT_HELP] = { "help", 'h', NULL, ALL, "This text; status 1." },
    [OPT_ENCRYPTION_CONTEXT] = { "encryption-context", 0, "NAME=VALUE",
                                 BIT(KMSTOOL_DECRYPT) | BIT(KMSTOOL_GENKEY) |
                                     BIT(KMSTOOL_GENKEYPAIR),
                                 "One pair of the encryption context, or all as a JSON object; "
                                 "repeatable." },
    [OPT_GRANT_TOKEN] = { "grant-token", 0, "TOKEN", KEYS, "Repeatable, up to 10." },
    [OPT_NUMBER_OF_BYTES] = { "number-of-bytes", 0, "BYTES", BIT(KMSTOOL_GENKEY),
                              "1 to 1024, instead of --key-spec." },
    [OPT_PUBLIC_KEY] = { "public-key", 0, "BASE64", BIT(KMSTOOL_DERIVE),
                         "The peer's public key: SubjectPublicKeyInfo in DER." },
    [OPT_CREDENTIALS_FD] = { "credentials-fd", 0, "N", CALLS,
                             "Read credentials from descriptor N: a JSON object with "
                             "access_key_id,\n        secret_access_key and session_token." },
    [OPT_PROXY_CID] = { "proxy-cid", 0, "CID", ALL, "CID of the relay to KMS. Default: 3." },
    [OPT_ENDPOINT] = { "endpoint", 0, "URL", ALL,
                       "https://NAME[:PORT] that KMS goes by, instead of the region's; the way "
                       "there is always the relay." },
    [OPT_CA_FILE] = { "ca-file", 0, "FILE", ALL,
                      "CA certificates (PEM). Default: the distribution's bundle." },
    [OPT_NSM] = { "nsm", 0, "PATH", ALL, "The NSM: a device, or unix:PATH. Default: /dev/nsm." },
    [OPT_VSOCK] = { "vsock", 0, "HOW", ALL, "kernel, or unix:DIR for Unix sockets." },
    [OPT_SOCKET] = { "socket", 0, "PATH", BIT(KMSTOOL_SERVE), "Unix socket to listen on." },
    [OPT_JSON] = { "json", 0, NULL, CALLS, "The result as one JSON object." },
};
enum { N_OPTIONS = sizeof table / sizeof table[0] };

static const struct {
    const char *name, *help;
} commands[KMSTOOL_COMMANDS] = {
    [KMSTOOL_DECRYPT] = { "decrypt", "Decrypt a ciphertext." },
    [KMSTOOL_GENKEY] = { "genkey", "Generate a data key." },
    [KMSTOOL_GENRANDOM] = { "genrandom", "Generate random bytes." },
    [KMSTOOL_GENKEYPAIR] = { "genkeypair", "Generate a data key pair." },
    [KMSTOOL_DERIVE] = { "derive", "Derive a shared secret (ECDH)." },
    [KMSTOOL_SERVE] = { "serve",
                        "Keep key, document and connection ready for the other commands." },
};

int option_by_name(struct span name)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (span_is(name, table[i].name))
            return i;
    return -1;
}

int option_by_letter(char letter)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (letter && table[i].letter == letter)
            return i;
    return -1;
}

const struct option *option_at_id(enum option_id id)
{
    return &table[id];
}

enum kmstool_command command_by_name(const char *name)
{
    int c = 0;

    while (c < KMSTOOL_COMMANDS && strcmp(commands[c].name, name) != 0)
        c++;
    return (enum kmstool_command)c;
}

const char *command_name(enum kmstool_command c)
{
    return commands[c].name;
}

void usage_write(enum kmstool_command c, struct buf *err)
{
    enum err r = buf_printf(err, "usage: kmstool_enclave_cli %s [options]\n%s\n\n Options: \n\n",
                            commands[c].name, commands[c].help);

    for (int i = 0; i < N_OPTIONS && r == ERR_OK; i++) {
        const struct option *o = &table[i];
        if (!option_belongs(o, c))
            continue;
        r = o->letter ? buf_printf(err, "    -%c, --%s", o->letter, o->name)
                      : buf_printf(err, "        --%s", o->name);
        if (r == ERR_OK)
            r = buf_printf(err, "%s%s\n        %s\n", o->arg ? " " : "", o->arg ? o->arg : "",
                           o->help);
    }
    if (r == ERR_OK && c != KMSTOOL_SERVE)
        r = buf_append_str(err,
                           "\nCredentials may also come from AWS_ACCESS_KEY_ID, "
                           "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.\nWith KMSTOOL_SOCKET set "
                           "to the socket of `serve`, that process does the work.\n");
    (void)r;
}

void usage_write_commands(struct buf *err)
{
    enum err r = buf_append_str(err, "usage: kmstool_enclave_cli [command]\n\n Commands: \n\n");

    for (int c = 0; c < KMSTOOL_COMMANDS && r == ERR_OK; c++)
        r = buf_printf(err, "    %-12s %s\n", commands[c].name, commands[c].help);
    if (r == ERR_OK)
        r = buf_append_str(err, "\n`kmstool_enclave_cli COMMAND --help` lists the options of one. "
                                "Version " NITROSEAL_VERSION ".\n");
    (void)r;
}
