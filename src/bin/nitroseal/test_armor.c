#include "bin/nitroseal/armor.h"
#include "testing/t.h"

#define B ARMOR_BEGIN
#define E ARMOR_END

static struct row {
    const char *name, *text;
    enum err want;
    const char *data, *what;
} rows[] = {
    { "as it is written", B "\nAgR4\n" E "\n", ERR_OK, "\x02\x04x", NULL },
    { "padding", B "\nQQ==\n" E "\n", ERR_OK, "A", NULL },
    { "nothing inside", B "\n" E "\n", ERR_OK, "", NULL },
    { "no line feed at the end", B "\nQUJD\n" E, ERR_OK, "ABC", NULL },
    { "CRLF", B "\r\nQUJD\r\n" E "\r\n", ERR_OK, "ABC", NULL },
    { "CR at the very end", B "\r\nQUJD\r\n" E "\r", ERR_OK, "ABC", NULL },
    { "blanks around", "\n \t" B " \nQUJD \n\n  Q  UI=\n\n" E "\n\n  ", ERR_OK, "ABCAB", NULL },
    { "groups cut by lines", B "\nQ\nUJ\nDQ\nUJD\n" E "\n", ERR_OK, "ABCABC", NULL },
    { "without the lines", "QUJD\nQUI=\n", ERR_OK, "ABCAB", NULL },
    { "without the lines, one line", "QUJDQUI=", ERR_OK, "ABCAB", NULL },
    { "nothing at all", "", ERR_MALFORMED, NULL, "armor: it is cut off" },
    { "blanks only", " \n", ERR_MALFORMED, NULL, "armor: it is cut off" },
    { "the BEGIN line alone", B "\n", ERR_MALFORMED, NULL, "armor: it is cut off" },
    { "no END line", B "\nQUJD\n", ERR_MALFORMED, NULL, "armor: it is cut off" },
    { "half an END line", B "\nQUJD\n-----END AWS ENC", ERR_MALFORMED, NULL,
      "armor: it is cut off" },
    { "half a group", "QUJDQU", ERR_MALFORMED, NULL, "armor: it is cut off" },
    { "half a group before END", B "\nQUJDQU\n" E "\n", ERR_MALFORMED, NULL,
      "armor: it is cut off" },
    { "another BEGIN line", "-----BEGIN CERTIFICATE-----\nQUJD\n", ERR_MALFORMED, NULL,
      "armor: not the BEGIN line of a message: " B },
    { "another END line", B "\nQUJD\n-----END CERTIFICATE-----\n", ERR_MALFORMED, NULL,
      "armor: expected its END line: " E },
    { "END on a line with data", B "\nQUJD" E "\n", ERR_MALFORMED, NULL,
      "armor: a character that base64 does not have" },
    { "END without BEGIN", "QUJD\n" E "\n", ERR_MALFORMED, NULL,
      "armor: a character that base64 does not have" },
    { "a long line of dashes",
      B "\nQUJD\n-----------------------------------------------------------------x\n",
      ERR_MALFORMED, NULL, "armor: a line that begins with '-' and is neither BEGIN nor END" },
    { "text after END", B "\nQUJD\n" E "\nx", ERR_MALFORMED, NULL,
      "armor: something follows its END line" },
    { "another message after END", B "\nQUJD\n" E "\n" B "\nQUJD\n" E "\n", ERR_MALFORMED, NULL,
      "armor: something follows its END line" },
    { "data after padding", "QQ==QUJD", ERR_MALFORMED, NULL, "armor: not base64" },
    { "data after padding, next line", "QQ==\nQUJD", ERR_MALFORMED, NULL,
      "armor: base64 goes on after its end" },
    { "padding twice", "QQ==\n====", ERR_MALFORMED, NULL, "armor: base64 goes on after its end" },
    { "stray bits", "QR==", ERR_MALFORMED, NULL, "armor: not base64" },
    { "base64url", "QU_D", ERR_MALFORMED, NULL, "armor: a character that base64 does not have" },
    { "a byte past ASCII", "QUJD\xff", ERR_MALFORMED, NULL,
      "armor: a character that base64 does not have" },
};

/* In pieces of `step`. */
static enum err read_all(struct span text, size_t step, struct buf *out, struct why *why)
{
    struct armor_in a = { .state = 0 };
    enum err r = ERR_OK;

    for (size_t i = 0; i < text.len && r == ERR_OK; i += step) {
        struct span piece = t_copy(span_sub(text, i, step));
        r = armor_take(&a, piece, out, why);
        t_free(piece);
    }
    return r == ERR_OK ? armor_end(&a, why) : r;
}

static void row(void **state)
{
    const struct row *w = *state;

    for (size_t step = 1; step < 200; step = step < 8 ? step + 1 : step * 5) {
        AUTO(buf_clear) struct buf out = BUF_INIT(1 << 10);
        struct why why = { 0 };
        assert_int_equal(read_all(span_str(w->text), step, &out, &why), w->want);
        if (w->want == ERR_OK)
            t_assert_buf(&out, w->data);
        else if (strcmp(w->name, "data after padding") != 0) /* which fault depends on the cut */
            assert_string_equal(why.what, w->what);
    }
}

/* Every length around a line, in pieces of every size. */
static void round_trip(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf data = BUF_INIT(1 << 10);

    for (unsigned n = 0; n <= 3 * ARMOR_LINE_BYTES + 1; n++) {
        for (size_t step = 1; step < 2 * ARMOR_LINE_BYTES; step += 7) {
            AUTO(buf_clear) struct buf text = BUF_INIT(1 << 10), back = BUF_INIT(1 << 10);
            struct armor_out w = { .n = 0 };
            for (size_t i = 0; i < n; i += step)
                assert_int_equal(armor_put(&w, span_sub(buf_view(&data), i, step), &text), ERR_OK);
            assert_int_equal(armor_finish(&w, &text), ERR_OK);
            assert_int_equal(read_all(buf_view(&text), 13, &back, NULL), ERR_OK);
            t_assert_span(buf_view(&back), buf_view(&data));
            for (struct span rest = buf_view(&text); rest.len;)
                assert_in_range(span_cut(&rest, '\n').len, 1, 64);
        }
        assert_int_equal(buf_append_byte(&data, (uint8_t)(n * 37)), ERR_OK);
    }
}

static void every_cut_is_seen(void **state)
{
    (void)state;
    struct span text = SPAN_LIT(B "\nQUJDQUJD\nQUI=\n" E "\n");

    for (size_t n = 0; n + 1 < text.len; n++) {
        AUTO(buf_clear) struct buf out = BUF_INIT(64);
        struct why why = { 0 };
        assert_int_equal(read_all(span_sub(text, 0, n), 1000, &out, &why), ERR_MALFORMED);
        assert_string_equal(why.what, "armor: it is cut off");
        assert_int_equal(why.at, n);
    }
}

static void no_room(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf out = BUF_INIT(5);
    struct armor_out w = { .n = 0 };

    assert_int_equal(read_all(SPAN_LIT("QUJDQUJD"), 8, &out, NULL), ERR_LIMIT);
    buf_reset(&out);
    assert_int_equal(armor_put(&w, SPAN_LIT("x"), &out), ERR_LIMIT);
}

static void kinds(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf cut = BUF_INIT(INPUT_PEEK_BYTES + 1);
    static const struct {
        const char *start;
        enum input_kind want;
    } list[] = {
        { "\x01\x80", INPUT_MESSAGE },
        { "\x02\x04\x78 and more", INPUT_MESSAGE },
        { "\x03", INPUT_OTHER },
        { "\xff\xfe", INPUT_OTHER },
        { "ab\x01", INPUT_OTHER },
        { "", INPUT_TEXT },
        { B "\n", INPUT_ARMOR },
        { "\n -----BEGIN CERTIFICATE-----", INPUT_ARMOR },
        { "AgR4xyz", INPUT_ARMOR },
        { "\r\nAgV4", INPUT_ARMOR },
        { "AYADeLg", INPUT_ARMOR },
        { "AYAE", INPUT_TEXT },
        { "ENCRYPTED=", INPUT_TEXT },
        { " {\"encrypted\"", INPUT_TEXT },
        { "Gr\xc3\xbc\xc3\x9f", INPUT_TEXT },
        { "Gr\xc3", INPUT_OTHER }, /* the end of the file, not of what was looked at */
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        assert_int_equal(input_kind_of(span_str(list[i].start)), list[i].want);
    while (cut.len < INPUT_PEEK_BYTES - 1)
        assert_int_equal(buf_append_byte(&cut, 'x'), ERR_OK);
    assert_int_equal(buf_append_byte(&cut, 0xe4), ERR_OK);
    assert_int_equal(input_kind_of(buf_view(&cut)), INPUT_TEXT);
}

enum { FIXED = 4, ROWS = sizeof rows / sizeof rows[0] };

int main(void)
{
    struct CMUnitTest tests[FIXED + ROWS] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_cut_is_seen),
        cmocka_unit_test(no_room),
        cmocka_unit_test(kinds),
    };

    T_ROWS(tests + FIXED, rows, row);
    return cmocka_run_group_tests_name("armor", tests, NULL, NULL);
}
