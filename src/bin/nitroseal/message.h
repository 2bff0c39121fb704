/* message.h - encrypt, decrypt, rewrap of messages of the AWS Encryption SDK: one, or the files of
 * a folder. */
#ifndef BIN_NITROSEAL_MESSAGE_H
#define BIN_NITROSEAL_MESSAGE_H

#include "bin/nitroseal/cli.h"
#include "bin/nitroseal/keeper.h"
#include "bin/nitroseal/transfer.h"
#include "bin/nitroseal/triple.h"

/* In the tables of encrypt, decrypt and rewrap. */
#define CLI_MESSAGE_OPTIONS                                                                         \
    { "input", 'i', "FILE", NULL, NULL, "Read this file or folder; - is standard input." },         \
        { "output", 'o',                                                                            \
          "FILE",   NULL,                                                                           \
          NULL,     "Write this file, whole or not at all, or a folder's; - is standard output." }, \
        { "no-credentials",                                                                         \
          0,                                                                                        \
          NULL,                                                                                     \
          NULL,                                                                                     \
          NULL,                                                                                     \
          "Of a message: send no credentials; the service holds some." },                           \
        { "gateway",                                                                                \
          0,                                                                                        \
          "WHERE",                                                                                  \
          NULL,                                                                                     \
          NULL,                                                                                     \
          "Of a message: unix:PATH or HOST:PORT instead of the enclave. No credentials are sent "   \
          "there." },                                                                               \
    {                                                                                               \
        "quiet", 'q', NULL, NULL, NULL, "No progress, no summary."                                  \
    }
#define CLI_ARMOR_OPTION                                                                           \
    {                                                                                              \
        "armor", 'a', NULL, NULL, NULL, "Write the message as text: base64 between two lines."     \
    }
#define CLI_SEAL_OPTIONS                                                                           \
    { "encryption-context",                                                                        \
      0,                                                                                           \
      "NAME=VALUE",                                                                                \
      NULL,                                                                                        \
      NULL,                                                                                        \
      "Bind this to the message, readable by anybody; repeatable." },                              \
        { "suite", 0, "0x0478|0x0578", NULL, NULL, "0x0578 is signed besides." },                  \
        { "frame-length", 0, "BYTES", NULL, NULL, "1 to 1048576; 65536 without." },                \
    {                                                                                              \
        "key-id", 0, "ARN", NULL, NULL, "Seal under this key of the service's list."               \
    }
#define CLI_REQUIRE_OPTION                                                                         \
    {                                                                                              \
        "require-context", 0, "NAME=VALUE", NULL, NULL,                                            \
            "Open only a message to which this is bound; repeatable."                              \
    }

enum { MESSAGE_JOBS_MAX = 64 };
#define MESSAGE_SUFFIX ".encrypted" /* as AWS's own command line has it */

struct message_run {
    const struct options *o;
    struct cli_enclave enclave; /* or the gateway */
    long timeout_ms;
    enum message_op op;
    struct nitroseal_stream stream; /* what is asked of each message */
    struct nitroseal_pair context[NITROSEAL_PAIRS_MAX], required[NITROSEAL_PAIRS_MAX];
    struct buf names; /* of the pairs */
    bool armor, quiet, has_keeper;
    struct keeper keeper;
    pthread_mutex_t lock; /* of the next */
    uint64_t held;        /* generation of credentials that the service has; 0: none of ours */
    struct progress progress;
};

/* From the options of the tables above. CLI_OK, CLI_USAGE, CLI_FAILED. */
MUST_USE int message_run_new(const struct options *o, const struct cli_enclave *e,
                             enum message_op op, struct message_run **out, struct cli_fault *f);
void message_run_free(struct message_run **run); /* NULL in it is fine */
/* Finds credentials, unless none are to be sent, and catches interruptions. CLI_OK, CLI_SETTINGS.
 */
MUST_USE int message_run_start(struct message_run *run, struct cli_fault *f);

struct message_report {
    uint64_t bytes_in, bytes_out;
    struct buf suite, key_id, request_id; /* texts of the service */
};
enum { MESSAGE_TEXT_MAX_BYTES = 2048 };
#define MESSAGE_REPORT_INIT                                                                        \
    ((struct message_report){ .suite = BUF_INIT(MESSAGE_TEXT_MAX_BYTES),                           \
                              .key_id = BUF_INIT(MESSAGE_TEXT_MAX_BYTES),                          \
                              .request_id = BUF_INIT(MESSAGE_TEXT_MAX_BYTES) })
void message_report_clear(struct message_report *r);
/* Append the members of a report to an object. */
void message_report_put(const struct message_report *r, struct json_out *w);
/* A file's name as JSON can hold it. */
void message_name_put(struct json_out *w, const char *key, const char *name);

/* One message from an open input (looked at already, if it is to be opened) to `path`. Credentials
 * are brought where they have to be. */
MUST_USE int message_one(struct message_run *run, struct input *in, bool armored, const char *path,
                         struct message_report *report, struct cli_fault *f);
/* Of what is to be opened: is it armored? CLI_FILE: no message. *is_text: it may be a seed message.
 */
MUST_USE int message_look(struct input *in, bool *armored, bool *is_text, struct cli_fault *f);
/* Of what is text: the seed message in it, views of `text` and `scratch`. CLI_OK, CLI_FILE. */
MUST_USE int message_seed_read(struct input *in, struct buf *text, struct buf *scratch,
                               struct triple *out, struct cli_fault *f);

/* One whole command on its input: with progress, and a report with --json. */
MUST_USE int message_single(struct message_run *run, struct input *in, bool armored,
                            struct cli_fault *f);
bool message_is_folder(const char *path);
/* All files of a folder into another. CLI_OK: all. Else the status that all failed ones share, or
 * CLI_FAILED. */
MUST_USE int message_folder(struct message_run *run, const char *from, const char *to,
                            struct cli_fault *f);

/* One of the options that only messages have, or -i or -o. */
bool message_is_asked_for(const struct options *o);
/* The fault on its way out, if there is one. Returns the status. */
int message_exit(const struct options *o, int status, struct cli_fault *f);

int cmd_inspect(int argc, char **argv);
int cmd_rewrap(int argc, char **argv);

#endif
