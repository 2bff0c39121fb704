#include "policy/common.h"

#include <stdio.h>

static void add(struct policy_common *c, struct span key, struct span value)
{
    c->values[c->n] = value;
    c->facts[c->n] = (struct policy_fact){ .key = key, .values = &c->values[c->n], .n_values = 1 };
    c->n++;
}

/* Of a session the role's ARN, without its path, which a session does not tell. */
static struct span principal_arn(const struct policy_caller *who, struct policy_common *out)
{
    if (who->kind != POLICY_CALLER_SESSION)
        return who->arn;
    int n =
        snprintf(out->arn, sizeof out->arn, "arn:%.*s:iam::%.*s:role/%.*s", (int)who->partition.len,
                 (const char *)who->partition.ptr, (int)who->account.len,
                 (const char *)who->account.ptr, (int)who->role.len, (const char *)who->role.ptr);
    return n > 0 && (size_t)n < sizeof out->arn ? span_of(out->arn, (size_t)n) : who->arn;
}

/* The last part of a user's path. */
static struct span user_name(const struct policy_caller *who)
{
    struct span name = SPAN_EMPTY;

    if (!policy_glob(SPAN_LIT("arn:*:iam::*:user/*"), who->arn, false))
        return name;
    for (struct span rest = who->arn; rest.ptr;)
        name = span_cut(&rest, '/');
    return name;
}

static struct span principal_type(const struct policy_caller *who)
{
    switch (who->kind) {
    case POLICY_CALLER_ROOT:
        return SPAN_LIT("Account");
    case POLICY_CALLER_NAMED:
        return user_name(who).ptr ? SPAN_LIT("User") : SPAN_LIT("FederatedUser");
    case POLICY_CALLER_SESSION:
        return SPAN_LIT("AssumedRole");
    case POLICY_CALLER_SERVICE:
        break;
    }
    return SPAN_LIT("Service");
}

static void caller_facts(const struct policy_caller *who, struct policy_common *out)
{
    bool service = who->kind == POLICY_CALLER_SERVICE;
    struct span name = user_name(who);

    add(out, SPAN_LIT("aws:PrincipalIsAWSService"), service ? SPAN_LIT("true") : SPAN_LIT("false"));
    add(out, SPAN_LIT("aws:PrincipalType"), principal_type(who));
    if (service) {
        add(out, SPAN_LIT("aws:PrincipalServiceName"), who->arn);
        return;
    }
    add(out, SPAN_LIT("aws:PrincipalArn"), principal_arn(who, out));
    add(out, SPAN_LIT("aws:PrincipalAccount"), who->account);
    add(out, SPAN_LIT("kms:CallerAccount"), who->account);
    if (name.ptr)
        add(out, SPAN_LIT("aws:username"), name);
}

void policy_common_facts(const struct policy_circumstances *c, struct policy_common *out)
{
    out->n = 0;
    caller_facts(c->caller, out);
    rfc3339_write(c->now_s < 0 ? 0 : c->now_s, out->time);
    snprintf(out->epoch, sizeof out->epoch, "%lld", (long long)c->now_s);
    add(out, SPAN_LIT("aws:CurrentTime"), span_str(out->time));
    add(out, SPAN_LIT("aws:EpochTime"), span_str(out->epoch));
    if (c->region.ptr)
        add(out, SPAN_LIT("aws:RequestedRegion"), c->region);
    if (c->key_account.ptr)
        add(out, SPAN_LIT("aws:ResourceAccount"), c->key_account);
}
