#!/usr/bin/python3
"""Thousands of idle connections and hundreds of hostile ones beside eight clients that work: all of theirs is answered, what
a connection holds is bounded, and nothing is left of the crowd when it has gone. How much slower the eight are is
measured by `./bench`. TAP."""
import os, time

import crowd, lib, loadlib
from lib import check

IDLE, HOSTILE, REQUESTS = 5000, 200, 4000
IDLE_MAX_KIB = 8                # of a kept connection that does nothing
HOSTILE_MAX_KIB = 96 << 10      # all of them together: 256 KiB of answers not taken, heads, bodies that have not ended
REST_KIB = 16 << 10             # of what is kept for the next crowd

if loadlib.missing():
    check(False, "programs: " + " ".join(loadlib.missing()))
    lib.plan()
if not crowd.allow_files(IDLE + 1000):
    lib.skip_all("the limit of open files is too low, and hard")
stack = loadlib.LoadStack(log_level="error", service_options=["--read-timeout", 3000, "--kms-idle", 500, "--kms-deadline", 60000, "--kms-try", 20000]).start()
pid = stack.service.pid
work = ["--protocol", "mixed", "--op", "mixed", "--bytes", "mixed", "--bytes-max", 65536, "--clients", 8, "--seconds", 600]


def working(name):
    status, report, err = loadlib.finish(stack.load(*work, "--requests", REQUESTS))
    loadlib.accounted(check, name, report, err, explained=set())
    print(f"# {name}: {report.get('rps')} requests a second, p50 {report.get('p50_ms')} ms, p99 {report.get('p99_ms')} ms, longest {report.get('max_ms')} ms")


check(stack.hold_credentials() == 204, "credentials are held")
working("alone")
before = loadlib.at_rest(pid)
idlers = crowd.idle(stack.where(), IDLE)
with_idle = loadlib.held(pid)
each = (with_idle["rss_kib"] - before["rss_kib"]) / IDLE
check(with_idle["fds"] >= before["fds"] + IDLE and each <= IDLE_MAX_KIB, f"{IDLE} idle connections take {each:.2f} KiB each", before, with_idle)
working(f"beside {IDLE} idle connections")
hostile = crowd.Hostile(stack.where(), HOSTILE)
time.sleep(4)  # until the first have been thrown out
watch = loadlib.Watch(pid, 0.05)
working(f"beside {IDLE} idle and {HOSTILE} hostile ones")
peak = max(watch.stop())
check(peak - with_idle["rss_kib"] <= HOSTILE_MAX_KIB, f"and the hostile take {(peak - with_idle['rss_kib']) / 1024:.1f} MiB at most", with_idle, peak)
check(hostile.thrown_out > HOSTILE / 4 and hostile.came > hostile.thrown_out, f"{hostile.came} came, {hostile.thrown_out} were thrown out")
check(crowd.still_open(idlers) == IDLE, "every idle connection is still good")
hostile.stop()
for s in idlers:
    s.close()
limits = before | {"rss_kib": before["rss_kib"] + REST_KIB}
after = loadlib.at_rest(pid, limits)
check(after["fds"] <= limits["fds"] and after["threads"] <= limits["threads"], "no descriptor is left of them", before, after)
check(after["rss_kib"] <= limits["rss_kib"], "nor memory", before, after)
working("alone again")
check(stack.service.stop(60) == 0, "it ends as it should")
lib.plan()
