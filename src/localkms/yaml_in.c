#include "localkms/yaml_in.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/json.h"

struct yaml_doc {
    yaml_document_t doc;
    bool loaded;
};

void yaml_doc_free(struct yaml_doc *d)
{
    if (!d)
        return;
    if (d->loaded)
        yaml_document_delete(&d->doc);
    free(d);
}

void yaml_doc_freep(struct yaml_doc **d)
{
    yaml_doc_free(*d);
    *d = NULL;
}

static enum err parser_fault(const yaml_parser_t *p, struct why *why)
{
    return p->error == YAML_MEMORY_ERROR
               ? ERR_NOMEM
               : why_fail(why, ERR_MALFORMED, "not YAML", p->problem_mark.line + 1);
}

struct scan {
    unsigned depth, documents;
};

static const char *event_fault(const yaml_event_t *e, struct scan *s)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return "an alias";
    case YAML_DOCUMENT_START_EVENT:
        return ++s->documents > 1 ? "a second document" : NULL;
    case YAML_SCALAR_EVENT:
        if (e->data.scalar.anchor)
            return "an anchor";
        return e->data.scalar.tag ? "a tag" : NULL;
    case YAML_SEQUENCE_START_EVENT:
        s->depth++;
        if (e->data.sequence_start.anchor)
            return "an anchor";
        return e->data.sequence_start.tag ? "a tag" : NULL;
    case YAML_MAPPING_START_EVENT:
        s->depth++;
        if (e->data.mapping_start.anchor)
            return "an anchor";
        return e->data.mapping_start.tag ? "a tag" : NULL;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        s->depth--;
        return NULL;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return NULL;
    }
    return NULL;
}

/* What is refused whatever it means, before a tree is made of it. */
static enum err scan(struct span text, struct why *why)
{
    yaml_parser_t parser;
    struct scan s = { 0, 0 };
    enum err r = ERR_OK;
    bool done = false;

    if (!yaml_parser_initialize(&parser))
        return ERR_NOMEM;
    yaml_parser_set_input_string(&parser, text.ptr, text.len);
    while (r == ERR_OK && !done) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) {
            r = parser_fault(&parser, why);
            break;
        }
        const char *fault = event_fault(&e, &s);
        if (fault)
            r = why_fail(why, ERR_MALFORMED, fault, e.start_mark.line + 1);
        else if (s.depth > YAML_DEPTH_MAX)
            r = why_fail(why, ERR_LIMIT, "nested too deep", e.start_mark.line + 1);
        done = e.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    if (r == ERR_OK && s.documents == 0)
        r = why_fail(why, ERR_MALFORMED, "nothing in it", 1);
    return r;
}

static const yaml_node_t *node_at(const struct yaml_doc *d, int node)
{
    /* libyaml counts nodes from 1. */
    return &d->doc.nodes.start[node - 1];
}

static struct span scalar(const yaml_node_t *n)
{
    return span_of(n->data.scalar.value, n->data.scalar.length);
}

/* Keys are scalars, each once. */
static enum err check_keys(const struct yaml_doc *d, struct why *why)
{
    for (const yaml_node_t *n = d->doc.nodes.start; n < d->doc.nodes.top; n++) {
        if (n->type != YAML_MAPPING_NODE)
            continue;
        const yaml_node_pair_t *first = n->data.mapping.pairs.start,
                               *end = n->data.mapping.pairs.top;
        for (const yaml_node_pair_t *p = first; p < end; p++) {
            const yaml_node_t *key = node_at(d, p->key);
            if (key->type != YAML_SCALAR_NODE)
                return why_fail(why, ERR_MALFORMED, "a key that is not a text",
                                key->start_mark.line + 1);
            for (const yaml_node_pair_t *q = first; q < p; q++)
                if (span_eq(scalar(node_at(d, q->key)), scalar(key)))
                    return why_fail(why, ERR_MALFORMED, "a key that comes twice",
                                    key->start_mark.line + 1);
        }
    }
    return ERR_OK;
}

static enum err load(struct span text, struct yaml_doc *d, struct why *why)
{
    yaml_parser_t parser;

    if (!yaml_parser_initialize(&parser))
        return ERR_NOMEM;
    yaml_parser_set_input_string(&parser, text.ptr, text.len);
    d->loaded = yaml_parser_load(&parser, &d->doc) != 0;
    enum err r = d->loaded ? ERR_OK : parser_fault(&parser, why);
    yaml_parser_delete(&parser);
    return r == ERR_OK ? check_keys(d, why) : r;
}

enum err yaml_parse(struct span text, struct yaml_doc **out, struct why *why)
{
    if (text.len > YAML_TEXT_MAX_BYTES)
        return why_fail(why, ERR_LIMIT, "too long", 0);
    enum err r = text.len ? scan(text, why) : why_fail(why, ERR_MALFORMED, "nothing in it", 1);
    if (r != ERR_OK)
        return r;
    AUTO(yaml_doc_freep) struct yaml_doc *d = calloc(1, sizeof *d);
    if (!d)
        return ERR_NOMEM;
    r = load(text, d, why);
    if (r != ERR_OK)
        return r;
    *out = d;
    d = NULL; /* handed over */
    return ERR_OK;
}

struct yaml_at yaml_root(const struct yaml_doc *d)
{
    return (struct yaml_at){ d, 1 };
}

unsigned yaml_line(struct yaml_at at)
{
    return at.node ? (unsigned)node_at(at.doc, at.node)->start_mark.line + 1 : 0;
}

enum err yaml_fields(struct yaml_at map, const struct yaml_field *fields, size_t n, struct why *why)
{
    for (size_t i = 0; i < n; i++)
        *fields[i].to = YAML_ABSENT;
    if (!map.node || node_at(map.doc, map.node)->type != YAML_MAPPING_NODE)
        return why_fail(why, ERR_MALFORMED, "not a mapping", yaml_line(map));
    const yaml_node_t *node = node_at(map.doc, map.node);
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top; p++) {
        struct span key = scalar(node_at(map.doc, p->key));
        size_t i = 0;
        while (i < n && !span_is(key, fields[i].name))
            i++;
        if (i == n)
            return why_fail(why, ERR_MALFORMED, "unknown key",
                            node_at(map.doc, p->key)->start_mark.line + 1);
        *fields[i].to = (struct yaml_at){ map.doc, p->value };
    }
    for (size_t i = 0; i < n; i++)
        if (fields[i].missing && !fields[i].to->node)
            return why_fail(why, ERR_MALFORMED, fields[i].missing, yaml_line(map));
    return ERR_OK;
}

bool yaml_is_list(struct yaml_at at)
{
    return at.node && node_at(at.doc, at.node)->type == YAML_SEQUENCE_NODE;
}

bool yaml_element(struct yaml_at list, size_t i, struct yaml_at *out)
{
    if (!yaml_is_list(list))
        return false;
    const yaml_node_t *node = node_at(list.doc, list.node);
    if (i >= (size_t)(node->data.sequence.items.top - node->data.sequence.items.start))
        return false;
    *out = (struct yaml_at){ list.doc, node->data.sequence.items.start[i] };
    return true;
}

static bool is_plain(const yaml_node_t *n)
{
    return n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_nothing(struct span s)
{
    return s.len == 0 || span_is(s, "~") || span_is(s, "null");
}

enum err yaml_text(struct yaml_at at, struct span *out, struct why *why)
{
    const yaml_node_t *n = at.node ? node_at(at.doc, at.node) : NULL;

    if (!n || n->type != YAML_SCALAR_NODE || (is_plain(n) && is_nothing(scalar(n))) ||
        span_find(scalar(n), '\0') < scalar(n).len)
        return why_fail(why, ERR_MALFORMED, "not a text", yaml_line(at));
    *out = scalar(n);
    return ERR_OK;
}

enum err yaml_bool(struct yaml_at at, bool *out, struct why *why)
{
    const yaml_node_t *n = at.node ? node_at(at.doc, at.node) : NULL;
    bool is_true = n && n->type == YAML_SCALAR_NODE && span_is(scalar(n), "true");

    if (!is_true && (!n || n->type != YAML_SCALAR_NODE || !span_is(scalar(n), "false")))
        return why_fail(why, ERR_MALFORMED, "not true or false", yaml_line(at));
    *out = is_true;
    return ERR_OK;
}

/* A whole JSON literal or number, in JSON's own grammar. */
static bool is_json_word(struct span s)
{
    struct json_in j = json_in_init(s);

    switch (json_in_peek(&j)) {
    case JSON_KIND_NUMBER:
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
    case JSON_KIND_NULL:
        json_in_skip(&j);
        return json_in_end(&j) == ERR_OK && s.ptr[0] != ' ';
    case JSON_KIND_OBJECT:
    case JSON_KIND_ARRAY:
    case JSON_KIND_STRING:
    case JSON_KIND_NONE:
        break;
    }
    return false;
}

static void put(struct json_out *w, const struct yaml_doc *d, int node, unsigned depth)
{
    const yaml_node_t *n = node_at(d, node);

    if (depth > YAML_DEPTH_MAX) { /* scan() saw to it */
        w->err = ERR_INTERNAL;
    } else if (n->type == YAML_SCALAR_NODE) {
        if (is_plain(n) && is_json_word(scalar(n)))
            json_out_raw(w, scalar(n));
        else
            json_out_string(w, scalar(n));
    } else if (n->type == YAML_SEQUENCE_NODE) {
        json_out_array(w);
        for (const yaml_node_item_t *i = n->data.sequence.items.start;
             i < n->data.sequence.items.top; i++)
            put(w, d, *i, depth + 1);
        json_out_array_end(w);
    } else {
        json_out_object(w);
        for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
             p++) {
            json_out_key_text(w, scalar(node_at(d, p->key)));
            put(w, d, p->value, depth + 1);
        }
        json_out_object_end(w);
    }
}

enum err yaml_json(struct yaml_at at, struct buf *out, struct why *why)
{
    size_t before = out->len;
    struct json_out w = json_out_init(out);

    if (!at.node)
        return why_fail(why, ERR_MALFORMED, "nothing there", 0);
    put(&w, at.doc, at.node, 0);
    enum err r = json_out_end(&w);
    if (r == ERR_OK)
        return ERR_OK;
    buf_truncate(out, before);
    return why_fail(why, r, r == ERR_LIMIT ? "too long" : "cannot be JSON", yaml_line(at));
}
