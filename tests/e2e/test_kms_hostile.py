#!/usr/bin/python3
"""Clients that mean no good: slow, oversized, truncated, pipelined, smuggled and garbled requests harm nobody else. A good
client calls all the while; its longest wait and the server's memory are bounded. TAP."""
import json, os, random, socket, ssl, struct, threading, time

import kmslib, lib
from lib import check

SLOW, STALLED, FLOOD, LIMIT = 150, 60, 1150, 1024
WAIT_MAX_S, GROWTH_MAX_KB = 8, 96 << 10  # less than the time that the server has for any of these
VECTORS = os.environ.get("NITROSEAL_VECTORS", os.path.join(lib.ROOT, "..", "shared", "vectors"))

if lib.missing_programs(["nitroseal-kms"]):
    lib.skip_all("nitroseal-kms is not built")

folder = lib.private_folder()
admin = kmslib.admin_of()
server = kmslib.Server(folder, [admin], options=["--log-level", "error"]).start()
key = server.call(admin, "CreateKey")["KeyMetadata"]["KeyId"]


def rss_kb():
    with open(f"/proc/{server.program.pid}/status") as f:
        return int(next(l for l in f if l.startswith("VmRSS")).split()[1])


# The good client: one keep-alive connection and new ones in turn, always.
waits, faults, stop = [], [], threading.Event()


def good():
    body = json.dumps({"KeyId": key}).encode()
    kept = None
    n = 0
    while not stop.is_set():
        n += 1
        began = time.monotonic()
        try:
            if kept is None or n % 10 == 0:
                if kept:
                    kept.close()
                kept = server.tls()
            kept.sendall(kmslib.request_bytes(admin, server.port, "DescribeKey", body))
            answer = b""
            while key.encode() not in answer:
                piece = kept.recv(65536)
                if not piece:
                    raise OSError("ended")
                answer += piece
            if not answer.startswith(b"HTTP/1.1 200"):
                faults.append(answer[:200])
        except (OSError, ssl.SSLError) as e:
            faults.append(repr(e))
            kept = None
        waits.append(time.monotonic() - began)
        time.sleep(0.02)


def harmed(name):
    """Nobody else was, since the last time this was asked."""
    n = len(waits)
    lib.until(lambda: len(waits) > n + 1)
    worst = max(waits) if waits else 0
    check(not faults and waits and worst < WAIT_MAX_S and server.program.alive(), f"{name}: nobody else is harmed",
          f"{len(waits)} calls, longest {worst:.3f} s", faults[:3])
    waits.clear()
    faults.clear()


def answers_until_end(s, seconds=25):
    """Whatever comes until the end of the stream; None: it does not end."""
    out = b""
    s.settimeout(seconds)
    try:
        while (piece := s.recv(65536)):
            out += piece
    except (socket.timeout, TimeoutError):
        return None
    except OSError:
        pass
    return out


def first_piece(s):
    """What comes soon, if anything does."""
    s.settimeout(0.15)
    try:
        return s.recv(65536)
    except OSError:
        return b""


threading.Thread(target=good, daemon=True).start()
lib.until(lambda: len(waits) > 20)
base_rss = rss_kb()
harmed("at rest")

# --- the shared vectors ------------------------------------------------------------------------------------------------

manifest = os.path.join(VECTORS, "manifest.json")
if os.path.exists(manifest):
    with open(manifest) as f:
        rows = json.load(f)
    rows = [r for r in (rows if isinstance(rows, list) else next(v for v in rows.values() if isinstance(v, list)))
            if r["path"].startswith("http/request-")]
    hanging, accepted = [], []
    for row in rows:
        with open(os.path.join(VECTORS, row["path"]), "rb") as f:
            raw = f.read()
        with server.tls() as s:
            s.sendall(raw)
            out = first_piece(s)
            if row["expected"] == "invalid" and b"HTTP/1.1 2" in out:
                accepted.append(row["path"])
            if row["expected"] == "invalid" and b"HTTP/1.1 4" in out and b"onnection: close" in out and answers_until_end(s) is None:
                hanging.append(row["path"])
    check(len(rows) > 60 and not accepted, f"{len(rows)} messages of the shared vectors: none that is invalid gets a good answer", accepted)
    check(not hanging, "a refusal that says so ends the connection", hanging)
    harmed("the shared vectors")
else:
    print("# no shared vectors")

# --- smuggling ---------------------------------------------------------------------------------------------------------

body = json.dumps({"KeyId": key}).encode()
inner = kmslib.request_bytes(admin, server.port, "DescribeKey", body)
head = f"POST / HTTP/1.1\r\nHost: localhost:{server.port}\r\n".encode()
for name, raw in (("two lengths", head + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner),
                  ("length and chunks", head + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % len(inner) + inner),
                  ("chunks twice", head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner),
                  ("chunked, identity", head + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner),
                  ("a blank before the colon", head + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner),
                  ("a folded header", head + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n" + inner),
                  ("bare line feeds", head.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + inner),
                  ("a length with a sign", head + b"Content-Length: +0\r\n\r\n" + inner),
                  ("a length in hexadecimal", head + b"Content-Length: 0x0\r\n\r\n" + inner),
                  ("a NUL in a header", head + b"X: a\0b\r\nContent-Length: 0\r\n\r\n" + inner),
                  ("a chunk size that overflows", head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n" + inner)):
    with server.tls() as s:
        s.sendall(raw)
        out = answers_until_end(s)
        check(out is not None and out.count(b"HTTP/1.1") == 1 and out.startswith(b"HTTP/1.1 4") and key.encode() not in out,
              f"smuggled: {name}: refused, what follows is not read", out)
harmed("smuggled requests")

# --- oversized ---------------------------------------------------------------------------------------------------------

for name, raw, statuses in (
        ("a head without end", head + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 900) for n in range(60)), (400, 413, 431)),
        ("a thousand headers", head + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n", (400, 413, 431)),
        ("a length past the limit", head + b"Content-Length: 99999999999\r\n\r\n", (413,)),
        ("a length past all numbers", head + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", (400, 413)),
        ("chunks past the limit", head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"z" * 65536 + b"\r\n") * 12, (413,)),
        ("a target past the limit", b"POST /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n", (400, 413, 414))):
    with server.tls() as s:
        try:
            s.sendall(raw)
        except OSError:
            pass
        out = answers_until_end(s)
        check(out is not None and (not out or int(out[9:12]) in statuses), f"oversized: {name}", out and out[:100])
harmed("oversized requests")

# --- truncated, garbled ------------------------------------------------------------------------------------------------

rng = random.Random(1)
for n in range(150):
    s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    if n % 3 == 0:
        s.sendall(rng.randbytes(rng.randrange(1, 2000)))  # no TLS
    else:
        t = ssl.create_default_context(cafile=server.kms.ca).wrap_socket(s, server_hostname="localhost")
        t.sendall(inner[:rng.randrange(1, len(inner))] if n % 3 == 1 else rng.randbytes(rng.randrange(1, 3000)))
        s = t
    if n % 2:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # an RST
    s.close()
harmed("truncated and garbled streams")

# --- asks and never reads ----------------------------------------------------------------------------------------------

deaf = []
for _ in range(8):
    s = server.tls()
    s.settimeout(0.5)
    deaf.append(s)
    try:
        for _ in range(4000):
            s.sendall(inner)
    except (OSError, ssl.SSLError):
        pass
harmed("thousands of pipelined requests whose answers nobody reads")
grown = rss_kb() - base_rss
check(grown < GROWTH_MAX_KB, f"and memory stays bounded: {grown >> 10} MiB more", base_rss)
for s in deaf:
    s.close()
with server.tls() as s:  # who reads gets all of them, in order
    s.sendall(inner * 200)
    out, s_end = b"", time.monotonic() + 60
    while out.count(b"HTTP/1.1 200") < 200 and time.monotonic() < s_end:
        out += s.recv(1 << 20)
    check(out.count(b"HTTP/1.1 200") == 200, "two hundred pipelined requests are answered")

# --- slow ---------------------------------------------------------------------------------------------------------------

began = time.monotonic()
stalled = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(STALLED)]
for n, s in enumerate(stalled):
    if n % 2:
        s.sendall(b"\x16\x03\x01\x02\x00")  # the beginning of a ClientHello
slow = [server.tls() for _ in range(SLOW)]
for n, s in enumerate(slow):
    s.sendall(inner[:40] if n % 2 else inner[:-3])


def dripping():
    at = 40
    while not stop.is_set() and slow:
        for s in list(slow)[::2]:
            try:
                s.sendall(inner[at:at + 1])
            except OSError:
                pass
        at += 1
        time.sleep(1)


threading.Thread(target=dripping, daemon=True).start()
time.sleep(2)
harmed(f"{SLOW} requests that come a byte a second or not at all, {STALLED} handshakes that do not go on")
check(all(answers_until_end(s) is not None for s in stalled) and time.monotonic() - began < 25, "stalled handshakes are ended",
      time.monotonic() - began)
ended = [answers_until_end(s, 80) is not None for s in slow]
check(all(ended) and time.monotonic() - began < 100, "slow requests are ended, however they drip", sum(ended), time.monotonic() - began)
slow.clear()
harmed("what was ended")

# --- too many ------------------------------------------------------------------------------------------------------------

crowd = []
for _ in range(FLOOD):
    try:
        crowd.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
    except OSError:
        break
time.sleep(0.5)
faults.clear()  # new connections of the good client may be turned away now, the kept one may not
with open(f"/proc/{server.program.pid}/limits") as f:
    limits = f.read()
open_fds = len(os.listdir(f"/proc/{server.program.pid}/fd"))
check(open_fds <= LIMIT + 64, f"{len(crowd)} connections: at most {LIMIT} are kept", open_fds, limits)
for s in crowd:
    s.close()
lib.until(lambda: len(os.listdir(f"/proc/{server.program.pid}/fd")) < 100, what="connections ended")


def well_again(n=5):
    """A call that began in the crowd may still fail."""
    faults.clear()
    so_far = len(waits)
    lib.until(lambda: len(waits) >= so_far + n or faults)
    return not faults


lib.until(well_again)
waits.clear()
faults.clear()
lib.until(lambda: len(waits) > 10)
harmed("after the crowd has gone")
stop.set()
grown = rss_kb() - base_rss
check(grown < GROWTH_MAX_KB, f"memory at the end: {grown >> 10} MiB more than at rest", base_rss)
check(server.program.stop() == 0, "and it ends as it should")
check(lib.run("nitroseal-kms", "audit", "verify", os.path.join(server.state, "audit.log"))[0] == 0, "the audit log is as written")

lib.plan()
