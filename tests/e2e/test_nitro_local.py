"""nitro-local with real enclaves in QEMU: nitro-cli's JSON, codes and statuses; two at once; whatever dies, nothing stays."""
import fcntl, json, math, os, re, signal, socket, subprocess, sys, threading, time

import lib
from lib import check, until
import guest, handmade_eif

if why := guest.why_not():
    lib.skip_all(why)
AGENT = os.path.join(lib.BUILD, "tests", "guest", "guest_agent")
if lib.missing_programs(["nitro-local"]) or not os.access(AGENT, os.R_OK):
    lib.skip_all("nitro-local or the test agent is not built")
QEMU, KERNEL = os.path.realpath(guest.QEMU), os.path.realpath(guest.KERNEL)

DIR = lib.private_folder("nl-")
STATE, V = os.path.join(DIR, "s"), os.path.join(DIR, "v")
ALLOCATOR = os.path.join(DIR, "allocator.yaml")
ENV = {"NITROSEAL_QEMU": QEMU, "NITRO_CLI_SOCKETS_PATH": STATE, "NITRO_LOCAL_ALLOCATOR": ALLOCATOR, "NITROSEAL_VSOCK": "unix:" + V,
       "NITRO_LOCAL_BOOT_SECONDS": "60"}


class Image:
    """The test agent as init; `words` go to it on the kernel's command line."""

    def __init__(self, name, words):
        self.path = os.path.join(DIR, name)
        with open(AGENT, "rb") as agent, open(KERNEL, "rb") as kernel:
            parts = kernel.read(), f"{handmade_eif.TEST_CMDLINE} {words}", [handmade_eif.bootstrap(agent.read())]
        self.metadata = dict(handmade_eif.METADATA, ImageName="agent", ImageVersion="7", CustomMetadata={"owner": "tests"})
        with open(self.path, "wb") as f:
            f.write(handmade_eif.eif(*parts, self.metadata))
        self.pcrs, self.size = handmade_eif.pcrs(*parts), os.path.getsize(self.path)


def nl(*argv, env=None, name="nitro-local"):
    return lib.run(name, *argv, env={**ENV, **(env or {})}, timeout=150)


def allocator(memory=1024, cpus="cpu_count: 4"):
    with open(ALLOCATOR, "w") as f:
        f.write(f"---\nmemory_mib: {memory}\n{cpus}\n")


def processes():
    """What runs for this test: the supervisors and their QEMUs name its folder or its state."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().decode("utf-8", "replace")
        except OSError:
            continue
        if DIR in words and int(pid) != os.getpid():
            found[int(pid)] = words.split("\0")[0]
    return found


def leftovers():
    """Names of what should not be there when nothing runs."""
    enclaves = [n for n in os.listdir(STATE) if n.startswith("enc")] if os.path.isdir(STATE) else []
    sockets = [n for n in os.listdir(V) if n.endswith(".vsock")] if os.path.isdir(V) else []
    return enclaves + sockets + list(processes().values())


def nothing_left():
    """A process that has ended may be seen for a moment longer."""
    return until(lambda: not leftovers(), 20)


def end_all():
    nl("terminate-enclave", "--all")
    for pid in processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


lib.atexit.register(end_all)


def boot(*argv, env=None, tries=2):
    """run-enclave, once more if the boot alone failed (QEMU's emulation hangs now and then)."""
    for i in range(tries):
        status, out, err = nl("run-enclave", *argv, env=env)
        if status != 36:
            break
        print(f"# boot {i + 1} failed: {err.splitlines()[1:2]}")
    return status, out, err


def describe(*argv):
    status, out, err = nl("describe-enclaves", *argv)
    return json.loads(out)


def connect(cid, port):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(os.path.join(V, f"{cid}.vsock"))
    s.sendall(b"CONNECT %d\n" % port)
    line = b""
    while not line.endswith(b"\n"):
        c = s.recv(1)
        if not c:
            raise ConnectionRefusedError(port)
        line += c
    assert re.fullmatch(rb"OK \d+\n", line), line
    return s


def ask(cid, line):
    with connect(cid, 7000) as s:
        s.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            c = s.recv(4096)
            if not c:
                break
            answer += c
        return answer.decode().strip()


def serve(port, fn):
    path = os.path.join(V, f"3.vsock_{port}")
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(256)

    def accept():
        while True:
            c, _ = s.accept()
            threading.Thread(target=fn, args=(c,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def echo(c):
    try:
        while d := c.recv(1 << 18):
            c.sendall(d)
        c.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    c.close()


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def fails(code, argv, name, text="", env=None):
    status, out, err = nl(*argv, env=env)
    first = err.replace("Start allocating memory...\n", "")
    check(status == code and out.replace(console_greeting, "") == "" and first.startswith(f"[ E{code:02d} ] ") and text in first
          and f"cli-errors.html#E{code:02d}" in err and 'error log found at "' in err, f"E{code:02d}: {name}", status, out, err)
    return err


console_greeting = ""

# --- images --------------------------------------------------------------------------------------------------------

allocator()
app, mute = Image("app.eif", "say=tick"), Image("mute.eif", "noheartbeat")

status, out, err = nl("describe-eif", "--eif-path", app.path)
d = json.loads(out)
check(status == 0 and err == "" and list(d) == ["EifVersion", "Measurements", "IsSigned", "CheckCRC", "ImageName", "ImageVersion", "Metadata"],
      "describe-eif: members in order", status, out, err)
check(d["EifVersion"] == 4 and d["Measurements"] == {"HashAlgorithm": "Sha384 { ... }", **app.pcrs} and d["IsSigned"] is False
      and d["CheckCRC"] is True and d["ImageName"] == "agent" and d["ImageVersion"] == "7"
      and d["Metadata"] == {**app.metadata["BuildMetadata"], "DockerInfo": None, "owner": "tests"}, "describe-eif: values", out)
check(out == json.dumps(d, indent=2) + "\n", "JSON is printed with two blanks a level", out)
status, out, err = nl("pcr", "--input", KERNEL)
check(status == 0 and json.loads(out) == {"PCR": handmade_eif.extended(open(KERNEL, "rb").read())}, "pcr --input", out, err)


def openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


key, cert, old, other = (os.path.join(DIR, n) for n in ("key.pem", "cert.pem", "old.pem", "other.pem"))
for k in (key, other):
    openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", k)
openssl("req", "-new", "-x509", "-key", key, "-out", cert, "-days", "3", "-subj", "/CN=tests")
openssl("req", "-new", "-key", key, "-out", os.path.join(DIR, "csr.pem"), "-subj", "/CN=tests")
openssl("x509", "-req", "-in", os.path.join(DIR, "csr.pem"), "-signkey", key, "-days", "-1", "-out", old)
der = subprocess.run(["openssl", "x509", "-in", cert, "-outform", "DER"], capture_output=True).stdout
status, out, err = nl("pcr", "--signing-certificate", cert)
check(status == 0 and json.loads(out) == {"PCR8": handmade_eif.extended(der)}, "pcr --signing-certificate", out, err)
signed = os.path.join(DIR, "signed.eif")
with open(app.path, "rb") as a, open(signed, "wb") as b:
    b.write(a.read())
fails(60, ["sign-eif", "--eif-path", signed, "--signing-certificate", cert, "--private-key", other], "a key of another certificate")
fails(60, ["sign-eif", "--eif-path", signed, "--signing-certificate", cert, "--private-key",
           "arn:aws:kms:us-east-1:111122223333:key/1"], "a key in KMS", "--to-be-signed")
status, out, err = nl("sign-eif", "--eif-path", signed, "--signing-certificate", old, "--private-key", key)
check(status == 0 and err == "Enclave Image successfully signed.\n" and list(json.loads(out)["Measurements"])
      == ["HashAlgorithm", "PCR0", "PCR1", "PCR2", "PCR8"], "sign-eif", status, out, err)

root = os.path.join(DIR, "root")
os.makedirs(os.path.join(root, "bin"))
with open(AGENT, "rb") as a, open(os.path.join(root, "bin", "agent"), "wb") as b:
    b.write(a.read())
os.chmod(b.name, 0o755)
packed = os.path.join(DIR, "packed.eif")
BUILD = ["build-enclave", "--output-file", packed]
HERE = {"NITROSEAL_KERNEL": KERNEL}
status, out, err = nl(*BUILD, "--docker-uri", "dir:" + root, "--entrypoint", "/bin/agent", "--name", "packed", "--version", "9", env=HERE)
check(status == 0 and err == "Start building the Enclave Image...\nEnclave Image successfully created.\n"
      and list(json.loads(out)["Measurements"]) == ["HashAlgorithm", "PCR0", "PCR1", "PCR2"], "build-enclave from a folder", status, out, err)
described = json.loads(nl("describe-eif", "--eif-path", packed)[1])
check(described["Measurements"] == json.loads(out)["Measurements"] and (described["ImageName"], described["ImageVersion"]) == ("packed", "9"),
      "describe-eif says the same", described)
status, out, err = nl(*BUILD, "--docker-uri", "dir:" + root, "--entrypoint", "/bin/agent", "--signing-certificate", cert, "--private-key", key, env=HERE)
check(status == 0 and list(json.loads(out)["Measurements"])[-1] == "PCR8", "build-enclave signs", status, out, err)
for code, uri, text, name in ((50, "hello-world:latest", "oci-archive:FILE", "an image to pull"), (19, "oci-archive:" + DIR + "/none", "none", "no such archive"),
                              (48, "oci-archive:" + app.path, "app.eif", "an archive that is none"), (48, "dir:" + root, "", "a folder without a program to start")):
    status, out, err = nl(*BUILD, "--docker-uri", uri, env=HERE)
    check(status == code and out == "" and f"[ E{code} ] " in err and text in err, f"build-enclave: E{code}: {name}", status, out, err)
fails(49, [*BUILD, "--docker-uri", "x", "--docker-dir", DIR], "a Dockerfile", "buildah")

# --- what is refused -----------------------------------------------------------------------------------------------


def run_args(path=app.path, memory="64", cpus=("--cpu-count", "1"), more=()):
    return ["run-enclave", "--eif-path", path, "--memory", memory, *cpus, *more]


for argv, name in ((["run-enclave"], "nothing given"), (["build-enclave"], "what shall be built?"), (["run-enclave", "--eif-path", "x", "--memory", "64"], "no CPUs"),
                   (run_args(more=["--cpu-ids", "1"]), "count and ids"), (["terminate-enclave"], "which one?"),
                   (["terminate-enclave", "--all", "--enclave-name", "x"], "two at once"), (["console"], "whose?"), (["nonsense"], "no command"),
                   (run_args(more=["--frob"]), "no such option"), (run_args(more=["--config", "x"]), "--config and others")):
    status, out, err = nl(*argv)
    check(status == 2 and out == "" and err.count("\n") == 1, f"usage: {name}", status, out, err)
fails(3, run_args(memory="64K"), "another unit of memory", "64K")
for cid in ("1", "2", "3", "4294967295", "4294967296", "x"):
    fails(3, run_args(more=["--enclave-cid", cid]), f"CID {cid}")
fails(19, run_args(DIR + "/none.eif"), "no such image", "none.eif")
fails(22, run_args(cpus=("--cpu-count", "5")), "more CPUs than the pool has")
allocator(cpus="cpu_pool: 2,6-7")
fails(21, run_args(cpus=("--cpu-ids", "2", "3")), "a CPU that is not in the pool", "CPU 3")
fails(20, run_args(cpus=("--cpu-ids", "2", "2")), "a CPU twice")
allocator()
need = -(-4 * app.size // (1 << 20))
fails(26, run_args(memory=str(need - 1)), "four times the image", f"At least {need} MiB")
fails(29, run_args(memory="62"), "less than the driver's minimum", "64 MiB")
allocator(memory=100)
fails(27, run_args(memory="102"), "more than is reserved", "100 MiB")
allocator()
with open(DIR + "/bad.eif", "wb") as f:
    f.write(open(app.path, "rb").read()[:-1])
fails(35, run_args(DIR + "/bad.eif"), "an image that was cut")
fails(59, run_args(signed), "a certificate that is over", "certificate")
fails(19, run_args(), "no QEMU", "tools/build-qemu", env={"NITROSEAL_QEMU": DIR + "/none"})
fails(19, run_args(), "a QEMU without the machine", "nitro-enclave", env={"NITROSEAL_QEMU": "/bin/true"})
with open(ALLOCATOR, "w") as f:
    f.write("---\nmemory_mib: 64\nfrob: 1\n")
fails(19, run_args(), "an allocator.yaml that its service would not take", "allocator.yaml")
allocator()
fails(11, ["terminate-enclave", "--enclave-id", "i-0-enc1"], "no such id")
fails(58, ["terminate-enclave", "--enclave-name", "nobody"], "no such name")
fails(11, ["console", "--enclave-id", "i-0-enc1"], "the console of nobody")
config = DIR + "/config.json"
for code, text, name in ((1, {"eif_path": "x", "memory_mib": 64}, "no CPUs in the configuration"),
                         (1, {"memory_mib": 64, "cpu_count": 1}, "no image in it"),
                         (2, {"eif_path": "x", "memory_mib": 64, "cpu_count": 1, "cpu_ids": [1]}, "both in it"),
                         (3, {"eif_path": "x", "memory_mib": "64", "cpu_count": 1}, "a text for a number in it"),
                         (3, "{", "no JSON")):
    with open(config, "w") as f:
        f.write(text if isinstance(text, str) else json.dumps(text))
    fails(code, ["run-enclave", "--config", config], name)
fails(3, run_args(), "AF_VSOCK for QEMU", "unix:DIR", env={"NITROSEAL_VSOCK": "kernel"})
loose = DIR + "/loose"
os.mkdir(loose)
os.chmod(loose, 0o755)
fails(7, ["describe-enclaves"], "a state folder that is open to others", "0700", env={"NITRO_CLI_SOCKETS_PATH": loose})
status, out, err = nl("explain", "--error-code", "E26")
check(status == 0 and out == "" and err.startswith("E26: ") and "four times" in err, "explain", status, out, err)
fails(3, ["explain", "--error-code", "E61"], "explain what is no code")
status, out, err = nl("describe-enclaves")
check((status, out, err) == (0, "[]\n", ""), "nothing runs: an empty array", status, out, err)
status, out, err = nl("terminate-enclave", "--all")
check((status, out, err) == (0, "[]\n", ""), "nothing to terminate", status, out, err)
err = fails(26, run_args(memory="1"), "with a backtrace", env={"BACKTRACE": "1"})
check("Action: Run Enclave" in err and "Root error file: " in err and "Version: " in err, "BACKTRACE=1", err)
check(leftovers() == [], "refusals leave nothing behind", leftovers())

# --- two at once, as nitro-cli -------------------------------------------------------------------------------------

os.symlink(os.path.realpath(os.path.join(lib.BIN, "nitro-local")), DIR + "/nitro-cli")
results = [None, None]


def start(i, argv):
    results[i] = boot(*argv)


boot_s = time.monotonic()
threads = [threading.Thread(target=start, args=(0, run_args(more=["--debug-mode"])[1:])),
           threading.Thread(target=start, args=(1, run_args(cpus=("--cpu-ids", "3"))[1:]))]
for t in threads:
    t.start()
for t in threads:
    t.join()
boot_s = time.monotonic() - boot_s  # on this machine, now
check(all(r[0] == 0 for r in results), "two run-enclave at the same moment", results)
if results[0][0] or results[1][0]:
    lib.plan()
started = [json.loads(r[1]) for r in results]
keys = ["EnclaveName", "EnclaveID", "ProcessID", "EnclaveCID", "NumberOfCPUs", "CPUIDs", "MemoryMiB"]
check(all(list(s) == keys for s in started), "run-enclave: members in order", started)
check(sorted(s["EnclaveName"] for s in started) == ["app", "app_1"] and sorted(s["EnclaveCID"] for s in started) == [16, 17],
      "names and CIDs", started)
check(started[1]["CPUIDs"] == [3] and len(started[0]["CPUIDs"]) == 1 and started[0]["CPUIDs"] != [3]
      and all(s["MemoryMiB"] == 64 and s["NumberOfCPUs"] == 1 for s in started), "CPUs and memory", started)
check(all(re.fullmatch(r"i-[0-9a-f]+-enc[0-9a-f]{16}", s["EnclaveID"]) for s in started), "ids", started)
first = started[0]
err = results[0][2].splitlines()
check(err[0] == "Start allocating memory..." and
      f"Started enclave with enclave-cid: {first['EnclaveCID']}, memory: 64 MiB, cpu-ids: {first['CPUIDs']}" in err
      and f"nitro-local: vsock sockets are in {V}" in err, "run-enclave: stderr", results[0][2])
p = subprocess.run([DIR + "/nitro-cli", "describe-enclaves", "--metadata"], capture_output=True, text=True, env={**lib.CLEAN, **ENV})
listed = {e["EnclaveName"]: e for e in json.loads(p.stdout)}
check(p.returncode == 0 and p.stdout == json.dumps(json.loads(p.stdout), indent=2) + "\n" and len(listed) == 2, "nitro-cli describe-enclaves",
      p.stdout, p.stderr)
e = listed[first["EnclaveName"]]
check(list(e) == keys + ["State", "Flags", "Measurements", "ImageName", "ImageVersion", "Metadata"] and {k: e[k] for k in keys} == first
      and e["State"] == "RUNNING" and e["Flags"] == "DEBUG_MODE" and e["Measurements"] == {"HashAlgorithm": "Sha384 { ... }", **app.pcrs}
      and e["ImageName"] == "agent" and e["Metadata"]["owner"] == "tests", "describe-enclaves, member by member", e)
check(listed[started[1]["EnclaveName"]]["Flags"] == "NONE" and "ImageName" not in describe()[0], "flags; no metadata unless asked for")
CID, CID2 = first["EnclaveCID"], started[1]["EnclaveCID"]
check([ask(CID, f"pcr {n}") for n in range(3)] == list(app.pcrs.values()), "the PCRs inside are those of the file")

# --- vsock ---------------------------------------------------------------------------------------------------------

serve(6000, echo)
check(ask(CID, "echo 3 6000 67108864").startswith("ok 67108864"), "64 MiB: the guest connects to CID 3, and half-closes")
check(ask(CID2, "echo 2 6000 100000").startswith("ok 100000"), "the other guest, to CID 2")
check(all(re.fullmatch(r"errno 104 \d{1,3}", ask(CID, f"dial {cid} 6999")) for cid in (3, 2, 17, 99)), "nobody listens: reset at once")
try:
    connect(CID, 6999)
    check(False, "a port that nobody serves in the guest is refused")
except (ConnectionRefusedError, ConnectionResetError):
    check(True, "a port that nobody serves in the guest is refused")
data, got = os.urandom(1 << 20) * 64, bytearray()
with connect(CID, 5000) as s:
    t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    t.start()
    while d := s.recv(1 << 18):
        got += d
    t.join()
check(bytes(got) == data, "64 MiB: we connect, half-close, and all of it comes back", len(got))
many = [connect(CID, 5000) for _ in range(150)]
for i, s in enumerate(many):
    s.sendall(b"%06d" % i * 100)


def receive(s, n):
    d = b""
    while len(d) < n and (more := s.recv(n - len(d))):
        d += more
    return d


check(all(receive(s, 600) == b"%06d" % i * 100 for i, s in enumerate(many)), "150 connections at once, each with its own bytes")
for s in many:
    s.close()
held = []
serve(6001, held.append)  # never reads
pid = first["ProcessID"]
before = rss_kib(pid)
filled = [int(ask(CID, "fill 3 6001").split()[1]) for _ in range(3)]
deaf = connect(CID, 5001)
deaf.settimeout(2)
taken = 0
try:
    while taken < 64 << 20:
        taken += deaf.send(bytes(65536))
except TimeoutError:
    pass
check(all(f < 2 << 20 for f in filled) and taken < 8 << 20, "who does not read stops the other, either way", filled, taken)
check(rss_kib(pid) - before < 8192, "and our memory does not grow", before, rss_kib(pid))
check(ask(CID, "echo 3 6000 1000000").startswith("ok 1000000") and ask(CID2, "echo 3 6000 1000000").startswith("ok 1000000"),
      "and others do not feel it")
for c in held:
    c.close()
deaf.close()
for text in (b"CONNECT\n", b"CONNECT x\n", b"CONNECT 5000 \n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 40):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(os.path.join(V, f"{CID}.vsock"))
        s.sendall(text)
        try:
            bad = s.recv(10)
        except ConnectionResetError:
            bad = b""
        check(bad == b"", f"a greeting that is none: {text[:16]!r}", bad)
until(lambda: len(os.listdir(f"/proc/{pid}/fd")) < 40, what="descriptors are given back")

# --- console -------------------------------------------------------------------------------------------------------

status, out, err = nl("console", "--enclave-name", first["EnclaveName"], "--disconnect-timeout", "1")
lines = out.splitlines()
check(status == 0 and lines[:2] == [f"Connecting to the console for enclave {CID}...", "Successfully connected to the console."]
      and "agent: ready" in out and out.count("tick") > 3, "console: what was kept and what comes", status, out[-300:], err)
console_greeting = f"Connecting to the console for enclave {CID2}...\n"
fails(44, ["console", "--enclave-id", started[1]["EnclaveID"]], "no debug mode, no console", "--debug-mode")

# --- accounting, with the two that run -----------------------------------------------------------------------------

console_greeting = ""
fails(29, run_args(more=["--enclave-cid", str(CID)]), "a CID that is taken", "CID")
fails(29, run_args(cpus=("--cpu-ids", "3")), "a CPU that is taken", "CPU 3")
fails(29, run_args(cpus=("--cpu-count", "3")), "CPUs left", "2 CPUs left")
allocator(memory=190)
fails(27, run_args(memory="64"), "memory left", "62 are left")
allocator()


def pretend(slot):
    """One more enclave, as far as the accounting sees: its lock is held by us."""
    folder = os.path.join(STATE, slot)
    os.mkdir(folder, 0o700)
    lock = os.open(os.path.join(folder, "lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open(os.path.join(folder, "state.json"), "w") as f:
        json.dump({"EnclaveName": slot, "EnclaveID": "i-0-" + slot, "EnclaveCID": 900, "CPUIDs": [], "MemoryMiB": 64, "state": 1, "vsock": V,
                   "supervisor": {"pid": 0, "started": 0}, "qemu": {"pid": 0, "started": 0}, "debug": False,
                   "measurements": "{}", "metadata": ""}, f)
    return lock


locks = [pretend("enc1"), pretend("enc2")]
fails(29, run_args(), "a fifth enclave", "at most 4")
for lock in locks:
    os.close(lock)
check(len(describe()) == 2 and not os.path.exists(os.path.join(STATE, "enc1")), "what nobody holds is removed by the next command")

# --- ending --------------------------------------------------------------------------------------------------------

status, out, err = nl("terminate-enclave", "--enclave-id", started[1]["EnclaveID"])
check(status == 0 and err == f"Successfully terminated enclave {started[1]['EnclaveID']}.\n"
      and json.loads(out) == {"EnclaveName": started[1]["EnclaveName"], "EnclaveID": started[1]["EnclaveID"], "Terminated": True}
      and list(json.loads(out)) == ["EnclaveName", "EnclaveID", "Terminated"], "terminate-enclave", status, out, err)
check([d["EnclaveCID"] for d in describe()] == [CID] and not os.path.exists(os.path.join(V, f"{CID2}.vsock")), "the other one stays")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(n) for n in f.read().split()]


def gone(pids):
    def dead(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            return True
    return until(lambda: all(dead(p) for p in pids))


qemu = children(first["ProcessID"])
os.kill(first["ProcessID"], signal.SIGKILL)
check(len(qemu) == 1 and gone([first["ProcessID"], *qemu]), "kill -9 of the supervisor ends QEMU")
check(leftovers() != [] and describe() == [] and nothing_left(), "and the next command clears up", leftovers())

attached = subprocess.Popen([os.path.join(lib.BIN, "nitro-local"), *run_args(more=["--attach-console", "--enclave-name", "second"])],
                            env={**lib.CLEAN, **ENV}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
running = until(lambda: [e for e in describe() if e["State"] == "RUNNING"] or attached.poll() is not None, 100)
if attached.poll() is not None:
    check(False, "the second boot", attached.communicate())
    lib.plan()
out = ""
while (line := attached.stdout.readline()):  # the heartbeat comes before what the agent says
    out += line
    if "agent: ready" in line:
        break
qemu = children(running[0]["ProcessID"])
os.kill(qemu[0], signal.SIGKILL)
out, err = out + attached.stdout.read(), attached.stderr.read()
attached.wait(60)
check(gone([running[0]["ProcessID"], *qemu]) and describe() == [] and nothing_left(), "kill -9 of QEMU ends its supervisor, which clears up",
      leftovers())
check(attached.returncode == 0 and '"EnclaveName": "second"' in out and "agent: ready" in out and running[0]["Flags"] == "DEBUG_MODE",
      "--attach-console prints until the enclave ends", attached.returncode, out[-300:], err)

cli = subprocess.Popen([os.path.join(lib.BIN, "nitro-local"), *run_args(mute.path)], env={**lib.CLEAN, **ENV}, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
until(lambda: [p for p in processes().values() if "qemu" in p], what="QEMU of the mute enclave")
mine = [p for p in processes() if p != cli.pid]
check([e["State"] for e in describe()] == ["EMPTY"], "before its heartbeat it is EMPTY")
cli.kill()
cli.wait()
check(len(mine) == 2 and gone(mine) and describe() == [] and nothing_left(), "kill -9 of run-enclave while it waits ends all of it", leftovers())

start_s, limit_s = time.monotonic(), 2 + math.ceil(2 * boot_s)
err = fails(36, run_args(mute.path), "no heartbeat", "heartbeat", env={"NITRO_LOCAL_BOOT_SECONDS": str(limit_s)})
log = re.search(r'found at "([^"]+)"', err)[1]
took_s = time.monotonic() - start_s
check(limit_s <= took_s < limit_s + 45, f"after the {limit_s} s that were set", took_s)
check("agent: ready" in open(log).read() and nothing_left(), "its console is in the error log", log, leftovers())

with open(config, "w") as f:
    json.dump({"eif_path": app.path, "memory_mib": 65, "cpu_ids": [2, 4], "enclave_cid": 40, "enclave_name": "third", "debug_mode": True}, f)
status, out, err = boot("--config", config)
third = json.loads(out) if status == 0 else {}
check(status == 0 and third["EnclaveCID"] == 40 and third["CPUIDs"] == [2, 4] and third["MemoryMiB"] == 66 and third["EnclaveName"] == "third",
      "--config, two CPUs, memory in whole huge pages", status, out, err)
if status == 0:
    try:
        ask(40, "halt")
    except OSError:
        pass
    check(until(lambda: describe() == []) and gone([third["ProcessID"]]) and nothing_left(), "a guest that reboots has ended", leftovers())
status, out, err = nl("terminate-enclave", "--all")
check((status, out) == (0, "[]\n") and nothing_left(), "nothing is left", out, leftovers())
lib.plan()
