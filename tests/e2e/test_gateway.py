#!/usr/bin/python3
"""`nitroseal gateway` in front of the real services, NSM, KMS and relay, with curl as client: texts and bytes, streams,
two enclaves of which one is killed under load, credentials that are replaced, nothing secret in its log. TAP."""
import base64, concurrent.futures, json, os, random, shutil, subprocess, threading, time

import lib
from gatewaylib import Gateway
from lib import check

BINARY = "application/octet-stream"
CIDS = (lib.CID, lib.CID + 1)


class Curl:
    """curl as a program on the parent would be used: (status, headers, body)."""

    def __init__(self, folder, gateway):
        self.dir, self.g = folder, gateway

    def __call__(self, path, *argv, stdin=b"", unix=False):
        head = os.path.join(self.dir, "head")
        where = ["--unix-socket", self.g.unix, "http://enclave" + path] if unix else [self.g.url(path)]
        p = subprocess.run(["curl", "-sS", "--max-time", "60", "-D", head, *argv, *where], input=stdin, capture_output=True, env=lib.CLEAN)
        if p.returncode != 0:
            return 0, {}, p.stderr
        with open(head) as f:
            text = f.read().replace("\r", "")
        lines = text[text.rindex("HTTP/"):].strip().split("\n")  # with the trailers, after an empty line
        return int(lines[0].split()[1]), {k.lower(): v for k, v in (x.split(": ", 1) for x in lines[1:] if x)}, p.stdout

    def json(self, path, value, **how):
        s, h, b = self(path, "-H", "Content-Type: application/json", "--data-binary", "@-", stdin=json.dumps(value).encode(), **how)
        return s, json.loads(b)


def texts(stack, curl):
    for unix in (False, True):
        s, a = curl.json("/v1/encrypt", {"message": "héllo 世界 through the gateway"}, unix=unix)
        check(s == 200 and a["key_id"] == stack.arn, f"encrypt {'over the Unix socket' if unix else 'over TCP'}, credentials not in the request", s, a)
    check(stack.decrypt(a).get("decrypted") == "héllo 世界 through the gateway", "the seed protocol opens it")
    s, b = curl.json("/v1/decrypt", {k: a[k] for k in ("encrypted", "signature", "ciphertext_blob")})
    check(s == 200 and b["decrypted"] == "héllo 世界 through the gateway" and b["signature_valid"] is True, "decrypt", s, b)
    mac = bytearray(base64.b64decode(a["signature"]))
    mac[0] ^= 1
    s, b = curl.json("/v1/decrypt", {**{k: a[k] for k in ("encrypted", "ciphertext_blob")}, "signature": base64.b64encode(mac).decode()})
    check(s == 422 and b["code"] == "signature_invalid", "a problem of the service comes through", s, b)
    s, b = curl.json("/v1/batch", {"items": [{"operation": "encrypt", "message": f"m{i}"} for i in range(20)]})
    check(s == 200 and len(b["results"]) == 20 and all("encrypted" in x for x in b["results"]), "a batch", s)
    s, b = curl.json("/v1/random", {"bytes": 64})
    check(s == 200 and len(base64.b64decode(b["random"])) == 64, "random bytes", s, b)
    s, h, b = curl("/v1/attestation?nonce=" + base64.urlsafe_b64encode(b"nonce of a client").decode().rstrip("="))
    check(s == 200 and b"nonce of a client" in base64.b64decode(json.loads(b)["document"]), "an attestation document over our nonce", s, b[:200])
    s, b = curl.json("/v1/encrypt", {"message": "x", "credentials": {"access_key_id": "AKIDNOBODY", "secret_access_key": "s"}})
    check(s == 403 and b["code"] == "kms_refused", "credentials in a request go before the gateway's", s, b)
    s, h, b = curl("/v1/credentials", "-X", "PUT", "--data", json.dumps(stack.app.seed()))
    check(s == 403 and json.loads(b)["code"] == "credentials_refused", "PUT /v1/credentials does not pass", s, b)


def bytes_(stack, curl):
    for size in (0, 1, 70_000, 12_000_000):  # the last with 100-continue, as curl does it
        data = random.Random(size).randbytes(size)
        s, h, sealed = curl("/v1/encrypt", "-H", "Content-Type: " + BINARY, "--data-binary", "@-", stdin=data)
        fields = ["-H", "Nitroseal-Signature: " + h.get("nitroseal-signature", ""), "-H", "Nitroseal-Ciphertext-Blob: " + h.get("nitroseal-ciphertext-blob", "")]
        check(s == 200 and len(sealed) == size + 28, f"encrypt {size} bytes", s, h, sealed[:300])
        s, h, back = curl("/v1/decrypt", "-H", "Content-Type: " + BINARY, *fields, "--data-binary", "@-", stdin=sealed)
        check(s == 200 and back == data, f"decrypt {size} bytes", s, back[:300])
        s, h, back = curl("/v1/decrypt", "-H", "Content-Type: " + BINARY, "-H", "Transfer-Encoding: chunked", *fields, "-X", "POST", "-T", "-", stdin=sealed)
        check(s == 200 and back == data, f"decrypt {size} bytes, uploaded in chunks", s, back[:300])
    s, h, b = curl("/v1/encrypt", "-H", "Content-Type: " + BINARY, "--data-binary", "@-", stdin=bytes(17 << 20))
    check(s == 413, "more than the service takes: 413", s, b[:200])


def stream(stack, curl, g):
    """A message as a stream: far more than a request may have, in constant memory."""
    plain = os.path.join(curl.dir, "plain")
    size = 96 << 20
    with open(plain, "wb") as f:
        block = random.Random(1).randbytes(1 << 20)
        for i in range(size >> 20):
            f.write(block[i:] + block[:i])
    sealed, opened = os.path.join(curl.dir, "sealed"), os.path.join(curl.dir, "opened")
    before, peak, done = g.resident(), [0], threading.Event()

    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], g.resident())

    t = threading.Thread(target=watch, daemon=True)
    t.start()
    s1, h, b1 = curl("/v1/messages/encrypt", "-H", "Content-Type: " + BINARY, "-X", "POST", "-T", plain, "-o", sealed)
    s2, h, b2 = curl("/v1/messages/decrypt", "-H", "Content-Type: " + BINARY, "-X", "POST", "-T", sealed, "-o", opened)
    done.set()
    t.join()
    same = subprocess.run(["cmp", plain, opened], capture_output=True).returncode == 0
    check(h.get("nitroseal-result") == "ok", "trailers come through", h)
    check(s1 == 200 and s2 == 200 and same, f"{size >> 20} MiB as a message, there and back", s1, b1[:300], s2, b2[:300])
    check(peak[0] - before < 4 << 20, "in constant memory", before, peak[0])


def pages(g):
    s, h, b = g.ask("GET", "/healthz")
    check(s == 200 and b == {"status": "ok", "enclaves": 2, "usable": 2}, "/healthz", s, b)
    for cid in CIDS:
        s, h, b = g.ask("GET", f"/enclaves/{cid}/metrics")
        check(s == 200 and b"nitroseal_requests_total" in b and b"nitroseal_credentials_held 1" in b, f"the metrics of {cid}, which holds credentials", s, b[:200])
    text = g.ask("GET", "/metrics")[2].decode()
    names, bad = {}, []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            names[line.split()[2]] = line.split()[3]
        elif not line.startswith("#"):
            name = line.split("{")[0].split(" ")[0]
            base = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            if name not in names and names.get(base) != "histogram":
                bad.append(line)
            float(line.rsplit(" ", 1)[1])
    check(not bad and len(names) > 20, "each sample of /metrics has its type", bad)
    check(g.metric("nitroseal_gateway_requests_total", enclave="16:5000", code="2xx") > 5 and g.metric("nitroseal_gateway_requests_total", enclave="17:5000", code="2xx") > 5,
          "both have worked")
    n = g.metric("nitroseal_gateway_request_seconds_count")
    check(n == g.metric("nitroseal_gateway_request_seconds_bucket", le="+Inf") and n > 20, "the histogram counts all", n)


def killed(stack, g, services):
    """8 clients work; one enclave is killed, stays away, comes back."""
    stop, lock = threading.Event(), threading.Lock()
    counts, wrong = {}, []

    def client(k):
        c, i = None, 0
        while not stop.is_set():
            i += 1
            text = f"client {k} request {i}"
            try:
                c = c or g.client(timeout=30)
                s, h, a = c.ask("POST", "/v1/encrypt", {"message": text})
                if s == 200 and i % 4 == 0:
                    s, h, a = c.ask("POST", "/v1/decrypt", {x: a[x] for x in ("encrypted", "signature", "ciphertext_blob")})
                    if s == 200 and a["decrypted"] != text:
                        wrong.append((text, a))
                what = "ok" if s == 200 else f"{s} {a.get('code')}"
            except Exception as x:  # a connection of ours that broke would be one
                what, c = repr(x), None
            with lock:
                counts[what] = counts.get(what, 0) + 1

    threads = [threading.Thread(target=client, args=(k,), daemon=True) for k in range(8)]
    for t in threads:
        t.start()
    time.sleep(1.5)
    retries = g.metric("nitroseal_gateway_retries_total")
    services[1].kill()
    killed_at = time.monotonic()
    with lock:
        so_far = counts.get("ok", 0)
    check(lib.until(lambda: counts["ok"] > so_far + 16, seconds=3), "the other takes over at once", time.monotonic() - killed_at, counts)
    check(lib.until(lambda: g.metric("nitroseal_gateway_enclave_up", enclave="17:5000") == 0), "the killed one is out")
    at_17 = g.metric("nitroseal_gateway_requests_total", enclave="17:5000", code="2xx")
    time.sleep(0.5)
    check(g.metric("nitroseal_gateway_requests_total", enclave="17:5000", code="2xx") == at_17, "it gets nothing")
    services[1] = stack.start_service(cid=CIDS[1], name="second")
    check(lib.until(lambda: g.metric("nitroseal_gateway_requests_total", enclave="17:5000", code="2xx") > at_17 + 10), "started again, it works again")
    time.sleep(0.7)
    stop.set()
    for t in threads:
        t.join()
    print(f"# answers: {counts}; sent again: {g.metric('nitroseal_gateway_retries_total') - retries:.0f}")
    check(not wrong, "no request got another's answer", wrong[:3])
    check(set(counts) <= {"ok", "502 enclave_failed"} and counts["ok"] > 100, "every request: its answer, or a clear error", counts)
    check(counts.get("502 enclave_failed", 0) <= 8, "not more errors than requests that were under way", counts)
    check(g.metric("nitroseal_gateway_in_flight") == 0 and g.metric("nitroseal_gateway_waiting") == 0, "nothing is left over")
    check(g.program.alive(), "the gateway itself has seen nothing worse")


def stopped(stack, g, services):
    """SIGTERM to a service: it finishes what runs, and nothing fails."""
    stop, answers = threading.Event(), []

    def client():
        c = g.client()
        while not stop.is_set():
            try:
                s, h, a = c.ask("POST", "/v1/random", {"bytes": 16})
                answers.append(s if s == 200 else (s, a.get("code")))
            except Exception as x:
                answers.append(repr(x))
                c = g.client()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(4)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    check(services[1].stop() == 0, "a service is stopped under load")
    time.sleep(0.5)
    stop.set()
    for t in threads:
        t.join()
    bad = [a for a in answers if a != 200]
    check(len(answers) > 100 and not bad, "no request fails", len(answers), bad[:5])
    services[1] = stack.start_service(cid=CIDS[1], name="second")
    lib.until(lambda: g.metric("nitroseal_gateway_enclave_up", enclave="17:5000") == 1, what="17 is back")


def rotated(stack, sock):
    """Credentials of a few seconds: requests go on past the end of the first."""
    program, config = stack.path("credentials"), stack.path("aws-config")
    with open(os.open(program, os.O_WRONLY | os.O_CREAT, 0o700), "w") as f:
        f.write(f"""#!/usr/bin/python3
import datetime, json
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=7)
print(json.dumps({{"Version": 1, "AccessKeyId": {stack.app.id!r}, "SecretAccessKey": {stack.app.secret!r},
                  "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}}))
""")
    with open(config, "w") as f:
        f.write(f"[profile rotated]\ncredential_process = {program}\n")
    g = Gateway(stack.v, CIDS, ["--profile", "rotated"], env={"AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}, log=stack.log_of("rotated"), unix=sock)
    end, answers = time.monotonic() + 8, []
    pushed = lambda: g.metric("nitroseal_gateway_credential_pushes_total", result="ok", enclave="17:5000")
    while time.monotonic() < end or pushed() < 3 and time.monotonic() < end + 60:
        s, h, a = g.ask("POST", "/v1/encrypt", {"message": "x"})
        answers.append(s if s == 200 else (s, a))
        time.sleep(0.05)
    bad = [a for a in answers if a != 200]
    check(len(answers) > 50 and not bad, "longer than credentials last: no request fails", bad[:3])
    check(pushed() >= 3, "each enclave got new ones")
    with open(program, "w") as f:
        f.write("#!/bin/sh\nexit 1\n")
    s = lib.until(lambda: (a := g.ask("POST", "/v1/encrypt", {"message": "x"}))[0] == 503 and a)
    check(s and s[2]["code"] == "no_credentials", "where none come any more: the service's own refusal", s)
    check(g.metric("nitroseal_gateway_credential_fetches_total", result="failed") >= 1, "and the gateway's metrics say why")
    check(g.stop() == 0, "it leaves")


def secrets(stack, logs):
    text = "".join(open(x, errors="replace").read() for x in logs)
    hidden = [stack.app.secret, stack.app.id, "héllo", "through the gateway", "client 3 request", "nonce=", base64.urlsafe_b64encode(b"nonce of a client").decode()[:16]]
    found = [x for x in hidden if x in text]
    check(not found and "/v1/encrypt" in text and "debug" in text, "the log, at debug: paths and numbers, nothing of what passed", found)


def nowhere(stack):
    log = stack.log_of("nowhere")
    g = Gateway(stack.v, CIDS[:1], env=stack.app.env(), log=log, unix=stack.path("none/gateway.sock"), settle=False)
    lib.until(lambda: not g.program.alive(), seconds=30, what="gateway that cannot listen")
    said = open(log, encoding="utf-8").read()
    check(f'cannot listen at={stack.path("none/gateway.sock")} why="no such file or folder" see=--listen' in said,
          "an address that cannot be had is named", said)


def main():
    missing = lib.missing_programs([*lib.PARTS, "nitroseal"])
    if missing:
        lib.skip_all("no " + " ".join(missing))
    if not shutil.which("curl"):
        lib.skip_all("no curl")
    stack = lib.Stack().start()
    services = [stack.service, stack.start_service(cid=CIDS[1], name="second")]
    log, sock = stack.log_of("gateway"), stack.path("gateway.sock")
    g = Gateway(stack.v, CIDS, ["--health-interval", "300"], env=stack.app.env(), log=log, unix=sock)
    curl = Curl(stack.dir, g)
    texts(stack, curl)
    bytes_(stack, curl)
    stream(stack, curl, g)
    pages(g)
    killed(stack, g, services)
    stopped(stack, g, services)
    nowhere(stack)
    check(g.stop() == 0, "SIGTERM: status 0")
    rotated(stack, sock)
    secrets(stack, [log, stack.log_of("rotated")])
    for p in services:
        p.stop()
    stack.stop()
    lib.plan()


main()
