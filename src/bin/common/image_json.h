/* image_json.h - what nitro-cli prints about images, in its layout (two blanks a level, one line
 * feed at the end), appended to a buf. For `nitroseal image` and nitro-local. */
#ifndef BIN_COMMON_IMAGE_JSON_H
#define BIN_COMMON_IMAGE_JSON_H

#include "bin/common/image_input.h"
#include "eif/describe.h"

enum { IMAGE_JSON_MAX = 8 << 20 };

/* {"Measurements": {...}}: build-enclave, sign-eif. */
MUST_USE bool image_json_measured(const struct attest_pcrs *pcrs, struct buf *out,
                                  struct image_fault *f);
/* describe-eif of the file at `path`; with `sections` our member Sections besides. */
MUST_USE bool image_json_described(const char *path, bool sections, struct buf *out,
                                   struct image_fault *f);
/* {"PCR": "..."} of any file. */
MUST_USE bool image_json_pcr_of_file(const char *path, struct buf *out, struct image_fault *f);
/* {"PCR8": "..."} of a signing certificate. */
MUST_USE bool image_json_pcr8(const char *path, struct buf *out, struct image_fault *f);

/* An image file and everything about it. On the heap: it is large. */
struct image_opened {
    struct buf file;
    struct eif_report report; /* views of `file` */
};
MUST_USE bool image_open(const char *path, struct image_opened **out, struct image_fault *f);
void image_opened_freep(struct image_opened **i);

#endif
