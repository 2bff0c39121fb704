/* judge.c - every answer against what was asked, in full. */
#include <stdio.h>

#include "base/base64.h"
#include "http1/http1.h"
#include "load.h"

enum { SAID_MAX = 10, NOTE = 400, ENVELOPE_BYTES = 28 /* IV and tag */, SIGNATURE_BYTES = 32 };

static const char *const kind_names[ASK_KINDS] = {
    [ASK_ENCRYPT] = "encrypt",
    [ASK_DECRYPT] = "decrypt",
    [ASK_ATTEST] = "attest",
    [ASK_RANDOM] = "random",
    [ASK_HEALTH] = "health",
    [ASK_ALTERED_TEXT] = "decrypt of an altered text",
    [ASK_ALTERED_SIGNATURE] = "decrypt with an altered signature",
    [ASK_GARBAGE] = "garbage",
    [ASK_BATCH] = "batch",
};

static void complain_of(struct client *c, const struct ask *a, const char *what, const char *why,
                        struct span bytes)
{
    if (c->l->t.said++ >= SAID_MAX)
        return;
    fprintf(stderr, "%s: client %u, request %llu, %s of %zu bytes: %s: %.*s\n", what, c->index,
            (unsigned long long)(a ? a->number : 0), a ? kind_names[a->kind] : "?",
            a ? a->text.bytes : 0, why, (int)(bytes.len < NOTE ? bytes.len : NOTE),
            bytes.ptr ? (const char *)bytes.ptr : "");
}

unsigned ask_weight(const struct ask *a)
{
    return a->n_items ? a->n_items : 1;
}

static void wrong(struct client *c, const struct ask *a, const char *why, struct span bytes)
{
    c->l->t.wrong += ask_weight(a);
    complain_of(c, a, "wrong", why, bytes);
}

void judge_lost(struct client *c, const struct ask *a, const char *why)
{
    c->l->t.lost += ask_weight(a);
    complain_of(c, a, "lost", why, SPAN_EMPTY);
}

void judge_twice(struct client *c, const char *why, struct span bytes)
{
    c->l->t.twice++;
    complain_of(c, NULL, "twice", why, bytes);
}

void judge_gone(struct client *c, const struct ask *a)
{
    c->l->t.gone += ask_weight(a);
}

static uint64_t age_us(const struct ask *a)
{
    return (clock_mono_ns() - a->start_ns) / 1000;
}

static void good(struct client *c, const struct ask *a, size_t bytes)
{
    c->l->t.good++;
    c->l->t.bytes += bytes;
    histogram_add(&c->l->t.good_us, age_us(a));
}

/* A refusal: the one that was to come, or a failure with a code that the protocol has. */
static void refusal(struct client *c, const struct ask *a, struct span code, struct span bytes)
{
    static const char *const expected[ASK_KINDS] = {
        [ASK_ALTERED_TEXT] = "text_not_authentic",
        [ASK_ALTERED_SIGNATURE] = "signature_invalid",
        [ASK_GARBAGE] = "invalid_json",
    };
    int i = code_find(code);

    if (i < 0) {
        wrong(c, a, "an error without a code that is known", bytes);
        return;
    }
    if (expected[a->kind] && span_is(code, expected[a->kind])) {
        c->l->t.refused++;
        histogram_add(&c->l->t.failed_us, age_us(a));
        return;
    }
    c->l->t.failed++;
    c->l->t.by_code[i]++;
    histogram_add(&c->l->t.failed_us, age_us(a));
}

static bool is_text(struct client *c, const struct ask *a, struct span text, const char **why)
{
    static char note[NOTE];
    struct load *l = c->l;

    struct span expected;
    if (ask_text(l, a, &l->expected, &expected) != ERR_OK) {
        *why = "no memory to compare";
        return false;
    }
    if (span_eq(expected, text))
        return true;
    char whose[NOTE / 2];
    text_describe(text, whose, sizeof whose);
    snprintf(note, sizeof note,
             "another text came back: %s; expected that of client %u, request %llu", whose,
             a->text.client, (unsigned long long)a->text.number);
    *why = note;
    return false;
}

static bool keep(struct client *c, const struct ask *a, struct span encrypted,
                 struct span signature, struct span blob)
{
    AUTO(buf_clear) struct buf mac = BUF_INIT(64);
    struct sealed s = {
        .text = a->text,
        .encrypted = BUF_INIT(encrypted.len),
        .signature = BUF_INIT(signature.len),
        .blob = BUF_INIT(blob.len),
    };
    bool is_whole = encrypted.len == a->text.bytes + ENVELOPE_BYTES && blob.len > 0 &&
                    base64_parse(signature, &mac, NULL) == ERR_OK && mac.len == SIGNATURE_BYTES;

    if (is_whole && c->l->o.is_same && c->l->n_sealed) /* one of them is enough */
        return true;
    if (!is_whole || buf_append(&s.encrypted, encrypted) != ERR_OK ||
        buf_append(&s.signature, signature) != ERR_OK || buf_append(&s.blob, blob) != ERR_OK) {
        buf_clear(&s.encrypted);
        buf_clear(&s.signature);
        buf_clear(&s.blob);
        return false;
    }
    load_keep(c->l, &s);
    return true;
}

static bool has_nonce(const struct ask *a, struct span document)
{
    uint8_t nonce[NONCE_BYTES];

    nonce_of(a, nonce);
    return document.len > NONCE_BYTES &&
           memmem(document.ptr, document.len, nonce, NONCE_BYTES) != NULL;
}

/* An answer object with the result of an operation. */
static bool object_fits(struct client *c, const struct ask *a, const struct proto_answer *p,
                        const char **why)
{
    struct load *l = c->l;
    struct span text;

    buf_reset(&l->scratch);
    *why = "not an answer to this";
    if (a->kind == ASK_DECRYPT || (a->kind == ASK_ALTERED_SIGNATURE && a->form == FORM_SEED))
        return p->signature_valid == (a->kind == ASK_DECRYPT) &&
               json_str_view(p->decrypted, &l->scratch, &text) == ERR_OK &&
               is_text(c, a, text, why);
    if (a->kind == ASK_ATTEST)
        return base64_parse(p->document.raw, &l->scratch, NULL) == ERR_OK &&
               has_nonce(a, buf_view(&l->scratch));
    if (a->kind != ASK_ENCRYPT)
        return false;
    if (a->form == FORM_SEED &&
        (json_str_view(p->plaintext, &l->scratch, &text) != ERR_OK || !is_text(c, a, text, why)))
        return false;
    buf_reset(&l->scratch);
    return base64_parse(p->encrypted.raw, &l->scratch, NULL) == ERR_OK &&
           keep(c, a, buf_view(&l->scratch), p->signature.raw, p->ciphertext_blob.raw);
}

static enum proto_op proto_op_of(enum ask_kind k)
{
    return k == ASK_ATTEST ? PROTO_ATTEST
           : k == ASK_DECRYPT || k == ASK_ALTERED_TEXT || k == ASK_ALTERED_SIGNATURE
               ? PROTO_DECRYPT
               : PROTO_ENCRYPT;
}

void judge_seed(struct client *c, const struct ask *a, struct span in)
{
    struct proto_answer p;
    struct why why = { 0 };
    const char *what;

    if (in.len == 0) {
        judge_lost(c, a, "the connection ended without an answer");
        return;
    }
    if (proto_answer_parse(in, proto_op_of(a->kind), &p, &why) != ERR_OK) {
        wrong(c, a, why.what, in);
        return;
    }
    if (!tally_id(&c->l->t, p.request_id.raw))
        judge_twice(c, "a request id that has been seen, or none", in);
    if (json_str_is_set(p.error)) {
        refusal(c, a, p.error_code.raw, in);
        return;
    }
    if (object_fits(c, a, &p, &what))
        good(c, a, a->text.bytes);
    else
        wrong(c, a, what, in);
}

/* --- HTTP --- */

struct problem {
    struct json_str type, code, request_id;
    uint64_t status;
    bool has_title;
};

static bool problem_parse(struct span in, struct problem *out)
{
    struct json_in j = json_in_init(in);
    struct json_str name;
    struct problem p = { 0 };

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "type"))
            p.type = json_in_string(&j);
        else if (json_str_is(name, "code"))
            p.code = json_in_string(&j);
        else if (json_str_is(name, "request_id"))
            p.request_id = json_in_string(&j);
        else if (json_str_is(name, "status"))
            p.status = json_in_uint(&j, 999);
        else if (json_str_is(name, "title"))
            p.has_title = json_in_string(&j).raw.len > 0;
        else
            json_in_skip(&j);
    }
    *out = p;
    return json_in_end(&j) == ERR_OK;
}

/* True if it is a whole one; NULL: nothing is wrong with it. */
static const char *problem_fault(const struct problem *p)
{
    int i = code_find(p->code.raw);
    struct span type = p->type.raw;

    if (i < 0)
        return "a problem without a code that is known";
    if (!span_starts(type, "urn:nitroseal:error:") ||
        !span_eq(span_from(type, sizeof "urn:nitroseal:error:" - 1), p->code.raw))
        return "the problem's type does not name its code";
    bool is_also_400 = span_is(p->code.raw, "invalid_utf8") && p->status == 400;
    if (p->status != code_status(i) && !is_also_400)
        return "the problem's status is not that of its code";
    return p->has_title ? NULL : "a problem without a title";
}

static void judge_problem(struct client *c, const struct ask *a, const struct http1_head *head,
                          struct span body, struct span id)
{
    struct problem p;
    const char *fault;
    struct span type = http1_header_get(head, "Content-Type");

    if (!span_starts(type, "application/problem+json") || !problem_parse(body, &p)) {
        wrong(c, a, "a status that is no success, and no problem document", body);
        return;
    }
    fault = problem_fault(&p);
    if (!fault && p.status != head->status)
        fault = "the problem's status is not the answer's";
    if (!fault && head->status == 503 && !http1_header_get(head, "Retry-After").ptr)
        fault = "503 without Retry-After";
    if (!fault && !span_eq(p.request_id.raw, id))
        fault = "head and body name two request ids";
    if (fault) {
        wrong(c, a, fault, body);
        return;
    }
    if (a->kind != ASK_BATCH) {
        refusal(c, a, p.code.raw, body);
        return;
    }
    for (unsigned i = 0; i < a->n_items; i++) {
        a->items[i].start_ns = a->start_ns;
        refusal(c, &a->items[i], p.code.raw, body);
    }
}

static void judge_item(struct client *c, struct ask *item, const struct ask *batch,
                       struct span result)
{
    struct proto_answer p;
    struct problem problem;
    const char *what = "not an answer to this";

    item->start_ns = batch->start_ns;
    item->form = FORM_JSON;
    if (problem_parse(result, &problem) && json_str_is_set(problem.code)) {
        const char *fault = problem_fault(&problem);
        if (fault)
            wrong(c, item, fault, result);
        else
            refusal(c, item, problem.code.raw, result);
        return;
    }
    if (proto_answer_parse(result, proto_op_of(item->kind), &p, NULL) == ERR_OK &&
        object_fits(c, item, &p, &what))
        good(c, item, item->text.bytes);
    else
        wrong(c, item, what, result);
}

static void judge_batch(struct client *c, const struct ask *a, struct span body)
{
    struct json_in j = json_in_init(body);
    struct json_str name;
    unsigned n = 0;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (!json_str_is(name, "results")) {
            json_in_skip(&j);
            continue;
        }
        for (json_in_array(&j); json_in_element(&j);) {
            struct span result = json_in_skip(&j);
            if (j.err == ERR_OK && n < a->n_items)
                judge_item(c, &a->items[n], a, result);
            n++;
        }
    }
    if (json_in_end(&j) != ERR_OK) {
        complain_of(c, a, "wrong", j.what, body);
        c->l->t.wrong += a->n_items > n ? a->n_items - n : 1;
        return;
    }
    for (unsigned i = n; i < a->n_items; i++)
        judge_lost(c, &a->items[i], "the batch has no result for it");
    if (n > a->n_items)
        judge_twice(c, "a batch with more results than items", body);
}

static bool binary_fits(struct client *c, const struct ask *a, const struct http1_head *head,
                        struct span body, const char **why)
{
    *why = "not an answer to this";
    switch (a->kind) {
    case ASK_ENCRYPT:
        return keep(c, a, body, http1_header_get(head, "Nitroseal-Signature"),
                    http1_header_get(head, "Nitroseal-Ciphertext-Blob"));
    case ASK_DECRYPT:
        return is_text(c, a, body, why);
    case ASK_ATTEST:
        return has_nonce(a, body);
    case ASK_RANDOM:
        return body.len == a->text.bytes % 65536 + 1;
    case ASK_HEALTH:
    case ASK_ALTERED_TEXT:
    case ASK_ALTERED_SIGNATURE:
    case ASK_GARBAGE:
    case ASK_BATCH:
    case ASK_KINDS:
        break;
    }
    return false;
}

static bool random_fits(struct client *c, const struct ask *a, struct span body)
{
    struct json_in j = json_in_init(body);
    struct json_str name, random = JSON_STR_NONE;

    for (json_in_object(&j); json_in_member(&j, &name);)
        if (json_str_is(name, "random"))
            random = json_in_string(&j);
        else
            json_in_skip(&j);
    buf_reset(&c->l->scratch);
    return json_in_end(&j) == ERR_OK && base64_parse(random.raw, &c->l->scratch, NULL) == ERR_OK &&
           c->l->scratch.len == a->text.bytes % 65536 + 1;
}

static bool json_fits(struct client *c, const struct ask *a, struct span body, struct span id,
                      const char **why)
{
    struct proto_answer p;

    *why = "not an answer to this";
    if (a->kind == ASK_RANDOM)
        return random_fits(c, a, body);
    if (proto_answer_parse(body, proto_op_of(a->kind), &p, NULL) != ERR_OK)
        return false;
    if (!span_eq(p.request_id.raw, id)) {
        *why = "head and body name two request ids";
        return false;
    }
    return object_fits(c, a, &p, why);
}

void judge_http(struct client *c, const struct ask *a, const struct http1_head *head,
                struct span body)
{
    struct span id = http1_header_get(head, "Nitroseal-Request-Id");
    const char *why = "not an answer to this";
    bool fits;

    /* The bare echo that `./bench` compares with has no ids. */
    if ((a->kind != ASK_HEALTH || id.ptr) && !tally_id(&c->l->t, id))
        judge_twice(c, "a request id that has been seen, or none", id);
    if (head->status != 200) {
        judge_problem(c, a, head, body, id);
        return;
    }
    if (a->kind == ASK_BATCH) {
        judge_batch(c, a, body);
        return;
    }
    if (a->kind == ASK_HEALTH)
        fits = span_starts(body, "{\"status\":\"ok\"");
    else if (a->form == FORM_BINARY)
        fits = binary_fits(c, a, head, body, &why);
    else
        fits = json_fits(c, a, body, id, &why);
    if (fits)
        good(c, a, a->text.bytes);
    else
        wrong(c, a, why, body);
}
