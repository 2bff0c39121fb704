#!/usr/bin/python3
"""The main job under valgrind's memcheck: service, NSM, relay and local KMS each under it, messages through all of them, refusals and a
clean end. No error, no leak, no descriptor left. TAP."""
import os, re, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import lib
from lib import check

SERVICE = os.path.join(lib.BUILD, "tests", "inject", "nitroseald_shared")
if lib.missing_programs() or not os.access(SERVICE, os.X_OK):
    check(False, "programs of the local stack, and " + SERVICE)
    lib.plan()
folder = lib.private_folder()
reports = os.path.join(folder, "valgrind")
os.mkdir(reports)
lib.Program.under = ["valgrind", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,possible",
                     "--track-fds=yes", "--log-file=" + os.path.join(reports, "%p")]
stack = lib.Stack(folder=folder, service_options=["--seccomp", "off", "--workers", 2, "--kms-deadline", 60000, "--kms-try", 50000, "--document-max-age", 5])
stack.service_program = SERVICE
stack.start()
names = {p.pid: p.name for p in (stack.nsm, stack.kms_program, stack.proxy, stack.service)}
for text in ("", "short", "\u20ac" * 3000, "x" * 300000):
    answer = stack.encrypt(text, timeout=120)
    back = stack.decrypt(answer, timeout=120) if "error" not in answer else answer
    check(back.get("decrypted") == text and back.get("signature_valid") is True, f"{len(text)} characters there and back", answer.get("error"), back.get("error"))
answer = stack.ask({"operation": "attest", "nonce": "AAECAwQFBgc="}, timeout=120)
check(bool(answer.get("document")), "a document for a client", answer)
nobody = lib.Principal("nobody", "AKIDNOBODYNOBODY0000", "x" * 40)
check(stack.encrypt("x", who=nobody, timeout=120).get("error_code"), "a client whom KMS does not know is refused")
check(stack.ask({"operation": "nothing"}, timeout=120).get("error_code"), "an operation that is none is refused")
for name, status in stack.stop().items():
    check(status == 0, f"{name} leaves with status 0 under valgrind", status)
for pid, name in names.items():
    with open(os.path.join(reports, str(pid))) as f:
        text = f.read()
    left = [b for b in re.findall(r"Open .*(?:\n==\d+==    .*)*", text) if "inherited from parent" not in b]
    left = [b for b in left if not b.split("\n")[0].endswith(reports + "/" + str(pid))]
    check("ERROR SUMMARY: 0 errors" in text, f"{name}: no error and no leak", text[-6000:])
    check(not left, f"{name}: no descriptor is left", *left)
lib.plan()
