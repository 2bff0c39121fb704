#!/usr/bin/python3
"""nitroseal-nsm as a program, in TAP: its answers over the socket read by another CBOR reader, its documents verified by another
library, its files, its refusals. Usage: test_cli.py PROGRAM"""
import datetime, hashlib, json, os, shutil, signal, socket, stat, subprocess, sys, tempfile, time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

NSM = sys.argv[1]
ENV = {k: v for k, v in os.environ.items() if not k.startswith(("NITROSEAL_", "AWS_"))}
PCR = "--pcr=0=" + "a0" * 48
count = bad = 0


def check(good, name, *detail):
    global count, bad
    count += 1
    bad += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        for d in detail:
            print("#  ", str(d).replace("\n", "\n#   "))


# --- CBOR, as far as an NSM needs it

def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = 1 if n < 1 << 8 else 2 if n < 1 << 16 else 4 if n < 1 << 32 else 8
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + n.to_bytes(size, "big")


def dump(v):
    if v is None:
        return b"\xf6"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(dump, v))
    return head(5, len(v)) + b"".join(dump(k) + dump(w) for k, w in v.items())


def load(b):
    v, rest = item(b)
    assert not rest, "trailing bytes"
    return v


def item(b):
    major, info = b[0] >> 5, b[0] & 31
    if b[0] in (0xf4, 0xf5, 0xf6):
        return {0xf4: False, 0xf5: True, 0xf6: None}[b[0]], b[1:]
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    n, b = (int.from_bytes(b[1:1 + size], "big") if size else info), b[1 + size:]
    if major == 0:
        return n, b
    if major == 1:
        return -1 - n, b
    if major in (2, 3):
        return (b[:n] if major == 2 else b[:n].decode()), b[n:]
    out = [] if major == 4 else {}
    while b[0] != 0xff if info == 31 else len(out) < n:
        k, b = item(b)
        if major == 4:
            out.append(k)
            continue
        assert k not in out, "key twice"
        out[k], b = item(b)
    return out, b[1:] if info == 31 else b


# --- the program

class Nsm:
    def __init__(self, *options, state=None, env=None):
        self.dir = tempfile.mkdtemp(prefix="nitroseal-t-")
        self.state, self.path = state or self.dir + "/state", self.dir + "/run/nsm"
        self.log = open(self.dir + "/log", "w+")
        where = [] if env else ["--socket", self.path]
        self.p = subprocess.Popen([NSM, *where, "--state", self.state, *options], stderr=self.log, stdout=subprocess.DEVNULL,
                                  env={**ENV, **{k: v.replace("PATH", self.path) for k, v in (env or {}).items()}})
        end = time.monotonic() + 20
        while self.p.poll() is None and time.monotonic() < end:
            try:
                self.s = self.connect()
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(self.text())

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(20)
        s.connect(self.path)
        return s

    def text(self):
        return open(self.dir + "/log").read()

    def raw(self, request, s=None):
        s = s or self.s
        s.send(request)
        return s.recv(20000)

    def ask(self, request, s=None):
        return load(self.raw(dump(request), s))

    def document(self, **fields):
        rq = {"user_data": None, "nonce": None, "public_key": None, **fields}
        return self.ask({"Attestation": rq})["Attestation"]["document"]

    def root(self):
        with open(self.state + "/root.pem", "rb") as f:
            return x509.load_pem_x509_certificate(f.read())

    def stop(self, signo=signal.SIGTERM):
        self.s.close()
        self.p.send_signal(signo)
        status = self.p.wait(20)
        text = self.text()
        self.log.close()
        shutil.rmtree(self.dir)
        return status, text


def opened(document):
    """Payload and certificates (root first), after the COSE signature and each certificate's have been verified."""
    phdr, uhdr, payload, sig = load(document)
    doc = load(payload)
    chain = [x509.load_der_x509_certificate(c) for c in doc["cabundle"] + [doc["certificate"]]]
    for above, below in zip(chain, chain[1:]):
        assert below.issuer == above.subject
        above.public_key().verify(below.signature, below.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384()))
    assert uhdr == {} and load(phdr) == {1: -35} and len(sig) == 96
    der = utils.encode_dss_signature(int.from_bytes(sig[:48], "big"), int.from_bytes(sig[48:], "big"))
    chain[-1].public_key().verify(der, dump(["Signature1", phdr, b"", payload]), ec.ECDSA(hashes.SHA384()))
    return doc, chain


def measured(*parts):
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(parts)).digest()).digest()


def answers():
    n = Nsm(PCR, "--role-arn", "arn:aws:iam::111122223333:role/enclave-role")
    d = n.ask("DescribeNSM")["DescribeNSM"]
    check(d["max_pcrs"] == 32 and d["digest"] == "SHA384" and d["locked_pcrs"] == list(range(16)), "DescribeNSM", d)
    check(len(d["module_id"]) == 39 and d["module_id"].startswith("i-0123456789abcdef0-enc"), "module id as AWS's", d)
    check(n.ask({"DescribePCR": {"index": 0}}) == {"DescribePCR": {"lock": True, "data": b"\xa0" * 48}}, "DescribePCR")
    for index, text in (3, b"arn:aws:iam::111122223333:role/enclave-role"), (4, b"i-0123456789abcdef0"):
        want = hashlib.sha384(bytes(48) + text).digest()
        check(n.ask({"DescribePCR": {"index": index}})["DescribePCR"]["data"] == want, f"PCR{index}")
    extended = hashlib.sha384(bytes(48) + b"data").digest()
    check(n.ask({"ExtendPCR": {"index": 16, "data": b"data"}}) == {"ExtendPCR": {"data": extended}}, "ExtendPCR")
    check(n.ask({"LockPCR": {"index": 16}}) == "LockPCR", "LockPCR")
    check(n.ask({"ExtendPCR": {"index": 16, "data": b"data"}}) == {"Error": "ReadOnlyIndex"}, "ExtendPCR of a locked one")
    check(n.ask({"LockPCRs": {"range": 18}}) == "LockPCRs", "LockPCRs")
    check(n.ask({"LockPCRs": {"range": 33}}) == {"Error": "InvalidIndex"}, "LockPCRs past the end")
    random = n.raw(dump("GetRandom"))
    check(len(random) == 278 and random[19:22] == b"\x59\x01\x00" and random != n.raw(dump("GetRandom")), "GetRandom")
    check(load(n.raw(bytes(4096))) == {"Error": "InvalidOperation"}, "4096 bytes of nothing")
    check(load(n.raw(bytes(4097))) == {"Error": "InputTooLarge"}, "4097 bytes")
    check(load(n.raw(b"")) == {"Error": "InvalidOperation"}, "an empty packet")
    many = [n.connect() for _ in range(50)]
    check(all(n.ask("LockPCR" if i % 2 else "GetRandom", s) for i, s in enumerate(many)), "fifty clients")
    for s in many:
        s.close()
    check(stat.S_IMODE(os.stat(n.path).st_mode) == 0o600 and stat.S_IMODE(os.stat(n.dir + "/run").st_mode) == 0o700, "modes of socket")
    path = n.path
    status, text = n.stop()
    check(status == 0 and not os.path.exists(path), "SIGTERM: status 0, socket removed", status, text)
    check("protects nothing" in text and "root.pem" in text, "says at start what it is, and where its root is", text)


def documents():
    n = Nsm(PCR, "--pcr", "8=" + "a8" * 48, "--region", "eu-west-1")
    raw = n.document(nonce=b"n" * 32, public_key=b"")
    doc, chain = opened(raw)
    root = n.root()
    now = datetime.datetime.utcnow()
    check(chain[0] == root and len(chain) == 5, "five certificates, the root first")
    check(all(c.not_valid_before <= now <= c.not_valid_after for c in chain), "all valid now")
    check([len(c.public_bytes(x509.base.serialization.Encoding.DER)) <= 1024 for c in chain] == [True] * 5, "none over 1024 bytes")
    check(chain[-1].not_valid_after - chain[-1].not_valid_before == datetime.timedelta(hours=3, seconds=3), "leaf lives three hours")
    cn = [c.subject.rfc4514_string() for c in chain]
    check("CN=local.nitro-enclaves" in cn[0] and "O=Nitroseal" in cn[0] and ".eu-west-1.local" in cn[4], "names", cn)
    check(not any("Amazon" in c or "AWS" in c for c in cn), "nobody takes it for AWS's", cn)
    check(raw[0] == 0x84 and load(raw)[2][0] == 0xbf, "untagged, map of indefinite length")
    check(list(doc) == ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"], "order")
    check(doc["nonce"] == b"n" * 32 and doc["user_data"] is None and doc["public_key"] == b"", "fields given, empty and null")
    check(sorted(doc["pcrs"]) == list(range(16)) and doc["pcrs"][8] == b"\xa8" * 48, "PCRs")
    check(abs(doc["timestamp"] / 1000 - time.time()) < 60, "timestamp in milliseconds")
    full = n.document(user_data=bytes(1024), nonce=bytes(1024), public_key=bytes(1024))
    check(opened(full)[0]["nonce"] == bytes(1024), "1024 bytes in all three")
    rq = {"Attestation": {"user_data": bytes(1025), "nonce": None, "public_key": None}}
    check(n.ask(rq) == {"Error": "InvalidArgument"}, "1025 bytes in one")
    with open(n.dir + "/leaf.pem", "wb") as leaf, open(n.dir + "/chain.pem", "wb") as between:
        pem = [c.public_bytes(x509.base.serialization.Encoding.PEM) for c in chain]
        leaf.write(pem[4])
        between.write(b"".join(pem[1:4]))
    v = subprocess.run(["openssl", "verify", "-CAfile", n.state + "/root.pem", "-untrusted", n.dir + "/chain.pem",
                        n.dir + "/leaf.pem"], capture_output=True, text=True)
    check(v.returncode == 0, "openssl verify agrees", v.stdout, v.stderr)
    n.stop()


def variants():
    n = Nsm(PCR, "--pcr", "8=" + "a8" * 48, "--debug-mode", "--document", "definite", "--module-id", "mine", "--instance-id", "i-1")
    raw = n.document()
    doc, _ = opened(raw)
    check(load(raw)[2][0] == 0xa9, "map of definite length")
    check(all(doc["pcrs"][i] == bytes(48) for i in (0, 1, 2, 3, 8)), "debug mode: zeros")
    check(doc["pcrs"][4] == hashlib.sha384(bytes(48) + b"i-1").digest() and doc["module_id"] == "mine", "but not PCR4")
    n.stop()
    n = Nsm(PCR, "--expired-leaf")
    leaf = opened(n.document())[1][-1]
    check(leaf.not_valid_after < datetime.datetime.utcnow() - datetime.timedelta(hours=3), "expired leaf")
    n.stop()
    n = Nsm(PCR, env={"NITROSEAL_NSM": "unix:PATH"})
    check("DescribeNSM" in n.ask("DescribeNSM"), "socket from the environment")
    n.stop()


def kept():
    state = tempfile.mkdtemp(prefix="nitroseal-t-")
    first, second = Nsm(PCR, state=state), Nsm(PCR, state=state)
    check(opened(first.document())[1][0] == opened(second.document())[1][0], "two at once share a root")
    with open(state + "/pki.pem", "rb") as f:
        pem = f.read()
    check(stat.S_IMODE(os.stat(state + "/pki.pem").st_mode) == 0o600, "pki.pem is 0600")
    check(stat.S_IMODE(os.stat(state + "/root.pem").st_mode) == 0o644, "root.pem is 0644")
    check(pem.count(b"BEGIN PRIVATE KEY") == 4, "four authorities are kept")
    root = first.root()
    first.stop()
    second.stop(signal.SIGKILL)
    third = Nsm(PCR, state=state)
    check(opened(third.document())[1][0] == root and opened(third.document())[1][3] == x509.load_pem_x509_certificate(
        pem[pem.rindex(b"-----BEGIN CERT"):]), "same root and instance after a restart")
    third.stop()
    os.chmod(state + "/pki.pem", 0o640)
    refused(7, "pki.pem can be read by others", "--socket", state + "/s", "--state", state, PCR)
    os.chmod(state + "/pki.pem", 0o600)
    with open(state + "/pki.pem", "wb") as f:
        f.write(pem[:200])
    refused(7, "state not usable", "--socket", state + "/s", "--state", state, PCR)
    shutil.rmtree(state)


def refused(status, text, *args, env=None):
    p = subprocess.run([NSM, *args], capture_output=True, text=True, env={**ENV, **(env or {})}, timeout=60)
    check(p.returncode == status and text in p.stderr and not p.stdout, f"{text}: status {status}", p.returncode, p.stderr, p.stdout)


def refusals():
    where = ["--socket", "/nonexistent/s", "--state", "/tmp/nonexistent-state"]
    refused(2, "--socket PATH is missing", "--state", "/tmp", PCR)
    refused(2, "--state DIR is missing", "--socket", "/tmp/s", PCR)
    refused(2, "no image", *where)
    refused(2, "not unix:PATH", "--state", "/tmp", PCR, env={"NITROSEAL_NSM": "/dev/nsm"})
    refused(2, "PCR index is not a number from 0 to 31", *where, "--pcr", "32=00")
    refused(2, "PCR value is not 96 hexadecimal digits", *where, "--pcr", "0=00")
    refused(2, "PCR given twice", *where, PCR, PCR)
    refused(2, "only PCR 0, 1, 2 and 8 can be given", *where, "--pcr", "4=" + "00" * 48)
    refused(2, "neither indefinite nor definite", *where, PCR, "--document", "long")
    refused(2, "unexpected argument", *where, PCR, "more")
    refused(6, "cannot read /nonexistent", *where, "--kernel", "/nonexistent")
    refused(7, "state not usable", "--socket", "/tmp/s", "--state", "/dev/null/state", PCR)
    state = tempfile.mkdtemp(prefix="nitroseal-t-")
    at = ["--socket", state + "/s", "--state", state]
    refused(7, "region is not letters", *at, PCR, "--region", "us.east")
    refused(7, "too long together", *at, PCR, "--module-id", "m" * 60)
    refused(1, "path too long for a Unix socket", "--socket", "/tmp/" + "s" * 120, "--state", state, PCR)
    shutil.rmtree(state)
    p = subprocess.run([NSM, "--help"], capture_output=True, text=True)
    check(p.returncode == 0 and "--expired-leaf" in p.stdout and not p.stderr, "--help")
    p = subprocess.run([NSM, "--version"], capture_output=True, text=True)
    check(p.returncode == 0 and p.stdout.startswith("nitroseal-nsm "), "--version")


def printed(*args):
    p = subprocess.run([NSM, "--print-pcrs", *args], capture_output=True, text=True, env=ENV)
    return json.loads(p.stdout) if p.returncode == 0 else p


def measurements():
    d = tempfile.mkdtemp(prefix="nitroseal-t-")
    parts = {"kernel": b"KERNEL\n", "cmdline": b"console=ttyS0", "ramdisk0": b"RAMDISK0", "ramdisk1": b"RAMDISK1"}
    for name, content in parts.items():
        with open(os.path.join(d, name), "wb") as f:
            f.write(content)
    k, c, r0, r1 = parts.values()
    files = ["--kernel", d + "/kernel", "--cmdline", "console=ttyS0", "--ramdisk", d + "/ramdisk0"]
    want = {"PCR0": measured(k, c, r0, r1).hex(), "PCR1": measured(k, c, r0).hex(), "PCR2": measured(r1).hex()}
    check(printed(*files, "--ramdisk", d + "/ramdisk1") == want, "measures an image")
    # eif reference, section 3: the writer's own figure
    check(want["PCR0"].startswith("e24c6a3d9fbf7525"), "as the EIF rule has it")
    check(printed("--kernel", d + "/kernel", "--cmdline", d + "/cmdline", *files[4:], "--ramdisk", d + "/ramdisk1") == want,
          "command line from a file")
    check(printed(*files)["PCR2"] == measured().hex(), "one ramdisk")
    check(printed("--cmdline", "c", "--ramdisk", "/dev/null", "--ramdisk", d + "/ramdisk1") == {
        "PCR0": measured(b"c", r1).hex(), "PCR1": measured(b"c").hex(), "PCR2": measured(r1).hex()}, "no kernel")
    given = printed(*files, "--pcr", "0=" + "AB" * 48, "--pcr", "PCR8=" + "a8" * 48)
    check(given["PCR0"] == "ab" * 48 and given["PCR1"] == want["PCR1"] and given["PCR8"] == "a8" * 48, "given ones go first")
    shutil.rmtree(d)


for part in answers, documents, variants, kept, refusals, measurements:
    try:
        part()
    except Exception as e:  # a test that cannot go on is a failure with a name
        check(False, part.__name__, repr(e))
print(f"1..{count}")
sys.exit(bad > 0)
