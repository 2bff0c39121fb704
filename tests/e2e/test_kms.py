#!/usr/bin/python3
"""nitroseal-kms from outside: its folder, its refusals to start, HTTPS with keep-alive and pipelining, reload, end,
and that whatever it acknowledged is there after kill -9. TAP."""
import base64, http.client, json, os, random, resource, signal, socket, ssl, stat, subprocess, threading, time

import lib
from lib import check

KILLS, CLIENTS, KEYS_KEPT_MIN = 6, 4, 20
MIB = 1 << 20

if lib.missing_programs(["nitroseal-kms"]):
    lib.skip_all("nitroseal-kms is not built")

folder = lib.private_folder()
state, principals_file, log = (os.path.join(folder, n) for n in ("kms", "principals.json", "log"))
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
admin = lib.Principal("admin", "AKIDADMINADMINADMIN0", base64.b64encode(os.urandom(30)).decode(), policies=[everything])
app = lib.Principal("app", "AKIDAPPAPPAPPAPPAPP0", base64.b64encode(os.urandom(30)).decode())


def write_principals(people, mode=0o600):
    with open(principals_file, "w") as f:
        json.dump([p.entry() for p in people], f)
    os.chmod(principals_file, mode)


def start(listen="127.0.0.1:0", *more):
    p = lib.Program("nitroseal-kms", ["--state", state, "--listen", listen, "--principals", principals_file,
                                      "--explain", *more], log=log)
    port = os.path.join(state, "port")
    lib.until(lambda: not p.alive() or os.path.exists(port), what="nitroseal-kms")
    if not p.alive():
        raise RuntimeError(p.text())
    return p, lib.Kms(state)


def refuses(name, status, text, *argv):
    code, out, err = lib.run("nitroseal-kms", *argv)
    check(code == status and text in err and not out, name, code, out, err)


def connect(kms):
    raw = socket.create_connection(("127.0.0.1", kms.port), timeout=20)
    return ssl.create_default_context(cafile=kms.ca).wrap_socket(raw, server_hostname="localhost")


def request(kms, who, operation, **params):
    body = json.dumps(params).encode()
    headers = lib.sign(who, f"localhost:{kms.port}", "TrentService." + operation, body)
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    return f"POST / HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answers(stream, n):
    """The JSON bodies of `n` responses on one stream."""
    f, out = stream.makefile("rb"), []
    for _ in range(n):
        status, length = f.readline(), 0
        while (line := f.readline().strip()):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        out.append((status.decode().strip(), f.read(length)))
    return out


def fault(function, *args, **kwargs):
    try:
        return "", function(*args, **kwargs)
    except lib.KmsError as e:
        return e.type, e.message


# --- starting ---------------------------------------------------------------------------------------------------------

write_principals([admin, app])
code, out, err = lib.run("nitroseal-kms", "--state", state, "--init")
modes = {n: stat.S_IMODE(os.stat(os.path.join(state, n)).st_mode) for n in os.listdir(state)}
check(code == 0 and "port" not in modes and modes["ca.pem"] == 0o644, "--init makes the folder and leaves", code, err, modes)
check(all(m == 0o600 for n, m in modes.items() if n != "ca.pem") and stat.S_IMODE(os.stat(state).st_mode) == 0o700,
      "nobody else reads the folder", modes)
base = ["--state", state, "--principals", principals_file]
refuses("an address that is not loopback", 7, "not a loopback address", *base, "--listen", "0.0.0.0:0")
refuses("no state", 2, "--state is missing", "--principals", principals_file)
refuses("an unknown form", 2, "--cms-form 'c'", *base, "--cms-form", "c")
refuses("a root that is no certificate", 7, "attestation root not read", *base, "--root", principals_file)
write_principals([admin, app], 0o644)
refuses("principals that others may read", 7, "principals not read", *base)
write_principals([admin, app])
refuses("a region that is none", 7, "settings refused", *base, "--region", "US East")

program, kms = start()
refuses("a second program in the same folder", 1, "another nitroseal-kms", *base)

# --- HTTPS ------------------------------------------------------------------------------------------------------------

key = kms.call(admin, "CreateKey", Description="first")["KeyMetadata"]["Arn"]
with connect(kms) as s:
    check(s.version() == "TLSv1.3", "TLS 1.3 under the local CA", s.version())
    s.sendall(b"".join(request(kms, admin, "GenerateRandom", NumberOfBytes=n) for n in range(1, 31)))
    got = answers(s, 30)
    sizes = [len(base64.b64decode(json.loads(body)["Plaintext"])) for status, body in got]
    check(sizes == list(range(1, 31)), "thirty pipelined requests are answered in order", got[:2])
    for piece in (request(kms, admin, "DescribeKey", KeyId=key)[i:i + 7] for i in range(0, 4096, 7)):
        s.sendall(piece)
    check(b'"first"' in answers(s, 1)[0][1], "a request in pieces on the same connection")
for name, raw, status in (
        ("garbage", b"\x00\x01garbage\r\n\r\n", "400"),
        ("two lengths", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        ("length and chunks", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "400"),
        ("a body past the limit", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n", "413")):
    with connect(kms) as s:
        s.sendall(raw)
        got = answers(s, 1)[0][0]
        check(status in got and s.recv(1) == b"", f"{name}: {status}, and the connection ends", got)
c = http.client.HTTPSConnection("127.0.0.1", kms.port, timeout=15, context=ssl.create_default_context(cafile=kms.ca))
c.request("GET", "/")
r = c.getresponse()
check(r.status == 400 and b"UnknownOperationException" in r.read(), "GET is no operation")
c.close()
with socket.create_connection(("127.0.0.1", kms.port), timeout=20) as s:
    s.sendall(b"POST / HTTP/1.1\r\n\r\n")
    check(s.recv(4096)[:1] in (b"", b"\x15"), "no plain HTTP")

idle = [connect(kms) for _ in range(100)]
began = time.monotonic()
kms.call(admin, "ListKeys")
check(time.monotonic() - began < 9, "a hundred idle connections delay nobody")
for s in idle:
    s.close()

# --- who may ----------------------------------------------------------------------------------------------------------

stranger = lib.Principal("stranger", "AKIDSTRANGER00000000", "x" * 40)
check(fault(kms.call, stranger, "ListKeys")[0] == "UnrecognizedClientException", "an unknown access key")
check(fault(kms.call, lib.Principal("admin", admin.id, "wrong"), "ListKeys")[0] == "InvalidSignatureException", "a wrong secret")
write_principals([admin, app, stranger])
program.signal(signal.SIGHUP)
lib.until(lambda: "principals read" in program.text(), what="SIGHUP")
check(fault(kms.call, stranger, "ListKeys")[0] == "AccessDeniedException", "SIGHUP reads the principals again")
with open(principals_file, "w") as f:
    f.write("{")
program.signal(signal.SIGHUP)
lib.until(lambda: "principals not read" in program.text(), what="SIGHUP")
check(kms.call(admin, "ListKeys")["Keys"] != [], "a broken list leaves the one from before")
write_principals([admin, app])
check(fault(kms.call, app, "DescribeKey", KeyId=key) == (
    "AccessDeniedException", f"User: {app.arn} is not authorized to perform: kms:DescribeKey on resource: {key} "
    "because no identity-based policy allows the kms:DescribeKey action"), "a refusal in KMS's words")
check("the caller has no identity policies" in program.text(), "--explain says why in the log")

# --- kill -9 ----------------------------------------------------------------------------------------------------------

kept, lock, stop = {}, threading.Lock(), threading.Event()


def worker(number):
    rng = random.Random(number)
    while not stop.is_set():
        try:
            arn = kms.call(admin, "CreateKey", Description=f"of {number}")["KeyMetadata"]["Arn"]
            text = base64.b64encode(rng.randbytes(20)).decode()
            blob = kms.call(admin, "Encrypt", KeyId=arn, Plaintext=text, EncryptionContext={"n": text})["CiphertextBlob"]
            # Only what was acknowledged counts.
            with lock:
                kept[arn] = [text, blob, None]
            policy = json.dumps({"Version": "2012-10-17", "Id": text, "Statement": everything_for(admin)})
            kms.call(admin, "PutKeyPolicy", KeyId=arn, PolicyName="default", Policy=policy)
            with lock:
                kept[arn][2] = policy
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            time.sleep(0.02)


def everything_for(who):
    return [{"Effect": "Allow", "Principal": {"AWS": who.arn}, "Action": "kms:*", "Resource": "*"}]


threads = [threading.Thread(target=worker, args=(n,), daemon=True) for n in range(CLIENTS)]
for t in threads:
    t.start()
for i in range(KILLS):
    until_next = len(kept) + KEYS_KEPT_MIN // KILLS + 1
    time.sleep(0.5)
    lib.until(lambda: len(kept) >= until_next)
    program.kill()
    os.unlink(os.path.join(state, "port"))
    program, kms = start(f"127.0.0.1:{kms.port}")
time.sleep(0.3)
stop.set()
for t in threads:
    t.join(30)
listed, marker = set(), {}
while True:
    page = kms.call(admin, "ListKeys", Limit=100, **marker)
    listed |= {k["KeyArn"] for k in page["Keys"]}
    if not page["Truncated"]:
        break
    marker = {"Marker": page["NextMarker"]}
check(len(kept) >= KEYS_KEPT_MIN and listed >= set(kept), f"{KILLS} kills: all {len(kept)} acknowledged keys are there")
bad = [arn for arn, (text, blob, policy) in kept.items()
       if kms.call(admin, "Decrypt", CiphertextBlob=blob, EncryptionContext={"n": text})["Plaintext"] != text]
check(not bad, "every ciphertext opens", bad)
bad = [arn for arn, (text, blob, policy) in kept.items()
       if policy and kms.call(admin, "GetKeyPolicy", KeyId=arn)["Policy"] != policy]
check(not bad, "every policy that was acknowledged is there", bad)

# --- a full disk ------------------------------------------------------------------------------------------------------

# No file of this one may grow any more, which to its database is a disk without room (SIGXFSZ is ignored, as in Python).
# Its log is a pipe, so that it can say so.
full = os.path.join(folder, "full")
p = subprocess.Popen([os.path.join(lib.BIN, "nitroseal-kms"), "--state", full, "--principals", principals_file], env=lib.CLEAN,
                     stderr=subprocess.PIPE, restore_signals=False)
lib.until(lambda: p.poll() is not None or os.path.exists(os.path.join(full, "port")), what="nitroseal-kms")
kms_full = lib.Kms(full)
first = kms_full.call(admin, "CreateKey")["KeyMetadata"]["Arn"]
resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (os.path.getsize(os.path.join(full, "keys.db-wal")), resource.RLIM_INFINITY))
policy = json.dumps({"Version": "2012-10-17", "Statement": everything_for(admin)})
said = [fault(kms_full.call, admin, "CreateKey"), fault(kms_full.call, admin, "PutKeyPolicy", KeyId=first, PolicyName="default", Policy=policy)]
check(said == [("KMSInternalException", "The key store could not be written.")] * 2, "a full disk: the client learns what failed", said)
check(len(kms_full.call(admin, "ListKeys")["Keys"]) == 1 and policy != kms_full.call(admin, "GetKeyPolicy", KeyId=first)["Policy"],
      "a full disk: nothing of it happened, and what is there can be read")
resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kms_full.call(admin, "CreateKey")
check(len(kms_full.call(admin, "ListKeys")["Keys"]) == 2, "room again: it works again")
p.send_signal(signal.SIGTERM)
lines = p.communicate(timeout=15)[1].decode().splitlines()
told = [line for line in lines if "KMSInternalException" in line]
check(p.returncode == 0 and len(told) == 2 and all('store="disk I/O error (SQLite result 778)"' in line for line in told),
      "a full disk: SQLite's own words are in the log", told or lines)

# --- the end ----------------------------------------------------------------------------------------------------------

with connect(kms) as s:
    s.sendall(request(kms, admin, "ListKeys"))
    answers(s, 1)
    check(program.stop() == 0, "SIGTERM ends it with an open connection")
check(not os.path.exists(os.path.join(state, "port")), "the port file goes with it")
text = open(log, "rb").read()
leaks = [s for s in (admin.secret, app.secret, *(v[0] for v in kept.values()), *(v[1] for v in kept.values())) if s.encode() in text]
check(not leaks and b"CreateKey" in text, "no secret, no plaintext, no ciphertext in the log", leaks[:3])

raw = b"".join(open(os.path.join(state, n), "rb").read() for n in os.listdir(state) if n.startswith("keys.db"))
master = open(os.path.join(state, "master.key"), "rb").read()
check(master not in raw and len(master) == 32, "the master key is not in the database")
os.rename(os.path.join(state, "master.key"), os.path.join(state, "elsewhere"))
refuses("without its master key the database is not opened, and no new key is made", 1, "master.key",
        "--state", state, "--listen", "127.0.0.1:0", "--principals", principals_file)
check(not os.path.exists(os.path.join(state, "master.key")), "nor left behind")
os.rename(os.path.join(state, "elsewhere"), os.path.join(state, "master.key"))
program, kms = start()
check(len(kms.call(admin, "Encrypt", KeyId=key, Plaintext="AA==")["CiphertextBlob"]) > 0, "with it everything is there again")
check(program.stop() == 0, "and ends")
lib.plan()
