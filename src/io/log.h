/* log.h - one structured line per event on stderr: time, level, program, event, key=value ...
 *
 * Values with spaces or quotes are quoted and escaped; control bytes never reach the terminal.
 * Nothing secret is ever passed here.
 */
#ifndef IO_LOG_H
#define IO_LOG_H

#include "base/span.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_field {
    const char *key;
    struct span text; /* used if ptr is set */
    int64_t number;
};

#define LOG_STR(k, s)  ((struct log_field){ .key = (k), .text = span_str(s) })
#define LOG_SPAN(k, s) ((struct log_field){ .key = (k), .text = (s) })
#define LOG_INT(k, n)  ((struct log_field){ .key = (k), .number = (int64_t)(n) })
/* log_event(LOG_INFO, "listening", LOG_INT("cid", 16), LOG_INT("port", 5000)); at least one field
 */
#define log_event(level, event, ...)                                                               \
    log_fields((level), (event), (const struct log_field[]){ __VA_ARGS__ },                        \
               sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

void log_init(const char *program, enum log_level level);
/* "error", "warn", "info", "debug". ERR_MALFORMED. */
MUST_USE enum err log_level_parse(const char *text, enum log_level *out);
/* From now on lines of this thread wait for each other, warnings and errors apart, until there is
 * a pipe's worth of them or log_flush(): to write each by itself costs a busy service more than to
 * open a small message. A loop flushes before it sleeps, and so do log_release() and a line that
 * does not wait. One thread at a time; not for processes that fork meanwhile. */
void log_hold(void);
void log_release(void);
void log_flush(void); /* nothing, where nothing is held */
void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t n);

#endif
