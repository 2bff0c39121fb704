#include "io/log.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/rfc3339.h"
#include "io/sys.h"

enum {
    LINE_BYTES = 2048,
    VALUE_BYTES = 512, /* a longer value is cut, so that one field cannot push out the others */
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };
/* Set once at start, before there are threads. */
static struct {
    const char *program;
    enum log_level level;
} config = { "nitroseal", LOG_INFO };

/* Lines that wait, of the thread that has called log_hold(). No more than one call to a pipe keeps
 * together. */
static struct {
    bool is_on;
    pthread_t owner;
    size_t len;
    char text[PIPE_BUF];
} held;

struct line {
    size_t len;
    char text[LINE_BYTES];
};

static void put(struct line *l, const char *s, size_t len)
{
    size_t room = sizeof(l->text) - 1 - l->len; /* one byte is kept for the line feed */
    if (len > room)
        len = room;
    memcpy(l->text + l->len, s, len);
    l->len += len;
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Bytes that would act on a terminal or end the value. C1 controls are C2 80..9F in UTF-8. */
static bool must_escape(struct span v, size_t i, bool utf8)
{
    uint8_t c = v.ptr[i];
    if (c < 0x20 || c == 0x7f)
        return true;
    if (c < 0x80)
        return c == '"' || c == '\\';
    if (!utf8)
        return true;
    if (c == 0xc2 && i + 1 < v.len && v.ptr[i + 1] < 0xa0)
        return true;
    return i > 0 && v.ptr[i - 1] == 0xc2 && c < 0xa0;
}

static bool needs_escape(struct span v, bool utf8)
{
    for (size_t i = 0; i < v.len; i++)
        if (must_escape(v, i, utf8))
            return true;
    return false;
}

static bool needs_quotes(struct span v)
{
    return v.len == 0 || memchr(v.ptr, ' ', v.len) || memchr(v.ptr, '=', v.len);
}

static void put_byte(struct line *l, struct span v, size_t i, bool utf8)
{
    char esc[8];
    uint8_t c = v.ptr[i];
    if (!must_escape(v, i, utf8))
        put(l, (const char *)v.ptr + i, 1);
    else if (c == '"' || c == '\\')
        put(l, (const char[]){ '\\', (char)c }, 2);
    else
        put(l, esc, (size_t)snprintf(esc, sizeof(esc), "\\x%02x", c));
}

static void put_value(struct line *l, struct span v)
{
    bool cut = v.len > VALUE_BYTES;
    size_t keep = cut ? VALUE_BYTES : v.len;
    while (cut && keep > 0 && (v.ptr[keep] & 0xc0) == 0x80)
        keep--; /* not in the middle of a character */
    v = span_sub(v, 0, keep);
    bool utf8 = span_is_utf8(v);
    bool escapes = needs_escape(v, utf8);
    bool quotes = cut || escapes || needs_quotes(v);

    if (quotes)
        put_str(l, "\"");
    if (!escapes && v.len) /* nearly always */
        put(l, (const char *)v.ptr, v.len);
    for (size_t i = 0; escapes && i < v.len; i++)
        put_byte(l, v, i, utf8);
    if (cut)
        put_str(l, "...");
    if (quotes)
        put_str(l, "\"");
}

static void put_time(struct line *l)
{
    char text[RFC3339_MS_BYTES];

    rfc3339_write_ms(clock_wall_ms(), text);
    put_str(l, text);
    put_str(l, " ");
}

static void put_number(struct line *l, int64_t v)
{
    uint8_t digits[DECIMAL_BYTES];
    struct span s = span_of_u64(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, digits);

    if (v < 0)
        put_str(l, "-");
    put(l, (const char *)s.ptr, s.len);
}

void log_init(const char *program, enum log_level level)
{
    config.program = program;
    config.level = level;
}

enum err log_level_parse(const char *text, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_MALFORMED;
}

/* One call, so that lines of several processes on one pipe do not mix; a log that cannot be written
 * has nowhere to say so. */
static void write_out(const char *text, size_t len)
{
    ssize_t written;

    do
        written = write(STDERR_FILENO, text, len);
    while (written < 0 && errno == EINTR);
}

static bool is_holder(void)
{
    return held.is_on && pthread_equal(held.owner, pthread_self());
}

void log_flush(void)
{
    if (held.len == 0 || !is_holder())
        return;
    write_out(held.text, held.len);
    held.len = 0;
}

void log_hold(void)
{
    held.owner = pthread_self();
    held.is_on = true;
}

void log_release(void)
{
    log_flush();
    held.is_on = false;
}

static void keep(const struct line *l)
{
    if (sizeof held.text - held.len < l->len)
        log_flush();
    memcpy(held.text + held.len, l->text, l->len);
    held.len += l->len;
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
    struct line l;
    if (level > config.level)
        return;

    l.len = 0;
    put_time(&l);
    put_str(&l, level_names[level]);
    put_str(&l, " ");
    put_str(&l, config.program);
    put_str(&l, " ");
    put_str(&l, event);
    for (size_t i = 0; i < n; i++) {
        put_str(&l, " ");
        put_str(&l, fields[i].key);
        put_str(&l, "=");
        if (fields[i].text.ptr)
            put_value(&l, fields[i].text);
        else
            put_number(&l, fields[i].number);
    }
    l.text[l.len++] = '\n';
    if (is_holder() && level >= LOG_INFO) {
        keep(&l);
        return;
    }
    log_flush(); /* what was before it stays before it */
    write_out(l.text, l.len);
}
