"""The service of the test build, whose calls of the system fail on order: tests/inject/inject.h has the block that both
sides map."""
import mmap, os, struct, time

import lib

PROGRAM = os.path.join(lib.BUILD, "tests", "inject", "nitroseald_inject")
MAGIC = 0x31746365636A6E69
KINDS = ["alloc", "map", "recv", "send", "file", "short", "wait", "accept", "connect", "socket", "random", "thread", "open"]
FIELDS = ["calls", "at", "count", "every", "error", "fired"]
HEAD = ["magic", "seed", "wall_s", "mono_ns", "live", "kinds"]
FOREVER = 1 << 62


class Block:
    """What is to fail. Names of numbers are `head` ones, or kind and field."""

    def __init__(self, path):
        size = 8 * (len(HEAD) + len(KINDS) * len(FIELDS))
        with open(path, "wb") as f:
            f.write(struct.pack("=QQqQQQ", MAGIC, 1, 0, 0, 0, len(KINDS)).ljust(size, b"\0"))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), size)
        self.n, self.path, self.ahead = memoryview(self.map).cast("Q"), path, 0

    def head(self, name, value=None):
        if value is not None:
            self.n[HEAD.index(name)] = value & (2**64 - 1)
        return self.n[HEAD.index(name)]

    def field(self, kind, name, value=None):
        i = len(HEAD) + KINDS.index(kind) * len(FIELDS) + FIELDS.index(name)
        if value is not None:
            self.n[i] = value
        return self.n[i]

    def nth(self, kind, n, count=1, error=0):
        """The n-th call from now on, and those after it, `count` in all."""
        self.field(kind, "at", 0)
        self.field(kind, "count", count)
        self.field(kind, "error", error)
        self.field(kind, "at", self.field(kind, "calls") + n)

    def often(self, kind, every, error=0):
        self.field(kind, "error", error)
        self.field(kind, "every", every)

    def calm(self):
        for kind in KINDS:
            self.field(kind, "at", 0)
            self.field(kind, "every", 0)

    def fired(self):
        return sum(self.field(kind, "fired") for kind in KINDS)

    def age(self, seconds):
        """Time goes on by so much, the program's only: what is kept for a while gets old."""
        self.head("mono_ns", self.head("mono_ns") + int(seconds * 1e9))
        self.ahead += seconds
        self.head("wall_s", int(self.ahead))


def descriptors(pid):
    """Their kinds, counted: two that are alike are not told apart."""
    kinds = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            kind = os.readlink(f"/proc/{pid}/fd/{name}").split("[")[0].replace(f"/proc/{pid}/", "/proc/self/")
        except OSError:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def cpu_seconds(pid):
    """Of its first thread, the one with the loop: another may be making a key."""
    with open(f"/proc/{pid}/task/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settle(question, seconds=30):
    """Until the question says yes, as late as that; its last answer."""
    end = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer
