/* test_scan.h - is a secret anywhere in the memory of this process? What is looked for is known to
 * the test in masked form only. Needs linking with -z now: the lazy resolver of dynamic symbols
 * saves the vector registers, and what is in them, on the stack. Not under AddressSanitizer (ASAN),
 * which keeps copies of its own. */
#ifndef CRYPTO_TEST_SCAN_H
#define CRYPTO_TEST_SCAN_H

#include <inttypes.h>
#include <stdio.h>

#include "base/secret.h"
#include "testing/t.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#endif
#ifndef ASAN
#define ASAN 0
#endif

enum { MASK = 0x5a, N = 32, PIECE = 16 };

static inline void unmask(const uint8_t *masked, struct secret *out)
{
    assert_int_equal(secret_new(N, out), ERR_OK);
    for (size_t i = 0; i < N; i++)
        out->ptr[i] = masked[i] ^ MASK;
}

/* Places in [from, to) where 16 bytes are the unmasked `want`. */
static inline size_t scan_range(const volatile uint8_t *from, const volatile uint8_t *to,
                                const uint8_t *want)
{
    size_t hits = 0;

    for (const volatile uint8_t *p = from; p + PIECE <= to; p++) {
        size_t i = 0;
        while (i < PIECE && p[i] == (want[i] ^ MASK))
            i++;
        hits += i == PIECE;
    }
    return hits;
}

static inline size_t scan(const uint8_t *want)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], mode[8];
    uintptr_t from, to;
    size_t hits = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &from, &to, mode) == 3 &&
            mode[0] == 'r' && mode[1] == 'w')
            /* An address that the kernel gave as text. */
            for (size_t half = 0; half < N; half += PIECE)
                hits += scan_range((const uint8_t *)from, (const uint8_t *)to, want + half);
    fclose(maps);
    return hits;
}

#endif
