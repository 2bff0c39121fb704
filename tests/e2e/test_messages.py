#!/usr/bin/python3
"""Messages of the AWS Encryption SDK through the service: round trips of every size, signed and not, streams in both
directions at once, changed bytes, contexts, keys, rewrapping, memory that stays, and the audit lines. TAP."""
import hashlib, json, os, socket, struct, threading

import duplex
import lib
from lib import check
from messages import DEC, ENC, WRAP, hold, metrics, refused, said


def round_trips(stack):
    for suite in ("0x0478", "0x0578"):
        for size, frame in ((0, 4096), (1, 1), (1, 4096), (100, 1), (4096, 4096), (8192, 4096), (65536, 65536), (65537, 65536), (3 << 20, 1 << 20), (5 << 20, 65536)):
            data = os.urandom(size)
            headers = [("Nitroseal-Suite", suite), ("Nitroseal-Frame-Length", frame), ("Nitroseal-Encryption-Context", "tenant=a%20b"),
                       ("Nitroseal-Encryption-Context", "%E4%B8%96=%3D")]
            a = duplex.ask(stack, ENC, data, headers, chunked=size % 2 == 1)
            b = duplex.ask(stack, DEC, a.body, [("Nitroseal-Require-Context", "tenant=a%20b")], chunked=size % 3 == 1)
            ok = a.good and b.good and b.body == data and a.headers["nitroseal-suite"] == suite == b.headers["nitroseal-suite"]
            check(ok and sorted(b.pairs) == ["%E4%B8%96=%3D", "tenant=a%20b"] and b.headers["nitroseal-key-id"] == stack.arn,
                  f"suite {suite}, {size} bytes in frames of {frame}", said(a), said(b))
            version = 2
            check(a.body[0] == version and a.body[1:3] == struct.pack(">H", int(suite, 16)), "is a message of that suite", a.body[:40].hex())
    a = duplex.ask(stack, ENC, b"x" * 1000)
    check(a.good and a.headers["nitroseal-suite"] == "0x0478" and a.pairs == [], "by default committing, without a context", said(a))
    return a.body


def changed(stack):
    """One bit here and there, and every kind of cut: never a whole answer, and what has come is a beginning of the text made of frames."""
    data = os.urandom(300000)
    for suite in ("0x0478", "0x0578"):
        good = duplex.ask(stack, ENC, data, [("Nitroseal-Suite", suite), ("Nitroseal-Frame-Length", 4096), ("Nitroseal-Encryption-Context", "k=v")]).body
        bad, codes = 0, set()
        spots = list(range(0, 120, 7)) + [len(good) // 2, len(good) - 40, len(good) - 1, 700, 5000, 250000]
        for at in spots:
            message = bytearray(good)
            message[at] ^= 1 << (at % 8)
            a = duplex.ask(stack, DEC, bytes(message))
            fine = not a.good and (a.status != 200 or (a.reason and not a.whole))
            if a.status == 200:
                fine = fine and len(a.body) % 4096 == 0 and data.startswith(a.body)
                codes.add(a.reason)
            else:
                codes.add(json.loads(a.body)["code"])
            bad += not fine
            if not fine:
                print("#", at, said(a))
        check(bad == 0, f"suite {suite}: {len(spots)} changed bits are all noticed", codes)
        check({"message_not_authentic"} <= codes, "by their tags", codes)
        for cut in (0, 1, 50, 1000, 4096, len(good) // 2, len(good) - 1):
            a = duplex.ask(stack, DEC, good[:cut])
            check(not a.good and (a.status == 400 or (a.reason == "message_malformed" and not a.whole)), f"cut after {cut} bytes", said(a))
        a = duplex.ask(stack, DEC, good + b"x")
        check(not a.good and not a.whole and a.reason == "message_malformed", "one byte too many", said(a))
        a = duplex.ask(stack, DEC, good[:len(good) // 2], length=len(good))
        check(not a.good, "a body that ends before its length", said(a))


def contexts_and_keys(stack):
    a = duplex.ask(stack, ENC, b"text", [("Nitroseal-Encryption-Context", "k=v")])
    b = duplex.ask(stack, DEC, a.body, [("Nitroseal-Require-Context", "k=w")])
    check(refused(b, 403, "context_mismatch"), "another value under a required name", said(b))
    b = duplex.ask(stack, DEC, a.body, [("Nitroseal-Require-Context", "other=v")])
    check(b.status == 403 and json.loads(b.body)["kms_type"] == "InvalidCiphertextException", "a required pair that nobody bound: KMS refuses", said(b))
    for name, value in (("Nitroseal-Suite", "0x0178"), ("Nitroseal-Frame-Length", "0"), ("Nitroseal-Frame-Length", "1048577"),
                        ("Nitroseal-Encryption-Context", "novalue"), ("Nitroseal-Encryption-Context", "a=%zz"), ("Nitroseal-Encryption-Context", "a=%FF")):
        b = duplex.ask(stack, ENC, b"text", [(name, value)])
        check(refused(b, 400, "invalid_request"), f"{name}: {value}", said(b))
    for pairs in ([("Nitroseal-Encryption-Context", "aws-crypto-public-key=x")], [("Nitroseal-Encryption-Context", "a=1"), ("Nitroseal-Encryption-Context", "a=2")]):
        b = duplex.ask(stack, ENC, b"text", pairs)
        check(refused(b, 400, "message_malformed"), f"context {pairs}", said(b))
    b = duplex.ask(stack, ENC, b"text", [("Nitroseal-Encryption-Context", f"n{i}=v") for i in range(65)])
    check(refused(b, 400, "invalid_request"), "a context of 65 pairs", said(b))
    b = duplex.ask(stack, ENC, b"text", [("Nitroseal-Encryption-Context", f"n{i:02}=v") for i in range(64)])
    check(b.good and duplex.ask(stack, DEC, b.body).good, "a context of 64 pairs", said(b))
    b = duplex.ask(stack, ENC, b"text", [("Nitroseal-Key-Id", stack.arn[:-1] + ("1" if stack.arn.endswith("0") else "0"))])
    check(refused(b, 403, "no_key"), "a key that is not on the list", said(b))
    b = duplex.ask(stack, DEC, b"hello, this is no message of any kind")
    check(refused(b, 400, "message_unsupported") or refused(b, 400, "message_malformed"), "something else", said(b))
    b = duplex.ask(stack, DEC, b"AgR4" + b"A" * 100)
    check(refused(b, 400, "message_unsupported") and b"base64" in b.body, "base64 is told so", said(b))


def rewrap(stack, second):
    """A second service may open under the first key and seal under its own; the first cannot open what comes out."""
    data = os.urandom(200000)
    a = duplex.ask(stack, ENC, data, [("Nitroseal-Encryption-Context", "k=v"), ("Nitroseal-Suite", "0x0578")])
    b = duplex.ask(stack, WRAP, a.body, [("Nitroseal-Key-Id", second)], cid=31)
    check(b.good and b.headers["nitroseal-key-id"] == second and b.pairs == ["k=v"], "rewrap under another key", said(b))
    opened = b.headers.get("nitroseal-opened-suite"), b.headers.get("nitroseal-opened-key-id")
    check(b.headers["nitroseal-suite"] == "0x0478" and opened == ("0x0578", stack.arn), "suite and key of the new message, and of the old", said(b))
    c = duplex.ask(stack, DEC, b.body)
    check(refused(c, 403, "no_key"), "the first service has no key for it", said(c))
    c = duplex.ask(stack, DEC, b.body, cid=31)
    check(c.good and c.body == data and c.pairs == ["k=v"] and c.headers["nitroseal-suite"] == "0x0478", "the second opens it", said(c))
    b = duplex.ask(stack, WRAP, a.body, [("Nitroseal-Encryption-Context", "new=1"), ("Nitroseal-Suite", "0x0578")], cid=31)
    check(b.headers["nitroseal-suite"] == "0x0578" and b.pairs == ["new=1"], "suite and context of the new message", said(b))
    c = duplex.ask(stack, DEC, b.body, cid=31)
    check("nitroseal-opened-suite" not in c.headers and "nitroseal-opened-key-id" not in c.headers, "decrypt makes no new message", said(c))
    check(c.good and c.body == data and c.pairs == ["new=1"] and c.headers["nitroseal-suite"] == "0x0578", "with a new context, signed", said(c))
    a = duplex.ask(stack, ENC, os.urandom(2 << 20), [("Nitroseal-Suite", "0x0578")])
    message = bytearray(a.body)
    message[-1] ^= 1
    b = duplex.ask(stack, WRAP, bytes(message), cid=31)
    check(not b.good and not b.whole and b.reason == "message_not_authentic", "a signature that does not hold ends it unfinished", said(b))
    log = open(stack.log_of("service-wrap"), encoding="utf-8").read()
    lines = [x for x in log.splitlines() if "op=message-rewrap" in x]
    check(len(lines) == 3 and stack.arn in lines[0] and second in lines[0] and "result=ok" in lines[0] and "suite=1144 opened_suite=1400" in lines[0] and "result=message_not_authentic" in lines[2],
          "an audit line for each", lines)


def generated(total, digest, piece=os.urandom(1 << 20)):
    sent = 0
    while sent < total:
        part = piece[:total - sent]
        digest.update(part)
        sent += len(part)
        yield part


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def large(stack):
    """Several streams at once, encrypt piped into decrypt: memory does not follow their length."""
    size, failures, peaks = int(os.environ.get("NITROSEAL_TEST_STREAM_MIB", "256")) << 20, [], []

    def through():
        sent, got = hashlib.sha256(), hashlib.sha256()
        read_end, write_end = os.pipe()

        def sealed():
            with os.fdopen(read_end, "rb", buffering=0) as f:
                while piece := f.read(65536):
                    yield piece

        def keep(part, f=os.fdopen(write_end, "wb", buffering=0)):
            while part:
                part = part[f.write(part):]

        def first():
            a = duplex.ask(stack, ENC, generated(size, sent), sink=keep)
            keep.__defaults__[0].close()
            if not a.good:
                failures.append(said(a))

        t = threading.Thread(target=first)
        t.start()
        b = duplex.ask(stack, DEC, sealed(), sink=got.update)
        t.join()
        peaks.append(resident(stack.service.pid))
        if not b.good or sent.digest() != got.digest():
            failures.append(said(b))

    before = resident(stack.service.pid)
    threads = [threading.Thread(target=through) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not failures, f"3 pairs of streams of {size >> 20} MiB, sealed and opened at once", failures)
    room = 40000 if "san" not in os.path.basename(lib.BUILD) else 400000  # a sanitizer keeps what was freed
    check(max(peaks) < before + room, "in constant memory", before, peaks)


def slow_reader(stack):
    """Who asks and does not read stops only himself."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}"))
    s.settimeout(1)
    s.sendall(b"POST /v1/messages/encrypt HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
    sent = 0
    try:
        while sent < 100 << 20:
            sent += s.send(bytes(65536))
    except socket.timeout:
        pass
    check(sent < 8 << 20, "a client that does not read is held back", sent)
    check(duplex.ask(stack, ENC, b"x").good, "others are served")
    s.close()


def kept_keys(stack):
    """With the cache on: fewer calls of KMS, never across a context, suite or credentials, and wiped in time."""
    p = stack.start_service(cid=32, name="service-cache", options=["--cache-age", "600", "--cache-messages", "10"])
    hold(stack, 32)

    def calls():
        return metrics(stack, 32)['nitroseal_kms_calls_total{result="ok"}']

    def seal(context="k=v", suite="0x0478", chunked=False, text=b"cached"):
        a = duplex.ask(stack, ENC, text, [("Nitroseal-Encryption-Context", context), ("Nitroseal-Suite", suite)], cid=32, chunked=chunked)
        if not a.good:
            print("#", said(a))
        return a.body

    def key_of(message):
        at = message.index(b"aws-kms") + 7
        for _ in range(2):  # the ARN, then the encrypted data key
            n = int.from_bytes(message[at:at + 2], "big")
            field, at = message[at + 2:at + 2 + n], at + 2 + n
        return field

    first = seal()
    before = calls()
    same = [seal() for _ in range(9)]
    check(calls() == before and all(key_of(m) == key_of(first) for m in same), "nine messages more without a call of KMS")
    check(len({m[3:35] for m in same + [first]}) == 10, "each with a message id, and so a key, of its own")
    check(key_of(seal()) != key_of(first) and calls() == before + 1, "the eleventh gets a new data key")
    before = calls()
    check(key_of(seal("k=w")) != key_of(seal("k=v")) and calls() == before + 1, "another context, another key")
    before = calls()
    seal(suite="0x0578"), seal(suite="0x0578"), seal(chunked=True)
    check(calls() == before + 3, "signed messages, and those of unknown length, never share one")
    duplex.ask(stack, DEC, same[0], cid=32)
    before = calls()
    check(all(duplex.ask(stack, DEC, m, cid=32).body == b"cached" for m in same) and calls() == before, "opening: one call for all under one key")
    changed = bytearray(same[0])
    changed[150] ^= 1
    check(not duplex.ask(stack, DEC, bytes(changed), cid=32).good, "a changed message is refused all the same")
    hold(stack, 32)
    check(metrics(stack, 32)["nitroseal_data_keys_kept"] == 0, "new credentials: none is kept")
    seal()
    now = metrics(stack, 32)
    check(now["nitroseal_data_keys_kept"] == 1 and now["nitroseal_data_key_cache_hits_total"] > 15, "counted", now)
    check(p.stop() == 0, "stopped")
    p = stack.start_service(cid=32, name="service-cache", options=["--cache-age", "1"])
    hold(stack, 32)
    seal()
    wiped = lib.until(lambda: metrics(stack, 32)['nitroseal_data_key_cache_evictions_total{reason="age"}'] == 1)
    check(wiped and metrics(stack, 32)["nitroseal_data_keys_kept"] == 0, "and wiped by age, without being asked for")
    check(p.stop() == 0, "stopped")


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
the_stack = lib.Stack().start()
the_answer = duplex.ask(the_stack, ENC, b"x")
check(refused(the_answer, 503, "no_credentials"), "no credentials yet", said(the_answer))
check(hold(the_stack) == 204, "credentials are held")
round_trips(the_stack)
changed(the_stack)
contexts_and_keys(the_stack)
the_first = the_stack.arn
the_second = the_stack.make_key()
the_stack.start_service(cid=31, name="service-wrap", options=["--keys", the_first])
the_stack.arn = the_first
hold(the_stack, 31)
rewrap(the_stack, the_second)
kept_keys(the_stack)
slow_reader(the_stack)
large(the_stack)
the_log = open(the_stack.log_of("service"), encoding="utf-8").read()
check("op=message-encrypt" in the_log and the_stack.app.secret not in the_log, "nothing secret in the log")
lib.plan()
