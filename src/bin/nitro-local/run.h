/* run.h - what run-enclave was asked for. */
#ifndef BIN_NITRO_LOCAL_RUN_H
#define BIN_NITRO_LOCAL_RUN_H

#include "bin/nitro-local/limits.h"

/* Words of --cpu-ids may follow each other ("--cpu-ids 2 6"): append the command line with the
 * option before each of them. ERR_LIMIT: too many words. */
enum { RUN_WORDS_MAX = 256 };
MUST_USE enum err run_spread_cpu_ids(int argc, char **argv, char *out[static RUN_WORDS_MAX],
                                     int *n);

/* -1: carry on; else the status to exit with, after an error on stderr or in the fault. */
MUST_USE int run_read(int argc, char **argv, struct run_request *q, const char **vsock,
                      struct fault *f);
/* The JSON of --config (RunEnclavesArgs). Members that are not known are told on stderr. */
MUST_USE int run_config_parse(struct span text, struct run_request *q, struct fault *f);

#endif
