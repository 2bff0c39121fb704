#!/usr/bin/python3
"""nitroseal-kms as a server: people from YAML and their reload, requests signed in the query, development mode, given
certificates, plain HTTP, health and metrics, backup while it runs, an end that answers what has begun. TAP."""
import base64, datetime, json, os, re, signal, socket, sqlite3, ssl, stat, subprocess, threading, time

import kmslib, lib
from lib import check

if lib.missing_programs(["nitroseal-kms"]):
    lib.skip_all("nitroseal-kms is not built")

folder = lib.private_folder()
path = lambda *names: os.path.join(folder, *names)
admin = kmslib.admin_of()


def refuses(name, status, text, *argv):
    code, out, err = lib.run("nitroseal-kms", *argv)
    check(code == status and text in err and not out, name, code, out, err)


# --- people ----------------------------------------------------------------------------------------------------------

now = datetime.datetime.now(datetime.timezone.utc)
stamp = lambda seconds: (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
people = f"""# who may sign
users:
  - name: admin
    access_keys:
      - {{id: {admin.id}, secret: '{admin.secret}'}}
    policies:
      - {{Version: 2012-10-17, Statement: {{Effect: Allow, Action: 'kms:*', Resource: '*'}}}}
roles:
  - name: parent
    policies:
      - Version: 2012-10-17
        Statement:
          - {{Effect: Allow, Action: [kms:ListKeys, kms:GenerateRandom], Resource: '*'}}
    sessions:
      - {{name: i-0123, id: ASIAPARENT0000000000, secret: parents-secret, session_token: 'tok/en+1==', expires: {stamp(3600)}}}
      - {{name: i-0456, id: ASIAOLD0000000000000, secret: old-secret, session_token: old, expires: {stamp(-1)}}}
root:
  - access_keys: [{{id: AKIAROOT000000000000, secret: roots-secret}}]
"""
session = lib.Principal("x", "ASIAPARENT0000000000", "parents-secret", "tok/en+1==")
old = lib.Principal("x", "ASIAOLD0000000000000", "old-secret", "old")
root = lib.Principal("x", "AKIAROOT000000000000", "roots-secret")
yaml = path("people.yaml")
server = kmslib.Server(folder, principals=yaml, options=["--metrics", "127.0.0.1:0", "--explain"])
server.write(people)
server.start()
key = server.call(admin, "CreateKey")["KeyMetadata"]["KeyId"]
check(len(server.call(session, "ListKeys")["Keys"]) == 1, "a session of a role, by the role's policies")
kind, text = server.fault(session, "DescribeKey", KeyId=key)
check(kind == "AccessDeniedException" and "arn:aws:sts::111122223333:assumed-role/parent/i-0123" in text,
      "and no further", kind, text)
check(server.fault(old, "ListKeys") == ("ExpiredTokenException", "The security token included in the request is expired"),
      "a session that ended")
check(server.fault(lib.Principal("x", session.id, session.secret), "ListKeys")[0] == "UnrecognizedClientException",
      "a session without its token")
check(server.call(root, "DescribeKey", KeyId=key)["KeyMetadata"]["KeyId"] == key, "the root user")

# A bad file keeps the one from before and says where it is wrong.
for name, bad, why in (("an unknown key", people.replace("    sessions:", "    sesions:"), 'at=14'),
                       ("no YAML", people + "\n  - [", "not YAML"),
                       ("a policy that is none", people.replace("Effect: Allow, Action: 'kms:*'", "Effect: Perhaps, Action: 'kms:*'"), "at=7")):
    before = server.text().count("principals not read")
    server.write(bad)
    server.program.signal(signal.SIGHUP)
    lib.until(lambda: server.text().count("principals not read") > before, what="SIGHUP")
    line = [l for l in server.text().splitlines() if "principals not read" in l][-1]
    check(why in line and "those from before stay" in line, f"reload: {name} is refused with its line", line)
    check(server.fault(admin, "ListKeys")[0] == "", f"reload: {name}: those from before stay")
refuses("a start with a bad file", 7, "principals not read", "--state", path("other"), "--principals", yaml)
server.write(people.replace(session.secret, "another-secret"))
server.program.signal(signal.SIGHUP)
lib.until(lambda: "principals read" in server.text(), what="SIGHUP")
check(server.fault(session, "ListKeys")[0] == "InvalidSignatureException", "reload: a new secret counts at once")
server.write(people)
server.program.signal(signal.SIGHUP)
lib.until(lambda: server.fault(session, "ListKeys")[0] == "", what="SIGHUP")

# --- signed in the query ---------------------------------------------------------------------------------------------

status, answer = kmslib.presigned_call(server, admin, "DescribeKey", {"KeyId": key})
check(status == 200 and answer["KeyMetadata"]["KeyId"] == key, "a presigned request", status, answer)
status, answer = kmslib.presigned_call(server, session, "ListKeys", {})
check(status == 200, "a presigned request of a session", status, answer)
status, answer = kmslib.presigned_call(server, admin, "ListKeys", {}, now=now - datetime.timedelta(seconds=120), expires=60)
check(status == 400 and answer["__type"] == "InvalidSignatureException" and answer["message"].startswith("Signature expired: "),
      "a presigned request past its time", status, answer)
status, answer = kmslib.presigned_call(server, admin, "ListKeys", {}, expires=604801)
check(status == 400 and answer["__type"] == "IncompleteSignatureException", "more than a week is no time", status, answer)

# --- health and metrics ----------------------------------------------------------------------------------------------

metrics = int(open(os.path.join(server.state, "metrics-port")).read())
check(kmslib.get(server.port, "/healthz", server.kms.ca) == (200, "ok\n"), "/healthz where calls go")
check(kmslib.get(metrics, "/healthz") == (200, "ok\n"), "/healthz beside /metrics")
status, text = kmslib.get(metrics, "/metrics")
values = dict(re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([0-9.e+-]+)$", text, re.M))
check(status == 200 and values['nitroseal_kms_calls_total{operation="CreateKey",error=""}'] == "1" and
      int(values['nitroseal_kms_calls_total{operation="ListKeys",error="ExpiredTokenException"}']) == 1, "/metrics counts calls", text)
check(all(re.fullmatch(r'# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? [0-9.e+-]+', l)
          for l in text.splitlines()), "/metrics is in the text format", text)
check(kmslib.get(metrics, "/")[0] == 404, "nothing else is there")
check(kmslib.get(server.port, "/metrics", server.kms.ca)[0] == 400, "no metrics where calls go")

# --- backup ----------------------------------------------------------------------------------------------------------

stop = threading.Event()
made = []


def work():
    while not stop.is_set():
        made.append(server.call(admin, "CreateKey", Description="x" * 1000)["KeyMetadata"]["KeyId"])


workers = [threading.Thread(target=work, daemon=True) for _ in range(4)]
for w in workers:
    w.start()
lib.until(lambda: len(made) > 40)
there = set(made)
code, out, err = lib.run("nitroseal-kms", "backup", "--state", server.state, path("copy.db"))
check(code == 0 and "master.key" in err, "backup while four clients write", code, out, err)
lib.until(lambda: len(made) > 60)
stop.set()
for w in workers:
    w.join(30)
check(stat.S_IMODE(os.stat(path("copy.db")).st_mode) == 0o600, "the copy is its owner's only")
check(lib.run("nitroseal-kms", "backup", "--state", server.state, path("copy.db"))[0] == 1, "a file that is there is not written over")
copy = sqlite3.connect(path("copy.db"))
ids = {row[0] for row in copy.execute("SELECT id FROM keys")}
check(copy.execute("PRAGMA integrity_check").fetchone() == ("ok",) and there <= ids, "the copy is whole: every key acknowledged before is in it",
      len(there), len(ids))
copy.close()
blob = server.call(admin, "Encrypt", KeyId=key, Plaintext=base64.b64encode(b"text").decode())["CiphertextBlob"]
check(server.program.stop() == 0, "SIGTERM ends it with status 0")
restored = kmslib.Server(folder, principals=yaml, state="restored", log="restored.log")
lib.run("nitroseal-kms", "--state", restored.state, "--init")
subprocess.run(["cp", os.path.join(server.state, "master.key"), restored.state], check=True)
for name in os.listdir(restored.state):
    if name.startswith("keys.db"):
        os.unlink(os.path.join(restored.state, name))
os.rename(path("copy.db"), os.path.join(restored.state, "keys.db"))
restored.start()
check(base64.b64decode(restored.call(admin, "Decrypt", CiphertextBlob=blob)["Plaintext"]) == b"text", "a restored copy decrypts")
restored.program.stop()
code, out, err = lib.run("nitroseal-kms", "backup", "--state", server.state, path("cold.db"))
check(code == 0 and os.path.getsize(path("cold.db")) > 0, "backup of a folder that nobody uses", code, err)
refuses("backup of nothing", 1, "no keys.db", "backup", "--state", folder, path("none.db"))
refuses("backup without a file", 2, "", "backup", "--state", server.state)
os.chmod(os.path.join(server.state, "master.key"), 0o644)
refuses("a key file that others may read", 1, "others may read it", "--state", server.state, "--principals", yaml)
os.chmod(os.path.join(server.state, "master.key"), 0o600)

# --- given certificate -----------------------------------------------------------------------------------------------

subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kms.test", "-addext",
                "subjectAltName=DNS:kms.test,IP:127.0.0.1", "-keyout", path("own.key"), "-out", path("own.pem")], check=True, capture_output=True)
os.chmod(path("own.key"), 0o600)
server.options = ["--tls-cert", path("own.pem"), "--tls-key", path("own.key")]
server.start()
server.kms.ca = path("own.pem")
check(server.call(admin, "DescribeKey", KeyId=key)["KeyMetadata"]["KeyId"] == key, "a given certificate and key")
server.program.stop()
base = ["--state", path("other"), "--principals", yaml]
refuses("a certificate without a key", 2, "--tls-key is missing", *base, "--tls-cert", path("own.pem"))
refuses("the key of another certificate", 7, "no server certificate", *base, "--tls-cert", server.kms.ca, "--tls-key", yaml)
os.chmod(path("own.key"), 0o644)
refuses("a private key that others may read", 7, "others may read it", *base, "--tls-cert", path("own.pem"), "--tls-key", path("own.key"))

# --- plain HTTP, other addresses, development mode -------------------------------------------------------------------

refuses("plain HTTP elsewhere", 7, "--plain-http is for that only", *base, "--plain-http", "--any-address", "--listen", "0.0.0.0:0")
refuses("any credentials elsewhere", 7, "--accept-any-credentials is for that only", "--state", path("other"), "--accept-any-credentials",
        "--any-address", "--listen", "0.0.0.0:0")
refuses("another address", 7, "see --any-address", *base, "--listen", "0.0.0.0:0")
refuses("metrics elsewhere", 7, "--metrics refused", *base, "--metrics", "0.0.0.0:0")
server.options = ["--plain-http"]
server.start()
check(kmslib.plain_call(server.port, admin, "DescribeKey", KeyId=key)["KeyMetadata"]["KeyId"] == key, "plain HTTP on loopback")
check("PLAIN HTTP" in server.text(), "and the log says so loudly")
server.program.stop()
server.options = ["--any-address"]
server.listen = "0.0.0.0:0"
server.start()
check("LISTENING WHERE OTHERS CAN REACH IT" in server.text() and server.fault(admin, "ListKeys")[0] == "", "another address, said loudly")
server.program.stop()
server.listen = "127.0.0.1:0"
server.options = ["--accept-any-credentials"]
server.start()
stranger = lib.Principal("x", "anything", "whatever", "some token")
check(server.call(stranger, "DescribeKey", KeyId=key)["KeyMetadata"]["KeyId"] == key, "development mode: any credentials")
check("ACCEPTING ANY CREDENTIALS" in server.text() and 'trusting="ANY CREDENTIALS"' in server.text(), "and every line says so")
c = socket.create_connection(("127.0.0.1", server.port))
c.close()
check(kmslib.get(server.port, "/", server.kms.ca)[0] == 400, "but it is no open door for requests of no form")
server.program.stop()

# --- an end that answers what has begun ------------------------------------------------------------------------------

server.options = []
server.start()
body = json.dumps({"KeyId": key}).encode()
raw = kmslib.request_bytes(admin, server.port, "DescribeKey", body)


def begin(s):
    """A request whose end is missing has come: it was sent with one that is answered."""
    s.sendall(raw + raw[:-5])
    answer = b""
    while key.encode() not in answer:
        answer += s.recv(65536)


def let_in():
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=2).close()
        return True
    except OSError:
        return False


with server.tls() as begun, server.tls() as idle:
    begin(begun)
    server.program.signal(signal.SIGTERM)
    check(idle.recv(1) == b"", "an idle connection is ended")
    check(lib.until(lambda: not let_in(), seconds=4), "nobody else is let in")  # before a request that has begun is given up
    check(server.program.alive(), "it waits for a request that has begun")
    begun.sendall(raw[-5:])
    answer = b""
    while (piece := begun.recv(65536)):
        answer += piece
check("ending" in server.text() and "SIGTERM" in server.text(), "the log says what ends it")
check(answer.startswith(b"HTTP/1.1 200") and key.encode() in answer, "its answer comes", answer)
check(server.program.p.wait(30) == 0 and not os.path.exists(os.path.join(server.state, "port")), "and then it ends")
server.start()
with server.tls() as begun:
    begin(begun)
    began = time.monotonic()
    check(server.program.stop(60) == 0 and 3 < time.monotonic() - began < 25, "a request that never ends is waited for, but not long",
          time.monotonic() - began)

lib.plan()
