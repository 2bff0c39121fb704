/* softnsm.h - a Nitro Secure Module in software: PCRs, locks, and documents that really verify, up
 * to a root of its own that nobody can take for AWS's. For laptops and tests; it protects nothing.
 *
 * Pure: requests and time come in, responses go out. Source: nsm reference sections 3 to 6 and
 * attestation-document reference sections 3 and 6. Where the real device's answer is not known, it
 * is that of QEMU's emulator: an index past 255, an unknown request, a malformed one or one with
 * fields of the wrong type is InvalidOperation. A field that is too long is InvalidArgument.
 */
#ifndef SOFTNSM_SOFTNSM_H
#define SOFTNSM_SOFTNSM_H

#include "attest/pcrs.h"
#include "nsm/nsm.h"
#include "softnsm/pki.h"

enum {
    SOFTNSM_BOOT_LOCKED = 0xffff, /* PCR0 to PCR15 are locked from the start */
};

struct softnsm_settings {
    struct attest_pcrs pcrs; /* at the start; PCR3 and PCR4 come from the two members below */
    struct span role_arn;    /* of the parent's IAM role; empty: PCR3 stays zero */
    struct span instance_id; /* "i-0123456789abcdef0" */
    struct span module_id;   /* empty: made of instance id and time, as AWS does */
    struct span region;      /* "us-east-1" */
    bool debug_mode;         /* PCR0-2 and PCR8 read as zero; PCR3 and PCR4 do not */
    bool definite;           /* the payload's map has definite length, as hardware did until 2025 */
    bool expired_leaf;       /* the leaf ended long before: for tests of verifiers */
    unsigned fail_every;     /* one of so many requests is answered InternalError: for tests of
                                those who ask; 0: none */
    size_t field_max;        /* of user_data, nonce and public_key; 0: NSM_FIELD_MAX */
};

struct softnsm;

/* `pki` is the new object's from then on, but for a failure. ERR_MALFORMED: instance id, module id
 * or region have characters that do not belong there, or are too long for a common name.
 * ERR_VERIFY: the PKI's root is not valid at `now_ms` (unix). ERR_CRYPTO, ERR_NOMEM. */
MUST_USE enum err softnsm_new(struct crypto *cx, const struct softnsm_settings *s,
                              struct softnsm_pki *pki, int64_t now_ms, struct softnsm **out,
                              struct why *why);
void softnsm_free(struct softnsm *n); /* NULL is fine */
void softnsm_freep(struct softnsm **n);

/* Append the response to one request: every fault of the request is a response too. An error means
 * that there is none: ERR_LIMIT (of the buf), ERR_NOMEM. Certificates whose time is nearly up are
 * renewed on the way. */
MUST_USE enum err softnsm_ask(struct crypto *cx, struct softnsm *n, struct span request,
                              int64_t now_ms, struct buf *response);

const struct softnsm_pki *softnsm_pki_of(const struct softnsm *n);
struct span softnsm_module_id(const struct softnsm *n);

#endif
