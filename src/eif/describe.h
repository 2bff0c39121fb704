/* describe.h - what nitro-cli prints about an image (eif.md section 7), member by member in its
 * order. Compact JSON: json_pretty() makes it look as the tools print it.
 */
#ifndef EIF_DESCRIBE_H
#define EIF_DESCRIBE_H

#include "base/json.h"
#include "eif/eif.h"
#include "eif/metadata.h"
#include "eif/signature.h"

/* All that can be said about one file. */
struct eif_report {
    struct eif eif;
    struct attest_pcrs pcrs; /* PCR8 is present if the image is signed */
    bool has_metadata, is_signed, signature_ok;
    struct eif_metadata metadata;
    struct eif_signature signature;
    struct why signature_fault; /* why signature_ok is false */
};
#define EIF_REPORT_NONE ((struct eif_report){ 0 })
void eif_report_clear(struct eif_report *r);

/* Views into `file`. A checksum or a signature that does not hold is reported, not refused, and
 * neither are the dates of the certificate; a file that cannot be taken apart is refused as by
 * eif_split(), eif_metadata_parse() and eif_signature_parse(). */
MUST_USE enum err eif_report_make(struct span file, struct eif_report *out, struct why *why);

/* {"HashAlgorithm":"Sha384 { ... }","PCR0":...[,"PCR8":...]} as a value. */
void eif_measurements_write(struct json_out *w, const struct attest_pcrs *pcrs);
/* {"Measurements":{...}}: build-enclave and sign-eif. */
void eif_measured_write(struct json_out *w, const struct attest_pcrs *pcrs);
/* The members ImageName, ImageVersion and Metadata, inside an open object: describe-enclaves
 * --metadata prints them too. */
void eif_metadata_members(struct json_out *w, const struct eif_metadata *m);
/* describe-eif. With `sections` also a member Sections: type, offset, size and SHA-384 of each. */
void eif_report_write(struct json_out *w, bool sections, const struct eif_report *r);

#endif
