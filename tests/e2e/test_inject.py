#!/usr/bin/python3
"""The service while the system fails under it: no memory, no descriptors, short and interrupted calls, connections that
break, clocks that jump. It never crashes, answers wrongly, leaks or spins, and serves again as soon as it can. TAP.

NITROSEAL_INJECT_TEST: `long` for many more allocations of a start, `short` for builds that are slow."""
import errno, json, os, resource, subprocess, threading, time

import injected
import injected_api
import lib
import messages
import seed
from lib import check

HOW = os.environ.get("NITROSEAL_INJECT_TEST", "")
LONG, SHORT = HOW == "long", HOW == "short"
DEADLINE_MS, TRY_MS = 600, 250
OLD_S, ROTATE_S = 1.2, 30  # past the age of a document and of an idle connection; of a key
BLOCKS = 40                # of memory, more or less, at rest
AHEAD_MAX_S = 240          # of the service's clock: KMS takes a signature of up to 300 s ahead
TEXT = "nothing of it may come back changed: \u00e4\u20ac\U0001f512 " * 3
ERROR_EXITS = {1, 5, 7}
TOO_LATE = {"kms_timeout", "kms_unreachable", "nsm_timeout"}  # where all parts share few cores, little time is too little


class World:
    def __init__(self):
        self.stack = lib.Stack(service_options=["--kms-deadline", DEADLINE_MS, "--kms-try", TRY_MS, "--read-timeout", 2000,
                                                "--write-timeout", 3000, "--workers", 2, "--document-max-age", 1,
                                                "--kms-idle", 500, "--key-max-age", ROTATE_S,
                                                "--cache-age", 1])
        self.block = injected.Block(self.stack.path("block"))
        self.stack.service_program = injected.PROGRAM
        self.stack.service_env["NITROSEAL_INJECT"] = self.block.path
        self.stack.start()
        self.sealed = self.stack.encrypt(TEXT)
        assert self.sealed.get("plaintext") == TEXT, self.sealed
        self.refusals, self.wrong = {}, []
        self.lock = threading.Lock()
        self.api = injected_api.Client(self)
        self.api.prepare()

    def note(self, answer, good):
        """An answer is right, or a clear error, or none because the connection ended."""
        with self.lock:
            if isinstance(answer, str):
                self.refusals[answer] = self.refusals.get(answer, 0) + 1
            elif "error" in answer:
                code = answer.get("error_code")
                self.refusals[code] = self.refusals.get(code, 0) + 1
                if not answer["error"] or not code or code == "internal":
                    self.wrong.append(answer)
            elif not good:
                self.wrong.append(answer)

    def ask(self, request, timeout=10):
        try:
            raw = seed.exchange(seed.connect(self.stack.v, lib.CID, lib.PORT, timeout), json.dumps(request).encode())
        except TimeoutError:
            self.wrong.append("no answer and no end")
            return "silence"
        except OSError:
            return "connection ended"
        if not raw:
            return "connection ended"
        try:
            return json.loads(raw)
        except ValueError:
            return "cut short"  # JSON of an answer that was cut can not be taken for a whole one

    def encrypt(self):
        answer = self.ask(seed.encrypt_request(self.stack.app.seed(), TEXT))
        self.note(answer, not isinstance(answer, str) and answer.get("plaintext") == TEXT)
        return answer

    def decrypt(self, sealed=None):
        answer = self.ask(seed.decrypt_request(self.stack.app.seed(), sealed or self.sealed))
        self.note(answer, not isinstance(answer, str) and answer.get("decrypted") == TEXT and answer.get("signature_valid") is True)
        return answer

    def attest(self):
        answer = self.ask({"operation": "attest", "nonce": "AAECAwQFBgc="})
        self.note(answer, not isinstance(answer, str) and bool(answer.get("document")))
        return answer

    def serves(self):
        answer = self.encrypt()
        return isinstance(answer, dict) and answer.get("plaintext") == TEXT and self.decrypt(answer).get("decrypted") == TEXT

    def alive(self, name):
        if self.stack.service.alive():
            return True
        check(False, f"{name}: the service is alive", self.stack.service.p.returncode, self.stack.service.text()[-3000:])
        lib.plan()

    def renew(self):
        """The service anew, at the time of the others."""
        status = self.stack.service.stop()
        if status != 0:
            check(False, "SIGTERM: the service leaves with status 0", status, self.stack.service.text()[-3000:])
            lib.plan()
        self.block.ahead = 0
        self.block.head("wall_s", 0)
        self.stack.start_service()
        for _ in range(3):
            assert injected.settle(self.serves), "the service does not serve"
        self.api.close()
        self.api.hold()

    def quiet(self, may_renew=True):
        """Everything that is kept for a while is given back; what is left is what the process is made of: descriptors, and the fewest blocks
        of memory of a while, as documents and keys are made anew all along."""
        self.block.calm()
        self.api.close()
        if may_renew and self.block.ahead > AHEAD_MAX_S - 3 * ROTATE_S:
            self.renew()
        pid = self.stack.service.pid
        assert injected.settle(self.serves), "the service does not serve"
        self.block.age(OLD_S)
        self.attest()
        last, blocks = [None, 0.0], []

        def still():
            now = injected.descriptors(pid)
            blocks.append(self.block.head("live"))
            if now != last[0]:
                last[:] = now, time.monotonic()
            return time.monotonic() - last[1] > 0.3

        self.api.close()
        injected.settle(still)
        return last[0], min(blocks)

    def verdict(self, name, before):
        self.block.calm()
        opened = self.api.open_all()
        after = self.quiet(may_renew=False)
        held = injected.settle(lambda: injected_api.holds_nothing(self.stack))

        def comes_back():  # keys and documents are made at any time, for a moment; what leaked stays
            nonlocal after
            after = injected.descriptors(self.stack.service.pid), self.block.head("live")
            return after[0] == before[0] and (SHORT or after[1] <= before[1] + BLOCKS)

        injected.settle(comes_back)
        check(held, f"{name}: nothing runs, waits or is held", {k: v for k, v in messages.metrics(self.stack).items() if "bucket" not in k})
        check(after[0] == before[0], f"{name}: no descriptor is left", before[0], after[0])
        if not SHORT:  # blocks are counted where everything is linked statically
            check(after[1] <= before[1] + BLOCKS, f"{name}: no memory is left", f"{before[1]} blocks before, {after[1]} after")
        check(not self.wrong, f"{name}: every answer is right or a clear error", *self.wrong[:3])
        print(f"# {name}: {self.block.fired()} faults so far; not served: {self.refusals}; {opened} opened again")
        self.refusals.clear()
        self.wrong.clear()


def sweep(w, name, question, is_old, kind="alloc", count=1, most=100000, error=0):
    """Each call of one request fails in turn. is_old: its connection to KMS and its document are made for it."""
    before = w.quiet()
    b = w.block
    question()  # the connection to KMS that the age of what is kept had closed

    def grow_old():
        if is_old:
            b.age(OLD_S)

    grow_old()
    start = b.field(kind, "calls")
    question()
    calls = b.field(kind, "calls") - start
    step = max(1, calls // most)
    n = 0
    for n in range(1, calls + 1, step):
        if b.ahead > AHEAD_MAX_S:
            w.verdict(f"{name}, up to {n}", before)
            w.renew()
            before = w.quiet()
        grow_old()
        b.nth(kind, n, count, error)
        question()
        b.calm()
        w.alive(f"{name}, call {n}")
        if n // step % 16 == 0 and not injected.settle(w.serves):
            break
    check(calls > 0 and n > calls - step and injected.settle(w.serves), f"{name}: {calls} calls failed in turn, every {step}., and it serves", n)
    w.verdict(name, before)


def over_http(w):
    """Each in turn on a connection that stays open."""
    most = 20 if SHORT else 100000 if LONG else 70
    for question in w.api.ALL:
        sweep(w, f"HTTP, memory of {question.__name__}", lambda: question(w.api), False, most=most)
    for question in (injected_api.Client.batch, injected_api.Client.seal_large):
        sweep(w, f"HTTP, memory of {question.__name__}, anew", lambda: question(w.api), True, most=most)
    for kind, code in {"recv": errno.ECONNRESET, "send": errno.EPIPE, "wait": errno.EINTR}.items():
        sweep(w, f"HTTP, {kind} of open_large", w.api.open_large, False, kind=kind, error=code, most=most)


def crowd(w, seconds, clients=4, api=injected_api.Client.ALL):
    end = time.monotonic() + seconds

    def one(number):
        turn, over_http = number, w.api.another()
        while time.monotonic() < end:
            turn += 1
            answer = [w.encrypt, w.decrypt, w.attest][turn % 3]()
            api[turn % len(api)](over_http)
            if isinstance(answer, str):
                time.sleep(0.01)
        over_http.give_to(w.api)

    all_of_them = [threading.Thread(target=one, args=(n,)) for n in range(clients)]
    for t in all_of_them:
        t.start()
    for t in all_of_them:
        t.join()


STORMS = {
    "interrupted calls": [(k, 2, errno.EINTR) for k in ("recv", "send", "file", "wait", "connect", "accept")],
    "nothing there yet": [(k, 2, errno.EAGAIN) for k in ("recv", "send")],
    "single bytes": [("short", 1, 0)],
    "single bytes, interrupted": [("short", 2, 0), ("recv", 3, errno.EINTR), ("send", 3, errno.EINTR), ("wait", 3, errno.EINTR)],
    "connections reset": [("recv", 12, errno.ECONNRESET), ("send", 12, errno.EPIPE)],
    "relay that does not listen": [("connect", 2, errno.ECONNREFUSED)],
    "relay with a full backlog": [("connect", 2, errno.EAGAIN)],
    "no sockets": [("socket", 2, errno.EMFILE)],
    "accept short of descriptors": [("accept", 3, errno.EMFILE)],
    "accept short of descriptors, all": [("accept", 3, errno.ENFILE)],
    "accept of one that is gone": [("accept", 2, errno.ECONNABORTED)],
    "no memory now and then": [("alloc", 150, 0)],
    "no memory, often": [("alloc", 8, 0)],
    "no random bytes": [("random", 1, errno.EIO)],
    "everything at once": [("alloc", 700, 0), ("recv", 40, errno.ECONNRESET), ("send", 40, errno.EPIPE), ("short", 3, 0),
                           ("wait", 5, errno.EINTR), ("accept", 9, errno.EMFILE), ("connect", 9, errno.ECONNREFUSED)],
}


def storms(w):
    for name, orders in STORMS.items():
        before = w.quiet()
        fired = w.block.fired()
        w.block.head("seed", len(name))
        w.block.age(OLD_S)  # connections and documents anew
        for kind, every, error in orders:
            w.block.often(kind, every, error)
        api = w.api.SHORT if name.startswith("single") else w.api.ALL  # 300 kB take very long so
        crowd(w, 3 if LONG else 0.6, api=api)
        w.block.age(ROTATE_S)  # and the key
        crowd(w, 3 if LONG else 0.6, api=api)
        w.block.calm()
        w.alive(name)
        silent = w.refusals.get("connection ended", 0)
        check(w.block.fired() > fired or orders[0][0] == "random", f"{name}: it happened")
        if name.startswith(("interrupted", "nothing there", "single", "relay with", "accept of")):
            check(not silent, f"{name}: everybody is answered", w.refusals)
        check(injected.settle(w.serves), f"{name}: it serves afterwards")
        w.verdict(name, before)


def does_not_spin(w):
    for code in ("EMFILE", "ENFILE", "ECONNABORTED", "EPERM"):
        pid = w.stack.service.pid
        w.block.nth("accept", 1, injected.FOREVER, getattr(errno, code))
        waiting = [seed.connect(w.stack.v, lib.CID, lib.PORT) for _ in range(5)]
        cpu, fired = injected.cpu_seconds(pid), w.block.field("accept", "fired")
        time.sleep(1)
        used, calls = injected.cpu_seconds(pid) - cpu, w.block.field("accept", "fired") - fired
        w.block.calm()
        check(used < 0.25 and 0 < calls < 1000, f"accept gives {code} for a second: no spinning", f"{used} s of CPU, {calls} calls")
        request = json.dumps(seed.encrypt_request(w.stack.app.seed(), TEXT)).encode()
        for s in waiting:  # all of them before any answer: the time to send it has begun
            seed.send(s, request)
        for s in waiting:
            answer = json.loads(seed.receive(s))
            s.close()
            if answer.get("plaintext") != TEXT and answer.get("error_code") not in TOO_LATE:
                w.wrong.append(answer)
        check(not w.wrong, f"accept gives {code} for a second: who waited is served then", *w.wrong[:2])
        w.wrong.clear()


def first_pages(w):
    """Pages for secrets are kept once they are there."""
    w.stack.service.stop()
    w.stack.start_service()
    w.block.nth("map", 1, injected.FOREVER)
    answer = w.encrypt()
    fired = w.block.field("map", "fired")
    w.block.calm()
    check(fired > 0 and isinstance(answer, dict) and answer.get("error_code"), "no page for a secret: a clear error", fired, answer)
    check(injected.settle(w.serves), "no page for a secret: it serves afterwards")


def renewal(w):
    """There is no memory when the document is to be renewed, and nobody asks for anything: a gateway sends nothing to an enclave that is
    not healthy, so that it must get well by itself."""
    where = os.path.join(w.stack.v, f"{lib.CID}.vsock_{lib.PORT}")
    health = lambda: lib.UnixHTTP(where).ask("GET", "/healthz")[0]
    check(w.serves() and health() == 200, "renewal: healthy at first")
    w.block.often("alloc", 1)
    time.sleep(2.5)
    w.block.calm()
    check(injected.settle(lambda: health() == 200), "no memory when the document was to be renewed: healthy again without a request", w.stack.service.text()[-500:])


def clock_steps(w):
    hour = 3600
    for name, steps in {"an hour back": [-hour], "six hours back and right again": [-6 * hour, 0], "two minutes ahead": [120],
                        "five hours ahead and right again": [5 * hour, 0], "to and fro": [100, -290, 200, -hour, 0] * 3}.items():
        w.renew()
        before = w.quiet()
        start = w.block.head("wall_s")
        for s in steps:
            w.block.age(OLD_S)
            w.block.head("wall_s", start + s)
            if s > 300 or s < -hour:
                # KMS takes no signature of a time that has not come; and whether its certificate is good yet is judged by
                # the system's time.
                answer = w.encrypt()
                check(isinstance(answer, dict) and (answer.get("error_code") or answer.get("plaintext") == TEXT),
                      f"clock, {name}, {s} s: a clear error at least", answer)
                w.alive(name)
            else:
                known = dict(w.refusals)
                serves = injected.settle(w.serves)
                refusals = {code for code, n in w.refusals.items() if n > known.get(code, 0)}
                check(serves and refusals <= TOO_LATE, f"clock, {name}, {s} s: it serves", refusals, *w.wrong[:2])
        w.verdict(f"clock, {name}", before)
    w.renew()
    w.block.head("wall_s", -365 * 24 * hour)  # no certificate of KMS is good then; in TLS the system's time counts
    w.block.age(0)
    answer = w.encrypt()
    w.alive("clock, a year back")
    w.block.head("wall_s", 0)
    check(injected.settle(w.serves), "clock, a year back and right again: it serves", answer)


def starts(w):
    """A start with a call that fails ends in an error that says why, or serves."""
    stack = w.stack
    block = injected.Block(stack.path("start"))
    env = {**lib.CLEAN, **stack.settings(), "NITROSEAL_INJECT": block.path}
    # OpenSSL 3.0 forgets some bytes of a name where it cannot set itself up, and the service goes on or ends.
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    end = stack.path("v", "77.vsock_5000")

    def start(name):
        p = subprocess.Popen([injected.PROGRAM, "--cid", "77"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
        lines = []
        for line in p.stderr:
            lines.append(line.decode("utf-8", "replace"))
            if " ready " in lines[-1]:
                block.calm()
                p.terminate()
        status = p.wait()
        p.stderr.close()
        text = "".join(lines)
        if status == 0 and " ready " in text:
            return "served"
        said = " error " in text or (lines and lines[-1].startswith("nitroseald:"))
        if status in ERROR_EXITS and said and not os.path.exists(end):
            return "refused"
        check(False, f"start, {name}: an error that says why, and nothing left behind", status, text[-3000:])
        return "wrong"

    start("nothing fails")
    calls = {k: block.field(k, "calls") for k in injected.KINDS}
    few = 12 if SHORT else 1500 if LONG else 90
    errors = {"alloc": errno.ENOMEM, "file": errno.EINTR, "wait": errno.EINTR, "connect": errno.ECONNREFUSED, "socket": errno.EMFILE,
              "random": errno.EIO, "thread": errno.EAGAIN, "open": errno.EIO, "recv": errno.ECONNRESET, "send": errno.EPIPE}
    for kind, error in errors.items():
        counts = {"served": 0, "refused": 0, "wrong": 0}
        step = max(1, calls[kind] // few)
        for n in range(1, calls[kind] + 1, step):
            for count in (1, 5 if error == errno.EINTR else injected.FOREVER):
                if kind == "alloc" and step > 1 and count > 1 and n // step % 2:
                    continue
                block.nth(kind, n, count, error)
                counts[start(f"{kind} call {n} of {calls[kind]}, {count} of them")] += 1
                block.calm()
        good = calls[kind] > 0 and counts["wrong"] == 0 and (error != errno.EINTR or counts["refused"] == 0)
        check(good, f"start, {kind}: ends with an error, or serves", calls[kind], counts)
        print(f"# start, {kind}: {calls[kind]} calls, every {step}. one failed: {counts}")


def few_descriptors(w):
    """A start with too few is an error that says so, however few; libuv would end the process."""
    env = {**lib.CLEAN, **w.stack.settings()}
    ends, wrong = {}, []
    program = os.path.join(lib.BIN, "nitroseald")
    with open(program, "rb") as f:
        has_loader = b"/ld-linux" in f.read(4096)
    first = 4 if has_loader else 3  # a build for sanitizers is loaded with its libraries, for which the loader opens one file after the other
    for n in range(first, 24):
        p = subprocess.Popen([program, "--cid", "78"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)))
        text = ""
        for line in p.stderr:
            text += line.decode("utf-8", "replace")
            if b" ready " in line:
                p.terminate()
        status = p.wait()
        p.stderr.close()
        ends[n] = status
        if status not in ERROR_EXITS | {0} or (status and " error " not in text):
            wrong.append((n, status, text[-300:]))
    check(not wrong and ends[first] == 1 and ends[23] == 0, "start with too few descriptors: an error that says so", wrong, ends)


if lib.missing_programs() or not os.access(injected.PROGRAM, os.X_OK):
    check(False, "programs of the local stack, and the one of the test build")
    lib.plan()
with open(os.path.join(lib.BIN, "nitroseald"), "rb") as f:
    check(b"NITROSEAL_INJECT" not in f.read(), "the service that ships has none of this")
the_world = World()
few = 60 if SHORT else 100000
sweep(the_world, "memory of a decryption", the_world.decrypt, False, most=few)
sweep(the_world, "memory of an encryption", the_world.encrypt, False, most=few)
sweep(the_world, "memory of a document for a client", the_world.attest, False, most=few)
sweep(the_world, "memory of a new connection and document", the_world.encrypt, True, most=few if SHORT else 700)
sweep(the_world, "memory of a new connection, 40 in a row", the_world.encrypt, True, count=40, most=few if SHORT else 250)
for one, code in {"recv": errno.ECONNRESET, "send": errno.EPIPE, "connect": errno.ECONNREFUSED, "socket": errno.EMFILE,
                  "wait": errno.EINTR}.items():
    sweep(the_world, f"{one} of a request", the_world.encrypt, True, kind=one, error=code)
over_http(the_world)
storms(the_world)
first_pages(the_world)
does_not_spin(the_world)
renewal(the_world)
clock_steps(the_world)
statuses = the_world.stack.service.stop()
check(statuses == 0, "SIGTERM: the service leaves with status 0", statuses)
starts(the_world)
few_descriptors(the_world)
lib.plan()
