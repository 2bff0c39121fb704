"""vsock-proxy against socat: throughput per CPU second and connections per second, both between a Unix socket and TCP on
the loopback, with the same load in the same run. The load is two processes of their own; only the relay's CPU counts."""
import multiprocessing, os, shutil, socket, statistics, subprocess, sys, tempfile, threading, time

PIECE = 256 * 1024
UP, DOWN, ECHO = b"u", b"d", b"e"
NAMES = {UP: "up", DOWN: "down"}  # towards TCP, from TCP
LOADS = [(way, connections) for connections in (1, 16) for way in (UP, DOWN)]
TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """User and system time of a process and of its children that have ended."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return f.read().split()


def pour(s, until):
    data = bytes(PIECE)
    try:
        while time.monotonic() < until:
            s.sendall(data)
    finally:
        s.shutdown(socket.SHUT_WR)


def drink(s):
    room, total = bytearray(PIECE), 0
    while n := s.recv_into(room):
        total += n
    return total


def remote(port_pipe):
    """Each connection says first what it wants: UP and DOWN (seconds follow), or ECHO of that one byte."""
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port_pipe.send(server.getsockname()[1])

    def one(c):
        what = c.recv(1)
        if what == UP:
            c.sendall(drink(c).to_bytes(8, "big"))
        if what == DOWN:
            pour(c, time.monotonic() + c.recv(1)[0])
        if what == ECHO:
            c.sendall(what)
        c.close()
    while True:
        c, _ = server.accept()
        threading.Thread(target=one, args=(c,), daemon=True).start()


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def answers(path):
    try:
        connect(path).close()
        return True
    except OSError:  # no file yet, or nobody listens on it yet
        return False


def one_way(s, way, seconds, counts):
    if way == UP:
        s.sendall(UP)
        pour(s, time.monotonic() + seconds)
        counts.append(int.from_bytes(s.recv(8, socket.MSG_WAITALL), "big"))
    else:
        s.sendall(DOWN + bytes([seconds]))
        counts.append(drink(s))
    s.close()


def throughput(path, pid, way, connections, seconds):
    """(GB/s of all connections, GB per CPU second of the relay)."""
    counts, threads = [], []
    before, began = cpu_s(pid), time.monotonic()
    for _ in range(connections):
        threads.append(threading.Thread(target=one_way, args=(connect(path), way, seconds, counts)))
        threads[-1].start()
    for t in threads:
        t.join()
    took = time.monotonic() - began
    while children(pid):  # socat's, one for each connection: their time counts when they have ended
        time.sleep(0.01)
    time.sleep(0.05)
    total = sum(counts) / 1e9
    return total / took, total / max(cpu_s(pid) - before, 1 / TICK)


def connections(path, pid, seconds):
    """(connections per second one after the other, per CPU second)."""
    n, before, end = 0, cpu_s(pid), time.monotonic() + seconds
    while time.monotonic() < end:
        with connect(path) as s:
            s.sendall(ECHO)
            s.recv(1)
        n += 1
    while children(pid):
        time.sleep(0.01)
    time.sleep(0.05)
    return n / seconds, n / max(cpu_s(pid) - before, 1 / TICK)


def start(words, path, env=None):
    p = subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not answers(path):
        if p.poll() is not None or time.monotonic() > end:
            sys.exit(f"bench: {words[0]} does not listen")
        time.sleep(0.01)
    return p


def relays(folder, where, port):
    """name -> (words, socket, environment)"""
    with open(os.path.join(where, "list.yaml"), "w") as f:
        f.write(f"allowlist:\n- {{address: 127.0.0.1, port: {port}}}\n")
    found = {"vsock_proxy": ([os.path.join(folder, "bin/vsock-proxy"), "--config", f.name, "--log-level", "error", "8000", "127.0.0.1", str(port)],
                             os.path.join(where, "3.vsock_8000"), {**os.environ, "NITROSEAL_VSOCK": "unix:" + where})}
    if shutil.which("socat"):
        path = os.path.join(where, "socat")
        found["socat"] = (["socat", "-b", str(PIECE), f"UNIX-LISTEN:{path},fork,backlog=1024", f"TCP:127.0.0.1:{port}"], path, None)
    else:
        print("bench: socat is not here, so vsock-proxy stands alone; tools/setup bench installs it", file=sys.stderr)
    return found


def measure(folder, figures, runs, seconds):
    where = tempfile.mkdtemp(prefix="nsb.")
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=remote, args=(there,), daemon=True)
    server.start()
    ended, medians = [], {}
    try:
        for name, (words, path, env) in relays(folder, where, here.recv()).items():
            p = start(words, path, env)
            ended.append(p)
            for way, c in LOADS:
                all_runs = [throughput(path, p.pid, way, c, seconds) for _ in range(runs)]
                load = f"{NAMES[way]}.c{c}"
                figures.add(f"{name}.{load}.gb_s", statistics.median(r[0] for r in all_runs), "GB/s")
                medians[name, load] = statistics.median(r[1] for r in all_runs)
                figures.add(f"{name}.{load}.gb_per_cpu_s", medians[name, load], "GB/s")
            all_runs = [connections(path, p.pid, seconds) for _ in range(runs)]
            figures.add(f"{name}.connections_s", statistics.median(r[0] for r in all_runs), "1/s")
            figures.add(f"{name}.connections_per_cpu_s", statistics.median(r[1] for r in all_runs), "1/s")
            p.terminate()
            p.wait()
        for load in [load for name, load in medians if name == "socat"]:
            figures.add(f"vsock_proxy.{load}.times_socat", medians["vsock_proxy", load] / medians["socat", load], "", 2)
    finally:
        for p in ended:
            if p.poll() is None:
                p.kill()
                p.wait()
        server.kill()
        shutil.rmtree(where, ignore_errors=True)
