/* image_cmd.h - nitroseal image: its subcommands and what they share. */
#ifndef BIN_NITROSEAL_IMAGE_CMD_H
#define BIN_NITROSEAL_IMAGE_CMD_H

#include "bin/common/image_make.h"
#include "bin/nitroseal/fault.h"

int cmd_image(int argc, char **argv);
int cmd_image_build(int argc, char **argv);
int cmd_image_describe(int argc, char **argv);
int cmd_image_pcr(int argc, char **argv);
int cmd_image_sign(int argc, char **argv);
int cmd_image_verify(int argc, char **argv);
int cmd_image_diff(int argc, char **argv);
int cmd_image_extract(int argc, char **argv);

/* A fault of bin/common as one of ours. */
int image_fault_take(const struct image_fault *from, struct cli_fault *f);
/* Options, then `run` with cryptography ready; the status to exit with. */
typedef int image_run(const struct options *o, struct cli_fault *f);
int image_main(const struct program_def *program, int argc, char **argv, image_run *run);

#endif
