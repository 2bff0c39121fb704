/* seed.h - keys that are there from the first start on, out of the operator's YAML file.
 *
 *     keys:
 *       - id: 12345678-1234-1234-1234-123456789abc  # or mrk- and 32 digits
 *         spec: SYMMETRIC_DEFAULT    # optional, as are all that follow
 *         usage: ENCRYPT_DECRYPT     # needed where the spec is another one
 *         description: for tests
 *         policy: {Version: "2012-10-17", Statement: [...]}  # as YAML or as one JSON text
 *         aliases: [alias/tests]
 *         tags: [{key: team, value: blue}]
 *         material: BASE64           # the secret, or a pair's PKCS#8; else fresh
 *
 * The file is checked as a whole before anything is made. A key that is there is left as it is, but
 * for aliases that are not: those are made, and none is moved. Every fault says its line.
 */
#ifndef LOCALKMS_SEED_H
#define LOCALKMS_SEED_H

#include "localkms/localkms.h"

enum { SEED_FILE_MAX_BYTES = 4 << 20 };

struct seeded {
    unsigned keys, aliases; /* made now */
};

/* ERR_MALFORMED, ERR_UNSUPPORTED (a spec that is not here), ERR_LIMIT, ERR_NOMEM, ERR_IO,
 * ERR_CRYPTO; why->at is the line. */
MUST_USE enum err localkms_seed(struct localkms *k, struct span yaml, int64_t now_ms,
                                struct seeded *out, struct why *why);

#endif
