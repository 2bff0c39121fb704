#include "localkms/yaml_in.h"
#include "testing/t.h"

static const struct row {
    const char *name, *text;
    enum err want;
    const char *what; /* the fault, or the JSON of the whole */
    size_t line;
} rows[] = {
    { "a mapping", "a: b\nc: [1, -2.5e3, true, no, ~, null]\n", ERR_OK,
      "{\"a\":\"b\",\"c\":[1,-2.5e3,true,\"no\",\"~\",null]}", 0 },
    { "quoted stays text", "a: \"1\"\nb: 'true'\nc: 012\nd: 2012-10-17\n", ERR_OK,
      "{\"a\":\"1\",\"b\":\"true\",\"c\":\"012\",\"d\":\"2012-10-17\"}", 0 },
    { "JSON", "{\"a\": [\"b\", {\"c\": \"\\u00e4\"}]}", ERR_OK,
      "{\"a\":[\"b\",{\"c\":\"\xc3\xa4\"}]}", 0 },
    { "a comment and nothing", "# x\n", ERR_MALFORMED, "nothing in it", 1 },
    { "empty", "", ERR_MALFORMED, "nothing in it", 1 },
    { "a bracket open", "a:\n  [b\n", ERR_MALFORMED, "not YAML", 3 },
    { "a tab", "a:\n\tb: c\n", ERR_MALFORMED, "not YAML", 2 },
    { "a second document", "a: b\n---\nc: d\n", ERR_MALFORMED, "a second document", 2 },
    { "an anchor", "a: 1\nb: &x 2\n", ERR_MALFORMED, "an anchor", 2 },
    { "an anchor on a list", "a: &x [1]\n", ERR_MALFORMED, "an anchor", 1 },
    { "an anchor on a mapping", "a: &x {b: c}\n", ERR_MALFORMED, "an anchor", 1 },
    { "an alias to an anchor", "a: &x 1\nb: *x\n", ERR_MALFORMED, "an anchor", 1 },
    { "a tag", "a: !!int 1\n", ERR_MALFORMED, "a tag", 1 },
    { "a key twice", "a: 1\nb: {c: 1, c: 2}\n", ERR_MALFORMED, "a key that comes twice", 2 },
    { "a list as a key", "? [a]\n: b\n", ERR_MALFORMED, "a key that is not a text", 1 },
    { "not UTF-8", "a: \xff\n", ERR_MALFORMED, "not YAML", 1 },
};

static void parse_row(void **state)
{
    const struct row *row = *state;
    AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;
    AUTO(buf_clear) struct buf json = BUF_INIT(4096);
    struct span text = t_copy(span_str(row->text));
    struct why why = { 0 };

    assert_int_equal(yaml_parse(text, &doc, &why), row->want);
    if (row->want == ERR_OK) {
        assert_int_equal(yaml_json(yaml_root(doc), &json, &why), ERR_OK);
        t_assert_buf(&json, row->what);
    } else {
        assert_string_equal(why.what, row->what);
        assert_int_equal(why.at, row->line);
        assert_null(doc);
    }
    t_free(text);
}

static enum err nested(unsigned depth)
{
    AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;
    AUTO(buf_clear) struct buf text = BUF_INIT(256), json = BUF_INIT(256);

    for (unsigned i = 0; i < depth; i++)
        assert_int_equal(buf_append_byte(&text, '['), ERR_OK);
    for (unsigned i = 0; i < depth; i++)
        assert_int_equal(buf_append_byte(&text, ']'), ERR_OK);
    enum err r = yaml_parse(buf_view(&text), &doc, NULL);
    if (r == ERR_OK) {
        assert_int_equal(yaml_json(yaml_root(doc), &json, NULL), ERR_OK);
        assert_true(span_eq(buf_view(&json), buf_view(&text)));
    }
    return r;
}

static void limits(void **state)
{
    AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;
    AUTO(buf_clear) struct buf text = BUF_INIT(YAML_TEXT_MAX_BYTES + 1), small = BUF_INIT(4);
    uint8_t *room;

    (void)state;
    assert_int_equal(nested(YAML_DEPTH_MAX), ERR_OK);
    assert_int_equal(nested(YAML_DEPTH_MAX + 1), ERR_LIMIT);
    assert_int_equal(buf_reserve(&text, YAML_TEXT_MAX_BYTES, &room), ERR_OK);
    memset(room, ' ', YAML_TEXT_MAX_BYTES);
    room[0] = 'a';
    buf_commit(&text, YAML_TEXT_MAX_BYTES);
    assert_int_equal(yaml_parse(buf_view(&text), &doc, NULL), ERR_OK);
    yaml_doc_freep(&doc);
    assert_int_equal(buf_append_byte(&text, ' '), ERR_OK);
    assert_int_equal(yaml_parse(buf_view(&text), &doc, NULL), ERR_LIMIT);
    assert_int_equal(yaml_parse(SPAN_LIT("a: bcdef"), &doc, NULL), ERR_OK);
    assert_int_equal(yaml_json(yaml_root(doc), &small, NULL), ERR_LIMIT);
    assert_int_equal(small.len, 0);
}

static void fields(void **state)
{
    AUTO(yaml_doc_freep) struct yaml_doc *doc = NULL;
    struct yaml_at a, b, c, one = YAML_ABSENT;
    const struct yaml_field all[] = { { "a", &a, "a is missing" },
                                      { "b", &b, NULL },
                                      { "c", &c, "c is missing" } };
    struct why why = { 0 };
    struct span text = SPAN_EMPTY;
    bool flag = false;

    (void)state;
    assert_int_equal(yaml_parse(SPAN_LIT("a: x\n\nc: [true, ~, 'q']\n"), &doc, &why), ERR_OK);
    assert_int_equal(yaml_fields(yaml_root(doc), all, 3, &why), ERR_OK);
    assert_true(yaml_is_there(a) && !yaml_is_there(b));
    assert_int_equal(yaml_line(c), 3);
    assert_int_equal(yaml_text(a, &text, &why), ERR_OK);
    t_assert_span(text, SPAN_LIT("x"));
    assert_int_equal(yaml_text(c, &text, &why), ERR_MALFORMED);
    assert_int_equal(why.at, 3);
    assert_int_equal(yaml_bool(a, &flag, &why), ERR_MALFORMED);
    assert_true(yaml_element(c, 0, &one));
    assert_int_equal(yaml_bool(one, &flag, &why), ERR_OK);
    assert_true(flag);
    assert_true(yaml_element(c, 1, &one));
    assert_int_equal(yaml_text(one, &text, &why), ERR_MALFORMED);
    assert_false(yaml_element(c, 3, &one));
    assert_false(yaml_element(a, 0, &one));
    assert_int_equal(yaml_fields(yaml_root(doc), all, 2, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "unknown key");
    assert_int_equal(why.at, 3);
    assert_int_equal(yaml_fields(c, all, 3, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "not a mapping");
    yaml_doc_freep(&doc);
    assert_int_equal(yaml_parse(SPAN_LIT("# x\na: x\n"), &doc, &why), ERR_OK);
    assert_int_equal(yaml_fields(yaml_root(doc), all, 3, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "c is missing");
    assert_int_equal(why.at, 2);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static struct CMUnitTest tests[ROWS + 2];

    T_ROWS(tests, rows, parse_row);
    tests[ROWS] = (struct CMUnitTest){ "limits", limits, NULL, NULL, NULL };
    tests[ROWS + 1] = (struct CMUnitTest){ "fields", fields, NULL, NULL, NULL };
    return _cmocka_run_group_tests("yaml_in", tests, ROWS + 2, NULL, NULL);
}
