#!/usr/bin/python3
"""Load with faults all along: every request is either answered correctly or failed with a clear error; none is lost, none
answered twice, none with another's data. Memory stays flat, nothing leaks, and the service is well afterwards. TAP.

NITROSEAL_LOAD_REQUESTS: how many requests (60,000; `./check deep` takes 1,000,000)."""
import json, os, re, statistics, sys, time

import lib, loadlib
from lib import check

REQUESTS = int(os.environ.get("NITROSEAL_LOAD_REQUESTS", "60000"))
CLIENTS, PIPELINE, LARGEST = 8, 4, 262144
PAUSE_S = 2.0  # between two faults, in the mean
GROWTH_KIB, RUN_GROWTH = 4096, 1.1
OVER_KIB = 32 << 10  # 1,000 connections
PATIENT = ["--kms-deadline", 60000, "--kms-try", 20000]  # for services beside which nothing fails

if loadlib.missing():
    check(False, "programs: " + " ".join(loadlib.missing()))
    lib.plan()
with open(os.path.realpath(os.path.join(lib.BIN, "nitroseald")), "rb") as f:
    sanitized = re.search(b"__[at]san_init", f.read()) is not None

service_options = ["--kms-deadline", 3000, "--kms-try", 1000, "--document-max-age", 1, "--key-max-age", 7, "--kms-idle", 500]
if sanitized:
    service_options += ["--seccomp", "off"]  # the leak check at the end reads /proc
stack = loadlib.LoadStack(cut_after=3_000_000, service_options=service_options, nsm_options=["--fail-every", 7], log_level="error")
stack.start()
pid = stack.service.pid
mixed = ["--protocol", "mixed", "--op", "mixed", "--bytes", "mixed", "--bytes-max", LARGEST, "--clients", CLIENTS, "--pipeline", PIPELINE,
         "--seconds", 7200, "--pause", 20]


def metric(name):
    text = stack.http("GET", "/metrics")[2].decode()
    return sum(float(v) for v in re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", text, re.M))


def answered():
    """(what the load client asked for, batches), by the service's count; not what this test asks."""
    counts = {}
    for op, n in re.findall(r'^nitroseal_requests_total\{operation="([^"]*)",[^}]*\} (\d+)$', stack.http("GET", "/metrics")[2].decode(), re.M):
        counts[op] = counts.get(op, 0) + int(n)
    return sum(n for op, n in counts.items() if op not in ("batch", "metrics", "credentials")), counts.get("batch", 0)


check(stack.hold_credentials() == 204, "credentials are held")
status, report, err = loadlib.finish(stack.load(*mixed, "--requests", REQUESTS // 20, "--seed", 7))
loadlib.accounted(check, "before", report, err)
settled = loadlib.at_rest(pid)
print("# at rest", settled)

# --- the long run ----------------------------------------------------------------------------------------------------

answered_before = answered()
watch = loadlib.Watch(pid, every_s=max(0.1, REQUESTS / 400000))
faults = loadlib.Faults(stack, PAUSE_S)
began = time.monotonic()
status, report, err = loadlib.finish(stack.load(*mixed, "--requests", REQUESTS, "--gone", 10))
took = time.monotonic() - began
faults.stop()
rss = watch.stop()
print("#", json.dumps(report))
print("#", err.replace("\n", "\n# ")[:3000])
print(f"# {took:.0f} s; faults {faults.done}; {metric('nitroseal_kms_retries_total'):.0f} calls to KMS were tried again")
check(faults.error is None and sum(faults.done.values()) >= min(6, took / PAUSE_S / 2), "there were faults of every kind", faults.error, faults.done)
check(metric("nitroseal_kms_retries_total") > 0, "calls to KMS were tried again")
check(report.get("started", 0) >= REQUESTS, f"{REQUESTS} requests were made", report)
loadlib.accounted(check, "with faults", report, err)
check(report.get("gone", 0) > REQUESTS // 400, "some clients left in the middle", report.get("gone"))
counted, batches = (now - before for now, before in zip(answered(), answered_before))
print(f"# requests by the service's own count {counted:.0f}, and {batches:.0f} batches; answers seen {report.get('ids', 0)}")
# Of a batch each item was made, and is counted unless nothing can be made of it; those are fewer than batches.
check(report["started"] - report["gone"] <= counted + batches and counted <= report["started"],
      "the service counted as many requests as were made, give or take those given up", counted, batches, report)
tenth = max(1, len(rss) // 10)
first, last = statistics.median(rss[:tenth]), statistics.median(rss[-tenth:])
print(f"# memory: first tenth {first:.0f} KiB, last tenth {last:.0f} KiB, at most {max(rss)} KiB, {len(rss)} samples")
if not sanitized:  # freed memory stays in quarantine there
    check(last <= max(first * RUN_GROWTH, first + GROWTH_KIB), "memory is as flat in the last tenth as in the first", first, last)
limits = settled | {"rss_kib": sys.maxsize if sanitized else settled["rss_kib"] + GROWTH_KIB}
after = loadlib.at_rest(pid, limits)
print("# at rest", after)
check(after["fds"] <= limits["fds"], "no descriptor leaked", settled, after)
check(after["threads"] <= limits["threads"], "no more threads", settled, after)
if not sanitized:
    check(after["rss_kib"] <= limits["rss_kib"], "memory at rest is what it was", settled, after)

# --- well afterwards ---------------------------------------------------------------------------------------------------

check(lib.until(lambda: stack.http("GET", "/healthz")[0] == 200), "healthy afterwards")
answer = stack.encrypt("after all that")
check(stack.decrypt(answer).get("decrypted") == "after all that", "and it works")
stack.nsm.kill()
stack.nsm_options = []
stack.start_nsm()
lib.until(lambda: stack.http("GET", "/healthz")[0] == 200)
status, report, err = loadlib.finish(stack.load(*mixed, "--requests", REQUESTS // 20, "--seed", 9))
loadlib.accounted(check, "after", report, err)
started, failed = report.get("started", 0), report.get("failed", 1)
late = sum(report.get("codes", {}).get(code, 0) for code in ("kms_timeout", "nsm_timeout"))  # three seconds may be too few for a busy machine
check(failed - late <= started // 100 and failed < started // 4, "hardly anything fails then", report)

# --- full queues ---------------------------------------------------------------------------------------------------------

full = stack.start_service(cid=18, name="full", options=["--max-running", 4, *PATIENT])
check(stack.hold_credentials(18) == 204, "credentials are held")
status, report, err = loadlib.finish(stack.load("--cid", 18, "--protocol", "mixed", "--op", "mixed", "--clients", 48,
                                                "--pipeline", PIPELINE, "--requests", max(2000, REQUESTS // 10), "--seconds", 600))
print("#", json.dumps(report))
loadlib.accounted(check, "four at a time", report, err, explained={"busy", "nsm_failed"})
check(report.get("codes", {}).get("busy", 0) > 0 and report.get("requests", 0) > 0, "some are refused as busy, the others served", report)
few = stack.start_service(cid=19, name="few", options=["--max-connections", 32, *PATIENT])
status, report, err = loadlib.finish(stack.load("--cid", 19, "--protocol", "seed", "--op", "mixed", "--clients", 40,
                                                "--requests", 2000, "--seconds", 600))
print("#", json.dumps(report))
loadlib.accounted(check, "32 connections", report, err, explained={"busy"})
check(report.get("codes", {}).get("busy", 0) > 0 and report.get("requests", 0) > 0, "connections past the limit are told so", report)


# --- more than it can ------------------------------------------------------------------------------------------------------

over = stack.start_service(cid=20, name="over", options=["--max-running", 8, *PATIENT])
check(stack.hold_credentials(20) == 204, "credentials are held")
at_ease = loadlib.held(over.pid)
watch = loadlib.Watch(over.pid, 0.05)
loads = [stack.load("--cid", 20, "--protocol", protocol, "--op", "encrypt", "--keys", "held", "--clients", 500, "--rate", 6000, "--seconds", 2)
         for protocol in ("json", "seed")]
for protocol, p in zip(("HTTP", "the seed protocol"), loads):
    status, report, err = loadlib.finish(p)
    print("#", json.dumps(report))
    # Who did not get a client of ours never reached the service.
    loadlib.accounted(check, f"far too many, {protocol}", report, err, explained={"busy", "nsm_failed"}, may_be_unsent=True)
    check(report.get("codes", {}).get("busy", 0) > 0 and report.get("requests", 0) > 0, "some are served, the rest refused", report)
peak = max(watch.stop())
if not sanitized:
    check(peak - at_ease["rss_kib"] < OVER_KIB, f"the backlog is bounded: {(peak - at_ease['rss_kib']) / 1024:.1f} MiB more", at_ease, peak)
check("error" not in stack.encrypt("after it", cid=20), "and the next one is served at once")

for p in (full, few, over, stack.service):
    status = p.stop(120)  # a key in the making is waited for: sanitizers on a busy machine take their time over one
    check(status == 0, "it ends as it should", status, p.text()[-2000:])
    text = p.text()
    check(not re.search(r"Sanitizer|runtime error", text), "and no sanitizer has anything to say", text[-4000:])
stack.relay.stop()
cuts = int(stack.relay.text().split()[-1])
check(cuts > REQUESTS // 10000, f"{cuts} connections to KMS were cut in the middle of what they carried", stack.relay.text())
lib.plan()
