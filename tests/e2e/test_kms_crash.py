#!/usr/bin/python3
"""Random operations of eight clients while the server is killed (-9) again and again: whatever was acknowledged is there
afterwards, every ciphertext opens, the audit log verifies. TAP.

    NITROSEAL_CRASH=long      100,000 operations, 50 kills; without it 5,000 and 5
    NITROSEAL_CRASH_SEED=n    the same operations again (not the same moments)

Each client has keys of its own, so that it knows what they have to be. An operation whose answer did not come may have
been carried out or not: then both are right, and the next look decides which."""
import base64, glob, http.client, json, os, random, ssl, sys, threading, time

import kmslib, lib
from lib import check

LONG = os.environ.get("NITROSEAL_CRASH") == "long"
CALLS, KILLS, CLIENTS = (100_000, 50, 8) if LONG else (5_000, 5, 8)
SEED = int(os.environ.get("NITROSEAL_CRASH_SEED", random.randrange(1 << 30)))
KEYS_MAX, BLOBS_MAX, GRANTS_MAX, TAGS_MAX = 40, 60, 6, 6
UNSURE = object()

if lib.missing_programs(["nitroseal-kms"]):
    lib.skip_all("nitroseal-kms is not built")

folder = lib.private_folder()
admin = kmslib.admin_of()
server = kmslib.Server(folder, [admin], options=["--log-level", "error", "--audit-max-mb", "8"]).start()
print(f"# seed {SEED}, {CALLS} calls, {KILLS} kills")


def supported(operation, **params):
    """Does this server know the operation at all?"""
    kind, _ = server.fault(admin, operation, **params)
    return kind != "UnknownOperationException"


HAS = {name: supported(name) for name in ("CreateAlias", "TagResource", "CreateGrant", "DisableKey", "UpdateKeyDescription", "EnableKeyRotation",
                                          "RotateKeyOnDemand", "ScheduleKeyDeletion", "ReEncrypt", "GenerateMac")}
print("# without", ", ".join(sorted(n for n in HAS if not HAS[n])) or "nothing")


class Lost(Exception):
    """No answer: it may have happened or not."""


class Client:
    """One keep-alive connection, made anew whenever it ends."""

    def __init__(self):
        self.c = None

    def call(self, operation, **params):
        body = json.dumps(params).encode()
        try:
            if self.c is None:
                self.c = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=context)
                self.c.connect()
            self.c.request("POST", "/", body, lib.sign(admin, f"127.0.0.1:{server.port}", "TrentService." + operation, body))
            r = self.c.getresponse()
            answer = json.loads(r.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as e:
            if self.c:
                self.c.close()
            self.c = None
            raise Lost(str(e))
        if r.status != 200:
            raise lib.KmsError(r.status, answer)
        return answer


class Key:
    """What a key has to be. A value of (UNSURE, old, new): either."""

    def __init__(self, arn, description):
        self.arn, self.id = arn, arn.rsplit("/", 1)[1]
        self.description, self.policy, self.enabled, self.deleting = description, None, True, False
        self.tags, self.grants, self.unsure_grants = {}, {}, 0
        self.blobs = []


def either(old, new):
    olds = list(old[1:]) if isinstance(old, tuple) and old and old[0] is UNSURE else [old]
    return (UNSURE, *olds, new)


def fits(want, got):
    return got in want[1:] if isinstance(want, tuple) and want and want[0] is UNSURE else got == want


def sure(value):
    return not (isinstance(value, tuple) and value and value[0] is UNSURE)


class Worker(threading.Thread):
    def __init__(self, number):
        super().__init__(daemon=True)
        self.number, self.rng, self.client = number, random.Random(SEED * 100 + number), Client()
        self.keys, self.aliases, self.calls, self.lost, self.wrong = [], {}, 0, 0, []
        self.alias_serial = self.key_serial = 0

    def run(self):
        acts = [(self.create, 3), (self.encrypt, 20), (self.decrypt, 25), (self.data_key, 12), (self.policy, 5), (self.describe, 10)]
        acts += [(self.alias, 6), (self.alias_away, 2)] if HAS["CreateAlias"] else []
        acts += [(self.tag, 6), (self.untag, 2)] if HAS["TagResource"] else []
        acts += [(self.grant, 4), (self.revoke, 2)] if HAS["CreateGrant"] else []
        acts += [(self.state, 3)] if HAS["DisableKey"] else []
        acts += [(self.describe_anew, 3)] if HAS["UpdateKeyDescription"] else []
        acts += [(self.rotate, 1)] if HAS["RotateKeyOnDemand"] else []
        acts += [(self.deletion, 1)] if HAS["ScheduleKeyDeletion"] else []
        functions, weights = zip(*acts)
        while self.calls < CALLS // CLIENTS:
            act = self.create if not self.keys else self.rng.choices(functions, weights)[0]
            self.calls += 1
            try:
                act()
            except Lost:
                self.lost += 1
                time.sleep(0.02)
            except lib.KmsError as e:
                self.wrong.append(f"{act.__name__}: {e}")

    def change(self, holder, name, new, operation, **params):
        """A change of one value: sure when it is answered."""
        old = getattr(holder, name)
        setattr(holder, name, either(old, new))
        self.client.call(operation, **params)
        setattr(holder, name, new)

    def pick(self, usable=True):
        keys = [k for k in self.keys if not usable or (k.enabled is True and k.deleting is False)]
        return self.rng.choice(keys) if keys else self.keys[0] if not usable else None

    def create(self):
        if len(self.keys) >= KEYS_MAX:
            return self.describe()
        self.key_serial += 1
        description = f"{self.number}/{self.key_serial}"
        tags = {"Tags": [{"TagKey": "of", "TagValue": description}]} if HAS["TagResource"] else {}
        made = self.client.call("CreateKey", Description=description, **tags)
        key = Key(made["KeyMetadata"]["Arn"], description)
        if tags:
            key.tags["of"] = description
        self.keys.append(key)

    def context(self):
        return {f"k{n}": str(self.rng.random()) for n in range(self.rng.randrange(3))}

    def keep(self, key, blob, text, context):
        key.blobs.append((blob, text, context))
        if len(key.blobs) > BLOBS_MAX:
            key.blobs.pop(self.rng.randrange(len(key.blobs)))

    def encrypt(self):
        if (key := self.pick()):
            text, context = base64.b64encode(self.rng.randbytes(self.rng.randrange(1, 100))).decode(), self.context()
            made = self.client.call("Encrypt", KeyId=key.id, Plaintext=text, EncryptionContext=context)
            self.keep(key, made["CiphertextBlob"], text, context)

    def data_key(self):
        if (key := self.pick()):
            context = self.context()
            made = self.client.call("GenerateDataKey", KeyId=key.arn, KeySpec="AES_256", EncryptionContext=context)
            self.keep(key, made["CiphertextBlob"], made["Plaintext"], context)

    def decrypt(self):
        key = self.pick()
        if key and key.blobs:
            blob, text, context = self.rng.choice(key.blobs)
            if self.client.call("Decrypt", CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] != text:
                self.wrong.append("another plaintext")

    def policy(self):
        if (key := self.pick()):
            new = json.dumps({"Version": "2012-10-17", "Id": str(self.rng.random()), "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": admin.arn}, "Action": "kms:*", "Resource": "*"}]})
            self.change(key, "policy", new, "PutKeyPolicy", KeyId=key.id, PolicyName="default", Policy=new)

    def describe(self):
        key = self.rng.choice(self.keys)
        got = self.client.call("DescribeKey", KeyId=key.id)["KeyMetadata"]
        if not fits(key.description, got["Description"]):
            self.wrong.append(f"{key.id}: description {got['Description']!r}, not {key.description!r}")

    def describe_anew(self):
        if (key := self.pick()):
            new = f"anew {self.rng.random()}"
            self.change(key, "description", new, "UpdateKeyDescription", KeyId=key.id, Description=new)

    def state(self):
        keys = [k for k in self.keys if k.deleting is False]
        if keys:
            key = self.rng.choice(keys)
            on = not key.enabled if sure(key.enabled) else True
            self.change(key, "enabled", on, "EnableKey" if on else "DisableKey", KeyId=key.id)

    def deletion(self):
        keys = [k for k in self.keys if sure(k.enabled) and sure(k.deleting) and k.enabled]
        if keys:
            key = self.rng.choice(keys)
            if key.deleting:
                key.enabled = either(False, True)  # it is disabled after the cancellation
                self.change(key, "deleting", False, "CancelKeyDeletion", KeyId=key.id)
                key.enabled = False
                self.change(key, "enabled", True, "EnableKey", KeyId=key.id)
            else:
                self.change(key, "deleting", True, "ScheduleKeyDeletion", KeyId=key.id, PendingWindowInDays=7)

    def rotate(self):
        if (key := self.pick()):
            try:
                self.client.call("RotateKeyOnDemand", KeyId=key.id)
            except lib.KmsError as e:
                if e.type not in ("LimitExceededException", "ConflictException"):
                    raise

    def alias(self):
        if not (key := self.pick()):
            return
        names = [n for n in self.aliases if sure(self.aliases[n]) and self.aliases[n]]
        if names and self.rng.random() < 0.4:
            name = self.rng.choice(names)
            self.aliases[name] = either(self.aliases[name], key.id)
            self.client.call("UpdateAlias", AliasName=name, TargetKeyId=key.id)
        elif len(names) < 40:
            self.alias_serial += 1
            name = f"alias/c{self.number}/{self.alias_serial}"
            self.aliases[name] = (UNSURE, None, key.id)
            self.client.call("CreateAlias", AliasName=name, TargetKeyId=key.id)
        else:
            return
        self.aliases[name] = key.id

    def alias_away(self):
        names = [n for n in self.aliases if sure(self.aliases[n]) and self.aliases[n]]
        if names:
            name = self.rng.choice(names)
            self.aliases[name] = either(self.aliases[name], None)
            self.client.call("DeleteAlias", AliasName=name)
            self.aliases[name] = None

    def tag(self):
        if (key := self.pick()):
            name, value = f"t{self.rng.randrange(TAGS_MAX)}", str(self.rng.random())
            key.tags[name] = either(key.tags.get(name), value)
            self.client.call("TagResource", KeyId=key.id, Tags=[{"TagKey": name, "TagValue": value}])
            key.tags[name] = value

    def untag(self):
        key = self.pick()
        if key and key.tags:
            name = self.rng.choice(sorted(key.tags))
            key.tags[name] = either(key.tags[name], None)
            self.client.call("UntagResource", KeyId=key.id, TagKeys=[name])
            key.tags[name] = None

    def grant(self):
        key = self.pick()
        if key and len([g for g in key.grants.values() if g is not False]) < GRANTS_MAX:
            key.unsure_grants += 1
            operations = self.rng.sample(["Encrypt", "Decrypt", "GenerateDataKey", "DescribeKey"], 2)
            made = self.client.call("CreateGrant", KeyId=key.id, GranteePrincipal=f"arn:aws:iam::{lib.ACCOUNT}:user/g{self.rng.randrange(5)}",
                                    Operations=operations)
            key.unsure_grants -= 1
            key.grants[made["GrantId"]] = True

    def revoke(self):
        key = self.pick()
        grants = [g for g, there in key.grants.items() if there is True] if key else []
        if grants:
            grant = self.rng.choice(grants)
            key.grants[grant] = (UNSURE, True, False)
            self.client.call("RevokeGrant", KeyId=key.id, GrantId=grant)
            key.grants[grant] = False


def pages(operation, member, **params):
    out, marker = [], {}
    while True:
        page = server.call(admin, operation, **params, **marker)
        out += page[member]
        if not page.get("Truncated"):
            return out
        marker = {"Marker": page["NextMarker"]}


context = ssl.create_default_context(cafile=server.kms.ca)
workers = [Worker(n) for n in range(CLIENTS)]
began = time.monotonic()
for w in workers:
    w.start()
done = lambda: sum(w.calls for w in workers)
kills, starts = 0, []
for n in range(KILLS):
    due = (n + 1) * CALLS // (KILLS + 1)
    while done() < due and any(w.is_alive() for w in workers):
        time.sleep(0.005)
    time.sleep(random.random() * 0.05)  # not always at the same place of an operation
    server.program.kill()
    kills += 1
    at = time.monotonic()
    server.start()
    starts.append(time.monotonic() - at)
for w in workers:
    w.join(1800)
took = time.monotonic() - began
check(kills == KILLS and not any(w.is_alive() for w in workers), f"{done()} calls of {CLIENTS} clients in {took:.0f} s ({done() / took:.0f}/s), "
      f"{kills} kills, {sum(w.lost for w in workers)} answers lost, starts of {max(starts):.2f} s at most")
wrong = [x for w in workers for x in w.wrong]
check(not wrong, "no call was refused that should not have been", f"{len(wrong)} refusals", *wrong[:10])

# --- what is there ------------------------------------------------------------------------------------------------------

keys = [k for w in workers for k in w.keys]
listed = {k["KeyArn"] for k in pages("ListKeys", "Keys", Limit=1000)}
gone = [k.arn for k in keys if k.arn not in listed]
check(keys and not gone, f"all {len(keys)} acknowledged keys are there (of {len(listed)})", gone[:5])

bad = []
for k in keys:
    got = server.call(admin, "DescribeKey", KeyId=k.id)["KeyMetadata"]
    deleting = got["KeyState"] == "PendingDeletion"
    if not fits(k.description, got["Description"]):
        bad.append((k.id, "description", got["Description"], k.description))
    if not fits(k.deleting, deleting):
        bad.append((k.id, "deleting", deleting, k.deleting))
    elif not deleting and not fits(k.enabled, got["Enabled"]):
        bad.append((k.id, "enabled", got["Enabled"], k.enabled))
    policy = server.call(admin, "GetKeyPolicy", KeyId=k.id, PolicyName="default")["Policy"]
    choices = [p for p in (k.policy[1:] if not sure(k.policy) else [k.policy])]
    if None not in choices and json.loads(policy)["Id"] not in [json.loads(p)["Id"] for p in choices]:
        bad.append((k.id, "policy", policy, choices))
    k.usable = not deleting
check(not bad, "descriptions, states and policies are the acknowledged ones", *bad[:5])

if HAS["TagResource"]:
    bad, n = [], 0
    for k in keys:
        got = {t["TagKey"]: t["TagValue"] for t in pages("ListResourceTags", "Tags", KeyId=k.id)}
        n += len(got)
        bad += [(k.id, name, got.get(name), want) for name, want in k.tags.items() if not fits(want, got.get(name))]
        bad += [(k.id, name, "nobody put it") for name in got if name not in k.tags]
    check(n and not bad, f"all tags ({n})", *bad[:5])
if HAS["CreateAlias"]:
    got = {a["AliasName"]: a["TargetKeyId"] for a in pages("ListAliases", "Aliases", Limit=100) if "TargetKeyId" in a}
    aliases = {name: want for w in workers for name, want in w.aliases.items()}
    bad = [(name, got.get(name), want) for name, want in aliases.items() if not fits(want, got.get(name))]
    check(got and not bad and set(got) <= set(aliases), f"all aliases ({len(got)})", *bad[:5])
if HAS["CreateGrant"]:
    bad, n = [], 0
    for k in keys:
        got = {g["GrantId"] for g in pages("ListGrants", "Grants", KeyId=k.id)}
        n += len(got)
        bad += [(k.id, g, g in got, there) for g, there in k.grants.items() if not fits(there, g in got)]
        if len(got - set(k.grants)) > k.unsure_grants:
            bad.append((k.id, "grants that nobody made"))
    check(n and not bad, f"all grants ({n})", *bad[:5])

bad, n = [], 0
for k in keys:
    if not k.usable:
        server.call(admin, "CancelKeyDeletion", KeyId=k.id)
    if HAS["DisableKey"]:
        server.call(admin, "EnableKey", KeyId=k.id)
client = Client()
for k in keys:
    for blob, text, encryption_context in k.blobs:
        n += 1
        try:
            if client.call("Decrypt", CiphertextBlob=blob, EncryptionContext=encryption_context)["Plaintext"] != text:
                bad.append((k.id, "another plaintext"))
        except (Lost, lib.KmsError) as e:
            bad.append((k.id, str(e)))
check(n and not bad, f"all {n} ciphertexts open", *bad[:5])

check(server.program.stop() == 0, "SIGTERM ends it")
log = os.path.join(server.state, "audit.log")
code, out, err = lib.run("nitroseal-kms", "audit", "verify", *sorted(glob.glob(log + ".0*")), log, timeout=600)
check(code == 0 and out.startswith("as written:") or "\nas written:" in out, f"the audit log: {out.strip().splitlines()[-1] if out else err}", out, err)

lib.plan()
