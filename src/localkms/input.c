#include "localkms/input.h"

#include "base/base64.h"
#include "base/rfc3339.h"

void input_clear(struct input *in)
{
    buf_clear(&in->scratch);
    in->n = 0;
}

static enum err parse_members(struct span object, struct input *out)
{
    struct json_in j = json_in_init(object);
    struct json_str name;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        enum json_kind kind = json_in_peek(&j);
        struct span raw = json_in_skip(&j);
        if (j.err != ERR_OK || out->n == INPUT_MEMBERS_MAX)
            return ERR_MALFORMED;
        out->members[out->n++] = (struct input_member){ name, kind, raw };
    }
    return json_in_end(&j);
}

enum err input_parse(struct span object, struct input *out, struct fault *f)
{
    uint8_t *unused;

    out->n = 0;
    out->scratch = BUF_INIT(object.len);
    if (object.len == 0)
        return ERR_OK;
    if (parse_members(object, out) != ERR_OK)
        return fault_bare(f, FAULT_SERIALIZATION);
    /* Decoding never makes a string longer, so this is room for all of them at once. */
    if (span_find(object, '\\') < object.len &&
        buf_reserve(&out->scratch, object.len, &unused) != ERR_OK)
        return fault_bare(f, FAULT_INTERNAL);
    return ERR_OK;
}

static const struct input_member *find(const struct input *in, const char *name)
{
    for (size_t i = 0; i < in->n; i++)
        if (in->members[i].kind != JSON_KIND_NULL && json_str_is(in->members[i].name, name))
            return &in->members[i];
    return NULL;
}

static const char *kind_name(enum json_kind kind)
{
    static const char *const names[] = {
        [JSON_KIND_OBJECT] = "START_OBJECT", [JSON_KIND_ARRAY] = "START_ARRAY",
        [JSON_KIND_STRING] = "STRING_VALUE", [JSON_KIND_NUMBER] = "NUMBER_VALUE",
        [JSON_KIND_TRUE] = "TRUE_VALUE",     [JSON_KIND_FALSE] = "FALSE_VALUE",
        [JSON_KIND_NULL] = "NULL_VALUE",     [JSON_KIND_NONE] = "NO_VALUE",
    };
    return names[kind];
}

static enum err wrong_type(const struct input_member *m, const char *wanted, struct fault *f)
{
    return fault_set(f, FAULT_SERIALIZATION, "%s can not be converted to %s", kind_name(m->kind),
                     wanted);
}

static enum err string_of(struct input *in, const struct input_member *m, struct span *out,
                          struct fault *f)
{
    struct json_in j = json_in_init(m->raw);
    struct json_str s = json_in_string(&j);

    if (json_in_end(&j) != ERR_OK || json_str_view(s, &in->scratch, out) != ERR_OK)
        return fault_bare(f, FAULT_SERIALIZATION);
    return ERR_OK;
}

enum err input_string(struct input *in, const char *name, struct span *out, struct fault *f)
{
    const struct input_member *m = find(in, name);

    if (!m)
        return ERR_OK;
    return m->kind == JSON_KIND_STRING ? string_of(in, m, out, f) : wrong_type(m, "a String", f);
}

enum err input_bool(const struct input *in, const char *name, bool *out, struct fault *f)
{
    const struct input_member *m = find(in, name);

    if (!m)
        return ERR_OK;
    if (m->kind != JSON_KIND_TRUE && m->kind != JSON_KIND_FALSE)
        return wrong_type(m, "a Boolean", f);
    *out = m->kind == JSON_KIND_TRUE;
    return ERR_OK;
}

enum err input_int(const struct input *in, const char *name, int64_t *out, bool *given,
                   struct fault *f)
{
    const struct input_member *m = find(in, name);
    uint64_t n = 0;

    *given = m != NULL;
    if (!m)
        return ERR_OK;
    bool negative = m->raw.len && m->raw.ptr[0] == '-';
    if (m->kind != JSON_KIND_NUMBER || span_to_u64(span_from(m->raw, negative ? 1 : 0),
                                                   (uint64_t)INT32_MAX + negative, &n) != ERR_OK)
        return wrong_type(m, "an Integer", f);
    *out = negative ? -(int64_t)n : (int64_t)n;
    return ERR_OK;
}

/* SECONDS or SECONDS.FRACTION; JSON's exponents are not taken. */
static bool time_parse(struct span text, int64_t *out_ms)
{
    uint64_t seconds = 0, ms = 0;
    struct span rest = text;
    struct span whole = span_cut(&rest, '.');

    if (span_to_u64(whole, RFC3339_LAST_S, &seconds) != ERR_OK)
        return false;
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < rest.len ? (uint64_t)(rest.ptr[i] - '0') : 0);
    for (size_t i = 0; i < rest.len; i++)
        if (rest.ptr[i] < '0' || rest.ptr[i] > '9')
            return false;
    *out_ms = (int64_t)(seconds * 1000 + ms);
    return true;
}

enum err input_time(const struct input *in, const char *name, int64_t *out_ms, bool *given,
                    struct fault *f)
{
    const struct input_member *m = find(in, name);

    *given = m != NULL;
    if (!m)
        return ERR_OK;
    return m->kind == JSON_KIND_NUMBER && time_parse(m->raw, out_ms)
               ? ERR_OK
               : wrong_type(m, "a Timestamp", f);
}

enum err input_blob(struct input *in, const char *name, struct buf *out, bool *given,
                    struct fault *f)
{
    const struct input_member *m = find(in, name);
    struct span text = SPAN_EMPTY;

    *given = m != NULL;
    if (!m)
        return ERR_OK;
    if (m->kind != JSON_KIND_STRING)
        return wrong_type(m, "a Blob", f);
    enum err r = string_of(in, m, &text, f);
    if (r != ERR_OK)
        return r;
    return base64_parse(text, out, NULL) == ERR_OK
               ? ERR_OK
               : fault_set(f, FAULT_SERIALIZATION, "%s is not valid Base64", name);
}

static enum err raw_of(const struct input *in, const char *name, enum json_kind kind,
                       const char *wanted, struct span *out, struct fault *f)
{
    const struct input_member *m = find(in, name);

    if (!m)
        return ERR_OK;
    if (m->kind != kind)
        return wrong_type(m, wanted, f);
    *out = m->raw;
    return ERR_OK;
}

enum err input_object(const struct input *in, const char *name, struct span *out, struct fault *f)
{
    return raw_of(in, name, JSON_KIND_OBJECT, "a structure", out, f);
}

enum err input_list(const struct input *in, const char *name, struct span *out, struct fault *f)
{
    return raw_of(in, name, JSON_KIND_ARRAY, "a list", out, f);
}
