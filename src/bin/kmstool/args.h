/* args.h - the command line of kmstool_enclave_cli.
 *
 * The grammar is AWS's (kmstool reference sections 2 and 3), oddities included, because scripts
 * depend on them: COMMAND is always the first word; a long name must match exactly, a short option
 * is its first letter, and both take the next word whatever it looks like; a word that is not an
 * option ends the parsing without a fault; the last of repeated options wins; `genkey` and
 * `genrandom` pass over what they do not know. Ours besides: --name=value, the options from
 * --encryption-context on, `genkeypair`, `derive` and `serve`. Texts never show a value: a mistyped
 * name may stand before a secret.
 */
#ifndef BIN_KMSTOOL_ARGS_H
#define BIN_KMSTOOL_ARGS_H

#include "base/buf.h"
#include "kms/kms.h"

enum kmstool_command {
    KMSTOOL_DECRYPT,
    KMSTOOL_GENKEY,
    KMSTOOL_GENRANDOM,
    KMSTOOL_GENKEYPAIR,
    KMSTOOL_DERIVE,
    KMSTOOL_SERVE,
    KMSTOOL_COMMANDS,
};

enum { /* exit statuses, kmstool section 5 */
       KMSTOOL_OK = 0,
       KMSTOOL_USAGE = 1,
       KMSTOOL_FAILED = 255,
       KMSTOOL_GO = -1, /* none yet */
};

enum {
    KMSTOOL_ERR_MAX_BYTES = 65536, /* of a text for stderr */
    KMSTOOL_LENGTH_UNSET = -1,
};
#define KMSTOOL_PORT_DEFAULT   8000
#define KMSTOOL_REGION_DEFAULT "us-east-1"

struct args { /* strings are the caller's argv, spans point there or into `text` */
    enum kmstool_command command;
    const char *region;
    uint32_t proxy_port, proxy_cid;
    char *access_key_id, *secret_access_key, *session_token; /* to be overwritten */
    int64_t credentials_fd;                                  /* -1: none */
    const char *ciphertext, *key_id, *encryption_algorithm, *public_key;
    const char *key_spec; /* in KMS's spelling: AES_256 */
    int64_t length;       /* of genrandom, as AWS's tool would have read it: 32 bits, unsigned */
    uint32_t number_of_bytes;
    const char *endpoint, *ca_file, *nsm, *vsock, *socket;
    bool json;
    struct kms_context_pair context[KMS_CONTEXT_PAIRS_MAX];
    size_t n_context;
    struct span grant_tokens[KMS_GRANT_TOKENS_MAX];
    size_t n_grant_tokens;
    struct buf text; /* what was decoded from JSON; does not move */
};

/* Read argv (argv[0] is passed over) into *out, which begins as `base` or, if that is NULL, with
 * the defaults. KMSTOOL_GO: carry on. KMSTOOL_USAGE: `err` says why. `err` may hold notes in both
 * cases. Release with args_clear() always. */
MUST_USE int args_parse(int argc, char **argv, const struct args *base, struct args *out,
                        struct buf *err);
void args_clear(struct args *a);
/* What the command must have besides credentials. KMSTOOL_GO or KMSTOOL_USAGE. */
MUST_USE int args_check(const struct args *a, struct buf *err);

/* Append a line for stderr, with the program's name before it. */
void err_line(struct buf *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
