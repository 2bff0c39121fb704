#include "http1/http1.h"

enum { LEADING_LINES_MAX = 4, LINE_MAX = 16384 };

enum char_class { TOKEN = 1, TARGET = 2, VALUE = 4 };

/* RFC 9110 section 5.6.2 (token), RFC 3986 (target: any visible ASCII, as clients are lax), RFC
 * 9110 section 5.5 (field value). One bit for each character below 128. */
static unsigned class_of(uint8_t c)
{
    static const uint64_t token[2] = { 0x03ff6cfa00000000, 0x57ffffffc7fffffe };

    if (c == '\t' || c == ' ' || c >= 0x80)
        return VALUE;
    if (c < 0x21 || c == 0x7f)
        return 0;
    return TARGET | VALUE | (token[c >> 6] >> (c & 63) & TOKEN);
}

static bool all_of(struct span s, unsigned class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(class_of(s.ptr[i]) & class))
            return false;
    return true;
}

/* Methods that are registered or in use; anything else is not HTTP that we want to guess about. */
static bool is_method(struct span s)
{
    static const char *const methods[] = {
        "GET",    "POST",     "HEAD",      "PUT",        "DELETE",     "OPTIONS", "PATCH",
        "TRACE",  "CONNECT",  "ACL",       "BIND",       "CHECKOUT",   "COPY",    "LINK",
        "LOCK",   "M-SEARCH", "MERGE",     "MKACTIVITY", "MKCALENDAR", "MKCOL",   "MOVE",
        "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE",      "QUERY",      "REBIND",  "REPORT",
        "SEARCH", "SOURCE",   "SUBSCRIBE", "UNBIND",     "UNLINK",     "UNLOCK",  "UNSUBSCRIBE",
    };

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (span_is(s, methods[i]))
            return true;
    return false;
}

/* One line of the head without its CRLF; *at moves behind it. */
static enum err next_line(struct span in, size_t *at, struct span *line, struct why *why)
{
    struct span rest = span_from(in, *at);
    size_t n = span_find(rest, '\n');

    if (n == rest.len) {
        if (in.len >= HTTP1_HEAD_MAX || rest.len > LINE_MAX)
            return why_fail(why, ERR_LIMIT, "head too long", *at);
        if (span_find(rest, '\r') + 1 < rest.len)
            return why_fail(why, ERR_MALFORMED, "bare carriage return", *at);
        return ERR_MORE;
    }
    if (*at + n + 1 > HTTP1_HEAD_MAX || n > LINE_MAX)
        return why_fail(why, ERR_LIMIT, "head too long", *at);
    if (n == 0 || rest.ptr[n - 1] != '\r')
        return why_fail(why, ERR_MALFORMED, "line feed without carriage return", *at + n);
    *line = span_sub(rest, 0, n - 1);
    if (span_find(*line, '\r') != line->len)
        return why_fail(why, ERR_MALFORMED, "bare carriage return", *at);
    *at += n + 1;
    return ERR_OK;
}

static enum err skip_empty_lines(struct span in, size_t *at, struct span *line, struct why *why)
{
    for (int i = 0; i <= LEADING_LINES_MAX; i++) {
        enum err r = next_line(in, at, line, why);
        if (r != ERR_OK || line->len > 0)
            return r;
    }
    return why_fail(why, ERR_MALFORMED, "empty lines before the message", *at);
}

static bool parse_version(struct span s, unsigned *minor)
{
    if (s.len != 8 || !span_starts(s, "HTTP/1.") || (s.ptr[7] != '0' && s.ptr[7] != '1'))
        return false;
    *minor = (unsigned)(s.ptr[7] - '0');
    return true;
}

static enum err parse_request_line(struct span line, struct http1_head *h, struct why *why)
{
    struct span rest = line;

    h->method = span_cut(&rest, ' ');
    h->target = span_cut(&rest, ' ');
    if (!is_method(h->method))
        return why_fail(why, ERR_MALFORMED, "method", 0);
    if (h->target.len == 0 || !all_of(h->target, TARGET))
        return why_fail(why, ERR_MALFORMED, "request target", 0);
    if (!rest.ptr || !parse_version(rest, &h->minor))
        return why_fail(why, ERR_MALFORMED, "HTTP version", 0);
    return ERR_OK;
}

static enum err parse_status_line(struct span line, struct http1_head *h, struct why *why)
{
    struct span rest = line;
    struct span version = span_cut(&rest, ' ');
    struct span status = span_cut(&rest, ' ');
    uint64_t v = 0;

    if (!parse_version(version, &h->minor))
        return why_fail(why, ERR_MALFORMED, "HTTP version", 0);
    if (status.len != 3 || span_to_u64(status, 599, &v) != ERR_OK || v < 100)
        return why_fail(why, ERR_MALFORMED, "status code", 0);
    if (!all_of(rest, VALUE))
        return why_fail(why, ERR_MALFORMED, "reason phrase", 0);
    h->status = (unsigned)v;
    h->reason = rest;
    return ERR_OK;
}

static enum err parse_field(struct span line, struct http1_header *out, struct why *why, size_t at)
{
    struct span rest = line;
    struct span name = span_cut(&rest, ':');

    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return why_fail(why, ERR_MALFORMED, "folded header line", at);
    if (!rest.ptr || name.len == 0 || !all_of(name, TOKEN))
        return why_fail(why, ERR_MALFORMED, "header name", at);
    if (!all_of(rest, VALUE))
        return why_fail(why, ERR_MALFORMED, "header value", at);
    *out = (struct http1_header){ .name = name, .value = span_trim(rest) };
    return ERR_OK;
}

static enum err parse_fields(struct span in, size_t *at, struct http1_head *h, struct why *why)
{
    for (;;) {
        size_t start = *at;
        struct span line;
        enum err r = next_line(in, at, &line, why);
        if (r != ERR_OK || line.len == 0)
            return r;
        if (h->n_headers == HTTP1_HEADERS_MAX)
            return why_fail(why, ERR_LIMIT, "too many headers", start);
        r = parse_field(line, &h->headers[h->n_headers], why, start);
        if (r != ERR_OK)
            return r;
        h->n_headers++;
    }
}

struct span http1_header_get(const struct http1_head *h, const char *name)
{
    for (size_t i = 0; i < h->n_headers; i++)
        if (span_eq_nocase(h->headers[i].name, span_str(name)))
            return h->headers[i].value;
    return SPAN_EMPTY;
}

static size_t count_header(const struct http1_head *h, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n_headers; i++)
        n += span_eq_nocase(h->headers[i].name, span_str(name));
    return n;
}

/* Is `token` among the comma-separated ones of all headers of that name? */
static bool has_token(const struct http1_head *h, const char *name, const char *token)
{
    for (size_t i = 0; i < h->n_headers; i++) {
        struct span rest = h->headers[i].value;
        if (!span_eq_nocase(h->headers[i].name, span_str(name)))
            continue;
        while (rest.ptr)
            if (span_eq_nocase(span_trim(span_cut(&rest, ',')), span_str(token)))
                return true;
    }
    return false;
}

/* How long the body is (RFC 9112 section 6.3), with nothing left to guess: what two readers could
 * understand differently is refused. */
static enum err parse_framing(struct http1_head *h, bool response, struct why *why)
{
    size_t lengths = count_header(h, "content-length"),
           codings = count_header(h, "transfer-encoding");

    if (lengths > 1)
        return why_fail(why, ERR_MALFORMED, "more than one Content-Length", 0);
    if (lengths && codings)
        return why_fail(why, ERR_MALFORMED, "Content-Length and Transfer-Encoding", 0);
    if (count_header(h, "host") > 1)
        return why_fail(why, ERR_MALFORMED, "more than one Host", 0);
    h->framing = response ? HTTP1_UNTIL_CLOSE : HTTP1_NO_BODY;
    if (codings) {
        if (codings > 1 || h->minor == 0 ||
            !span_eq_nocase(http1_header_get(h, "transfer-encoding"), SPAN_LIT("chunked")))
            return why_fail(why, ERR_MALFORMED, "Transfer-Encoding other than chunked", 0);
        h->framing = HTTP1_CHUNKED;
    }
    if (lengths) {
        if (span_to_u64(http1_header_get(h, "content-length"), INT64_MAX, &h->content_length) !=
            ERR_OK)
            return why_fail(why, ERR_MALFORMED, "Content-Length", 0);
        h->framing = HTTP1_LENGTH;
    }
    return ERR_OK;
}

static void parse_connection(struct http1_head *h)
{
    h->keep_alive = h->minor == 1 ? !has_token(h, "connection", "close")
                                  : has_token(h, "connection", "keep-alive") &&
                                        !has_token(h, "connection", "close");
    h->expect_continue =
        h->minor == 1 && span_eq_nocase(http1_header_get(h, "expect"), SPAN_LIT("100-continue"));
    h->upgrade =
        span_is(h->method, "CONNECT") || h->status == 101 ||
        (h->method.ptr && has_token(h, "connection", "upgrade") && count_header(h, "upgrade"));
}

typedef enum err first_line_fn(struct span line, struct http1_head *h, struct why *why);

static enum err parse_head(struct span in, bool response, struct http1_head *h, size_t *consumed,
                           struct why *why)
{
    first_line_fn *first = response ? parse_status_line : parse_request_line;
    struct span line;
    size_t at = 0;

    h->n_headers = 0;
    h->method = h->target = h->reason = SPAN_EMPTY;
    h->status = 0;
    h->content_length = 0;
    enum err r = skip_empty_lines(in, &at, &line, why);
    if (r == ERR_OK)
        r = first(line, h, why);
    if (r == ERR_OK)
        r = parse_fields(in, &at, h, why);
    if (r == ERR_OK)
        r = parse_framing(h, response, why);
    if (r != ERR_OK)
        return r;
    parse_connection(h);
    *consumed = at;
    return ERR_OK;
}

enum err http1_request_parse(struct span in, struct http1_head *out, size_t *consumed,
                             struct why *why)
{
    struct http1_head h;
    size_t n;
    enum err r = parse_head(in, false, &h, &n, why);

    if (r != ERR_OK)
        return r;
    *out = h;
    *consumed = n;
    return ERR_OK;
}

enum err http1_response_parse(struct span in, bool head_request, struct http1_head *out,
                              size_t *consumed, struct why *why)
{
    struct http1_head h;
    size_t n;
    enum err r = parse_head(in, true, &h, &n, why);

    if (r != ERR_OK)
        return r;
    if (head_request || h.status < 200 || h.status == 204 || h.status == 304)
        h.framing = HTTP1_NO_BODY;
    if (h.framing == HTTP1_UNTIL_CLOSE)
        h.keep_alive = false;
    *out = h;
    *consumed = n;
    return ERR_OK;
}
