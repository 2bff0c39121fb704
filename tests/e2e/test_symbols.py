#!/usr/bin/python3
"""What the enclave program is: static, hardened, small, and without a line of the local stack. Prints TAP."""
import os, re, subprocess, sys, tempfile

BUILD = os.environ.get("NITROSEAL_BUILD", os.path.join(os.path.dirname(__file__), "..", "..", "build"))
PROGRAM = os.path.realpath(os.path.join(BUILD, "bin", "nitroseald"))


def out(*args):
    return subprocess.run(args, capture_output=True, text=True, check=True).stdout


def stripped_size(program=PROGRAM):
    with tempfile.TemporaryDirectory() as d:
        copy = os.path.join(d, "p")
        subprocess.run(["strip", "-o", copy, program], check=True)
        return os.path.getsize(copy)


symbols = out("nm", PROGRAM)
local_kms = out("nm", os.path.realpath(os.path.join(BUILD, "bin", "nitroseal-kms")))
headers = out("readelf", "-lW", PROGRAM)
dynamic = out("readelf", "-dW", PROGRAM)
init = os.path.realpath(os.path.join(BUILD, "bin", "nitroseal-init"))
init_symbols, init_headers = out("nm", init), out("readelf", "-lW", init)
stack = re.search(r"GNU_STACK.*", headers)[0]

tests = [
    ("has symbols to look at", re.search(r" [tT] enclave_", symbols) is not None),
    ("no symbol of the software NSM", re.search(r" softnsm_", symbols) is None),
    ("no symbol of the local KMS", re.search(r" localkms_", symbols) is None),
    ("no way to take a document of QEMU's NSM", re.search(r" qemu_nsm_", symbols) is None),
    ("which the local KMS has", re.search(r" qemu_nsm_parse", local_kms) is not None),
    ("no symbol of the policy engine", re.search(r" (policy_(parse|evaluate)|access_decide)", symbols) is None),
    ("no SQLite and no jansson", re.search(r" (sqlite3_open|json_loads)", symbols) is None),
    ("static: no interpreter", "INTERP" not in headers),
    ("static: needs no library", "(NEEDED)" not in dynamic),
    ("loads at a random address", re.search(r"Type:\s+DYN", out("readelf", "-hW", PROGRAM)) is not None),
    ("read-only relocations", "GNU_RELRO" in headers),
    ("stack is not executable", "RWE" not in stack),
    ("stripped it is below 8 MB", stripped_size() < 8_000_000),
    ("the first process is static, too", "INTERP" not in init_headers and "GNU_RELRO" in init_headers),
    ("without OpenSSL and libuv", re.search(r" [tT] boot_", init_symbols) and not re.search(r" (EVP_|SSL_|uv_)", init_symbols)),
    ("and below 1 MB", stripped_size(init) < 1_000_000),
]
for n, (name, good) in enumerate(tests, 1):
    print(f"{'ok' if good else 'not ok'} {n} - {name}")
print(f"1..{len(tests)}")
sys.exit(not all(good for _, good in tests))
