#!/usr/bin/python3
"""Service, NSM, relay and local KMS under load in a build with ThreadSanitizer (build-tsan): no data race. TAP.

usage: test_races.py [SECONDS]"""
import os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib
from lib import check

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 8
FOUND = "ThreadSanitizer"
lib.CLEAN["TSAN_OPTIONS"] = "exitcode=66 second_deadlock_stack=1"


def load(stack, **options):
    program = os.path.join(lib.BUILD, "tests", "load", "nitroseal_load")
    words = [w for k, v in options.items() for w in ("--" + k, str(v))]
    return subprocess.Popen([program, "--vsock", "unix:" + stack.v, *words], env={**lib.CLEAN, **stack.app.env()}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


if lib.missing_programs() or not os.access(os.path.join(lib.BUILD, "tests", "load", "nitroseal_load"), os.X_OK):
    check(False, "programs of the local stack and the load client in " + lib.BUILD)
    lib.plan()
# Keys and documents are made anew all along, beside the requests.
the_stack = lib.Stack(service_options=["--key-max-age", 1, "--document-max-age", 1, "--workers", 4, "--kms-deadline", 30000, "--kms-try", 20000])
the_stack.start()
loads = {name: load(the_stack, seconds=SECONDS, **how) for name, how in {
    "short encryptions": {"clients": 16, "op": "encrypt", "bytes": 100},
    "long decryptions": {"clients": 4, "op": "decrypt", "bytes": 300000}}.items()}
for name, p in loads.items():
    out = p.communicate(timeout=SECONDS + 120)[0].decode()
    check(p.returncode == 0 and '"errors":0' in out.replace(" ", ""), f"load of {name}", p.returncode, out)
    print("# " + out.strip().replace("\n", " "))
    check(FOUND not in out, f"no race in the client of {name}", out)
for name, status in the_stack.stop().items():
    check(status == 0, f"{name} leaves with status 0", status)
for name in os.listdir(the_stack.path("log")):
    with open(the_stack.path("log", name), errors="replace") as f:
        text = f.read()
    at = text.find("WARNING: " + FOUND)
    check(FOUND not in text, f"no race in {name}", text[at:at + 3500])
lib.plan()
