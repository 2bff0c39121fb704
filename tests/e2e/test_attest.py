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
        argv = ["--document", os.path.join(VECTORS, e["path"]), "--at", str(v.get("verify_time", "document")), "--allow-debug"]
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
        status, out, err = attest("--document", path, "--at", "document", "--json", "--allow-debug")
        if status == 0 and not json.loads(out)["debug"]:
            found = found or (path, json.loads(out))
    path, said = found
    check(said["root"] == "aws-g1" and said["digest"] == "SHA384" and said["pcrs_compared"] == [], "facts of a real document", said)
    pcr0 = said["pcrs"]["PCR0"]
    other = ("0" if pcr0[0] != "0" else "1") + pcr0[1:]
    at = ("--document", path, "--at", said["timestamp"])
    check(attest(*at, "--pcr", "0=" + pcr0)[0] == 0, "PCR0 as expected")
    status, out, err = attest(*at, "--pcr", "0=" + other)
    check(status == 5 and out == "" and "PCR0 differs" in err and pcr0 in err and other in err, "another PCR0: 5 and both values", err)
    check(attest(*at, "--pcr", "0=" + pcr0, "--pcr", "1=" + other)[0] == 5, "one of two differs")
    check(attest(*at, "--pcr", "0=12")[0] == 2, "a PCR that is none: usage")
    status, out, err = attest(*at)
    check(status == 0 and "not compared" in out, "without --pcr it says that nothing was compared", out)
    status, out, err = attest("--document", path)
    check(status == 5 and "not valid at that time" in err, "judged now: expired", err)
    check(attest("--document", path, "--at", str(said["timestamp_ms"] // 1000 - 86400 * 365))[0] == 5, "judged a year before: 5")
    status, out, err = attest(*at, "--nonce", "00" * 32)
    check(status == 5 and "nonce" in err, "another nonce: 5", err)
    late = str(said["timestamp_ms"] // 1000 + 100)
    check(attest("--document", path, "--at", late, "--max-age", "200")[0] == 0, "young enough")
    status, out, err = attest("--document", path, "--at", late, "--max-age", "50")
    check(status == 5 and "seconds old" in err, "too old: 5", err)
    check(attest("--document", path, "--at", "yesterday")[0] == 2, "a time that is none: usage")
    check(attest("--at", "document")[0] == 2, "--at without --document: usage")
    check(attest("--document", "/nonexistent")[0] == 6, "no such file: 6")
    check(attest("--document", __file__)[0] == 6, "a file that is no document: 6")
    path = os.path.join(VECTORS, made[0]["path"])
    status, out, err = attest("--document", path, "--at", str(made[0]["values"]["verify_time"]), "--allow-debug")
    check(status == 5 and "--root" in err, "a chain of another root, under AWS's: 5, and says how", err)
    with tempfile.NamedTemporaryFile() as f:
        status, out, err = attest("--document", path, "--root", f.name)
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
