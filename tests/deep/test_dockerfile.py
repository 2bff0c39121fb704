#!/usr/bin/python3
"""image/Dockerfile without a Docker engine: a base image made by debootstrap, built by buildah (chroot isolation) from
the committed sources, turned into an enclave image by `nitroseal image build --oci`, and booted. Needs root, packages
buildah and debootstrap, and a package archive. Prints TAP."""
import json, os, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import guest, lib
from lib import check

KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BASE, IMAGE = "localhost/base:12", "localhost/nitroseal"

for tool in ("buildah", "debootstrap", "apt-get"):
    if not shutil.which(tool):
        lib.skip_all(f"{tool} is missing: tools/setup deep installs it")
if os.geteuid() != 0:
    lib.skip_all("needs root: buildah's chroot isolation")
if why := guest.why_not():
    lib.skip_all(why)
folder = lib.private_folder("bud-")
path = lambda *names: os.path.join(folder, *names)


def sh(*argv, **more):
    return subprocess.run(argv, capture_output=True, text=True, timeout=1200, **more)


def buildah(*argv, **more):
    return sh("buildah", "--root", path("root"), "--runroot", path("run"), "--storage-driver", "vfs", *argv, **more)


def packages():
    """The words of tools/setup's list for building."""
    text = open(os.path.join(lib.ROOT, "tools", "setup"), encoding="utf-8").read()
    return text.split('build="', 1)[1].split('"', 1)[0].split()


def base():
    sites = sh("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages").stdout.splitlines()
    archive = next((s.split()[1] for s in sites if s.startswith("bookworm ")), None)
    if not check(archive, "an archive of Debian 12 is configured", sites):
        return False
    made = sh("debootstrap", "--variant=minbase", "--include=" + ",".join(packages()), "bookworm", path("debian"), archive)
    if not check(made.returncode == 0, "debootstrap makes a base", made.stdout[-3000:], made.stderr):
        return False
    container = buildah("from", "scratch").stdout.strip()
    mounted = buildah("mount", container).stdout.strip()
    copied = sh("cp", "-a", path("debian") + "/.", mounted)
    committed = buildah("commit", "-q", "--rm", container, BASE)
    shutil.rmtree(path("debian"))
    return check(copied.returncode == 0 and committed.returncode == 0, "which becomes an image", copied.stderr, committed.stderr)


def build():
    source = path("source")
    cloned = sh("git", "clone", "-q", lib.ROOT, source)
    check(cloned.returncode == 0, "the committed sources", cloned.stderr)
    built = buildah("build", "--isolation", "chroot", "--build-arg", "BASE=" + BASE, "--build-arg", "KMS_KEY_ID=" + KEY,
                    "--build-arg", "AWS_REGION=eu-west-1", "-f", "image/Dockerfile", "-t", IMAGE, ".", cwd=source)
    if not check(built.returncode == 0, "buildah builds image/Dockerfile", built.stdout[-3000:], built.stderr[-3000:]):
        return None
    archive = path("nitroseal.tar")
    pushed = buildah("push", IMAGE, "oci-archive:" + archive)
    check(pushed.returncode == 0, "and writes an OCI archive", pushed.stderr)
    return archive


def boot(archive):
    eif = path("nitroseal.eif")
    status, out, err = lib.run("nitroseal", "image", "build", "-o", eif, "--oci", archive, "--kernel", guest.KERNEL,
                               "--env", "NITROSEAL_NSM_CHECK=none")
    if not check(status == 0, "nitroseal image build --oci takes it", status, err):
        return
    again = path("again.eif")
    lib.run("nitroseal", "image", "build", "-o", again, "--oci", archive, "--kernel", guest.KERNEL, "--env", "NITROSEAL_NSM_CHECK=none")
    check(sh("cmp", eif, again).returncode == 0, "twice the same")
    vsock = path("v")
    with guest.booted(eif, vsock, "nitroseald ready", 90) as g:
        check(f'key_id={KEY}' in g.console() and "region=eu-west-1" in g.console(), "booted: the build arguments are its settings", g.tail())
        status, out, err = lib.run("nitroseal", "attest", "--any-image", env={"NITROSEAL_VSOCK": "unix:" + vsock})
        check(status == 5 and "verify" in err, "it answers: with a document that QEMU's NSM did not sign", status, err)


def main():
    try:
        if base() and (archive := build()):
            boot(archive)
    finally:
        buildah("rm", "--all")
        buildah("rmi", "--all", "--force")
    lib.plan()


main()
