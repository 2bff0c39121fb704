#include "testing/t.h"

#include <jansson.h>

#include "attest/pcrs.h"
#include "base/hex.h"

#define Z48                                                                                        \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000"
#define A48                                                                                        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaa"
#define A46                                                                                        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aa"
#define B48                                                                                        \
    "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" \
    "BBBB"
#define PCRS_MAX 6

static struct attest_pcrs pcrs_of(const char *const *texts)
{
    struct attest_pcrs p = { 0 };

    for (size_t i = 0; i < PCRS_MAX && texts[i]; i++)
        assert_int_equal(attest_pcr_parse(span_str(texts[i]), &p, NULL), ERR_OK);
    return p;
}

static const struct check_row {
    const char *name;
    const char *got[PCRS_MAX], *want[PCRS_MAX];
    bool allow_debug;
    enum err r;
    const char *what;
} check_rows[] = {
    { "equal", { "0=" A48, "1=" A48, "2=" A48 }, { "0=" A48 }, false, ERR_OK, NULL },
    { "all three",
      { "0=" A48, "1=" B48, "2=" A48 },
      { "2=" A48, "1=" B48, "0=" A48 },
      false,
      ERR_OK,
      NULL },
    { "PCR0 differs",
      { "0=" A48, "1=" A48 },
      { "0=" B48, "1=" B48 },
      false,
      ERR_VERIFY,
      "PCR0 differs" },
    { "PCR8 differs",
      { "0=" A48, "8=" Z48 },
      { "0=" A48, "8=" A48 },
      false,
      ERR_VERIFY,
      "PCR8 differs" },
    { "PCR31 differs", { "31=" A48 }, { "31=" B48 }, false, ERR_VERIFY, "PCR31 differs" },
    { "not there",
      { "0=" A48 },
      { "0=" A48, "16=" A48 },
      false,
      ERR_VERIFY,
      "PCR not in the document" },
    { "nothing expected", { "0=" A48 }, { NULL }, true, ERR_MALFORMED, "no expected PCRs" },
    { "PCR3 alone", { "3=" A48 }, { "3=" A48 }, true, ERR_MALFORMED, "PCR3 and PCR4 alone" },
    { "PCR4 alone", { "4=" A48 }, { "4=" A48 }, true, ERR_MALFORMED, "PCR3 and PCR4 alone" },
    { "PCR3 and PCR4",
      { "3=" A48, "4=" A48 },
      { "3=" A48, "4=" A48 },
      false,
      ERR_MALFORMED,
      "PCR3 and PCR4 alone" },
    { "PCR3, PCR4 and PCR8",
      { "3=" A48, "4=" A48, "8=" A48 },
      { "3=" A48, "4=" A48, "8=" A48 },
      false,
      ERR_OK,
      NULL },
    { "debug",
      { "0=" Z48, "1=" Z48, "2=" Z48, "8=" A48 },
      { "8=" A48 },
      false,
      ERR_VERIFY,
      "debug enclave" },
    { "debug, zeros expected",
      { "0=" Z48, "1=" Z48, "2=" Z48 },
      { "0=" Z48 },
      false,
      ERR_VERIFY,
      "debug enclave" },
    { "debug allowed", { "0=" Z48, "1=" Z48, "2=" Z48 }, { "0=" Z48 }, true, ERR_OK, NULL },
    { "debug allowed, differs",
      { "0=" Z48, "1=" Z48, "2=" Z48 },
      { "0=" A48 },
      true,
      ERR_VERIFY,
      "PCR0 differs" },
    { "one of three not zero",
      { "0=" Z48, "1=" Z48, "2=" A48 },
      { "2=" A48 },
      false,
      ERR_OK,
      NULL },
};

static void check_row(void **state)
{
    const struct check_row *row = *state;
    static struct attest_verified v;
    static struct attest_pcrs want;
    struct why why = { 0 };

    v.doc.pcrs = pcrs_of(row->got);
    want = pcrs_of(row->want);
    assert_int_equal(attest_pcrs_check(&v, &want, row->allow_debug, &why), row->r);
    if (row->what)
        assert_string_equal(why.what, row->what);
}

#define BAD_INDEX "PCR index is not a number from 0 to 31"
#define BAD_VALUE "PCR value is not 96 hexadecimal digits"

static const struct parse_row {
    const char *name, *text;
    enum err r;
    const char *what;
    unsigned index;
} parse_rows[] = {
    { "parse 0", "0=" A48, ERR_OK, NULL, 0 },
    { "parse PCR0", "PCR0=" A48, ERR_OK, NULL, 0 },
    { "parse capitals", "PCR31=" B48, ERR_OK, NULL, 31 },
    { "parse 32", "32=" A48, ERR_MALFORMED, BAD_INDEX, 0 },
    { "parse three digits", "001=" A48, ERR_MALFORMED, BAD_INDEX, 0 },
    { "parse no index", "=" A48, ERR_MALFORMED, BAD_INDEX, 0 },
    { "parse sign", "+1=" A48, ERR_MALFORMED, BAD_INDEX, 0 },
    { "parse another word", "pcr-1=" A48, ERR_MALFORMED, BAD_INDEX, 0 },
    { "parse no value", "0=", ERR_MALFORMED, BAD_VALUE, 0 },
    { "parse no equals sign", "0", ERR_MALFORMED, BAD_VALUE, 0 },
    { "parse 94 digits", "0=" A46, ERR_MALFORMED, BAD_VALUE, 0 },
    { "parse 95 digits", "0=" A46 "a", ERR_MALFORMED, BAD_VALUE, 0 },
    { "parse 98 digits", "0=" A48 "00", ERR_MALFORMED, BAD_VALUE, 0 },
    { "parse no digit", "0=gg" A46, ERR_MALFORMED, BAD_VALUE, 0 },
    { "parse twice", "7=" A48, ERR_MALFORMED, "PCR given twice", 0 },
    { "parse nothing", "", ERR_MALFORMED, BAD_INDEX, 0 },
};

static void parse_row(void **state)
{
    const struct parse_row *row = *state;
    struct attest_pcrs p = { .present = 1 << 7 };
    struct why why = { 0 };

    assert_int_equal(attest_pcr_parse(span_str(row->text), &p, &why), row->r);
    if (row->r == ERR_OK) {
        assert_int_equal(p.present, 1U << row->index | 1U << 7);
        assert_true(p.value[row->index][47] == 0xaa || p.value[row->index][47] == 0xbb);
        return;
    }
    assert_string_equal(why.what, row->what);
    assert_int_equal(p.present, 1 << 7);
}

static void assert_pcr(const uint8_t *got, const char *hex)
{
    struct span want = t_unhex(hex);

    t_assert_span(span_of(got, ATTEST_PCR_BYTES), want);
    t_free(want);
}

/* nsm reference, section 4: computed by its writer. */
static void extend(void **state)
{
    uint8_t pcr[ATTEST_PCR_BYTES] = { 0 };
    (void)state;

    attest_pcr_extend(pcr, SPAN_LIT("\xde\xad\xbe\xef"));
    assert_pcr(pcr,
               "87861e50430aa6b7867b36e0a8cc6fe471f5c2f4e4aaea69857d221db37db7c9ea6b4a1aa2ac73da"
               "fafd611194ad46e4");
}

/* eif reference, section 3: computed by its writer with zlib and SHA-384. */
static void image(void **state)
{
    const struct span parts[] = { SPAN_LIT("KERNEL\n"), SPAN_LIT("console=ttyS0"),
                                  SPAN_LIT("RAMDISK0"), SPAN_LIT("RAMDISK1") };
    struct attest_pcrs p = { .present = 1 << 4 };
    (void)state;

    assert_int_equal(attest_pcrs_of_image(parts, 4, &p), ERR_OK);
    assert_int_equal(p.present, 0x17);
    assert_pcr(p.value[0],
               "e24c6a3d9fbf75251e2caa7b10c85efb1d59826986e1b34c7eef9f0ff51522abcd957aa77d48"
               "9dda05c1ba770c70142e");
    assert_pcr(p.value[1],
               "47dbebde20e6e3a6d6b3a0ff49b607dd3802f34b821fefb347cb3a21c9bc278f87b978606a68"
               "056e7d383da8eacf5752");
    assert_pcr(p.value[2],
               "5f699ae4300525c628f5c96fc521729dd6ca1a2c07cb07b69e7ae9e3fa935cfd7cc83b3e26d8"
               "9201a486d9db2405c562");
}

static void image_with_one_ramdisk(void **state)
{
    const struct span parts[] = { SPAN_LIT("KERNEL\n"), SPAN_LIT("console=ttyS0"),
                                  SPAN_LIT("RAMDISK0") };
    struct attest_pcrs p = { 0 };
    (void)state;

    assert_int_equal(attest_pcrs_of_image(parts, 3, &p), ERR_OK);
    assert_pcr(p.value[2],
               "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c9"
               "0ba67310f7b964fc500a");
    assert_memory_equal(p.value[0], p.value[1], ATTEST_PCR_BYTES);
    assert_int_equal(attest_pcrs_of_image(parts, 2, &p), ERR_INTERNAL);
}

/* Values whose inputs are known, most from real documents. */
static void recomputable(void **state)
{
    struct span text = t_vector("pcr/recomputable-pcrs.json");
    json_t *all = json_loadb((const char *)text.ptr, text.len, 0, NULL), *e;
    unsigned done = 0;
    size_t i;
    (void)state;

    json_array_foreach(all, i, e)
    {
        const char *input = json_string_value(json_object_get(e, "input_ascii"));
        const char *value = json_string_value(json_object_get(e, "value"));
        uint8_t pcr[ATTEST_PCR_BYTES] = { 0 };
        if (!input || strstr(json_string_value(json_object_get(e, "formula")), "SHA384(data)"))
            continue;
        attest_pcr_extend(pcr, span_str(input));
        assert_pcr(pcr, value);
        done++;
    }
    assert_true(done >= 5);
    json_decref(all);
    t_free(text);
}

/* Whatever its registers hold, it is no enclave's. */
static void nitrotpm(void **state)
{
    static struct attest_verified v = { .doc.pcrs = { .present = 7, .is_tpm = true } };
    static const struct attest_pcrs want = { .present = 7 };
    struct why why = { 0 };

    (void)state;
    assert_false(attest_is_debug(&v.doc.pcrs));
    assert_int_equal(attest_pcrs_check(&v, &want, true, &why), ERR_VERIFY);
    assert_string_equal(why.what, "NitroTPM document");
    v.doc.pcrs.is_tpm = false;
    assert_int_equal(attest_pcrs_check(&v, &want, true, &why), ERR_OK);
}

enum {
    CHECK_ROWS = sizeof(check_rows) / sizeof(check_rows[0]),
    PARSE_ROWS = sizeof(parse_rows) / sizeof(parse_rows[0]),
};

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(extend),
        cmocka_unit_test(image),
        cmocka_unit_test(image_with_one_ramdisk),
        cmocka_unit_test(recomputable),
        cmocka_unit_test(nitrotpm),
    };
    static struct CMUnitTest tests[CHECK_ROWS + PARSE_ROWS + sizeof(own) / sizeof(own[0])];
    size_t n = 0;

    n += T_ROWS(tests + n, check_rows, check_row);
    n += T_ROWS(tests + n, parse_rows, parse_row);
    memcpy(&tests[n], own, sizeof(own));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
