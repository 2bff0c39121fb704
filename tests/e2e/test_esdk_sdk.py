#!/usr/bin/python3
"""Messages between the esdk module and AWS's own Encryption SDK (JavaScript, from npm), under a raw AES key, in both
directions: what it writes in every suite, with and without context, at several frame lengths and around their ends, the
module reads; what the module writes, it reads, and a changed message both refuse. TAP."""
import base64, json, os, subprocess

import lib
from lib import check

RAW = os.path.join(lib.BUILD, "tests", "oracle", "esdk_raw")
KEY = bytes(range(100, 132)).hex()  # of this test only
ALL = (0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378, 0x0478, 0x0578)
WRITTEN = (0x0478, 0x0578)
CONTEXTS = ({}, {"a": "1", "purpose": "test", "z": "\u5024 \u00e9"})
# frame length: lengths of plaintext
SIZES = {1: (0, 1, 5), 4096: (0, 1, 4095, 4096, 4097, 8192, 10000), 65536: (65536, 100000)}

if not os.path.exists(RAW):
    lib.skip_all("esdk_raw is not built")
got = subprocess.run([os.path.join(lib.ROOT, "tools", "js-sdk")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
if got.returncode:
    lib.skip_all(got.stderr.strip().splitlines()[-1])


class Sdk:
    def __init__(self, folder):
        self.process = subprocess.Popen(["node", os.path.join(lib.HERE, "js", "esdk.cjs"), folder, KEY], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=lib.CLEAN, text=True)

    def ask(self, **request):
        if "data" in request:
            request["data"] = base64.b64encode(request["data"]).decode()
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "data" in answer:
            answer["data"] = base64.b64decode(answer["data"])
        return answer


def ours(*args, data):
    r = subprocess.run([RAW, *map(str, args)], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=lib.CLEAN)
    return r.returncode, r.stdout, r.stderr.decode().strip()


def pairs(context):
    return [f"{k}={v}" for k, v in context.items()]


def plaintext(n):
    return bytes((i * 2654435761 >> 11) & 0xff for i in range(n))


def they_write(suite, context):
    bad = []
    for frame, lengths in SIZES.items():
        for n in lengths:
            theirs = sdk.ask(op="encrypt", suite=suite, frame=frame, context=context, data=plaintext(n))
            for cut in (1 << 30, 7, 4096):
                status, plain, why = ours("open", KEY, cut, *pairs(context), data=theirs.get("data", b""))
                if status or plain != plaintext(n):
                    bad.append(f"frame {frame}, {n} bytes, cut {cut}: {theirs.get('error')} {why}")
    check(not bad, f"0x{suite:04x} of the SDK is read, {'with' if context else 'without'} context", *bad)


def we_write(suite, context):
    bad = []
    for frame, lengths in SIZES.items():
        for n in lengths:
            for cut in (1 << 30, 1000):
                status, message, why = ours("seal", KEY, f"{suite:04x}", frame, cut, *pairs(context), data=plaintext(n))
                answer = sdk.ask(op="decrypt", data=message)
                read = {k: v for k, v in answer.get("context", {}).items() if k != "aws-crypto-public-key"}
                if status or answer.get("data") != plaintext(n) or read != context or answer["suite"] != suite \
                        or answer["frame"] != frame:
                    bad.append(f"frame {frame}, {n} bytes, cut {cut}: {why} {answer.get('error')}")
    check(not bad, f"0x{suite:04x} of ours is read by the SDK, {'with' if context else 'without'} context", *bad)


def changed(suite):
    """A bit in the middle of each part: both refuse."""
    _, message, _ = ours("seal", KEY, f"{suite:04x}", 4096, 1 << 30, "a=1", data=plaintext(9000))
    bad = []
    for at in (30, 60, len(message) // 2, len(message) - 20):
        other = message[:at] + bytes([message[at] ^ 1]) + message[at + 1:]
        if ours("open", KEY, 1 << 30, data=other)[0] != 1 or "error" not in sdk.ask(op="decrypt", data=other):
            bad.append(at)
    check(not bad, f"0x{suite:04x}: a changed bit is refused by both", bad)
    status, plain, why = ours("open", KEY, 1 << 30, "a=2", data=message)
    check(status == 1 and not plain and "required" in why, f"0x{suite:04x}: another required context is refused", why)


sdk = Sdk(got.stdout.strip())
for s in ALL:
    for c in CONTEXTS:
        they_write(s, c)
for s in WRITTEN:
    for c in CONTEXTS:
        we_write(s, c)
    changed(s)
sdk.process.stdin.close()
check(sdk.process.wait(30) == 0, "the SDK's process ends")
lib.plan()
