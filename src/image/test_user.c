#include "image/user.h"

#include "testing/t.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken line\n"
                             "bad:x:one:2::\n"
                             "app:x:1000:1001:,,,:/home/app:/bin/sh\n"
                             "other:x:1002:1003::/:";
static const char group[] = "root:x:0:\n"
                            "app:x:1001:\n"
                            "audio:x:29:app,other\n"
                            "video:x:44:other,app\n"
                            "own:x:1001:app\n"
                            "appl:x:50:appl";

static const struct row {
    const char *user, *want; /* NULL: what */
    const char *what;
} rows[] = {
    { "app", "1000:1001,29,44", NULL },
    { "root", "0:0", NULL },
    { "1000", "1000:1001,29,44", NULL },
    { "4000", "4000:0", NULL },
    { "app:audio", "1000:29", NULL },
    { "app:0", "1000:0", NULL },
    { "4000:4001", "4000:4001", NULL },
    { "other", "1002:1003,29,44", NULL },
    { "nobody", NULL, "USER is not in the image's etc/passwd" },
    { "bad", NULL, "USER is not in the image's etc/passwd" },
    { "", NULL, "USER is not in the image's etc/passwd" },
    { ":0", NULL, "USER is not in the image's etc/passwd" },
    { "-1", NULL, "USER is not in the image's etc/passwd" },
    { "4294967295", NULL, "USER is not in the image's etc/passwd" },
    { "4294967294", "4294967294:0", NULL },
    { "app:nogroup", NULL, "the group of USER is not in the image's etc/group" },
    { "app:", NULL, "the group of USER is not in the image's etc/group" },
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void file(struct tree *t, const char *path, struct span bytes)
{
    assert_int_equal(
        tree_add(t, &(struct tree_add){ .path = span_str(path), .kind = TREE_FILE, .bytes = bytes },
                 NULL),
        ERR_OK);
}

static void resolved(void **state)
{
    const struct row *row = *state;
    AUTO(tree_clear) struct tree t = TREE_INIT(10, 8192);
    AUTO(buf_clear) struct buf out = BUF_INIT(256);
    const char *what = NULL;

    file(&t, "etc/passwd", span_str(passwd));
    file(&t, "etc/group", span_str(group));
    assert_int_equal(tree_finish(&t, NULL), ERR_OK);
    enum err r = user_resolve(&t, span_str(row->user), &out, &what);
    assert_int_equal(r, row->want ? ERR_OK : ERR_MALFORMED);
    t_assert_buf(&out, row->want ? row->want : "");
    if (!row->want)
        assert_string_equal(what, row->what);
}

static void without_files(void **state)
{
    AUTO(tree_clear) struct tree t = TREE_INIT(10, 8192);
    AUTO(buf_clear) struct buf out = BUF_INIT(256);
    const char *what = NULL;

    (void)state;
    assert_int_equal(user_resolve(&t, SPAN_LIT("7:8"), &out, &what), ERR_OK);
    t_assert_buf(&out, "7:8");
    assert_int_equal(user_resolve(&t, SPAN_LIT("root"), &out, &what), ERR_MALFORMED);
}

static void many_groups(void **state)
{
    AUTO(buf_clear) struct buf groups = BUF_INIT(8192);

    (void)state;
    for (unsigned n = 1; n <= USER_GROUPS_MAX + 1; n++) {
        AUTO(tree_clear) struct tree t = TREE_INIT(10, 16384);
        AUTO(buf_clear) struct buf out = BUF_INIT(1024);
        const char *what = NULL;
        assert_int_equal(buf_printf(&groups, "g%u:x:%u:app\n", n, 5000 + n), ERR_OK);
        file(&t, "etc/passwd", span_str(passwd));
        file(&t, "etc/group", buf_view(&groups));
        assert_int_equal(tree_finish(&t, NULL), ERR_OK);
        assert_int_equal(user_resolve(&t, SPAN_LIT("app"), &out, &what),
                         n <= USER_GROUPS_MAX ? ERR_OK : ERR_LIMIT);
        assert_int_equal(out.len > 0, n <= USER_GROUPS_MAX);
    }
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 2] = { cmocka_unit_test(without_files),
                                          cmocka_unit_test(many_groups) };

    for (size_t i = 0; i < ROWS; i++)
        tests[i + 2] = (struct CMUnitTest){ rows[i].user[0] ? rows[i].user : "empty", resolved,
                                            NULL, NULL, (void *)(uintptr_t)&rows[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
