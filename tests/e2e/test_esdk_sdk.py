#!/usr/bin/python3
"""Messages between the esdk module and AWS's own Encryption SDK (JavaScript, from npm), under a raw AES key, in both
directions: what it writes in every suite, with and without context, at several frame lengths and around their ends, the
module reads; what the module writes, it reads, and a changed message both refuse. TAP."""
import os, subprocess

import lib
from esdk_sdk import ALL, COMMITTING, Sdk, folder, plaintext
from lib import check

RAW = os.path.join(lib.BUILD, "tests", "oracle", "esdk_raw")
KEY = bytes(range(100, 132)).hex()  # of this test only
CONTEXTS = ({}, {"a": "1", "purpose": "test", "z": "\u5024 \u00e9"})
# frame length: lengths of plaintext
SIZES = {1: (0, 1, 5), 4096: (0, 1, 4095, 4096, 4097, 8192, 10000), 65536: (65536, 100000)}

if not os.path.exists(RAW):
    lib.skip_all("esdk_raw is not built")
modules = folder()


def ours(*args, data):
    r = subprocess.run([RAW, *map(str, args)], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=lib.CLEAN)
    return r.returncode, r.stdout, r.stderr.decode().strip()


def pairs(context):
    return [f"{k}={v}" for k, v in context.items()]


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
                if status or answer.get("data") != plaintext(n) or answer["context"] != context or answer["suite"] != suite \
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


sdk = Sdk(modules, KEY)
for s in ALL:
    for c in CONTEXTS:
        they_write(s, c)
for s in COMMITTING:
    for c in CONTEXTS:
        we_write(s, c)
    changed(s)
check(sdk.close() == 0, "the SDK's process ends")
lib.plan()
