#include "base/prom.h"

#include <stdio.h>
#include <string.h>

/* Appends while nothing has failed; format and arguments are checked where it is used. */
#define PUT(p, ...)                                                                                \
    do {                                                                                           \
        if ((p)->err == ERR_OK)                                                                    \
            (p)->err = buf_printf((p)->out, __VA_ARGS__);                                          \
    } while (0)

struct prom prom_begin(struct buf *out, const char *prefix)
{
    return (struct prom){ .out = out, .prefix = prefix, .start = out->len };
}

enum err prom_end(struct prom *p)
{
    if (p->err != ERR_OK)
        buf_truncate(p->out, p->start);
    return p->err;
}

void prom_describe(struct prom *p, const char *name, const char *type, const char *help)
{
    PUT(p, "# HELP %s%s %s\n# TYPE %s%s %s\n", p->prefix, name, help, p->prefix, name, type);
}

/* Backslash, quote and line feed are what could end a value or its line. */
static void put_label(struct prom *p, const char *before, const struct prom_label *l)
{
    const char *rest = l->value;

    PUT(p, "%s%s=\"", before, l->name);
    for (;;) {
        size_t plain = strcspn(rest, "\n\"\\");
        PUT(p, "%.*s", (int)plain, rest);
        rest += plain;
        if (*rest == 0)
            break;
        PUT(p, "\\%c", *rest == '\n' ? 'n' : *rest);
        rest++;
    }
    PUT(p, "\"");
}

/* Name and labels, `le` behind the others if it is there. */
static void put_name(struct prom *p, const char *name, const char *suffix,
                     const struct prom_label *labels, const char *le)
{
    const char *before = "{";

    PUT(p, "%s%s%s", p->prefix, name, suffix);
    for (; labels && labels->name; labels++, before = ",")
        put_label(p, before, labels);
    if (le) {
        put_label(p, before, &(struct prom_label){ "le", le });
        before = ",";
    }
    PUT(p, "%s", *before == ',' ? "} " : " ");
}

void prom_u64(struct prom *p, const char *name, const struct prom_label *labels, uint64_t v)
{
    put_name(p, name, "", labels, NULL);
    PUT(p, "%llu\n", (unsigned long long)v);
}

void prom_i64(struct prom *p, const char *name, const struct prom_label *labels, int64_t v)
{
    put_name(p, name, "", labels, NULL);
    PUT(p, "%lld\n", (long long)v);
}

void prom_fixed(struct prom *p, const char *name, const struct prom_label *labels, int digits,
                double v)
{
    put_name(p, name, "", labels, NULL);
    PUT(p, "%.*f\n", digits, v);
}

void prom_single(struct prom *p, const char *name, const char *type, const char *help, uint64_t v)
{
    prom_describe(p, name, type, help);
    prom_u64(p, name, NULL, v);
}

void prom_process(struct prom *p, const char *name, const char *type, const char *help, uint64_t v)
{
    const char *prefix = p->prefix;

    p->prefix = "process_";
    prom_single(p, name, type, help, v);
    p->prefix = prefix;
}

size_t prom_bucket(const struct prom_bound *bounds, size_t n, uint64_t ns)
{
    size_t b = 0;

    while (b < n && ns > bounds[b].ns)
        b++;
    return b;
}

void prom_histogram(struct prom *p, const char *name, const struct prom_label *labels,
                    const struct prom_bound *bounds, size_t n, const uint64_t *counts, int digits,
                    uint64_t sum_ns)
{
    uint64_t sum = 0;

    for (size_t b = 0; b <= n; b++) {
        sum += counts[b];
        put_name(p, name, "_bucket", labels, b < n ? bounds[b].seconds : "+Inf");
        PUT(p, "%llu\n", (unsigned long long)sum);
    }
    put_name(p, name, "_sum", labels, NULL);
    PUT(p, "%.*f\n", digits, (double)sum_ns / 1e9);
    put_name(p, name, "_count", labels, NULL);
    PUT(p, "%llu\n", (unsigned long long)sum);
}
