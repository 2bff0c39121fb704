/* test_keystore.h - a store in an array, for tests, with a switch that makes it fail. */
#ifndef LOCALKMS_TEST_KEYSTORE_H
#define LOCALKMS_TEST_KEYSTORE_H

#include <stdlib.h>

#include "localkms/keystore.h"

enum { TEST_KEYSTORE_MAX = 2048 };

struct test_keystore {
    struct key_row rows[TEST_KEYSTORE_MAX]; /* by id */
    unsigned n, finds;
    bool broken; /* every call is ERR_IO */
};

static inline enum err test_keystore_copy(const struct key_row *from, struct key_row *to)
{
    memcpy(to->id, from->id, sizeof to->id);
    to->created_ms = from->created_ms;
    to->state = from->state;
    to->spec = from->spec;
    to->material = from->material;
    enum err r = buf_append(&to->description, buf_view(&from->description));
    if (r == ERR_OK)
        r = buf_append(&to->policy, buf_view(&from->policy));
    return r == ERR_OK ? buf_append(&to->wrapped, buf_view(&from->wrapped)) : r;
}

static inline struct key_row *test_keystore_row(struct test_keystore *s, const char *id)
{
    for (unsigned i = 0; i < s->n; i++)
        if (strcmp(s->rows[i].id, id) == 0)
            return &s->rows[i];
    return NULL;
}

static inline enum err test_keystore_find(void *arg, const char *id, struct key_row *out,
                                          bool *found)
{
    struct test_keystore *s = arg;
    const struct key_row *row = test_keystore_row(s, id);

    s->finds++;
    if (s->broken)
        return ERR_IO;
    *found = row != NULL;
    return row ? test_keystore_copy(row, out) : ERR_OK;
}

static inline enum err test_keystore_insert(void *arg, const struct key_row *row)
{
    struct test_keystore *s = arg;
    unsigned at = s->n;

    if (s->broken || s->n == TEST_KEYSTORE_MAX)
        return ERR_IO;
    for (; at > 0 && strcmp(s->rows[at - 1].id, row->id) > 0; at--)
        s->rows[at] = s->rows[at - 1];
    s->n++;
    s->rows[at] = KEY_ROW_INIT;
    return test_keystore_copy(row, &s->rows[at]);
}

static inline enum err test_keystore_set_policy(void *arg, const char *id, struct span policy)
{
    struct test_keystore *s = arg;
    struct key_row *row = test_keystore_row(s, id);

    if (s->broken || !row)
        return ERR_IO;
    buf_reset(&row->policy);
    return buf_append(&row->policy, policy);
}

static inline enum err test_keystore_list(void *arg, const char *after, unsigned max,
                                          char (*ids)[KEY_ID_BYTES + 1], unsigned *n)
{
    struct test_keystore *s = arg;

    *n = 0;
    for (unsigned i = 0; i < s->n && *n < max; i++)
        if (strcmp(s->rows[i].id, after) > 0)
            memcpy(ids[(*n)++], s->rows[i].id, KEY_ID_BYTES + 1);
    return s->broken ? ERR_IO : ERR_OK;
}

static inline const char *test_keystore_reason(void *arg)
{
    const struct test_keystore *s = arg;

    return s->broken ? "the array is full of /paths" : "";
}

static inline struct keystore test_keystore_interface(struct test_keystore *s)
{
    return (struct keystore){ .arg = s,
                              .find = test_keystore_find,
                              .insert = test_keystore_insert,
                              .set_policy = test_keystore_set_policy,
                              .list = test_keystore_list,
                              .reason = test_keystore_reason };
}

static inline void test_keystore_clear(struct test_keystore *s)
{
    for (unsigned i = 0; i < s->n; i++)
        key_row_clear(&s->rows[i]);
    s->n = 0;
}

#endif
