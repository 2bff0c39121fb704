/* error.c - failures as values: one block of memory each, so that nothing of it can be missing. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/handle.h"

enum { N_TEXTS = 8, TEXTS_MAX_BYTES = 1 << 20 };

/* There even when nothing else can be had; never changed, never freed. */
static const struct nitroseal_error no_memory = {
    .status = NITROSEAL_NO_MEMORY,
    .code = "no_memory",
    .text = "out of memory",
};

void nitroseal_error_free(struct nitroseal_error *error)
{
    if (error != &no_memory)
        free(error);
}

const char *nitroseal_version(void)
{
    return NITROSEAL_VERSION;
}

int nitroseal_exit_status(enum nitroseal_status status)
{
    switch (status) {
    case NITROSEAL_OK:
    case NITROSEAL_FAILED:
    case NITROSEAL_INVALID:
    case NITROSEAL_UNREACHABLE:
    case NITROSEAL_REFUSED:
    case NITROSEAL_UNVERIFIED:
    case NITROSEAL_NO_CREDENTIALS:
        return (int)status;
    case NITROSEAL_TIMEOUT:
        return 3;
    case NITROSEAL_NOT_TEXT:
        return 6;
    case NITROSEAL_BUSY:
    case NITROSEAL_NO_MEMORY:
    case NITROSEAL_STOPPED:
        break;
    }
    return 1;
}

enum nitroseal_status lib_no_memory(struct nitroseal_error **error)
{
    /* The caller reads it, and gives it back to nitroseal_error_free(), which knows it. */
    const union {
        const struct nitroseal_error *ours;
        struct nitroseal_error *theirs;
    } e = { &no_memory };

    if (error)
        *error = e.theirs;
    return NITROSEAL_NO_MEMORY;
}

/* `texts` in the order of places(), each with its NUL one after the other in `room`; absent: length
 * 0. */
static enum nitroseal_status make(struct nitroseal_error **error,
                                  const struct nitroseal_error *head,
                                  const size_t lengths[static N_TEXTS], const struct buf *room)
{
    struct nitroseal_error *e = malloc(sizeof *e + room->len);

    if (!e)
        return lib_no_memory(error);
    *e = *head;
    const char **places[N_TEXTS] = { &e->code,           &e->text,      &e->detail,
                                     &e->hint,           &e->kms_type,  &e->kms_message,
                                     &e->kms_request_id, &e->request_id };
    char *at = (char *)(e + 1);
    memcpy(at, room->ptr, room->len);
    for (size_t i = 0; i < N_TEXTS; i++) {
        *places[i] = lengths[i] ? at : NULL;
        at += lengths[i];
    }
    *error = e;
    return head->status;
}

enum nitroseal_status lib_fail(struct nitroseal_error **error, const struct lib_fault *f)
{
    AUTO(buf_clear) struct buf room = BUF_INIT(TEXTS_MAX_BYTES);
    const char *texts[N_TEXTS] = { f->code, f->text, f->detail, f->hint };
    const struct nitroseal_error head = { .status = f->status };
    size_t lengths[N_TEXTS] = { 0 };

    if (!error)
        return f->status;
    for (size_t i = 0; i < N_TEXTS; i++) {
        if (!texts[i])
            continue;
        lengths[i] = strlen(texts[i]) + 1;
        if (buf_append(&room, span_of(texts[i], lengths[i])) != ERR_OK)
            return lib_no_memory(error);
    }
    return make(error, &head, lengths, &room);
}

enum nitroseal_status lib_invalid(struct nitroseal_error **error, const char *text,
                                  const char *detail)
{
    const struct lib_fault f = { NITROSEAL_INVALID, "invalid_argument", text, detail, NULL };

    return lib_fail(error, &f);
}

enum nitroseal_status lib_malformed(struct nitroseal_error **error, const char *detail)
{
    const struct lib_fault f = {
        .status = NITROSEAL_FAILED,
        .code = "malformed_answer",
        .text = "the answer is not one to this request",
        .detail = detail,
        .hint = "is it nitroseald, of a version that fits this library, that answers there?",
    };

    return lib_fail(error, &f);
}

enum nitroseal_status lib_not_text(struct nitroseal_error **error, const char *hint)
{
    const struct lib_fault f = {
        .status = NITROSEAL_NOT_TEXT,
        .code = "not_text",
        .text = "the text is not UTF-8",
        .hint = hint,
    };

    return lib_fail(error, &f);
}

static bool is_one_of(struct json_str code, const char *const *codes)
{
    for (; *codes; codes++)
        if (json_str_is_set(code) && json_str_is(code, *codes))
            return true;
    return false;
}

enum nitroseal_status lib_status_of(const struct client_problem *p)
{
    static const char *const refused[] = { "kms_refused", NULL };
    static const char *const unverified[] = { "text_not_authentic",
                                              "signature_invalid",
                                              "key_mismatch",
                                              "message_not_authentic",
                                              "context_mismatch",
                                              "no_key",
                                              NULL };
    static const char *const later[] = { "busy", "stopping", NULL };
    /* The gateway's, about the enclaves behind it. */
    static const char *const not_reached[] = { "no_enclave", "enclave_unreachable",
                                               "enclave_failed", NULL };
    static const char *const late[] = { "enclave_timeout", NULL };
    static const char *const no_credentials[] = { "no_credentials", NULL };

    if (json_str_is_set(p->kms_type) || is_one_of(p->code, refused))
        return NITROSEAL_REFUSED;
    if (is_one_of(p->code, unverified))
        return NITROSEAL_UNVERIFIED;
    if (is_one_of(p->code, no_credentials))
        return NITROSEAL_NO_CREDENTIALS;
    if (is_one_of(p->code, not_reached))
        return NITROSEAL_UNREACHABLE;
    if (is_one_of(p->code, late))
        return NITROSEAL_TIMEOUT;
    return is_one_of(p->code, later) ? NITROSEAL_BUSY : NITROSEAL_FAILED;
}

/* A proxy on the way may answer with anything. */
static enum nitroseal_status no_problem_document(struct nitroseal_error **error, unsigned status)
{
    char detail[32];
    const struct lib_fault f = {
        .status = status == 503 ? NITROSEAL_BUSY : NITROSEAL_FAILED,
        .code = "http_status",
        .text = "somebody on the way to the service answered in its place",
        .detail = detail,
    };

    snprintf(detail, sizeof detail, "HTTP status %u", status);
    enum nitroseal_status s = lib_fail(error, &f);
    if (error && *error != &no_memory)
        (*error)->http_status = (int)status;
    return s;
}

enum nitroseal_status lib_problem(struct nitroseal_error **error, const struct client_problem *p)
{
    AUTO(buf_clear) struct buf room = BUF_INIT(TEXTS_MAX_BYTES);
    size_t lengths[N_TEXTS] = { 0 };

    if (!json_str_is_set(p->code) || !json_str_is_set(p->title))
        return no_problem_document(error, p->status);
    const struct nitroseal_error head = { .status = lib_status_of(p),
                                          .http_status = (int)p->status,
                                          .retry_after_s = (int)p->retry_after_s };
    const struct json_str texts[N_TEXTS] = { p->code,           p->title,     p->detail,
                                             p->hint,           p->kms_type,  p->kms_message,
                                             p->kms_request_id, p->request_id };
    if (!error)
        return head.status;
    for (size_t i = 0; i < N_TEXTS; i++) {
        size_t before = room.len;
        if (!json_str_is_set(texts[i]))
            continue;
        if (json_str_decode(texts[i], &room) != ERR_OK || buf_append_byte(&room, 0) != ERR_OK)
            return lib_no_memory(error);
        lengths[i] = room.len - before;
    }
    return make(error, &head, lengths, &room);
}
