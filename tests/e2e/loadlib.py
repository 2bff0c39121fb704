"""What the load tests share: the load client and what it reports, a stack with a relay that cuts connections, faults that
come and go, and what the service holds of the system (memory, descriptors, threads)."""
import json, os, random, socket, subprocess, threading, time

import lib

LOAD = os.path.join(lib.BUILD, "tests/load/nitroseal_load")
RELAY = os.path.join(lib.BUILD, "tests/load/fault_relay")
# Failures that a fault of another part explains; anything else is the service's.
EXPLAINED = {"kms_unreachable", "kms_timeout", "kms_unavailable", "nsm_failed", "nsm_timeout", "busy"}


def missing():
    return [p for p in (LOAD, RELAY) if not os.access(p, os.X_OK)] + lib.missing_programs()


class LoadStack(lib.Stack):
    """With a relay between vsock-proxy and KMS that cuts each connection after some bytes, and an NSM that fails sometimes."""

    def __init__(self, cut_after=0, **more):
        super().__init__(**more)
        self.cut_after, self.relay = cut_after, None

    def start_proxy(self):
        if not self.relay:
            port = self.path("relay-port")
            p = lib.Program("../tests/load/fault_relay", ["--to", f"127.0.0.1:{self.kms_port}", "--port-file", port, "--cut-after", self.cut_after],
                            log=self.log_of("relay"))
            lib.until(lambda: os.path.exists(port) and open(port).read().strip(), what="fault_relay")
            self.relay, self.relay_port = p, int(open(port).read())
        real, self.kms_port = self.kms_port, self.relay_port
        try:
            return super().start_proxy()
        finally:
            self.kms_port = real

    def kms_answers(self):
        try:
            return super().kms_answers()
        except lib.KmsError as e:
            return e.type == "ThrottlingException"

    def where(self, cid=lib.CID):
        return os.path.join(self.v, f"{cid}.vsock_{lib.PORT}")

    def http(self, method, path, body=None, headers=None, timeout=30, cid=lib.CID):
        """(status, headers, body) over a connection of its own."""
        c = lib.UnixHTTP(self.where(cid), timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def hold_credentials(self, cid=lib.CID):
        """PUT them, so that requests need not carry any."""
        body = json.dumps({k: v for k, v in self.app.seed().items() if v})
        return self.http("PUT", "/v1/credentials", body, {"Content-Type": "application/json"}, cid=cid)[0]

    def load(self, *options, timeout=3600):
        """Start the load client; its report comes from finish()."""
        env = {**lib.CLEAN, **self.app.env(), "NITROSEAL_VSOCK": "unix:" + self.v}
        return subprocess.Popen([LOAD, *map(str, options)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(p, timeout=3600):
    """Status, report, complaints."""
    out, err = p.communicate(timeout=timeout)
    return p.returncode, json.loads(out) if out else {}, err


class Watch:
    """Samples of what a process holds, until stopped."""

    def __init__(self, pid, every_s=0.25):
        self.pid, self.every_s, self.rss, self.stop_now = pid, every_s, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop_now.wait(self.every_s):
            try:
                self.rss.append(held(self.pid)["rss_kib"])
            except OSError:
                return

    def stop(self):
        self.stop_now.set()
        self.thread.join()
        return self.rss


def held(pid):
    with open(f"/proc/{pid}/status") as f:
        status = dict(line.split(":", 1) for line in f if ":" in line)
    return {"rss_kib": int(status["VmRSS"].split()[0]), "threads": int(status["Threads"]), "fds": len(os.listdir(f"/proc/{pid}/fd"))}


def at_rest(pid, limits=None):
    """What it holds once connections to KMS have been closed and memory given back. A thread that makes the next key and a
    connection to the NSM come and go: the fewest of two seconds count. With `limits` (names as in held()): not before it is
    within them, or half a minute is over; what leaked stays for longer."""
    time.sleep(2)
    now = held(pid)
    if limits:
        def is_within():
            nonlocal now
            now = held(pid)
            return all(now[k] <= most for k, most in limits.items())

        lib.until(is_within, seconds=30)
        return now
    for _ in range(20):
        time.sleep(0.1)
        now = {k: n if k == "rss_kib" else min(n, now[k]) for k, n in held(pid).items()}
    return now


class Faults:
    """One after the other, at random but repeatable, until stopped; at the end everything runs again."""

    def __init__(self, stack, pause_s, seed=1):
        self.stack, self.pause_s, self.random = stack, pause_s, random.Random(seed)
        self.done, self.error, self.stop_now = {}, None, threading.Event()
        self.kinds = [self.kms_killed, self.relay_killed, self.throttled, self.kms_silent, self.nsm_killed, self.nsm_silent]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            turn = 0
            while not self.stop_now.wait(self.pause_s * self.random.uniform(0.5, 1.5)):
                fault = self.kinds[turn % len(self.kinds)]
                turn += 1
                fault()
                self.done[fault.__name__] = self.done.get(fault.__name__, 0) + 1
        except Exception as e:
            self.error = e

    def stop(self):
        self.stop_now.set()
        self.thread.join(60)

    def pause(self, seconds):
        self.stop_now.wait(seconds)

    def kms_killed(self):
        self.stack.kms_program.kill()
        self.pause(self.random.uniform(0, 0.2))
        self.stack.start_kms()

    def relay_killed(self):
        self.stack.proxy.kill()
        self.pause(self.random.uniform(0, 0.2))
        self.stack.start_proxy()

    def throttled(self):
        """A KMS whose quota is far below what is asked."""
        self.stack.kms_program.kill()
        self.stack.start_kms(options=["--quota", 150])
        self.pause(1.5)
        self.stack.kms_program.kill()
        self.stack.start_kms()

    def stopped_for_a_while(self, program, longest):
        program.signal(lib.signal.SIGSTOP)
        self.pause(self.random.uniform(0.1, longest))
        program.signal(lib.signal.SIGCONT)

    def kms_silent(self):
        self.stopped_for_a_while(self.stack.kms_program, 0.6)

    def nsm_silent(self):
        self.stopped_for_a_while(self.stack.nsm, 0.4)

    def nsm_killed(self):
        self.stack.nsm.kill()
        self.pause(self.random.uniform(0, 0.3))
        self.stack.start_nsm()


def accounted(check, name, report, err, explained=EXPLAINED, may_be_unsent=False):
    """Every request of the report is accounted for."""
    lost = {k: report.get(k) for k in ("lost", "twice", "wrong", *(() if may_be_unsent else ("unsent",)))}
    check(report.get("is_balanced") and not any(lost.values()),
          f"{name}: {report.get('started', 0)} requests: none lost, none answered twice, none with another's data", lost, report, err[-3000:])
    codes = report.get("codes", {})
    check(set(codes) <= explained and sum(codes.values()) == report.get("failed"), f"{name}: what failed says why, by a fault that there was", codes)
