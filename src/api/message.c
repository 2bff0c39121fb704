/* message.c - the headers of /v1/messages/...: pairs of an encryption context, suite, frame length.
 */
#include "api/api.h"
#include "base/percent.h"

enum { FRAME_LENGTH_MAX = 1 << 20 };

static enum err refuse(struct api_fault *fault, const char *title, const char *detail)
{
    *fault = (struct api_fault){ .code = "invalid_request", .title = title, .detail = detail };
    return ERR_MALFORMED;
}

/* One side of NAME=VALUE, decoded into `text` (reserved: it does not move). */
static enum err decode(struct span in, struct buf *text, struct span *out)
{
    size_t at = text->len;

    while (in.len) {
        int c = percent_next(&in);
        if (c < 0)
            return ERR_MALFORMED;
        enum err r = buf_append_byte(text, (uint8_t)c);
        if (r != ERR_OK)
            return r;
    }
    *out = span_from(buf_view(text), at);
    return span_is_utf8(*out) ? ERR_OK : ERR_MALFORMED;
}

static enum err take_pair(struct span value, struct buf *text, struct esdk_pair *pairs, size_t *n,
                          struct api_fault *fault)
{
    struct span rest = value;
    struct span name = span_cut(&rest, '=');

    if (*n == API_PAIRS_MAX)
        return refuse(fault, "Encryption context has too many pairs", "at most 64");
    if (!rest.ptr || name.len == 0)
        return refuse(fault, "Header of an encryption context is not NAME=VALUE", NULL);
    enum err r = decode(name, text, &pairs[*n].key);
    if (r == ERR_OK)
        r = decode(rest, text, &pairs[*n].value);
    if (r == ERR_MALFORMED)
        return refuse(fault, "Header of an encryption context is not percent-encoded UTF-8", NULL);
    if (r == ERR_LIMIT)
        return refuse(fault, "Encryption context is too long", "at most 16384 bytes");
    if (r == ERR_OK)
        (*n)++;
    return r;
}

static bool parse_suite(struct span s, unsigned *out)
{
    if (span_eq_nocase(s, SPAN_LIT("0x0478")))
        *out = ESDK_SUITE_COMMITTING;
    else if (span_eq_nocase(s, SPAN_LIT("0x0578")))
        *out = ESDK_SUITE_SIGNED;
    else
        return false;
    return true;
}

static enum err take_header(const struct http1_header *h, struct api_message *m,
                            struct api_fault *fault)
{
    uint64_t n = 0;

    if (span_eq_nocase(h->name, SPAN_LIT("nitroseal-encryption-context")))
        return take_pair(h->value, &m->text, m->context, &m->n_context, fault);
    if (span_eq_nocase(h->name, SPAN_LIT("nitroseal-require-context")))
        return take_pair(h->value, &m->text, m->required, &m->n_required, fault);
    if (span_eq_nocase(h->name, SPAN_LIT("nitroseal-key-id")))
        m->key_id = h->value;
    if (span_eq_nocase(h->name, SPAN_LIT("nitroseal-suite")) && !parse_suite(h->value, &m->suite))
        return refuse(fault, "Header Nitroseal-Suite is not a suite that is written here",
                      "0x0478 and 0x0578 are");
    if (span_eq_nocase(h->name, SPAN_LIT("nitroseal-frame-length"))) {
        if (span_to_u64(h->value, FRAME_LENGTH_MAX, &n) != ERR_OK || n == 0)
            return refuse(fault, "Header Nitroseal-Frame-Length is not from 1 to 1048576", NULL);
        m->frame_length = (uint32_t)n;
    }
    return ERR_OK;
}

static bool is_pair(const struct http1_header *h)
{
    return span_eq_nocase(h->name, SPAN_LIT("nitroseal-encryption-context")) ||
           span_eq_nocase(h->name, SPAN_LIT("nitroseal-require-context"));
}

/* At least what the pairs become: decoding makes nothing longer. */
static enum err reserve_text(const struct http1_head *head, struct buf *text)
{
    size_t sum = 0;
    uint8_t *room;

    for (size_t i = 0; i < head->n_headers; i++)
        sum += is_pair(&head->headers[i]) ? head->headers[i].value.len : 0;
    return buf_reserve(text, sum < text->max ? sum : text->max, &room);
}

enum err api_message_parse(const struct http1_head *head, struct api_message *out,
                           struct api_fault *fault)
{
    out->n_context = out->n_required = 0;
    out->suite = 0;
    out->frame_length = 0;
    out->key_id = SPAN_EMPTY;
    out->text = BUF_INIT(API_PAIR_TEXT_MAX_BYTES);
    enum err r = reserve_text(head, &out->text);
    for (size_t i = 0; i < head->n_headers && r == ERR_OK; i++)
        r = take_header(&head->headers[i], out, fault);
    return r;
}

enum err api_pair_write(struct buf *out, const struct esdk_pair *pair)
{
    size_t before = out->len;
    enum err r = percent_append(out, pair->key);

    if (r == ERR_OK)
        r = buf_append_byte(out, '=');
    if (r == ERR_OK)
        r = percent_append(out, pair->value);
    if (r != ERR_OK)
        buf_truncate(out, before);
    return r;
}
