/* input.h - the JSON object of a request: members by name, types checked, strings as views.
 *
 * Source: AWS JSON 1.1. Members that nobody asks for are passed over, null counts as absent. A body
 * that is not one JSON object, and a member of another type than asked for, is a
 * SerializationException (the wording of those is not confirmed).
 */
#ifndef LOCALKMS_INPUT_H
#define LOCALKMS_INPUT_H

#include "base/json.h"
#include "localkms/fault.h"

enum {
    INPUT_BODY_MAX_BYTES = 512 << 10, /* a document is 256 KiB at most, a third more in base64 */
    INPUT_MEMBERS_MAX = 32,
};

struct input_member {
    struct json_str name;
    enum json_kind kind;
    struct span raw; /* the value's bytes */
};

struct input {
    struct input_member members[INPUT_MEMBERS_MAX];
    size_t n;
    struct buf scratch; /* decoded strings; never grows after input_parse(), so views stay */
};

void input_clear(struct input *in);
/* An empty `object` counts as {}. Views of *out point into `object` and into *out. Release with
 * input_clear() also after a failure. */
MUST_USE enum err input_parse(struct span object, struct input *out, struct fault *f);

/* Each: ERR_OK with *out set or, if the member is not there, untouched; ERR_DENIED with *f. */
MUST_USE enum err input_string(struct input *in, const char *name, struct span *out,
                               struct fault *f);
MUST_USE enum err input_bool(const struct input *in, const char *name, bool *out, struct fault *f);
/* *given tells a number from none. Out of the range of 32 bits counts as another type. */
MUST_USE enum err input_int(const struct input *in, const char *name, int64_t *out, bool *given,
                            struct fault *f);
/* A timestamp: seconds since 1970, a fraction allowed; thousandths of it count. */
MUST_USE enum err input_time(const struct input *in, const char *name, int64_t *out_ms, bool *given,
                             struct fault *f);
/* Base64 decoded into *out; *given. */
MUST_USE enum err input_blob(struct input *in, const char *name, struct buf *out, bool *given,
                             struct fault *f);
/* The bytes of an object or array; absent span if the member is not there. */
MUST_USE enum err input_object(const struct input *in, const char *name, struct span *out,
                               struct fault *f);
MUST_USE enum err input_list(const struct input *in, const char *name, struct span *out,
                             struct fault *f);

#endif
