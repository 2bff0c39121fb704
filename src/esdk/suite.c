#include "esdk/esdk_in.h"

/* framework/algorithm-suites.md; `hash` is the key derivation's. */
static const struct {
    struct esdk_suite suite;
    enum mac_alg hash;
} suites[] = {
    { { 0x0014, 1, 16, false, false, false, ESIG_P256, "AES_128_GCM_IV12_TAG16_NO_KDF" },
      MAC_SHA256 },
    { { 0x0046, 1, 24, false, false, false, ESIG_P256, "AES_192_GCM_IV12_TAG16_NO_KDF" },
      MAC_SHA256 },
    { { 0x0078, 1, 32, false, false, false, ESIG_P256, "AES_256_GCM_IV12_TAG16_NO_KDF" },
      MAC_SHA256 },
    { { 0x0114, 1, 16, true, false, false, ESIG_P256, "AES_128_GCM_IV12_TAG16_HKDF_SHA256" },
      MAC_SHA256 },
    { { 0x0146, 1, 24, true, false, false, ESIG_P256, "AES_192_GCM_IV12_TAG16_HKDF_SHA256" },
      MAC_SHA256 },
    { { 0x0178, 1, 32, true, false, false, ESIG_P256, "AES_256_GCM_IV12_TAG16_HKDF_SHA256" },
      MAC_SHA256 },
    { { 0x0214, 1, 16, true, false, true, ESIG_P256,
        "AES_128_GCM_IV12_TAG16_HKDF_SHA256_ECDSA_P256" },
      MAC_SHA256 },
    { { 0x0346, 1, 24, true, false, true, ESIG_P384,
        "AES_192_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384" },
      MAC_SHA384 },
    { { 0x0378, 1, 32, true, false, true, ESIG_P384,
        "AES_256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384" },
      MAC_SHA384 },
    { { 0x0478, 2, 32, true, true, false, ESIG_P256, "AES_256_GCM_HKDF_SHA512_COMMIT_KEY" },
      MAC_SHA512 },
    { { 0x0578, 2, 32, true, true, true, ESIG_P384,
        "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384" },
      MAC_SHA512 },
};

enum { SUITES = sizeof suites / sizeof suites[0] };

const struct esdk_suite *esdk_suite_find(unsigned id)
{
    for (size_t i = 0; i < SUITES; i++)
        if (suites[i].suite.id == id)
            return &suites[i].suite;
    return NULL;
}

enum mac_alg suite_hash(const struct esdk_suite *suite)
{
    for (size_t i = 0; i < SUITES; i++)
        if (suites[i].suite.id == suite->id)
            return suites[i].hash;
    return MAC_SHA512;
}

bool esdk_policy_reads(enum esdk_policy policy, const struct esdk_suite *suite)
{
    return suite->commits || policy == ESDK_REQUIRE_ENCRYPT_ALLOW_DECRYPT ||
           policy == ESDK_FORBID_ENCRYPT_ALLOW_DECRYPT;
}

bool esdk_policy_writes(enum esdk_policy policy, const struct esdk_suite *suite)
{
    return suite->commits == (policy != ESDK_FORBID_ENCRYPT_ALLOW_DECRYPT);
}

struct esdk_limits limits_of(const struct esdk_limits *given)
{
    struct esdk_limits l = given ? *given : (struct esdk_limits){ 0 };

    if (!l.header_bytes)
        l.header_bytes = 65536;
    if (!l.context_bytes)
        l.context_bytes = 8192;
    if (!l.pairs)
        l.pairs = 128;
    if (!l.keys)
        l.keys = 8;
    if (!l.frame_bytes)
        l.frame_bytes = 1 << 20;
    if (!l.block_bytes)
        l.block_bytes = 1 << 20;
    return l;
}
