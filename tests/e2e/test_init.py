#!/usr/bin/python3
"""nitroseal-init in a booted guest: what it prepares for the service, what it says when the service ends, and how it
ends the enclave when an image is not as it should be. Images are made by hand, also those that no builder makes. TAP."""
import concurrent.futures, itertools, os, re

import guest, handmade_eif, lib
from lib import check

if why := guest.why_not():
    lib.skip_all(why)
if lib.missing_programs(["nitroseal-init", "nitro-local"]):
    lib.skip_all("nitroseal-init or nitro-local is not built")


def content(path):
    with open(path, "rb") as f:
        return f.read()


folder = lib.private_folder()
kernel = content(guest.KERNEL)
init = content(os.path.join(lib.BIN, "nitroseal-init"))
probe = content(os.path.join(lib.BUILD, "tests", "guest", "guest_probe"))
numbers = itertools.count(1)
NO_CONSOLE = "console=hvc0"  # which is not there


def image(conf=None, module=None, cmdline="", console="console=ttyS0", **tops):
    """(file, its PCRs); without `cmd` the image has none."""
    line = handmade_eif.TEST_CMDLINE.replace("console=ttyS0", console) + " quiet" + cmdline
    if console == NO_CONSOLE:  # then only QEMU's own end tells, and with reboot=k some kernels take minutes
        line = line.replace("reboot=k", "reboot=t")
    ramdisks = [handmade_eif.bootstrap(init, conf, module), handmade_eif.application({"bin/probe": probe}, **tops)]
    path = os.path.join(folder, f"{next(numbers)}.eif")
    with open(path, "wb") as f:
        f.write(handmade_eif.eif(kernel, line, ramdisks))
    return path, handmade_eif.pcrs(kernel, line, ramdisks)


class Boot:
    def __init__(self, name, wait=None, heartbeat=True, **how):
        self.name = name
        path, self.pcrs = image(**how)
        vsock = path + ".v"
        try:
            if wait:  # a guest that does not end by itself
                with guest.booted(path, vsock, wait, heartbeat=heartbeat) as g:
                    self.console, self.beats = g.console(), g.beats
            else:
                self.console, self.beats = guest.run(path, vsock, heartbeat=heartbeat)
        except guest.NotBooted as e:
            self.console, self.beats = str(e), []

    def check(self, good, what):
        check(good, f"{self.name}: {what}", self.console[-3000:], [b[:2] for b in self.beats])

    def says(self, text, what=None):
        self.check(text in self.console, what or text)

    def refuses(self, at, why, beats=0):
        quoted = re.search(r"error nitroseal-init the enclave ends at=(\".*?\"|\S+) why=(\".*?\"|\S+)", self.console)
        got = tuple(x.strip('"') for x in quoted.groups()) if quoted else None
        self.check(got == (at, why), f"the enclave ends: {at}: {why}")
        self.check("starting the service" not in self.console, "no service")
        self.check(len(self.beats) == beats, f"{beats} heartbeats")


def starts(console):
    return console.count("starting the service")


ALL = b"probe\nme\nmounts\npcrs\nzombies\nlo\nsignals\n\n-x y\nexit:7\n"
cases = {
    "service": dict(cmd=ALL, env=b"A=b c\nPATH=/opt:/bin\n\nB=\n", cmdline=" restart=always TOLD=by-the-command-line word"),
    "user": dict(cmd=b"/bin/probe\nme\n", env=b"", user=b"1000:100,5,6\n", workdir=b"/srv\n"),
    "no environment": dict(cmd=b"probe\nme\n"),
    "crash": dict(cmd=b"probe\ncrash\n"),
    "restart": dict(cmd=b"probe\nexit:3\n", conf=b"restart=always\n", wait=lambda console: starts(console) == 3),
    "no cmd": dict(env=b""),
    "empty cmd": dict(cmd=b""),
    "no such program": dict(cmd=b"nothing\n"),
    "no such file": dict(cmd=b"/srv/nothing\n"),
    "heartbeat as AWS's": dict(cmd=b"nothing\n", conf=b"heartbeat=early\n"),
    "bad environment": dict(cmd=b"probe\n", env=b"A=1\nB\n"),
    "bad user": dict(cmd=b"probe\n", user=b"app\n"),
    "bad folder": dict(cmd=b"probe\n", workdir=b"/nowhere\n"),
    "bad module": dict(cmd=b"probe\n", module=b"not a module"),
    "bad setting": dict(cmd=b"probe\n", conf=b"restart=sometimes\n"),
    "nobody listens": dict(cmd=b"probe\n", heartbeat=False),
    "no console": dict(cmd=b"probe\n", console=NO_CONSOLE),
}


def boot(item):
    return item[0], Boot(item[0], **item[1])


# Two at once: emulation uses one core each.
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    booted = dict(pool.map(boot, cases.items()))

b = booted["service"]
lines = b.console.splitlines()
arguments = ["probe", "me", "mounts", "pcrs", "zombies", "lo", "signals", "", "-x y", "exit:7"]
for i, argument in enumerate(arguments):
    b.says(f"arg {i} [{argument}]")
b.check([x for x in lines if x.startswith("env ")] == ["env [A=b c]", "env [PATH=/opt:/bin]", "env [B=]"],
        "its environment is /env and nothing of the command line")
b.says("folder /")
b.says("ids 0 0 0 0 groups")
b.says("parent 1 session leader 1")
b.says("cmd gone 1 env gone 1")
for mounted in ("dev /dev devtmpfs rw,nosuid,noexec", "proc /proc proc rw,nosuid,nodev,noexec", "tmpfs /run tmpfs rw,nosuid,nodev,noexec",
                "tmpfs /tmp tmpfs rw,nosuid,nodev,noexec", "shm /dev/shm tmpfs rw,nosuid,nodev,noexec",
                "devpts /dev/pts devpts rw,nosuid,noexec", "sysfs /sys sysfs rw,nosuid,nodev,noexec"):
    b.says(mounted)
for register, value in b.pcrs.items():
    b.says(f"{register} = {value} locked", f"{register} of the NSM is that of the file")
b.says(f"PCR3 = {'0' * 96} locked")
b.says(f"PCR16 = {'0' * 96} unlocked")
b.says("zombies 0", "orphans are reaped")
b.says("lo connected", "127.0.0.1 is there")
b.says("signals: parent 1", "no signal moves the first process")
b.says("entropy of the NSM mixed in bytes=256")
b.says("error nitroseal-init service ended status=7")
b.says('next="the enclave ends"', "restart=always on the command line is not a setting")
b.check([beat[1] for beat in b.beats] == [b"\xb7"], "one heartbeat")
order = [b.console.find(x) for x in ("entropy of the NSM", "starting the service", "arg 0", "service ended", guest.RESTARTING)]
b.check(-1 not in order and order == sorted(order), "entropy, service, end, reboot")
b.check(all("starting the service" not in shown for _, _, shown in b.beats), "the heartbeat comes before the service")

b = booted["user"]
b.says("ids 1000 1000 100 100 groups 5 6")
b.says("folder /srv")
b.check("env [" not in b.console, "an empty environment is empty")
b = booted["no environment"]
b.says("arg 0 [probe]", "/env may be absent, and the program is found in the default PATH")
b.check("env [" not in b.console, "nothing is made up")

b = booted["crash"]
b.says("error nitroseal-init service killed signal=11 name=SEGV")
b.check(starts(b.console) == 1 and guest.RESTARTING in b.console, "a crash ends the enclave")
b = booted["restart"]
b.says("service ended status=3")
b.check(b.console.count("next=restart") >= 2 and len(b.beats) == 1, "restart=always: three starts, one heartbeat")
born = [int(x) for x in re.findall(r"since_boot_ms=(\d+)", b.console)]
b.check(len(born) == 3 and 1000 <= born[1] - born[0] < 2000 <= born[2] - born[1] < 4000, f"pauses of 1 s and 2 s: {born}")

booted["no cmd"].refuses("/cmd", "the image has none: it names the program to start")
booted["empty cmd"].refuses("/cmd", "empty: it names the program, one argument a line")
booted["no such program"].refuses("nothing", "no such program in PATH, or not executable")
booted["no such file"].refuses("/srv/nothing", "no such program, or not executable")
booted["heartbeat as AWS's"].refuses("nothing", "no such program in PATH, or not executable", beats=1)
booted["bad environment"].refuses("/env", "a line is not NAME=value")
booted["bad user"].refuses("/user", "not uid:gid[,gid...] in numbers")
booted["bad folder"].refuses("/nowhere", "no such file or folder")
booted["bad setting"].refuses("/init.conf", "restart is never or always")
b = booted["bad module"]
b.check("the enclave ends at=/nsm.ko" in b.console and not b.beats, "the enclave ends: /nsm.ko")
b = booted["nobody listens"]
b.refuses("heartbeat to the parent, CID 3 port 9000", "connection refused")
b.check(b.console.count("heartbeat not answered") == 5, "five tries")
b = booted["no console"]
b.check("nitroseal-init" not in b.console and len(b.beats) == 1, "without a console it starts all the same")
lib.plan()
