/* test_keys.h - throw-away keys, made with the openssl command for these tests and used nowhere
 * else. */
#ifndef CRYPTO_TEST_KEYS_H
#define CRYPTO_TEST_KEYS_H

/* RSA of 2,048 bits, PKCS#8. */
static const char rsa_pkcs8_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQD2AsNCqwdzmGkM\n"
    "YDyrwK8Zu84dYWGlfEfwdv7RmYuwwHD6n0W1FIV8wKfwvvpKN32JMD/w5OAfwFUD\n"
    "LebcAs5CV/8IT07hABtrsX2B5IbmlEgJJByZ1sba6OxqljovwqNVn3DIQ+8t8VM7\n"
    "wIawtVhXwe78xePPB+HmkmFMVN5ghry8KwV2mebT0Oth+jnamBgGIT/xnGE44fTh\n"
    "r06fu9hK9BNosqNXw/Ch4QMobAC4VeAGEwx0z3pmsnk3aiFB3BhGNs/295OSG9E0\n"
    "FPaJ+HdPxg9w8i0KCGrpCow6eSch2lBNi5nbVJtsUc488BXdn61d0Y1zmw4E897j\n"
    "EeIhLMtdAgMBAAECggEACvVMC9Hw+sfw8/Vsdm0Wj6OjNoFSN2weCzrNtnnrtEOa\n"
    "NLu3/+0qVgiB4pIrNXebzqrYykrzpc5sKwBWLnoshF2FlXHs7k5SKl2lXM4YaTh1\n"
    "Lf0PDhY4VON3tna7IEn/+w4nWLBX/NipT7nPdhsZ1Izlr5pD/8KW4C2oil0ka7G2\n"
    "ZgoQKl/FpHizOZR10avKzmBSWyEnONj90xiVChq3sJhqOzd15VJi0mOheimvMMvn\n"
    "ksB1jN32fRZrh5BlYKUmA30QjYSUWoCIIkOvcri6S/9NobdqGxhS+0pS30EUKSdb\n"
    "9g/16jzK3371or3n1AuNHAcpgBgjMRBam2UxNUDU0QKBgQD+SZK/03QxuuIuQA70\n"
    "Bggo8qQakxdkxDZBGTNgotu8CDeAxzeylLZ5u1oPdCoLyh774uGMS8OAR56BnUs9\n"
    "IHAgN9c89lTjv5PyQ5EWj0xbKxOa3SKoqO35dppGFXORntgTy7amlVFrKOgg51HO\n"
    "blw0XmEycMFjzoLOPc/Dfhj8MQKBgQD3qutjQuirzWuNuzw+sZWobI11ZOBgRelF\n"
    "Jli1bk6DUTgEVgv54RW9KbRpNb7HndAU50YVCSWj3sM8HTq3lBnaDYiLpqDQCu2K\n"
    "M40KzceUERa4zSiFGhlzKz+RW2sNnCGZRaiqu7673lELp0HubgZFUTu8nR0IT/Tg\n"
    "LEItJ7Xy7QKBgQDyB8Efx/nuY3xonRwec6dMojZD/QDlLkSdjYjzT89pl0CM2BFR\n"
    "bm6ISySbVOu4MPdwtDANwwcfkAt0PuygD8HpSH0bTzLZWz1L97efC2GX3NZaLmSQ\n"
    "t8laCeMpFb3cOp5bqSf+Ql0ua88Vklaw7yXfyn0k72GCx8qE1xxrbBgH4QKBgQCD\n"
    "Je8f0P6Ee3LIyq1MRZ2KYnFGCPUIBf1QsM2oxZCt2QRgx2/wElEAqmTukZdE/TyC\n"
    "1TU3TnCwJfYcjx3YuIQ4A5Ka4NGnWSIQXNwDLJTSw3nUwk8CrJ9tbSlsP4yg2Fyy\n"
    "XUDDqEeIFGG2Wgt/xqNrcWjAqDIHhM+XJdilMLIYwQKBgQD6mGWf8mmWwWm94b/N\n"
    "+RWUTmTCbXVbDhb6btZghs0nDNJJTTDlIV0d4GkH0tswN5j3h8/dwy6X2DKz0MfK\n"
    "16U2VMrkl1QnH6NvV7NAghxj96Ci2KbmrbxtbFLPU3f0M+cw/r9m24Py01GHHfMa\n"
    "bWqXW+9JGaOL4xIL3skE2rXiKg==\n"
    "-----END PRIVATE KEY-----\n";

/* The same key, PKCS#1. */
static const char rsa_pkcs1_pem[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEpQIBAAKCAQEA9gLDQqsHc5hpDGA8q8CvGbvOHWFhpXxH8Hb+0ZmLsMBw+p9F\n"
    "tRSFfMCn8L76Sjd9iTA/8OTgH8BVAy3m3ALOQlf/CE9O4QAba7F9geSG5pRICSQc\n"
    "mdbG2ujsapY6L8KjVZ9wyEPvLfFTO8CGsLVYV8Hu/MXjzwfh5pJhTFTeYIa8vCsF\n"
    "dpnm09DrYfo52pgYBiE/8ZxhOOH04a9On7vYSvQTaLKjV8PwoeEDKGwAuFXgBhMM\n"
    "dM96ZrJ5N2ohQdwYRjbP9veTkhvRNBT2ifh3T8YPcPItCghq6QqMOnknIdpQTYuZ\n"
    "21SbbFHOPPAV3Z+tXdGNc5sOBPPe4xHiISzLXQIDAQABAoIBAAr1TAvR8PrH8PP1\n"
    "bHZtFo+jozaBUjdsHgs6zbZ567RDmjS7t//tKlYIgeKSKzV3m86q2MpK86XObCsA\n"
    "Vi56LIRdhZVx7O5OUipdpVzOGGk4dS39Dw4WOFTjd7Z2uyBJ//sOJ1iwV/zYqU+5\n"
    "z3YbGdSM5a+aQ//CluAtqIpdJGuxtmYKECpfxaR4szmUddGrys5gUlshJzjY/dMY\n"
    "lQoat7CYajs3deVSYtJjoXoprzDL55LAdYzd9n0Wa4eQZWClJgN9EI2ElFqAiCJD\n"
    "r3K4ukv/TaG3ahsYUvtKUt9BFCknW/YP9eo8yt9+9aK959QLjRwHKYAYIzEQWptl\n"
    "MTVA1NECgYEA/kmSv9N0MbriLkAO9AYIKPKkGpMXZMQ2QRkzYKLbvAg3gMc3spS2\n"
    "ebtaD3QqC8oe++LhjEvDgEeegZ1LPSBwIDfXPPZU47+T8kORFo9MWysTmt0iqKjt\n"
    "+XaaRhVzkZ7YE8u2ppVRayjoIOdRzm5cNF5hMnDBY86Czj3Pw34Y/DECgYEA96rr\n"
    "Y0Loq81rjbs8PrGVqGyNdWTgYEXpRSZYtW5Og1E4BFYL+eEVvSm0aTW+x53QFOdG\n"
    "FQklo97DPB06t5QZ2g2Ii6ag0ArtijONCs3HlBEWuM0ohRoZcys/kVtrDZwhmUWo\n"
    "qru+u95RC6dB7m4GRVE7vJ0dCE/04CxCLSe18u0CgYEA8gfBH8f57mN8aJ0cHnOn\n"
    "TKI2Q/0A5S5EnY2I80/PaZdAjNgRUW5uiEskm1TruDD3cLQwDcMHH5ALdD7soA/B\n"
    "6Uh9G08y2Vs9S/e3nwthl9zWWi5kkLfJWgnjKRW93DqeW6kn/kJdLmvPFZJWsO8l\n"
    "38p9JO9hgsfKhNcca2wYB+ECgYEAgyXvH9D+hHtyyMqtTEWdimJxRgj1CAX9ULDN\n"
    "qMWQrdkEYMdv8BJRAKpk7pGXRP08gtU1N05wsCX2HI8d2LiEOAOSmuDRp1kiEFzc\n"
    "AyyU0sN51MJPAqyfbW0pbD+MoNhcsl1Aw6hHiBRhtloLf8aja3FowKgyB4TPlyXY\n"
    "pTCyGMECgYEA+phln/JplsFpveG/zfkVlE5kwm11Ww4W+m7WYIbNJwzSSU0w5SFd\n"
    "HeBpB9LbMDeY94fP3cMul9gys9DHytelNlTK5JdUJx+jb1ezQIIcY/egotim5q28\n"
    "bWxSz1N39DPnMP6/ZtuD8tNRhx3zGm1ql1vvSRmji+MSC97JBNq14io=\n"
    "-----END RSA PRIVATE KEY-----\n";

/* The same key, encrypted with "x". */
static const char rsa_encrypted_pkcs8_pem[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIIFLTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQIZr+Mc90ROD4CAggA\n"
    "MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBC/XC2l0TlvTsnLD50yU4YHBIIE\n"
    "0OgukHJGuG0xJ6LF/vrwgMi3n1iMD/7qPnJYaQTl44x4/DYkvXpNoBbr0JnllDcP\n"
    "5+zDU5a4BsC0307Z0gw0kWlwNnjp/mRdKjuyG9IYaMk+/AnFZIc70GlEqfjgghJt\n"
    "hrNld9DxxTBsNJc5M7zsJQw6dpghSYZl3udX8J2zQH2EMbAZkqC9iRFZig+IYYy4\n"
    "sy9dHKoAGk4Ne9NjQAtobza+3bTH2srhJK1pqPhYZ50qagHFSkYDKqeeeTlHzvsq\n"
    "FVrkAyt7Ta0BPMbNFYEKoxhE+/8z89DmvYrS4DrE3sDJvcLGT3QetvxqCpqlfM/N\n"
    "CMEi4RGIOQ1JsK2CqPH0xL+eDTeM0SFxNAgEsArrtmnVhob6PITChXavwOMBQ514\n"
    "9t3HjWNaxlzPiC0LuZ/XmesaNJEd6XxX7z7KUC9HMhMnGi5R1usfBcj3bD8YgQUu\n"
    "J/y9Y2ePhgab6ludRZLFqz36fxtWSOI2eQ0PUpzVKKIqsmBJ1KEbdGZr01YWn/iF\n"
    "3rRjPhty8FFB0+nnDck1HC/YBML0K3y+MVoNWpZPMq/cMHiuk02O+q1jkXXhzdaq\n"
    "9zpXc9KHHfvhafMvDCpK83W5cDBIrG2dp8Q2ihvT4HoP4ue005XL+NOMFKEJeWfY\n"
    "u0WfzkDhbmibe6Uj2uykS1uEPmt/nHhmD83IRMebV2I5vmbCbg7NEOwjc1C2H7SL\n"
    "a3MriJo7oCyukdvjU/mIKQgoJ1KyvOOhCv+MfHB/tXKL0bJ5zhVxmM3KEQpnlBQ3\n"
    "LExoFFrpjMiVEC0QaHQ/32PYIvYNvdylca1cnQ5ctz4CPkANlu0ygYoV4ZNVQj+6\n"
    "XhMlADrNQjl4m5FvlCwwWklB+qIbpUqyaFMH1GwHJMwpLuVg+GsiZvLK670LMIsb\n"
    "NOcEO/DZg/Xo2cdpEWLnny4PioXlAm6xn/Swm+V70NfU4Bls3p5F5qI6VZNy1feK\n"
    "BnhojmfyQQLdXz/34GRL3Nyemo7hfFdMcsiN+LINgI+oMonmUzzUCLkT4q08D7t4\n"
    "CD96kRLsWqAQfzsNleub0nWkNh5nDn1xTiC7Fy7EQmWqbICsYsBAzyKuxZDoI29q\n"
    "lEP8bsu6slq/kg5ASok2I+F20zN8FWoWQp4o+AzW0xeAnvM241TBQ/DX7vx1GDa1\n"
    "mPMSTmaV7WpN7fqg4YRk8Ux72iYitp4mIgS9FGm7JqM49Crd9w43QfHsrzgYC4q8\n"
    "KfYtEUoZN0OsND2Z82/hhsvmYHSPYS1gRUmmzlf0E50gB0AVT/HlvtywBC+Km6bT\n"
    "qEFWyPzfWgjFGEFr/1SyPVGC4NWZWpeMJiuxWw95o2O667rLsi0hdGSLChAJs9tw\n"
    "Dfk/m+M7Tv10Ea5Wy9BKHdFUGlFbM8AA+/r0bNoKFISB9F+S59HLavDn5oTCCTZW\n"
    "+UsXTdVNyGpYoI6j1sqd8dKXAD0ZRVupxsETvbgu+u8Xci6wkuXP5M4pggCoDkzs\n"
    "q/BqLXzWFAY8RvXovEsq/9lpT4xkOSEG2tnCNacmm/y01tLtaJvhLfMN5gjnxrhg\n"
    "N3fvWgx18Tu7NfCxaqT18AJzj+goWu7QR26U3Kf+W2X4FZ+dB7OvU93bP39V2aA+\n"
    "pHT+m2qHlRIEbcCyrthPQbzagW1oiZT9yvSqLt/U689j\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

/* The same key, in the old encrypted form. */
static const char rsa_encrypted_pkcs1_pem[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "Proc-Type: 4,ENCRYPTED\n"
    "DEK-Info: AES-128-CBC,02ED0A9B859A885D6D2DD5B7B03E3F30\n"
    "\n"
    "EGuw6XAOM5gXU79C/7zIuZ6J6+qMWSSoaYdxUylMhPP/ncPUS8xisWCYZ4kYToIc\n"
    "Pk+eh1YevlqMcc+N1zoYduXCSn7gFgfshL3Pj2c7Y7NWXbPpmZmB3VcdtHpsD4CE\n"
    "XW0copyAmPrLbA2gbO4RoOYnGH42QvGkurYMP1Aereb7BtabSIao0mTnKNx2J9Pe\n"
    "IabMUnWBLAEL7Zxt1faQrQGv1BaFB+TgT16ZmEOb2/QPSF2AUqxe5MKGikctQ6Vs\n"
    "SFRcuWomHw+QDqq6HyThEXrjni+VAuTywsjNBpy+lhEuR02vB8Z6QUKDbbHRUWnj\n"
    "gWHX1/yb0PW1X+7k+GaZ7WEdxREeP7VAkbeHwxnISpCfjcBVnPt3d5++q4xakZyd\n"
    "A+cZE87HYf/HA/2no69RzjFndg1kjPsUPYhYKCRZz/H/JWv+KmmIlrQuaaU+lz+L\n"
    "mgW6+NBg9Jxja6VZJacUlq1/i6aE9Ubqc3x1onYHZARfpg20X6Bx/a5l6K8ZmZYG\n"
    "RMvb7kLRhehI0y51/duyun+lIMSAzDCEbfmWvEhJa7blsIvbfDC4eTNotSdkKpyY\n"
    "a5rJuLUNO57O3W2hN5cbaxNAgBMBOwqhR9K7ZtQEXCP/QYrnu4bEJ+Bsti53+oEg\n"
    "ND+blskPADNwURdlIP2SmnRL4Ws2fyI6fNJC1uavTbKn4odaa1DuGUQeLQT1t1kN\n"
    "+NxvpYdfI6pioPo4grrt69zxfMCB7BigGYf+jMpOAgC6Y7q9kMta0pJ+uhSV2E5Q\n"
    "19QSWMG1PjZIphSNAE/XoHci9OSV29aD7JsJalLG256bZIxdLoqkq3YyTdpzWnYQ\n"
    "SPdkuF7fb+S+gNWA/SmQ8YUqw883NAo63/CZFzfFdJZRvyoagjRI9Z8KpF4XFM+e\n"
    "xmuNmj3QAp8M7XEISch4zvqDLyqVR5rMMQtCFhFeugLSkSenZ4Zq3t2kLXW+NLP+\n"
    "KGpc9EUcgJfZBevmu/SZ0V/6zRZYwWCBm3yAAvL8Mhz99uiK2P4Uv5KPt5DtjQ9+\n"
    "N/b9zJXgtZvqa0H2vHSZI4PtnarHcF+rUbQa5tLgjECgsyOFdFMO42c8Tnlpg7LI\n"
    "wEkMKo6uOF+NuihGCF9Ac5tjk7P889Q9quHvTBXmSGZgjk5Ldw2H6uREBbABGyUC\n"
    "6Imts27+9Zzo0Uid78OVnVVnEefCTwiXz1GXG68fgC4+h6XZ4n7zpisrV0QcxqaW\n"
    "06ITrbpDKhjeVuD759J7AOyIzF4Rpn5czbPSqC4Izb4aKMhXfrz1k2/mbxjmKLCJ\n"
    "w+hCNPjKUBM3hcG/9FhTdRIZOJa0mMwyT7l2Y09wikDQiCS7QSQlydb9foP8p3wH\n"
    "YQsiYeEDYzMSPwZTp8AUoL8SlYA3LtRCzXRa+6pkhj2JmVU7rXlQnviS/h1+cm2u\n"
    "BAIzDZhJoLpvsYIxM9F12hdQUJeH4iWOcxi5TH0nePzFtGt7l3l4eJlii8KzjYk+\n"
    "N2NLQPanc43TnAS9XlN563eRKrZSTXrCj/SSx+si4bF761CSmd43CAwv8ebcUqGi\n"
    "Z8M7LF1rtM3DyR45P6qb8fRYdE1wPb4HELBBCoLotyQUy6sfoJuu3/YY4M896Ag8\n"
    "-----END RSA PRIVATE KEY-----\n";

/* Too small. */
static const char rsa_1024_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAKEcLgsENK9hhuDJ\n"
    "0TEMlgos/Ge+PID+PJ3xxqE7YvHLEjWOVedPdSIYAIuy8X5B9CRAdmBCVY+LHjAo\n"
    "aDeVQOFa8dPDzG60O3jXSr6xlYoWUrZEAbBZEGZjWNrWW7OveTKRdHBCsvC4mGPq\n"
    "r1cac4Rv1pVJHVGw0qti+gYM8hAnAgMBAAECgYAUCkVP6X4EMsVsQK5cw4wGSAI9\n"
    "hVRRV06C9wgWFiUAnpntP38//oo7a3Dl76RKaDnOKJaQ8q9h45QluWD9SPuA2iAA\n"
    "n2tuu3a9ZsopIyVB1P0KesEYv2VJoFNSOhZZKflzW/000SZwLtB3hPx1DgcZNnZZ\n"
    "s4TV1FfgS5LxOMurgQJBAM27pflkgrTXUns0IeDBqGBz3jnCTHUTGfXNoLHFk1K1\n"
    "7Xk6VqyAIQqGsJU4mIBlYjkaDHSgujzIcbhGDB3PK38CQQDIeWvcnj6vlJwC6qZy\n"
    "arZtzcb2iiVR1lOJhp/4movgkx48InWWWPSyUdDOrnPoz1nPv0r4NPMdMAPLw2bZ\n"
    "YI9ZAkBAr6WJ+p5WOfWHI2cbgghs+0F+K6dakDzzWkoSWyrtMKKQIVWrO0YoRx0y\n"
    "be8VP8tYZOZRrU+hWOzYob2hicgFAkEAwE0Aszq0ZNZHpOCTUzOb1M5MKVewnsTZ\n"
    "kxUpRF5zCLP2j7Z6VwLzjk2+31Mmak7kFsynTFn2TqwtJ/tDIAdo2QJAcgRHkLuY\n"
    "QsMndKnaaJHPY/QBGbz3bjHR1CHCpJHXyvwCElE8IR94GbQ1rnNecTrmUO8POcCx\n"
    "lW6eUwt/WV6S6Q==\n"
    "-----END PRIVATE KEY-----\n";

/* P-384, PKCS#8. */
static const char p384_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCIGkEkqMa70Flx3LAd\n"
                               "13/USsipmB93lIyhi8yoSImfTX0x59wCNswxYZ5J+P5BNHqhZANiAAQtM6hOxm6N\n"
                               "X/pbIXsoShQiglPkgX0AXrQEW9hwVPRNe8wm6QKaOWS8vHxndf7OZhjVJQX+ZGhq\n"
                               "I4gtJbBnjop5H8G7O26LaBbnXm9DRq8WCm8Qgy3hPzY3kcn6KciVRNg=\n"
                               "-----END PRIVATE KEY-----\n";

/* P-384 whose public half is stored compressed. */
static const char p384_compressed_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGEAgEAMBAGByqGSM49AgEGBSuBBAAiBG0wawIBAQQw4wNAQ1w7gJGZJBOkkSh6\n"
    "LBEvGMCwLPKW7DBz5sGvSArzLOzwX7jZ+IM3OjyQTS6aoTQDMgACyOMxkZLhfkE3\n"
    "kxo3dH6KGL/2XCDDI/al1n05cvr0R0pwXLyVnAJJWGg/fY8ql1Ns\n"
    "-----END PRIVATE KEY-----\n";

/* Another curve. */
static const char p256_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgByFjeWuHmx8dyg9U\n"
                               "vR6qMQwVjRfk4ZsPxZiZYbzTk/qhRANCAASK57wR7wPOKWNFRWhQaeJpKopAXzO7\n"
                               "vVp0aQaAM+owiJAO3Ztu2KCCVOZ1KeHxYto1GkogD25vx8Xq3z7fjP3u\n"
                               "-----END PRIVATE KEY-----\n";

#endif
