#!/usr/bin/python3
"""The credential chain of `nitroseal`: credential_process, container endpoints and IMDSv2, each against a small
server on loopback that behaves as the real one: refusals, slow answers, wrong clocks. What arrives at the enclave is
read by the service of seed/seed.py. TAP."""
import hashlib, hmac, http.server, json, os, re, ssl, subprocess, threading, time, urllib.parse

import lib
import seed
from lib import check

FUTURE, PAST = "2099-01-02T03:04:05Z", "2020-01-02T03:04:05Z"
# As lib.CLEAN, but IMDS is asked where a test names an endpoint of its own.
ON = {"AWS_EC2_METADATA_DISABLED": "false"}


def keys(name, expiration=FUTURE, **more):
    return {"AccessKeyId": "AKID" + name, "SecretAccessKey": "secret/" + name, "Token": "token+" + name, "Expiration": expiration, **more}


class Endpoint:
    """Answers by a table: (method, path) -> (status, body) or a function of the headers; `delay` before each."""

    def __init__(self, table, tls=None):
        self.seen, self.delay = [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                outer.seen.append((self.command, self.path, dict(self.headers)))
                time.sleep(outer.delay)
                found = table.get((self.command, self.path), (404, "nothing here"))
                status, body = found({k.lower(): v for k, v in self.headers.items()}) if callable(found) else found
                data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
                try:
                    self.send_response(status)
                    if outer.chunked:
                        self.send_header("Transfer-Encoding", "chunked")
                        self.end_headers()
                        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
                    else:
                        self.send_header("Content-Length", str(len(data)))
                        self.end_headers()
                        self.wfile.write(data)
                except OSError:
                    pass

            do_GET = do_PUT = answer

            def log_message(self, *_):
                pass

        self.chunked = False
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path="", scheme="http", host="127.0.0.1"):
        return f"{scheme}://{host}:{self.port}{path}"


class World:
    def __init__(self):
        self.dir = lib.private_folder()
        self.service = seed.Service(self.dir, 21, 5000, os.urandom(32))
        self.base = {"NITROSEAL_VSOCK": "unix:" + self.dir, "NITROSEAL_CID": "21", "HOME": self.dir}
        os.makedirs(self.dir + "/.aws")

    def files(self, credentials="", config=""):
        for name, text in (("credentials", credentials), ("config", config)):
            with open(f"{self.dir}/.aws/{name}", "w") as f:
                f.write(text)

    def encrypt(self, env, *options):
        """(status, stderr, credentials that arrived, seconds)."""
        before, start = len(self.service.requests), time.monotonic()
        status, _, err = lib.run("nitroseal", "encrypt", *options, "text", env={**self.base, **env})
        sent = self.service.requests[-1]["credentials"] if len(self.service.requests) > before else None
        return status, err, sent, time.monotonic() - start

    def gets(self, name, title, env, *options):
        status, err, sent, took = self.encrypt(env, *options)
        check(status == 0 and sent == {"access_key_id": "AKID" + name, "secret_access_key": "secret/" + name,
                                       "session_token": "token+" + name}, title, status, err, sent)
        return took

    def refuses(self, title, env, *words, options=()):
        status, err, sent, took = self.encrypt(env, *options)
        check(status == 7 and sent is None and all(w in err for w in words) and "secret/" not in err and len(err.splitlines()) == 1,
              title, status, err, sent)
        return took


def processes(w):
    def profile(command):
        w.files(config=f"[profile p]\ncredential_process = {command}\n")

    answer = w.dir + "/answer.json"
    script = w.dir + "/a helper.py"

    def helper(text, after=""):
        with open(answer, "w") as f:
            f.write(text if isinstance(text, str) else json.dumps(text))
        with open(script, "w") as f:
            f.write(f"import sys, time\nassert sys.argv[1:] == ['a b', '$HOME'], sys.argv\nassert sys.stdin.read() == ''\n"
                    f"print(open({answer!r}).read())\n{after}\n")
        profile(f'/usr/bin/python3 "{script}" "a b" $HOME')

    made = {"Version": 1, **{k: v for k, v in keys("P").items() if k != "Token"}, "SessionToken": "token+P"}
    helper(made)
    w.gets("P", "credential_process, its words as quoted", {}, "--profile", "p")
    w.gets("P", "the same by AWS_PROFILE", {"AWS_PROFILE": "p"})
    helper({**made, "Expiration": PAST})
    w.refuses("credential_process: expired", {"AWS_PROFILE": "p"}, "credential_process", "expired", "clock")
    helper({**made, "Version": 2})
    w.refuses("credential_process: another version", {"AWS_PROFILE": "p"}, "Version is not 1")
    helper("no JSON, and a secret/X in it")
    w.refuses("credential_process: no JSON", {"AWS_PROFILE": "p"}, "not the JSON of credentials")
    helper(made, after="sys.exit(3)")
    w.refuses("credential_process: exit status", {"AWS_PROFILE": "p"}, "exit status 3")
    helper("x" * 70000)
    w.refuses("credential_process: endless output", {"AWS_PROFILE": "p"}, "credential_process")
    profile("/nowhere/helper")
    w.refuses("credential_process: no such program", {"AWS_PROFILE": "p"}, "cannot be started")
    profile("'open quote")
    w.refuses("credential_process: open quote", {"AWS_PROFILE": "p"}, "quote that is not closed")
    w.files()


def containers(w):
    e = Endpoint({("GET", "/v2/x"): lambda h: (200, keys("C")) if h.get("authorization") == "Basic abc" else (403, "no"),
                  ("GET", "/open"): (200, keys("O")), ("GET", "/old"): (200, keys("C", PAST)),
                  ("GET", "/html"): (200, "<html>"), ("GET", "/busy"): (500, "busy")})
    full, token = "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"
    w.gets("C", "container endpoint with a token", {full: e.url("/v2/x"), token: "Basic abc"})
    with open(w.dir + "/token", "w") as f:
        f.write("Basic abc\n")
    w.gets("C", "token from a file, before the variable", {full: e.url("/v2/x"), token + "_FILE": w.dir + "/token", token: "wrong"})
    w.gets("O", "container endpoint by the name localhost", {full: e.url("/open", host="localhost")})
    e.chunked = True
    w.gets("O", "container endpoint, chunked answer", {full: e.url("/open")})
    e.chunked = False
    w.refuses("container endpoint: wrong token", {full: e.url("/v2/x"), token: "wrong"}, "container endpoint", "refused")
    w.refuses("container endpoint: token of two lines", {full: e.url("/open"), token: "a\r\nx: y"}, "control character")
    w.refuses("container endpoint: no token file", {full: e.url("/open"), token + "_FILE": "/nowhere"}, "/nowhere")
    w.refuses("container endpoint: expired", {full: e.url("/old")}, "expired", "clock")
    before = len(e.seen)
    w.refuses("container endpoint: no JSON", {full: e.url("/html")}, "not the JSON of credentials")
    check(len(e.seen) - before == 3, "it was asked three times", e.seen[before:])
    w.refuses("container endpoint: busy", {full: e.url("/busy")}, "keeps failing")
    w.refuses("plain http to another host is refused", {full: "http://192.0.2.1/x"}, full, "use https")
    w.refuses("plain http to a name is refused", {full: "http://127.0.0.1.example.com/x"}, full, "use https")
    w.refuses("the metadata service is no container endpoint", {full: "http://169.254.169.254/x"}, full, "use https")
    w.refuses("no URL", {full: "somewhere"}, full)
    w.refuses("a relative URI without its slash", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@example.com/x"}, "slash")
    e.delay = 3
    took = w.refuses("container endpoint: too slow", {full: e.url("/open")}, "container endpoint")
    check(7 < took < 60, "three times two seconds and the pauses", took)


def container_tls(w):
    cert, key = w.dir + "/cert.pem", w.dir + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    e = Endpoint({("GET", "/x"): (200, keys("T"))}, tls=(cert, key))
    full = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    w.gets("T", "container endpoint over https", {full: e.url("/x", "https", "localhost"), "AWS_CA_BUNDLE": cert})
    w.refuses("https of another name", {full: e.url("/x", "https"), "AWS_CA_BUNDLE": cert}, "container endpoint")
    w.refuses("https of an unknown CA", {full: e.url("/x", "https", "localhost")}, "container endpoint")


ROLES = "/latest/meta-data/iam/security-credentials/"


def imds(w):
    state = {"token": "TOKEN-1", "keys": (200, keys("I", Code="Success", Type="AWS-HMAC"))}

    def behind_token(answer):
        return lambda h: (401, "") if h.get("x-aws-ec2-metadata-token") != state["token"] else answer()

    def give_token(h):
        return (200, state["token"]) if h.get("x-aws-ec2-metadata-token-ttl-seconds") == "21600" else (400, "")

    table = {("PUT", "/latest/api/token"): give_token, ("GET", ROLES): behind_token(lambda: (200, "a-role")),
             ("GET", ROLES + "a-role"): behind_token(lambda: state["keys"])}
    e = Endpoint(table)
    env = {**ON, "AWS_EC2_METADATA_SERVICE_ENDPOINT": e.url()}
    w.gets("I", "IMDSv2", env)
    check([s[:2] for s in e.seen] == [("PUT", "/latest/api/token"), ("GET", ROLES), ("GET", ROLES + "a-role")],
          "token, role, credentials, in that order", e.seen)
    w.gets("I", "IMDSv2 at an endpoint with a slash at its end", {**env, "AWS_EC2_METADATA_SERVICE_ENDPOINT": e.url("/")})

    def rotates():
        state["token"] = "TOKEN-2"
        return 401, ""

    table[("GET", ROLES + "a-role")] = lambda h: rotates() if state["token"] == "TOKEN-1" else behind_token(lambda: state["keys"])(h)
    w.gets("I", "IMDSv2: a token that expired in between is fetched once more", env)
    table[("GET", ROLES + "a-role")] = behind_token(lambda: state["keys"])
    state["keys"] = (200, keys("I", PAST, Code="Success"))
    w.refuses("IMDSv2: expired by our clock", env, "IMDSv2", "expired", "clock")
    state["keys"] = (200, {"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role"})
    w.refuses("IMDSv2: an error record", env, "IMDSv2", "Code is not Success")
    state["keys"] = (200, {"Code": "Success", "AccessKeyId": "A", "SecretAccessKey": "secret/x"})
    w.refuses("IMDSv2: half an answer", env, "IMDSv2", "not the JSON of credentials")
    table[("GET", ROLES)] = (404, "")
    w.refuses("IMDSv2: no role", env, "the instance has no role")
    for status in (400, 403, 404, 405):
        table[("PUT", "/latest/api/token")] = (status, "")
        before = len(e.seen)
        w.refuses(f"IMDSv2: token answered {status}", env, "IMDSv2 gave no token", "set AWS_ACCESS_KEY_ID", "nitroseal local up")
        check([s[0] for s in e.seen[before:]] == ["PUT"], "no fall back to version 1", e.seen[before:])
    e.delay = 2
    took = w.refuses("IMDSv2: too slow", env, "IMDSv2")
    check(1.5 < took < 30, "two times one second", took)
    w.refuses("IMDSv2: nobody there", {**env, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "IMDSv2", "refused")
    before = len(e.seen)
    w.refuses("IMDSv2 switched off is not asked", {**env, "AWS_EC2_METADATA_DISABLED": "TRUE"}, "no AWS credentials")
    check(len(e.seen) == before, "and it was not", e.seen[before:])


class Sts:
    """AssumeRole for a signed request, AssumeRoleWithWebIdentity for the right token; the form is kept."""

    def __init__(self, keys_by_id):
        self.forms, self.keys, self.error, self.expiration = [], keys_by_id, None, FUTURE
        self.endpoint = Endpoint({})
        outer = self

        def do_POST(handler):
            body = handler.rfile.read(int(handler.headers["Content-Length"]))
            headers = {k.lower(): v for k, v in handler.headers.items()}
            status, text = outer.answer(headers, body)
            data = text.encode()
            handler.send_response(status)
            handler.send_header("Content-Type", "text/xml")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

        self.endpoint.server.RequestHandlerClass.do_POST = do_POST
        self.url = self.endpoint.url()

    def signed(self, headers, body):
        """Is it signed by a key that we know? By the book once more."""
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/([^/]+)/sts/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
                         headers.get("authorization", ""))
        if not m or m[1] not in self.keys:
            return None
        secret, token = self.keys[m[1]]
        names = m[4].split(";")
        if not {"host", "x-amz-date"} <= set(names) or headers.get("x-amz-security-token") != token:
            return None
        lines = "".join(f"{n}:{' '.join(headers[n].split())}\n" for n in names)
        canonical = "\n".join(["POST", "/", "", lines, m[4], hashlib.sha256(body).hexdigest()])
        to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], m[2], hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + secret).encode()
        for part in m[2].split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return m[3] if hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == m[5] else None

    def answer(self, headers, body):
        form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode(), strict_parsing=True).items()}
        self.forms.append(form)
        action = form["Action"]
        if self.error:
            return self.error[0], self.error_xml(*self.error[1:])
        if action == "AssumeRole":
            form["region"] = self.signed(headers, body)
            if not form["region"]:
                return 403, self.error_xml("SignatureDoesNotMatch", "not signed as it should be")
        elif form["WebIdentityToken"] != "ey.good.token" or "authorization" in headers:
            return 400, self.error_xml("InvalidIdentityToken", "no such identity")
        return 200, (f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
                     f"<AssumedRoleUser><Arn>x</Arn></AssumedRoleUser><Credentials><AccessKeyId>AKIDR</AccessKeyId>"
                     f"<SecretAccessKey>secret/R</SecretAccessKey><SessionToken>token+R</SessionToken>"
                     f"<Expiration>{self.expiration}</Expiration></Credentials></{action}Result></{action}Response>")

    @staticmethod
    def error_xml(code, message):
        return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


def roles(w):
    sts = Sts({"AKIDS": ("secret/S", None), "AKIDC": ("secret/C", "token+C")})
    env = {"AWS_ENDPOINT_URL_STS": sts.url, "AWS_PROFILE": "r"}
    source = "[s]\naws_access_key_id=AKIDS\naws_secret_access_key=secret/S\n"
    role = "[profile r]\nrole_arn = arn:aws:iam::111122223333:role/a+b\nsource_profile = s\n"
    w.files(credentials=source, config=role + "external_id = x&y=1\nrole_session_name = me\nduration_seconds = 900\nregion = eu-central-1\n")
    w.gets("R", "role_arn with source_profile", env)
    check(sts.forms[-1] == {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": "arn:aws:iam::111122223333:role/a+b", "ExternalId": "x&y=1",
                            "RoleSessionName": "me", "DurationSeconds": "900", "region": "eu-central-1"}, "what STS was asked", sts.forms[-1])
    w.gets("R", "AWS_REGION before the profile's", {**env, "AWS_REGION": "us-west-2"})
    check(sts.forms[-1]["region"] == "us-west-2", "signed for that region", sts.forms[-1])
    w.files(credentials=source, config=role)
    w.gets("R", "a session name of our own", env)
    check(sts.forms[-1]["RoleSessionName"].startswith("nitroseal-"), "which says who it is", sts.forms[-1])
    w.files(credentials="[r]\naws_access_key_id=AKIDS\naws_secret_access_key=secret/S\n", config=role.replace("= s", "= r"))
    w.gets("R", "a profile that is its own source", env)
    w.files(config=role.replace("source_profile = s", "credential_source = EcsContainer"))
    e = Endpoint({("GET", "/x"): (200, keys("C"))})
    w.gets("R", "credential_source, session token signed along", {**env, "AWS_CONTAINER_CREDENTIALS_FULL_URI": e.url("/x")})
    w.refuses("credential_source that is not there", env, "credential_source")
    w.files(config=role.replace("= s", "= r"))
    w.refuses("a source without keys", env, "has no credentials")
    w.files(config="".join(f"[profile {a}]\nrole_arn=x\nsource_profile={b}\n" for a, b in (("r", "q"), ("q", "r"))))
    w.refuses("profiles in a circle", env, "too many source profiles")
    w.files(credentials=source, config=role + "mfa_serial = arn:x\n")
    w.refuses("mfa_serial is refused, not passed over", env, "mfa_serial")
    w.files(credentials=source.replace("secret/S", "secret/wrong"), config=role)
    w.refuses("STS refuses: its reason", env, "STS", "SignatureDoesNotMatch", "not signed as it should be")
    w.files(credentials=source, config=role)
    sts.expiration = PAST
    w.refuses("STS: expired by our clock", env, "STS", "expired", "clock")
    sts.expiration, sts.error = FUTURE, (503, "Throttling", "slow down")
    before = len(sts.forms)
    w.refuses("STS: busy", env, "Throttling")
    check(len(sts.forms) - before == 3, "it was asked three times", len(sts.forms) - before)
    sts.error = None
    w.refuses("STS: plain http to a name", {**env, "AWS_ENDPOINT_URL_STS": "http://sts.example.com"}, "not a numeric address")
    def configured(section, **env):
        w.files(credentials=source, config=role + section)
        return {"AWS_PROFILE": "r", **env}

    one = f"services = x\n[services x]\nkms =\n  endpoint_url = http://127.0.0.1:1\nsts =\n  endpoint_url = {sts.url}\n"
    nowhere = "http://127.0.0.1:1"
    w.gets("R", "STS by the services section", configured(one))
    w.gets("R", "STS by the profile's endpoint_url", configured(f"endpoint_url = {sts.url}\n"))
    w.gets("R", "the services section before the profile", configured(f"endpoint_url = {nowhere}\n" + one))
    w.gets("R", "AWS_ENDPOINT_URL before both", configured(one.replace(sts.url, nowhere), AWS_ENDPOINT_URL=sts.url))
    w.gets("R", "AWS_ENDPOINT_URL_STS before that", configured(one, AWS_ENDPOINT_URL=nowhere, AWS_ENDPOINT_URL_STS=sts.url))
    before = len(sts.forms)
    w.refuses("all of it ignored: the region's own STS, which is out of reach here",
              configured(one, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true", AWS_REGION="zz-nowhere-1"), "sts.zz-nowhere-1.amazonaws.com")
    check(len(sts.forms) == before, "and the configured one was not asked")
    w.refuses("FIPS: another name", configured("use_fips_endpoint = true\n", AWS_REGION="zz-nowhere-1"), "sts-fips.zz-nowhere-1.amazonaws.com")
    w.refuses("dual-stack: another suffix", configured("", AWS_USE_DUALSTACK_ENDPOINT="true", AWS_REGION="zz-nowhere-1"), "sts.zz-nowhere-1.api.aws")
    w.refuses("FIPS and an endpoint URL", configured(one + "[profile r]\nuse_fips_endpoint = true\n"), "use_fips_endpoint together with an endpoint URL")
    w.refuses("a switch of another word", configured("use_dualstack_endpoint = on\n"), "use_dualstack_endpoint is neither true nor false")
    w.refuses("a fault in the services section's file", configured(one + "[broken\n"), "line", "closing bracket")
    w.files(credentials=source, config=role)
    w.refuses("STS: a region that is none", {"AWS_PROFILE": "r", "AWS_REGION": "no region/"}, "not an AWS region")

    with open(w.dir + "/web-token", "w") as f:
        f.write("ey.good.token\n")
    w.files(config="[profile r]\nrole_arn = arn:r\nweb_identity_token_file = " + w.dir + "/web-token\n")
    w.gets("R", "web identity of a profile", env)
    check(sts.forms[-1]["Action"] == "AssumeRoleWithWebIdentity" and sts.forms[-1]["RoleArn"] == "arn:r", "is not signed", sts.forms[-1])
    w.files()
    web = {"AWS_ENDPOINT_URL_STS": sts.url, "AWS_WEB_IDENTITY_TOKEN_FILE": w.dir + "/web-token", "AWS_ROLE_ARN": "arn:q", "AWS_ROLE_SESSION_NAME": "pod"}
    w.gets("R", "web identity of the environment", web)
    check(sts.forms[-1]["RoleSessionName"] == "pod", "with its session name", sts.forms[-1])
    with open(w.dir + "/web-token", "w") as f:
        f.write("another")
    w.refuses("web identity: STS's reason", web, "InvalidIdentityToken")
    with open(w.dir + "/web-token", "w") as f:
        f.write("\n")
    w.refuses("web identity: empty file", web, "is empty")


def order(w):
    """Environment, files, process, web identity (refused), container, IMDS."""
    c = Endpoint({("GET", "/x"): (200, keys("C"))})
    i = Endpoint({("PUT", "/latest/api/token"): (200, "t"), ("GET", ROLES): (200, "r"), ("GET", ROLES + "r"): (200, keys("I", Code="Success"))})
    env = {**ON, "AWS_EC2_METADATA_SERVICE_ENDPOINT": i.url()}
    w.gets("I", "IMDS comes last", env)
    env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = c.url("/x")
    w.gets("C", "a container goes before it", env)
    w.refuses("a web identity that fails is not passed over", {**env, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": "r"}, "/nowhere")
    w.refuses("a web identity without a role neither", {**env, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"}, "AWS_ROLE_ARN")
    w.files(credentials="[default]\naws_access_key_id=AKIDF\naws_secret_access_key=secret/F\naws_session_token=token+F\n")
    w.gets("F", "files go before them", env)
    w.gets("E", "the environment goes first", {**env, "AWS_ACCESS_KEY_ID": "AKIDE", "AWS_SECRET_ACCESS_KEY": "secret/E", "AWS_SESSION_TOKEN": "token+E"})
    w.files(config="[profile region-only]\nregion=x\n")
    w.gets("C", "a profile without keys goes on to the machine's", {**env, "AWS_PROFILE": "region-only"})
    w.files()


if lib.missing_programs(["nitroseal"]):
    lib.skip_all("nitroseal is not built")
the_world = World()
for part in (processes, containers, container_tls, imds, roles, order):
    part(the_world)
lib.plan()
