/* cli.h - what the subcommands share: the enclave's address, credentials, one question and answer.
 */
#ifndef BIN_NITROSEAL_CLI_H
#define BIN_NITROSEAL_CLI_H

#include <nitroseal.h>

#include "base/secret.h"
#include "bin/nitroseal/fault.h"
#include "io/addr.h"
#include "proto/proto.h"

#define CLI_ENCLAVE_OPTIONS                                                                        \
    { "cid", 0, "CID", "NITROSEAL_CID", "16", "Context id of the enclave." },                      \
        { "port", 0, "PORT", "VSOCK_PORT", "5000", "Port of its service." },                       \
        { "vsock", 0, "HOW", "NITROSEAL_VSOCK", "kernel", "kernel, or unix:DIR." },                \
        { "timeout", 0, "SECONDS", NULL, "30", "Give up after this time." },                       \
    {                                                                                              \
        "json", 0, NULL, NULL, NULL, "Print JSON, also for a failure."                             \
    }

#define CLI_PROFILE_OPTION                                                                         \
    {                                                                                              \
        "profile", 0, "NAME", "AWS_PROFILE", NULL,                                                 \
            "Profile of the shared credentials files. Given as an option, it goes before the "     \
            "environment's credentials."                                                           \
    }

/* Append the decoded member in the same way; nothing if it is absent. */
void cli_append_member(struct buf *out, struct json_str s);
/* A member of an answer as one of an object of ours; left out if it is absent. */
void cli_json_member(struct json_out *w, const char *name, struct json_str value);
struct cli_enclave {
    struct addr at;
    uint64_t deadline_ns;
    bool json;
};
/* From the options of CLI_ENCLAVE_OPTIONS. CLI_OK, or CLI_USAGE after a line on stderr. */
MUST_USE int cli_enclave_read(const struct options *o, struct cli_enclave *out);

struct cli_credentials {
    struct secret secret_access_key, session_token;
    struct buf access_key_id;
    int64_t expires_s; /* unix; 0: not known, or never */
};
void cli_credentials_clear(struct cli_credentials *c);
/* Environment, shared files, credential_process, container endpoint, IMDSv2 (credentials reference
 * section 1); may start a process and wait for a network. `profile`: NULL for
 * AWS_PROFILE or "default"; `chosen`: it was named on the command line, so the environment's
 * credentials do not count. CLI_OK or CLI_SETTINGS. */
MUST_USE int cli_credentials_find(const char *profile, bool chosen, struct cli_credentials *out,
                                  struct cli_fault *f);
struct proto_credentials cli_credentials_view(const struct cli_credentials *c);

struct cli_exchange {
    struct buf bytes; /* of the seed protocol; or what libnitroseal gave */
    struct nitroseal_message message;
    struct nitroseal_bytes text;
    struct nitroseal_error *error;
    struct proto_answer answer; /* views of these */
};
#define CLI_EXCHANGE_INIT ((struct cli_exchange){ .bytes = BUF_INIT(CLI_MESSAGE_MAX_BYTES) })
enum { CLI_MESSAGE_MAX_BYTES = 256 << 20 }; /* the service's own limit comes first */
void cli_exchange_clear(struct cli_exchange *x);

/* By the seed protocol: connect, send, read to the end of file, parse. CLI_OK: an answer without
 * `error`. Else the fault is set: CLI_UNREACHABLE, CLI_REFUSED, CLI_UNVERIFIED, CLI_FAILED. */
MUST_USE int cli_ask(const struct cli_enclave *e, enum proto_op op, struct span request,
                     struct cli_exchange *x, struct cli_fault *f);

/* Nobody there, or no answer in time. `why` may be NULL. CLI_UNREACHABLE. */
int cli_unreachable(const struct cli_enclave *e, enum err r, const struct why *why,
                    struct cli_fault *f);
/* What an answer with `error`, or a problem document, stands for: by its code. */
int cli_status_of(const struct proto_answer *a);
/* The fault out of such an answer: one line, and the object. Returns its status. */
int cli_refused(const struct proto_answer *a, struct cli_fault *f);

/* The subcommands. */
int cmd_encrypt(int argc, char **argv);
int cmd_decrypt(int argc, char **argv);
int cmd_attest(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_gateway(int argc, char **argv);
int cmd_local(int argc, char **argv);
int cmd_kms_client(int argc, char **argv);

#endif
