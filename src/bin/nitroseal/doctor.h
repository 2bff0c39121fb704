/* doctor.h - `nitroseal doctor`: one question after the other along the way of a request, and for
 * each what to do about it. A check looks and reports; it changes nothing. */
#ifndef BIN_NITROSEAL_DOCTOR_H
#define BIN_NITROSEAL_DOCTOR_H

#include "bin/nitroseal/attest.h"

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAILED, FINDING_SKIPPED };

enum { DOCTOR_TEXT_MAX_BYTES = 4096 };

struct doctor {
    const struct options *o;
    struct cli_enclave enclave;
    struct crypto *cx;
    struct attest_question question; /* root, and the PCRs of --image */
    struct cli_credentials credentials;
    bool no_device, have_credentials, answers; /* of earlier checks, for later ones */
    /* What the check that runs now has found. */
    enum finding finding;
    int status; /* FINDING_FAILED: the exit status that it stands for */
    struct buf what, fix;
};

/* Each sets finding and what, and fix where something is to be done. */
void doctor_hardware(struct doctor *d);
void doctor_memory(struct doctor *d);
void doctor_enclave(struct doctor *d);
void doctor_service(struct doctor *d);
void doctor_attestation(struct doctor *d);
void doctor_relay(struct doctor *d);
void doctor_endpoint(struct doctor *d);
void doctor_credentials(struct doctor *d);
void doctor_round_trip(struct doctor *d);

/* The finding and its text; control characters of others become '?'. */
void doctor_say(struct doctor *d, enum finding finding, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a failure, with its status. */
void doctor_fail(struct doctor *d, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What to do. */
void doctor_fix(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Does the enclave run beside us over Unix sockets? Then there is no hardware to look at. */
bool doctor_is_local(const struct doctor *d);

#endif
