#include "bin/nitroseal/i18n.h"
#include "bin/nitroseal/mo.h"
#include "testing/t.h"

struct row {
    const char *name;
    struct i18n_env env;
    bool chinese;
};

static const struct row rows[] = {
    { "nothing set", { NULL, NULL, NULL, NULL }, false },
    { "LANG", { NULL, NULL, "zh_CN.UTF-8", NULL }, true },
    { "LANG, language alone", { NULL, NULL, "zh", NULL }, true },
    { "LANG, Taiwan", { NULL, NULL, "zh_TW", NULL }, true },
    { "LANG, another language that begins so", { NULL, NULL, "zhx_CN", NULL }, false },
    { "LANG, English", { NULL, NULL, "en_US.UTF-8", NULL }, false },
    { "LC_MESSAGES before LANG", { NULL, "zh_CN", "en_US", NULL }, true },
    { "LC_ALL before LC_MESSAGES", { "en_US", "zh_CN", "zh_CN", NULL }, false },
    { "an empty LC_ALL counts as unset", { "", "zh_CN", NULL, NULL }, true },
    { "LC_ALL", { "zh_CN.UTF-8", NULL, "C", NULL }, true },
    { "LANGUAGE over the locale", { NULL, NULL, "en_US.UTF-8", "zh_CN:en" }, true },
    { "LANGUAGE, English first", { NULL, NULL, "zh_CN.UTF-8", "en_GB:zh_CN" }, false },
    { "LANGUAGE, one that we lack first", { NULL, NULL, "en_US.UTF-8", "fr:zh_CN" }, true },
    { "LANGUAGE without a locale", { NULL, NULL, NULL, "zh_CN" }, true },
    { "LANGUAGE with C.UTF-8", { NULL, NULL, "C.UTF-8", "zh_CN" }, true },
    { "LANGUAGE does not change C", { "C", NULL, NULL, "zh_CN" }, false },
    { "LANGUAGE does not change POSIX", { NULL, NULL, "POSIX", "zh_CN" }, false },
    { "an empty LANGUAGE counts as unset", { NULL, NULL, "zh_CN", "" }, true },
};

static void language_row(void **state)
{
    const struct row *r = *state;

    assert_int_equal(i18n_is_chinese(&r->env), r->chinese);
}

/* Two entries, "" and "a"; little-endian as stored. */
#define HEAD    "de120495 00000000 02000000 1c000000 2c000000 00000000 3c000000"
#define TABLES  "00000000 3c000000 01000000 3d000000 02000000 3f000000 03000000 42000000"
#define STRINGS "00 6100 686900 e6968700"

static void finds(void **state)
{
    (void)state;
    struct span file = t_unhex(HEAD TABLES STRINGS);
    struct mo mo = { 0 };

    assert_int_equal(mo_parse(file, &mo, NULL), ERR_OK);
    assert_string_equal(mo_find(&mo, "a"), "\xe6\x96\x87");
    assert_string_equal(mo_find(&mo, ""), "hi");
    assert_null(mo_find(&mo, "b"));
    assert_null(mo_find(&mo, "aa"));
    t_free(file);
}

static void other_byte_order(void **state)
{
    (void)state;
    struct span file = t_unhex("950412de 00000000 00000002 0000001c 0000002c 00000000 0000003c"
                               "00000000 0000003c 00000001 0000003d"
                               "00000002 0000003f 00000003 00000042" STRINGS);
    struct mo mo = { 0 };

    assert_int_equal(mo_parse(file, &mo, NULL), ERR_OK);
    assert_string_equal(mo_find(&mo, "a"), "\xe6\x96\x87");
    t_free(file);
}

static void refused(const char *hex, enum err want, const char *what)
{
    struct span file = t_unhex(hex);
    struct mo mo = { .n = 99 };
    struct why why = { 0 };

    assert_int_equal(mo_parse(file, &mo, &why), want);
    assert_string_equal(why.what, what);
    assert_int_equal(mo.n, 99);
    t_free(file);
}

static void faults(void **state)
{
    (void)state;
    refused("", ERR_MALFORMED, "header");
    refused("00" HEAD TABLES STRINGS, ERR_MALFORMED, "magic number");
    refused("de120495 01000000 00000000 1c000000 1c000000 00000000 1c000000", ERR_UNSUPPORTED,
            "revision");
    refused(HEAD TABLES "00 6100 686900 e69687", ERR_MALFORMED, "table");
    refused("de120495 00000000 ffffffff 1c000000 1c000000 00000000 1c000000", ERR_MALFORMED,
            "table");
    refused("de120495 00000000 01000000 ffffffff 1c000000 00000000 1c000000", ERR_MALFORMED,
            "table");
}

/* Whatever is damaged, a catalogue that is taken can be searched without leaving the file. */
static void damaged(void **state)
{
    (void)state;
    struct span good = t_unhex(HEAD TABLES STRINGS);

    for (size_t bit = 0; bit < good.len * 8; bit++) {
        struct span file = t_copy(good);
        union {
            const uint8_t *view;
            uint8_t *bytes;
        } u = { .view = file.ptr };
        u.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct mo mo = { 0 };
        if (mo_parse(file, &mo, NULL) == ERR_OK)
            (void)mo_find(&mo, "a");
        t_free(file);
    }
    for (size_t n = 0; n < good.len; n++) {
        struct span file = t_copy(span_sub(good, 0, n));
        struct mo mo = { 0 };
        assert_int_equal(mo_parse(file, &mo, NULL), ERR_MALFORMED);
        t_free(file);
    }
    t_free(good);
}

int main(void)
{
    enum { N = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[N + 4];

    T_ROWS(tests, rows, language_row);
    tests[N] = (struct CMUnitTest){ "catalogue: finds", finds, NULL, NULL, NULL };
    tests[N + 1] =
        (struct CMUnitTest){ "catalogue: other byte order", other_byte_order, NULL, NULL, NULL };
    tests[N + 2] = (struct CMUnitTest){ "catalogue: faults", faults, NULL, NULL, NULL };
    tests[N + 3] = (struct CMUnitTest){ "catalogue: damaged", damaged, NULL, NULL, NULL };
    return _cmocka_run_group_tests("i18n", tests, N + 4, NULL, NULL);
}
