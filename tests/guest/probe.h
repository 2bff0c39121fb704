/* probe.h - what a guest can tell about itself, on its console, for tests/e2e/test_boot.py. */
#ifndef GUEST_PROBE_H
#define GUEST_PROBE_H

/* "PCRn = hex, locked|unlocked" of the given ones, as /dev/nsm says; 0 or an exit status. */
int probe_pcrs(int n, char **which);

#endif
