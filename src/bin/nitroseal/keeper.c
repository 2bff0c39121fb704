#include "bin/nitroseal/keeper.h"

#include "awscred/awscred.h"
#include "bin/nitroseal/cred_source.h"
#include "io/sys.h"

enum {
    AHEAD_PAUSE_S = 30,   /* between fetches while the old ones are good */
    RETRY_FIRST_MS = 250, /* and while they are not; doubled each time */
    RETRY_DOUBLINGS = 4,
    MS_PER_S = 1000,
};

int keeper_init(struct keeper *k, const char *profile, bool chosen, struct cli_fault *f)
{
    *k = (struct keeper){ .profile = profile, .chosen = chosen, .why = CLI_FAULT_INIT };
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    int status = cli_credentials_find(profile, chosen, &k->current, f);
    k->generation = status == CLI_OK;
    k->asked_ns = clock_mono_ns();
    return status;
}

void keeper_clear(struct keeper *k)
{
    cli_credentials_clear(&k->current);
    cli_fault_clear(&k->why);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
}

void keeper_expired(struct keeper *k, uint64_t generation)
{
    pthread_mutex_lock(&k->lock);
    k->expired_by_kms |= generation == k->generation;
    pthread_mutex_unlock(&k->lock);
}

static bool is_good(const struct keeper *k)
{
    return !k->expired_by_kms &&
           awscred_age_of(k->current.expires_s, clock_wall_ms() / MS_PER_S, 0) != AWSCRED_EXPIRED;
}

static uint64_t pause_ns(const struct keeper *k)
{
    unsigned n = k->failures < RETRY_DOUBLINGS ? k->failures : RETRY_DOUBLINGS;

    return k->failures ? ((uint64_t)RETRY_FIRST_MS / 2 << n) * NS_PER_MS : 0;
}

/* Time to ask: for want of good ones after the pause that failures cost, else ahead of time. */
static bool is_due(const struct keeper *k)
{
    uint64_t since = clock_mono_ns() - k->asked_ns;

    if (k->fetching)
        return false;
    if (!is_good(k))
        return since >= pause_ns(k);
    return awscred_age_of(k->current.expires_s, clock_wall_ms() / MS_PER_S,
                          (uint32_t)k->generation * 97) == AWSCRED_AGING &&
           since >= AHEAD_PAUSE_S * NS_PER_S;
}

/* Is called and returns with the lock held, which it gives up meanwhile. */
static void fetch(struct keeper *k)
{
    AUTO(cli_fault_clear) struct cli_fault f = CLI_FAULT_INIT;
    struct cli_credentials fresh = { .access_key_id = BUF_INIT(0) };

    k->fetching = true;
    pthread_mutex_unlock(&k->lock);
    int status = cli_credentials_find(k->profile, k->chosen, &fresh, &f);
    pthread_mutex_lock(&k->lock);
    k->fetching = false;
    k->asked_ns = clock_mono_ns();
    if (status == CLI_OK) {
        cli_credentials_clear(&k->current);
        k->current = fresh;
        k->generation++;
        k->expired_by_kms = false;
        k->failures = 0;
    } else {
        k->failures++;
        (void)cli_fault_set(&k->why, status, "%.*s", (int)f.text.len, (const char *)f.text.ptr);
    }
    pthread_cond_broadcast(&k->changed);
}

static int copy(const struct keeper *k, struct cli_credentials *out, struct cli_fault *f)
{
    int status =
        cred_take(buf_view(&k->current.access_key_id), secret_view(&k->current.secret_access_key),
                  secret_view(&k->current.session_token), out, f);

    out->expires_s = k->current.expires_s;
    return status;
}

/* Without the lock, so that others get on. */
static void pause_a_little(struct keeper *k)
{
    pthread_mutex_unlock(&k->lock);
    cred_pause_ms(RETRY_FIRST_MS / 10);
    pthread_mutex_lock(&k->lock);
}

int keeper_take(struct keeper *k, uint64_t deadline_ns, struct cli_credentials *out,
                uint64_t *generation, struct cli_fault *f)
{
    int status = CLI_SETTINGS;

    pthread_mutex_lock(&k->lock);
    do {
        if (is_due(k))
            fetch(k);
        if (is_good(k)) {
            *generation = k->generation;
            status = copy(k, out, f);
            break;
        }
        if (clock_mono_ns() >= deadline_ns) {
            status = cli_fault_set(f, CLI_SETTINGS, "%.*s", (int)k->why.text.len,
                                   k->why.text.ptr ? (const char *)k->why.text.ptr : "");
            break;
        }
        if (k->fetching)
            pthread_cond_wait(&k->changed, &k->lock); /* a fetch has limits of its own */
        else
            pause_a_little(k);
    } while (true);
    pthread_mutex_unlock(&k->lock);
    return status;
}
