/* mem.h - the memory of a guest, as the parts that its monitor has shared with us.
 *
 * An address from the guest is only ever looked up here: what is not wholly inside one shared part
 * has no address on our side. The parts are mapped and unmapped by the shell. What they hold may
 * change at any time under our eyes: whoever reads a value that matters copies it first.
 */
#ifndef VHOST_MEM_H
#define VHOST_MEM_H

#include <stdint.h>

#include "base/span.h"

enum { GUEST_PARTS_MAX = 8 }; /* vhost-user, VHOST_MEMORY_BASELINE_NREGIONS */

struct guest_part {
    uint64_t gpa;  /* where the guest sees it */
    uint64_t user; /* where the monitor sees it: vhost-user names rings by these addresses */
    uint64_t size;
    uint8_t *host; /* where we see it */
};

struct guest_mem {
    struct guest_part part[GUEST_PARTS_MAX];
    unsigned n;
};

/* ERR_LIMIT: more than GUEST_PARTS_MAX. ERR_MALFORMED: empty, past the end of the address space, or
 * over another part. */
MUST_USE enum err guest_mem_add(struct guest_mem *m, struct guest_part part, struct why *why);
/* `len` bytes at a guest address, or NULL if they are not all in one part. len 0 gives NULL. */
uint8_t *guest_mem_at(const struct guest_mem *m, uint64_t gpa, uint64_t len);
/* The same for an address of the monitor's. */
uint8_t *guest_mem_at_user(const struct guest_mem *m, uint64_t user, uint64_t len);

#endif
