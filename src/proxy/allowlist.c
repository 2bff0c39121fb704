#include "proxy/allowlist.h"

#include <stdlib.h>
#include <yaml.h>

enum place { /* where an event of the document's structure stands */
             AT_OUTSIDE,
             AT_TOP,   /* in the mapping of the document */
             AT_LIST,  /* in the value of `allowlist` */
             AT_ENTRY, /* in one of its mappings */
             AT_OTHER, /* inside anything that does not matter */
};

enum field { FIELD_OTHER, FIELD_LIST, FIELD_ADDRESS, FIELD_PORT };

struct reading {
    yaml_parser_t parser;
    struct allowlist found;
    struct {
        enum place place;
        bool mapping, key_next;
        enum field field; /* whose value comes next */
    } level[ALLOWLIST_DEPTH_MAX + 1];
    unsigned depth;
    bool has_list;                        /* a list under that key */
    bool key_seen, has_address, has_port; /* of the document; of this entry */
    bool address_seen, port_seen;
};

static const char *const bad = "Bad yaml format"; /* the original's word for all of it */

/* What yaml-rust makes something else than a string of, where it is not quoted. */
static bool plain_is_other(struct span s)
{
    static const char *const words[] = { "~",     "null",  "true", "True",  "TRUE",  "false",
                                         "False", "FALSE", ".inf", "+.inf", "-.inf", ".nan" };
    char copy[64];
    char *end;

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_is(s, words[i]))
            return true;
    if (s.len == 0 || s.len >= sizeof(copy))
        return s.len == 0;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    (void)strtod(copy, &end);
    return *end == '\0';
}

static enum err parse_port(const yaml_event_t *e, uint16_t *out)
{
    struct span s = span_of(e->data.scalar.value, e->data.scalar.length);
    bool minus = s.len > 1 && s.ptr[0] == '-';
    uint64_t v;

    if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return ERR_MALFORMED;
    if (minus || (s.len > 1 && s.ptr[0] == '+'))
        s = span_from(s, 1);
    enum err r = span_to_u64(s, INT64_MAX, &v);
    if (r == ERR_OK)
        *out = (uint16_t)(minus ? -v : v);
    return r;
}

static enum err begin_entry(struct reading *g, bool good)
{
    struct allow_entry *e;

    if (g->found.n == ALLOWLIST_ENTRIES_MAX)
        return ERR_LIMIT;
    if ((g->found.n & (g->found.n - 1)) == 0) { /* grow at each power of two */
        size_t room = g->found.n ? (size_t)g->found.n * 2 : 1;
        e = realloc(g->found.list, room * sizeof(*e));
        if (!e)
            return ERR_NOMEM;
        g->found.list = e;
    }
    e = &g->found.list[g->found.n++];
    memset(e, 0, sizeof(*e));
    g->has_address = g->has_port = g->address_seen = g->port_seen = false;
    if (!good)
        e->fault = "No address field";
    return ERR_OK;
}

static void end_entry(struct reading *g)
{
    struct allow_entry *e = &g->found.list[g->found.n - 1];

    if (!g->has_address)
        e->fault = "No address field";
    else if (!g->has_port)
        e->fault = "No port field or invalid type";
}

static enum err take_key(struct reading *g, struct span key)
{
    enum place place = g->level[g->depth].place;
    enum field f = FIELD_OTHER;
    bool *seen = NULL;

    if (place == AT_TOP && span_is(key, "allowlist")) {
        f = FIELD_LIST;
        seen = &g->key_seen;
    } else if (place == AT_ENTRY && span_is(key, "address")) {
        f = FIELD_ADDRESS;
        seen = &g->address_seen;
    } else if (place == AT_ENTRY && span_is(key, "port")) {
        f = FIELD_PORT;
        seen = &g->port_seen;
    }
    if (seen && *seen)
        return ERR_MALFORMED;
    if (seen)
        *seen = true;
    g->level[g->depth].field = f;
    return ERR_OK;
}

static enum err take_address(struct reading *g, const yaml_event_t *e)
{
    struct span s = span_of(e->data.scalar.value, e->data.scalar.length);
    struct allow_entry *entry = &g->found.list[g->found.n - 1];

    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && plain_is_other(s))
        return ERR_OK; /* not a string: as if it were not there */
    if (s.len > ALLOWLIST_ADDRESS_MAX_BYTES)
        return ERR_LIMIT;
    if (memchr(s.ptr, 0, s.len))
        return ERR_MALFORMED;
    memcpy(entry->address, s.ptr, s.len);
    g->has_address = true;
    return ERR_OK;
}

static enum err take_scalar(struct reading *g, const yaml_event_t *e)
{
    struct span s = span_of(e->data.scalar.value, e->data.scalar.length);
    bool mapping = g->level[g->depth].mapping;
    bool is_key = mapping && g->level[g->depth].key_next;

    if (e->data.scalar.tag)
        return ERR_MALFORMED;
    if (mapping)
        g->level[g->depth].key_next = !is_key;
    if (is_key)
        return take_key(g, s);
    if (g->level[g->depth].place == AT_LIST)
        return begin_entry(g, false);
    if (mapping && g->level[g->depth].field == FIELD_ADDRESS)
        return take_address(g, e);
    if (mapping && g->level[g->depth].field == FIELD_PORT)
        g->has_port = parse_port(e, &g->found.list[g->found.n - 1].port) == ERR_OK;
    return ERR_OK;
}

/* Where a collection stands that begins here. */
static enum place place_of(const struct reading *g, bool mapping)
{
    enum place outer = g->level[g->depth].place;
    bool as_key = g->level[g->depth].mapping && g->level[g->depth].key_next;

    if (outer == AT_OUTSIDE)
        return mapping ? AT_TOP : AT_OTHER;
    if (outer == AT_TOP && !as_key && g->level[g->depth].field == FIELD_LIST && !mapping)
        return AT_LIST;
    if (outer == AT_LIST && mapping)
        return AT_ENTRY;
    return AT_OTHER;
}

static enum err take_start(struct reading *g, bool mapping, bool tagged)
{
    enum place place = place_of(g, mapping);
    enum err r = ERR_OK;

    if (tagged)
        return ERR_MALFORMED;
    if (g->level[g->depth].place == AT_LIST)
        r = begin_entry(g, mapping);
    if (g->level[g->depth].mapping) {
        if (g->level[g->depth].key_next) /* a collection as key: its value does not matter */
            g->level[g->depth].field = FIELD_OTHER;
        g->level[g->depth].key_next = !g->level[g->depth].key_next;
    }
    if (r != ERR_OK || g->depth == ALLOWLIST_DEPTH_MAX)
        return r != ERR_OK ? r : ERR_LIMIT;
    if (place == AT_LIST)
        g->has_list = true;
    g->depth++;
    g->level[g->depth].place = place;
    g->level[g->depth].mapping = g->level[g->depth].key_next = mapping;
    g->level[g->depth].field = FIELD_OTHER;
    return ERR_OK;
}

static enum err take(struct reading *g, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(g, e);
    case YAML_MAPPING_START_EVENT:
        return take_start(g, true, e->data.mapping_start.tag);
    case YAML_SEQUENCE_START_EVENT:
        return take_start(g, false, e->data.sequence_start.tag);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        if (g->level[g->depth].place == AT_ENTRY)
            end_entry(g);
        g->depth--;
        return ERR_OK;
    case YAML_ALIAS_EVENT: /* could make much of little */
        return ERR_MALFORMED;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return ERR_OK;
    }
    return ERR_INTERNAL;
}

/* To the end of the first document. */
static enum err read_document(struct reading *g)
{
    bool over = false;
    enum err r = ERR_OK;

    while (r == ERR_OK && !over) {
        yaml_event_t e;
        if (!yaml_parser_parse(&g->parser, &e))
            return g->parser.error == YAML_MEMORY_ERROR ? ERR_NOMEM : ERR_MALFORMED;
        over = e.type == YAML_DOCUMENT_END_EVENT || e.type == YAML_STREAM_END_EVENT;
        r = take(g, &e);
        yaml_event_delete(&e);
    }
    return r;
}

static enum err fail(enum err r, const struct reading *g, struct why *why)
{
    size_t at =
        g->parser.error == YAML_NO_ERROR ? g->parser.mark.index : g->parser.problem_mark.index;

    if (r == ERR_NOMEM)
        return why_fail(why, r, "out of memory", 0);
    return why_fail(why, r, r == ERR_LIMIT ? "too long or too deep" : bad, at);
}

enum err allowlist_parse(struct span text, struct allowlist *out, struct why *why)
{
    struct reading g = { .depth = 0 };

    if (text.len > ALLOWLIST_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "too long or too deep", ALLOWLIST_MAX_BYTES);
    if (!yaml_parser_initialize(&g.parser))
        return why_fail(why, ERR_NOMEM, "out of memory", 0);
    yaml_parser_set_input_string(&g.parser, text.len ? text.ptr : (const uint8_t *)"", text.len);
    yaml_parser_set_encoding(&g.parser, YAML_UTF8_ENCODING);
    enum err r = read_document(&g);
    if (r != ERR_OK)
        r = fail(r, &g, why);
    else if (!g.has_list)
        r = why_fail(why, ERR_MALFORMED, "No allowlist field", 0);
    yaml_parser_delete(&g.parser);
    if (r != ERR_OK)
        allowlist_clear(&g.found);
    else
        *out = g.found;
    return r;
}

void allowlist_clear(struct allowlist *a)
{
    free(a->list);
    *a = (struct allowlist){ .n = 0 };
}

enum err allowlist_check(const struct allowlist *a, const char *host, uint16_t port,
                         struct why *why)
{
    for (unsigned i = 0; i < a->n; i++) {
        const struct allow_entry *e = &a->list[i];
        if (e->fault)
            return why_fail(why, ERR_MALFORMED, e->fault, i);
        if (e->port == port && strcmp(e->address, host) == 0)
            return ERR_OK;
    }
    return why_fail(why, ERR_DENIED, "The given address and port are not allowed", 0);
}
