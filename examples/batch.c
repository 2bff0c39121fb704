/* Many short texts over one round trip, each with a result of its own; then back.
 *
 *     cc batch.c $(pkg-config --cflags --libs libnitroseal) -o batch
 *     ./batch vsock:16:5000 one two three
 */
#include <nitroseal.h>
#include <stdio.h>
#include <string.h>

enum { ITEMS_MAX = 1000 };

static int fail(struct nitroseal_error *error)
{
    enum nitroseal_status status = error->status;

    fprintf(stderr, "%s (%s)\n", error->text, error->code);
    nitroseal_error_free(error);
    return nitroseal_exit_status(status);
}

/* What did not go well says why; the others are printed. Returns how many those are. */
static int show(const struct nitroseal_result *results, size_t n)
{
    int good = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        if (results[i].status == NITROSEAL_OK)
            good++;
        if (results[i].status != NITROSEAL_OK)
            fprintf(stderr, "%lu: %s\n", (unsigned long)i, results[i].error->text);
        else if (results[i].text.data)
            printf("%s\n", (const char *)results[i].text.data);
    }
    return good;
}

static int there_and_back(struct nitroseal *ns, char **texts, size_t n)
{
    static struct nitroseal_item items[ITEMS_MAX];
    static struct nitroseal_result sealed[ITEMS_MAX], opened[ITEMS_MAX];
    struct nitroseal_error *error;
    int good;
    size_t i;

    for (i = 0; i < n; i++) {
        items[i].operation = NITROSEAL_ENCRYPT;
        items[i].text = texts[i];
        items[i].len = strlen(texts[i]);
    }
    if (nitroseal_batch(ns, items, n, sealed, 0, &error) != NITROSEAL_OK)
        return fail(error);
    if ((size_t)show(sealed, n) < n) {
        nitroseal_results_clear(sealed, n);
        return 1;
    }
    for (i = 0; i < n; i++) {
        items[i].operation = NITROSEAL_DECRYPT;
        items[i].encrypted = sealed[i].message.encrypted;
        items[i].signature = sealed[i].message.signature;
        items[i].ciphertext_blob = sealed[i].message.ciphertext_blob;
    }
    if (nitroseal_batch(ns, items, n, opened, 0, &error) != NITROSEAL_OK) {
        nitroseal_results_clear(sealed, n);
        return fail(error);
    }
    good = show(opened, n);
    nitroseal_results_clear(sealed, n);
    nitroseal_results_clear(opened, n);
    return (size_t)good == n ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct nitroseal_error *error;
    struct nitroseal *ns;
    int status;

    if (argc < 3 || argc - 2 > ITEMS_MAX) {
        fprintf(stderr, "usage: batch ADDRESS TEXT ...\n");
        return 2;
    }
    if (nitroseal_new(argv[1], &ns, &error) != NITROSEAL_OK)
        return fail(error);
    status = there_and_back(ns, argv + 2, (size_t)argc - 2);
    nitroseal_free(ns);
    return status;
}
