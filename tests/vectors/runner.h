/* runner.h - runs a folder of test vectors described by a manifest.json, whatever files it holds.
 *
 * Each kind has one function: it puts the file through the module under test and says whether that
 * accepted it, and where the manifest gives values, whether they came out. The verdict against
 * `expected` is made in one place.
 */
#ifndef TESTS_VECTORS_RUNNER_H
#define TESTS_VECTORS_RUNNER_H

#include <jansson.h>

#include "base/buf.h"
#include "crypto/crypto.h"

struct runner {
    const char *dir;
    struct crypto *cx;
    json_t *entries;
    unsigned passed, failed, skipped;
    bool verbose;
    json_t *skips;  /* reason: how many */
    char note[256]; /* what the current entry's function has to say */
};

struct entry {
    const char *path, *kind, *expected, *strictness;
    json_t *values;
    struct span bytes;
};

enum outcome {
    ACCEPTED,
    REFUSED,
    MISMATCH,   /* accepted, but a value differs: runner.note says which */
    OUR_CHOICE, /* refused by a documented choice where the manifest only recommends to accept */
    COUNTED,    /* the function counted the inner tests itself */
    SKIPPED,    /* runner.note says why */
};

typedef enum outcome kind_fn(struct runner *r, const struct entry *e);

kind_fn run_attestation, run_attestation_b64, run_x509_cert, run_x509_root, run_pcr_facts, run_nsm,
    run_cose;
kind_fn run_cbor, run_cbor_vectors, run_json, run_http_request, run_http_response;
kind_fn run_kms_request, run_kms_response, run_sigv4, run_eif, run_esdk;
kind_fn run_cms, run_recipient, run_recipient_b64, run_rsa_key, run_wycheproof;

/* One inner test of a file that holds many. */
void count_one(struct runner *r, const struct entry *e, bool good, const char *name,
               const char *detail);
void set_note(struct runner *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Not tested here, and why: reasons are gathered and printed once. */
void skip_for(struct runner *r, const char *why, unsigned n);

/* A file below the folder; the caller clears. False: not there. */
bool read_file(struct runner *r, const char *relative, struct buf *out);
/* A string member of the entry's values, or NULL. */
const char *value_text(const struct entry *e, const char *name);
/* Is `got` the value of that name in hex? True also where the manifest does not give it. */
bool value_matches_hex(struct runner *r, const struct entry *e, const char *name, struct span got);
/* Exact-size heap copy of hex or base64 text, so that a sanitizer sees one byte over; false: not
 * that. */
bool unhex(const char *text, struct buf *out);

#endif
