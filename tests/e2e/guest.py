"""Images booted for real: QEMU's nitro-enclave machine, our vsock device (`nitro-local vsock`), the heartbeat that
nitro-cli would answer, and the console in a file. Every wait has a limit."""
import os, shutil, socket, subprocess, tempfile, threading, time

import lib

SHARED = os.path.join(lib.ROOT, "..", "shared", "tools", "nitro-qemu")
MODULE = "i-0123456789abcdef0-enc0123456789abcdef"
FIRMWARE = ["/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu"]
HEARTBEAT = 9000
RESTARTING = "reboot: Restarting system"


def _has_machine(program):
    try:
        help = subprocess.run([program, "-M", "help"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return "nitro-enclave" in help


def find_qemu():
    named = os.environ.get("NITROSEAL_QEMU")
    places = [named] if named else [os.path.join(SHARED, "qemu-system-x86_64"),
                                    os.path.join(lib.ROOT, "build", "qemu", "qemu-system-x86_64"),
                                    shutil.which("qemu-system-x86_64")]
    return next((p for p in places if p and os.access(p, os.X_OK) and _has_machine(p)), None)


def find_kernel():
    named = os.environ.get("NITROSEAL_KERNEL")
    places = [named] if named else [os.path.join(lib.ROOT, "build", "kernel", "bzImage"), os.path.join(SHARED, "bzImage")]
    return next((p for p in places if p and os.access(p, os.R_OK)), None)


QEMU, KERNEL = find_qemu(), find_kernel()


def why_not():
    """Why nothing can be booted here, or None."""
    if not QEMU:
        return "no QEMU with the nitro-enclave machine: NITROSEAL_QEMU names one, tools/build-qemu makes one"
    if not KERNEL:
        return "no kernel for a guest: NITROSEAL_KERNEL names one, image/kernel/build makes one"
    for firmware in ("bios-microvm.bin", "linuxboot_dma.bin"):
        if not any(os.path.exists(os.path.join(d, firmware)) for d in FIRMWARE):
            return f"firmware {firmware} is missing: packages qemu-system-data and seabios"
    return None


class NotBooted(RuntimeError):
    pass


class Guest:
    """One boot. `vsock` is the folder of the sockets; the guest's CID is in it as CID.vsock."""

    def __init__(self, image, vsock, cid=lib.CID, memory="64M", heartbeat=True, module=MODULE, name="guest"):
        self.dir = tempfile.mkdtemp(prefix="g-")
        self.image, self.vsock, self.cid, self.beats = image, vsock, cid, []
        self.qemu = self.device = self.listener = None
        self.console_file = os.path.join(self.dir, "console")
        lib.atexit.register(self.stop)
        os.makedirs(vsock, mode=0o700, exist_ok=True)
        if heartbeat:
            self._answer_heartbeat()
        sock = os.path.join(self.dir, "vu")
        self.device = lib.Program("nitro-local", ["vsock", "--socket", sock, "--vsock", "unix:" + vsock, "--enclave-cid", cid],
                                  log=os.path.join(self.dir, "device.log"))
        lib.until(lambda: lib.listens(sock) or not self.device.alive(), what="nitro-local vsock")
        if not self.device.alive():
            raise RuntimeError("nitro-local vsock left: " + self.device.text())
        folders = [x for d in FIRMWARE if os.path.isdir(d) for x in ("-L", d)]
        self.start = time.monotonic()
        with open(self.console_file, "wb") as console, open(os.path.join(self.dir, "qemu.log"), "wb") as log:
            self.qemu = subprocess.Popen(
                [QEMU, *folders, "-M", f"nitro-enclave,vsock=c,id={module}", "-accel", "tcg", "-cpu", "max", "-smp", "1",
                 "-m", memory, "-kernel", image, "-nographic", "-no-reboot", "-chardev", f"socket,id=c,path={sock}"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=log)

    def _answer_heartbeat(self):
        path = os.path.join(self.vsock, f"3.vsock_{HEARTBEAT}")
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(4)

        def serve(listener):
            while True:
                try:
                    s, _ = listener.accept()
                except OSError:
                    return
                with s:
                    s.settimeout(10)
                    try:
                        beat = s.recv(1)
                        self.beats.append((time.monotonic() - self.start, beat, self.console()))
                        s.sendall(beat)
                    except OSError:
                        pass

        threading.Thread(target=serve, args=(self.listener,), daemon=True).start()

    def console(self):
        with open(self.console_file, "rb") as f:
            return f.read().decode("utf-8", "replace").replace("\r", "")

    def over(self):
        """The guest has come to its end; QEMU may take its time to leave (reboot=k)."""
        return self.qemu.poll() is not None or RESTARTING in self.console()

    def wait(self, text, seconds=60):
        """Until the console shows `text` (or `text(console)` is true); the seconds since the start of QEMU."""
        end = time.monotonic() + seconds
        shown = text if callable(text) else lambda console: text in console
        while not shown(self.console()):
            if self.over() and not shown(self.console()):
                raise NotBooted(f"the guest ended without '{text}':\n{self.tail()}")
            if time.monotonic() > end:
                raise NotBooted(f"no '{text}' within {seconds} s:\n{self.tail()}")
            time.sleep(0.01)
        return time.monotonic() - self.start

    def wait_end(self, seconds=60):
        end = time.monotonic() + seconds
        while not self.over():
            if time.monotonic() > end:
                raise NotBooted(f"the guest did not end within {seconds} s:\n{self.tail()}")
            time.sleep(0.02)
        return self.console()

    def tail(self):
        return "\n".join(self.console().splitlines()[-25:])

    def stop(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
        if self.qemu:
            self.qemu.wait()
        if self.device:
            self.device.stop()
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def booted(image, vsock, until, seconds=60, **options):
    """A guest whose console shows `until`; tried twice, because emulation on a busy machine may stall."""
    for last in (False, True):
        g = Guest(image, vsock, **options)
        try:
            g.wait(until, seconds)
            return g
        except NotBooted as e:
            g.stop()
            if last:
                raise
            print("# tried again:", *str(e).splitlines()[-3:], sep="\n#   ", flush=True)


def run(image, vsock, seconds=60, **options):
    """A guest to its end: (console, heartbeats). Tried twice if it does not end."""
    for last in (False, True):
        with Guest(image, vsock, **options) as g:
            try:
                return g.wait_end(seconds), g.beats
            except NotBooted:
                if last:
                    raise
