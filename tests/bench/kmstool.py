"""kmstool_enclave_cli: what one call costs, cold and with the warm helper, against the local stack, which has a real NSM,
KMS and TLS to do; the CA bundle is the distribution's and the local CA. CPU is that of the command (and with the helper,
of the helper too), not of KMS. Calls run one after the other."""
import os, shutil, statistics, subprocess, tempfile, time

# AWS's program on a two-core machine of the build kind when idle, against a KMS stand-in and an NSM that take no
# time to speak of: wall and CPU medians in ms, memory in KiB, stripped binary in bytes (without libnsm and libc).
PEER = {"genkey": (104.9, 101.0), "decrypt": (108.5, 105.0)}
PEER_RSS_KIB, PEER_BINARY_BYTES = 10 * 1024, 5_700_000
COLD_SHARE, WARM_MS = 0.5, 2.0  # aims: of the peer's time, and in ms
TICK = os.sysconf("SC_CLK_TCK")


def call(argv, env, out):
    """Wall seconds, CPU seconds."""
    with open(out, "wb") as f:
        start = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, env, file_actions=[(os.POSIX_SPAWN_DUP2, f.fileno(), 1)])
        _, status, used = os.wait4(pid, 0)
        wall = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{argv[1]} failed with status {os.waitstatus_to_exitcode(status)}")
    return wall, used.ru_utime + used.ru_stime


def peak_kib(argv, env):
    """Looked at while it runs: wait4() would tell the memory of the process that it was spawned from."""
    p, peak = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL), 0
    while p.poll() is None:
        try:
            with open(f"/proc/{p.pid}/status") as f:
                text = f.read()
        except OSError:
            continue
        if text.startswith("Name:\tkmstool"):
            peak = max([peak] + [int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")])
    return peak


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def series(program, argv, env, out, runs):
    got = [call([program, *argv], env, out) for _ in range(runs)]
    return [statistics.median(g[i] for g in got) for i in range(2)]


def measure(folder, stack_env, figures, runs):
    where = tempfile.mkdtemp(prefix="nsb.")
    program = os.path.realpath(os.path.join(folder, "bin/kmstool_enclave_cli"))
    out, sock, bundle = os.path.join(where, "out"), os.path.join(where, "sock"), os.path.join(where, "ca.pem")
    with open(bundle, "wb") as f:
        for path in ("/etc/ssl/certs/ca-certificates.crt", stack_env["AWS_CA_BUNDLE"]):
            if os.path.exists(path):
                with open(path, "rb") as g:
                    f.write(g.read())
    state = os.path.dirname(os.path.dirname(stack_env["NITROSEAL_ROOT_FILE"]))
    env = {k: stack_env[k] for k in stack_env if k.startswith(("AWS_", "NITROSEAL_", "PATH"))}
    env |= {"NITROSEAL_NSM": "unix:" + os.path.join(state, "nsm.sock"), "NITROSEAL_CA_FILE": bundle}
    key = stack_env["KMS_KEY_ID"]
    helper = None
    try:
        genkey = ["genkey", "--key-id", key, "--key-spec", "AES-256"]
        call([program, *genkey], env, out)
        with open(out) as f:
            sealed = f.readline().split(": ")[1].strip()
        calls = {"genkey": genkey, "decrypt": ["decrypt", "--ciphertext", sealed]}
        for name, argv in calls.items():
            wall, cpu = series(program, argv, env, out, runs)
            rss = max(peak_kib([program, *argv], env) for _ in range(3))
            figures.add(f"kmstool.{name}.cold_ms", wall * 1000, "ms", PEER[name][0] * COLD_SHARE)
            figures.add(f"kmstool.{name}.cold_cpu_ms", cpu * 1000, "ms", PEER[name][1] * COLD_SHARE)
            figures.add(f"kmstool.{name}.cold_rss_kib", rss, "KiB", PEER_RSS_KIB)
            figures.add(f"peer.{name}.cold_ms", PEER[name][0], "ms")
            figures.add(f"peer.{name}.cold_cpu_ms", PEER[name][1], "ms")
        helper = subprocess.Popen([program, "serve", "--socket", sock], env=env, stderr=subprocess.DEVNULL)
        for _ in range(200):
            if os.path.exists(sock):
                break
            time.sleep(0.02)
        for name, argv in calls.items():
            call([program, *argv], env | {"KMSTOOL_SOCKET": sock}, out)
            before = cpu_s(helper.pid)
            wall, cpu = series(program, argv, env | {"KMSTOOL_SOCKET": sock}, out, runs * 5)
            figures.add(f"kmstool.{name}.warm_ms", wall * 1000, "ms", WARM_MS)
            figures.add(f"kmstool.{name}.warm_cpu_ms", cpu * 1000 + (cpu_s(helper.pid) - before) * 1000 / (runs * 5), "ms")
        figures.add("kmstool.helper_rss_kib", rss_kib(helper.pid), "KiB")
        copy = os.path.join(where, "stripped")
        subprocess.run(["strip", "-o", copy, program], check=True)
        figures.add("kmstool.binary_bytes", os.path.getsize(copy), "B", PEER_BINARY_BYTES)
    finally:
        if helper:
            helper.terminate()
            helper.wait()
        shutil.rmtree(where, ignore_errors=True)
