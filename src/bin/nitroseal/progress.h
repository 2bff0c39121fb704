/* progress.h - how far a transfer is, for people: a line on standard error that is written over
 * again and again. What it says is pure; when it is shown is not. */
#ifndef BIN_NITROSEAL_PROGRESS_H
#define BIN_NITROSEAL_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { PROGRESS_TEXT_BYTES = 160 };

struct progress_view {
    uint64_t done, total; /* bytes; total 0: not known */
    uint64_t elapsed_ns;
    uint64_t files_done, files; /* files 0: only one */
};
/* "[#####     ]  50%  1.0 GB of 2.0 GB  500 MB/s  0:02 left": in one line of a
 * terminal, as long as numbers are not astronomic. */
void progress_text(const struct progress_view *v, char out[static PROGRESS_TEXT_BYTES]);
/* "999 bytes", "1.0 kB", "12.3 MB", powers of 1,000. */
enum { PROGRESS_SIZE_BYTES = 32 };
void progress_size(uint64_t bytes, char out[static PROGRESS_SIZE_BYTES]);

/* For several threads. */
struct progress {
    pthread_mutex_t lock;
    bool is_on; /* a terminal is there, and nobody wants quiet */
    bool is_shown;
    struct progress_view view;
    uint64_t started_ns, shown_ns;
};
void progress_start(struct progress *p, bool is_on, uint64_t total, uint64_t files);
void progress_add(struct progress *p, uint64_t bytes, uint64_t files);
/* Takes the line away before somebody else writes one. */
void progress_hide(struct progress *p);
void progress_end(struct progress *p);

#endif
