#include "localkms/key_spec.h"

enum { PAIR = 1, MAC = 2 };

#define USE(u) (1u << (u))

static const struct kind {
    const char *name;
    unsigned kind, usages;
    size_t secret_bytes;
    enum keypair_spec pair;
    enum ecdh_curve curve;
    enum mac_alg mac;
} kinds[KEY_SPEC_LAST + 1] = {
    [KEY_SYMMETRIC] = { "SYMMETRIC_DEFAULT", 0, USE(KEY_ENCRYPT_DECRYPT), 32, KEYPAIR_SPECS,
                        ECDH_CURVES, MAC_ALGS },
    [KEY_ECC_NIST_P256] = { "ECC_NIST_P256", PAIR, USE(KEY_SIGN_VERIFY) | USE(KEY_KEY_AGREEMENT), 0,
                            KEYPAIR_ECC_NIST_P256, ECDH_P256, MAC_ALGS },
    [KEY_ECC_NIST_P384] = { "ECC_NIST_P384", PAIR, USE(KEY_SIGN_VERIFY) | USE(KEY_KEY_AGREEMENT), 0,
                            KEYPAIR_ECC_NIST_P384, ECDH_P384, MAC_ALGS },
    [KEY_ECC_NIST_P521] = { "ECC_NIST_P521", PAIR, USE(KEY_SIGN_VERIFY) | USE(KEY_KEY_AGREEMENT), 0,
                            KEYPAIR_ECC_NIST_P521, ECDH_P521, MAC_ALGS },
    [KEY_ECC_SECG_P256K1] = { "ECC_SECG_P256K1", PAIR, USE(KEY_SIGN_VERIFY), 0,
                              KEYPAIR_ECC_SECG_P256K1, ECDH_CURVES, MAC_ALGS },
    [KEY_ECC_NIST_EDWARDS25519] = { "ECC_NIST_EDWARDS25519", PAIR, USE(KEY_SIGN_VERIFY), 0,
                                    KEYPAIR_ECC_NIST_EDWARDS25519, ECDH_CURVES, MAC_ALGS },
    [KEY_RSA_2048] = { "RSA_2048", PAIR, USE(KEY_ENCRYPT_DECRYPT) | USE(KEY_SIGN_VERIFY), 0,
                       KEYPAIR_RSA_2048, ECDH_CURVES, MAC_ALGS },
    [KEY_RSA_3072] = { "RSA_3072", PAIR, USE(KEY_ENCRYPT_DECRYPT) | USE(KEY_SIGN_VERIFY), 0,
                       KEYPAIR_RSA_3072, ECDH_CURVES, MAC_ALGS },
    [KEY_RSA_4096] = { "RSA_4096", PAIR, USE(KEY_ENCRYPT_DECRYPT) | USE(KEY_SIGN_VERIFY), 0,
                       KEYPAIR_RSA_4096, ECDH_CURVES, MAC_ALGS },
    [KEY_HMAC_224] = { "HMAC_224", MAC, USE(KEY_GENERATE_VERIFY_MAC), 28, KEYPAIR_SPECS,
                       ECDH_CURVES, MAC_SHA224 },
    [KEY_HMAC_256] = { "HMAC_256", MAC, USE(KEY_GENERATE_VERIFY_MAC), 32, KEYPAIR_SPECS,
                       ECDH_CURVES, MAC_SHA256 },
    [KEY_HMAC_384] = { "HMAC_384", MAC, USE(KEY_GENERATE_VERIFY_MAC), 48, KEYPAIR_SPECS,
                       ECDH_CURVES, MAC_SHA384 },
    [KEY_HMAC_512] = { "HMAC_512", MAC, USE(KEY_GENERATE_VERIFY_MAC), 64, KEYPAIR_SPECS,
                       ECDH_CURVES, MAC_SHA512 },
};

static const char *const usages[] = {
    [KEY_ENCRYPT_DECRYPT] = "ENCRYPT_DECRYPT",
    [KEY_SIGN_VERIFY] = "SIGN_VERIFY",
    [KEY_GENERATE_VERIFY_MAC] = "GENERATE_VERIFY_MAC",
    [KEY_KEY_AGREEMENT] = "KEY_AGREEMENT",
};

static const char *const sign_algs[AKEY_SIGN_ALGS] = {
    [AKEY_PSS_SHA256] = "RSASSA_PSS_SHA_256",
    [AKEY_PSS_SHA384] = "RSASSA_PSS_SHA_384",
    [AKEY_PSS_SHA512] = "RSASSA_PSS_SHA_512",
    [AKEY_PKCS1_SHA256] = "RSASSA_PKCS1_V1_5_SHA_256",
    [AKEY_PKCS1_SHA384] = "RSASSA_PKCS1_V1_5_SHA_384",
    [AKEY_PKCS1_SHA512] = "RSASSA_PKCS1_V1_5_SHA_512",
    [AKEY_ECDSA_SHA256] = "ECDSA_SHA_256",
    [AKEY_ECDSA_SHA384] = "ECDSA_SHA_384",
    [AKEY_ECDSA_SHA512] = "ECDSA_SHA_512",
    [AKEY_ED25519] = "ED25519_SHA_512",
};

/* NULL-terminated, an element for each hash. */
static const char *const macs[MAC_ALGS][2] = {
    [MAC_SHA224] = { "HMAC_SHA_224" },
    [MAC_SHA256] = { "HMAC_SHA_256" },
    [MAC_SHA384] = { "HMAC_SHA_384" },
    [MAC_SHA512] = { "HMAC_SHA_512" },
};

const char *key_spec_name(enum key_spec spec)
{
    return kinds[spec].name;
}

bool key_spec_by_name(struct span name, enum key_spec *out)
{
    for (unsigned i = KEY_SYMMETRIC; i <= KEY_SPEC_LAST; i++)
        if (span_is(name, kinds[i].name)) {
            *out = (enum key_spec)i;
            return true;
        }
    return false;
}

bool key_spec_is_pair(enum key_spec spec)
{
    return kinds[spec].kind == PAIR;
}

bool key_spec_is_mac(enum key_spec spec)
{
    return kinds[spec].kind == MAC;
}

bool key_spec_allows(enum key_spec spec, enum key_usage usage)
{
    return kinds[spec].usages & USE(usage);
}

size_t key_spec_secret_bytes(enum key_spec spec)
{
    return kinds[spec].secret_bytes;
}

enum keypair_spec key_spec_pair(enum key_spec spec)
{
    return kinds[spec].pair;
}

enum ecdh_curve key_spec_curve(enum key_spec spec)
{
    return kinds[spec].curve;
}

enum mac_alg key_spec_mac(enum key_spec spec)
{
    return kinds[spec].mac;
}

const char *key_usage_name(enum key_usage usage)
{
    return usages[usage];
}

bool key_usage_by_name(struct span name, enum key_usage *out)
{
    for (unsigned i = KEY_ENCRYPT_DECRYPT; i <= KEY_KEY_AGREEMENT; i++)
        if (span_is(name, usages[i])) {
            *out = (enum key_usage)i;
            return true;
        }
    return false;
}

const char *key_origin_name(enum key_origin origin)
{
    return origin == KEY_EXTERNAL ? "EXTERNAL" : "AWS_KMS";
}

static const char *const *sign_list(enum key_spec spec)
{
    static const char *const rsa[] = {
        "RSASSA_PKCS1_V1_5_SHA_256",
        "RSASSA_PKCS1_V1_5_SHA_384",
        "RSASSA_PKCS1_V1_5_SHA_512",
        "RSASSA_PSS_SHA_256",
        "RSASSA_PSS_SHA_384",
        "RSASSA_PSS_SHA_512",
        NULL,
    };
    static const char *const ecdsa256[] = { "ECDSA_SHA_256", NULL };
    static const char *const ecdsa384[] = { "ECDSA_SHA_384", NULL };
    static const char *const ecdsa512[] = { "ECDSA_SHA_512", NULL };
    static const char *const ed25519[] = { "ED25519_SHA_512", NULL };

    if (spec == KEY_ECC_NIST_P256 || spec == KEY_ECC_SECG_P256K1)
        return ecdsa256;
    if (spec == KEY_ECC_NIST_P384)
        return ecdsa384;
    if (spec == KEY_ECC_NIST_P521)
        return ecdsa512;
    return spec == KEY_ECC_NIST_EDWARDS25519 ? ed25519 : rsa;
}

const char *const *key_algorithms(enum key_spec spec, enum key_usage usage)
{
    static const char *const symmetric[] = { "SYMMETRIC_DEFAULT", NULL };
    static const char *const rsa[] = { "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", NULL };
    static const char *const agreement[] = { "ECDH", NULL };

    switch (usage) {
    case KEY_ENCRYPT_DECRYPT:
        return key_spec_is_pair(spec) ? rsa : symmetric;
    case KEY_SIGN_VERIFY:
        return sign_list(spec);
    case KEY_GENERATE_VERIFY_MAC:
        return macs[key_spec_mac(spec)];
    case KEY_KEY_AGREEMENT:
        break;
    }
    return agreement;
}

const char *key_algorithms_member(enum key_usage usage)
{
    static const char *const names[] = {
        [KEY_ENCRYPT_DECRYPT] = "EncryptionAlgorithms",
        [KEY_SIGN_VERIFY] = "SigningAlgorithms",
        [KEY_GENERATE_VERIFY_MAC] = "MacAlgorithms",
        [KEY_KEY_AGREEMENT] = "KeyAgreementAlgorithms",
    };
    return names[usage];
}

bool key_sign_alg(struct span name, enum akey_sign_alg *out)
{
    for (unsigned i = 0; i < AKEY_SIGN_ALGS; i++)
        if (span_is(name, sign_algs[i])) {
            *out = (enum akey_sign_alg)i;
            return true;
        }
    return false;
}

bool key_mac_alg(struct span name, enum mac_alg *out)
{
    for (unsigned i = 0; i < MAC_ALGS; i++)
        if (span_is(name, macs[i][0])) {
            *out = (enum mac_alg)i;
            return true;
        }
    return false;
}
