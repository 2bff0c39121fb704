#!/usr/bin/python3
"""The programs in an image, built once more from a copy of the source in another folder, in another time zone and with
another umask, are the same to the byte; and so is an image of them. Takes a minute. Prints TAP."""
import hashlib, os, shutil, struct, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import BUILD, CLEAN, ROOT, check, plan, private_folder, skip_all

PROGRAMS = ("nitroseald", "nitroseal-init")
KEY = "arn:aws:kms:eu-west-1:111122223333:key/12345678-1234-1234-1234-123456789012"

if not os.path.exists(os.path.join(BUILD, "src", "bin", "enclave", "nitroseald")):
    skip_all("this build makes no programs for an enclave (sanitized)")
listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
if listed.returncode != 0:
    skip_all("not a git checkout: which files are source?")

dir = private_folder()
copy, out = os.path.join(dir, "a folder", "source"), os.path.join(dir, "elsewhere")
for name in listed.stdout.splitlines():
    if name.startswith("tests/corpus/") or not os.path.isfile(os.path.join(ROOT, name)):
        continue
    os.makedirs(os.path.dirname(os.path.join(copy, name)), exist_ok=True)
    shutil.copy(os.path.join(ROOT, name), os.path.join(copy, name))


def sh(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=550, preexec_fn=lambda: os.umask(0o077),
                          env={**CLEAN, "TZ": "Asia/Tokyo", "LC_ALL": "C", "CC": "gcc"})


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


p = sh("meson", "setup", out, copy)
if check(p.returncode == 0, "configured elsewhere", p.stdout[-2000:], p.stderr):
    p = sh("ninja", "-C", out, "src/bin/nitroseal/nitroseal", *["src/bin/enclave/" + n for n in PROGRAMS])
    check(p.returncode == 0, "built there", p.stdout[-3000:])
    for name in PROGRAMS:
        check(sha(os.path.join(out, "src/bin/enclave", name)) == sha(os.path.join(BUILD, "src/bin/enclave", name)),
              f"{name} is the same to the byte")
    kernel = bytearray(0x400)
    kernel[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", kernel, 0x20e, 0x100)
    with open(os.path.join(dir, "bzImage"), "wb") as f:
        f.write(kernel)
    images = []
    for build in (BUILD, out):
        images.append(os.path.join(dir, f"{len(images)}.eif"))
        p = sh(os.path.join(build, "src/bin/nitroseal/nitroseal"), "image", "build", "-o", images[-1], "--kernel",
               os.path.join(dir, "bzImage"), "--kms-key-id", KEY)
        check(p.returncode == 0, f"an image from build {len(images)}", p.stderr)
    check(sha(images[0]) == sha(images[1]), "the images are the same to the byte")
plan()
