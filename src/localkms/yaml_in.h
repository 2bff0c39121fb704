/* yaml_in.h - a small strict reading of YAML for the operator's files: one document as a tree of
 * mappings, lists and scalars, each with its line.
 *
 * Refused, because nobody who writes such a file by hand needs it and each has surprised somebody:
 * anchors and aliases, tags, merge keys, a second document, a key that comes twice or is not a
 * scalar, nesting past YAML_DEPTH_MAX. A plain scalar is text until somebody asks for something
 * else (yaml_json()). why->at is a line number, counted from 1, everywhere here.
 */
#ifndef LOCALKMS_YAML_IN_H
#define LOCALKMS_YAML_IN_H

#include "base/buf.h"

enum { YAML_DEPTH_MAX = 32, YAML_TEXT_MAX_BYTES = 4 << 20 };

struct yaml_doc;

struct yaml_at { /* a place in a document; dies with it */
    const struct yaml_doc *doc;
    int node; /* 0: absent */
};
#define YAML_ABSENT ((struct yaml_at){ NULL, 0 })

/* ERR_MALFORMED, ERR_LIMIT, ERR_NOMEM. */
MUST_USE enum err yaml_parse(struct span text, struct yaml_doc **out, struct why *why);
void yaml_doc_free(struct yaml_doc *d); /* NULL is fine */
void yaml_doc_freep(struct yaml_doc **d);

struct yaml_at yaml_root(const struct yaml_doc *d);
unsigned yaml_line(struct yaml_at at);
static inline bool yaml_is_there(struct yaml_at at)
{
    return at.node != 0;
}

/* One key of a mapping that may be there. */
struct yaml_field {
    const char *name;
    struct yaml_at *to;  /* YAML_ABSENT where it is not there */
    const char *missing; /* what to say then; NULL: it need not be there */
};
/* ERR_MALFORMED: "not a mapping", "unknown key", a `missing`. */
MUST_USE enum err yaml_fields(struct yaml_at map, const struct yaml_field *fields, size_t n,
                              struct why *why);
/* The elements of a list one by one: *out is the one at `i`, false past the last. */
bool yaml_is_list(struct yaml_at at);
bool yaml_element(struct yaml_at list, size_t i, struct yaml_at *out);
/* ERR_MALFORMED: "not a text" (a mapping, a list, or nothing). */
MUST_USE enum err yaml_text(struct yaml_at at, struct span *out, struct why *why);
/* "true" or "false". */
MUST_USE enum err yaml_bool(struct yaml_at at, bool *out, struct why *why);
/* Append the value as JSON: plain true, false, null and numbers become what they are in JSON,
 * everything else that is a scalar a string. ERR_LIMIT, ERR_NOMEM, ERR_MALFORMED. */
MUST_USE enum err yaml_json(struct yaml_at at, struct buf *out, struct why *why);

#endif
