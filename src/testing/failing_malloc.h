/* failing_malloc.h - the n-th allocation fails, once. For one file of a test program that is linked
 * with --wrap=malloc,calloc (`failing_malloc` in the build). */
#ifndef TESTING_FAILING_MALLOC_H
#define TESTING_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);

static size_t countdown; /* 0: never fail */
static bool hit;

static bool fails_now(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    hit = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __real_calloc(n, size);
}

#endif
