#!/usr/bin/python3
"""What a running service leaves behind: its memory, logs, arguments and environment hold no data key, no plaintext
and no secret access key after requests of every size. Reads /proc/PID/mem, so it needs root. TAP."""
import base64, hashlib, hmac, json, os, re, time

import lib
import seed
from lib import check
from messages import metrics

CHUNK = 8 << 20
MARK_BYTES = 16  # of randomness; its hexadecimal form is what texts are made of


def regions(pid):
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (r...) \S+ \S+ \S+\s*(.*)", line)
            if m and m[4] not in ("[vvar]", "[vsyscall]", "[vdso]"):
                yield int(m[1], 16), int(m[2], 16), m[4] or "anonymous"


def scan(pid, needles):
    """(what, where) for each needle found in what the process has mapped."""
    hits, longest, total = set(), max(map(len, needles.values())), 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end, name in regions(pid):
            at, tail = start, b""
            while at < end:
                try:
                    mem.seek(at)
                    part = mem.read(min(CHUNK, end - at))
                except OSError:
                    break
                if not part:
                    break
                block = tail + part
                for what, needle in needles.items():
                    if needle in block:
                        hits.add((what, name))
                tail, at, total = block[-longest:], at + len(part), total + len(part)
    return sorted(hits), total


def marker():
    return os.urandom(MARK_BYTES).hex()


def text_of(mark, size):
    """The mark all over, so that any part of the text is recognised."""
    return (mark + "-") * (size // (len(mark) + 1) + 1)


def signing_keys(secret, region):
    """What SigV4 derives from the secret: as good as the secret for a day."""
    found, key = {}, ("AWS4" + secret).encode()
    for part in (time.strftime("%Y%m%d", time.gmtime()), region, "kms", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        found["SigV4 key of " + part] = key
    return found


def needles_of(stack, marks, answers):
    needles = {"secret access key": stack.app.secret.encode(), "signing input": b"AWS4" + stack.app.secret[:8].encode(),
               **signing_keys(stack.app.secret, lib.REGION)}
    for size, mark in marks.items():
        needles[f"plaintext of {size} bytes"] = mark.encode()
        needles[f"plaintext of {size} bytes in base64"] = base64.b64encode(mark.encode() * 3)[4:36]
    for i, answer in enumerate(answers):
        key = stack.data_key(answer)
        needles[f"data key {i}"] = key
        needles[f"data key {i} in hexadecimal"] = key.hex().encode()
        needles[f"data key {i} in base64"] = base64.b64encode(key)[:40]
    return needles


def exercise(stack):
    """Requests of all sizes, also ones that fail and ones that are dropped; returns marks and answers."""
    marks, answers = {}, []
    for size in (40, 64 << 10, 10 << 20):
        marks[size] = marker()
        answer = stack.encrypt(text_of(marks[size], size), ascii_only=size != 64 << 10)
        answers.append(answer)
        back = stack.decrypt(answer)
        check(back.get("signature_valid") is True, f"a text of {size} bytes goes round", str(back)[:200])
    marks[100] = marker()  # a text whose message was altered on its way
    answer = stack.encrypt(text_of(marks[100], 100))
    answers.append(answer)
    raw = bytearray(base64.b64decode(answer["encrypted"]))
    raw[-1] ^= 1
    check("error" in stack.decrypt({**answer, "encrypted": base64.b64encode(raw).decode()}), "an altered message is refused")
    marks[101] = marker()  # a request that KMS refuses
    other = lib.Principal("app", stack.app.id, "a-secret-that-is-not-the-right-one")
    check("error" in stack.encrypt(text_of(marks[101], 101), who=other), "a wrong secret is refused")
    marks[102] = marker()  # a request that is not JSON to its end
    broken = json.dumps(seed.encrypt_request(stack.app.seed(), text_of(marks[102], 102))).encode()[:-1]
    seed.exchange(seed.connect(stack.v, lib.CID, lib.PORT), broken)
    marks[2 << 20] = marker()  # a client that leaves in the middle
    with seed.connect(stack.v, lib.CID, lib.PORT) as s:
        s.sendall(json.dumps(seed.encrypt_request(stack.app.seed(), text_of(marks[2 << 20], 2 << 20))).encode()[:-10])
    return marks, answers


def is_quiet(stack):
    now = metrics(stack)
    return now["nitroseal_requests_running"] == 0 and now["nitroseal_work_queued"] == 0 and now["nitroseal_connections"] <= 1


def memory(stack):
    pid = stack.service.pid
    # The look itself works: what a client has just sent and not finished is in memory, and gone once it has left.
    seen = marker()
    with seed.connect(stack.v, lib.CID, lib.PORT) as s:
        s.sendall(b'{"operation":"encrypt","message":"' + text_of(seen, 1000).encode())
        found = lib.until(lambda: scan(pid, {"mark": seen.encode()})[0])
        check(found, "a request that has not ended is found in memory: the scan sees")
    check(lib.until(lambda: not scan(pid, {"mark": seen.encode()})[0]), "and is gone when its client has left")

    marks, answers = exercise(stack)
    needles = needles_of(stack, marks, answers)
    lib.until(lambda: is_quiet(stack), what="the service has noticed that all clients have left")
    time.sleep(0.5)
    hits, total = scan(pid, needles)
    print(f"# {total >> 20} MiB looked at, {len(needles)} needles")
    for kind in ("plaintext", "data key", "secret access key", "signing input", "SigV4 key"):
        check(not [h for h in hits if h[0].startswith(kind)], f"memory holds no {kind}", *[h for h in hits if h[0].startswith(kind)])
    return needles


def outside(stack, needles):
    for name in ("cmdline", "environ"):
        with open(f"/proc/{stack.service.pid}/{name}", "rb") as f:
            content = f.read()
        check(not [w for w, n in needles.items() if n in content], f"nothing secret in its {name}")
    with open(f"/proc/{stack.service.pid}/limits") as f:
        core = next(line for line in f if line.startswith("Max core file size"))
    check(core.split()[4:6] == ["0", "0"], "it leaves no core file", core)


def confined():
    """The filter over system calls is in force in every thread, and what the service does once an hour works under it."""
    stack = lib.Stack(service_options=["--key-max-age", "1"]).start()
    pid, log = stack.service.pid, stack.log_of("service")
    told = lib.until(lambda: "no seccomp filter" in open(log).read(), 0.5)
    if told and "sanitizer" in open(log).read():
        check(True, "a seccomp filter # SKIP sanitizers need more system calls")
    else:
        modes = {}
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/status") as f:
                    modes[task] = next(line.split()[1] for line in f if line.startswith("Seccomp:"))
            except (FileNotFoundError, ProcessLookupError):
                pass  # one that made a key, and has ended
        check(len(modes) > 1 and set(modes.values()) == {"2"}, "a seccomp filter is in force in every thread", modes, told)
    renewed = lambda: open(log).read().count("recipient key replaced") >= 3
    answers = [stack.encrypt("again")]
    while not lib.until(renewed, 0.3) and len(answers) < 300:
        answers.append(stack.encrypt("again"))
    check(renewed() and all("error" not in a for a in answers), "keys and documents are renewed, and no request is lost", len(answers),
          [a for a in answers if "error" in a])
    check(all(stack.decrypt(a).get("decrypted") == "again" for a in answers), "what was encrypted under any of them is decrypted")
    stack.stop()
    check(stack.service.p.returncode == 0 and not os.path.exists(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}")), "it ends in order, and its socket is gone",
          stack.service.p.returncode)
    off = lib.Stack(service_env={"NITROSEAL_SECCOMP": "off"}).start()
    with open(f"/proc/{off.service.pid}/status") as f:
        mode = next(line.split()[1] for line in f if line.startswith("Seccomp:"))
    check(mode == "0" and "switched off" in open(off.log_of("service")).read(), "switched off only where it is said, with a warning", mode)
    off.stop()


def logs(folder_of):
    """At every level, through all kinds of requests."""
    for level in ("error", "warn", "info", "debug"):
        stack = folder_of(level)
        marks, answers = exercise(stack)
        needles = needles_of(stack, marks, answers)
        stack.stop()
        for name in ("service", "proxy", "kms", "nsm"):
            with open(stack.log_of(name), "rb") as f:
                content = f.read()
            found = [w for w, n in needles.items() if n in content]
            check(not found, f"the log of {name}, level {level}, holds nothing secret", found)
            if level == "debug" and name == "service":
                check(content, "the log has lines at all")


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
if os.geteuid() != 0:
    lib.skip_all("reading a process's memory needs root here")
first = lib.Stack().start()
outside(first, memory(first))
first.stop()
confined()
logs(lambda level: lib.Stack(log_level=level).start())
lib.plan()
