#include "localkms/page.h"

#include "base/base64.h"

enum { MARKER_MAX_BYTES = 1024 };

void page_clear(struct page *p)
{
    buf_clear(&p->after);
    buf_clear(&p->last);
}

enum err page_take(struct call *c, unsigned limit_default, unsigned limit_max, struct page *p)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span marker = SPAN_EMPTY;
    int64_t limit = limit_default;
    bool given;

    enum err r = input_int(&c->in, "Limit", &limit, &given, &c->fault);
    if (r == ERR_OK)
        r = input_string(&c->in, "Marker", &marker, &c->fault);
    if (r != ERR_OK)
        return r;
    check_range(&check, "limit", limit, 1, limit_max);
    check_length(&check, "marker", marker, 1, MARKER_MAX_BYTES);
    r = checks_end(&check, &c->fault);
    if (r != ERR_OK)
        return r;
    p->limit = (unsigned)limit;
    if (marker.ptr && base64_parse(marker, &p->after, NULL) != ERR_OK)
        return fault_bare(&c->fault, FAULT_INVALID_MARKER);
    return ERR_OK;
}

enum err page_next(struct page *p, struct span name, bool *fits)
{
    *fits = p->n < p->limit;
    if (!*fits) {
        p->more = true;
        return ERR_OK;
    }
    p->n++;
    buf_reset(&p->last);
    return buf_append(&p->last, name);
}

enum err page_end(struct call *c, const struct page *p)
{
    if (p->more)
        call_put_blob(c, "NextMarker", buf_view(&p->last));
    call_put_bool(c, "Truncated", p->more);
    return ERR_OK;
}
