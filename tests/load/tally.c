/* tally.c - counts, latencies in buckets of 3 %, and the set of request ids. */
#include <stdlib.h>

#include "load.h"

/* Codes of both protocols, and the status that HTTP has for them (doc/protocol.md). */
static const struct {
    const char *name;
    unsigned status;
} codes[] = {
    { "invalid_json", 400 },
    { "invalid_utf8", 422 },
    { "missing_member", 400 },
    { "wrong_type", 400 },
    { "unknown_operation", 400 },
    { "invalid_base64", 400 },
    { "invalid_credentials", 400 },
    { "encrypted_too_short", 400 },
    { "invalid_request", 400 },
    { "kms_refused", 403 },
    { "key_mismatch", 403 },
    { "not_found", 404 },
    { "method_not_allowed", 405 },
    { "read_timeout", 408 },
    { "too_large", 413 },
    { "unsupported_media_type", 415 },
    { "text_not_authentic", 422 },
    { "signature_invalid", 422 },
    { "head_too_large", 431 },
    { "internal", 500 },
    { "nsm_failed", 503 },
    { "document_not_trusted", 500 },
    { "not_implemented", 501 },
    { "kms_unreachable", 502 },
    { "kms_tls_refused", 502 },
    { "kms_malformed_answer", 502 },
    { "kms_not_attested", 502 },
    { "data_key_not_opened", 502 },
    { "busy", 503 },
    { "stopping", 503 },
    { "kms_unavailable", 503 },
    { "no_credentials", 503 },
    { "kms_timeout", 504 },
    { "nsm_timeout", 504 },
};

enum { N_CODES = sizeof codes / sizeof codes[0], SUB = 32, EXACT_US = 64 };
_Static_assert((int)N_CODES <= (int)CODES_MAX, "counters");

int code_find(struct span code)
{
    for (int i = 0; i < N_CODES; i++)
        if (span_is(code, codes[i].name))
            return i;
    return -1;
}

const char *code_name(int i)
{
    return i < N_CODES ? codes[i].name : NULL;
}

unsigned code_status(int i)
{
    return codes[i].status;
}

/* Below EXACT_US as it is, then 32 buckets for each doubling. */
static unsigned bucket_of(uint64_t us)
{
    if (us < EXACT_US)
        return (unsigned)us;
    unsigned top = 63 - (unsigned)__builtin_clzll(us);
    return (top - 5) * SUB + (unsigned)(us >> (top - 5));
}

static double middle_of(unsigned bucket)
{
    if (bucket < EXACT_US)
        return bucket;
    unsigned top = bucket / SUB + 4;
    uint64_t low = (uint64_t)(bucket % SUB + SUB) << (top - 5);
    return (double)low + (double)(UINT64_C(1) << (top - 5)) / 2;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    unsigned n = sizeof h->counts / sizeof h->counts[0], b = bucket_of(us);

    h->counts[b < n ? b : n - 1]++;
    h->n++;
    if (us > h->max_us)
        h->max_us = us;
}

double histogram_ms(const struct histogram *h, unsigned permille)
{
    uint64_t rank = h->n ? (h->n - 1) * permille / 1000 : 0, seen = 0;

    if (permille >= 1000)
        return (double)h->max_us / 1000;
    for (unsigned i = 0; i < sizeof h->counts / sizeof h->counts[0]; i++) {
        seen += h->counts[i];
        if (seen > rank)
            return middle_of(i) / 1000;
    }
    return 0;
}

static bool parse_id(struct span id, uint64_t *out)
{
    uint64_t v = 0;
    unsigned digits = 0;

    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.ptr[i];
        if (c == '-')
            continue;
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f'))
            return false;
        v = v << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
        digits++;
    }
    *out = v ? v : 1;
    return digits == 16;
}

static bool put(uint64_t *set, size_t cap, uint64_t v)
{
    size_t at = (size_t)(v * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (cap - 1);

    for (; set[at]; at = (at + 1) & (cap - 1))
        if (set[at] == v)
            return false;
    set[at] = v;
    return true;
}

bool tally_id(struct tally *t, struct span request_id)
{
    uint64_t v;

    if (!parse_id(request_id, &v))
        return false;
    if (t->n_ids * 2 >= t->cap_ids) {
        size_t cap = t->cap_ids ? t->cap_ids * 2 : 65536;
        uint64_t *bigger = calloc(cap, sizeof *bigger);
        if (!bigger)
            abort();
        for (size_t i = 0; i < t->cap_ids; i++)
            if (t->ids[i])
                (void)put(bigger, cap, t->ids[i]);
        free(t->ids);
        t->ids = bigger;
        t->cap_ids = cap;
    }
    if (!put(t->ids, t->cap_ids, v))
        return false;
    t->n_ids++;
    return true;
}

void tally_clear(struct tally *t)
{
    free(t->ids);
    *t = (struct tally){ 0 };
}
