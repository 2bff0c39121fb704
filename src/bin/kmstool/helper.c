#include "bin/kmstool/helper.h"

#include <sys/socket.h>

#include "io/sys.h"

enum { CONNECT_MS = 1000, ASK_S = 15, ANSWER_MAX_BYTES = 512 << 10 };

void helper_request_clear(struct helper_request *rq)
{
    buf_clear(&rq->text);
    credentials_clear(&rq->cred);
}

enum err helper_request_write(int argc, char **argv, const struct credentials *cred,
                              struct buf *out)
{
    struct json_out w = json_out_init(out);

    if (argc > HELPER_WORDS_MAX)
        return ERR_LIMIT;
    json_out_object(&w);
    json_out_key(&w, "argv");
    json_out_array(&w);
    for (int i = 1; i < argc; i++)
        json_out_string(&w, span_str(argv[i]));
    json_out_array_end(&w);
    json_out_key(&w, "credentials");
    credentials_write(cred, &w);
    json_out_object_end(&w);
    return json_out_end(&w);
}

/* One word, with its NUL; a NUL inside would cut it. */
static enum err take_word(struct json_str s, struct helper_request *rq)
{
    size_t before = rq->text.len;

    enum err r = json_str_decode(s, &rq->text);
    if (r != ERR_OK)
        return r;
    if (span_find(span_from(buf_view(&rq->text), before), 0) != rq->text.len - before)
        return ERR_MALFORMED;
    return buf_append_byte(&rq->text, 0);
}

static enum err take_words(struct json_in *j, struct helper_request *rq)
{
    size_t at[HELPER_WORDS_MAX] = { 0 };

    rq->argc = 1;
    for (json_in_array(j); json_in_element(j);) {
        struct json_str s = json_in_string(j);
        if (j->err != ERR_OK)
            return j->err;
        if (rq->argc == HELPER_WORDS_MAX)
            return ERR_LIMIT;
        at[rq->argc++] = rq->text.len;
        enum err r = take_word(s, rq);
        if (r != ERR_OK)
            return r;
    }
    static char name[] = "kmstool_enclave_cli";
    rq->argv[0] = name;
    for (int i = 1; i < rq->argc; i++) /* the text does not move any more */
        rq->argv[i] = (char *)rq->text.ptr + at[i];
    rq->argv[rq->argc] = NULL;
    return j->err;
}

enum err helper_request_parse(struct span json, struct helper_request *out, struct why *why)
{
    struct json_in j = json_in_init(json);
    struct json_str name;
    enum err words = ERR_MALFORMED;
    bool has_words = false;

    *out = (struct helper_request){ .text = BUF_INIT(HELPER_REQUEST_MAX_BYTES + HELPER_WORDS_MAX) };
    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "argv") && !has_words) {
            has_words = true;
            words = take_words(&j, out);
            if (words != ERR_OK)
                json_in_fail(&j, words, "argv");
        } else {
            json_in_skip(&j);
        }
    }
    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, j.err, j.what, j.pos);
    if (words != ERR_OK)
        return why_fail(why, words, "argv", 0);
    return credentials_parse(json, &out->cred, why);
}

enum err helper_answer_write(const struct outcome *o, struct buf *out)
{
    struct json_out w = json_out_init(out);

    json_out_object(&w);
    json_out_key(&w, "status");
    json_out_uint(&w, (uint64_t)o->status);
    json_out_key(&w, "stdout");
    json_out_string(&w, buf_view(&o->out));
    json_out_key(&w, "stderr");
    json_out_string(&w, buf_view(&o->err));
    json_out_object_end(&w);
    return json_out_end(&w);
}

enum err helper_answer_parse(struct span json, struct outcome *out, struct why *why)
{
    struct json_str name, text = JSON_STR_NONE, err = JSON_STR_NONE;
    struct json_in j = json_in_init(json);
    uint64_t status = KMSTOOL_FAILED;
    bool has_status = false;

    for (json_in_object(&j); json_in_member(&j, &name);) {
        if (json_str_is(name, "status")) {
            status = json_in_uint(&j, KMSTOOL_FAILED);
            has_status = true;
        } else if (json_str_is(name, "stdout")) {
            text = json_in_string(&j);
        } else if (json_str_is(name, "stderr")) {
            err = json_in_string(&j);
        } else {
            json_in_skip(&j);
        }
    }
    if (json_in_end(&j) != ERR_OK)
        return why_fail(why, ERR_MALFORMED, j.what, j.pos);
    if (!has_status || !json_str_is_set(text) || !json_str_is_set(err))
        return why_fail(why, ERR_MALFORMED, "a member is missing", 0);
    if ((status == KMSTOOL_OK) != (text.raw.len > 0))
        return why_fail(why, ERR_MALFORMED, "status and stdout do not agree", 0);
    enum err r = json_str_decode(text, &out->out);
    if (r == ERR_OK)
        r = json_str_decode(err, &out->err);
    if (r != ERR_OK)
        return why_fail(why, r, "too long", 0);
    out->status = (int)status;
    return ERR_OK;
}

static enum err exchange(int fd, struct span request, struct outcome *o, struct why *why)
{
    AUTO(buf_clear) struct buf answer = BUF_INIT(ANSWER_MAX_BYTES);
    uint64_t deadline_ns = clock_mono_ns() + ASK_S * NS_PER_S;

    enum err r = fd_write_all(fd, request, deadline_ns, why);
    if (r == ERR_OK && shutdown(fd, SHUT_WR) != 0)
        r = why_fail(why, ERR_IO, "shutdown", 0);
    if (r == ERR_OK)
        r = fd_read_all(fd, &answer, deadline_ns, why);
    return r == ERR_OK ? helper_answer_parse(buf_view(&answer), o, why) : r;
}

bool helper_ask(const char *path, int argc, char **argv, const struct credentials *cred,
                struct outcome *o)
{
    AUTO(buf_clear) struct buf request = BUF_INIT(HELPER_REQUEST_MAX_BYTES);
    AUTO(fd_close) int fd = -1;
    struct why why = { 0 };
    struct addr at;

    o->status = KMSTOOL_FAILED;
    enum err r = helper_request_write(argc, argv, cred, &request);
    if (r != ERR_OK)
        r = why_fail(&why, r, "takes UTF-8 only, and not so many words", 0);
    if (r == ERR_OK)
        r = addr_unix(path, &at, &why);
    if (r == ERR_OK)
        r = addr_connect(&at, clock_mono_ns() + CONNECT_MS * NS_PER_MS, &fd, &why);
    if (r != ERR_OK) {
        err_line(&o->err, "note: KMSTOOL_SOCKET %.256s: %s; doing without the helper", path,
                 why.what ? why.what : err_name(r));
        return false;
    }
    r = exchange(fd, buf_view(&request), o, &why);
    if (r != ERR_OK) {
        o->status = KMSTOOL_FAILED;
        buf_reset(&o->out);
        err_line(&o->err, "no answer of the helper at %.256s: %s", path,
                 why.what ? why.what : err_name(r));
    }
    return true;
}
