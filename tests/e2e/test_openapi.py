#!/usr/bin/python3
"""doc/openapi.yaml against the real service, both ways: every path, method, media type and success in the file is asked for and answers as it says; every
route and every error code of the service is in the file; failures of each status are provoked and are as described; requests that the service refuses for
their form do not satisfy the file's schemas either. TAP."""
import base64, http.client, http.server, json, os, re, signal, socket, ssl, struct, subprocess, threading, time

import lib
from lib import check
from schema31 import Schemas

try:
    import yaml
except ImportError:
    lib.skip_all("no python3-yaml here")

BINARY, JSON, PROBLEM = "application/octet-stream", "application/json", "application/problem+json"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Of HTTP itself: in no description.
PLAIN = {"content-length", "content-type", "connection", "transfer-encoding", "date"}

with open(os.path.join(lib.ROOT, "doc", "openapi.yaml"), encoding="utf-8") as f:
    TEXT = f.read()
API = yaml.safe_load(TEXT)
S = Schemas(API)
seen, provoked = set(), set()  # (path, method, status, media type); (status, code)


# --- the file itself -----------------------------------------------------------------------------------------------

def operations():
    return [(path, m, op) for path, item in API["paths"].items() for m, op in item.items() if m in METHODS]


def code_sets():
    """What the file says: status -> codes."""
    out = {}
    for r in API["components"]["responses"].values():
        rule = r["content"][PROBLEM]["schema"]["allOf"][1]["properties"]
        out[rule["status"]["const"]] = set(rule["code"]["enum"])
    return out


def source(*names):
    with open(os.path.join(lib.ROOT, "src", "api", *names), encoding="utf-8") as f:
        return f.read()


def the_file():
    faults = S.judge_file()
    check(not faults, "every reference leads somewhere, every keyword is known", *faults)
    check(API["openapi"].startswith("3.1.") and all(op.get("operationId") and op.get("summary") for _, _, op in operations()), "OpenAPI 3.1, each operation with a name")
    ids = [op["operationId"] for _, _, op in operations()]
    check(len(ids) == len(set(ids)), "names are different", ids)
    routes = {(p, m.lower()) for p, m in re.findall(r'\[API_\w+\] = \{ "([^"]+)",\s*"[^"]+",\s*"([A-Z]+)"', source("route.c"))}
    described = {(p, m) for p, m, _ in operations()}
    check(routes == described and len(routes) >= 8, "the service's table of routes is the file's", routes ^ described)
    table = re.search(r"statuses\[\] = \{(.*?)\n\};", source("problem.c"), re.S)[1]
    codes = {}
    for code, status in re.findall(r'\{ "(\w+)", (\d+) \}', table):
        codes.setdefault(int(status), set()).add(code)
    check(codes == code_sets() and len(codes) >= 10, "the service's table of codes is the file's", codes, code_sets())
    for path, m, op in operations():
        for status, r in op["responses"].items():
            name = next((n for n, c in API["components"]["responses"].items() if c is S.get(r)), None)
            if (int(status) < 400) != (name is None) or (name and S.get(r)["content"][PROBLEM]["schema"]["allOf"][1]["properties"]["status"]["const"] != int(status)):
                check(False, f"{m} {path} {status}: the response of that status", name)
    for where, media in medias(API):
        if "example" in media:
            check(not S.faults(media["schema"], media["example"]), f"the example at {where}", S.faults(media["schema"], media["example"]))
    check(not re.search(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b", TEXT) and "secret_access_key:" in TEXT and not re.search(r"secret_access_key: *[A-Za-z0-9/+]", TEXT), "no credentials in it")


def medias(node, where="#"):
    if isinstance(node, dict):
        for k, v in node.items():
            if k == "content":
                yield from ((f"{where}/{t}", m) for t, m in v.items())
            yield from medias(v, f"{where}/{k}")
    elif isinstance(node, list):
        for i, v in enumerate(node):
            yield from medias(v, f"{where}/{i}")


# --- answers -------------------------------------------------------------------------------------------------------

def Client(cid=lib.CID):
    return lib.UnixHTTP(os.path.join(stack.v, f"{cid}.vsock_{lib.PORT}"), timeout=60)


def header_faults(described, got):
    out = []
    for name, h in described.items():
        h, value = S.get(h), got.get(name)
        if value is None and h.get("required"):
            out.append(f"no header {name}")
        for v in got.get_all(name) or []:
            out += S.faults(h["schema"], v, name)
    known = {n.lower() for n in described} | PLAIN
    return out + [f"header {n} is not described" for n in got if n.lower() not in known]


def body_faults(response, got, body):
    kind = (got.get("content-type") or "").split(";")[0].strip()
    content = response.get("content", {})
    if not content:
        return [] if not body else ["a body that is not described"]
    if kind not in content:
        return [f"media type {kind!r} is not described"]
    if kind in (JSON, PROBLEM):
        try:
            value = json.loads(body)
        except ValueError as e:
            return [f"not JSON: {e}"]
    else:
        value = body.decode() if kind.startswith("text/") else body
    return S.faults(content[kind]["schema"], value)


def judge(title, path, method, status, got, body):
    """Is this answer as the file says?"""
    op = API["paths"].get(path, {}).get(method.lower())
    if op and str(status) in op["responses"]:
        response = S.get(op["responses"][str(status)])
    else:
        name = {404: "NotFound", 405: "MethodNotAllowed"}.get(status)
        if not name or (op and status != 404):
            return check(False, f"{title}: {status} is described for {method} {path}", body[:300])
        response = API["components"]["responses"][name]
    faults = header_faults(response.get("headers", {}), got) + body_faults(response, got, body)
    kind = (got.get("content-type") or "").split(";")[0]
    seen.add((path, method.lower(), str(status), kind))
    if kind == PROBLEM:
        value = json.loads(body)
        provoked.add((status, value["code"]))
        if value.get("request_id") != got.get("nitroseal-request-id") or value.get("type") != "urn:nitroseal:error:" + value["code"]:
            faults.append("type or request_id differ from code and header")
    return check(not faults, f"{title}: {method} {path} {status}", *faults, dict(got.items()), body[:300])


def ask(title, method, path, body=None, headers=None, want=None, code=None, query="", cid=lib.CID, is_judged=True):
    """One request; its answer is judged by the file, its request by the file, too. Returns headers and body."""
    c = Client(cid)
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", JSON)
    c.request(method, path + query, body, headers)
    r = c.getresponse()
    data = r.read()
    c.close()
    judge(title, path, method, r.status, r.headers, data)
    if want and r.status != want or code and json.loads(data).get("code") != code:
        check(False, f"{title}: {want} {code or ''}", r.status, data[:300])
    if is_judged:
        judge_request(title, method, path, body, headers, r.status, code)
    return r.headers, data


def judge_request(title, method, path, body, headers, status, code):
    op = API["paths"].get(path, {}).get(method.lower(), {})
    media = op.get("requestBody", {}).get("content", {}).get(JSON)
    if not media or headers.get("Content-Type") != JSON or not body:
        return
    try:
        faults = S.faults(media["schema"], json.loads(body))
    except ValueError:
        faults = ["not JSON"]
    of_form = code in ("missing_member", "wrong_type", "invalid_json", "invalid_utf8")
    if status == 200 or status == 204 or of_form:
        check(bool(faults) == of_form, f"{title}: and the request's schema thinks so, too", faults, body[:200])


# --- what goes well ------------------------------------------------------------------------------------------------

def successes():
    who = stack.app.seed()
    key = {"access_key_id": who["access_key_id"], "secret_access_key": who["secret_access_key"]}
    ask("nobody has credentials", "POST", "/v1/encrypt", {"message": "x"}, want=503, code="no_credentials")
    ask("credentials that end", "PUT", "/v1/credentials", {**who, "expiration": "2036-01-01T00:00:00Z"}, want=204)
    ask("credentials", "PUT", "/v1/credentials", {**key, "session_token": None, "expiration": None}, want=204)
    _, sealed = ask("text", "POST", "/v1/encrypt", {"message": "Grüße", "credentials": who}, want=200)
    sealed = json.loads(sealed)
    triple = {k: sealed[k] for k in ("encrypted", "signature", "ciphertext_blob")}
    ask("text", "POST", "/v1/decrypt", triple, want=200)
    h, body = ask("bytes", "POST", "/v1/encrypt", b"\xff\xfe", {"Content-Type": BINARY}, want=200)
    for name in ("Nitroseal-Signature", "Nitroseal-Ciphertext-Blob", "Nitroseal-Key-Id"):
        check(h.get(name), f"bytes come with {name}")
    beside = {"Content-Type": BINARY, "Nitroseal-Signature": h["nitroseal-signature"], "Nitroseal-Ciphertext-Blob": h["nitroseal-ciphertext-blob"]}
    _, back = ask("bytes", "POST", "/v1/decrypt", body, beside, want=200)
    check(back == b"\xff\xfe", "they come back")
    items = [{"operation": "encrypt", "message": "a"}, {"operation": "decrypt", **triple}, {"operation": "attest", "nonce": "YWJj"}, {"operation": "decrypt", **triple, "encrypted": "AAAA"}]
    ask("batch", "POST", "/v1/batch", {"items": items, "credentials": who}, want=200)
    ask("random", "POST", "/v1/random", want=200)
    ask("random", "POST", "/v1/random", {"bytes": 65536}, want=200)
    ask("random bytes", "POST", "/v1/random", {"bytes": 1}, {"Accept": BINARY}, want=200)
    nonce = "?nonce=" + base64.urlsafe_b64encode(os.urandom(512)).decode().rstrip("=")
    ask("document", "GET", "/v1/attestation", query=nonce, want=200)
    ask("document in bytes", "GET", "/v1/attestation", headers={"Accept": BINARY}, query=nonce, want=200)
    ask("health", "GET", "/healthz", want=200)
    ask("metrics", "GET", "/metrics", want=200)
    return triple, beside, body


def messages():
    context = {"Nitroseal-Encryption-Context": "tenant=Gr%C3%BC%C3%9Fe", "Nitroseal-Suite": "0x0478", "Nitroseal-Frame-Length": "1048576"}
    for pair in (context["Nitroseal-Encryption-Context"],):
        check(not S.faults(API["components"]["schemas"]["Pair"], pair), "a pair is one")
    h, message = ask("message", "POST", "/v1/messages/encrypt", b"x" * 100000, {**context, "Nitroseal-Key-Id": stack.arn}, want=200)
    check(h.get("Nitroseal-Suite") == "0x0478" and h.get_all("Nitroseal-Encryption-Context") == [context["Nitroseal-Encryption-Context"]], "with its suite and context", dict(h))
    _, back = ask("message", "POST", "/v1/messages/decrypt", message, {"Nitroseal-Require-Context": "tenant=Gr%C3%BC%C3%9Fe"}, want=200)
    check(back == b"x" * 100000, "it comes back")
    h, again = ask("message", "POST", "/v1/messages/rewrap", message, {"Nitroseal-Encryption-Context": "new=1"}, want=200)
    check((h.get_all("Nitroseal-Encryption-Context"), h.get("Nitroseal-Opened-Suite"), h.get("Nitroseal-Opened-Key-Id")) == (["new=1"], "0x0478", stack.arn),
          "its own context; suite and key of the old one by their names", dict(h))
    h, back = ask("the new one", "POST", "/v1/messages/decrypt", again, want=200)
    check(h.get_all("Nitroseal-Encryption-Context") == ["new=1"] and back == b"x" * 100000, "anew, in another context", dict(h))
    ask("signed, of nothing", "POST", "/v1/messages/encrypt", b"", want=200)
    small = ask("small", "POST", "/v1/messages/encrypt", b"y", {"Nitroseal-Suite": "0x0478"}, want=200)[1]
    ask("an altered message", "POST", "/v1/messages/decrypt", small[:-1] + bytes([small[-1] ^ 1]), want=422, code="message_not_authentic")
    ask("no message", "POST", "/v1/messages/decrypt", b"nothing of the kind", want=400, code="message_unsupported")
    ask("half a message", "POST", "/v1/messages/decrypt", message[:100], want=400, code="message_malformed")
    ask("another context", "POST", "/v1/messages/decrypt", message, {"Nitroseal-Require-Context": "tenant=other"}, want=403, code="context_mismatch")
    ask("another key", "POST", "/v1/messages/encrypt", b"x", {"Nitroseal-Key-Id": "arn:aws:kms:us-east-1:111122223333:key/none"}, want=403, code="no_key")
    for name, value in (("Nitroseal-Suite", "0x0014"), ("Nitroseal-Frame-Length", "0"), ("Nitroseal-Frame-Length", "1048577"), ("Nitroseal-Encryption-Context", "none")):
        ask(f"{name}: {value}", "POST", "/v1/messages/encrypt", b"x", {name: value}, want=400, code="invalid_request")


# --- what goes wrong -----------------------------------------------------------------------------------------------

def refusals(triple, beside, sealed):
    nobody = {"access_key_id": "AKIDNOBODY", "secret_access_key": "x"}
    ask("KMS refuses", "POST", "/v1/encrypt", {"message": "x", "credentials": nobody}, want=403, code="kms_refused")
    ask("KMS refuses", "POST", "/v1/decrypt", {**triple, "credentials": nobody}, want=403, code="kms_refused")
    ask("an altered signature", "POST", "/v1/decrypt", {**triple, "signature": base64.b64encode(bytes(32)).decode()}, want=422, code="signature_invalid")
    raw = bytearray(base64.b64decode(triple["encrypted"]))
    raw[-1] ^= 1
    ask("an altered text", "POST", "/v1/decrypt", {**triple, "encrypted": base64.b64encode(raw).decode()}, want=422, code="text_not_authentic")
    ask("too short", "POST", "/v1/decrypt", {**triple, "encrypted": "AAAA"}, want=400, code="encrypted_too_short")
    ask("no base64", "POST", "/v1/decrypt", {**triple, "encrypted": "A"}, want=400, code="invalid_base64")
    as_text = {"encrypted": base64.b64encode(sealed).decode(), "signature": beside["Nitroseal-Signature"], "ciphertext_blob": beside["Nitroseal-Ciphertext-Blob"]}
    ask("bytes as text", "POST", "/v1/decrypt", as_text, want=422, code="text_not_utf8")
    ask("bytes without their signature", "POST", "/v1/decrypt", sealed, {"Content-Type": BINARY}, want=400, code="missing_member")
    ask("past its end", "PUT", "/v1/credentials", {**nobody, "expiration": "2020-01-01T00:00:00Z"}, want=400, code="invalid_credentials")
    for path, method, bodies in (("/v1/encrypt", "POST", (({}, "missing_member"), ({"message": 1}, "wrong_type"), ({"message": "x", "operation": "decrypt"}, "wrong_type"),
                                                         ("{", "invalid_json"), ("[]", "invalid_json"))),
                                 ("/v1/decrypt", "POST", (({}, "missing_member"), ({**triple, "signature": None}, "wrong_type"))),
                                 ("/v1/batch", "POST", (({}, "missing_member"), ({"items": 1}, "wrong_type"), ({"items": []}, "invalid_request"))),
                                 ("/v1/random", "POST", (({"bytes": "1"}, "wrong_type"), ({"bytes": 0}, "invalid_request"), ({"bytes": 65537}, "invalid_request"))),
                                 ("/v1/credentials", "PUT", (({}, "missing_member"), ({**nobody, "session_token": 1}, "wrong_type"),
                                                             ({**nobody, "expiration": "tomorrow"}, "invalid_request")))):
        for body, code in bodies:
            ask(f"{body!r:.50}", method, path, body, {"Content-Type": JSON}, want=400, code=code)
    _, a = ask("a batch with an unknown operation", "POST", "/v1/batch", {"items": [{"operation": "sign"}]}, want=200, is_judged=False)
    check(json.loads(a)["results"][0]["code"] == "unknown_operation", "which the item's problem says")
    provoked.add((400, "unknown_operation"))
    ask("not UTF-8", "POST", "/v1/encrypt", b'{"message":"\xff"}', {"Content-Type": JSON}, want=400)
    ask("no nonce", "GET", "/v1/attestation", want=400, code="missing_member")
    ask("no nonce", "GET", "/v1/attestation", query="?nonce=*", want=400, code="invalid_base64")
    for path, m, op in operations():
        if JSON in op.get("requestBody", {}).get("content", {}):
            ask("a form", m.upper(), path, "a=1", {"Content-Type": "application/x-www-form-urlencoded"}, want=415)


def routes():
    for path in API["paths"]:
        allowed = [m.upper() for m in API["paths"][path] if m in METHODS]
        for m in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
            if m in allowed:
                continue
            h, _ = ask("another method", m, path, want=405)
            check(h.get("Allow") == ", ".join(allowed), f"{m} {path}: Allow", h.get("Allow"))
    for path in ("/", "/v1", "/v1/", "/v1/encrypt/", "/v2/encrypt", "/V1/encrypt", "/v1/messages", "/healthz2", "/openapi.yaml"):
        ask("no such path", "GET", path, want=404)


def raw(data, path, method, status, cid=lib.CID):
    """Bytes as they are."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(os.path.join(stack.v, f"{cid}.vsock_{lib.PORT}"))
        s.sendall(data)
        r = http.client.HTTPResponse(s, method=method)
        r.begin()
        body = r.read()
        judge("raw", path, method, r.status, r.headers, body)
        check(r.status == status and r.headers.get("connection") == "close", f"{data[:60]!r}: {status}, and closed", r.status, body[:200])


def cut_off():
    for path, m, _ in operations():
        line = f"{m.upper()} {path} HTTP/1.1\r\n".encode()
        raw(line + b"X: " + b"a" * 16384 + b"\r\n\r\n", path, m.upper(), 431)
        raw(line + b"Transfer-Encoding: gzip\r\n\r\n", path, m.upper(), 501)
        if not path.startswith("/v1/messages"):
            raw(line + b"Content-Length: 16777217\r\n\r\n", path, m.upper(), 413)
        if path != "/v1/messages/encrypt":  # which answers before the body comes
            raw(line + b"Content-Length: 10\r\n\r\n\x02", path, m.upper(), 408, cid=30)


def small_service():
    """Where 408 comes soon, and there is one place for requests."""
    stack.start_service(cid=30, name="service-small", options=["--read-timeout", "400", "--max-running", "1", "--max-streams", "1", "--kms-try", "300", "--kms-deadline", "700"])
    ask("small", "PUT", "/v1/credentials", stack.app.seed(), want=204, cid=30)
    cut_off()


def trouble():
    """KMS and the relay in trouble."""
    stack.kms_program.signal(signal.SIGSTOP)
    busy = threading.Thread(target=lambda: ask("KMS is silent", "POST", "/v1/encrypt", {"message": "x"}, want=504, code="kms_timeout", cid=30))
    busy.start()
    time.sleep(0.2)
    ask("no place", "GET", "/v1/attestation", query="?nonce=YWJj", want=503, code="busy", cid=30)
    busy.join()
    stack.kms_program.signal(signal.SIGCONT)
    stack.proxy.kill()
    ask("no way to KMS", "POST", "/v1/encrypt", {"message": "x"}, want=502, code="kms_unreachable", cid=30)
    ask("no way to KMS", "POST", "/v1/messages/encrypt", b"x", want=502, code="kms_unreachable", cid=30)
    stack.start_proxy()


# --- parts that fail, each in its way ------------------------------------------------------------------------------

def until_code(title, code, status, *request, cid, **how):
    """What comes by and by: asked for again for a while. Answers on the way are judged, too."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        _, data = ask(title, *request, cid=cid, **how)
        if data.startswith(b"{") and json.loads(data).get("code") == code:
            break
        time.sleep(0.1)
    check((status, code) in provoked, f"{title}: {status} {code}", data[:300])


def bad_nsm():
    """The enclave's own NSM: gone, silent, and with another's signature."""
    nsm = stack.start_nsm("nsm-bad")
    options = ["--document-max-age", "1", "--kms-try", "300", "--kms-deadline", "700"]
    service = stack.start_service(cid=31, nsm="nsm-bad", name="service-nsm", options=options)
    ask("held", "PUT", "/v1/credentials", stack.app.seed(), want=204, cid=31)
    ask("while it is there", "POST", "/v1/encrypt", {"message": "x"}, want=200, cid=31)
    nsm.signal(signal.SIGSTOP)
    time.sleep(1.2)  # the document has aged
    threading.Timer(1.0, lambda: nsm.signal(signal.SIGCONT)).start()
    until_code("the NSM is silent", "nsm_timeout", 504, "POST", "/v1/encrypt", {"message": "x"}, cid=31)
    nsm.signal(signal.SIGCONT)
    nsm.stop()
    until_code("the NSM is gone", "nsm_failed", 503, "POST", "/v1/encrypt", {"message": "x"}, cid=31)
    nsm = stack.start_nsm("nsm-bad", options=["--expired-leaf"])
    until_code("the NSM's certificate has ended", "document_not_trusted", 500, "POST", "/v1/encrypt", {"message": "x"}, cid=31)
    service.stop()
    nsm.stop()


class LyingKms:
    """Behind the relay, with a certificate that the service was told to trust: what a KMS must never say."""

    def __init__(self):
        cert, key = stack.path("liar.pem"), stack.path("liar.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        self.cert, self.says = cert, b""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(outer.says)))
                self.end_headers()
                self.wfile.write(outer.says)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()


def bad_kms(triple):
    liar = LyingKms()
    with open(stack.path("liar.yaml"), "w") as f:
        f.write(f"allowlist:\n- {{address: 127.0.0.1, port: {liar.port}}}\n")
    relay = lib.Program("vsock-proxy", ["--config", f.name, 8001, "127.0.0.1", liar.port], env={"NITROSEAL_VSOCK": "unix:" + stack.v}, log=stack.log_of("proxy-liar"))
    lib.until(lambda: stack.answers(os.path.join(stack.v, "3.vsock_8001")), what="the liar's relay")
    there = ["--endpoint", f"https://localhost:{liar.port}", "--kms-proxy-port", "8001"]
    service = stack.start_service(cid=32, name="service-liar", options=[*there, "--ca-file", liar.cert])
    ask("held", "PUT", "/v1/credentials", stack.app.seed(), want=204, cid=32)
    some, other = base64.b64encode(os.urandom(100)).decode(), stack.arn[:-4] + "0000"
    good = {"KeyId": stack.arn, "CiphertextBlob": some}
    for title, answer, code, status in (("no JSON", None, "kms_malformed_answer", 502), ("nothing for the recipient", good, "kms_not_attested", 502),
                                        ("a key that is not encrypted to us", {**good, "Plaintext": base64.b64encode(bytes(32)).decode()}, "kms_not_attested", 502),
                                        ("of another key", {**good, "KeyId": other, "CiphertextForRecipient": some}, "key_mismatch", 403),
                                        ("a data key for somebody else", {**good, "CiphertextForRecipient": some}, "data_key_not_opened", 502)):
        liar.says = json.dumps(answer).encode() if answer else b"hello"
        ask(f"KMS says: {title}", "POST", "/v1/encrypt", {"message": "x"}, want=status, code=code, cid=32)
    service.stop()
    service = stack.start_service(cid=33, name="service-other-ca", options=there)
    ask("held", "PUT", "/v1/credentials", stack.app.seed(), want=204, cid=33)
    ask("a KMS of an unknown CA", "POST", "/v1/decrypt", triple, want=502, code="kms_tls_refused", cid=33)
    service.stop()
    relay.stop()


def busy_kms():
    """More calls than the account's quota: tried again, and then said."""
    stack.kms_program.stop()
    stack.start_kms(["--quota", "1"])
    until_code("KMS throttles", "kms_unavailable", 503, "POST", "/v1/encrypt", {"message": "x"}, cid=30)
    stack.kms_program.stop()
    stack.start_kms()


def past_a_limit():
    """A message with one pair more than is read: the header alone."""
    pairs = b"".join(struct.pack(">H2sH", 2, b"%02d" % i, 0) for i in range(65))
    context = struct.pack(">H", 65) + pairs
    header = b"\x02\x04\x78" + bytes(32) + struct.pack(">H", len(context)) + context
    ask("a message with 65 pairs", "POST", "/v1/messages/decrypt", header + bytes(500), want=413, code="message_limit")


def stopping():
    """A request that is half there when the service is told to stop, while another one runs."""
    service = stack.start_service(cid=34, name="service-stopping", options=["--kms-try", "1500", "--kms-deadline", "2000"])
    ask("held", "PUT", "/v1/credentials", stack.app.seed(), want=204, cid=34)
    stack.kms_program.signal(signal.SIGSTOP)
    runs = threading.Thread(target=lambda: ask("one that runs", "POST", "/v1/encrypt", {"message": "x"}, want=504, code="kms_timeout", cid=34))
    runs.start()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(os.path.join(stack.v, f"34.vsock_{lib.PORT}"))
        s.sendall(b"POST /v1/random HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{")
        time.sleep(0.3)
        service.signal(signal.SIGTERM)
        time.sleep(0.2)
        try:
            s.sendall(b'"bytes":8}')
        except OSError:
            pass  # answered already
        r = http.client.HTTPResponse(s, method="POST")
        r.begin()
        body = r.read()
    judge("half a request", "/v1/random", "POST", r.status, r.headers, body)
    check(r.status == 503 and json.loads(body)["code"] == "stopping", "it is told so", r.status, body[:200])
    runs.join()
    stack.kms_program.signal(signal.SIGCONT)
    check(service.p.wait(15) == 0, "and the service ends, once that one has its answer")


# Why not here, each.
NOT_PROVOKED = {
    "internal": "a fault of our own: no memory for an answer has other codes, and the generator and the ciphers fail only when they are made to, "
                "which tests/inject does from inside",
}


def covered():
    wanted = {(p, m, s, t) for p, m, op in operations() for s, r in op["responses"].items() if s < "400" for t in (S.get(r).get("content") or [""])}
    check(wanted <= seen, "every success of the file, in every media type, was seen", wanted - seen)
    statuses = {s for s, _ in provoked}
    described = set(code_sets())
    check(described == statuses, "a failure of every status", described ^ statuses)
    codes = {c for _, c in provoked}
    missing = sorted(c for cs in code_sets().values() for c in cs if c not in codes)
    check(all((s, c) in {(s, c) for s, cs in code_sets().items() for c in cs} for s, c in provoked), "and none that is not described", provoked)
    for code in missing:
        print(f"# not provoked: {code}: {NOT_PROVOKED.get(code, 'no reason is known')}")
    check(set(missing) == set(NOT_PROVOKED), "every code was provoked, but for those that say why not", missing)


the_file()
if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
stack = lib.Stack().start()
the_triple, the_headers, the_bytes = successes()
messages()
refusals(the_triple, the_headers, the_bytes)
routes()
small_service()
trouble()
past_a_limit()
busy_kms()
bad_kms(the_triple)
bad_nsm()
stopping()
covered()
lib.plan()
