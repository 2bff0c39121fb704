/* reader.h - inside policy: the JSON cursor on its way through a document. The first fault counts,
 * and everything stops with it; so bodies have no branches for errors. */
#ifndef POLICY_READER_H
#define POLICY_READER_H

#include "base/json.h"
#include "policy/compiled.h"

struct reader {
    struct json_in j;
    struct policy *p;
    struct policy_fault fault; /* what NULL: none of ours */
};

/* `at`: offset of what is wrong. */
void reader_fail(struct reader *r, size_t at, const char *what);
static inline bool reader_failed(const struct reader *r)
{
    return r->j.err != ERR_OK;
}

/* Where the next value begins, and of what kind it is. */
size_t reader_here(struct reader *r, enum json_kind *kind);
/* Of a name that was just read. */
size_t reader_name_at(const struct reader *r, struct json_str name);
/* The decoded text; lives as long as the policy. */
struct span reader_view(struct reader *r, struct json_str s);
/* A string; another kind of value fails with `otherwise`. */
struct span reader_text(struct reader *r, const char *otherwise);
/* False: failed. */
bool reader_object(struct reader *r, const char *otherwise);
/* `list` with room for one more, or NULL after failing. */
void *reader_grow(struct reader *r, void *list, size_t n, size_t item);

/* NULL, or what is wrong with one value of a list. */
typedef const char *reader_check(struct span value, const void *arg);
/* A string, or an array of at least one. `loose`: true, false and numbers stand for their text. */
void reader_list(struct reader *r, bool loose, reader_check *check, const void *arg,
                 struct policy_list *out);

/* elements.c */
void reader_principals(struct reader *r, struct policy_statement *st);
void reader_actions(struct reader *r, struct policy_statement *st);
void reader_resources(struct reader *r, struct policy_statement *st);
void reader_conditions(struct reader *r, struct policy_statement *st);

#endif
