/* batch.c - many seed messages in one request. */
#include "client/batch.h"

static void put_member(struct json_out *w, const char *name, struct span text)
{
    json_out_key(w, name);
    json_out_string(w, text);
}

static void put_credentials(struct json_out *w, const struct proto_credentials *cred)
{
    json_out_key(w, "credentials");
    json_out_object(w);
    put_member(w, "access_key_id", cred->access_key_id);
    put_member(w, "secret_access_key", cred->secret_access_key);
    if (cred->session_token.len)
        put_member(w, "session_token", cred->session_token);
    json_out_object_end(w);
}

static void put_item(struct json_out *w, const struct client_item *i)
{
    json_out_object(w);
    if (i->op == PROTO_ENCRYPT) {
        put_member(w, "operation", SPAN_LIT("encrypt"));
        put_member(w, "message", i->text);
    } else {
        put_member(w, "operation", SPAN_LIT("decrypt"));
        put_member(w, "encrypted", i->encrypted);
        put_member(w, "signature", i->signature);
        put_member(w, "ciphertext_blob", i->ciphertext_blob);
    }
    json_out_object_end(w);
}

enum err client_batch_write(struct buf *out, const struct proto_credentials *cred,
                            const struct client_item *items, size_t n)
{
    AUTO(buf_clear) struct buf body = BUF_INIT(CLIENT_BODY_MAX_BYTES);
    struct json_out w = json_out_init(&body);

    if (n < 1 || n > CLIENT_BATCH_MAX_ITEMS)
        return ERR_LIMIT;
    json_out_object(&w);
    json_out_key(&w, "items");
    json_out_array(&w);
    for (size_t i = 0; i < n; i++)
        put_item(&w, &items[i]);
    json_out_array_end(&w);
    if (cred)
        put_credentials(&w, cred);
    json_out_object_end(&w);
    enum err r = json_out_end(&w);
    return r == ERR_OK ? client_json_write(out, "POST", "/v1/batch", buf_view(&body)) : r;
}

/* Elements of the array under the cursor, no more than there is room for. */
static size_t take_results(struct json_in *j, struct span *results, size_t room)
{
    size_t n = 0;

    for (json_in_array(j); json_in_element(j); n++) {
        struct span value = json_in_skip(j);
        if (n < room)
            results[n] = value;
    }
    return n;
}

enum err client_batch_parse(const struct client_reader *r, struct span *results, size_t n,
                            struct why *why)
{
    struct json_in j = json_in_init(buf_view(&r->body));
    struct json_str name;
    size_t found = 0;

    if (r->head.status != 200)
        return why_fail(why, ERR_MALFORMED, "status other than 200", 0);
    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "results"))
            found = take_results(&j, results, n);
        else
            (void)json_in_skip(&j);
    }
    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, j.err, j.what, j.pos);
    if (found != n)
        return why_fail(why, ERR_MALFORMED, "another number of results than of items", 0);
    return ERR_OK;
}

enum err client_result_parse(struct span result, enum proto_op op, struct client_result *out,
                             struct why *why)
{
    struct client_result r = { .is_problem = false };
    enum err e = client_problem_read(result, &r.problem);

    if (e != ERR_OK)
        return why_fail(why, e, "a result that is no object", 0);
    r.is_problem = json_str_is_set(r.problem.code) && json_str_is_set(r.problem.title);
    if (!r.is_problem) {
        e = proto_answer_parse(result, op, &r.answer, why);
        if (e != ERR_OK)
            return e;
        if (json_str_is_set(r.answer.error))
            return why_fail(why, ERR_MALFORMED, "an error that is no problem document", 0);
    }
    *out = r;
    return ERR_OK;
}
