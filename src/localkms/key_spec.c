#include "localkms/key_spec.h"

static const struct {
    enum key_spec spec;
    const char *name, *usage;
    enum ecdh_curve curve;
} kinds[] = {
    { KEY_SYMMETRIC, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", ECDH_CURVES },
    { KEY_ECC_NIST_P256, "ECC_NIST_P256", "KEY_AGREEMENT", ECDH_P256 },
    { KEY_ECC_NIST_P384, "ECC_NIST_P384", "KEY_AGREEMENT", ECDH_P384 },
    { KEY_ECC_NIST_P521, "ECC_NIST_P521", "KEY_AGREEMENT", ECDH_P521 },
};

const char *key_spec_name(enum key_spec spec)
{
    return kinds[spec - KEY_SYMMETRIC].name;
}

const char *key_spec_usage(enum key_spec spec)
{
    return kinds[spec - KEY_SYMMETRIC].usage;
}

enum ecdh_curve key_spec_curve(enum key_spec spec)
{
    return kinds[spec - KEY_SYMMETRIC].curve;
}

bool key_spec_by_name(struct span name, enum key_spec *out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (span_is(name, kinds[i].name)) {
            *out = kinds[i].spec;
            return true;
        }
    return false;
}
