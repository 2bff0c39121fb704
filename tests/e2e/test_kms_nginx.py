#!/usr/bin/python3
"""nitroseal-kms behind Debian's nginx: as a proxy that ends TLS and speaks plain HTTP to it, and as one that passes bytes.
Signatures hold because the Host that the client signed arrives as it was. TAP."""
import base64, http.client, json, os, shutil, signal, socket, ssl, subprocess, time

import kmslib, lib
from gatewaylib import free_port
from lib import check

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
STREAM = next((p for p in ("/usr/lib/nginx/modules/ngx_stream_module.so",) if os.path.exists(p)), None)

if lib.missing_programs(["nitroseal-kms"]):
    lib.skip_all("nitroseal-kms is not built")
if not NGINX or not STREAM:
    lib.skip_all("nginx and its stream module are not installed")

folder = lib.private_folder()
path = lambda *names: os.path.join(folder, *names)
admin = kmslib.admin_of()
behind = kmslib.Server(folder, [admin], options=["--plain-http"], state="plain", log="plain.log").start()
whole = kmslib.Server(folder, [admin], state="whole", log="whole.log").start()
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", path("nginx.key"), "-out", path("nginx.pem")], check=True, capture_output=True)
tls_port, stream_port = free_port(), free_port()
for name in ("body", "proxy", "logs"):
    os.makedirs(path("nginx", name))
with open(path("nginx.conf"), "w") as f:
    f.write(f"""
load_module {STREAM};
daemon off; worker_processes 1; pid {path("nginx", "pid")}; error_log {path("nginx", "error.log")} info;
{"user root;" if os.getuid() == 0 else ""}
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {path("nginx", "body")}; proxy_temp_path {path("nginx", "proxy")};
    fastcgi_temp_path {path("nginx", "f")}; uwsgi_temp_path {path("nginx", "u")}; scgi_temp_path {path("nginx", "s")};
    upstream kms {{ server 127.0.0.1:{behind.port}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {path("nginx.pem")}; ssl_certificate_key {path("nginx.key")};
        client_max_body_size 1m;
        location / {{
            proxy_pass http://kms; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
stream {{ server {{ listen 127.0.0.1:{stream_port}; proxy_pass 127.0.0.1:{whole.port}; }} }}
""")
nginx = subprocess.Popen([NGINX, "-p", folder, "-c", path("nginx.conf"), "-e", path("nginx", "error.log")], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
lib.atexit.register(lambda: nginx.poll() is None and (nginx.terminate(), nginx.wait(10)))


def up():
    try:
        socket.create_connection(("127.0.0.1", stream_port), timeout=1).close()
        socket.create_connection(("127.0.0.1", tls_port), timeout=1).close()
        return True
    except OSError:
        return False


lib.until(lambda: nginx.poll() is not None or up(), what="nginx")
if nginx.poll() is not None:
    check(False, "nginx starts", open(path("nginx", "error.log")).read())
    lib.plan()


class Through(lib.Kms):
    def __init__(self, port, ca):
        self.port, self.ca = port, ca


for name, kms in (("nginx that ends TLS", Through(tls_port, path("nginx.pem"))), ("nginx that passes bytes", Through(stream_port, whole.kms.ca))):
    key = kms.call(admin, "CreateKey", Description="behind nginx")["KeyMetadata"]["KeyId"]
    text = base64.b64encode(os.urandom(4096)).decode()
    blob = kms.call(admin, "Encrypt", KeyId=key, Plaintext=text, EncryptionContext={"a": "b"})["CiphertextBlob"]
    check(kms.call(admin, "Decrypt", CiphertextBlob=blob, EncryptionContext={"a": "b"})["Plaintext"] == text, f"{name}: the largest plaintext, there and back")
    try:
        kms.call(admin, "Decrypt", CiphertextBlob=blob)
        check(False, f"{name}: a refusal arrives as it is")
    except lib.KmsError as e:
        check((e.status, e.type, e.message) == (400, "InvalidCiphertextException", ""), f"{name}: a refusal arrives as it is", e)
    policy = json.dumps({"Version": "2012-10-17", "Id": "x" * 30000, "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": admin.arn}, "Action": "kms:*", "Resource": "*"}]})
    kms.call(admin, "PutKeyPolicy", KeyId=key, PolicyName="default", Policy=policy)
    check(json.loads(kms.call(admin, "GetKeyPolicy", KeyId=key, PolicyName="default")["Policy"]) == json.loads(policy), f"{name}: a policy of 30 kB")
    server = type("S", (), {"port": kms.port, "kms": kms})
    status, answer = kmslib.presigned_call(server, admin, "DescribeKey", {"KeyId": key})
    check(status == 200, f"{name}: a request signed in its query", status, answer)
    c = http.client.HTTPSConnection("127.0.0.1", kms.port, timeout=15, context=ssl.create_default_context(cafile=kms.ca))
    statuses = []
    for n in range(50):
        body = json.dumps({"NumberOfBytes": n + 1}).encode()
        c.request("POST", "/", body, lib.sign(admin, f"127.0.0.1:{kms.port}", "TrentService.GenerateRandom", body))
        r = c.getresponse()
        statuses.append((r.status, len(base64.b64decode(json.loads(r.read())["Plaintext"]))))
    c.close()
    check(statuses == [(200, n + 1) for n in range(50)], f"{name}: fifty calls on one connection", statuses[:3])
    wrong = lib.Principal("admin", admin.id, "another secret")
    try:
        kms.call(wrong, "ListKeys")
        check(False, f"{name}: a wrong secret")
    except lib.KmsError as e:
        check(e.type == "InvalidSignatureException", f"{name}: a wrong secret", e)
check(kmslib.get(tls_port, "/healthz", path("nginx.pem")) == (200, "ok\n"), "nginx can ask for health")
behind.program.stop()
try:
    Through(tls_port, path("nginx.pem")).call(admin, "ListKeys")
    check(False, "a KMS that is gone is nginx's to tell")
except (lib.KmsError, ValueError, OSError) as e:
    check(True, "a KMS that is gone is nginx's to tell")
behind.start()
check(isinstance(Through(tls_port, path("nginx.pem")).call(admin, "ListKeys")["Keys"], list), "and back again")
audit = os.path.join(behind.state, "audit.log")
check(lib.run("nitroseal-kms", "audit", "verify", audit)[0] == 0, "the audit log is as written")

lib.plan()
