"""What the tests of the endpoints /v1/messages share."""
import http.client, json, os, socket, urllib.parse

import lib

ENC, DEC, WRAP = "/v1/messages/encrypt", "/v1/messages/decrypt", "/v1/messages/rewrap"


def _ask(stack, cid, method, path, body=None):
    """A small request to its end: (status, body)."""
    c = http.client.HTTPConnection("enclave")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(os.path.join(stack.v, f"{cid}.vsock_{lib.PORT}"))
    c.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    r = c.getresponse()
    got = r.status, r.read().decode()
    c.close()
    return got


def hold(stack, cid=lib.CID):
    return _ask(stack, cid, "PUT", "/v1/credentials", json.dumps(stack.app.seed()))[0]


def metrics(stack, cid=lib.CID):
    """What /metrics says, name and labels as they stand there."""
    lines = _ask(stack, cid, "GET", "/metrics")[1].splitlines()
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}


def encoded(context):
    """Pairs as the service writes them in headers, sorted."""
    quote = lambda s: urllib.parse.quote(s, safe="")
    return sorted(f"{quote(k)}={quote(v)}" for k, v in context.items())


def refused(a, status, code):
    return a.status == status and a.headers.get("content-type") == "application/problem+json" and json.loads(a.body)["code"] == code


def said(a):
    return a.status, a.headers, a.reason, a.trailers, a.body[:300]
