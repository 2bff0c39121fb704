/* Several threads on one handle: their calls follow one another over one connection, none gets
 * another's answer. For calls at the same time, each thread would make a handle of its own.
 *
 *     cc threads.c $(pkg-config --cflags --libs libnitroseal) -pthread -o threads
 *     ./threads unix:/run/nitroseal/gateway.sock 8 100
 */
#include <nitroseal.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64 };

struct worker {
    pthread_t thread;
    struct nitroseal *ns;
    int number, rounds, done;
};

static int round_trip(struct worker *w, int i)
{
    struct nitroseal_message m;
    struct nitroseal_bytes back;
    struct nitroseal_error *error;
    char text[64];
    int same;

    sprintf(text, "thread %d, round %d", w->number, i);
    if (nitroseal_encrypt_text(w->ns, text, strlen(text), &m, 0, &error) != NITROSEAL_OK) {
        fprintf(stderr, "%s: %s: %s\n", text, error->code, error->text);
        nitroseal_error_free(error);
        return 0;
    }
    if (nitroseal_decrypt_text(w->ns, m.encrypted, m.signature, m.ciphertext_blob, &back, 0,
                               &error) != NITROSEAL_OK) {
        fprintf(stderr, "%s: %s: %s\n", text, error->code, error->text);
        nitroseal_error_free(error);
        nitroseal_message_clear(&m);
        return 0;
    }
    same = strcmp((const char *)back.data, text) == 0;
    if (!same)
        fprintf(stderr, "%s: got '%s'\n", text, (const char *)back.data);
    nitroseal_bytes_clear(&back);
    nitroseal_message_clear(&m);
    return same;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    int i;

    for (i = 0; i < w->rounds; i++)
        w->done += round_trip(w, i);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS_MAX];
    struct nitroseal_error *error;
    struct nitroseal *ns;
    int n = argc == 4 ? atoi(argv[2]) : 0, rounds = argc == 4 ? atoi(argv[3]) : 0;
    int i, started, done = 0;

    if (n < 1 || n > THREADS_MAX || rounds < 1) {
        fprintf(stderr, "usage: threads ADDRESS THREADS ROUNDS\n");
        return 2;
    }
    if (nitroseal_new(argv[1], &ns, &error) != NITROSEAL_OK) {
        fprintf(stderr, "%s: %s\n", error->text, error->detail);
        nitroseal_error_free(error);
        return 2;
    }
    for (started = 0; started < n; started++) {
        struct worker *w = &workers[started];
        w->ns = ns;
        w->number = started;
        w->rounds = rounds;
        if (pthread_create(&w->thread, NULL, work, w) != 0)
            break;
    }
    for (i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
    }
    nitroseal_free(ns);
    printf("%d of %d round trips\n", done, n * rounds);
    return done == n * rounds ? 0 : 1;
}
