#include "eif/metadata.h"

#include "testing/t.h"

#define BUILD                                                                                      \
    "\"BuildMetadata\":{\"BuildTime\":\"2001-09-09T01:46:40+00:00\",\"BuildTool\":\"nitroseal\","  \
    "\"BuildToolVersion\":\"1\",\"OperatingSystem\":\"Linux\",\"KernelVersion\":\"6.12\"}"

static const struct eif_metadata_in plain = {
    .image_name = SPAN_INIT("\xe5\x9b\xbe"),
    .image_version = SPAN_INIT("1\"2"),
    .build_time = SPAN_INIT("2001-09-09T01:46:40+00:00"),
    .build_tool = SPAN_INIT("nitroseal"),
    .build_tool_version = SPAN_INIT("1"),
    .operating_system = SPAN_INIT("Linux"),
    .kernel_version = SPAN_INIT("6.12"),
};

static void written_and_read(void **state)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(4096);
    struct eif_metadata_in in = plain;
    struct eif_metadata m;

    (void)state;
    assert_int_equal(eif_metadata_write(&in, &out, NULL), ERR_OK);
    t_assert_buf(&out, "{\"ImageName\":\"\xe5\x9b\xbe\",\"ImageVersion\":\"1\\\"2\"," BUILD
                       ",\"DockerInfo\":null,\"CustomMetadata\":null}");
    buf_reset(&out);
    in.custom = SPAN_LIT("{\"owner\":[1]}");
    assert_int_equal(eif_metadata_write(&in, &out, NULL), ERR_OK);
    assert_int_equal(eif_metadata_parse(buf_view(&out), &m, NULL), ERR_OK);
    assert_true(json_str_is(m.image_version, "1\"2"));
    assert_true(json_str_is(m.build_time, "2001-09-09T01:46:40+00:00"));
    assert_true(json_str_is(m.kernel_version, "6.12"));
    t_assert_span(m.docker_info, SPAN_LIT("null"));
    t_assert_span(m.custom, SPAN_LIT("{\"owner\":[1]}"));
}

static void not_written(void **state)
{
    static char wide[EIF_CUSTOM_MAX + 1];
    AUTO(buf_clear) struct buf out = BUF_INIT(16384);
    struct eif_metadata_in in = plain;
    struct why why = { 0 };

    (void)state;
    in.custom = SPAN_LIT("[]");
    assert_int_equal(eif_metadata_write(&in, &out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "the custom metadata is not an object");
    in.custom = SPAN_LIT("{}{}");
    assert_int_equal(eif_metadata_write(&in, &out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "trailing bytes");
    memset(wide, ' ', sizeof wide);
    memcpy(wide, "{}", 2);
    in.custom = SPAN_ARRAY(wide);
    assert_int_equal(eif_metadata_write(&in, &out, &why), ERR_LIMIT);
    assert_string_equal(why.what, "the custom metadata is too long");
    in = plain;
    in.image_name = SPAN_LIT("\xff");
    assert_int_equal(eif_metadata_write(&in, &out, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "a text is not UTF-8");
    assert_int_equal(out.len, 0);
    in.custom = span_of(wide, EIF_CUSTOM_MAX);
    in.image_name = SPAN_LIT("x");
    assert_int_equal(eif_metadata_write(&in, &out, &why), ERR_OK);
}

static const struct row {
    const char *name, *in;
    enum err want;
    const char *what;
} rows[] = {
    { "AWS's reader would want more", "{\"ImageName\":\"a\",\"ImageVersion\":\"b\"}", ERR_OK,
      NULL },
    { "members that we do not know", "{\"ImageName\":\"a\",\"x\":[{}],\"ImageVersion\":\"b\"}",
      ERR_OK, NULL },
    { "empty", "", ERR_MALFORMED, "end of input" },
    { "array", "[]", ERR_MALFORMED, "type" },
    { "no name", "{\"ImageVersion\":\"b\"}", ERR_MALFORMED, "no ImageName or ImageVersion" },
    { "no version", "{\"ImageName\":\"b\"}", ERR_MALFORMED, "no ImageName or ImageVersion" },
    { "name is a number", "{\"ImageName\":1,\"ImageVersion\":\"b\"}", ERR_MALFORMED, "type" },
    { "name twice", "{\"ImageName\":\"a\",\"ImageName\":\"b\"}", ERR_MALFORMED,
      "duplicate member" },
    { "trailing bytes", "{\"ImageName\":\"a\",\"ImageVersion\":\"b\"}x", ERR_MALFORMED,
      "trailing bytes" },
    { "build metadata is a text", "{\"BuildMetadata\":\"a\"}", ERR_MALFORMED, "type" },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void parsed(void **state)
{
    const struct row *row = *state;
    struct span in = t_copy(span_str(row->in));
    struct eif_metadata m = { .custom = SPAN_LIT("untouched") };
    struct why why = { 0 };

    assert_int_equal(eif_metadata_parse(in, &m, &why), row->want);
    if (row->want != ERR_OK) {
        assert_string_equal(why.what, row->what);
        t_assert_span(m.custom, SPAN_LIT("untouched"));
    }
    t_free(in);
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 2] = { cmocka_unit_test(written_and_read),
                                          cmocka_unit_test(not_written) };

    T_ROWS(tests + 2, rows, parsed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
