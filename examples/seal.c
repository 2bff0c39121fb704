/* Encrypt a text inside the enclave, decrypt it again, and compare.
 *
 *     cc seal.c $(pkg-config --cflags --libs libnitroseal) -o seal
 *     ./seal vsock:16:5000 "attack at dawn"
 *
 * The service holds the AWS credentials (nitroseal_put_credentials(), or a gateway); if
 * AWS_ACCESS_KEY_ID is in the environment, this program sends its own instead.
 */
#include <nitroseal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, struct nitroseal_error *error)
{
    enum nitroseal_status status = error->status;

    fprintf(stderr, "%s: %s", what, error->text);
    if (error->kms_type)
        fprintf(stderr, ": %s: %s", error->kms_type, error->kms_message ? error->kms_message : "");
    else if (error->detail)
        fprintf(stderr, ": %s", error->detail);
    if (error->hint)
        fprintf(stderr, " (%s)", error->hint);
    fputc('\n', stderr);
    nitroseal_error_free(error);
    return nitroseal_exit_status(status);
}

/* There and back. Both results are the caller's to clear. */
static int round_trip(struct nitroseal *ns, const char *text, struct nitroseal_sealed *sealed,
                      struct nitroseal_bytes *back)
{
    struct nitroseal_error *error;

    if (nitroseal_encrypt(ns, text, strlen(text), sealed, 0, &error) != NITROSEAL_OK)
        return fail("encrypt", error);
    printf("encrypted: %lu bytes under %s\n", (unsigned long)sealed->encrypted_len,
           sealed->key_id ? sealed->key_id : "?");
    if (nitroseal_decrypt(ns, sealed, back, 0, &error) != NITROSEAL_OK)
        return fail("decrypt", error);
    if (back->len != strlen(text) || memcmp(back->data, text, back->len) != 0) {
        fprintf(stderr, "another text came back\n");
        return 1;
    }
    printf("decrypted: %s\n", (const char *)back->data);
    return 0;
}

int main(int argc, char **argv)
{
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    struct nitroseal_sealed sealed;
    struct nitroseal_bytes back;
    struct nitroseal_error *error;
    struct nitroseal *ns;
    int status;

    if (argc != 3) {
        fprintf(stderr, "usage: seal ADDRESS TEXT\n");
        return 2;
    }
    if (nitroseal_new(argv[1], &ns, &error) != NITROSEAL_OK)
        return fail(argv[1], error);
    if (id && nitroseal_set_credentials(ns, id, secret, getenv("AWS_SESSION_TOKEN"), &error) !=
                  NITROSEAL_OK) {
        nitroseal_free(ns);
        return fail("credentials", error);
    }
    memset(&sealed, 0, sizeof sealed);
    memset(&back, 0, sizeof back);
    status = round_trip(ns, argv[2], &sealed, &back);
    nitroseal_sealed_clear(&sealed);
    nitroseal_bytes_clear(&back);
    nitroseal_free(ns);
    return status;
}
