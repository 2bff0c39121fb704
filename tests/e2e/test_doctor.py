#!/usr/bin/python3
"""`nitroseal doctor` beside a whole local stack, and beside one with each part broken in turn. Prints TAP."""
import json, os, shutil, signal, stat

import lib
from lib import check

if lib.missing_programs(["nitroseal", "nitroseald", "nitroseal-nsm", "nitroseal-kms", "vsock-proxy"]):
    lib.skip_all("a program is not built")

NAMES = ["hardware", "memory", "enclave", "service", "attestation", "relay", "endpoint", "credentials", "key"]
folder = lib.private_folder()
state = os.path.join(folder, "s")


def up(*argv):
    code, out, err = lib.run("nitroseal", "local", "up", "--state", state, *argv)
    assert code == 0, err
    env = dict(lib.CLEAN)
    for line in out.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        env[name] = value.strip("'")
    return env


def doctor(env, *argv):
    code, out, err = lib.run("nitroseal", "doctor", "--json", *argv, env=env)
    try:
        answer = json.loads(out)
        found = {c["check"]: c for c in answer} if isinstance(answer, list) else {}
    except ValueError:
        found = {}
    return code, found, out + err


def is_(found, name, finding, *words):
    c = found.get(name, {})
    text = c.get("text", "") + " " + c.get("fix", "")
    return c.get("finding") == finding and all(w in text for w in words)


def program(name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + text + "\n")
    os.chmod(path, stat.S_IRWXU)
    return path


def pid_of(part):
    out = lib.run("nitroseal", "local", "status", "--json", "--state", state)[1]
    return next(p["pid"] for p in json.loads(out)["parts"] if p["name"] == part)


def well(env):
    code, out, err = lib.run("nitroseal", "doctor", env=env)
    lines = out.splitlines()
    check(code == 0 and [l.split()[1] for l in lines if not l.startswith(" ")] == NAMES, "a line for each check, in the order of a request", out, err)
    check("FAILED" not in out, "nothing is wrong with a whole stack", out)
    code, found, text = doctor(env)
    check(list(found) == NAMES, "JSON has the same", text)
    check(all(is_(found, n, "ok") for n in ("service", "relay", "endpoint", "credentials", "key")), "what can be asked is asked", text)
    check(is_(found, "attestation", "warn", "--image"), "PCRs compared with nothing: a warning", text)
    check(env["AWS_SECRET_ACCESS_KEY"] not in text and env["AWS_ACCESS_KEY_ID"] not in text, "no key is printed whole")
    code, found, text = doctor(env, "--no-kms")
    check(code == 0 and is_(found, "key", "skip", "--no-kms"), "without using the key", text)
    zh = lib.run("nitroseal", "doctor", env=dict(env, LANG="zh_CN.UTF-8"))[1]
    check(any(ord(c) > 0x2e80 for c in zh), "in Chinese", zh)


def image(env):
    code, out, err = lib.run("nitroseal", "attest", "--any-image", "--json", env=env)
    pcrs = {k: v for k, v in json.loads(out)["pcrs"].items()} if "pcrs" in out else {}
    good = os.path.join(folder, "good.json")
    wrong = os.path.join(folder, "wrong.json")
    with open(good, "w") as f:
        json.dump({"Measurements": {f"PCR{int(str(k).removeprefix('PCR'))}": v for k, v in pcrs.items()
                                    if str(k).removeprefix("PCR") in "012"}}, f)
    with open(wrong, "w") as f:
        json.dump({"PCR0": "12" * 48}, f)
    code, found, text = doctor(env, "--image", good)
    check(code == 0 and is_(found, "attestation", "ok", "of this image"), "the image that is meant to run", text)
    code, found, text = doctor(env, "--image", wrong)
    check(code == 5 and is_(found, "attestation", "failed", "PCR0 differs", "policy"), "another image: status 5", code, text)
    code, found, text = doctor(env, "--image", os.path.join(folder, "none"))
    check(code == 6, "an image that is not there: 6", code, text)
    no_root = {k: v for k, v in env.items() if k != "NITROSEAL_ROOT_FILE"}
    code, found, text = doctor(no_root)
    check(code == 5 and is_(found, "attestation", "failed", "--root"), "a software NSM is not AWS: status 5", code, text)


def enclaves(env):
    def listed(text):
        return doctor(env, "--no-kms", "--nitro-cli", program("cli", f"[ $1 = describe-enclaves ] && echo '{text}'"))

    one = '{"EnclaveName": "app", "EnclaveCID": 16, "State": "RUNNING", "Flags": "NONE"}'
    code, found, text = listed(f"[{one}]")
    check(code == 0 and is_(found, "enclave", "ok", "app"), "nitro-cli lists it", text)
    code, found, text = listed(f"[{one.replace('16', '17')}]")
    check(code == 3 and is_(found, "enclave", "failed", "none with CID 16", "run-enclave"), "another CID: status 3", code, text)
    code, found, text = listed("[]")
    check(code == 3 and is_(found, "enclave", "failed", "0 enclaves"), "none: status 3", code, text)
    code, found, text = listed(f"[{one.replace('NONE', 'DEBUG_MODE')}]")
    check(code == 0 and is_(found, "enclave", "warn", "debug"), "debug mode: a warning", text)
    code, found, text = listed(f"[{one.replace('RUNNING', 'TERMINATING')}]")
    check(code == 3 and is_(found, "enclave", "failed", "TERMINATING"), "on its way out", code, text)
    code, found, text = doctor(env, "--no-kms", "--nitro-cli", "/bin/false")
    check(code == 0 and is_(found, "enclave", "warn", "/bin/false"), "nitro-cli fails: a warning", text)
    code, found, text = doctor(env, "--no-kms", "--nitro-cli", folder + "/absent")
    check(code == 0 and is_(found, "enclave", "warn", "install"), "nitro-cli is absent: a warning", text)


def broken(env):
    none = {k: v for k, v in env.items() if not k.startswith("AWS_ACCESS") and not k.startswith("AWS_SECRET")}
    none["AWS_SHARED_CREDENTIALS_FILE"] = none["AWS_CONFIG_FILE"] = folder + "/absent"
    code, found, text = doctor(none)
    check(code == 7 and is_(found, "credentials", "failed", "role") and is_(found, "key", "skip"), "no credentials: status 7", code, text)
    code, found, text = doctor(dict(env, AWS_SECRET_ACCESS_KEY="wrong"))
    check(code == 4 and is_(found, "key", "failed", "policy"), "a refusal of KMS, with its own reason: status 4", code, text)
    code, found, text = doctor(env, "--endpoint", "https://127.0.0.1:1")
    check(code == 3 and is_(found, "endpoint", "failed", "refused", "VPC"), "KMS is not there: status 3", code, text)
    code, found, text = doctor(env, "--endpoint", "ftp://x")
    check(code == 7 and is_(found, "endpoint", "failed"), "an endpoint that is none: status 7", code, text)
    code, found, text = doctor(env, "--relay-port", "8001")
    check(code == 3 and is_(found, "relay", "failed", "vsock-proxy 8001"), "no relay: status 3", code, text)
    code, found, text = doctor(env, "--port", "5001")
    check(code == 3 and is_(found, "service", "failed", "--port") and is_(found, "attestation", "skip"), "no service: status 3", code, text)
    first = pid_of("vsock-proxy")
    os.kill(first, signal.SIGKILL)
    lib.until(lambda: pid_of("vsock-proxy") not in (0, first), what="the relay runs again")
    os.kill(pid_of("vsock-proxy"), signal.SIGKILL)  # after the second time it is left down
    lib.until(lambda: pid_of("vsock-proxy") == 0, what="the relay is down")
    code, found, text = doctor(env)
    check(code == 3 and is_(found, "relay", "failed", "refused") and is_(found, "key", "failed"), "the relay that was killed: status 3", code, text)


def host():
    """What is looked at on an instance. This machine must have no enclaves: nothing of its vsock is touched then."""
    if os.path.exists("/dev/nitro_enclaves"):
        print("# skipped: this machine has /dev/nitro_enclaves")
        return
    env = dict(lib.CLEAN, AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_CONFIG_FILE="/dev/null")
    here = ("--endpoint", "https://127.0.0.1:1")
    code, found, text = doctor(env, *here)
    check(code == 7 and is_(found, "hardware", "failed", "EnclaveOptions"), "no hardware: status 7", code, text)
    check(is_(found, "service", "skip") and is_(found, "attestation", "skip") and is_(found, "key", "skip"), "then no vsock is touched", text)
    path = os.path.join(folder, "allocator.yaml")
    for name, text, words in (
            ("more than there is", "---\nmemory_mib: 16777216\ncpu_count: 2\n", ("16777216 MiB", "nitro-enclaves-allocator")),
            ("malformed", "memory_mib: 64\n", ("---",)),
            ("unknown setting", "---\nmemory: 64\n", ("memory_mib", "byte 4"))):
        with open(path, "w") as f:
            f.write(text)
        code, found, out = doctor(env, *here, "--allocator", path)
        check(is_(found, "memory", "failed", *words), f"allocator.yaml: {name}", out)
    with open(path, "w") as f:
        f.write("---\nmemory_mib: 0\ncpu_count: 2\n")
    code, found, out = doctor(env, *here, "--allocator", path)
    check(is_(found, "memory", "ok", "2 CPUs"), "allocator.yaml: what is there", out)


def main():
    env = up()
    try:
        well(env)
        image(env)
        enclaves(env)
        broken(env)
        lib.run("nitroseal", "local", "down", "--state", state)
        code, found, text = doctor(env)
        check(code == 3 and is_(found, "service", "failed", "CID.vsock") and is_(found, "relay", "failed"), "everything is down: status 3", code, text)
        check(list(found) == NAMES, "all checks are made whatever comes of one", text)
        host()
        code, out, err = lib.run("nitroseal", "doctor", "--cid", "x", env=env)
        check(code == 2, "usage", err)
    finally:
        lib.run("nitroseal", "local", "down", "--state", state)
        shutil.rmtree(folder, ignore_errors=True)
    lib.plan()


main()
