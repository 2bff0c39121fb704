/* The whole answer of describe-eif for an image, unsigned and signed, as nitro-cli words it. */
#include "eif/describe.h"

#include "crypto/test_signers.h"
#include "testing/t.h"

enum { ROOM = 65536 };

static void file_of(bool with_signature, const char *custom, struct buf *file)
{
    AUTO(buf_clear) struct buf metadata = BUF_INIT(4096);
    AUTO(buf_clear) struct buf section = BUF_INIT(EIF_SIGNATURE_MAX);
    AUTO(signer_key_freep) struct signer_key *key = NULL;
    struct eif_metadata_in m = { .image_name = SPAN_LIT("app"),
                                 .image_version = SPAN_LIT("1"),
                                 .build_time = SPAN_LIT("1970-01-01T00:00:00+00:00"),
                                 .build_tool = SPAN_LIT("nitroseal"),
                                 .build_tool_version = SPAN_LIT("0"),
                                 .operating_system = SPAN_LIT("Linux"),
                                 .kernel_version = SPAN_LIT("6.12"),
                                 .custom = span_str(custom) };
    struct eif e = eif_new(false);
    struct attest_pcrs pcrs;

    assert_int_equal(eif_metadata_write(&m, &metadata, NULL), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_KERNEL, SPAN_LIT("k")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_CMDLINE, SPAN_LIT("c")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_METADATA, buf_view(&metadata)), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_RAMDISK, SPAN_LIT("r")), ERR_OK);
    assert_int_equal(eif_measure(&e, &pcrs), ERR_OK);
    if (with_signature) {
        assert_int_equal(signer_key_parse_pem(span_str(p384_key_pem), &key, NULL), ERR_OK);
        assert_int_equal(
            eif_signature_write(span_str(p384_cert_pem), key, pcrs.value[0], &section, NULL),
            ERR_OK);
        assert_int_equal(eif_set_signature(&e, buf_view(&section)), ERR_OK);
    }
    *file = BUF_INIT(ROOM);
    assert_int_equal(eif_write(&e, file, NULL), ERR_OK);
}

/* On its own: its frame is a large one already. */
__attribute__((noinline)) static void described(struct span file, bool sections, struct buf *out)
{
    AUTO(eif_report_clear) struct eif_report r = EIF_REPORT_NONE;
    struct json_out w = json_out_init(out);

    assert_int_equal(eif_report_make(file, &r, NULL), ERR_OK);
    eif_report_write(&w, sections, &r);
    assert_int_equal(json_out_end(&w), ERR_OK);
}

static bool holds(const struct buf *b, const char *text)
{
    return memmem(b->ptr, b->len, text, strlen(text)) != NULL;
}

static void plain(void **state)
{
    AUTO(buf_clear) struct buf file = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(ROOM);
    AUTO(buf_clear) struct buf want = BUF_INIT(ROOM);
    struct attest_pcrs pcrs;
    struct eif e;
    struct json_out w = json_out_init(&want);

    (void)state;
    file_of(false, "{\"owner\":\"me\",\"BuildTool\":\"a lie\",\"x\":[1]}", &file);
    described(buf_view(&file), false, &out);
    assert_int_equal(eif_parse(buf_view(&file), &e, NULL), ERR_OK);
    assert_int_equal(eif_measure(&e, &pcrs), ERR_OK);
    assert_int_equal(buf_append_str(&want, "{\"EifVersion\":4,\"Measurements\":"), ERR_OK);
    eif_measurements_write(&w, &pcrs);
    assert_int_equal(
        buf_append_str(
            &want,
            ",\"IsSigned\":false,\"CheckCRC\":true,\"ImageName\":\"app\","
            "\"ImageVersion\":\"1\",\"Metadata\":{\"BuildTime\":\"1970-01-01T00:00:00+00:00\","
            "\"BuildTool\":\"nitroseal\",\"BuildToolVersion\":\"0\",\"OperatingSystem\":"
            "\"Linux\",\"KernelVersion\":\"6.12\",\"DockerInfo\":null,\"owner\":\"me\","
            "\"x\":[1]}}"),
        ERR_OK);
    t_assert_span(buf_view(&out), buf_view(&want));
    assert_true(holds(&want, "{\"HashAlgorithm\":\"Sha384 { ... }\",\"PCR0\":\""));
    assert_false(holds(&want, "PCR8"));
}

static void with_signature(void **state)
{
    AUTO(buf_clear) struct buf file = { 0 };
    AUTO(buf_clear) struct buf out = BUF_INIT(ROOM);

    (void)state;
    file_of(true, NULL, &file);
    described(buf_view(&file), true, &out);
    assert_true(holds(&out, "\",\"PCR8\":\""));
    assert_true(holds(
        &out,
        "\"IsSigned\":true,\"SigningCertificate\":{\"IssuerName\":{\"countryName\":\"DE\","
        "\"organizationName\":\"Test Signers\",\"organizationalUnitName\":\"two\","
        "\"commonName\":\"p384 signer\"},\"Algorithm\":\"ecdsa-with-SHA384\","
        "\"NotBefore\":\"Jan  1 00:00:00 2020 GMT\",\"NotAfter\":\"Jan  1 00:00:00 2070 GMT\","
        "\"Signature\":\"30:6"));
    assert_true(holds(&out, "\"CheckCRC\":true,\"SignatureCheck\":true,\"ImageName\""));
    assert_true(
        holds(&out, "\"Sections\":[{\"Type\":\"kernel\",\"Offset\":548,\"Size\":1,\"Sha384\":"));

    file.ptr[EIF_HEADER_BYTES + EIF_SECTION_HEADER_BYTES] = 'K'; /* another kernel */
    buf_reset(&out);
    described(buf_view(&file), false, &out);
    assert_true(holds(&out, "\"CheckCRC\":false,\"SignatureCheck\":false,"));
}

static void refused(void **state)
{
    AUTO(buf_clear) struct buf file = BUF_INIT(ROOM);
    static struct eif_report r;
    static struct eif e;
    struct why why = { 0 };

    (void)state;
    e = eif_new(false);
    assert_int_equal(eif_add(&e, EIF_KERNEL, SPAN_LIT("k")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_CMDLINE, SPAN_LIT("c")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_METADATA, SPAN_LIT("{}")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_RAMDISK, SPAN_LIT("r")), ERR_OK);
    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    assert_int_equal(eif_report_make(buf_view(&file), &r, &why), ERR_MALFORMED);
    assert_string_equal(why.what, "no ImageName or ImageVersion");
    e.version = 3;
    e.n_sections = 2;
    assert_int_equal(eif_add(&e, EIF_RAMDISK, SPAN_LIT("r")), ERR_OK);
    assert_int_equal(eif_add(&e, EIF_SIGNATURE, SPAN_LIT("garbage")), ERR_OK);
    buf_reset(&file);
    assert_int_equal(eif_write(&e, &file, NULL), ERR_OK);
    assert_int_equal(eif_report_make(buf_view(&file), &r, &why), ERR_MALFORMED);
    assert_int_equal(r.eif.n_sections, 0);
}

static int setup(void **state)
{
    (void)state;
    return crypto_process_init() == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(with_signature),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
