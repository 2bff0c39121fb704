#!/usr/bin/python3
"""`nitroseal attest` on saved documents: real ones of AWS at their own time under the pinned root, altered and
made ones, and the questions about time, nonce, PCRs, debug. Skips where the shared vectors are absent. TAP."""
import json, os, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLI = os.path.join(os.environ.get("NITROSEAL_BUILD", os.path.join(ROOT, "build")), "bin", "nitroseal")
VECTORS = os.environ.get("NITROSEAL_VECTORS", os.path.join(ROOT, "..", "shared", "vectors"))
count = bad = 0


def check(good, name, *detail):
    global count, bad
    count += 1
    bad += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        for d in detail:
            print("#   " + str(d))


def attest(*argv):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NITROSEAL_", "AWS_", "LC_", "LANG"))}
    p = subprocess.run([CLI, "attest", *argv], capture_output=True, text=True, env=env, timeout=60)
    return p.returncode, p.stdout, p.stderr.strip()


def every_document(entries):
    for e in entries:
        if e["kind"] not in ("nitro-attestation", "nitro-attestation-b64") or e["expected"] not in ("valid", "invalid"):
            continue
        v = e.get("values", {})
        argv = ["--document", os.path.join(VECTORS, e["path"]), "--at", str(v.get("verify_time", "document")), "--allow-debug", "--any-image"]
        anchor = v.get("trust_anchor")
        if anchor and "aws-nitro-root" not in anchor:
            argv += ["--root", os.path.join(VECTORS, anchor)]
        status, out, err = attest(*argv)
        want = 0 if e["expected"] == "valid" else 5
        check(status == want and (want == 0) == bool(out), f"{e['path']}: {e['expected']}", status, err)


def questions(entries):
    real = [e for e in entries if e["path"].startswith("attestation/real/") and e["expected"] == "valid" and e["kind"] == "nitro-attestation"]
    made = [e for e in entries if e.get("origin") == "ours" and e["expected"] == "valid" and e["kind"] == "nitro-attestation"]
    found = None
    for e in real:
        path = os.path.join(VECTORS, e["path"])
        status, out, err = attest("--document", path, "--at", "document", "--json", "--allow-debug", "--any-image")
        if status == 0 and not json.loads(out)["debug"]:
            found = found or (path, json.loads(out))
    path, said = found
    check(said["root"] == "aws-g1" and said["digest"] == "SHA384" and said["pcrs_compared"] is False and said["pcrs_as_expected"] == [], "facts of a real document", said)
    pcr0 = said["pcrs"]["PCR0"]
    other = ("0" if pcr0[0] != "0" else "1") + pcr0[1:]
    at = ("--document", path, "--at", said["timestamp"])
    check(attest(*at, "--pcr", "0=" + pcr0)[0] == 0, "PCR0 as expected")
    said2 = json.loads(attest(*at, "--pcr", "0=" + pcr0, "--json")[1])
    check(said2["pcrs_compared"] is True and said2["pcrs_as_expected"] == ["PCR0"], "and in JSON", said2)
    status, out, err = attest(*at, "--pcr", "0=" + other)
    check(status == 5 and out == "" and "PCR0 differs" in err and pcr0 in err and other in err, "another PCR0: 5 and both values", err)
    check(attest(*at, "--pcr", "0=" + pcr0, "--pcr", "1=" + other)[0] == 5, "one of two differs")
    check(attest(*at, "--pcr", "0=12")[0] == 2, "a PCR that is none: usage")
    status, out, err = attest(*at, "--any-image")
    check(status == 0 and "compared with nothing" in out, "--any-image says that PCRs were compared with nothing", status, out)
    for more in ((), ("--json",), ("--allow-debug",)):
        status, out, err = attest(*at, *more)
        said2 = json.loads(out)["error"] if more == ("--json",) else ""
        check(status == 2 and (out == "") == (said2 == "") and len(err.splitlines()) == 1 and "--pcr" in err and "--any-image" in err,
              " ".join(["no image to expect: usage, and both options named", *more]), status, out, err)
    check(attest("--document", "/nonexistent")[0] == 2, "no image to expect: before the file is read")
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "image.json")
        for pcrs, want, name in (({"PCR0": pcr0}, 0, "--image: the PCRs that image describe prints"), ({"PCR0": "12" * 48}, 5, "--image: another one: 5")):
            with open(image, "w") as f:
                json.dump({"Measurements": pcrs}, f)
            status, out, err = attest(*at, "--image", image)
            check(status == want, name, status, err)
        status, out, err = attest(*at, "--image", image, "--pcr", "0=" + pcr0)
        check(status == 2 and "exclude" in err, "--image with --pcr: usage", status, err)
        status, out, err = attest(*at, "--image", image + ".absent")
        check(status == 6, "--image that is not there: 6", status, err)
    status, out, err = attest(*at, "--any-image", "--pcr", "0=" + pcr0)
    check(status == 2 and out == "" and "exclude" in err, "--any-image with --pcr: usage", status, err)
    status, out, err = attest("--document", path, "--any-image")
    check(status == 5 and "not valid at that time" in err, "judged now: expired", err)
    check(attest("--document", path, "--at", str(said["timestamp_ms"] // 1000 - 86400 * 365), "--any-image")[0] == 5, "judged a year before: 5")
    status, out, err = attest(*at, "--any-image", "--nonce", "00" * 32)
    check(status == 5 and "nonce" in err, "another nonce: 5", err)
    late = str(said["timestamp_ms"] // 1000 + 100)
    check(attest("--document", path, "--at", late, "--any-image", "--max-age", "200")[0] == 0, "young enough")
    status, out, err = attest("--document", path, "--at", late, "--any-image", "--max-age", "50")
    check(status == 5 and "seconds old" in err, "too old: 5", err)
    status, out, err = attest("--document", path, "--at", "yesterday", "--any-image")
    check(status == 2 and "is not a time" in err, "a time that is none: usage", status, err)
    status, out, err = attest("--at", "document", "--any-image")
    check(status == 2 and "--document" in err, "--at without --document: usage", status, err)
    check(attest("--document", "/nonexistent", "--any-image")[0] == 6, "no such file: 6")
    check(attest("--document", __file__, "--any-image")[0] == 6, "a file that is no document: 6")
    path = os.path.join(VECTORS, made[0]["path"])
    status, out, err = attest("--document", path, "--at", str(made[0]["values"]["verify_time"]), "--allow-debug", "--any-image")
    check(status == 5 and "--root" in err, "a chain of another root, under AWS's: 5, and says how", err)
    with tempfile.NamedTemporaryFile() as f:
        status, out, err = attest("--document", path, "--any-image", "--root", f.name)
        check(status == 7, "a root file without a certificate: 7", err)


def main():
    manifest = os.path.join(VECTORS, "manifest.json")
    if not os.path.exists(manifest):
        print(f"ok 1 - attest on saved documents # SKIP no vectors in {VECTORS}\n1..1")
        return 0
    entries = [e for e in json.load(open(manifest))["entries"] if e["path"].startswith("attestation/")]
    every_document(entries)
    questions(entries)
    print(f"1..{count}")
    return 1 if bad else 0


sys.exit(main())
