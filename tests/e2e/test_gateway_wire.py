#!/usr/bin/python3
"""`nitroseal gateway` between clients and enclaves that are both played here, so that each byte can be told: what is
forwarded and how it is framed, what is sent again and what is not, health, queues, limits, credentials. TAP."""
import http.client, json, os, random, socket, subprocess, threading, time

import lib
from gatewaylib import Gateway, Played, echo, free_port, read_all
from lib import check

QUICK = ["--health-interval", "200"]
NONE = ["--no-credentials", *QUICK]


def world(serve=None, n=1):
    v = os.path.join(lib.private_folder(), "v")
    os.mkdir(v, 0o700)
    return v, [Played(v, 16 + i, serve) for i in range(n)]


def code_of(answer):
    return answer[0], answer[2].get("code") if isinstance(answer[2], dict) else None


# --- forwarding ----------------------------------------------------------------------------------------------------

def forwarding():
    v, (e,) = world()
    g = Gateway(v, [16], NONE)
    s, h, a = g.ask("POST", "/v1/x?y=z", b"hello", {"X-Mine": "1", "Connection": "keep-alive, X-Hop", "X-Hop": "2", "TE": "trailers", "Keep-Alive": "3"})
    names = [k.lower() for k, _ in a["fields"]]
    check(s == 200 and a["path"] == "/v1/x?y=z" and a["method"] == "POST" and a["body"] == "hello", "a request and its answer", s, a)
    check("x-mine" in names and not {"x-hop", "te", "keep-alive", "connection"} & set(names), "fields of the connection stay behind", names)
    check(names.count("content-length") == 1 and names.count("via") == 1 and h["via"] == "1.1 nitroseal-gateway", "one length, Via both ways", names, h)
    c = g.client()
    for i in range(50):
        c.ask("POST", "/v1/x", b"x" * i)
    check(e.connections < 12 and g.metric("nitroseal_gateway_enclave_connections_total") <= 2, "connections are used again", e.connections)
    s, h, a = c.ask("POST", "/v1/x", iter([b"abc", b"def" * 1000]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    names = [k.lower() for k, _ in a["fields"]]
    check(a["length"] == 3003 and "transfer-encoding" in names and "content-length" not in names, "chunks stay chunks", a["fields"])
    one = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d"
    out = g.raw(b"".join(one % (i % 10) for i in range(40)) + b"GET /v1/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    bodies = [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in out.split(b"HTTP/1.1 200 X\r\n")[1:]]
    check([b["body"] for b in bodies] == [str(i % 10) for i in range(40)] + [""] and bodies[-1]["path"] == "/v1/last", "41 pipelined requests, in order", out[-600:])
    check(out.count(b"connection: close") == 1, "the last answer says that it is the last")
    out = g.raw(b"GET /v1/x HTTP/1.0\r\n\r\n")
    check(b"connection: close\r\n" in out and b'"host"' in out and b"<timeout>" not in out, "HTTP/1.0", out)
    out = g.raw(b"HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check(out.startswith(b"HTTP/1.1 200 OK") and out.endswith(b"\r\n\r\n"), "HEAD of an own page: no body", out)
    out = g.raw(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok", half_close=True)
    check(b'"body": "ok"' in out, "a client that sends no more is answered", out)
    e.serve = lambda w: w.send(b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n") if w.method == "HEAD" else w.answer(200, b"x")
    c = g.client()
    c.request("HEAD", "/v1/x")
    r = c.getresponse()
    check(r.getheader("content-length") == "77" and r.read() == b"" and c.ask("GET", "/v1/x")[2] == b"x", "HEAD of an enclave's: length and no body")
    check(g.stop() == 0, "SIGTERM: status 0")
    return e


def strays():
    """What a service sends after its answer to HEAD is nobody's answer."""
    def serve(w):
        if w.method == "HEAD":
            w.send(b"HTTP/1.1 405 X\r\nContent-Length: 5\r\n\r\n")
            time.sleep(0.3)
            w.send(b"stray")
        else:
            w.answer(200, b"mine")

    v, (e,) = world(serve)
    g = Gateway(v, [16], NONE)
    c = g.client()
    c.request("HEAD", "/v1/x")
    r = c.getresponse()
    r.read()
    answer = g.ask("GET", "/v1/x")
    check(r.status == 405 and answer[0] == 200 and answer[2] == b"mine", "a body after HEAD is not taken for the next client's answer", answer)
    check(g.stop() == 0, "it leaves")


BACK = b'1;nitroseal-error="message_not_authentic"\r\n'


def framing_of_answers():
    def serve(w):
        w.read_body()
        if w.path == "/chunked":
            w.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n")
            for part in (b"abc", b"d" * 70000):
                w.send(b"%x;ext=1\r\n%s\r\n" % (len(part), part))
            w.send(b"0\r\nX-End: yes\r\nContent-Length: 3\r\n\r\n")
        elif w.path == "/close":
            w.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
            return False
        elif w.path == "/hints":
            w.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif w.path == "/cut":
            w.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            return False
        elif w.path == "/cut-chunks":
            w.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            return False
        elif w.path.startswith("/back"):  # and all the same more
            w.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n" + BACK + (b"x\r\n0\r\n\r\n" if w.path == "/back-more" else b""))
            return w.path == "/back-open"
        elif w.path == "/garbage":
            w.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx")
        elif w.path == "/huge-head":
            w.send(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40000 + b"\r\n\r\n")
        elif w.path == "/nothing":
            return False

    v, (e,) = world(serve)
    g = Gateway(v, [16], NONE)
    s, h, b = g.ask("GET", "/chunked")
    check(b == b"abc" + b"d" * 70000 and h["transfer-encoding"] == "chunked", "an answer in chunks")
    out = g.raw(b"GET /chunked HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check(out.endswith(b"\r\n0\r\nX-End: yes\r\n\r\n") and b"ext=1" not in out, "trailers pass, but none about framing; extensions do not", out[-80:])
    out = g.raw(b"GET /chunked HTTP/1.0\r\n\r\n")
    check(out.endswith(b"\r\n\r\nabc" + b"d" * 70000) and b"chunked" not in out, "the same for HTTP/1.0, until the end", out[:200])
    s, h, b = g.ask("GET", "/close")
    check(b == b"until the end" and h["transfer-encoding"] == "chunked", "an answer until the end becomes chunks", h)
    s, h, b = g.ask("GET", "/hints")
    check(s == 200 and b == b"ok", "interim answers that nobody asked for stay behind", s)
    for path in ("/cut", "/cut-chunks"):
        try:
            g.ask("GET", path)
            check(False, path + ": the client notices")
        except (http.client.IncompleteRead, ConnectionResetError) as x:
            check(True, path + ": the client notices that the answer is not whole", x)
    for path in ("/back", "/back-more", "/back-open"):
        out = g.raw(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        check(out.endswith(b"4\r\nhalf\r\n" + BACK), path + ": taken back with its reason, and the end", out)
    s, h, b = g.ask("GET", "/hints")
    check(s == 200 and b == b"ok", "the next answer is another one's", s, b)
    out = g.raw(b"POST /v1/messages/decrypt HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
    check(out.startswith(b"HTTP/1.1 400 ") and b"Messages need HTTP/1.1" in out, "messages are not for HTTP/1.0, which could not see that", out)
    check(code_of(g.ask("GET", "/garbage")) == (502, "enclave_failed"), "an answer with two lengths: 502")
    check(code_of(g.ask("GET", "/huge-head")) == (502, "enclave_failed"), "an answer with an endless head: 502")
    check(code_of(g.ask("GET", "/nothing")) == (502, "enclave_failed"), "no answer on a new connection: 502, not sent again")
    check(e.heads.count(e.heads[-1]) == 1, "it came once")
    check(g.metric("nitroseal_gateway_failures_total", reason="broken") == 5, "they are counted")
    check(g.stop() == 0, "it leaves")


# --- bodies that take their time -----------------------------------------------------------------------------------

def flow():
    told, go_on = {"sent": 0}, threading.Event()

    def serve(w):
        if w.path == "/expect":
            time.sleep(0.2)
            w.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            w.answer(200, w.read_body())
        elif w.path == "/no":
            w.answer(413, b"no", "Connection: close\r\n")
            return False
        elif w.path == "/duplex":  # answers while the request still comes
            w.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in w.chunks():
                w.send(b"%x\r\n%s\r\n" % (len(part), part.upper()))
            w.send(b"0\r\n\r\n")
        elif w.path == "/sink":
            n = 0
            if "content-length" in w.headers:
                left = int(w.headers["content-length"]) - len(w.rest)
                while left > 0:
                    left -= len(w.s.recv(1 << 20))
                w.rest = b""
            else:
                for part in w.chunks():
                    n += len(part)
            w.answer(200, b"done")
        elif w.path == "/source":
            n = int(w.headers["x-bytes"])
            w.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
            while n > 0:
                part = b"s" * min(n, 1 << 20)
                w.send(part)
                n -= len(part)
                told["sent"] += len(part)
        elif w.path == "/slow-sink":
            go_on.wait(60)
            told["slow"] = len(w.read_body())
            w.answer(200, b"slow")
        elif w.path == "/cut-request":
            try:
                w.read_body()
                told["cut"] = "whole"
            except ValueError:
                told["cut"] = "cut"
            return False

    v, (e,) = world(serve)
    g = Gateway(v, [16], NONE)
    with g.connect() as s:
        s.sendall(b"POST /expect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        t = time.monotonic()
        first = s.recv(1000)
        check(first.startswith(b"HTTP/1.1 100 Continue") and time.monotonic() - t > 0.15, "100-continue is the enclave's to say", first)
        s.sendall(b"hello")
        check(s.recv(1000).endswith(b"hello"), "the body follows")
    with g.connect() as s:
        s.sendall(b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 300000)
        out = read_all(s)
        check(out.startswith(b"HTTP/1.1 413") and b"connection: close" in out and out.endswith(b"no"), "an answer before the body's end reaches the client", out[:300])
    with g.connect() as s:
        s.sendall(b"POST /duplex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        got = b""
        while b"ABC" not in got:
            got += s.recv(1000)
        s.sendall(b"3\r\ndef\r\n")
        while b"DEF" not in got:
            got += s.recv(1000)
        s.sendall(b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got += read_all(s)
        check(got.count(b"HTTP/1.1 200") == 2 and got.endswith(b"}"), "both directions at the same time; the connection lives on", got[-300:])
    before = g.resident()
    peak = before
    body, size = b"z" * (1 << 20), 512
    c = g.client()
    c.putrequest("POST", "/sink")
    c.putheader("Content-Length", str(size << 20))
    c.endheaders()
    t = time.monotonic()
    for i in range(size):
        c.send(body)
        if i % 32 == 0:
            peak = max(peak, g.resident())
    check(c.getresponse().read() == b"done", f"a body of {size} MiB")
    rate = size / (time.monotonic() - t)
    check(peak - before < 4 << 20, "memory does not grow with it", before, peak)
    print(f"# {size} MiB with a length: {rate:.0f} MiB/s, resident +{(peak - before) >> 10} KiB")
    c.putrequest("POST", "/sink")
    c.putheader("Transfer-Encoding", "chunked")
    c.endheaders()
    for i in range(128):
        c.send(b"100000\r\n" + body + b"\r\n")
        peak = max(peak, g.resident())
    c.send(b"0\r\n\r\n")
    check(c.getresponse().read() == b"done" and peak - before < 4 << 20, "128 MiB in chunks: nor here", before, peak)
    c.request("GET", "/source", headers={"X-Bytes": str(256 << 20)})
    r = c.getresponse()
    time.sleep(1)
    stalled = told["sent"]
    peak = g.resident()
    check(stalled < 8 << 20 and peak - before < 4 << 20, "a client that does not read holds the enclave back, not the memory", stalled, peak - before)
    n = 0
    while part := r.read(1 << 20):
        n += len(part)
    check(n == 256 << 20, "and gets all of it once it reads", n)
    with g.connect() as s:
        s.settimeout(0.3)
        s.sendall(b"POST /slow-sink HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n")
        sent = 0
        try:
            while sent < 16 << 20:
                sent += s.send(body)
        except socket.timeout:
            pass
        check(sent < 16 << 20, "an enclave that does not read holds the client back", sent)
        go_on.set()
        s.settimeout(60)
        s.sendall(b"z" * ((16 << 20) - sent))
        check(b"slow" in s.recv(1000) and told["slow"] == 16 << 20, "nothing of it is lost")
    out = g.raw(b"POST /cut-request HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", half_close=True)
    check(out.startswith(b"HTTP/1.1 400") and b"before its body did" in out and lib.until(lambda: told.get("cut")) == "cut", "a request that is cut: 400, and cut for the enclave", out)
    out = g.raw(b"POST /cut-request HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX")
    check(out.startswith(b"HTTP/1.1 400"), "chunks that are broken: 400", out)
    check(lib.until(lambda: g.metric("nitroseal_gateway_in_flight") == 0), "nothing stays in flight")
    check(g.stop() == 0, "it leaves")


# --- another try ---------------------------------------------------------------------------------------------------

def retries():
    kill = {"next": False}

    def serve(w):
        body = w.read_body()
        if kill["next"]:  # as a service that ends between two requests
            kill["next"] = False
            return False
        w.answer(200, b"%d" % len(body))

    v, (e,) = world(serve)
    g = Gateway(v, [16], ["--no-credentials", "--health-interval", "60000"])  # none while the service is away for a moment
    c = g.client()
    c.ask("POST", "/v1/x", b"a")
    kill["next"] = True
    n = len(e.heads)
    s, h, b = c.ask("POST", "/v1/x", b"b" * 60000)
    check(s == 200 and b == b"60000" and len(e.heads) == n + 2, "a kept connection that was closed: sent again, whole", s, b)
    check(g.metric("nitroseal_gateway_retries_total") == 1, "and counted")
    kill["next"] = True
    answer = c.ask("POST", "/v1/x", b"b" * 70000)
    check(code_of(answer) == (502, "enclave_failed"), "more than 64 KiB of body: not kept, so not sent again", answer)
    c.ask("POST", "/v1/x", b"a")
    # The whole service is gone, with the connections it had, and back at once.
    for _ in range(5):
        e.die()
        e.open()
        s, h, b = c.ask("POST", "/v1/x", b"ab")
        if s != 200:
            break
    check(s == 200, "a service that was started anew between two requests: no request notices", s, b)
    check(g.stop() == 0, "it leaves")

    state = {"busy": set(), "calls": []}

    def refusing(cid):
        def serve(w):
            w.read_body()
            state["calls"].append(cid)
            if cid in state["busy"]:
                w.answer(503, json.dumps({"type": "urn:nitroseal:error:busy", "status": 503, "code": state.get("code", "busy")}).encode(), "Retry-After: 1\r\n")
            else:
                w.answer(200, b"%d" % cid)
        return serve

    v, es = world(n=2)
    for i, e in enumerate(es):
        e.serve = refusing(16 + i)
    g = Gateway(v, [16, 17], NONE)
    c = g.client()
    got = {c.ask("POST", "/v1/x", b"a")[2] for _ in range(10)}
    check(got == {b"16", b"17"}, "equals take turns", got)
    state["busy"], state["calls"] = {16}, []
    got = [c.ask("POST", "/v1/x", b"a") for _ in range(6)]
    check(all(a[2] == b"17" for a in got) and 16 in state["calls"], "a busy one's request goes to the other", got)
    check(all(w.connections < 40 for w in es), "without new connections", [w.connections for w in es])
    state["busy"], state["calls"] = {16, 17}, []
    answer = c.ask("POST", "/v1/x", b"a")
    check(code_of(answer) == (503, "busy") and sorted(state["calls"]) == [16, 17] and answer[1]["retry-after"] == "1", "both busy: asked once each, the refusal is theirs", answer, state)
    state["code"] = "kms_unavailable"
    state["calls"] = []
    answer = c.ask("POST", "/v1/x", b"a")
    check(code_of(answer) == (503, "kms_unavailable") and len(state["calls"]) == 1, "another reason: one try", answer, state)
    state["busy"], state["code"] = {16}, "nsm_failed"
    got = [c.ask("POST", "/v1/x", b"a")[2] for _ in range(8)]
    check(set(got) == {b"17"}, "one without an attestation document: the other is asked", got)
    state["busy"], state["code"] = {16}, "stopping"
    got = [c.ask("POST", "/v1/x", b"a")[2] for _ in range(8)]
    check(set(got) == {b"17"}, "one that stops is left out", got)
    check(g.stop() == 0, "it leaves")


# --- health --------------------------------------------------------------------------------------------------------

def health():
    v, es = world(n=2)
    for i, e in enumerate(es):
        e.serve = (lambda cid: lambda w: (w.read_body(), w.answer(200, b"%d" % cid)) and None)(16 + i)
    g = Gateway(v, [16, 17, 99], NONE)
    check(g.metric("nitroseal_gateway_enclave_up", enclave="16:5000") == 1 and g.metric("nitroseal_gateway_enclave_up", enclave="99:5000") == 0,
          "one that is not there is down from the start")
    s, h, b = g.ask("GET", "/healthz")
    check(s == 200 and b == {"status": "ok", "enclaves": 3, "usable": 2}, "/healthz", s, b)
    es[0].healthy = False
    lib.until(lambda: g.metric("nitroseal_gateway_enclave_up", enclave="16:5000") == 0, what="16 is found ill")
    c = g.client()
    check({c.ask("GET", "/v1/x")[2] for _ in range(6)} == {b"17"}, "an ill one gets nothing")
    es[1].die()
    answer = c.ask("GET", "/v1/x")
    check(answer[0] in (502, 503) and answer[2]["code"] in ("enclave_unreachable", "no_enclave"), "nobody left: refused", answer)
    answer = c.ask("GET", "/v1/x")
    check(code_of(answer) == (503, "no_enclave") and answer[1]["retry-after"] == "1", "then at once, with Retry-After", answer)
    check(code_of(c.ask("GET", "/healthz")) == (503, "no_enclave"), "/healthz says so")
    with g.connect() as s:
        s.sendall(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        time.sleep(0.3)
        s.sendall(b"helloGET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        out = read_all(s)
        check(out.count(b"HTTP/1.1 503") == 2 and out.count(b"connection: close") == 1, "a small body is taken before it is refused, and the connection stays", out)
    with g.connect() as s:
        s.sendall(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n")
        out = read_all(s)
        check(out.count(b"HTTP/1.1 503") == 1 and b"connection: close" in out, "a larger one is not waited for", out)
    es[0].healthy = True
    check(lib.until(lambda: c.ask("GET", "/v1/x")[2] == b"16"), "one that is well again is taken back")
    es[1].open()
    check(lib.until(lambda: {c.ask("GET", "/v1/x")[2] for _ in range(4)} == {b"16", b"17"}), "and so is one that was started again")
    check(c.ask("GET", "/enclaves/17/healthz")[2] == {"status": "ok"}, "an enclave's own page")
    check(code_of(c.ask("GET", "/enclaves/98/healthz")) == (404, "not_found"), "of one that is not known: 404")
    check(code_of(c.ask("GET", "/enclaves/99/healthz")) == (502, "enclave_unreachable"), "of one that is not there: 502")
    check(g.stop() == 0, "it leaves")


def load_is_shared():
    gate, lock, running, most = threading.Event(), threading.Lock(), {16: 0, 17: 0}, {16: 0, 17: 0}

    def slow(cid):
        def serve(w):
            w.read_body()
            with lock:
                running[cid] += 1
                most[cid] = max(most[cid], running[cid])
            gate.wait(100)
            with lock:
                running[cid] -= 1
            w.answer(200, b"%d" % cid)
        return serve

    v, es = world(n=2)
    for i, e in enumerate(es):
        e.serve = slow(16 + i)
    limits = [*NONE, "--max-running", "3", "--max-waiting", "2"]
    g = Gateway(v, [16, 17], [*limits, "--wait-timeout", "60000"])
    answers = []

    def one():
        answers.append(g.ask("POST", "/v1/x", b"a"))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for t in threads:
        t.start()
    lib.until(lambda: running == {16: 3, 17: 3}, what="six requests at work")
    check(most == {16: 3, 17: 3}, "six requests: three each", most)
    late = [threading.Thread(target=one) for _ in range(2)]
    for t in late:
        t.start()
    lib.until(lambda: g.metric("nitroseal_gateway_waiting") == 2, what="two wait")
    answer = g.ask("POST", "/v1/x", b"a")
    check(code_of(answer) == (503, "busy") and "wait" in answer[2]["detail"] and answer[1]["retry-after"] == "1", "past the queue: refused at once", answer)
    gate.set()
    for t in threads + late:
        t.join()
    check(len(answers) == 8 and all(a[0] == 200 for a in answers) and most == {16: 3, 17: 3}, "the others are served, never more than three at one", most)
    check(g.stop() == 0, "it leaves")

    gate.clear()
    answers.clear()
    g = Gateway(v, [16, 17], [*limits, "--wait-timeout", "700"])
    threads = [threading.Thread(target=one) for _ in range(6)]
    for t in threads:
        t.start()
    lib.until(lambda: running == {16: 3, 17: 3}, what="six requests at work")
    t = time.monotonic()
    vain = [g.ask("POST", "/v1/x", b"a") for _ in range(2)]
    check(all(code_of(a) == (503, "busy") for a in vain) and 1.4 <= time.monotonic() - t < 9, "those that wait in vain are refused, too", vain)
    gate.set()
    for t in threads:
        t.join()
    check(g.stop() == 0, "it leaves")


def turns():
    """A client that has sent many requests already waits behind one that came meanwhile."""
    def serve(w):
        w.read_body()
        time.sleep(0.02)
        w.answer(200, b"x")

    v, (e,) = world(serve)
    g = Gateway(v, [16], [*NONE, "--max-running", "1"])
    with g.connect() as s:
        s.sendall(b"GET /v1/many HTTP/1.1\r\nHost: a\r\n\r\n" * 60)
        lib.until(lambda: len(e.heads) >= 3, what="the first of many")
        before = len(e.heads)
        answer = g.ask("GET", "/v1/one")
        place = next(i for i, h in enumerate(e.heads) if b"/v1/one" in h)
        check(answer[0] == 200 and place - before <= 3, "a request that waits is next, before what another client has sent ahead", place, before)
        lib.until(lambda: len(e.heads) == 61, what="all")
    check(g.stop() == 0, "it leaves")


# --- limits and hostile clients ------------------------------------------------------------------------------------

def limits():
    v, (e,) = world()
    g = Gateway(v, [16], [*NONE, "--max-connections", "64", "--read-timeout", "600", "--idle-timeout", "900", "--write-timeout", "800",
                          "--answer-timeout", "700"])
    t = time.monotonic()
    out = g.raw(b"POST /v1/x HTTP/1.1\r\nHo")
    check(out.startswith(b"HTTP/1.1 408") and b"connection: close" in out and time.monotonic() - t < 9, "half a head: 408", out)
    out = g.raw(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
    check(out.startswith(b"HTTP/1.1 408"), "half a body: 408", out)
    e.die()
    lib.until(lambda: g.metric("nitroseal_gateway_enclave_up") == 0, what="it is down")
    out = g.raw(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
    check(out.startswith(b"HTTP/1.1 503") and b"connection: close" in out, "half a body of a request that is refused: not waited for longer", out)
    e.open()
    lib.until(lambda: g.metric("nitroseal_gateway_enclave_up") == 1, what="it is up")
    t = time.monotonic()
    out = g.raw(b"")
    check(out == b"" and 0.5 < time.monotonic() - t < 15, "nothing: closed when idle for too long", out)
    with g.connect() as s:  # a head that drips has one limit for all of it
        t = time.monotonic()  # (10 s are usual)
        s.settimeout(0.02)
        got = b""
        for byte in b"GET /v1/x HTTP/1.1\r\nHost: " + b"a" * 2000:
            try:
                s.sendall(bytes([byte]))
            except OSError:
                pass  # it has ended; what it said is still there
            try:
                got = s.recv(1000)
                break
            except socket.timeout:
                pass
        check(got.startswith(b"HTTP/1.1 408") and time.monotonic() - t < 9, "a head that drips is not waited for", got)
    out = g.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 16384 + b"\r\n\r\n")
    check(out.startswith(b"HTTP/1.1 431"), "a head past 16 KiB: 431", out[:100])
    head = b"GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: %s\r\n\r\n"
    out = g.raw(head % (b"y" * (16384 - len(head) + 2)))
    check(out.startswith(b"HTTP/1.1 200"), "of 16 KiB exactly: served", out[:100])
    out = g.raw(head % (b"y" * (16384 - len(head) + 3)))
    check(out.startswith(b"HTTP/1.1 431"), "one byte more: 431", out[:100])
    e.serve = lambda w: time.sleep(3) and None
    check(code_of(g.ask("GET", "/v1/x")) == (504, "enclave_timeout"), "an enclave that is silent: 504")
    out = g.raw(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
    check(out.startswith(b"HTTP/1.1 504") and b"enclave_timeout" in out, "one that never says to go on is the one that is late: 504", out)

    def endless(w):
        w.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        w.send(b"x" * 100000000)
    e.serve = endless
    s = g.connect()
    s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
    check(lib.until(lambda: g.metric("nitroseal_gateway_in_flight") == 0), "a client that never reads is given up")
    s.close()
    check(g.stop() == 0, "it leaves")
    e.serve = echo
    g = Gateway(v, [16], [*NONE, "--max-connections", "64"])
    c = g.client()  # one of them all the time
    connections = lambda: float(c.ask("GET", "/metrics")[2].split(b"\nnitroseal_gateway_connections ")[1].split()[0])
    lib.until(lambda: connections() == 1, what="others are gone")
    held = [g.connect() for _ in range(63)]
    check(lib.until(lambda: connections() == 64), "as many connections as there may be")
    out = g.raw(b"")
    check(out.startswith(b"HTTP/1.1 503") and b'"busy"' in out, "a connection too many: told so", out)
    for s in held:
        s.close()
    c.close()
    check(lib.until(lambda: g.listens() and g.ask("GET", "/v1/x")[0] == 200), "then there is room again")
    check(g.metric("nitroseal_gateway_connections_refused_total") >= 1, "counted")
    check(g.stop() == 0, "it leaves")


SMUGGLED = [
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length : 35\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\n Content-Length: 33\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX: a\nContent-Length: 33\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: +33\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/v1/evil HTTP/1.1\r\nHost: b\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"{\"operation\":\"encrypt\"}",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def hostile():
    v, (e,) = world()
    g = Gateway(v, [16], [*NONE, "--read-timeout", "500"])
    fds = g.descriptors()
    for i, text in enumerate(SMUGGLED):
        out = g.raw(text)
        check(out[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 431") and out.count(b"HTTP/1.1 ") == 1, f"smuggling {i}: refused once, and the end", text, out)
    check(not any(b"/v1/evil" in h for h in e.heads), "nothing of it reached the enclave", [h for h in e.heads if b"evil" in h])
    rng = random.Random(7)
    good = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    served = 0
    for i in range(300):
        if i % 3 == 0:
            data = bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
        else:
            data = bytearray(good)
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with g.connect() as s:
            try:
                s.sendall(data)
                if i % 2:
                    s.shutdown(socket.SHUT_WR)
                    read_all(s)
            except OSError:
                pass
        if i % 50 == 0:
            served += g.ask("POST", "/v1/x", b"ok")[0] == 200
    check(g.program.alive() and served == 6, "300 broken requests: it serves on", served)
    for _ in range(100):  # they leave in the middle
        s = g.connect()
        s.sendall(good[:rng.randrange(len(good))] if rng.random() < 0.5 else good)
        s.close()
    check(lib.until(lambda: g.metric("nitroseal_gateway_in_flight") == 0 and g.metric("nitroseal_gateway_connections") <= 1), "those that left are forgotten")
    check(lib.until(lambda: g.descriptors() <= fds + 40), "descriptors come back", fds, g.descriptors())
    check(g.stop() == 0, "it leaves")


# --- credentials ---------------------------------------------------------------------------------------------------

def credentials():
    v, (e,) = world()
    folder = os.path.dirname(v)
    count, fail = os.path.join(folder, "count"), os.path.join(folder, "fail")
    program = os.path.join(folder, "credentials")
    with open(program, "w") as f:
        f.write(f"""#!/usr/bin/python3
import datetime, json, os, sys
if os.path.exists({fail!r}):
    sys.exit(1)
n = int(open({count!r}).read()) + 1 if os.path.exists({count!r}) else 1
open({count!r}, "w").write(str(n))
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
print(json.dumps({{"Version": 1, "AccessKeyId": f"AKIDROTATED{{n}}", "SecretAccessKey": f"very/secret+{{n}}", "SessionToken": f"token-{{n}}",
                  "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")}}))
""")
    os.chmod(program, 0o700)
    config = os.path.join(folder, "config")
    with open(config, "w") as f:
        f.write(f"[default]\ncredential_process = {program}\n")
    env = {"AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    log = os.path.join(folder, "log")
    g = Gateway(v, [16], QUICK, env=env, log=log)
    first = e.credentials[0]
    check(first["access_key_id"] == "AKIDROTATED1" and first["secret_access_key"] == "very/secret+1" and first["session_token"] == "token-1"
          and first["expiration"].endswith("Z"), "given before the first request is taken", first)
    check(code_of(g.ask("PUT", "/v1/credentials", first)) == (403, "credentials_refused") and len([c for c in e.credentials if c == first]) == 1,
          "a client cannot give others")
    check(lib.until(lambda: len({c["access_key_id"] for c in e.credentials}) >= 3), "replaced before they end, again and again", e.credentials)
    open(fail, "w").close()
    check(lib.until(lambda: g.metric("nitroseal_gateway_credential_fetches_total", result="failed") >= 2), "fetches that fail are counted, and tried again")
    check("no credentials" in g.program.text() and "exit status 1" in g.program.text(), "and told in the log")
    os.unlink(fail)
    n = len(e.credentials)
    check(lib.until(lambda: len(e.credentials) > n), "until they work")
    e.die()
    lib.until(lambda: g.metric("nitroseal_gateway_enclave_up", enclave="16:5000") == 0, what="it is gone")
    check(g.metric("nitroseal_gateway_credentials_age_seconds") == 0, "one that is gone has none")
    n = len(e.credentials)
    e.open()
    check(lib.until(lambda: g.ask("GET", "/v1/x")[0] == 200) and len(e.credentials) > n, "one that comes back has them before its first request")
    e.refuse_credentials = True
    check(lib.until(lambda: g.metric("nitroseal_gateway_credential_pushes_total", result="failed") >= 2), "one that takes none: counted, tried again")
    e.refuse_credentials = False
    n = len(e.credentials)
    g.program.signal(1)
    check(lib.until(lambda: len(e.credentials) > n), "SIGHUP fetches")
    check(g.stop() == 0, "it leaves")
    text = g.program.text()
    check("AKIDROTATED" not in text and "very/secret" not in text and "token-" not in text, "nothing of them in the log")
    g = Gateway(v, [16], QUICK, env={"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}, log=log)
    check(g.ask("GET", "/v1/x")[0] == 200 and g.metric("nitroseal_gateway_credentials_held") == 0, "none to be had: it serves all the same, and says so")
    check(g.stop() == 0, "it leaves")
    v, (e,) = world()
    g = Gateway(v, [16], NONE)
    check(not e.credentials and g.metric("nitroseal_gateway_credential_fetches_total") == 0, "--no-credentials: none are looked for")
    check(code_of(g.ask("PUT", "/v1/credentials", first)) == (403, "credentials_refused"), "and a client still cannot give any")
    check(g.stop() == 0, "it leaves")


def credentials_that_stay():
    """Asked for once more, there are no others yet, and these are good for long: that is no reason to ask again and again."""
    v, (e,) = world()
    folder = os.path.dirname(v)
    count, config, program = (os.path.join(folder, n) for n in ("count", "config", "credentials"))
    with open(program, "w") as f:
        f.write(f"#!/bin/sh\necho >> {count}\n"
                'echo \'{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}\'\n')
    os.chmod(program, 0o700)
    with open(config, "w") as f:
        f.write(f"[default]\ncredential_process = {program}\n")
    g = Gateway(v, [16], QUICK, env={"AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"})
    asked = lambda: os.path.getsize(count)
    check(asked() == 1 and e.credentials, "asked for once", asked())
    g.program.signal(1)
    lib.until(lambda: asked() == 2, what="SIGHUP asks")
    time.sleep(2.5)
    check(asked() == 2, "on SIGHUP once more, and then not before they end", asked())
    check(g.stop() == 0, "it leaves")


# --- as a service --------------------------------------------------------------------------------------------------

def usage():
    for argv, text in ((["--listen", "0.0.0.0:80"], "loopback"), (["--listen", "[::]:80"], "loopback"), (["--listen", "10.0.0.1:80"], "loopback"),
                       (["--listen", "example.com:80"], "--listen example.com:80"), (["--listen", "80"], "--listen 80"), (["--listen", "unix:"], "--listen unix:"),
                       (["--enclave", "x"], "not CID"), (["--enclave", "2"], "not CID"), (["--enclave", "16:0"], "not CID"),
                       (["--enclave", "16", "--enclave", "16:5000"], "given twice"), (["--max-running", "0"], "--max-running"),
                       (["--log-level", "x"], "--log-level"), (["surplus"], "surplus")):
        status, out, err = lib.run("nitroseal", "gateway", *argv, env={"NITROSEAL_VSOCK": "unix:/tmp"})
        check(status == 2 and text in err and not out, "gateway " + " ".join(argv) + ": usage", status, err)


def systemd():
    v, (e,) = world()
    folder = os.path.dirname(v)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, socket.socket(socket.AF_UNIX) as listening:
        notify.bind(folder + "/notify")
        notify.settimeout(60)
        listening.bind(folder + "/given")
        listening.listen(8)
        # bash puts the socket at 3 and its own pid, which the program keeps, into LISTEN_PID.
        script = f'exec 3<&{listening.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        p = subprocess.Popen(["bash", "-c", script, "-", os.path.join(lib.BIN, "nitroseal"), "gateway", "--enclave", "16", *NONE],
                             env={**lib.CLEAN, "NOTIFY_SOCKET": folder + "/notify", "NITROSEAL_VSOCK": "unix:" + v}, pass_fds=[listening.fileno()],
                             stderr=subprocess.DEVNULL)
        try:
            check(notify.recv(100) == b"READY=1", "READY=1 once requests are taken")
            check(not os.path.exists("/run/nitroseal/gateway.sock"), "systemd's socket in place of the default")
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(folder + "/given")
                s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                check(read_all(s).startswith(b"HTTP/1.1 200"), "it serves there")
            p.terminate()
            check(notify.recv(100) == b"STOPPING=1" and p.wait(60) == 0, "STOPPING=1, and the end")
        finally:
            p.kill()
            p.wait()


def graceful():
    started, go_on = threading.Event(), threading.Event()

    def serve(w):
        body = w.read_body()
        started.set()
        go_on.wait(60)
        w.answer(200, body)

    v, (e,) = world(serve)
    sock = os.path.join(os.path.dirname(v), "gw.sock")
    g = Gateway(v, [16], NONE, unix=sock)
    check(oct(os.stat(sock).st_mode)[-3:] == "600", "a Unix socket for its owner")
    idle, answers = g.connect(), []
    t = threading.Thread(target=lambda: answers.append(g.ask("POST", "/v1/x", b"last")))
    t.start()
    started.wait(60)
    g.program.signal(15)
    check(lib.until(lambda: not g.listens() and not os.path.exists(sock)), "no new connections after SIGTERM")
    check(idle.recv(10) == b"", "idle ones are closed")
    check(not answers and g.program.alive(), "what runs is waited for")
    go_on.set()
    t.join()
    check(answers and answers[0][2] == b"last" and answers[0][1]["connection"] == "close", "what runs is answered", answers)
    check(g.program.p.wait(30) == 0, "then it leaves")

    def never(w):
        started.set()
        time.sleep(100)
    e.serve = never
    started.clear()
    g = Gateway(v, [16], [*NONE, "--stop-timeout", "500"])
    t = threading.Thread(target=lambda: g.raw(b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"), daemon=True)
    t.start()
    started.wait(60)
    check(g.stop(14) == 0, "what does not end is not waited for longer than --stop-timeout")


def main():
    missing = lib.missing_programs(["nitroseal"])
    if missing:
        lib.skip_all("no " + " ".join(missing))
    for part in (usage, forwarding, strays, framing_of_answers, flow, retries, health, load_is_shared, turns, limits, hostile, credentials, credentials_that_stay, systemd, graceful):
        start = time.monotonic()
        part()
        print(f"# {part.__name__}: {time.monotonic() - start:.1f} s", flush=True)
    lib.plan()


main()
