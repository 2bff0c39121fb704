/* Ask for an attestation document over a nonce, and write it as it is to standard output.
 *
 *     cc attest.c $(pkg-config --cflags --libs libnitroseal) -o attest
 *     ./attest vsock:16:5000 >document.bin
 *     nitroseal attest --document document.bin --image nitroseal.eif
 *
 * This fetches; the second command verifies. What is in a document that nobody has verified proves
 * nothing. The nonce, which the enclave gives here to be brief, has to come from whoever verifies.
 */
#include <nitroseal.h>
#include <stdio.h>

static int fail(const char *what, struct nitroseal_error *error)
{
    int status = nitroseal_exit_status(error->status);

    fprintf(stderr, "%s: %s: %s\n", what, error->code, error->text);
    nitroseal_error_free(error);
    return status;
}

int main(int argc, char **argv)
{
    struct nitroseal_bytes document;
    struct nitroseal_error *error;
    struct nitroseal *ns;
    unsigned char nonce[32];
    size_t i, written;

    if (argc != 2) {
        fprintf(stderr, "usage: attest ADDRESS\n");
        return 2;
    }
    if (nitroseal_new(argv[1], &ns, &error) != NITROSEAL_OK)
        return fail(argv[1], error);
    if (nitroseal_random(ns, nonce, sizeof nonce, 0, &error) != NITROSEAL_OK ||
        nitroseal_attest(ns, nonce, sizeof nonce, &document, 5000, &error) != NITROSEAL_OK) {
        nitroseal_free(ns);
        return fail("attest", error);
    }
    fprintf(stderr, "nonce ");
    for (i = 0; i < sizeof nonce; i++)
        fprintf(stderr, "%02x", nonce[i]);
    fprintf(stderr, ", document of %lu bytes\n", (unsigned long)document.len);
    written = fwrite(document.data, 1, document.len, stdout);
    i = document.len;
    nitroseal_bytes_clear(&document);
    nitroseal_free(ns);
    return fflush(stdout) == 0 && written == i ? 0 : 6;
}
