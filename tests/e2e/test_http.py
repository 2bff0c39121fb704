#!/usr/bin/python3
"""The HTTP API on the service's port: every path, in JSON and in bytes; keep-alive, pipelining, chunks; problems with
their statuses; credentials that are held; limits, and clients that do not keep to HTTP. TAP."""
import base64, datetime, json, os, re, signal, socket, threading, time

import lib
from lib import check

BINARY = "application/octet-stream"


def Client(stack, cid=lib.CID):
    return lib.UnixHTTP(os.path.join(stack.v, f"{cid}.vsock_{lib.PORT}"))


def raw(stack, data, half_close=False, timeout=15, wait=True):
    """Bytes in, all bytes out until the service closes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}"))
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        out = b""
        try:
            while piece := s.recv(65536):
                out += piece
        except socket.timeout:
            out += b"<timeout>"
        return out


def is_problem(answer, status, code):
    got, headers, body = answer
    return (got == status and headers["content-type"] == "application/problem+json" and body["code"] == code and body["status"] == status
            and body["type"] == "urn:nitroseal:error:" + code and body["title"] and headers["nitroseal-request-id"] == body["request_id"])


def text(stack, c):
    who = stack.app.seed()
    s, h, a = c.ask("POST", "/v1/encrypt", {"message": "héllo 世界", "credentials": who})
    check(s == 200 and set(a) == {"operation", "encrypted", "signature", "ciphertext_blob", "key_id", "request_id"}, "encrypt in JSON", s, a)
    check(h["content-type"] == "application/json" and h["nitroseal-request-id"] == a["request_id"] and a["key_id"] == stack.arn, "its headers", h)
    s, h, b = c.ask("POST", "/v1/decrypt", {**{k: a[k] for k in ("encrypted", "signature", "ciphertext_blob")}, "credentials": who})
    check(s == 200 and b["decrypted"] == "héllo 世界" and b["signature_valid"] is True, "decrypt in JSON", s, b)
    back = stack.decrypt(a)
    check(back.get("decrypted") == "héllo 世界", "the seed protocol opens it, too", back)
    mac = bytearray(base64.b64decode(a["signature"]))
    mac[3] ^= 1
    bad = {"encrypted": a["encrypted"], "signature": base64.b64encode(mac).decode(), "ciphertext_blob": a["ciphertext_blob"], "credentials": who}
    answer = c.ask("POST", "/v1/decrypt", bad)
    check(is_problem(answer, 422, "signature_invalid") and "llo" not in json.dumps(answer[2]), "a signature that does not hold: no text", answer)
    sealed = bytearray(base64.b64decode(a["encrypted"]))
    sealed[-1] ^= 1
    answer = c.ask("POST", "/v1/decrypt", {**bad, "encrypted": base64.b64encode(sealed).decode()})
    check(is_problem(answer, 422, "text_not_authentic"), "a changed text", answer)
    s, h, n = c.ask("POST", "/v1/encrypt", {"message": "x", "credentials": {"access_key_id": "AKIDNOBODY", "secret_access_key": "s"}})
    check(is_problem((s, h, n), 403, "kms_refused") and n["kms_type"] == "UnrecognizedClientException" and n["kms_request_id"], "KMS's own reason", s, n)


def held_credentials(stack, c):
    answer = c.ask("POST", "/v1/encrypt", {"message": "x"})
    check(is_problem(answer, 503, "no_credentials") and answer[1]["retry-after"] == "1", "no credentials are held yet", answer)
    who = stack.app.seed()
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    s, h, b = c.ask("PUT", "/v1/credentials", {**who, "expiration": soon})
    check(s == 204 and b == b"" and h["content-length"] is None, "credentials to hold", s, h, b)
    s, h, b = c.ask("POST", "/v1/encrypt", {"message": "x"})
    check(s == 200, "they are used", s, b)
    gone = lib.until(lambda: c.ask("POST", "/v1/encrypt", {"message": "x"})[0] == 503)
    check(gone, "until they expire")
    answer = c.ask("PUT", "/v1/credentials", {**who, "expiration": "2020-01-01T00:00:00Z"})
    check(is_problem(answer, 400, "invalid_credentials"), "expired ones are refused", answer)
    for body, code in (({"access_key_id": "A"}, "missing_member"), ({**who, "access_key_id": 1}, "wrong_type"),
                       ({**who, "access_key_id": "a\nb"}, "invalid_credentials"), ({**who, "expiration": "soon"}, "invalid_request")):
        answer = c.ask("PUT", "/v1/credentials", body)
        check(is_problem(answer, 400, code), f"credentials: {code}", answer)
    check(c.ask("PUT", "/v1/credentials", who)[0] == 204, "credentials without an end")


def in_bytes(stack, c):
    for size in (0, 1, 4000, 100000, 5 << 20):
        data = os.urandom(size)
        s, h, sealed = c.ask("POST", "/v1/encrypt", data, {"Content-Type": BINARY})
        good = s == 200 and h["content-type"] == BINARY and len(sealed) == size + 28 and h["nitroseal-key-id"] == stack.arn
        check(good, f"{size} bytes encrypted", s, h, sealed[:200])
        beside = {"Content-Type": BINARY, "Nitroseal-Signature": h["nitroseal-signature"],
                  "Nitroseal-Ciphertext-Blob": h["nitroseal-ciphertext-blob"]}
        s, h, back = c.ask("POST", "/v1/decrypt", sealed, beside)
        check(s == 200 and back == data and h["content-type"] == BINARY, f"{size} bytes decrypted", s, h, back[:200])
    pieces = [sealed[i:i + 70000] for i in range(0, len(sealed), 70000)]
    s, h, back = c.ask("POST", "/v1/decrypt", iter(pieces), beside, encode_chunked=True)
    check(s == 200 and back == data, "the same in chunks", s, h)
    answer = c.ask("POST", "/v1/decrypt", sealed, {**beside, "Nitroseal-Signature": base64.b64encode(bytes(32)).decode()})
    check(is_problem(answer, 422, "signature_invalid"), "bytes with a wrong signature stay inside", answer[:2])
    for missing in ("Nitroseal-Signature", "Nitroseal-Ciphertext-Blob"):
        answer = c.ask("POST", "/v1/decrypt", b"x" * 50, {k: v for k, v in beside.items() if k != missing})
        check(is_problem(answer, 400, "missing_member") and missing in answer[2]["title"], f"no header {missing}", answer)
    answer = c.ask("POST", "/v1/decrypt", b"x" * 27, beside)
    check(is_problem(answer, 400, "encrypted_too_short"), "fewer bytes than the overhead", answer)
    s, h, a = c.ask("POST", "/v1/encrypt", b"\xff\xfe", {"Content-Type": BINARY})
    as_text = {"encrypted": base64.b64encode(a).decode(), "signature": h["nitroseal-signature"], "ciphertext_blob": h["nitroseal-ciphertext-blob"]}
    answer = c.ask("POST", "/v1/decrypt", as_text)
    check(is_problem(answer, 422, "text_not_utf8"), "bytes that are no text cannot be had in JSON", answer)


def batch(stack, c):
    who = stack.app.seed()
    items = [{"operation": "encrypt", "message": f"text {i}"} for i in range(100)]
    items[7] = {"operation": "sign"}
    items[8] = 5
    items[9] = {"operation": "encrypt", "message": "mine", "credentials": {"access_key_id": "AKIDNOBODY", "secret_access_key": "s"}}
    items[10] = {"operation": "attest", "nonce": "YWJj"}
    s, h, a = c.ask("POST", "/v1/batch", {"items": items, "credentials": who})
    r = a.get("results", [])
    check(s == 200 and len(r) == 100 and a["request_id"], "a batch of 100", s, str(a)[:500])
    check([x.get("code") for x in r[7:10]] == ["unknown_operation", "invalid_json", "kms_refused"], "its faults, each for itself", r[7:10])
    check(r[9]["status"] == 403 and r[9]["kms_type"] == "UnrecognizedClientException", "with KMS's reason", r[9])
    check(r[10].get("document"), "an attestation among them", r[10])
    good = [i for i in range(100) if i not in (7, 8, 9, 10)]
    check(all(r[i].get("operation") == "encrypt" and r[i].get("encrypted") for i in good), "the others are encrypted")
    back = [{"operation": "decrypt", **{k: r[i][k] for k in ("encrypted", "signature", "ciphertext_blob")}} for i in good]
    s, h, a = c.ask("POST", "/v1/batch", {"items": back})
    texts = [x.get("decrypted") for x in a["results"]]
    check(texts == [f"text {i}" for i in good], "and come back, in order, with the held credentials", texts)
    for body, code in (({}, "missing_member"), ({"items": []}, "invalid_request"), ({"items": [{}] * 1001}, "invalid_request"),
                       ({"items": [{}], "credentials": {}}, "missing_member")):
        answer = c.ask("POST", "/v1/batch", body)
        check(is_problem(answer, 400, code), f"batch: {code}", answer)
    s, h, a = c.ask("POST", "/v1/batch", {"items": [{"operation": "encrypt", "message": str(i)} for i in range(1000)]})
    check(s == 200 and len(a["results"]) == 1000 and all("encrypted" in x for x in a["results"]), "a batch of 1000", s)


def small_ones(stack, c):
    s, h, a = c.ask("POST", "/v1/random")
    check(s == 200 and len(base64.b64decode(a["random"])) == 32 and a["request_id"] == h["nitroseal-request-id"], "random: 32 bytes", a)
    s, h, b = c.ask("POST", "/v1/random", {"bytes": 65536}, {"Accept": BINARY})
    check(s == 200 and len(b) == 65536 and len(set(b)) == 256, "random: the most, as bytes", s, len(b))
    check(is_problem(c.ask("POST", "/v1/random", {"bytes": 65537}), 400, "invalid_request"), "random: too many")
    s, h, a = c.ask("GET", "/v1/attestation?nonce=" + base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode())
    document = base64.b64decode(a["document"])
    check(s == 200 and b"\xfb\xff" * 16 in document and b"nitroseal-attest-v1" in document, "attestation with our nonce", a)
    s, h, b = c.ask("GET", "/v1/attestation?nonce=YWJj", headers={"Accept": BINARY})
    check(s == 200 and b[:1] == b"\x84" and b"abc" in b, "attestation as bytes", s, h, b[:100])
    check(is_problem(c.ask("GET", "/v1/attestation"), 400, "missing_member"), "attestation without a nonce")
    s, h, a = c.ask("GET", "/healthz")
    check(s == 200 and a == {"status": "ok"}, "health", a)
    s, h, b = c.ask("GET", "/metrics")
    lines = b.decode().splitlines()
    value = {x.split(" ")[0]: float(x.split(" ")[1]) for x in lines if not x.startswith("#")}
    check(s == 200 and h["content-type"] == "text/plain; version=0.0.4", "metrics", s, h)
    check(value['nitroseal_requests_total{operation="encrypt",result="ok"}'] > 1000 and value["nitroseal_connections"] >= 1 and
          value["process_resident_memory_bytes"] > 1e6 and value["nitroseal_credentials_held"] == 1 and
          value['nitroseal_kms_calls_total{result="ok"}'] > 1000 and value["nitroseal_requests_running"] == 0, "their values", b.decode())
    check(value['nitroseal_request_seconds_bucket{operation="encrypt",le="+Inf"}'] == value['nitroseal_request_seconds_count{operation="encrypt"}'],
          "the histogram adds up")
    check(all(stack.app.secret not in x and stack.app.id not in x for x in lines), "nothing secret in them")


def problems(stack, c):
    check(is_problem(c.ask("GET", "/"), 404, "not_found"), "no such path")
    answer = c.ask("GET", "/v1/encrypt")
    check(is_problem(answer, 405, "method_not_allowed") and answer[1]["allow"] == "POST" and
          answer[2]["detail"] == "the field Allow names it", "another method", answer)
    check(is_problem(c.ask("POST", "/v1/encrypt", "a=1", {"Content-Type": "application/x-www-form-urlencoded"}), 415, "unsupported_media_type"), "a form")
    for body, code in (("", "invalid_json"), ("{", "invalid_json"), ("[]", "invalid_json"), ("{}", "missing_member"), ('{"message":1}', "wrong_type"),
                       ('{"message":"x","operation":"decrypt"}', "wrong_type"), (b'{"message":"\xff"}', "invalid_utf8")):
        answer = c.ask("POST", "/v1/encrypt", body, {"Content-Type": "application/json"})
        check(is_problem(answer, 400, code), f"encrypt {body!r}: {code}", answer)


def bad_http(stack):
    for data, status in ((b"GET / HTTP/2.0\r\n\r\n", 400), (b"HELLO\r\n\r\n", 400), (b"GET / HTTP/1.1\n\n", 400),
                         (b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
                         (b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                         (b"POST /v1/encrypt HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
                         (b"POST /v1/encrypt HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
                         (b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: 16777217\r\n\r\n", 413),
                         (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 16384 + b"\r\n\r\n", 431),
                         (b"GET /healthz HTTP/1.1\r\nA: b\r\nfolded\r\n\r\n", 400)):
        out = raw(stack, data)
        check(out.startswith(b"HTTP/1.1 %d " % status) and b"connection: close" in out and b"problem+json" in out,
              f"{data[:50]!r}: {status}, and the connection is closed", out[:300])


def connections(stack):
    one = b"GET /healthz HTTP/1.1\r\n\r\n"
    out = raw(stack, one * 500, half_close=True)
    check(out.count(b"HTTP/1.1 200 OK") == 500, "500 requests in one write: 500 answers", out.count(b"HTTP/1.1 200"))
    body = json.dumps({"message": "pipelined"}).encode()
    seal = b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    out = raw(stack, (seal + one) * 20, half_close=True)
    kinds = [line for line in out.split(b"\r\n") if line in (b"content-length: 15",) or line.startswith(b"nitroseal-request-id")]
    check(out.count(b"HTTP/1.1 200 OK") == 40 and len(kinds) == 60, "slow and quick ones pipelined: answers in order", out[:500])
    order = [b'"encrypted"' in part for part in out.split(b"HTTP/1.1 200 OK")[1:]]
    check(order == [True, False] * 20, "each after the other", order)
    out = raw(stack, b"GET /healthz HTTP/1.0\r\n\r\n")
    check(out.startswith(b"HTTP/1.1 200 OK") and b"connection: close" in out, "HTTP/1.0 is answered and closed", out)
    out = raw(stack, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n" + one)
    check(out.count(b"HTTP/1.1 200") == 1, "Connection: close ends it", out)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(15)
        s.connect(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}"))
        s.sendall(b"POST /v1/encrypt HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        check(s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n", "100 Continue")
        s.sendall(body)
        check(s.recv(100).startswith(b"HTTP/1.1 200 OK"), "and the answer")
        for byte in one:
            s.sendall(bytes([byte]))
            time.sleep(0.001)
        out = b""
        while b'{"status":"ok"}' not in out and len(out) < 5000:
            out += s.recv(1000)
        check(b'{"status":"ok"}' in out, "byte by byte on the same connection", out)


def gone_midway(stack):
    """A client that leaves while its request runs, or while it sends: nothing is left behind."""
    body = json.dumps({"items": [{"operation": "encrypt", "message": "x"}] * 200}).encode()
    for data in (b"POST /v1/batch HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
                 b"POST /v1/batch HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:300],
                 b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: 9\r\n\r\n{\"message"):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(stack.v, f"{lib.CID}.vsock_{lib.PORT}"))
            s.sendall(data)

    def quiet():
        c = Client(stack)
        _, _, b = c.ask("GET", "/metrics")
        c.close()
        held = int(b.split(b"\nnitroseal_buffered_bytes ")[1].split()[0])  # this request's own head is among them
        return b"nitroseal_requests_running 0\n" in b and held < 200 and b"nitroseal_connections 1\n" in b

    check(lib.until(quiet), "clients that left: no request runs, and nothing of theirs is held")


def limits(stack):
    p = stack.start_service(cid=30, name="service-small", options=["--max-running", "2", "--max-connections", "8", "--max-request", "100000"])
    c = Client(stack, 30)
    check(c.ask("PUT", "/v1/credentials", stack.app.seed())[0] == 204, "a service with small limits")
    s, h, a = c.ask("POST", "/v1/batch", {"items": [{"operation": "encrypt", "message": "x"}] * 50})
    check(s == 200 and all("encrypted" in x for x in a["results"]), "a batch larger than the places there are", s)
    counts = {}

    def hammer():
        mine = Client(stack, 30)
        for _ in range(40):
            s, h, b = mine.ask("POST", "/v1/encrypt", {"message": "x"})
            good = s == 200 or (s == 503 and b["code"] == "busy" and h["retry-after"] == "1")
            counts[(s, good)] = counts.get((s, good), 0) + 1
        mine.close()

    threads = [threading.Thread(target=hammer) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(set(counts) <= {(200, True), (503, True)} and counts.get((200, True), 0) > 0 and sum(counts.values()) == 240,
          "6 clients, 2 places: served, or told to come again, on the same connections", counts)
    c.close()
    c = Client(stack, 30)
    answer = c.ask("POST", "/v1/encrypt", b"x" * 100001, {"Content-Type": BINARY})
    check(is_problem(answer, 413, "too_large"), "a body past the limit", answer)
    c = Client(stack, 30)
    answer = c.ask("POST", "/v1/encrypt", iter([b"x" * 60000] * 3), {"Content-Type": BINARY}, encode_chunked=True)
    check(is_problem(answer, 413, "too_large"), "the same in chunks", answer)
    c.close()
    keep = [Client(stack, 30) for _ in range(8)]
    connections = lambda: int(re.search(rb"\nnitroseal_connections (\d+)\n", keep[0].ask("GET", "/metrics")[2])[1])
    lib.until(lambda: connections() == 1, what="the others are gone")
    for k in keep:
        k.ask("GET", "/healthz")
    more = Client(stack, 30)
    answer = more.ask("GET", "/healthz")
    check(connections() == 8 and is_problem(answer, 503, "busy"), "one connection too many is told so", answer)
    p.stop()
    p = stack.start_service(cid=31, name="service-hasty", options=["--idle-timeout", "500", "--read-timeout", "700"])
    idle = Client(stack, 31)
    idle.ask("GET", "/healthz")
    check(idle.sock.recv(1) == b"", "an idle connection is closed")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(9)  # 10 s are usual
        s.connect(os.path.join(stack.v, f"31.vsock_{lib.PORT}"))
        s.sendall(b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
        out = s.recv(4096)
        check(out.startswith(b"HTTP/1.1 408 "), "half a request: 408", out)
    p.stop()


def too_many(stack):
    """One place, and it is taken: what is one too many is refused without being looked at, and costs its connection only if it is large."""
    p = stack.start_service(cid=34, name="service-full", options=["--max-running", "1", "--kms-deadline", 60000, "--kms-try", 60000])
    c = Client(stack, 34)
    c.ask("PUT", "/v1/credentials", stack.app.seed())
    stack.kms_program.signal(signal.SIGSTOP)
    taken = []
    holder = threading.Thread(target=lambda: taken.append(Client(stack, 34).ask("POST", "/v1/encrypt", {"message": "x"})))
    holder.start()
    lib.until(lambda: b"nitroseal_requests_running 1\n" in c.ask("GET", "/metrics")[2], what="the one")
    answers = [c.ask("POST", target, body) for target, body in (("/v1/encrypt", {"message": "x"}), ("/v1/decrypt", b"no JSON"), ("/v1/batch", {"items": []}))]
    answers.append(c.ask("GET", "/v1/attestation?nonce=AAAA"))
    check(all(is_problem(a, 503, "busy") and a[1]["retry-after"] == "1" for a in answers), "no place: busy, whatever is asked", answers)
    check(len({a[2]["request_id"] for a in answers}) == 4, "each with an id of its own", answers)
    check(c.ask("GET", "/healthz")[0] == 200 and c.ask("POST", "/v1/random", {"bytes": 4})[0] == 200 and c.ask("POST", "/v1/else", b"")[0] == 404,
          "what needs no place is answered, on the same connection")
    counted = [line for line in c.ask("GET", "/metrics")[2].decode().splitlines() if line.startswith("nitroseal_requests_total") and '"busy"' in line]
    check(sorted(counted) == [f'nitroseal_requests_total{{operation="{o}",result="busy"}} 1' for o in ("attestation", "batch", "decrypt", "encrypt")],
          "they are counted", counted)

    def talk(*pieces):
        """All that comes until a health check's answer, or until the service closes."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(os.path.join(stack.v, f"34.vsock_{lib.PORT}"))
            for piece in pieces:
                s.sendall(piece)
                time.sleep(0.05)
            out = b""
            while not out.endswith(b'{"status":"ok"}') and (got := s.recv(65536)):
                out += got
            return out

    head, health = b"POST /v1/encrypt HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n", b"GET /healthz HTTP/1.1\r\n\r\n"
    out = talk(head % (65536, b""), b"x" * 65536, health)
    check(out.count(b"HTTP/1.1 ") == 2 and out.startswith(b"HTTP/1.1 503 ") and b"connection: close" not in out, "a body that comes later: taken, and the connection stays", out)
    out = talk((head % (3, b"") + b"{}\n") * 20 + health)
    check(out.count(b"HTTP/1.1 503 ") == 20 and out.endswith(b'{"status":"ok"}'), "pipelined: each in its turn", out)
    for name, piece in (("large", head % (65537, b"")), ("waiting for 100 Continue", head % (65537, b"Expect: 100-continue\r\n")),
                        ("in chunks", b"POST /v1/encrypt HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), ("of HTTP/1.0", b"POST /v1/encrypt HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")):
        out = talk(piece)
        check(out.count(b"HTTP/1.1 ") == 1 and out.startswith(b"HTTP/1.1 503 ") and b"connection: close" in out and b'"busy"' in out, f"a body {name}: told at once, and closed", out)
    stack.kms_program.signal(signal.SIGCONT)
    holder.join()
    check(taken[0][0] == 200 and c.ask("POST", "/v1/encrypt", {"message": "x"})[0] == 200, "the one is answered, and the next one, too", taken)
    p.stop()


def without_document(stack):
    """The NSM is gone for longer than a document lasts: the service cannot work now, and says so."""
    p = stack.start_service(cid=35, name="service-blind", options=["--document-max-age", "1"])
    c = Client(stack, 35)
    check(lib.until(lambda: c.ask("GET", "/healthz")[0] == 200), "healthy with a document")
    stack.nsm.kill()
    lib.until(lambda: c.ask("GET", "/healthz")[0] != 200, what="the document's end")
    answer = c.ask("GET", "/healthz")
    check(is_problem(answer, 503, "nsm_failed") and answer[1]["retry-after"] == "1", "without one: 503", answer)
    answer = c.ask("GET", "/v1/attestation?nonce=AAAA")
    check(is_problem(answer, 503, "nsm_failed"), "a document is asked for: the same", answer)
    stack.start_nsm()
    check(lib.until(lambda: c.ask("GET", "/healthz")[0] == 200), "and healthy again, once the NSM is back")
    p.stop()


def large(stack):
    """Memory of large bodies is kept between requests, and goes back when it gets quiet. A body that is announced and does not come takes none."""
    p = stack.start_service(cid=36, name="service-large", options=["--max-request", 48 << 20, "--read-timeout", 60000])
    rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{p.pid}/status").read())[1])
    c, before = Client(stack, 36), rss()
    c.ask("PUT", "/v1/credentials", stack.app.seed())
    halves = []
    for _ in range(8):
        half = socket.socket(socket.AF_UNIX)
        half.connect(os.path.join(stack.v, f"36.vsock_{lib.PORT}"))
        half.sendall(b"POST /v1/encrypt HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 1_000_000)
        halves.append(half)
    check(lib.until(lambda: c.ask("GET", "/metrics")[2].find(b"nitroseal_buffered_bytes 8") > 0), "eight bodies of which one part in fifty is here")
    time.sleep(1.5)
    if not sanitized:
        check(lib.until(lambda: rss() < before + (24 << 10), seconds=20), "they take the memory of what is here, and none for what was announced", before, rss())
    for half in halves:
        half.close()
    check(lib.until(lambda: re.search(rb"nitroseal_buffered_bytes \d{1,3}\n", c.ask("GET", "/metrics")[2])), "gone with their clients")
    for size in (1_000_000, 40_000_000):  # past what the allocator would map and unmap each time
        body = os.urandom(size)
        s, h, sealed = c.ask("POST", "/v1/encrypt", body, {"Content-Type": BINARY})
        back = c.ask("POST", "/v1/decrypt", sealed, {"Content-Type": BINARY, **{k: h[k] for k in ("nitroseal-signature", "nitroseal-ciphertext-blob")}})
        check((s, back[0]) == (200, 200) and back[2] == body and len(sealed) == size + 28, f"{size} bytes, there and back", s, back[0])
    if not sanitized:
        check(lib.until(lambda: rss() < before + (8 << 10)), "the memory of large bodies goes back when it gets quiet", before, rss())
    p.stop()


def renewed_ahead(stack):
    """Documents and keys are there before they are needed: nothing is asked, and the document never gets old."""
    p = stack.start_service(cid=33, name="service-young", options=["--document-max-age", "4", "--key-max-age", "1"])
    c = Client(stack, 33)
    c.ask("PUT", "/v1/credentials", stack.app.seed())

    def ages():
        _, _, b = c.ask("GET", "/metrics")
        value = {x.split(" ")[0]: x.split(" ")[1] for x in b.decode().splitlines() if x.startswith("nitroseal_")}
        return float(value.get("nitroseal_attestation_document_age_seconds", "nan")), float(value["nitroseal_recipient_key_age_seconds"])

    documents, keys = [], []
    replaced = lambda seen: sum(b < a for a, b in zip(seen, seen[1:]))

    def both_twice():
        document, key = ages()
        documents.append(document), keys.append(key)
        time.sleep(0.06)
        return replaced(documents) >= 2 and replaced(keys) >= 2

    lib.until(both_twice)
    check(all(a < 4 for a in documents) and replaced(documents) >= 2, "a document is replaced before its time is over", documents)
    check(replaced(keys) >= 2, "so is the recipient key", keys)
    check(all(c.ask("POST", "/v1/encrypt", {"message": "x"})[0] == 200 for _ in range(50)), "requests are served with both")
    check("recipient key replaced" in p.text() and "no attestation document" not in p.text(), "the log says so")
    p.stop()


def stopping(stack):
    c = Client(stack)
    c.ask("GET", "/healthz")
    done = []

    def big():
        mine = Client(stack)
        done.append(mine.ask("POST", "/v1/batch", {"items": [{"operation": "encrypt", "message": "x"}] * 1000}))

    t = threading.Thread(target=big)
    t.start()
    lib.until(lambda: b"nitroseal_requests_running 0\n" not in c.ask("GET", "/metrics")[2], what="the batch")
    status = stack.service.stop(60)
    t.join()
    s, h, a = done[0]
    check(status == 0 and s == 200 and len(a["results"]) == 1000 and h["connection"] == "close", "SIGTERM: what runs is finished", status, s)
    check(c.sock.recv(1) == b"", "and idle connections are closed")


if lib.missing_programs():
    check(False, "programs of the local stack: " + " ".join(lib.missing_programs()))
    lib.plan()
with open(os.path.realpath(os.path.join(lib.BIN, "nitroseald")), "rb") as f:
    sanitized = re.search(b"__[at]san_init", f.read()) is not None
the_stack = lib.Stack(log_level="debug").start()
the_client = Client(the_stack)
text(the_stack, the_client)
held_credentials(the_stack, the_client)
in_bytes(the_stack, the_client)
batch(the_stack, the_client)
small_ones(the_stack, the_client)
problems(the_stack, the_client)
check(the_client.sock is not None, "all that on one connection")
the_client.close()
bad_http(the_stack)
connections(the_stack)
gone_midway(the_stack)
limits(the_stack)
too_many(the_stack)
large(the_stack)
without_document(the_stack)
renewed_ahead(the_stack)
log = open(the_stack.log_of("service"), encoding="utf-8").read()
check(the_stack.app.secret not in log and "pipelined" not in log, "neither credentials nor texts in the log")
stopping(the_stack)
lib.plan()
