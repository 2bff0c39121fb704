"""Our vsock device: what a connection into a guest costs, from outside. The guest runs the test agent, which echoes on
port 5000; under emulation both ends of the ring share one core with the guest."""
import os, socket, statistics, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ["tests/guest/guest_agent"]
PORT, SMALL, ROUNDS, BULK = 5000, 64, 500, 64 << 20


def connect(folder, cid):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(120)
    s.connect(os.path.join(folder, f"{cid}.vsock"))
    s.sendall(b"CONNECT %d\n" % PORT)
    while not s.recv(1) == b"\n":
        pass
    return s


def receive(s, n):
    while n > 0:
        n -= len(s.recv(min(n, 1 << 18)))


def latency_us(folder, cid):
    times, message = [], bytes(SMALL)
    with connect(folder, cid) as s:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            s.sendall(message)
            receive(s, SMALL)
            times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


def bulk_mb_s(folder, cid):
    """There and back at the same time."""
    with connect(folder, cid) as s:
        start = time.perf_counter()
        sender = threading.Thread(target=s.sendall, args=(bytes(BULK),))
        sender.start()
        receive(s, BULK)
        sender.join()
        return BULK / 1e6 / (time.perf_counter() - start)


def measure(build, figures, runs):
    sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
    import guest, handmade_eif, lib

    agent = os.path.join(build, "tests", "guest", "guest_agent")
    if why := guest.why_not() or (None if os.access(agent, os.R_OK) else "the test agent is not built"):
        print("vsock: left out:", why, file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        image, vsock = os.path.join(folder, "agent.eif"), os.path.join(folder, "v")
        with open(agent, "rb") as a, open(guest.KERNEL, "rb") as k, open(image, "wb") as f:
            f.write(handmade_eif.eif(k.read(), handmade_eif.AWS_CMDLINE, [handmade_eif.bootstrap(a.read())]))
        with guest.booted(image, vsock, "agent: ready", 90) as g:
            figures.add("vsock.echo64_us", statistics.median(latency_us(vsock, g.cid) for _ in range(runs)), "us")
            figures.add("vsock.echo_bulk_mb_s", statistics.median(bulk_mb_s(vsock, g.cid) for _ in range(runs)), "MB/s")
