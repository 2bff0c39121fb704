/* op_state.c - EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion. */
#include <stdio.h>

#include "localkms/call.h"

enum { WINDOW_MIN_DAYS = 7, WINDOW_MAX_DAYS = 30 };

#define DAY_MS INT64_C(86400000)

/* Pending deletion and pending import are states that these two do not end. */
static enum err set_enabled(struct call *c, const char *action, enum key_state state)
{
    enum err r = call_named_key(c, action, KEY_REF_KEY);

    if (r != ERR_OK)
        return r;
    struct key_status status = c->key->row.status;
    if (status.state == KEY_PENDING_DELETION || status.state == KEY_PENDING_IMPORT)
        return call_check_state(c);
    if (status.state == state)
        return ERR_OK;
    status.state = state;
    return call_fail_store(c, vault_set_status(c->k->vault, c->key, &status), STORE_WRITE);
}

enum err op_enable_key(struct call *c)
{
    return set_enabled(c, "kms:EnableKey", KEY_ENABLED);
}

enum err op_disable_key(struct call *c)
{
    return set_enabled(c, "kms:DisableKey", KEY_DISABLED);
}

static enum err take_window(struct call *c, int64_t *days)
{
    AUTO(checks_clear) struct checks check = CHECKS_INIT;
    struct span key_id = SPAN_EMPTY;
    bool given;

    *days = WINDOW_MAX_DAYS;
    enum err r = input_string(&c->in, "KeyId", &key_id, &c->fault);
    if (r == ERR_OK)
        r = input_int(&c->in, "PendingWindowInDays", days, &given, &c->fault);
    if (r != ERR_OK)
        return r;
    call_check_key_id(&check, key_id);
    check_range(&check, "pendingWindowInDays", *days, WINDOW_MIN_DAYS, WINDOW_MAX_DAYS);
    return checks_end(&check, &c->fault);
}

enum err op_schedule_key_deletion(struct call *c)
{
    char shown[24];
    int64_t days;

    enum err r = take_window(c, &days);
    if (r != ERR_OK)
        return r;
    snprintf(shown, sizeof shown, "%lld", (long long)days);
    call_fact(c, SPAN_LIT("kms:ScheduleKeyDeletionPendingWindowInDays"), span_str(shown));
    r = call_named_key(c, "kms:ScheduleKeyDeletion", KEY_REF_KEY);
    if (r == ERR_OK)
        r = call_check_not_deleted(c);
    if (r != ERR_OK)
        return r;
    struct key_status status = c->key->row.status;
    status.state = KEY_PENDING_DELETION;
    status.deletion_ms = c->now_ms + days * DAY_MS;
    r = call_fail_store(c, vault_set_status(c->k->vault, c->key, &status), STORE_WRITE);
    if (r != ERR_OK)
        return r;
    call_put_time(c, "DeletionDate", status.deletion_ms);
    call_put_text(c, "KeyId", span_str(c->key_arn));
    call_put_text(c, "KeyState", SPAN_LIT("PendingDeletion"));
    json_out_key(&c->out, "PendingWindowInDays");
    json_out_int(&c->out, days);
    return ERR_OK;
}

/* Disabled, until somebody enables it; one without material waits for that again. */
enum err op_cancel_key_deletion(struct call *c)
{
    enum err r = call_named_key(c, "kms:CancelKeyDeletion", KEY_REF_KEY);

    if (r != ERR_OK)
        return r;
    struct key_status status = c->key->row.status;
    if (status.state != KEY_PENDING_DELETION)
        return fault_set(&c->fault, FAULT_INVALID_STATE, "%s is not pending deletion.", c->key_arn);
    status.state = c->key->material.len ? KEY_DISABLED : KEY_PENDING_IMPORT;
    status.deletion_ms = 0;
    r = call_fail_store(c, vault_set_status(c->k->vault, c->key, &status), STORE_WRITE);
    if (r == ERR_OK)
        call_put_text(c, "KeyId", span_str(c->key_arn));
    return r;
}
