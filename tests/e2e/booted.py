"""What a booted image needs around it: a local KMS that was told to trust QEMU's NSM, a key, the relay, and images of
our service for that key."""
import json, os

import guest, handmade_eif, lib

LINE = handmade_eif.TEST_CMDLINE + " quiet"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
PROGRAMS = ["nitroseal", "kms-client", "nitroseald", "nitroseal-init", "nitroseal-kms", "nitro-local", "vsock-proxy"]


class Site:
    def __init__(self):
        self.dir = lib.private_folder()
        self.vsock = self.path("v")
        os.makedirs(self.vsock, mode=0o700)
        self.app = lib.Principal("app", "AKIDAPPAPPAPPAPPAPP0", "AppSecret" * 4)
        self.owner = lib.Principal("owner", "AKIDOWNEROWNEROWNER0", "OwnerSecret" * 3, policies=[EVERYTHING])
        self.start_kms()
        alone = {"Effect": "Allow", "Principal": {"AWS": self.owner.arn}, "Action": "kms:*", "Resource": "*"}
        made = self.kms.call(self.owner, "CreateKey", Policy=json.dumps({"Version": "2012-10-17", "Statement": [alone]}))
        self.arn = made["KeyMetadata"]["Arn"]
        self.start_relay()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start_kms(self):
        os.makedirs(self.path("kms"), mode=0o700)
        with open(os.open(self.path("principals.json"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            json.dump([self.app.entry(), self.owner.entry()], f)
        self.kms_program = lib.Program(
            "nitroseal-kms", ["--state", self.path("kms"), "--principals", self.path("principals.json"), "--region", lib.REGION,
                              "--account", lib.ACCOUNT, "--explain", "--trust-qemu-nsm", guest.MODULE], log=self.path("kms.log"))
        lib.until(lambda: os.path.exists(self.path("kms", "port")) or not self.kms_program.alive(), what="nitroseal-kms")
        self.kms = lib.Kms(self.path("kms"))

    def start_relay(self):
        with open(self.path("allowlist.yaml"), "w") as f:
            f.write(f"allowlist:\n- {{address: 127.0.0.1, port: {self.kms.port}}}\n")
        relay = lib.Program("vsock-proxy", ["--config", f.name, lib.PROXY_PORT, "127.0.0.1", self.kms.port],
                            env={"NITROSEAL_VSOCK": "unix:" + self.vsock}, log=self.path("relay.log"))
        at = os.path.join(self.vsock, f"{lib.PROXY_CID}.vsock_{lib.PROXY_PORT}")
        lib.until(lambda: lib.Stack.answers(at) or not relay.alive(), what="vsock-proxy")

    def build(self, name, *more, cmdline=LINE, nsm_check="none"):
        """(file, status, stdout, stderr) of `image build`."""
        out = self.path(name + ".eif")
        return (out, *lib.run(
            "nitroseal", "image", "build", "-o", out, "--kms-key-id", self.arn, "--ca-file", self.path("kms", "ca.pem"),
            "--kernel", guest.KERNEL, "--cmdline", cmdline, "--env", f"AWS_ENDPOINT_URL_KMS=https://localhost:{self.kms.port}",
            "--env", "NITROSEAL_NSM_CHECK=" + nsm_check, *more))

    def allow(self, *images):
        """The key for these images and for nobody else; `policy generate`'s status and stderr."""
        status, policy, err = lib.run("nitroseal", "policy", "generate", "--account", lib.ACCOUNT, "--user", "user/app",
                                      "--admin", "user/owner", *(x for i in images for x in ("--image", i)))
        if status == 0:
            self.kms.call(self.owner, "PutKeyPolicy", KeyId=self.arn, PolicyName="default", Policy=policy,
                          BypassPolicyLockoutSafetyCheck=True)
        return status, err

    def client_env(self):
        return {"NITROSEAL_VSOCK": "unix:" + self.vsock, **self.app.env()}

    def client(self, *argv):
        return lib.run("kms-client", lib.CID, lib.PORT, *argv, env=self.client_env())
