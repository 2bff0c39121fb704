/* sigv4.c - the cases of AWS's suite and of KMS calls.
 *
 * Each file of a case is judged by what it holds; the request and the context are read from its
 * folder. */
#include "runner.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "sigv4/presign.h"

struct sig_case {
    struct buf request, context;
    json_t *settings;
    struct sigv4_header headers[64];
    size_t n_headers;
    struct buf folded; /* header values of several lines, joined */
    struct sigv4_request rq;
    char date[SIGV4_TIME_BYTES + 1];
};

static const char *setting(const struct sig_case *c, const char *name)
{
    return json_string_value(json_object_get(c->settings, name));
}

static const char *credential(const struct sig_case *c, const char *name)
{
    return json_string_value(json_object_get(json_object_get(c->settings, "credentials"), name));
}

static bool setting_on(const struct sig_case *c, const char *name)
{
    return json_is_true(json_object_get(c->settings, name));
}

/* A sibling of the entry's file. */
static void sibling(const struct entry *e, const char *name, char *out, size_t size)
{
    const char *slash = strrchr(e->path, '/');
    snprintf(out, size, "%.*s/%s", slash ? (int)(slash - e->path) : 1, slash ? e->path : ".", name);
}

static struct span take_line(struct span *rest)
{
    struct span line = span_cut(rest, '\n');

    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool add_header(struct sig_case *c, const char *name, struct span value)
{
    if (c->n_headers == sizeof c->headers / sizeof c->headers[0])
        return false;
    c->headers[c->n_headers++] = (struct sigv4_header){ span_str(name), value };
    return true;
}

/* The suite writes long values over several lines, as HTTP once allowed: each further line is one
 * more part, joined by a comma. */
static void append_line(struct sig_case *c, struct span line)
{
    struct sigv4_header *last = &c->headers[c->n_headers - 1];
    size_t start = c->folded.len;

    if (buf_append(&c->folded, last->value) == ERR_OK &&
        buf_append_str(&c->folded, " ") == ERR_OK &&
        buf_append(&c->folded, span_trim(line)) == ERR_OK)
        last->value = span_from(buf_view(&c->folded), start);
}

static bool split_request(struct sig_case *c)
{
    struct span rest = buf_view(&c->request);
    struct span line = take_line(&rest);
    struct span target;

    c->rq.method = span_cut(&line, ' ');
    /* Targets of the suite hold spaces: the version is what follows the last one. */
    target = line;
    for (size_t i = line.len; i > 0; i--)
        if (line.ptr[i - 1] == ' ') {
            target = span_sub(line, 0, i - 1);
            break;
        }
    c->rq.query = target;
    c->rq.path = span_cut(&c->rq.query, '?');
    while (rest.ptr && rest.len) {
        line = take_line(&rest);
        if (line.len == 0)
            break;
        if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
            append_line(c, line);
            continue;
        }
        if (c->n_headers == sizeof c->headers / sizeof c->headers[0])
            return false;
        c->headers[c->n_headers].name = span_cut(&line, ':');
        c->headers[c->n_headers++].value = line;
    }
    c->rq.body = rest;
    return true;
}

/* "2015-08-30T12:36:00Z" without its punctuation. */
static bool read_date(struct sig_case *c)
{
    const char *t = setting(c, "timestamp");
    size_t n = 0;

    for (; t && *t && n < SIGV4_TIME_BYTES; t++)
        if (*t != '-' && *t != ':')
            c->date[n++] = *t;
    return n == SIGV4_TIME_BYTES;
}

static bool add_signing_headers(struct sig_case *c)
{
    const char *token = credential(c, "token");
    bool omit = setting_on(c, "omit_session_token");
    uint8_t sum[SHA256_BYTES];

    if (!add_header(c, "X-Amz-Date", span_of(c->date, SIGV4_TIME_BYTES)))
        return false;
    if (token && !omit && !add_header(c, "X-Amz-Security-Token", span_str(token)))
        return false;
    if (!setting_on(c, "sign_body"))
        return true;
    size_t start = c->folded.len;
    sha256(c->rq.body, sum);
    for (size_t i = 0; i < sizeof sum; i++)
        if (buf_printf(&c->folded, "%02x", sum[i]) != ERR_OK)
            return false;
    return add_header(c, "X-Amz-Content-Sha256", span_from(buf_view(&c->folded), start));
}

static int by_name(const void *a, const void *b)
{
    const struct sigv4_header *x = a, *y = b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int d = strncasecmp((const char *)x->name.ptr, (const char *)y->name.ptr, n);

    return d ? d : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

/* A presigned request carries in its query what the other form has in headers. For the files with
 * the parts of one: what the canonical request is made over. */
static bool add_signing_query(struct sig_case *c)
{
    const char *token = credential(c, "token");
    struct buf *q = &c->folded;
    size_t start = q->len;
    json_t *expires = json_object_get(c->settings, "expiration_in_seconds");

    if (buf_append(q, c->rq.query) != ERR_OK ||
        buf_printf(q,
                   "%sX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s%%2F%.8s%%2F%s%%2F%s%%"
                   "2Faws4_request&X-Amz-Date=%s",
                   c->rq.query.len ? "&" : "", credential(c, "access_key_id"), c->date,
                   setting(c, "region"), setting(c, "service"), c->date) != ERR_OK ||
        buf_printf(q, "&X-Amz-Expires=%lld&X-Amz-SignedHeaders=",
                   (long long)json_integer_value(expires)) != ERR_OK)
        return false;
    struct sigv4_header sorted[64];
    memcpy(sorted, c->headers, sizeof sorted);
    qsort(sorted, c->n_headers, sizeof sorted[0], by_name);
    for (size_t i = 0, n = 0; i < c->n_headers; i++) {
        if (i > 0 && span_eq_nocase(sorted[i].name, sorted[i - 1].name))
            continue;
        if (n++ && buf_append_str(q, "%3B") != ERR_OK)
            return false;
        for (size_t k = 0; k < sorted[i].name.len; k++)
            if (buf_append_byte(q, (uint8_t)tolower(sorted[i].name.ptr[k])) != ERR_OK)
                return false;
    }
    if (token && !setting_on(c, "omit_session_token") &&
        buf_printf(q, "&X-Amz-Security-Token=%s", token) != ERR_OK)
        return false;
    c->rq.query = span_from(buf_view(q), start);
    return true;
}

/* As request.txt has it, and what signing adds in this form. */
enum form { FORM_PLAIN, FORM_HEADER, FORM_QUERY };

static bool load_case(struct runner *r, const struct entry *e, enum form form, struct sig_case *c)
{
    char path[1024];
    uint8_t *room;

    *c = (struct sig_case){ .folded = BUF_INIT(65536) };
    sibling(e, "request.txt", path, sizeof path);
    if (!read_file(r, path, &c->request))
        return false;
    sibling(e, "context.json", path, sizeof path);
    if (!read_file(r, path, &c->context))
        return false;
    c->settings = json_loadb((const char *)c->context.ptr, c->context.len, 0, NULL);
    if (!c->settings || buf_reserve(&c->folded, 65536, &room) != ERR_OK || !split_request(c) ||
        !read_date(c))
        return false;
    if ((form == FORM_QUERY && !add_signing_query(c)) ||
        (form == FORM_HEADER && !add_signing_headers(c)))
        return false;
    c->rq.headers = c->headers;
    c->rq.n_headers = c->n_headers;
    json_t *normalize = json_object_get(c->settings, "normalize");
    c->rq.keep_path = json_is_false(normalize);
    return true;
}

static void drop_case(struct sig_case *c)
{
    buf_clear(&c->request);
    buf_clear(&c->context);
    buf_clear(&c->folded);
    json_decref(c->settings);
}

static struct span without_last_newline(struct span s)
{
    while (s.len && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

static bool same_text(struct runner *r, const struct buf *got, struct span want, const char *what)
{
    if (span_eq(buf_view(got), without_last_newline(want)))
        return true;
    set_note(r, "%s differs", what);
    return false;
}

static bool signature_is(struct runner *r, struct span authorization, struct span want)
{
    struct sigv4_claim claim;

    if (sigv4_claim_parse(authorization, &claim, NULL) == ERR_OK &&
        span_eq(claim.signature, without_last_newline(want)))
        return true;
    set_note(r, "signature differs");
    return false;
}

/* What we signed, read back by our verifier with all headers as they travel. */
static bool verifies(struct runner *r, struct sig_case *c, struct span authorization)
{
    const char *secret = credential(c, "secret_access_key");
    struct sigv4_claim claim;
    struct why why = { 0 };

    if (!secret || sigv4_claim_parse(authorization, &claim, &why) != ERR_OK ||
        sigv4_verify(&c->rq, &claim, span_str(secret), &why) != ERR_OK) {
        set_note(r, "our signature does not verify: %s", why.what ? why.what : "no secret");
        return false;
    }
    return true;
}

static bool judge_file(struct runner *r, const struct entry *e, struct sig_case *c,
                       const char *name)
{
    struct sigv4_scope scope = { span_str(setting(c, "region")), span_str(setting(c, "service")) };
    struct span date = span_of(c->date, SIGV4_TIME_BYTES);
    struct sigv4_credentials cred = { span_str(credential(c, "access_key_id")),
                                      span_str(credential(c, "secret_access_key")),
                                      span_str(credential(c, "token")) };
    AUTO(buf_clear)
    struct buf canonical = BUF_INIT(1 << 20), to_sign = BUF_INIT(4096), auth = BUF_INIT(8192);

    if (sigv4_canonical_request(&c->rq, &canonical) != ERR_OK ||
        sigv4_string_to_sign(date, scope, buf_view(&canonical), &to_sign) != ERR_OK ||
        sigv4_sign(&c->rq, scope, date, &cred, &auth) != ERR_OK) {
        set_note(r, "was not signed");
        return false;
    }
    if (strcmp(name, "canonical-request.txt") == 0)
        return same_text(r, &canonical, e->bytes, "canonical request");
    if (strcmp(name, "string-to-sign.txt") == 0)
        return same_text(r, &to_sign, e->bytes, "string to sign");
    if (strcmp(name, "signature.txt") == 0)
        return signature_is(r, buf_view(&auth), e->bytes);
    if (strcmp(name, "signed-request.txt") == 0) {
        const char *line = memmem(e->bytes.ptr, e->bytes.len, "Authorization:", 14);
        struct span rest =
            line ? span_of(line + 14,
                           (size_t)(e->bytes.ptr + e->bytes.len - (const uint8_t *)line) - 14)
                 : SPAN_EMPTY;
        return span_eq(span_trim(take_line(&rest)), buf_view(&auth));
    }
    /* request.txt and context.json: the values beside them. */
    const char *want = value_text(e, "header_signature");
    return (!want || signature_is(r, buf_view(&auth), span_str(want))) &&
           verifies(r, c, buf_view(&auth));
}

/* The query as the suite signs it: some services add the token after signing (context: omit...). */
static enum err signed_query(const struct sig_case *c, struct span query, struct buf *out)
{
    bool omit = setting_on(c, "omit_session_token");
    enum err r = ERR_OK;

    while (query.len > 0 && r == ERR_OK) {
        struct span one = span_cut(&query, '&');
        if (omit && span_starts(one, "X-Amz-Security-Token="))
            continue;
        if (out->len)
            r = buf_append_byte(out, '&');
        if (r == ERR_OK)
            r = buf_append(out, one);
    }
    return r;
}

static bool query_verifies(struct runner *r, const struct sig_case *c,
                           const struct sigv4_request *rq)
{
    struct sigv4_presigned p = { .expires_s = 0 };
    struct why why = { 0 };
    const char *secret = credential(c, "secret_access_key");
    uint64_t expires =
        (uint64_t)json_integer_value(json_object_get(c->settings, "expiration_in_seconds"));

    bool good = secret && sigv4_presigned_parse(rq->query, &p, &why) == ERR_OK &&
                p.expires_s == expires &&
                span_is(p.claim.access_key_id, credential(c, "access_key_id")) &&
                sigv4_presigned_verify(rq, &p, span_str(secret), &why) == ERR_OK;
    bool refused = good && sigv4_presigned_verify(rq, &p, SPAN_LIT("x"), &why) == ERR_VERIFY;
    sigv4_presigned_clear(&p);
    if (!good)
        set_note(r, "the signed request does not verify: %s", why.what ? why.what : "a parameter");
    else if (!refused)
        set_note(r, "another secret verifies too");
    return refused;
}

/* A whole request signed in the query: we accept it, and sign the same ourselves. */
static bool judge_presigned(struct runner *r, const struct entry *e, struct sig_case *c)
{
    AUTO(buf_clear) struct buf query = BUF_INIT(16384), made = BUF_INIT(16384);
    struct sigv4_scope scope = { span_str(setting(c, "region")), span_str(setting(c, "service")) };
    bool omit = setting_on(c, "omit_session_token");
    struct sigv4_credentials cred = { span_str(credential(c, "access_key_id")),
                                      span_str(credential(c, "secret_access_key")),
                                      omit ? SPAN_EMPTY : span_str(credential(c, "token")) };
    struct sig_case came = { .request = BUF_INIT(65536), .folded = BUF_INIT(65536) };
    uint8_t *room;

    bool good = buf_reserve(&came.folded, 65536, &room) == ERR_OK &&
                buf_append(&came.request, e->bytes) == ERR_OK && split_request(&came) &&
                signed_query(c, came.rq.query, &query) == ERR_OK;
    came.rq.headers = came.headers;
    came.rq.n_headers = came.n_headers;
    came.rq.keep_path = c->rq.keep_path;
    came.rq.query = buf_view(&query);
    good = good && query_verifies(r, c, &came.rq);
    if (good && (sigv4_presign(&c->rq, scope, span_of(c->date, SIGV4_TIME_BYTES),
                               (uint64_t)json_integer_value(
                                   json_object_get(c->settings, "expiration_in_seconds")),
                               &cred, &made) != ERR_OK ||
                 !span_eq(buf_view(&made), buf_view(&query)))) {
        set_note(r, "our query differs");
        good = false;
    }
    buf_clear(&came.request);
    buf_clear(&came.folded);
    return good;
}

/* The file's part of the case, without "header-" or "query-". */
static const char *part_of(const char *name)
{
    if (strncmp(name, "query-", 6) == 0)
        return name + 6;
    return strncmp(name, "header-", 7) == 0 ? name + 7 : name;
}

enum outcome run_sigv4(struct runner *r, const struct entry *e)
{
    const char *slash = strrchr(e->path, '/'), *name = slash ? slash + 1 : e->path;
    bool in_query = strncmp(name, "query-", 6) == 0;
    bool whole = strcmp(name, "query-signed-request.txt") == 0;
    struct sig_case *c = calloc(1, sizeof *c);
    enum outcome out = MISMATCH;

    if (!c)
        return MISMATCH;
    if (!load_case(r, e, whole ? FORM_PLAIN : in_query ? FORM_QUERY : FORM_HEADER, c)) {
        set_note(r, "request.txt and context.json are not readable");
    } else {
        set_note(r, "%s differs", name);
        out = (whole ? judge_presigned(r, e, c) : judge_file(r, e, c, part_of(name))) ? ACCEPTED
                                                                                      : MISMATCH;
    }
    drop_case(c);
    free(c);
    return out;
}
