/* kms.c - KMS requests and responses, SigV4. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "kms/kms.h"

/* ---- SigV4: the cases of AWS's suite and of KMS calls ----
 * Each file of a case is judged by what it holds; the request and the context are read from its
 * folder. */

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

static bool add_signing_headers(struct runner *r, struct sig_case *c)
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
    if (sha256(r->cx, c->rq.body, sum) != ERR_OK)
        return false;
    for (size_t i = 0; i < sizeof sum; i++)
        if (buf_printf(&c->folded, "%02x", sum[i]) != ERR_OK)
            return false;
    return add_header(c, "X-Amz-Content-Sha256", span_from(buf_view(&c->folded), start));
}

static bool load_case(struct runner *r, const struct entry *e, struct sig_case *c)
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
        !read_date(c) || !add_signing_headers(r, c))
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
        sigv4_verify(r->cx, &c->rq, &claim, span_str(secret), &why) != ERR_OK) {
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

    if (sigv4_canonical_request(r->cx, &c->rq, &canonical) != ERR_OK ||
        sigv4_string_to_sign(r->cx, date, scope, buf_view(&canonical), &to_sign) != ERR_OK ||
        sigv4_sign(r->cx, &c->rq, scope, date, &cred, &auth) != ERR_OK) {
        set_note(r, "was not signed");
        return false;
    }
    if (strcmp(name, "header-canonical-request.txt") == 0)
        return same_text(r, &canonical, e->bytes, "canonical request");
    if (strcmp(name, "header-string-to-sign.txt") == 0)
        return same_text(r, &to_sign, e->bytes, "string to sign");
    if (strcmp(name, "header-signature.txt") == 0)
        return signature_is(r, buf_view(&auth), e->bytes);
    if (strcmp(name, "header-signed-request.txt") == 0) {
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

enum outcome run_sigv4(struct runner *r, const struct entry *e)
{
    const char *slash = strrchr(e->path, '/'), *name = slash ? slash + 1 : e->path;
    struct sig_case *c = malloc(sizeof *c);
    enum outcome out;

    if (!c || strncmp(name, "query-", 6) == 0) {
        free(c);
        set_note(r, "signatures in the query string are not taken here");
        return SKIPPED;
    }
    if (!load_case(r, e, c)) {
        set_note(r, "request.txt and context.json are not readable");
        out = MISMATCH;
    } else {
        set_note(r, "%s differs", name);
        out = judge_file(r, e, c, name) ? ACCEPTED : MISMATCH;
    }
    drop_case(c);
    free(c);
    return out;
}

/* ---- KMS ---- */

static bool op_of(const char *name, enum kms_op *op)
{
    static const struct {
        const char *name;
        enum kms_op op;
    } ops[] = { { "GenerateDataKey", KMS_GENERATE_DATA_KEY },
                { "Decrypt", KMS_DECRYPT },
                { "GenerateRandom", KMS_GENERATE_RANDOM } };

    for (size_t i = 0; name && i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(ops[i].name, name) == 0) {
            *op = ops[i].op;
            return true;
        }
    return false;
}

static const char *blob(json_t *params, const char *name)
{
    return json_string_value(json_object_get(json_object_get(params, name), "base64"));
}

/* Does what we write agree with botocore's body in every member that both have to send? */
static bool members_agree(struct runner *r, json_t *ours, json_t *theirs)
{
    static const char *const members[] = { "KeyId", "CiphertextBlob", "NumberOfBytes",
                                           "Recipient" };

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *want = json_object_get(theirs, members[i]);
        if (want && !json_equal(want, json_object_get(ours, members[i]))) {
            set_note(r, "%s differs", members[i]);
            return false;
        }
    }
    return true;
}

static bool write_and_compare(struct runner *r, json_t *doc, enum kms_op op)
{
    json_t *params = json_object_get(doc, "params"),
           *recipient = json_object_get(params, "Recipient");
    const char *document = blob(recipient, "AttestationDocument"),
               *sealed = blob(params, "CiphertextBlob");
    AUTO(buf_clear) struct buf raw = BUF_INIT(65536), out = BUF_INIT(1 << 20);
    struct kms_call call = {
        .op = op,
        .key_id = span_str(json_string_value(json_object_get(params, "KeyId"))),
        .ciphertext_blob_b64 = span_str(sealed),
        .number_of_bytes = (unsigned)json_integer_value(json_object_get(params, "NumberOfBytes")),
    };
    struct kms_endpoint ep = { SPAN_LIT("kms.us-east-1.amazonaws.com"), SPAN_LIT("us-east-1") };
    struct sigv4_credentials cred = { SPAN_LIT("AKIDEXAMPLE"), SPAN_LIT("secret"), SPAN_EMPTY };

    if (document && base64_parse(span_str(document), &raw, NULL) != ERR_OK)
        return false;
    call.document = document ? buf_view(&raw) : SPAN_LIT("\x84");
    if (kms_request_write(r->cx, &call, &ep, &cred, 1735689600, &out) != ERR_OK) {
        set_note(r, "was not written");
        return false;
    }
    const char *body = memmem(out.ptr, out.len, "\r\n\r\n", 4);
    json_t *ours =
        body
            ? json_loadb(body + 4, out.len - (size_t)((const uint8_t *)body + 4 - out.ptr), 0, NULL)
            : NULL;
    const char *text = json_string_value(json_object_get(doc, "body"));
    json_t *theirs = text ? json_loads(text, 0, NULL) : NULL;
    const char *target =
        json_string_value(json_object_get(json_object_get(doc, "headers"), "X-Amz-Target"));
    bool good = ours && theirs && members_agree(r, ours, theirs) && target &&
                memmem(out.ptr, out.len, target, strlen(target)) != NULL;
    json_decref(ours);
    json_decref(theirs);
    return good;
}

enum outcome run_kms_request(struct runner *r, const struct entry *e)
{
    json_t *doc = json_loadb((const char *)e->bytes.ptr, e->bytes.len, 0, NULL);
    enum outcome out;
    enum kms_op op;

    set_note(r, "the request that we write differs");
    if (!op_of(value_text(e, "operation"), &op)) {
        set_note(r, "operation %s is not one that an enclave sends", value_text(e, "operation"));
        out = SKIPPED;
    } else {
        out = doc && write_and_compare(r, doc, op) ? ACCEPTED : MISMATCH;
    }
    json_decref(doc);
    return out;
}

static void put_headers(struct buf *raw, json_t *headers, const char *body)
{
    const char *name;
    json_t *value;
    enum err r = ERR_OK;

    json_object_foreach(headers, name, value) if (strcasecmp(name, "content-length") != 0 &&
                                                  json_is_string(value) && r == ERR_OK) r =
        buf_printf(raw, "%s: %s\r\n", name, json_string_value(value));
    if (r == ERR_OK)
        r = buf_printf(raw, "content-length: %zu\r\n\r\n", strlen(body));
    if (r != ERR_OK)
        buf_reset(raw);
}

/* The code that the manifest gives, by the same rule as a client reads it; a status stands for a
 * body without one. */
static bool code_matches(const struct kms_answer *a, const char *want)
{
    struct span code = span_str(want);

    if (want[0] >= '0' && want[0] <= '9')
        return a->error_type.len == 0;
    return span_eq(a->error_type, span_sub(code, 0, span_find(code, ':')));
}

/* A plaintext in an answer is what we refuse on principle, well formed or not. */
static bool answers_unattested(json_t *doc)
{
    const char *text = json_string_value(json_object_get(doc, "body"));
    json_t *body = text ? json_loads(text, 0, NULL) : NULL;
    bool yes = body && !json_string_length(json_object_get(body, "CiphertextForRecipient"));

    json_decref(body);
    return yes;
}

static enum outcome judge_response(struct runner *r, const struct entry *e, json_t *doc,
                                   enum kms_op op)
{
    const char *body = json_string_value(json_object_get(doc, "body")),
               *want = value_text(e, "error_code");
    AUTO(buf_clear) struct buf raw = BUF_INIT(1 << 20);
    struct http1_head *head = malloc(sizeof *head);
    struct kms_answer a = { 0 };
    struct why why = { 0 };
    size_t used;
    enum outcome out = REFUSED;

    if (!head || !body ||
        buf_printf(&raw, "HTTP/1.1 %lld X\r\n",
                   (long long)json_integer_value(json_object_get(doc, "status"))) != ERR_OK) {
        free(head);
        return REFUSED;
    }
    put_headers(&raw, json_object_get(doc, "headers"), body);
    enum err result = http1_response_parse(buf_view(&raw), false, head, &used, &why);
    if (result == ERR_OK)
        result = kms_answer_parse(op, head, span_str(body), &a, &why);
    if (result == ERR_OK) {
        out = !want || code_matches(&a, want) ? ACCEPTED : MISMATCH;
        set_note(r, "error code differs");
    } else if (result == ERR_VERIFY && !want && answers_unattested(doc)) {
        out = ACCEPTED; /* read rightly, and refused for what it lacks */
    } else {
        set_note(r, "refused: %s", why.what ? why.what : err_name(result));
    }
    kms_answer_clear(&a);
    free(head);
    return out;
}

enum outcome run_kms_response(struct runner *r, const struct entry *e)
{
    json_t *doc = json_loadb((const char *)e->bytes.ptr, e->bytes.len, 0, NULL);
    enum outcome out;
    enum kms_op op;

    if (!op_of(value_text(e, "operation"), &op)) {
        set_note(r, "operation %s is not one that an enclave sends", value_text(e, "operation"));
        out = SKIPPED;
    } else {
        out = doc ? judge_response(r, e, doc, op) : REFUSED;
    }
    json_decref(doc);
    return out;
}
