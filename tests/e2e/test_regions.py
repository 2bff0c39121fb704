#!/usr/bin/python3
"""A message sealed in one Region, opened in another: two local KMS, each with its own Region, and in both the same
multi-Region key, as ReplicateKey leaves it there: one id, one material, a policy of its own for each. What differs between
the ARNs is the Region only, and any other difference is refused. TAP."""
import base64, json, os

import duplex
import lib
from lib import check
from messages import DEC, ENC, WRAP, encoded, hold, refused, said

HERE, THERE = "us-east-1", "eu-west-1"
MRK, ALIEN = "mrk-" + "1234567890abcdef" * 2, "mrk-" + "fedcba0987654321" * 2
SINGLE = "12345678-1234-1234-1234-123456789abc"  # the same id and material in both, but no multi-Region key
CONTEXT = {"purpose": "across", "to": "\u6771\u4eac"}
TEXT = os.urandom(200_000)
material = {name: base64.b64encode(os.urandom(32)).decode() for name in (MRK, ALIEN, SINGLE)}

if lib.missing_programs():
    lib.skip_all("programs of the local stack: " + " ".join(lib.missing_programs()))


class Region(lib.Stack):
    """A stack whose KMS has the same keys as the other's."""

    def start_kms(self, options=()):
        pcrs = {k: v for k, v in self.measured().items() if k in ("PCR0", "PCR1", "PCR2")}
        seed = self.path("seed.yaml")
        with open(os.open(seed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump({"keys": [{"id": k, "material": m, "policy": json.loads(self.policy(pcrs))} for k, m in material.items()]}, f)
        return super().start_kms([*options, "--seed", seed])

    def arn_of(self, key):
        return f"arn:aws:kms:{self.region}:{lib.ACCOUNT}:key/{key}"

    def make_key(self, pcrs=None, more=()):
        self.arn = self.arn_of(MRK)
        return self.arn


here, there = Region(region=HERE), Region(region=THERE)
there.app, there.admin = here.app, here.admin
for stack in (here, there):
    stack.start()
    check(hold(stack) in (200, 204), f"{stack.region}: credentials are held")
    about = stack.kms.call(stack.admin, "DescribeKey", KeyId=MRK)["KeyMetadata"]
    check(about["Arn"] == stack.arn and about["MultiRegion"], f"{stack.region}: the multi-Region key is there", about)


def seal(stack, cid=lib.CID):
    headers = [("Nitroseal-Encryption-Context", pair) for pair in encoded(CONTEXT)]
    a = duplex.ask(stack, ENC, TEXT, headers, cid=cid)
    check(a.good, f"{stack.region}: sealed", said(a))
    return a.body


def opens(stack, message, name, cid=lib.CID):
    a = duplex.ask(stack, DEC, message, [("Nitroseal-Require-Context", pair) for pair in encoded(CONTEXT)], cid=cid)
    check(a.good and a.body == TEXT, name, said(a))
    return a


def no_key(stack, message, name, cid=lib.CID):
    a = duplex.ask(stack, DEC, message, cid=cid)
    check(refused(a, 403, "no_key"), name, said(a))


for one, other in ((here, there), (there, here)):
    sealed = seal(one)
    opens(one, sealed, f"{one.region}: opened where it was sealed")
    a = opens(other, sealed, f"sealed in {one.region}, opened in {other.region}")
    check(a.headers["nitroseal-key-id"] == other.arn, "the key is the one of the Region where it was opened", a.headers)

# Rewrapped there it names the Region there, and opens here all the same.
a = duplex.ask(there, WRAP, seal(here))
check(a.good and there.arn.encode() in a.body and here.arn.encode() not in a.body, "rewrapped in the other Region: its ARN is in the message", said(a))
opens(here, a.body, "rewrapped there, opened here")

# Same id and material are not enough: only `mrk-` crosses Regions, and only the same one.
for name, key in (("a key of one Region", SINGLE), ("another multi-Region key", ALIEN)):
    here.arn = here.arn_of(key)
    service = here.start_service(cid=31, name="other")
    hold(here, 31)
    message = seal(here, 31)
    opens(here, message, f"{name}: opened where it was sealed", 31)
    no_key(there, message, f"{name}: refused in the other Region")
    check(service.stop() == 0, "the service ends")
check(set(here.stop().values()) | set(there.stop().values()) == {0}, "all programs end in order")
lib.plan()
