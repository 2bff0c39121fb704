#!/usr/bin/python3
"""Messages between the service and AWS's own Encryption SDK (JavaScript, from npm) with its KMS keyring, both under a key
of the local KMS. What it seals, whole or as a stream, the enclave opens: every suite, and the nine without commitment only
where the service allows them. What the enclave seals it opens as a principal whom the key's policy lets Decrypt without
attestation, which is there for this test only; one who may only seal, and the enclave's own credentials outside, get
AccessDenied. TAP."""
import base64, json, os

import duplex
import lib
from esdk_sdk import ALL, COMMITTING, Sdk, folder, plaintext
from lib import check
from messages import DEC, ENC, WRAP, encoded, hold, metrics, refused, said

ALLOWS = 31  # CID of the service that opens messages without commitment
KEEPS = 32  # of the one that keeps data keys
CONTEXTS = ({}, {"a": "1", "purpose": "test of two", "z": "\u5024 \u00e9=%"})
# frame length: lengths of plaintext
SIZES = {1: (0, 1, 2, 5), 4096: (0, 1, 4095, 4096, 4097, 8192), 65536: (1, 65536, 65537, 131072)}
EACH = [(frame, n) for frame, lengths in SIZES.items() for n in lengths]

if lib.missing_programs():
    lib.skip_all("programs of the local stack: " + " ".join(lib.missing_programs()))
modules = folder()


def kms(who, generator=None, keys=()):
    return {"who": {"id": who.id, "secret": who.secret, "token": who.token}, "generator": generator or stack.arn, "keys": list(keys)}


def headers(context, name="Nitroseal-Encryption-Context"):
    return [(name, pair) for pair in encoded(context)]


def they_seal(suite, context):
    """Sealed by one who may only seal; opened by the enclave, with every pair required."""
    bad = []
    for frame, n in EACH:
        cut = 1000 if n % 2 else 0
        theirs = sdk.ask(op="encrypt", kms=kms(sealer), suite=suite, frame=frame, context=context, data=plaintext(n), cut=cut)
        a = duplex.ask(stack, DEC, theirs.get("data", b""), headers(context, "Nitroseal-Require-Context"), cid=ALLOWS, chunked=n % 3 == 1)
        if not a.good or a.body != plaintext(n) or sorted(a.pairs) != encoded(context) or a.headers["nitroseal-suite"] != f"0x{suite:04x}" \
                or a.headers["nitroseal-key-id"] != stack.arn:
            bad.append((frame, n, theirs.get("error"), said(a)))
    check(not bad, f"0x{suite:04x} of the SDK is opened in the enclave, {'with' if context else 'without'} context", *bad)


def we_seal(suite, context):
    bad = []
    for frame, n in EACH:
        asked = [("Nitroseal-Suite", f"0x{suite:04x}"), ("Nitroseal-Frame-Length", frame), *headers(context)]
        a = duplex.ask(stack, ENC, plaintext(n), asked, chunked=n % 3 == 1)
        answer = sdk.ask(op="decrypt", kms=kms(stack.admin), data=a.body, cut=700 if n % 2 else 0)
        if not a.good or answer.get("data") != plaintext(n) or (answer["context"], answer["suite"], answer["frame"]) != (context, suite, frame):
            bad.append((frame, n, said(a), answer))
    check(not bad, f"0x{suite:04x} of the enclave is opened by the SDK, {'with' if context else 'without'} context", *bad)


def long_ones():
    """Streams on both sides: more than any buffer on the way."""
    data = os.urandom(5 << 20)
    for suite in COMMITTING:
        theirs = sdk.ask(op="encrypt", kms=kms(sealer), suite=suite, frame=65536, context={}, data=data, cut=30000)
        a = duplex.ask(stack, DEC, theirs["data"])
        check(a.good and a.body == data, f"0x{suite:04x}: 5 MiB of theirs", said(a))
        a = duplex.ask(stack, ENC, data, [("Nitroseal-Suite", f"0x{suite:04x}")])
        answer = sdk.ask(op="decrypt", kms=kms(stack.admin), data=a.body, cut=50000)
        check(answer.get("data") == data, f"0x{suite:04x}: 5 MiB of ours", answer.get("error"))
        answer = sdk.ask(op="decrypt", kms=kms(stack.admin), data=a.body, cut=50000, unsigned=True)
        check((answer.get("data") == data) == (suite == 0x0478), f"0x{suite:04x}: for a reader of unsigned messages only", answer.get("error"))


def commitment(suite):
    """A suite without commitment, against the service as it is by default: refused by the header alone."""
    calls = lambda: {k: v for k, v in metrics(stack).items() if k.startswith("nitroseal_kms_calls_total")}
    before = calls()
    theirs = sdk.ask(op="encrypt", kms=kms(sealer), suite=suite, frame=4096, context={}, data=b"text")
    a = duplex.ask(stack, DEC, theirs["data"])
    check(refused(a, 400, "message_unsupported") and calls() == before,
          f"0x{suite:04x} is refused where commitment is required, before KMS is asked", said(a))


def who_may(context):
    """The key's policy: seal from anywhere, open in the enclave."""
    theirs = sdk.ask(op="encrypt", kms=kms(sealer), context=context, data=b"for the enclave only")
    check(sdk.ask(op="decrypt", kms=kms(stack.admin), data=theirs["data"]).get("suite") == 0x0578, "the SDK's default suite is the signed one")
    check(duplex.ask(stack, DEC, theirs["data"]).body == b"for the enclave only", "sealed by one who may only seal")
    ours = duplex.ask(stack, ENC, b"from the enclave", headers(context)).body
    for who, name in ((sealer, "who may only seal"), (stack.app, "the enclave's credentials outside of it")):
        for message, of in ((theirs["data"], "the SDK's"), (ours, "the enclave's")):
            answer = sdk.ask(op="decrypt", kms=kms(who), data=message)
            check("data" not in answer and "not authorized" in answer["error"] and "kms:Decrypt" in answer["error"], f"{name} opens nothing of {of}", answer)
    answer = sdk.ask(op="encrypt", kms=kms(stack.app), context=context, data=b"text")
    check("data" not in answer and "kms:GenerateDataKey" in answer["error"], "the enclave's credentials outside seal nothing", answer)
    answer = sdk.ask(op="decrypt", kms=kms(stack.admin, other_arn), data=ours)
    check("data" not in answer, "the SDK has another key", answer)


def rewrapped():
    """A message without commitment gets one, inside; its context stays, and the SDK's default client reads it."""
    theirs = sdk.ask(op="encrypt", kms=kms(sealer), suite=0x0178, frame=512, context={"tenant": "1"}, data=plaintext(5000))["data"]
    a = duplex.ask(stack, WRAP, theirs)
    b = duplex.ask(stack, WRAP, theirs, [("Nitroseal-Suite", "0x0578")], cid=ALLOWS)
    answer = sdk.ask(op="decrypt", kms=kms(stack.admin), data=b.body)
    check(refused(a, 400, "message_unsupported") and b.good and answer.get("data") == plaintext(5000)
          and (answer["suite"], answer["context"]) == (0x0578, {"tenant": "1"}), "a message of the SDK, wrapped anew for the SDK", said(a), said(b), answer)


def data_keys(messages):
    """The (only) encrypted data key of each, as a set."""
    found = set()
    for m in messages:
        rest = m[m.index(b"aws-kms") + len("aws-kms") + 2 + len(stack.arn):]
        found.add(rest[2:2 + int.from_bytes(rest[:2], "big")])
    return found


def kept_keys():
    """Data keys used more than once, on either side: each message has a key of its own, derived from its id."""
    keeps = stack.start_service(cid=KEEPS, name="service-cache", options=["--cache-age", "60"])
    hold(stack, KEEPS)
    ours = [duplex.ask(stack, ENC, plaintext(n), [("Nitroseal-Encryption-Context", "tenant=1")], cid=KEEPS).body for n in (0, 100, 5000)]
    read = [sdk.ask(op="decrypt", kms=kms(stack.admin), data=m).get("data") for m in ours]
    check(read == [plaintext(n) for n in (0, 100, 5000)] and len(data_keys(ours)) == 1, "the SDK opens messages under a data key that the enclave kept", data_keys(ours))
    for suite in COMMITTING:
        theirs = [sdk.ask(op="encrypt", kms=kms(sealer), caching=True, suite=suite, context={"tenant": "1"}, data=plaintext(n))["data"] for n in (1, 4096, 9000)]
        read = [[duplex.ask(stack, DEC, m, cid=cid).body for m in theirs] for cid in (KEEPS, lib.CID)]
        check(read == [[plaintext(n) for n in (1, 4096, 9000)]] * 2 and len(data_keys(theirs)) == 1,
              f"0x{suite:04x}: the enclave opens messages under a data key that the SDK kept, with and without keeping it", data_keys(theirs))
    check(len(data_keys(duplex.ask(stack, ENC, b"x", [("Nitroseal-Encryption-Context", "tenant=1")]).body for _ in range(3))) == 3, "by default none is kept")
    keeps.stop()


def contexts():
    theirs = sdk.ask(op="encrypt", kms=kms(sealer), context={"tenant": "1"}, data=b"text")["data"]
    a = duplex.ask(stack, DEC, theirs, [("Nitroseal-Require-Context", "tenant=2")])
    check(refused(a, 403, "context_mismatch"), "another value under a required name", said(a))
    a = duplex.ask(stack, DEC, theirs, [("Nitroseal-Require-Context", "more=1")])
    check(a.status == 403 and json.loads(a.body)["kms_type"] == "InvalidCiphertextException", "a required pair that the SDK did not bind", said(a))
    many = {f"n{i:02}": "v" for i in range(63)}
    theirs = [sdk.ask(op="encrypt", kms=kms(sealer), context=c, data=b"text")["data"] for c in (many, {**many, "one": "more"})]
    a, b = (duplex.ask(stack, DEC, message) for message in theirs)  # signed: the public key is one pair more
    check(a.good and sorted(a.pairs) == encoded(many) and refused(b, 413, "message_limit"), "64 pairs and one past it", said(a), said(b))


def limits():
    for size in (1 << 20, (1 << 20) + 1):
        theirs = sdk.ask(op="encrypt", kms=kms(sealer), suite=0x0478, frame=size, context={}, data=b"text")["data"]
        a = duplex.ask(stack, DEC, theirs)
        check(a.good if size == 1 << 20 else refused(a, 413, "message_limit"), f"frames of {size}", said(a))


def several_keys():
    """Several encrypted data keys: ours is found behind others, nobody else's is asked for; at most eight."""
    both = sdk.ask(op="encrypt", kms=kms(stack.admin, other_arn, [stack.arn]), context={}, data=b"text")["data"]
    a = duplex.ask(stack, DEC, both)
    check(a.good and a.body == b"text" and a.headers["nitroseal-key-id"] == stack.arn, "the second of two keys is ours", said(a))
    a = duplex.ask(stack, DEC, sdk.ask(op="encrypt", kms=kms(stack.admin, other_arn), context={}, data=b"text")["data"])
    check(refused(a, 403, "no_key"), "none is", said(a))
    for n in (8, 9):
        theirs = sdk.ask(op="encrypt", kms=kms(stack.admin, stack.arn, more_arns[:n - 1]), context={}, data=b"text")
        a = duplex.ask(stack, DEC, theirs["data"])
        check(a.good if n == 8 else refused(a, 413, "message_limit"), f"{n} encrypted data keys", said(a))


def changed(suite):
    """A bit in every part of a message of either side is refused by the other."""
    theirs = sdk.ask(op="encrypt", kms=kms(sealer), suite=suite, frame=4096, context={"a": "1"}, data=plaintext(9000))["data"]
    ours = duplex.ask(stack, ENC, plaintext(9000), [("Nitroseal-Suite", f"0x{suite:04x}"), ("Nitroseal-Frame-Length", 4096), ("Nitroseal-Encryption-Context", "a=1")]).body
    bad = []
    for part in (0, 1, 2, 10, 40, 60, 150, 400, 700, 5000, -900, -1):
        flip = lambda m: m[:part % len(m)] + bytes([m[part] ^ 1]) + m[part % len(m) + 1:]
        a, b = duplex.ask(stack, DEC, flip(theirs)), sdk.ask(op="decrypt", kms=kms(stack.admin), data=flip(ours))
        if a.good or not plaintext(9000).startswith(a.body if a.status == 200 else b"") or "data" in b:
            bad.append((part, said(a), b))
    a = duplex.ask(stack, DEC, theirs + b"\0")
    check(not bad, f"0x{suite:04x}: a changed bit is refused by the other side", *bad)
    check(refused(a, 400, "message_malformed"), f"0x{suite:04x}: a byte behind the end", said(a))


stack = lib.Stack()
sealer = lib.Principal("sealer", "AKIDSEALERSEALERSEAL", base64.b64encode(os.urandom(30)).decode())
stack.others = [sealer]
seal_only = {"Sid": "seal", "Effect": "Allow", "Principal": {"AWS": sealer.arn}, "Action": "kms:GenerateDataKey", "Resource": "*"}
stack.start_nsm()
stack.start_kms()
other_arn, *more_arns = [stack.make_key() for _ in range(9)]
stack.make_key(more=[seal_only])
stack.start_proxy()
stack.start_service()
stack.start_service(cid=ALLOWS, name="service-allow", options=["--commitment", "allow"])
check(hold(stack) == hold(stack, ALLOWS) == 204, "credentials are held")
sdk = Sdk(modules, kms=stack.kms)
for s in ALL:
    for c in CONTEXTS:
        they_seal(s, c)
    if s not in COMMITTING:
        commitment(s)
for s in COMMITTING:
    for c in CONTEXTS:
        we_seal(s, c)
    changed(s)
long_ones()
who_may({"tenant": "1"})
rewrapped()
kept_keys()
contexts()
limits()
several_keys()
check(sdk.close() == 0, "the SDK's process ends")
lib.plan()
