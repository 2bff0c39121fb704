#!/usr/bin/python3
"""The files of deploy/: HAProxy's are run, edge and two machines before two real gateways and enclaves; Envoy's and
Kubernetes's are read and held against rules: names that must match, resources that must be equal, commands and options
that must exist. TAP."""
import json, os, re, shutil, socket, ssl, subprocess, sys, time

import lib
from gatewaylib import Gateway, free_port
from lib import check

DEPLOY = os.path.join(lib.ROOT, "deploy")
try:
    import yaml
except ImportError:
    yaml = None


# --- HAProxy -------------------------------------------------------------------------------------------------------

def openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


class Certificates:
    """One authority; a certificate and its key in one file for each name."""

    def __init__(self, folder):
        self.dir = folder
        os.mkdir(folder, 0o700)
        self.ca = os.path.join(folder, "ca.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.ca + ".key", "-out", self.ca,
                "-subj", "/CN=fleet", "-days", "2")

    def make(self, name):
        path = os.path.join(self.dir, name + ".pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path + ".key", "-out", path + ".csr", "-subj", "/CN=" + name)
        with open(path + ".ext", "w") as f:
            f.write(f"subjectAltName=DNS:{name},DNS:node.nitroseal.internal,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", path + ".csr", "-CA", self.ca, "-CAkey", self.ca + ".key", "-CAcreateserial", "-days", "2", "-extfile", path + ".ext", "-out", path)
        with open(path, "a") as f:
            f.write(open(path + ".key").read())
        return path


class Haproxy:
    def __init__(self, config, env, log):
        self.argv, self.env = ["haproxy", "-db", "-f", os.path.join(DEPLOY, "haproxy", config)], {**lib.CLEAN, **env}
        self.log = log
        p = subprocess.run([*self.argv, "-c"], env=self.env, capture_output=True, text=True)
        check(p.returncode == 0 and "WARNING" not in p.stderr, f"haproxy -c {config}", p.stdout, p.stderr)
        self.p = subprocess.Popen(self.argv, env=self.env, stdout=open(log, "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def stop(self):
        self.p.terminate()
        try:
            self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()


def haproxy():
    missing = [n for n in ("haproxy", "curl", "openssl") if not shutil.which(n)] + lib.missing_programs([*lib.PARTS, "nitroseal"])
    if missing:
        print("# HAProxy is not run: no " + ", ".join(missing))
        return
    stack = lib.Stack().start()
    services = [stack.service, stack.start_service(cid=lib.CID + 1, name="second")]
    certs = Certificates(stack.path("tls"))
    node, edge, client, edge_client = (certs.make(n) for n in ("node", "edge", "client", "edge-client"))
    gateways = [Gateway(stack.v, [lib.CID + i], ["--health-interval", "200"], env=stack.app.env(), log=stack.log_of(f"gateway{i}")) for i in range(2)]
    ports, pages, front = [free_port(), free_port()], [free_port(), free_port()], free_port()
    nodes = [Haproxy("node.cfg", {"NITROSEAL_NODE_BIND": f"127.0.0.1:{ports[i]}", "NITROSEAL_NODE_PAGES": f"127.0.0.1:{pages[i]}", "NITROSEAL_NODE_CERT": node,
                                  "NITROSEAL_CLIENT_CA": certs.ca, "NITROSEAL_GATEWAY": f"127.0.0.1:{gateways[i].port}"}, stack.log_of(f"haproxy{i}")) for i in range(2)]
    proxy = Haproxy("edge.cfg", {"NITROSEAL_EDGE_BIND": f"127.0.0.1:{front}", "NITROSEAL_EDGE_CERT": edge, "NITROSEAL_CLIENT_CA": certs.ca,
                                 "NITROSEAL_EDGE_CLIENT": edge_client, "NITROSEAL_NODE_CA": certs.ca,
                                 "NITROSEAL_NODE1": f"127.0.0.1:{ports[0]}", "NITROSEAL_NODE2": f"127.0.0.1:{ports[1]}"}, stack.log_of("edge"))

    def curl(path, *argv, port=front, cert=client, stdin=b"", scheme="https"):
        own = ["--cert", cert] if cert else []
        p = subprocess.run(["curl", "-sS", "--max-time", "30", "--cacert", certs.ca, *own, "-w", "\n%{http_code}", *argv, f"{scheme}://127.0.0.1:{port}{path}"],
                           input=stdin, capture_output=True, env=lib.CLEAN)
        body, _, status = p.stdout.rpartition(b"\n")
        return int(status or 0), body, p.stderr.decode()

    def encrypt(text="through the fleet", **how):
        return curl("/v1/encrypt", "-H", "Content-Type: application/json", "--data-binary", "@-", stdin=json.dumps({"message": text}).encode(), **how)

    lib.until(lambda: encrypt()[0] == 200, what="the fleet answers")
    s, b, e = encrypt()
    check(s == 200 and stack.decrypt(json.loads(b)).get("decrypted") == "through the fleet", "client, edge, machine, gateway, enclave", s, b, e)
    s, b, e = encrypt("x", port=front)
    s2, b2, e2 = curl("/v1/encrypt", "--http1.1", "-H", "Content-Type: application/json", "--data-binary", "@-", stdin=b'{"message":"one"}')
    check(s == 200 and s2 == 200, "HTTP/2 and HTTP/1.1", s, s2, e, e2)
    check(encrypt(cert=None)[0] == 0 and encrypt(cert=None, port=ports[0])[0] == 0, "without a certificate: nothing, neither at the edge nor at a machine")
    s, b, e = curl("/v1/credentials", "--http1.1", "-X", "PUT", "--data", "{}")
    check(s == 403, "credentials do not pass", s, b, e)
    refused = [curl(p)[0] for p in ("/metrics", "/enclaves/16/metrics", "/", "/V1/Credentials")]
    check(refused == [403] * 4, "clients see no metrics", refused)
    for i in range(2):
        s, b, e = curl("/metrics", port=pages[i], cert=None, scheme="http")
        s2, b2, e2 = curl(f"/enclaves/{lib.CID + i}/metrics", port=pages[i], cert=None, scheme="http")
        s3, b3, e3 = curl("/v1/random", "-X", "POST", port=pages[i], cert=None, scheme="http")
        check(s == 200 and b"nitroseal_gateway_enclave_up" in b and s2 == 200 and b"nitroseal_requests_total" in b2 and s3 == 403, f"Prometheus does, on machine {i}, and no more", s, s2, s3, e, e2)
    used = [g.metric("nitroseal_gateway_requests_total", code="2xx") for g in gateways]
    for _ in range(20):
        encrypt()
    now = [g.metric("nitroseal_gateway_requests_total", code="2xx") for g in gateways]
    check(all(n > u + 3 for n, u in zip(now, used)), "both machines work", used, now)
    plain = os.urandom(8 << 20)
    head = stack.path("head")
    s, sealed, e = curl("/v1/messages/encrypt", "-H", "Content-Type: application/octet-stream", "-H", "Transfer-Encoding: chunked", "--http1.1", "-D", head, "-X", "POST", "-T", "-", stdin=plain)
    check(s == 200 and re.search(r"(?im)^nitroseal-result: ok", open(head).read()), "a stream, with its trailer", s, e, open(head).read() if os.path.exists(head) else "")
    s, back, e = curl("/v1/messages/decrypt", "-H", "Content-Type: application/octet-stream", "-H", "Transfer-Encoding: chunked", "--http1.1", "-X", "POST", "-T", "-", stdin=sealed)
    check(s == 200 and back == plain, "and back", s, len(back), e)
    services[0].kill()  # its gateway has no other enclave: the machine is out
    answers = []

    def all_well(n=10):
        answers.append(encrypt()[0])
        return answers[-n:] == [200] * n

    lib.until(all_well, what="the other machine serves alone")
    late = [encrypt()[0] for _ in range(20)]
    check(set(answers) <= {200, 502, 503} and set(late) == {200}, "an enclave is killed: soon all goes to the other machine", answers, late)
    stack.start_service()
    check(lib.until(lambda: gateways[0].metric("nitroseal_gateway_requests_total", code="2xx") > now[0] + 5 or (encrypt() and False)), "started again, its machine works again")
    nodes[1].stop()
    answers.clear()
    lib.until(all_well, what="the other machine serves alone")
    check(set(answers) <= {200, 502, 503}, "a machine goes away: the other serves", answers)
    text = "".join(open(stack.log_of(n)).read() for n in ("edge", "haproxy0", "haproxy1"))
    check("/v1/encrypt" in text and "through the fleet" not in text and stack.app.id not in text, "the proxies' logs hold paths only")
    for p in (proxy, nodes[0]):
        p.stop()
    for g in gateways:
        g.stop()
    stack.stop()


# --- Envoy and Kubernetes ------------------------------------------------------------------------------------------

def walk(value, path=()):
    yield path, value
    if isinstance(value, dict):
        for k, v in value.items():
            yield from walk(v, (*path, k))
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from walk(v, (*path, i))


class Strict(yaml.SafeLoader if yaml else object):
    """Refuses a key that comes twice, which YAML readers take silently."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k) for k, _ in node.value]
        assert len(set(map(str, keys))) == len(keys), f"twice: {keys}"
        return super().construct_mapping(node, deep)


def envoy():
    with open(os.path.join(DEPLOY, "envoy", "envoy.yaml")) as f:
        e = yaml.load(f, Strict)
    clusters = {c["name"]: c for c in e["static_resources"]["clusters"]}
    routed = {v["cluster"] for p, v in walk(e) if p and p[-1] == "route"}
    check(routed == set(clusters), "Envoy: each route has its cluster, and the other way round", routed, set(clusters))
    typed = [v["@type"] for p, v in walk(e) if isinstance(v, dict) and "@type" in v]
    check(len(typed) == 7 and all(re.fullmatch(r"type\.googleapis\.com/envoy\.extensions\.[a-z0-9_.]+\.v3\.[A-Z][A-Za-z0-9]+", t) for t in typed), "Envoy: v3 types", typed)
    tls = next(v for p, v in walk(e) if isinstance(v, dict) and str(v.get("@type", "")).endswith("DownstreamTlsContext"))
    up = next(v for p, v in walk(e) if isinstance(v, dict) and str(v.get("@type", "")).endswith("UpstreamTlsContext"))
    check(tls["require_client_certificate"] is True and up["common_tls_context"]["validation_context"]["trusted_ca"], "Envoy: certificates both ways")
    manager = next(v for p, v in walk(e) if isinstance(v, dict) and str(v.get("@type", "")).endswith("HttpConnectionManager"))
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    first, last = routes[0], routes[-1]
    check(first["match"]["path"] == "/v1/credentials" and first["direct_response"]["status"] == 403 and last["match"] == {"prefix": "/"} and last["direct_response"]["status"] == 403,
          "Envoy: credentials first, everything else last: refused")
    check(all(r["match"].get("prefix", r["match"].get("path")) not in ("/metrics", "/enclaves/") for r in routes), "Envoy: no metrics for clients")
    check(manager["http_filters"][-1]["name"] == "envoy.filters.http.router" and manager["http_protocol_options"]["enable_trailers"], "Envoy: the router is last; trailers pass")
    streams = next(r for r in routes if r["match"].get("prefix") == "/v1/messages/")
    check(streams["route"]["timeout"] == "0s" and routes.index(streams) < next(i for i, r in enumerate(routes) if r["match"].get("prefix") == "/v1/"), "Envoy: streams have no limit but silence")


def gateway_options(script):
    text = lib.run("nitroseal", "gateway", "--help")[1]
    known = set(re.findall(r"--[a-z-]+", text))
    return [o for o in re.findall(r"nitroseal gateway (.*)", script) for o in re.findall(r"(--[a-z-]+)", o) if o not in known]


def schemas(objects):
    """Kubernetes's published schemas, as an npm package carries them: types and required members (unknown ones pass)."""
    got = subprocess.run([os.path.join(lib.ROOT, "tools", "js-sdk")], capture_output=True, text=True)
    if got.returncode:
        print("# Kubernetes's schemas are not asked: " + got.stderr.strip().splitlines()[-1])
        return

    def wrong(o):
        p = subprocess.run(["node", os.path.join(lib.HERE, "js", "kubernetes.cjs"), got.stdout.strip()], input=json.dumps(o), capture_output=True, text=True, env=lib.CLEAN)
        return [json.loads(line) for line in p.stdout.splitlines()] if p.returncode == 0 else [p.stderr]

    answers = wrong(objects)
    check(answers == [None] * len(objects), "Kubernetes: as its schemas want it", answers)
    deployment = next(o for o in objects if o["kind"] == "Deployment")
    damaged = [json.loads(json.dumps(deployment)) for _ in range(3)]
    damaged[0]["spec"]["replicas"] = "two"
    del damaged[1]["spec"]["selector"]
    damaged[2]["spec"]["template"]["spec"]["containers"][0]["env"] = {"NAME": "value"}
    answers = wrong(damaged)
    check(len(answers) == 3 and all(answers), "which refuse what is damaged", answers)


def pods(objects):
    for o in objects:
        if o["kind"] in ("Deployment", "DaemonSet"):
            yield o, o["spec"]["template"]["spec"]


def kubernetes():
    with open(os.path.join(DEPLOY, "kubernetes", "nitroseal.yaml")) as f:
        objects = list(yaml.load_all(f, Strict))
    kinds = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    versions = {"Namespace": "v1", "ServiceAccount": "v1", "ConfigMap": "v1", "Service": "v1", "DaemonSet": "apps/v1", "Deployment": "apps/v1",
                "PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1"}
    check(len(kinds) == len(objects) and all(versions[o["kind"]] == o["apiVersion"] for o in objects), "Kubernetes: each object once, in its version", list(kinds))
    check(all(o["metadata"].get("namespace") == "nitroseal" for o in objects if o["kind"] != "Namespace"), "all in one namespace")
    schemas(objects)
    for o, spec in pods(objects):
        name, labels = o["metadata"]["name"], o["spec"]["template"]["metadata"]["labels"]
        check(o["spec"]["selector"]["matchLabels"].items() <= labels.items(), f"{name}: the selector finds its pods")
        volumes = {v["name"]: v for v in spec["volumes"]}
        used = {m["name"] for c in spec["containers"] for m in c["volumeMounts"]}
        check(used == set(volumes), f"{name}: each volume is mounted, each mount has its volume", used, set(volumes))
        maps = [v["configMap"]["name"] for v in volumes.values() if "configMap" in v]
        check(all(("ConfigMap", m) in kinds or m == "nitroseal-haproxy" for m in maps), f"{name}: its ConfigMaps are there", maps)
        check(spec["nodeSelector"] == {"aws-nitro-enclaves-k8s-dp": "enabled"}, f"{name}: on nodes of the device plugin")
        for c in spec["containers"]:
            r, context = c["resources"], c["securityContext"]
            for key in set(r["requests"]) | set(r["limits"]):
                if "/" in key or key.startswith("hugepages-"):
                    check(r["requests"].get(key) == r["limits"].get(key), f"{name}/{c['name']}: {key} asked for and limited alike", r)
            check(context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]} and "privileged" not in context, f"{name}/{c['name']}: no privileges", context)
            vsock = c["name"] in ("vsock-proxy", "enclave", "gateway")
            check(context["seccompProfile"]["type"] == ("Unconfined" if vsock else "RuntimeDefault"), f"{name}/{c['name']}: seccomp's default where no vsock is needed")
    spec = kinds["Deployment", "nitroseal"]["spec"]["template"]["spec"]
    enclave = spec["containers"][0]
    env = {e["name"]: e.get("value") for e in enclave["env"]}
    pages = enclave["resources"]["limits"]["hugepages-2Mi"]
    check(pages == env["ENCLAVE_MEMORY_MIB"] + "Mi" and enclave["resources"]["limits"]["aws.ec2.nitro/nitro_enclaves"] == "1", "the enclave's memory is what the pod has in huge pages", pages, env)
    medium = {v["name"]: v.get("emptyDir", {}).get("medium") for v in spec["volumes"]}
    check(medium["hugepages"] == "HugePages-2Mi", "on a volume of that page size", medium)
    # All containers are told to stop at one moment, each after its own preStop: who needs another one must be gone before it.
    told = {c["name"]: int(c.get("lifecycle", {"preStop": {"exec": {"command": ["sleep", "0"]}}})["preStop"]["exec"]["command"][1]) for c in spec["containers"]}
    finishing = int(re.search(r"--stop-timeout MS .*\[default (\d+)\]", lib.run("nitroseal", "gateway", "--help")[1])[1]) // 1000
    check(0 < told["tls"] < told["gateway"] and told["gateway"] + finishing <= told["enclave"] <= spec["terminationGracePeriodSeconds"] - 10,
          "front, gateway and enclave stop one after the other", told, finishing)
    ports = {p["name"]: p["containerPort"] for c in spec["containers"] for p in c.get("ports", [])}
    targets = [p["targetPort"] for p in kinds["Service", "nitroseal"]["spec"]["ports"]]
    policy = [p["port"] for r in kinds["NetworkPolicy", "nitroseal"]["spec"]["ingress"] for p in r["ports"]]
    front = next(c for c in spec["containers"] if c["name"] == "tls")
    check(set(targets) | set(policy) | {front["readinessProbe"]["httpGet"]["port"]} <= set(ports), "ports by name are there", targets, policy, ports)
    binds = {e["name"]: e["value"] for e in front["env"]}
    wanted = set(re.findall(r"\$\{(NITROSEAL_\w+)\}", open(os.path.join(DEPLOY, "haproxy", "node.cfg")).read()))
    check(set(binds) == wanted and binds["NITROSEAL_NODE_BIND"] == f":{ports['https']}" and binds["NITROSEAL_NODE_PAGES"] == f":{ports['pages']}", "HAProxy's variables are all set, to those ports", binds, wanted)
    scripts = kinds["ConfigMap", "nitroseal-scripts"]["data"]
    for name, text in scripts.items():
        check(subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True).returncode == 0, f"script {name}: shell syntax")
        if shutil.which("shellcheck"):
            p = subprocess.run(["shellcheck", "-s", "sh", "-S", "warning", "-"], input=text, text=True, capture_output=True)
            check(p.returncode == 0, f"script {name}: shellcheck", p.stdout)
    where = re.search(r"--listen (\S+)", scripts["gateway"])[1]
    check(binds["NITROSEAL_GATEWAY"] == where and not gateway_options(scripts["gateway"]), "gateway and HAProxy meet at one port; its options exist", scripts["gateway"])
    relay = kinds["DaemonSet", "nitroseal-relay"]["spec"]["template"]["spec"]["containers"][0]["command"]
    listed = yaml.safe_load(kinds["ConfigMap", "nitroseal-relay"]["data"]["vsock-proxy.yaml"])["allowlist"]
    check({"address": relay[-2], "port": int(relay[-1])} in listed and relay[-3] == "8000", "the relay may go where it is sent, on the service's port", relay, listed)
    known = set(re.findall(r"--[a-z_]+", lib.run("vsock-proxy", "--help")[1]))
    check(all(o in known for o in relay if o.startswith("--")), "its options exist", relay)
    run_enclave(scripts["enclave"])


def run_enclave(script):
    """The start script against a nitro-cli that is played: first it fails, then it runs; the second start keeps the CID."""
    folder = lib.private_folder()
    os.mkdir(folder + "/bin")
    os.mkdir(folder + "/pod")
    with open(os.open(folder + "/bin/nitro-cli", os.O_WRONLY | os.O_CREAT, 0o755), "w") as f:
        f.write(f"""#!/bin/sh
echo "$*" >>{folder}/calls
case $1 in
run-enclave)
    [ -e {folder}/tried ] || {{ touch {folder}/tried; exit 1; }}
    echo '{{ "EnclaveName": "p", "EnclaveCID": 21, "MemoryMiB": 128 }}'; touch {folder}/running ;;
describe-enclaves) [ -e {folder}/running ] && echo '[ {{ "State": "RUNNING" }} ]' || echo '[]' ;;
terminate-enclave) rm -f {folder}/running ;;
esac
""")
    text = script.replace("/run/pod", folder + "/pod").replace("/tmp/run.json", folder + "/run.json").replace("sleep 5", "sleep 0.1")
    env = {**lib.CLEAN, "PATH": folder + "/bin:" + os.environ["PATH"], "POD_NAME": "p", "ENCLAVE_CPUS": "2", "ENCLAVE_MEMORY_MIB": "128"}
    for start in range(2):
        p = subprocess.Popen(["sh", "-c", text], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lib.until(lambda: os.path.exists(folder + "/running") and os.path.exists(folder + "/pod/cid") or p.poll() is not None, what="the script's enclave")
        calls = [c for c in open(folder + "/calls").read().splitlines() if c.startswith("run-enclave")]
        check(open(folder + "/pod/cid").read() == "21\n" and ("--enclave-cid 21" in calls[-1]) == bool(start), f"start {start + 1}: " + ("the same CID" if start else "tried again, CID told"), calls)
        if start:
            p.terminate()
            check(p.wait(10) == 0 and not os.path.exists(folder + "/running"), "SIGTERM ends the enclave")
        else:
            os.unlink(folder + "/running")
            check(p.wait(10) == 1, "an enclave that ends ends the container")


def main():
    missing = lib.missing_programs(["nitroseal", "vsock-proxy"])
    if missing:
        lib.skip_all("no " + " ".join(missing))
    if yaml:
        envoy()
        kubernetes()
    else:
        print("# Envoy's and Kubernetes's files are not read: no python3-yaml")
    haproxy()
    lib.plan()


main()
