#include <jansson.h>
#include <stdlib.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err ours(struct span in, struct json_str *top)
{
    struct json_in j = json_in_init(in);

    if (json_in_peek(&j) == JSON_KIND_STRING) {
        *top = json_in_string(&j);
    } else {
        struct span value = json_in_skip(&j);
        if (value.ptr && (value.ptr < in.ptr || value.ptr + value.len > in.ptr + in.len))
            abort();
    }
    enum err r = json_in_end(&j);
    if (r != ERR_OK && (!j.what || j.pos > in.len))
        abort();
    return r;
}

/* Decoded like jansson did, and the same again after our writer. */
static void same_string(struct json_str s, const json_t *theirs)
{
    AUTO(buf_clear) struct buf value = BUF_INIT(1 << 20), text = BUF_INIT(1 << 21);
    struct span want = span_of(json_string_value(theirs), json_string_length(theirs));
    struct json_str again = JSON_STR_NONE;

    if (json_str_decode(s, &value) != ERR_OK || !span_eq(buf_view(&value), want))
        abort();
    struct json_out w = json_out_init(&text);
    json_out_string(&w, buf_view(&value));
    if (json_out_end(&w) != ERR_OK || ours(buf_view(&text), &again) != ERR_OK)
        abort();
    buf_reset(&value);
    if (json_str_decode(again, &value) != ERR_OK || !span_eq(buf_view(&value), want))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct json_str top = JSON_STR_NONE;
    json_error_t fault;
    enum err r = ours(in, &top);
    json_t *theirs = json_loadb((const char *)data, size,
                                JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);

    /* jansson keeps numbers and so refuses large ones, has no names with a NUL, and takes a NUL
     * byte after a number or literal; we have tighter limits. Nothing else may differ. */
    if (r == ERR_OK && !theirs && json_error_code(&fault) != json_error_numeric_overflow &&
        json_error_code(&fault) != json_error_null_byte_in_key)
        abort();
    if (r != ERR_OK && r != ERR_LIMIT && theirs && span_find(in, 0) == in.len)
        abort();
    if (r == ERR_OK && json_is_string(theirs))
        same_string(top, theirs);
    json_decref(theirs);
    return 0;
}
