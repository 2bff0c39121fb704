/* operators.c - the condition operators: their names, the values that they take, and when one value
 * matches another. */
#include "base/base64.h"
#include "policy/compiled.h"
#include "policy/pattern.h"
#include "policy/values.h"

#define IF_EXISTS "IfExists"

enum { IF_EXISTS_BYTES = sizeof IF_EXISTS - 1, BINARY_MAX_BYTES = POLICY_MAX_BYTES };

const struct policy_operator policy_operators[] = {
    { "StringEquals", TEST_STRING, ORDER_EQUAL, false, false },
    { "StringEqualsIgnoreCase", TEST_STRING, ORDER_EQUAL, false, true },
    { "StringNotEquals", TEST_STRING, ORDER_EQUAL, true, false },
    { "StringNotEqualsIgnoreCase", TEST_STRING, ORDER_EQUAL, true, true },
    { "StringLike", TEST_LIKE, ORDER_EQUAL, false, false },
    { "StringNotLike", TEST_LIKE, ORDER_EQUAL, true, false },
    { "NumericEquals", TEST_NUMBER, ORDER_EQUAL, false, false },
    { "NumericNotEquals", TEST_NUMBER, ORDER_EQUAL, true, false },
    { "NumericLessThan", TEST_NUMBER, ORDER_LESS, false, false },
    { "NumericLessThanEquals", TEST_NUMBER, ORDER_LESS_EQUAL, false, false },
    { "NumericGreaterThan", TEST_NUMBER, ORDER_GREATER, false, false },
    { "NumericGreaterThanEquals", TEST_NUMBER, ORDER_GREATER_EQUAL, false, false },
    { "DateEquals", TEST_DATE, ORDER_EQUAL, false, false },
    { "DateNotEquals", TEST_DATE, ORDER_EQUAL, true, false },
    { "DateLessThan", TEST_DATE, ORDER_LESS, false, false },
    { "DateLessThanEquals", TEST_DATE, ORDER_LESS_EQUAL, false, false },
    { "DateGreaterThan", TEST_DATE, ORDER_GREATER, false, false },
    { "DateGreaterThanEquals", TEST_DATE, ORDER_GREATER_EQUAL, false, false },
    { "Bool", TEST_BOOL, ORDER_EQUAL, false, true },
    { "BinaryEquals", TEST_BINARY, ORDER_EQUAL, false, false },
    { "IpAddress", TEST_ADDRESS, ORDER_EQUAL, false, false },
    { "NotIpAddress", TEST_ADDRESS, ORDER_EQUAL, true, false },
    { "ArnEquals", TEST_ARN, ORDER_EQUAL, false, false },
    { "ArnLike", TEST_ARN, ORDER_EQUAL, false, false },
    { "ArnNotEquals", TEST_ARN, ORDER_EQUAL, true, false },
    { "ArnNotLike", TEST_ARN, ORDER_EQUAL, true, false },
    { "Null", TEST_NULL, ORDER_EQUAL, false, true },
    { 0 },
};

static const struct policy_operator *by_name(struct span name)
{
    for (const struct policy_operator *o = policy_operators; o->name; o++)
        if (span_is(name, o->name))
            return o;
    return NULL;
}

/* There is no NullIfExists, and Null is of no set. */
bool policy_operator_find(struct span name, struct policy_condition *out)
{
    struct span s = name;
    enum policy_quantifier quantifier = QUANTIFIER_NONE;

    if (span_starts(s, "ForAllValues:"))
        quantifier = QUANTIFIER_ALL;
    else if (span_starts(s, "ForAnyValue:"))
        quantifier = QUANTIFIER_ANY;
    if (quantifier != QUANTIFIER_NONE)
        s = span_from(s, span_find(s, ':') + 1);
    const struct policy_operator *o = by_name(s);
    bool if_exists =
        !o && s.len > IF_EXISTS_BYTES && span_is(span_from(s, s.len - IF_EXISTS_BYTES), IF_EXISTS);
    if (if_exists)
        o = by_name(span_sub(s, 0, s.len - IF_EXISTS_BYTES));
    if (!o || (o->test == TEST_NULL && (if_exists || quantifier != QUANTIFIER_NONE)))
        return false;
    out->op = o;
    out->quantifier = quantifier;
    out->if_exists = if_exists;
    return true;
}

static bool is_bool_name(struct span s)
{
    return span_eq_nocase(s, SPAN_LIT("true")) || span_eq_nocase(s, SPAN_LIT("false"));
}

static bool is_base64(struct span s)
{
    AUTO(buf_clear) struct buf bytes = BUF_INIT(BINARY_MAX_BYTES);

    return base64_parse(s, &bytes, NULL) == ERR_OK;
}

static bool is_arn_pattern(struct span s)
{
    unsigned colons = 0;

    for (size_t i = 0; i < s.len; i++)
        colons += s.ptr[i] == ':';
    return colons >= 5 || span_is(s, "*") || pattern_has_variable(s);
}

const char *policy_value_fault(const struct policy_operator *op, struct span value)
{
    struct quantity q;
    struct network n;

    switch (op->test) {
    case TEST_STRING:
    case TEST_LIKE:
        return NULL;
    case TEST_NUMBER:
        return quantity_parse(value, &q) == ERR_OK ? NULL : "Condition value is not a number";
    case TEST_DATE:
        return quantity_parse_time(value, &q) == ERR_OK ? NULL : "Condition value is not a date";
    case TEST_BOOL:
    case TEST_NULL:
        return is_bool_name(value) ? NULL : "Condition value is neither true nor false";
    case TEST_BINARY:
        return is_base64(value) ? NULL : "Condition value is not base64";
    case TEST_ADDRESS:
        return network_parse(value, &n) == ERR_OK ? NULL : "Condition value is not an IP address";
    case TEST_ARN:
        return is_arn_pattern(value) ? NULL : "Condition value is not an ARN";
    }
    return "Condition value of no type";
}

static bool ordered(enum operator_order order, int comparison)
{
    switch (order) {
    case ORDER_EQUAL:
        return comparison == 0;
    case ORDER_LESS:
        return comparison < 0;
    case ORDER_LESS_EQUAL:
        return comparison <= 0;
    case ORDER_GREATER:
        return comparison > 0;
    case ORDER_GREATER_EQUAL:
        return comparison >= 0;
    }
    return false;
}

static bool quantities_match(const struct policy_operator *op, struct span wanted, struct span got)
{
    struct quantity w, g;
    bool parsed =
        op->test == TEST_DATE
            ? quantity_parse_time(wanted, &w) == ERR_OK && quantity_parse_time(got, &g) == ERR_OK
            : quantity_parse(wanted, &w) == ERR_OK && quantity_parse(got, &g) == ERR_OK;

    return parsed && ordered(op->order, quantity_compare(g, w));
}

static bool address_matches(struct span wanted, struct span got)
{
    struct network w, g;

    return network_parse(wanted, &w) == ERR_OK && network_parse(got, &g) == ERR_OK &&
           network_contains(&w, &g);
}

bool policy_value_matches(const struct policy_operator *op, bool variables, struct span wanted,
                          struct span got, const struct policy_request *rq)
{
    struct pattern p = { .text = wanted,
                         .wildcards = op->test == TEST_LIKE || op->test == TEST_ARN,
                         .variables = variables,
                         .ignore_case = op->ignore_case,
                         .rq = rq };

    switch (op->test) {
    case TEST_STRING:
    case TEST_LIKE:
        return pattern_matches(&p, got);
    case TEST_ARN:
        return span_is(wanted, "*") || pattern_matches_arn(&p, got);
    case TEST_NUMBER:
    case TEST_DATE:
        return quantities_match(op, wanted, got);
    case TEST_BOOL:
    case TEST_NULL:
        return span_eq_nocase(wanted, got);
    case TEST_BINARY:
        return span_eq(wanted, got);
    case TEST_ADDRESS:
        return address_matches(wanted, got);
    }
    return false;
}
