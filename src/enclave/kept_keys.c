/* kept_keys.c - the cache of data keys inside the service: whose it is, and until when. */
#include "enclave/private.h"

void epoch_next(struct enclave *e)
{
    e->epoch++;
    enclave_keys_forget(e);
}

void enclave_keys_forget(struct enclave *e)
{
    if (e->cache)
        key_cache_clear(e->cache);
}

bool enclave_key_find(struct enclave *e, const struct enclave_key_ask *ask, uint64_t bytes,
                      struct enclave_time now, struct secret *key, struct span *blob,
                      struct enclave_key_ticket *ticket)
{
    const struct key_cache_use use = {
        .is_new = ask->is_new,
        .suite = ask->suite,
        .policy = ask->policy,
        .arn = ask->arn,
        .pairs = ask->pairs,
        .ciphertext = ask->ciphertext,
        .epoch = e->epoch,
    };

    *ticket = (struct enclave_key_ticket){ .may_keep = false };
    if (!enclave_credentials(e, now.wall_s)) {
        epoch_next(e); /* expired */
        return false;
    }
    if (!e->cache || (ask->is_new && bytes == ENCLAVE_BYTES_UNKNOWN) ||
        key_cache_id(&use, &ticket->id) != ERR_OK)
        return false;
    ticket->epoch = e->epoch;
    ticket->may_keep = !key_cache_get(e->cache, &ticket->id, bytes, now.mono_ns, key, blob);
    return !ticket->may_keep;
}

void enclave_key_keep(struct enclave *e, const struct enclave_key_ticket *t,
                      const struct secret *key, struct span blob, uint64_t bytes, uint64_t mono_ns)
{
    if (e->cache && t->may_keep && t->epoch == e->epoch)
        key_cache_put(e->cache, &t->id, key, blob, bytes, mono_ns);
}

void enclave_keys_expire(struct enclave *e, uint64_t mono_ns, uint64_t *next_ns)
{
    *next_ns = 0;
    if (e->cache)
        key_cache_expire(e->cache, mono_ns, next_ns);
}

struct key_cache_counts enclave_keys_counts(const struct enclave *e)
{
    return e->cache ? key_cache_counts(e->cache) : (struct key_cache_counts){ 0 };
}
