/* A file of any length to a message of the AWS Encryption SDK, or back: sealed and opened in the
 * enclave while it passes, in memory that does not depend on its length.
 *
 *     cc message.c $(pkg-config --cflags --libs libnitroseal) -o message
 *     ./message vsock:16:5000 encrypt photo.jpg photo.jpg.encrypted
 *     ./message vsock:16:5000 decrypt photo.jpg.encrypted photo.jpg
 *
 * The service holds the AWS credentials (nitroseal_put_credentials(), or a gateway). What is
 * written has another name until the verdict is there: a text that turns out to be altered at its
 * last byte is removed, not used.
 */
#include <nitroseal.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 4096 };

struct files {
    FILE *in, *out;
};

static long from_file(void *arg, void *into, size_t max)
{
    FILE *f = ((struct files *)arg)->in;
    size_t n = fread(into, 1, max, f);

    return ferror(f) ? (long)NITROSEAL_READ_FAILED : (long)n;
}

static int to_file(void *arg, const void *data, size_t len)
{
    return fwrite(data, 1, len, ((struct files *)arg)->out) == len ? 0 : -1;
}

static int run(struct nitroseal *ns, int encrypt, struct files *files)
{
    static const struct nitroseal_pair purpose = { "purpose", "example" };
    struct nitroseal_error *error;
    struct nitroseal_stream s;
    enum nitroseal_status status;

    memset(&s, 0, sizeof s);
    s.size = sizeof s;
    s.read = from_file;
    s.write = to_file;
    s.arg = files;
    if (encrypt) {
        s.context = &purpose;
        s.n_context = 1;
        status = nitroseal_encrypt_stream(ns, &s, NULL, 0, &error);
    } else {
        s.required = &purpose;
        s.n_required = 1;
        status = nitroseal_decrypt_stream(ns, &s, NULL, 0, &error);
    }
    if (status == NITROSEAL_OK)
        return 0;
    fprintf(stderr, "%s (%s)\n", error->text, error->code);
    nitroseal_error_free(error);
    return nitroseal_exit_status(status);
}

/* Only what is whole gets its name. */
static int convert(struct nitroseal *ns, int encrypt, const char *from, const char *to)
{
    char unfinished[NAME_MAX_BYTES + 8];
    struct files files;
    int status;

    sprintf(unfinished, "%.*s.part", NAME_MAX_BYTES, to);
    files.in = fopen(from, "rb");
    files.out = files.in ? fopen(unfinished, "wb") : NULL;
    if (!files.out) {
        perror(files.in ? unfinished : from);
        if (files.in)
            fclose(files.in);
        return 6;
    }
    status = run(ns, encrypt, &files);
    fclose(files.in);
    if (fclose(files.out) != 0 && status == 0)
        status = 6;
    if (status == 0 && rename(unfinished, to) != 0)
        status = 6;
    if (status != 0)
        remove(unfinished);
    return status;
}

int main(int argc, char **argv)
{
    struct nitroseal_error *error;
    struct nitroseal *ns;
    int encrypt, status;

    encrypt = argc == 5 && strcmp(argv[2], "encrypt") == 0;
    if (!encrypt && (argc != 5 || strcmp(argv[2], "decrypt") != 0)) {
        fprintf(stderr, "usage: message ADDRESS encrypt|decrypt FROM TO\n");
        return 2;
    }
    if (nitroseal_new(argv[1], &ns, &error) != NITROSEAL_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], error->text);
        nitroseal_error_free(error);
        return 2;
    }
    status = convert(ns, encrypt, argv[3], argv[4]);
    nitroseal_free(ns);
    return status;
}
