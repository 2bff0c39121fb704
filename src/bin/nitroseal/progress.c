#include "bin/nitroseal/progress.h"

#include <stdio.h>
#include <string.h>

#include "io/sys.h"

enum {
    BAR_CHARS = 20,
    BAR_BESIDE_FILES_CHARS = 6,
    SHOW_EVERY_MS = 200,
    PERCENT = 100,
    DAY_S = 86400,
    HOUR_S = 3600
};

void progress_size(uint64_t bytes, char out[static PROGRESS_SIZE_BYTES])
{
    static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
    uint64_t tenths = bytes / 100; /* of the unit */
    size_t u = 0;

    if (bytes < 1000) {
        (void)snprintf(out, PROGRESS_SIZE_BYTES, "%u bytes", (unsigned)bytes);
        return;
    }
    for (; tenths >= 10000 && u + 1 < sizeof units / sizeof units[0]; u++)
        tenths /= 1000;
    if (tenths < 1000)
        (void)snprintf(out, PROGRESS_SIZE_BYTES, "%llu.%llu %s", (unsigned long long)tenths / 10,
                       (unsigned long long)tenths % 10, units[u]);
    else
        (void)snprintf(out, PROGRESS_SIZE_BYTES, "%llu %s", (unsigned long long)tenths / 10,
                       units[u]);
}

static void left_text(uint64_t seconds, char out[static PROGRESS_SIZE_BYTES])
{
    unsigned s = seconds < DAY_S ? (unsigned)seconds : DAY_S;

    if (s >= DAY_S)
        (void)snprintf(out, PROGRESS_SIZE_BYTES, "days left");
    else if (s >= HOUR_S)
        (void)snprintf(out, PROGRESS_SIZE_BYTES, "%u:%02u:%02u left", s / HOUR_S, s / 60 % 60,
                       s % 60);
    else
        (void)snprintf(out, PROGRESS_SIZE_BYTES, "%u:%02u left", s / 60, s % 60);
}

/* A few bytes in the first nanosecond are more a second than a number holds. */
static uint64_t whole(double d)
{
    return d < 1e18 ? (uint64_t)d : (uint64_t)1e18;
}

void progress_text(const struct progress_view *v, char out[static PROGRESS_TEXT_BYTES])
{
    char bar[BAR_CHARS + 1], done[PROGRESS_SIZE_BYTES], total[PROGRESS_SIZE_BYTES];
    char rate[PROGRESS_SIZE_BYTES], left[PROGRESS_SIZE_BYTES] = "", files[64] = "";
    double seconds = (double)v->elapsed_ns / (double)NS_PER_S;
    double per_s = seconds > 0 ? (double)v->done / seconds : 0;
    uint64_t shown = v->done < v->total ? v->done : v->total; /* a file may grow meanwhile */
    double part = v->total ? (double)shown / (double)v->total : 0;

    progress_size(v->done, done);
    progress_size(whole(per_s), rate);
    if (v->files)
        (void)snprintf(files, sizeof files, "%llu of %llu files  ",
                       (unsigned long long)v->files_done, (unsigned long long)v->files);
    if (v->total == 0) {
        (void)snprintf(out, PROGRESS_TEXT_BYTES, "%s%s  %s/s", files, done, rate);
        return;
    }
    size_t wide = v->files ? BAR_BESIDE_FILES_CHARS : BAR_CHARS;
    memset(bar, ' ', wide);
    memset(bar, '#', (size_t)(part * (double)wide));
    bar[wide] = 0;
    progress_size(v->total, total);
    if (per_s > 0)
        left_text(whole((double)(v->total - shown) / per_s), left);
    (void)snprintf(out, PROGRESS_TEXT_BYTES, "[%s] %3u%%  %s%s of %s  %s/s  %s", bar,
                   (unsigned)(part * PERCENT), files, done, total, rate, left);
}

void progress_start(struct progress *p, bool is_on, uint64_t total, uint64_t files)
{
    *p = (struct progress){ .is_on = is_on, .view = { .total = total, .files = files } };
    pthread_mutex_init(&p->lock, NULL);
    p->started_ns = p->shown_ns = clock_mono_ns();
}

static void clear_line(struct progress *p)
{
    if (p->is_shown)
        fputs("\r\033[K", stderr);
    p->is_shown = false;
}

void progress_add(struct progress *p, uint64_t bytes, uint64_t files)
{
    char text[PROGRESS_TEXT_BYTES];

    pthread_mutex_lock(&p->lock);
    p->view.done += bytes;
    p->view.files_done += files;
    uint64_t now = p->is_on ? clock_mono_ns() : 0;
    if (p->is_on && now - p->shown_ns >= SHOW_EVERY_MS * NS_PER_MS) {
        p->shown_ns = now;
        p->view.elapsed_ns = now - p->started_ns;
        progress_text(&p->view, text);
        clear_line(p);
        fputs(text, stderr);
        p->is_shown = true;
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_hide(struct progress *p)
{
    pthread_mutex_lock(&p->lock);
    clear_line(p);
    pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p)
{
    progress_hide(p);
    pthread_mutex_destroy(&p->lock);
}
