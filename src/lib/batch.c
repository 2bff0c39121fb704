/* batch.c - many seed messages in one request. */
#include "client/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/handle.h"

void nitroseal_results_clear(struct nitroseal_result *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        nitroseal_message_clear(&results[i].message);
        nitroseal_bytes_clear(&results[i].text);
        nitroseal_error_free(results[i].error);
        results[i] = (struct nitroseal_result){ .status = NITROSEAL_OK };
    }
}

/* A batch under way: arrays of n. */
struct work {
    size_t n;
    struct client_item *items;
    struct span *answers;
    struct nitroseal_result *results;
};

static void work_clear(struct work *w)
{
    if (w->results)
        nitroseal_results_clear(w->results, w->n);
    free(w->items);
    free(w->answers);
    free(w->results);
}

static bool work_make(struct work *w, size_t n)
{
    *w = (struct work){ .n = n,
                        .items = calloc(n, sizeof *w->items),
                        .answers = calloc(n, sizeof *w->answers),
                        .results = calloc(n, sizeof *w->results) };
    return w->items && w->answers && w->results;
}

/* Which one it was that cannot be sent. */
static enum nitroseal_status item_fault(struct nitroseal_error **error, size_t at, bool is_text,
                                        const char *what)
{
    char detail[80];

    snprintf(detail, sizeof detail, "item %zu: %s", at, what);
    return is_text ? lib_not_text(error, detail)
                   : lib_invalid(error, "an item of the batch is wrong", detail);
}

static enum nitroseal_status read_item(struct nitroseal_error **error, size_t at,
                                       const struct nitroseal_item *in, struct client_item *out)
{
    const char *texts[] = { in->encrypted, in->signature, in->ciphertext_blob };
    struct span values[3] = { SPAN_EMPTY, SPAN_EMPTY, SPAN_EMPTY };

    if (in->operation == NITROSEAL_ENCRYPT) {
        if (!in->text && in->len > 0)
            return item_fault(error, at, false, "its text is NULL");
        if (!span_is_utf8(span_of(in->text, in->len)))
            return item_fault(error, at, true, "it is not UTF-8");
        *out = (struct client_item){ .op = PROTO_ENCRYPT, .text = span_of(in->text, in->len) };
        return NITROSEAL_OK;
    }
    if (in->operation != NITROSEAL_DECRYPT)
        return item_fault(error, at, false, "no such operation");
    for (size_t i = 0; i < 3; i++) {
        if (!texts[i])
            return item_fault(error, at, false, "a value is NULL");
        values[i] = span_str(texts[i]);
        if (!span_is_utf8(values[i]))
            return item_fault(error, at, true, "a value is not UTF-8");
    }
    *out = (struct client_item){ PROTO_DECRYPT, SPAN_EMPTY, values[0], values[1], values[2] };
    return NITROSEAL_OK;
}

/* One result. What the service refused is a result, too; what is none fails the whole. */
static enum nitroseal_status write_result(struct lib_call *c, struct span answer, enum proto_op op,
                                          struct nitroseal_result *out)
{
    struct client_result r;
    struct why why = { 0 };

    if (client_result_parse(answer, op, &r, &why) != ERR_OK)
        return lib_malformed(c->error, why.what);
    if (r.is_problem)
        out->status = lib_problem(&out->error, &r.problem);
    else if (op == PROTO_ENCRYPT)
        out->status = lib_message(&out->error, &r.answer, &out->message);
    else
        out->status = lib_opened(&out->error, &r.answer, &out->text);
    /* Half of the results is worse than none: memory may be there for the next try. */
    return out->status == NITROSEAL_NO_MEMORY ? lib_no_memory(c->error) : NITROSEAL_OK;
}

static enum nitroseal_status ask(struct lib_call *c, struct work *w)
{
    struct proto_credentials room;
    struct why why = { 0 };
    enum nitroseal_status s = lib_call_run(
        c, client_batch_write(&c->request, lib_credentials(c->ns, &room), w->items, w->n));

    if (s != NITROSEAL_OK)
        return s;
    if (client_batch_parse(&c->ns->reader, w->answers, w->n, &why) != ERR_OK)
        return lib_malformed(c->error, why.what);
    for (size_t i = 0; i < w->n && s == NITROSEAL_OK; i++)
        s = write_result(c, w->answers[i], w->items[i].op, &w->results[i]);
    return s;
}

enum nitroseal_status nitroseal_batch(struct nitroseal *ns, const struct nitroseal_item *items,
                                      size_t n, struct nitroseal_result *results, long timeout_ms,
                                      struct nitroseal_error **error)
{
    AUTO(lib_call_end) struct lib_call c = { 0 };
    AUTO(work_clear) struct work w = { 0 };

    if (!items || !results || n < 1 || n > CLIENT_BATCH_MAX_ITEMS)
        return lib_invalid(error, "a batch takes 1 to 1,000 items, and a place for as many results",
                           NULL);
    if (!work_make(&w, n))
        return lib_no_memory(error);
    for (size_t i = 0; i < n; i++) {
        enum nitroseal_status r = read_item(error, i, &items[i], &w.items[i]);
        if (r != NITROSEAL_OK)
            return r;
    }
    enum nitroseal_status s = lib_call_begin(&c, ns, timeout_ms, error);
    if (s == NITROSEAL_OK)
        s = ask(&c, &w);
    if (s != NITROSEAL_OK)
        return s;
    memcpy(results, w.results, n * sizeof *results);
    memset(w.results, 0, n * sizeof *w.results); /* they are the caller's now */
    return NITROSEAL_OK;
}
