/* policy_cmd.h - the subcommands of `nitroseal policy` and what they share. They judge with the
 * same code as nitroseal-kms (src/policy). */
#ifndef BIN_NITROSEAL_POLICY_CMD_H
#define BIN_NITROSEAL_POLICY_CMD_H

#include "attest/pcrs.h"
#include "bin/nitroseal/fault.h"
#include "policy/policy.h"

enum {
    POLICY_IMAGE_FILE_MAX_BYTES = 1 << 30,
    POLICY_FILE_MAX_BYTES = 1 << 20,
};

/* PCRs of an image: an EIF, or JSON with PCR0 and so on at the top or under Measurements, as
 * nitro-cli, nitroseal image and nitroseal-nsm --print-pcrs print it. PCR8 only where it is signed.
 * CLI_OK, CLI_FILE. */
MUST_USE int policy_image_read(const char *path, struct attest_pcrs *out, struct cli_fault *f);
/* All --pcr N=HEX together. CLI_OK, CLI_USAGE. */
MUST_USE int policy_pcrs_read(const struct options *o, struct attest_pcrs *out,
                              struct cli_fault *f);
/* "-" is standard input. CLI_OK, CLI_FILE. */
MUST_USE int policy_file_read(const char *path, struct buf *out, struct cli_fault *f);

/* Read and parse; a fault is told with line and column. Over KMS's quota is a fault as well.
 * CLI_OK, CLI_FILE. */
MUST_USE int policy_load(const char *path, enum policy_use use, struct policy **out,
                         struct cli_fault *f);
/* Append for a line of text: control characters become '?'. */
MUST_USE enum err policy_put_clean(struct buf *out, struct span text);

int cmd_policy(int argc, char **argv);
int cmd_policy_generate(int argc, char **argv);
int cmd_policy_lint(int argc, char **argv);
int cmd_policy_explain(int argc, char **argv);
int cmd_policy_diff(int argc, char **argv);
int cmd_policy_canary(int argc, char **argv);

#endif
