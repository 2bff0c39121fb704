/* json.h - a strict pull cursor and a writer for JSON (RFC 8259).
 *
 * Zero copy: a string is a view of the bytes between its quotes, decoded only when somebody asks.
 * The cursor carries its error like the CBOR one. Refused besides what the grammar refuses: bytes
 * that are not UTF-8, \u escapes of lone surrogates, a member name that comes twice in an object,
 * more than JSON_MEMBERS_MAX members in an object whose names are checked, nesting past
 * JSON_DEPTH_MAX, a byte order mark, trailing bytes.
 *
 *     struct json_in j = json_in_init(in);
 *     struct json_str key, op = JSON_STR_NONE;
 *     for (json_in_object(&j); json_in_member(&j, &key);) {
 *         if (json_str_is(key, "operation")) op = json_in_string(&j);
 *         else json_in_skip(&j);
 *     }
 *     if (json_in_end(&j) != ERR_OK) ... j.what, j.pos
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

enum {
    JSON_DEPTH_MAX = 32,
    JSON_MEMBERS_MAX = 256, /* in all objects that are open at one time */
};

/* Not JSON_OBJECT and so on: jansson has those, and some programs use both. */
enum json_kind {
    JSON_KIND_OBJECT,
    JSON_KIND_ARRAY,
    JSON_KIND_STRING,
    JSON_KIND_NUMBER,
    JSON_KIND_TRUE,
    JSON_KIND_FALSE,
    JSON_KIND_NULL,
    JSON_KIND_NONE
};

struct json_str {
    struct span raw; /* between the quotes, checked; ptr NULL: absent */
    bool escaped;    /* raw holds a backslash */
};

#define JSON_STR_NONE ((struct json_str){ { NULL, 0 }, false })

struct json_in {
    struct span in;
    size_t pos;
    enum err err;
    const char *what;
    unsigned depth;
    bool first[JSON_DEPTH_MAX];            /* no element of this level has been read yet */
    uint16_t members_base[JSON_DEPTH_MAX]; /* where this object's names start in `names` */
    uint16_t n_names;
    uint32_t
        names[JSON_MEMBERS_MAX]; /* offsets of the open objects' member names, to find duplicates */
};

struct json_in json_in_init(struct span in);
/* The next value's type by its first character; consumes nothing. JSON_KIND_NONE: failed or at the
 * end.
 */
enum json_kind json_in_peek(struct json_in *j);

void json_in_object(struct json_in *j);
/* The next member's name, its value being next; false at the closing brace or after a fault. */
bool json_in_member(struct json_in *j, struct json_str *name);
void json_in_array(struct json_in *j);
/* True if another element is next; false at the closing bracket or after a fault. */
bool json_in_element(struct json_in *j);
struct json_str json_in_string(struct json_in *j);
bool json_in_bool(struct json_in *j);
void json_in_null(struct json_in *j);
/* The number's text, checked against the grammar. */
struct span json_in_number(struct json_in *j);
/* A number without fraction and exponent from 0 to max. */
uint64_t json_in_uint(struct json_in *j, uint64_t max);
/* Check and pass over one value of any type; returns its bytes. */
struct span json_in_skip(struct json_in *j);
void json_in_fail(struct json_in *j, enum err r, const char *what);
/* The verdict: the first fault, or ERR_MALFORMED "trailing bytes", or ERR_OK. */
MUST_USE enum err json_in_end(struct json_in *j);

static inline bool json_str_is_set(struct json_str s)
{
    return s.raw.ptr != NULL;
}
/* Take one character off the front of `*raw` (of a string read by the cursor, not empty) and return
 * its code point. */
uint32_t json_str_next(struct span *raw);
/* Decoded value equals `text`. */
bool json_str_is(struct json_str s, const char *text);
/* Append the decoded value. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err json_str_decode(struct json_str s, struct buf *out);
/* The decoded value without a copy where there is no escape, else decoded into `scratch`
 * (appended). */
MUST_USE enum err json_str_view(struct json_str s, struct buf *scratch, struct span *out);

/* Writer: compact, commas placed by itself, sticky. */
struct json_out {
    struct buf *out;
    enum err err;
    bool comma;
};

struct json_out json_out_init(struct buf *out);
/* Go on inside an object or array that has members already, wherever they are. */
struct json_out json_out_resume(struct buf *out);
void json_out_object(struct json_out *w);
void json_out_object_end(struct json_out *w);
void json_out_array(struct json_out *w);
void json_out_array_end(struct json_out *w);
void json_out_key(struct json_out *w, const char *name);
/* The same for a name that is not ours: refused with ERR_MALFORMED if it is not UTF-8. */
void json_out_key_text(struct json_out *w, struct span name);
/* A text that need not be UTF-8-checked by us is refused with ERR_MALFORMED if it is not UTF-8. */
void json_out_string(struct json_out *w, struct span text);
/* A string read by the cursor, written as it stood. */
void json_out_raw_string(struct json_out *w, struct json_str s);
void json_out_base64(struct json_out *w, struct span data);
void json_out_uint(struct json_out *w, uint64_t v);
void json_out_int(struct json_out *w, int64_t v);
void json_out_bool(struct json_out *w, bool v);
void json_out_null(struct json_out *w);
/* One whole value that is JSON already. */
void json_out_raw(struct json_out *w, struct span value);
MUST_USE enum err json_out_end(struct json_out *w);

/* Append the same JSON over several lines, two blanks for each level, as serde_json and jq print
 * it. `in` is well formed: written by json_out or checked by the cursor. ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err json_pretty(struct span in, struct buf *out);

#endif
