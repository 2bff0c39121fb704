"""What the tests of the local KMS as a server share: starting it with any options, raw connections, requests signed in
the query."""
import base64, datetime, hashlib, hmac, http.client, json, os, socket, ssl, urllib.parse

import lib

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}


def admin_of(name="admin", policies=(EVERYTHING,)):
    return lib.Principal(name, "AKID" + name.upper().ljust(16, "0")[:16], base64.b64encode(os.urandom(30)).decode(),
                         policies=list(policies))


class Server:
    """A nitroseal-kms with its own folder; `people` are written as the JSON list unless `principals` names a file."""

    def __init__(self, folder, people=(), options=(), principals=None, state="kms", log="log"):
        self.state, self.log = os.path.join(folder, state), os.path.join(folder, log)
        self.principals = principals or os.path.join(folder, "principals.json")
        if people:
            self.write(json.dumps([p.entry() for p in people]))
        self.options, self.listen, self.program = list(options), "127.0.0.1:0", None

    def write(self, text, mode=0o600):
        with open(self.principals, "w") as f:
            f.write(text)
        os.chmod(self.principals, mode)

    def argv(self, *more):
        who = [] if "--accept-any-credentials" in self.options else ["--principals", self.principals]
        return ["--state", self.state, "--listen", self.listen, *who, *self.options, *more]

    def start(self, *more, wait=True):
        port = os.path.join(self.state, "port")
        if os.path.exists(port):
            os.unlink(port)
        self.program = lib.Program("nitroseal-kms", self.argv(*more), log=self.log)
        if wait:
            lib.until(lambda: not self.program.alive() or (os.path.exists(port) and open(port).read().strip()), what="nitroseal-kms")
            if not self.program.alive():
                raise RuntimeError(self.text())
            self.kms = lib.Kms(self.state)
            self.port = self.kms.port
            self.listen = f"127.0.0.1:{self.port}"  # the same after a restart
        return self

    def text(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def call(self, who, operation, **params):
        return self.kms.call(who, operation, **params)

    def fault(self, who, operation, **params):
        try:
            return "", self.call(who, operation, **params)
        except lib.KmsError as e:
            return e.type, e.message

    def tls(self):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return ssl.create_default_context(cafile=self.kms.ca).wrap_socket(raw, server_hostname="localhost")


def request_bytes(who, port, operation, body, host="localhost"):
    headers = lib.sign(who, f"{host}:{port}", "TrentService." + operation, body)
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    return f"POST / HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def plain_call(port, who, operation, host=None, **params):
    """Over plain HTTP, as behind a proxy that ends TLS."""
    body = json.dumps(params).encode()
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        c.request("POST", "/", body, lib.sign(who, host or f"127.0.0.1:{port}", "TrentService." + operation, body))
        r = c.getresponse()
        answer = json.loads(r.read() or b"{}")
    finally:
        c.close()
    if r.status != 200:
        raise lib.KmsError(r.status, answer)
    return answer


def get(port, target, tls_ca=None):
    c = (http.client.HTTPSConnection("127.0.0.1", port, timeout=15, context=ssl.create_default_context(cafile=tls_ca)) if tls_ca
         else http.client.HTTPConnection("127.0.0.1", port, timeout=15))
    try:
        c.request("GET", target)
        r = c.getresponse()
        return r.status, r.read().decode()
    finally:
        c.close()


def presign(who, host, target, body, expires=60, now=None, region=lib.REGION):
    """(query, headers) of a POST to / that is signed in its query, by the book."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/kms/aws4_request"
    headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-target": target}
    names = ";".join(sorted(headers))
    q = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{who.id}/{scope}", "X-Amz-Date": stamp,
         "X-Amz-Expires": str(expires), "X-Amz-SignedHeaders": names}
    if who.token:
        q["X-Amz-Security-Token"] = who.token
    quote = lambda s: urllib.parse.quote(s, safe="-_.~")
    canonical_query = "&".join(f"{quote(k)}={quote(q[k])}" for k in sorted(q))
    lines = "".join(f"{k}:{headers[k]}\n" for k in sorted(headers))
    canonical = "\n".join(["POST", "/", canonical_query, lines, names, hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + who.secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return canonical_query + "&X-Amz-Signature=" + hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest(), headers


def presigned_call(server, who, operation, params, **how):
    body = json.dumps(params).encode()
    query, headers = presign(who, f"127.0.0.1:{server.port}", "TrentService." + operation, body, **how)
    c = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=15, context=ssl.create_default_context(cafile=server.kms.ca))
    try:
        c.request("POST", "/?" + query, body, headers)
        r = c.getresponse()
        answer = json.loads(r.read() or b"{}")
    finally:
        c.close()
    return r.status, answer
