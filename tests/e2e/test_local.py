#!/usr/bin/python3
"""`nitroseal local`: up, down, status, kms, with the real parts: what is printed works from a shell, crashes are
reported, a killed supervisor leaves nothing, stacks run side by side and stop exactly what they started. TAP."""
import json, os, shlex, shutil, signal, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(os.environ.get("NITROSEAL_BUILD", os.path.join(ROOT, "build")), "bin")
CLI = os.path.join(BIN, "nitroseal")
PARTS = ["nitroseal-nsm", "nitroseal-kms", "vsock-proxy", "nitroseald"]
count = bad = 0


def check(good, name, *detail):
    global count, bad
    count += 1
    bad += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        for d in detail:
            for line in str(d).splitlines() or [""]:
                print("#   " + line)


BASE = {k: v for k, v in os.environ.items() if not k.startswith(("NITROSEAL_", "AWS_", "KMS_", "LC_", "LANG", "VSOCK_"))}


def run(*argv, env=None, stdin=""):
    p = subprocess.run([CLI, *argv], env={**BASE, **(env or {})}, input=stdin, capture_output=True, text=True, timeout=90)
    return p.returncode, p.stdout, p.stderr


def exports(text):
    """What a shell would have after eval."""
    return dict(shlex.split(line)[1].split("=", 1) for line in text.splitlines())


def status(state):
    code, out, _ = run("local", "status", "--state", state, "--json")
    return code, json.loads(out)


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(question, seconds=60):
    end = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.02)
    return answer


def works(env, name):
    code, out, err = run("encrypt", "--", "Hello", env=env)
    check(code == 0, f"{name}: encrypt", code, err)
    code, text, err = run("decrypt", env=env, stdin=out)
    check((code, text) == (0, "Hello"), f"{name}: decrypt", code, err)
    return out


def first_stack(state):
    start = time.monotonic()
    code, out, err = run("local", "up", "--state", state)
    took = time.monotonic() - start
    check(code == 0 and err == "", "up", code, err)
    print(f"# up took {took:.2f} s")
    env = exports(out)
    check(set(env) == {"NITROSEAL_VSOCK", "NITROSEAL_CID", "NITROSEAL_ROOT_FILE", "AWS_ENDPOINT_URL_KMS", "AWS_CA_BUNDLE",
                       "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION", "KMS_KEY_ID"},
          "what is exported", env)
    check(os.stat(state).st_mode & 0o777 == 0o700, "the state folder is 0700")
    loose = [p for d, _, fs in os.walk(state) for f in fs if os.lstat(p := os.path.join(d, f)).st_mode & 0o077
             and not f.endswith(".pem") and f != "port"]
    check(not loose, "no file but certificates and the port is for others", loose)
    sealed = works(env, "from the printed variables")
    code, out, err = run("attest", env={**env, "NITROSEAL_CID": "99"})
    check(code == 2 and out == "" and err.count("\n") == 1 and "--pcr" in err and "--any-image" in err,
          "attest without an image to expect: usage, before anything is asked", code, out, err)
    code, out, err = run("attest", "--any-image", env=env)
    check(code == 0 and "compared with nothing" in out and "as expected" not in out, "attest of any image says so", code, out, err)
    code, out, err = run("attest", "--any-image", "--json", env=env)
    check(code == 0 and "test root" in err, "attest, and the warning about the test root", code, err)
    check(json.loads(out)["pcrs_compared"] is False, "and in JSON that PCRs were not compared", out)
    pcr0 = json.loads(out)["pcrs"]["PCR0"]
    code, out, err = run("attest", "--pcr", "0=" + pcr0, env=env)
    check(code == 0 and "as expected" in out and "compared with nothing" not in out, "attest with PCR0 given", out, err)
    code, out, err = run("attest", "--pcr", "0=" + pcr0, "--json", env=env)
    check(code == 0 and json.loads(out)["pcrs_compared"] is True, "and in JSON", out, err)
    code, out, err = run("attest", "--any-image", env={k: v for k, v in env.items() if k != "NITROSEAL_ROOT_FILE"})
    check(code == 5 and "root" in err, "attest under AWS's root refuses the local one: 5", code, err)
    code, out, err = run("local", "up", "--state", state)
    check(code == 0 and exports(out) == env and "runs already" in err, "up again says so and prints the same", err)
    code, said = status(state)
    check(code == 0 and said["state"] == "ready" and [p["name"] for p in said["parts"]] == PARTS and
          all(p["state"] == "running" and alive(p["pid"]) and p["crashes"] == 0 for p in said["parts"]), "status", said)
    return env, sealed


def plain_calls(state, env, sealed):
    blob = dict(l.split("=", 1) for l in sealed.splitlines())["CIPHERTEXT_BLOB"]
    code, out, err = run("local", "kms", "--state", state, "Decrypt", json.dumps({"CiphertextBlob": blob}))
    check(code == 4 and out == "" and "AccessDeniedException" in err, "Decrypt without attestation is refused: 4", code, err)
    code, out, err = run("local", "kms", "--state", state, "--admin", "Decrypt", json.dumps({"CiphertextBlob": blob}))
    check(code == 4, "the administrator may not use the key either", code, err)
    code, out, err = run("local", "kms", "--state", state, "ListKeys")
    check(code == 0 and json.loads(out)["Keys"][0]["KeyArn"] == env["KMS_KEY_ID"], "ListKeys", code, out, err)
    code, out, err = run("local", "kms", "--state", state, "GetKeyPolicy",
                         json.dumps({"KeyId": env["KMS_KEY_ID"], "PolicyName": "default"}))
    check(code == 0 and "kms:RecipientAttestation:PCR0" in out, "GetKeyPolicy", code, err)
    code, out, err = run("local", "kms", "--state", state, "Nope")
    check(code == 4 and "kms: UnknownOperationException (KMS request " in err, "an unknown operation: 4", code, err)


def side_by_side(first, second, env):
    code, out, err = run("local", "up", "--state", second, "--cid", "21", "--region", "eu-central-1", "--json")
    check(code == 0, "a second stack beside it, --json", code, err)
    other = json.loads(out)
    check(other["AWS_REGION"] == "eu-central-1" and other["NITROSEAL_CID"] == "21" and other["KMS_KEY_ID"] != env["KMS_KEY_ID"],
          "its own region, CID and key", other)
    works(other, "second stack")
    works(env, "first stack meanwhile")
    code, sealed, _ = run("encrypt", "x", env=env)
    code, out, err = run("decrypt", env=other, stdin=sealed)
    check(code == 4, "the second KMS does not know the first one's data key: 4", code, err)
    pids = [p["pid"] for p in status(second)[1]["parts"]]
    code, out, err = run("local", "down", "--state", second)
    check(code == 0 and not any(map(alive, pids)), "down stops the second", code, err)
    works(env, "first stack after that")
    check(run("local", "status", "--state", second)[0] == 1, "status of a stopped stack: 1")
    check(run("local", "down", "--state", second)[0] == 0, "down again is no failure")


def crash(state, env):
    for i, name in enumerate(PARTS):
        pid = status(state)[1]["parts"][i]["pid"]
        os.kill(pid, signal.SIGKILL)
        again = until(lambda: (p := status(state)[1]["parts"][i])["state"] == "running" and p["pid"] not in (0, pid) and p)
        check(bool(again) and again["crashes"] == 1 and again["last_signal"] == 9, f"{name} killed: started again, counted", again)
        code, out, err = run("local", "status", "--state", state)
        check(code == 1 and "crashed" in err and ".log" in err, f"{name} killed: status 1, names the log", code, err)
        ok = until(lambda: run("encrypt", "x", env=env)[0] == 0)
        check(ok, f"{name} killed: works again, with the same variables", run("encrypt", "x", env=env))
    pid = status(state)[1]["parts"][2]["pid"]
    os.kill(pid, signal.SIGKILL)
    down = until(lambda: status(state)[1]["parts"][2]["state"] == "crashed")
    time.sleep(0.5)
    part = status(state)[1]["parts"][2]
    check(down and part["pid"] == 0 and part["crashes"] == 2, "killed a second time: left down", part)
    code, out, err = run("local", "status", "--state", state)
    check(code == 1 and PARTS[2] in err and "is down" in err, "status names the part that is down, not one that runs again", code, err)
    code, out, err = run("local", "up", "--state", state)
    check(code == 1 and out == "" and PARTS[2] in err, "up does not call that running", code, out, err)


def again(state, env, sealed):
    pids = [p["pid"] for p in status(state)[1]["parts"]]
    supervisor = status(state)[1]["supervisor_pid"]
    os.kill(supervisor, signal.SIGKILL)
    check(until(lambda: not any(map(alive, [p for p in pids if p]))), "supervisor killed: its parts die with it", pids)
    check(run("local", "status", "--state", state)[0] == 1, "supervisor killed: status 1")
    code, out, err = run("local", "up", "--state", state)
    env2 = exports(out)
    check(code == 0 and env2["KMS_KEY_ID"] == env["KMS_KEY_ID"] and env2["AWS_ACCESS_KEY_ID"] == env["AWS_ACCESS_KEY_ID"],
          "up after that: same key, same credentials", code, err)
    code, text, err = run("decrypt", env=env2, stdin=sealed)
    check((code, text) == (0, "Hello"), "what was encrypted before is readable", code, err)
    pids = [p["pid"] for p in status(state)[1]["parts"]] + [status(state)[1]["supervisor_pid"]]
    code, out, err = run("local", "down", "--state", state)
    check(code == 0 and not any(map(alive, pids)), "down: all are gone when it returns", code, err)


def leftovers(state):
    """Parts that outlive their supervisor all the same (here: stopped, so that they miss its death)."""
    run("local", "up", "--state", state)
    _, said = status(state)
    nsm = said["parts"][0]["pid"]
    os.kill(nsm, signal.SIGSTOP)
    os.kill(said["supervisor_pid"], signal.SIGKILL)
    until(lambda: not alive(said["parts"][3]["pid"]))
    check(alive(nsm), "a stopped part is still there")
    code, out, err = run("local", "down", "--state", state)
    check(code == 0 and until(lambda: not alive(nsm)), "down ends it", code, err)
    # a pid of the state file that belongs to somebody else by now is left alone
    p = subprocess.Popen(["sleep", "60"])
    state_json = os.path.join(state, "state.json")
    part = lambda pid: {"name": "x", "process": {"pid": pid, "started": 1}, "state": "running", "since_ms": 0, "crashes": 0,
                        "last_status": 0, "last_signal": 0}
    json.dump({"supervisor": {"pid": p.pid, "started": 1}, "phase": "ready", "parts": [part(p.pid)] * 4, "exports": {}},
              open(state_json, "w"))
    check(run("local", "down", "--state", state)[0] == 0 and p.poll() is None, "a pid used again is left alone")
    p.kill()
    p.wait()


def foreground(state):
    p = subprocess.Popen([CLI, "local", "up", "--state", state, "--foreground"], env=BASE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    env = exports("\n".join(p.stdout.readline().rstrip("\n") for _ in range(10)))
    works(env, "in the foreground")
    p.send_signal(signal.SIGINT)
    check(p.wait(30) == 0, "SIGINT ends it: 0")
    check(run("local", "status", "--state", state)[0] == 1, "nothing runs after that")


def debug(state):
    code, out, err = run("local", "up", "--state", state, "--debug-mode")
    env = exports(out)
    code, out, err = run("encrypt", "x", env=env)
    check(code == 4 and "AccessDenied" in err, "debug mode: KMS refuses: 4", code, err)
    code, out, err = run("attest", "--any-image", env=env)
    check(code == 5 and "debug enclave" in err, "debug mode: attest refuses: 5", code, err)
    check(run("attest", "--allow-debug", env=env)[0] == 2, "debug mode: to allow it says nothing about the image")
    check(run("attest", "--any-image", "--allow-debug", env=env)[0] == 0, "debug mode: unless allowed")
    run("local", "down", "--state", state)


def faults(top):
    check(run("local")[0] == 2 and run("local", "nope")[0] == 2, "no or unknown command: usage")
    code, out, err = run("local", "up", "--state", top + "/" + "x" * 100)
    check(code == 7 and "too long" in err, "a folder too long for sockets: 7", code, err)
    check(run("local", "up", "--state", "/proc/nope")[0] == 6, "a folder that cannot be made: 6")
    for what in ("status", "down"):
        code, out, err = run("local", what, "--state", top + "/none")
        check(code == 6 and "nitroseal local up starts one" in err, f"{what} where nothing ever was: 6, and what to do", code, err)
    code, out, err = run("local", "up", "--state", top + "/q'uote $x", "--pcr", "0=12")
    check(code == 2 and "--pcr" in err, "a PCR that is none: usage", code, err)
    code, out, err = run("local", "up", "--state", top + "/q'uote $x")
    check(code == 0 and exports(out)["NITROSEAL_VSOCK"] == f"unix:{top}/q'uote $x/v", "a folder with a quote is quoted", err)
    sh = subprocess.run(["sh", "-c", out + 'printf %s "$NITROSEAL_VSOCK"'], capture_output=True, text=True)
    check(sh.stdout == f"unix:{top}/q'uote $x/v", "a shell reads it back", sh)
    run("local", "down", "--state", top + "/q'uote $x")


def main():
    top = tempfile.mkdtemp(prefix="nsl-")
    a, b = top + "/a", top + "/b"
    try:
        env, sealed = first_stack(a)
        plain_calls(a, env, sealed)
        side_by_side(a, b, env)
        crash(a, env)
        again(a, env, sealed)
        leftovers(a)
        foreground(a)
        debug(b)
        faults(top)
    finally:
        for d in (a, b, top + "/q'uote $x"):
            run("local", "down", "--state", d)
        shutil.rmtree(top, ignore_errors=True)
    print(f"1..{count}")
    return 1 if bad else 0


sys.exit(main())
