#include "nsm/nsm.h"

#include "base/cbor.h"

/* One table says what each message is made of; reading and writing both walk it. */

enum {
    NAME_MAX_BYTES = 16,
    FIELDS_MAX = 7,
    DIGEST_MAX_BYTES = 6,
    MODULE_ID_MAX_BYTES = 255,
};

enum kind {
    KIND_END, /* no further field */
    KIND_U16,
    KIND_BOOL,
    KIND_BYTES,
    KIND_BYTES_OPT, /* null or missing: absent; written as null, as libnsm does */
    KIND_PCR,       /* NSM_PCR_BYTES */
    KIND_RANDOM,    /* 1 to NSM_RANDOM_BYTES */
    KIND_DOCUMENT,  /* not empty */
    KIND_MODULE_ID,
    KIND_DIGEST,
    KIND_PCR_SET, /* ascending indices (a BTreeSet) as a mask */
};

struct field {
    const char *name;
    enum kind kind;
    size_t at; /* of the member in struct nsm_request or nsm_response */
};

struct message {
    const char *name;
    bool is_map; /* false: a bare text */
    struct field fields[FIELDS_MAX + 1];
};

#define RQ(member) offsetof(struct nsm_request, member)
#define RS(member) offsetof(struct nsm_response, member)

/* Order of fields: declaration order of the Rust enums (nsm reference, sections 3.1 and 3.2). */
static const struct message requests[] = {
    [NSM_DESCRIBE_PCR] = { "DescribePCR", true, { { "index", KIND_U16, RQ(index) } } },
    [NSM_EXTEND_PCR] = { "ExtendPCR",
                         true,
                         { { "index", KIND_U16, RQ(index) }, { "data", KIND_BYTES, RQ(data) } } },
    [NSM_LOCK_PCR] = { "LockPCR", true, { { "index", KIND_U16, RQ(index) } } },
    [NSM_LOCK_PCRS] = { "LockPCRs", true, { { "range", KIND_U16, RQ(index) } } },
    [NSM_DESCRIBE_NSM] = { "DescribeNSM", false, { { NULL, KIND_END, 0 } } },
    [NSM_ATTESTATION] = { "Attestation",
                          true,
                          { { "user_data", KIND_BYTES_OPT, RQ(user_data) },
                            { "nonce", KIND_BYTES_OPT, RQ(nonce) },
                            { "public_key", KIND_BYTES_OPT, RQ(public_key) } } },
    [NSM_GET_RANDOM] = { "GetRandom", false, { { NULL, KIND_END, 0 } } },
};

static const struct message responses[] = {
    [NSM_DESCRIBE_PCR] = { "DescribePCR",
                           true,
                           { { "lock", KIND_BOOL, RS(lock) }, { "data", KIND_PCR, RS(data) } } },
    [NSM_EXTEND_PCR] = { "ExtendPCR", true, { { "data", KIND_PCR, RS(data) } } },
    [NSM_LOCK_PCR] = { "LockPCR", false, { { NULL, KIND_END, 0 } } },
    [NSM_LOCK_PCRS] = { "LockPCRs", false, { { NULL, KIND_END, 0 } } },
    [NSM_DESCRIBE_NSM] = { "DescribeNSM",
                           true,
                           { { "version_major", KIND_U16, RS(version_major) },
                             { "version_minor", KIND_U16, RS(version_minor) },
                             { "version_patch", KIND_U16, RS(version_patch) },
                             { "module_id", KIND_MODULE_ID, RS(module_id) },
                             { "max_pcrs", KIND_U16, RS(max_pcrs) },
                             { "locked_pcrs", KIND_PCR_SET, RS(locked_pcrs) },
                             { "digest", KIND_DIGEST, RS(digest) } } },
    [NSM_ATTESTATION] = { "Attestation", true, { { "document", KIND_DOCUMENT, RS(data) } } },
    [NSM_GET_RANDOM] = { "GetRandom", true, { { "random", KIND_RANDOM, RS(data) } } },
};

enum { OPS = sizeof(requests) / sizeof(requests[0]) };

static const char *const error_names[] = {
    [NSM_SUCCESS] = "Success",
    [NSM_INVALID_ARGUMENT] = "InvalidArgument",
    [NSM_INVALID_INDEX] = "InvalidIndex",
    [NSM_INVALID_RESPONSE] = "InvalidResponse",
    [NSM_READ_ONLY_INDEX] = "ReadOnlyIndex",
    [NSM_INVALID_OPERATION] = "InvalidOperation",
    [NSM_BUFFER_TOO_SMALL] = "BufferTooSmall",
    [NSM_INPUT_TOO_LARGE] = "InputTooLarge",
    [NSM_INTERNAL_ERROR] = "InternalError",
};

enum { ERRORS = sizeof(error_names) / sizeof(error_names[0]) };

const char *nsm_error_name(enum nsm_error e)
{
    return (unsigned)e < ERRORS ? error_names[e] : "unknown";
}

/* The fault belongs to the item that starts at `at`, which the cursor has passed already. */
static void fail_at(struct cbor_in *c, size_t at, enum err r, const char *what)
{
    if (c->err != ERR_OK)
        return;
    c->pos = at;
    cbor_in_fail(c, r, what);
}

static struct span read_bytes(struct cbor_in *c, size_t min, size_t max, const char *too_short)
{
    size_t at = c->pos;
    struct span s = cbor_in_bstr(c, max);

    if (s.len < min)
        fail_at(c, at, ERR_MALFORMED, too_short);
    return s;
}

static struct span read_module_id(struct cbor_in *c)
{
    size_t at = c->pos;
    struct span s = cbor_in_tstr(c, MODULE_ID_MAX_BYTES);

    if (s.len == 0)
        fail_at(c, at, ERR_MALFORMED, "module id");
    return s;
}

static struct span read_digest(struct cbor_in *c)
{
    size_t at = c->pos;
    struct span s = cbor_in_tstr(c, DIGEST_MAX_BYTES);

    if (!span_is(s, "SHA256") && !span_is(s, "SHA384") && !span_is(s, "SHA512"))
        fail_at(c, at, ERR_MALFORMED, "digest");
    return s;
}

static uint32_t read_pcr_set(struct cbor_in *c)
{
    uint64_t n = cbor_in_array_upto(c, NSM_PCRS);
    uint64_t next = 0;
    uint32_t mask = 0;

    for (uint64_t i = 0; i < n && c->err == ERR_OK; i++) {
        size_t at = c->pos;
        uint64_t index = cbor_in_uint(c, NSM_PCRS - 1);
        if (index < next)
            fail_at(c, at, ERR_MALFORMED, "PCR order");
        mask |= UINT32_C(1) << index;
        next = index + 1;
    }
    return mask;
}

static void read_value(struct cbor_in *c, enum kind kind, void *to)
{
    switch (kind) {
    case KIND_END:
        break;
    case KIND_U16:
        *(uint16_t *)to = (uint16_t)cbor_in_uint(c, UINT16_MAX);
        break;
    case KIND_BOOL:
        *(bool *)to = cbor_in_bool(c);
        break;
    case KIND_BYTES:
        *(struct span *)to = read_bytes(c, 0, NSM_REQUEST_MAX, NULL);
        break;
    case KIND_BYTES_OPT:
        if (!cbor_in_null_opt(c))
            *(struct span *)to = read_bytes(c, 0, NSM_REQUEST_MAX, NULL);
        break;
    case KIND_PCR:
        *(struct span *)to = read_bytes(c, NSM_PCR_BYTES, NSM_PCR_BYTES, "PCR length");
        break;
    case KIND_RANDOM:
        *(struct span *)to = read_bytes(c, 1, NSM_RANDOM_BYTES, "no random bytes");
        break;
    case KIND_DOCUMENT:
        *(struct span *)to = read_bytes(c, 1, NSM_RESPONSE_MAX, "no document");
        break;
    case KIND_MODULE_ID:
        *(struct span *)to = read_module_id(c);
        break;
    case KIND_DIGEST:
        *(struct span *)to = read_digest(c);
        break;
    case KIND_PCR_SET:
        *(uint32_t *)to = read_pcr_set(c);
        break;
    }
}

static unsigned field_index(const struct field *fields, struct span name)
{
    unsigned i = 0;

    while (fields[i].kind != KIND_END && !span_is(name, fields[i].name))
        i++;
    return i;
}

/* A map of fields in any order, each once, none missing but the optional ones. The NSM may learn to
 * say more (`from_nsm`): a field that we do not know is passed over, as libnsm does; in a request
 * it is a fault. */
static void read_fields(struct cbor_in *c, const struct field *fields, bool from_nsm, void *out)
{
    size_t start = c->pos;
    struct cbor_map map = cbor_in_map_any(c, FIELDS_MAX);
    unsigned seen = 0;

    while (cbor_in_map_next(c, &map)) {
        size_t at = c->pos;
        unsigned i = field_index(fields, cbor_in_tstr(c, NAME_MAX_BYTES));
        if (fields[i].kind == KIND_END) {
            if (!from_nsm)
                fail_at(c, at, ERR_MALFORMED, "unknown field");
            cbor_in_skip(c);
            continue;
        }
        if (seen & 1U << i)
            fail_at(c, at, ERR_MALFORMED, "field twice");
        seen |= 1U << i;
        read_value(c, fields[i].kind, (uint8_t *)out + fields[i].at);
    }
    for (unsigned i = 0; fields[i].kind != KIND_END; i++)
        if (!(seen & 1U << i) && fields[i].kind != KIND_BYTES_OPT)
            fail_at(c, start, ERR_MALFORMED, "field missing");
}

/* A bare text, or the single key of a map that the message's fields follow. The map is of definite
 * or of indefinite length: the payload of documents has been of both, so its neighbours may be. */
struct variant {
    struct span name;
    bool is_map;
    struct cbor_map map;
};

static struct variant read_variant(struct cbor_in *c)
{
    struct variant v = { .is_map = cbor_in_peek(c) == CBOR_MAP };

    if (v.is_map) {
        size_t at = c->pos;
        v.map = cbor_in_map_any(c, 1);
        if (!cbor_in_map_next(c, &v.map))
            fail_at(c, at, ERR_MALFORMED, "map length");
    }
    v.name = cbor_in_tstr(c, NAME_MAX_BYTES);
    return v;
}

static enum err read_end(struct cbor_in *c, struct variant *v)
{
    if (v->is_map && v->map.indefinite)
        (void)cbor_in_map_next(c, &v->map); /* its break; another pair is past the limit of one */
    return cbor_in_end(c);
}

static unsigned message_index(const struct message *table, struct span name, bool is_map)
{
    unsigned i = 0;

    while (i < OPS && (table[i].is_map != is_map || !span_is(name, table[i].name)))
        i++;
    return i;
}

static void write_pcr_set(struct cbor_out *w, uint32_t mask)
{
    cbor_out_array(w, (uint64_t)__builtin_popcount(mask));
    for (unsigned i = 0; i < NSM_PCRS; i++)
        if (mask & UINT32_C(1) << i)
            cbor_out_uint(w, i);
}

static void write_value(struct cbor_out *w, enum kind kind, const void *from)
{
    const struct span *s = from;

    switch (kind) {
    case KIND_END:
        break;
    case KIND_U16:
        cbor_out_uint(w, *(const uint16_t *)from);
        break;
    case KIND_BOOL:
        cbor_out_bool(w, *(const bool *)from);
        break;
    case KIND_BYTES_OPT:
        if (!s->ptr)
            cbor_out_null(w);
        else
            cbor_out_bstr(w, *s);
        break;
    case KIND_BYTES:
    case KIND_PCR:
    case KIND_RANDOM:
    case KIND_DOCUMENT:
        cbor_out_bstr(w, *s);
        break;
    case KIND_MODULE_ID:
    case KIND_DIGEST:
        cbor_out_tstr(w, *s);
        break;
    case KIND_PCR_SET:
        write_pcr_set(w, *(const uint32_t *)from);
        break;
    }
}

/* Append the message, at most `max` bytes of it; as before on failure. */
static enum err write_message(const struct message *m, const void *from, size_t max,
                              struct buf *out)
{
    struct cbor_out w = cbor_out_init(out);
    size_t before = out->len;
    unsigned n = 0;

    while (m->fields[n].kind != KIND_END)
        n++;
    if (m->is_map)
        cbor_out_map(&w, 1);
    cbor_out_tstr(&w, span_str(m->name));
    if (m->is_map)
        cbor_out_map(&w, n);
    for (unsigned i = 0; i < n; i++) {
        cbor_out_tstr(&w, span_str(m->fields[i].name));
        write_value(&w, m->fields[i].kind, (const uint8_t *)from + m->fields[i].at);
    }
    enum err r = cbor_out_end(&w);
    if (r == ERR_OK && out->len - before > max)
        r = ERR_LIMIT;
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}

enum err nsm_request_write(const struct nsm_request *rq, struct buf *out)
{
    if ((unsigned)rq->op >= OPS)
        return ERR_INTERNAL;
    return write_message(&requests[rq->op], rq, NSM_REQUEST_MAX, out);
}

enum err nsm_request_parse(struct span in, struct nsm_request *out, struct why *why)
{
    struct nsm_request rq = { 0 };
    struct cbor_in c = cbor_in_init(in);

    if (in.len > NSM_REQUEST_MAX)
        return why_fail(why, ERR_LIMIT, "request length", 0);
    struct variant v = read_variant(&c);
    unsigned op = message_index(requests, v.name, v.is_map);
    if (c.err == ERR_OK && op == OPS)
        return why_fail(why, ERR_UNSUPPORTED, "unknown request", 0);
    if (op < OPS && v.is_map)
        read_fields(&c, requests[op].fields, false, &rq);
    if (read_end(&c, &v) != ERR_OK)
        return why_fail(why, c.err, c.what, c.pos);

    rq.op = (enum nsm_op)op;
    *out = rq;
    return ERR_OK;
}

static enum err write_error(enum nsm_error e, struct buf *out)
{
    struct cbor_out w = cbor_out_init(out);
    size_t before = out->len;

    if ((unsigned)e >= ERRORS)
        return ERR_INTERNAL;
    cbor_out_map(&w, 1);
    cbor_out_tstr(&w, SPAN_LIT("Error"));
    cbor_out_tstr(&w, span_str(error_names[e]));
    enum err r = cbor_out_end(&w);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}

enum err nsm_response_write(const struct nsm_response *rs, struct buf *out)
{
    if (rs->error != NSM_SUCCESS)
        return write_error(rs->error, out);
    if ((unsigned)rs->op >= OPS)
        return ERR_INTERNAL;
    return write_message(&responses[rs->op], rs, NSM_RESPONSE_MAX, out);
}

/* "Success" is a value of the C enum and no error: taking it would make a refusal look granted. */
static enum nsm_error read_error(struct cbor_in *c)
{
    size_t at = c->pos;
    struct span name = cbor_in_tstr(c, NAME_MAX_BYTES);
    unsigned e = NSM_SUCCESS + 1;

    while (e < ERRORS && !span_is(name, error_names[e]))
        e++;
    if (e == ERRORS)
        fail_at(c, at, ERR_MALFORMED, "unknown error");
    return (enum nsm_error)e;
}

enum err nsm_response_parse(struct span in, enum nsm_op op, struct nsm_response *out,
                            struct why *why)
{
    struct nsm_response rs = { .op = op };
    struct cbor_in c = cbor_in_init(in);

    if ((unsigned)op >= OPS)
        return why_fail(why, ERR_INTERNAL, "operation", 0);
    if (in.len > NSM_RESPONSE_MAX)
        return why_fail(why, ERR_LIMIT, "response length", 0);
    struct variant v = read_variant(&c);
    if (v.is_map && span_is(v.name, "Error"))
        rs.error = read_error(&c);
    else if (c.err == ERR_OK && message_index(responses, v.name, v.is_map) != op)
        return why_fail(why, ERR_MALFORMED, "another kind of response", 0);
    else if (v.is_map)
        read_fields(&c, responses[op].fields, true, &rs);
    if (read_end(&c, &v) != ERR_OK)
        return why_fail(why, c.err, c.what, c.pos);

    *out = rs;
    return ERR_OK;
}

bool nsm_random_plausible(struct span bytes)
{
    if (bytes.len < NSM_RANDOM_MIN || bytes.len > NSM_RANDOM_BYTES)
        return false;
    for (size_t i = 1; i < bytes.len; i++)
        if (bytes.ptr[i] != bytes.ptr[0])
            return true;
    return false;
}
