#include "policy/common.h"

#include <stdio.h>

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60 };

static void add(struct policy_common *c, struct span key, struct span value)
{
    c->values[c->n] = value;
    c->facts[c->n] = (struct policy_fact){ .key = key, .values = &c->values[c->n], .n_values = 1 };
    c->n++;
}

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* YYYY-MM-DDThh:mm:ssZ, by counting: no library's clock, no time zone. */
static void time_write(int64_t s, char out[static POLICY_TIME_BYTES])
{
    static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t days = s / DAY_S, rest = s % DAY_S, year = 1970;
    int month = 0;

    for (; days >= 365 + is_leap(year); year++)
        days -= 365 + is_leap(year);
    for (; days >= month_days[month] + (month == 1 && is_leap(year)); month++)
        days -= month_days[month] + (month == 1 && is_leap(year));
    snprintf(out, POLICY_TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)(year % 10000),
             month + 1, (int)days + 1, (int)(rest / HOUR_S), (int)(rest / MINUTE_S % 60),
             (int)(rest % MINUTE_S));
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
    time_write(c->now_s < 0 ? 0 : c->now_s, out->time);
    snprintf(out->epoch, sizeof out->epoch, "%lld", (long long)c->now_s);
    add(out, SPAN_LIT("aws:CurrentTime"), span_str(out->time));
    add(out, SPAN_LIT("aws:EpochTime"), span_str(out->epoch));
    if (c->region.ptr)
        add(out, SPAN_LIT("aws:RequestedRegion"), c->region);
    if (c->key_account.ptr)
        add(out, SPAN_LIT("aws:ResourceAccount"), c->key_account);
}
