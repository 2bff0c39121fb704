/* keeper.h - credentials for a long run, for several threads: fetched anew ahead of their end, and
 * when KMS says that they have expired. What is still good stays in use while new ones are fetched;
 * where nothing is good any more, callers wait for the endpoint as long as they may.
 *
 * Source: credentials reference section 3, "Refresh". */
#ifndef BIN_NITROSEAL_KEEPER_H
#define BIN_NITROSEAL_KEEPER_H

#include <pthread.h>

#include "bin/nitroseal/cli.h"

struct keeper {
    const char *profile;
    bool chosen; /* as for cli_credentials_find() */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cli_credentials current;
    uint64_t generation; /* 0: none yet */
    bool expired_by_kms; /* it says so of `current` */
    bool fetching;
    uint64_t asked_ns;    /* when the last fetch ended */
    unsigned failures;    /* fetches in a row */
    struct cli_fault why; /* of the last one that failed */
};

/* Fetches once: CLI_OK, or why there are none. Cleared in any case with keeper_clear(). */
MUST_USE int keeper_init(struct keeper *k, const char *profile, bool chosen, struct cli_fault *f);
void keeper_clear(struct keeper *k);
/* A copy for one request, and which generation it is. Waits until `deadline_ns` for credentials
 * where the ones there are have ended. CLI_OK or CLI_SETTINGS. */
MUST_USE int keeper_take(struct keeper *k, uint64_t deadline_ns, struct cli_credentials *out,
                         uint64_t *generation, struct cli_fault *f);
/* KMS refused that generation as expired: the next take fetches, unless somebody has. */
void keeper_expired(struct keeper *k, uint64_t generation);

#endif
