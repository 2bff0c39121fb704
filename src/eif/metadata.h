/* metadata.h - the metadata section of an image (eif.md section 2): compact JSON.
 *
 * It is in no PCR, so whoever handles the file can change it: for people, never for decisions
 * (R-16).
 */
#ifndef EIF_METADATA_H
#define EIF_METADATA_H

#include "base/json.h"

enum { EIF_CUSTOM_MAX = 4096 }; /* bytes of the custom part that may be given to a builder */

struct eif_metadata {
    struct json_str image_name, image_version;
    struct json_str build_time, build_tool, build_tool_version, operating_system, kernel_version;
    struct span docker_info,
        custom; /* JSON values as they stand; absent: the member is not there */
};

/* Views into `in`. Members that we do not know are passed over. ERR_MALFORMED: not an object, a
 * name or version that is not a text, BuildMetadata that is not an object. */
MUST_USE enum err eif_metadata_parse(struct span in, struct eif_metadata *out, struct why *why);

struct eif_metadata_in {
    struct span image_name, image_version; /* UTF-8 */
    struct span build_time;                /* RFC 3339: "1970-01-01T00:00:00+00:00" */
    struct span build_tool, build_tool_version, operating_system, kernel_version;
    struct span custom; /* a JSON object, or absent */
};
/* Append. ERR_MALFORMED: a text that is not UTF-8, custom that is not one JSON object;
 * ERR_LIMIT. */
MUST_USE enum err eif_metadata_write(const struct eif_metadata_in *m, struct buf *out,
                                     struct why *why);

#endif
