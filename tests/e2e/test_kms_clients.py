#!/usr/bin/python3
"""nitroseal-kms driven by the clients that people have: AWS's command line, boto3 and the SDK for JavaScript, unmodified,
with their endpoint settings. A test per operation and client; members and values as AWS documents them; error classes;
paginators; attested calls with documents of nitroseal-nsm. The conformance table of doc/local-kms.md is made of what is
recorded here: `test_kms_clients.py --write` puts it there, a run without compares. TAP."""
import base64, datetime, hashlib, hmac, json, os, re, socket, subprocess, sys, threading, time

import kms_clients, lib
from kms_clients import Refused
from lib import check

if lib.missing_programs(["nitroseal-kms", "nitroseal-nsm"]):
    lib.skip_all("nitroseal-kms or nitroseal-nsm is not built")
try:
    from cryptography.exceptions import InvalidSignature, InvalidTag  # noqa: F401
    from cryptography.hazmat.primitives import hashes, keywrap, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
except ImportError:
    lib.skip_all("python3-cryptography is not installed")

DOCUMENT = os.path.join(lib.ROOT, "doc", "local-kms.md")
BEGIN, END = "<!-- conformance table: made by tests/e2e/test_kms_clients.py --write -->\n", "<!-- end of the table -->\n"
ACCESS = "arn:aws:iam::" + lib.ACCOUNT + ":user/app"

stack = lib.Stack()
stack.start_nsm()
stack.start_kms()
record = kms_clients.Record()


def members(c, operation, out, *names, optional=()):
    """The members that AWS documents, and no other."""
    got = set(out) - set(optional)
    return check(got == set(names), f"{c.name}: {operation} answers what is documented", sorted(out), sorted(names))


def arn_of(key_id):
    return f"arn:aws:kms:{lib.REGION}:{lib.ACCOUNT}:key/{key_id}"


def new_key(c, **params):
    return c.call("CreateKey", **params)["KeyMetadata"]["KeyId"]


def public(c, key):
    return serialization.load_der_public_key(c.call("GetPublicKey", KeyId=key)["PublicKey"])


# --- keys and their life ----------------------------------------------------------------------------------------------

COMMON = ["AWSAccountId", "Arn", "CreationDate", "CustomerMasterKeySpec", "Description", "Enabled", "KeyId", "KeyManager",
          "KeySpec", "KeyState", "KeyUsage", "MultiRegion", "Origin"]


def keys(c):
    made = c.call("CreateKey", Description="for tests", Tags=[{"TagKey": "a", "TagValue": "b"}],
                  Policy=json.dumps({"Version": "2012-10-17", "Statement": [
                      {"Effect": "Allow", "Principal": {"AWS": stack.admin.arn}, "Action": "kms:*", "Resource": "*"}]}),
                  BypassPolicyLockoutSafetyCheck=False, Origin="AWS_KMS", MultiRegion=False)["KeyMetadata"]
    own = ["EncryptionAlgorithms"] + (["CurrentKeyMaterialId"] if c.complete else [])
    members(c, "CreateKey", made, *COMMON, *own, optional=() if c.complete else ("CurrentKeyMaterialId",))
    check(made["Arn"] == arn_of(made["KeyId"]) and made["KeyState"] == "Enabled" and made["Enabled"] is True and
          made["KeyManager"] == "CUSTOMER" and made["KeySpec"] == "SYMMETRIC_DEFAULT" and made["Origin"] == "AWS_KMS",
          f"{c.name}: CreateKey makes an enabled symmetric key", made)
    key = made["KeyId"]
    for ref in (key, made["Arn"]):
        check(c.call("DescribeKey", KeyId=ref)["KeyMetadata"]["KeyId"] == key, f"{c.name}: DescribeKey of {ref[:8]}...")
    c.call("UpdateKeyDescription", KeyId=key, Description="café")
    check(c.call("DescribeKey", KeyId=key)["KeyMetadata"]["Description"] == "café", f"{c.name}: UpdateKeyDescription")
    c.call("DisableKey", KeyId=key)
    c.refuses("Encrypt", "DisabledException", f"{made['Arn']} is disabled.", KeyId=key, Plaintext=b"x")
    c.call("EnableKey", KeyId=key)
    out = c.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    members(c, "ScheduleKeyDeletion", out, "DeletionDate", "KeyId", "KeyState", "PendingWindowInDays")
    c.refuses("EnableKey", "KMSInvalidStateException", f"{made['Arn']} is pending deletion.", KeyId=key)
    out = c.call("CancelKeyDeletion", KeyId=key)
    check(out == {"KeyId": made["Arn"]}, f"{c.name}: CancelKeyDeletion", out)
    check(c.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled", f"{c.name}: disabled after that")
    c.call("EnableKey", KeyId=key)
    return key


def every_kind(c):
    kinds = {"ENCRYPT_DECRYPT": ["RSA_2048"], "GENERATE_VERIFY_MAC": ["HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512"],
             "SIGN_VERIFY": ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"],
             "KEY_AGREEMENT": ["ECC_NIST_P256"]}
    for usage, specs in kinds.items():
        for spec in specs:
            made = c.call("CreateKey", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
            check(made["KeySpec"] == made["CustomerMasterKeySpec"] == spec and made["KeyUsage"] == usage,
                  f"{c.name}: CreateKey of {spec} for {usage}", made)
    made = c.call("CreateKey", CustomerMasterKeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC", MultiRegion=True)["KeyMetadata"]
    check(made["KeyId"].startswith("mrk-") and made["MultiRegionConfiguration"]["MultiRegionKeyType"] == "PRIMARY",
          f"{c.name}: CreateKey of a multi-Region key", made)
    c.refuses("CreateKey", "UnsupportedOperationException", "CustomKeyStoreId", member="CustomKeyStoreId", CustomKeyStoreId="cks-1")
    c.refuses("CreateKey", "UnsupportedOperationException", "XksKeyId", member="XksKeyId", XksKeyId="x")
    c.refuses("CreateKey", "ValidationException", "You must specify a KeyUsage value", KeySpec="RSA_2048")
    c.refuses("CreateKey", "TagException", "aws: are reserved", Tags=[{"TagKey": "aws:x", "TagValue": ""}])
    c.refuses("CreateKey", "MalformedPolicyDocumentException", "", Policy="{}")
    c.refuses("CreateKey", "LimitExceededException", "", Policy=" " * 32769)


def policies(c, key):
    names = c.call("ListKeyPolicies", KeyId=key, Limit=10)
    check(names == {"PolicyNames": ["default"], "Truncated": False}, f"{c.name}: ListKeyPolicies", names)
    text = c.call("GetKeyPolicy", KeyId=key, PolicyName="default")["Policy"]
    policy = json.loads(text)
    policy["Statement"].append({"Effect": "Allow", "Principal": {"AWS": ACCESS}, "Action": "kms:GenerateMac", "Resource": "*"})
    c.call("PutKeyPolicy", KeyId=key, PolicyName="default", Policy=json.dumps(policy), BypassPolicyLockoutSafetyCheck=True)
    named = {} if c.complete else {"PolicyName": "default"}  # the older models want it
    check(json.loads(c.call("GetKeyPolicy", KeyId=key, **named)["Policy"]) == policy, f"{c.name}: PutKeyPolicy, GetKeyPolicy")
    locked = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ACCESS}, "Action": "kms:*", "Resource": "*"}]})
    c.refuses("PutKeyPolicy", "MalformedPolicyDocumentException",
              "The new key policy will not allow you to update the key policy in the future.", KeyId=key, Policy=locked, **named)
    c.refuses("GetKeyPolicy", "AccessDeniedException", "is not authorized to perform: kms:GetKeyPolicy on resource", who=stack.app, KeyId=key, **named)


def names(c, key):
    alias = "alias/" + c.name.lower()
    c.call("CreateAlias", AliasName=alias, TargetKeyId=key)
    check(c.call("DescribeKey", KeyId=alias)["KeyMetadata"]["KeyId"] == key, f"{c.name}: CreateAlias")
    c.refuses("CreateAlias", "AlreadyExistsException", f":{alias} already exists", AliasName=alias, TargetKeyId=key)
    other = new_key(c)
    c.call("UpdateAlias", AliasName=alias, TargetKeyId=other)
    out = c.call("ListAliases", KeyId=other, Limit=5)
    entry = out["Aliases"][0]
    check(set(entry) == {"AliasArn", "AliasName", "TargetKeyId", "CreationDate", "LastUpdatedDate"} and
          entry["TargetKeyId"] == other and out["Truncated"] is False, f"{c.name}: UpdateAlias, ListAliases", out)
    c.call("DeleteAlias", AliasName=alias)
    c.refuses("DeleteAlias", "NotFoundException", "", AliasName=alias)
    c.refuses("CreateAlias", "ValidationException", 'Alias must start with the prefix "alias/"', AliasName="x", TargetKeyId=key)
    c.call("TagResource", KeyId=key, Tags=[{"TagKey": "Purpose", "TagValue": "Test"}, {"TagKey": "x", "TagValue": ""}])
    c.call("UntagResource", KeyId=key, TagKeys=["x"])
    tags = {t["TagKey"]: t["TagValue"] for t in c.call("ListResourceTags", KeyId=key, Limit=50)["Tags"]}
    check(tags.get("Purpose") == "Test" and "x" not in tags, f"{c.name}: TagResource, UntagResource, ListResourceTags", tags)
    c.refuses("TagResource", "TagException", "Duplicate tag keys", KeyId=key,
              Tags=[{"TagKey": "d", "TagValue": "1"}, {"TagKey": "d", "TagValue": "2"}])


def rotation(c, key):
    c.call("EnableKeyRotation", KeyId=key, **({"RotationPeriodInDays": 90} if c.complete else {}))
    out = c.call("GetKeyRotationStatus", KeyId=key)
    check(out["KeyRotationEnabled"] is True, f"{c.name}: EnableKeyRotation, GetKeyRotationStatus", out)
    if c.complete:
        days = (out["NextRotationDate"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400
        check(out["RotationPeriodInDays"] == 90 and 89.9 < days <= 90 and out["KeyId"] == key, "the next rotation is due then", out)
    c.call("DisableKeyRotation", KeyId=key)
    check(c.call("GetKeyRotationStatus", KeyId=key)["KeyRotationEnabled"] is False, f"{c.name}: DisableKeyRotation")
    signing = new_key(c, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    c.refuses("EnableKeyRotation", "UnsupportedOperationException", KeyId=signing)
    if not c.has("RotateKeyOnDemand"):
        print(f"# {c.name} does not know RotateKeyOnDemand and ListKeyRotations")
        return
    before = c.call("Encrypt", KeyId=key, Plaintext=b"older")["CiphertextBlob"]
    check(c.call("RotateKeyOnDemand", KeyId=key) == {"KeyId": key}, f"{c.name}: RotateKeyOnDemand")
    check(c.call("Decrypt", CiphertextBlob=before)["Plaintext"] == b"older", f"{c.name}: older ciphertexts are read")
    out = c.call("ListKeyRotations", KeyId=key, Limit=10, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    states = [r["KeyMaterialState"] for r in out["Rotations"]]
    check(states == ["NON_CURRENT", "CURRENT"] and out["Rotations"][1]["RotationType"] == "ON_DEMAND", f"{c.name}: ListKeyRotations", out)
    for _ in range(24):
        c.call("RotateKeyOnDemand", KeyId=key)
    c.refuses("RotateKeyOnDemand", "LimitExceededException", "The on-demand rotations limit has been reached", KeyId=key)


def pages(c):
    key = [new_key(c) for _ in range(3)][0]
    every = [k["KeyId"] for k in c.call("ListKeys", Limit=1000)["Keys"]]
    got = [k["KeyId"] for p in c.pages("ListKeys", 4) for k in p["Keys"]]
    check(got == every and len(got) > 4, f"{c.name}: its paginator of ListKeys", len(got), len(every))
    first = c.call("ListKeys", Limit=2)
    second = c.call("ListKeys", Limit=2, Marker=first["NextMarker"])
    check([k["KeyId"] for k in first["Keys"] + second["Keys"]] == every[:4] and first["Truncated"] is True, f"{c.name}: ListKeys by hand")
    c.refuses("ListKeys", "InvalidMarkerException", Marker="nobody gave this")
    c.refuses("ListKeys", "ValidationException", "Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000", Limit=1001)
    for n in range(5):
        c.call("CreateAlias", AliasName=f"alias/{c.name}-{n}", TargetKeyId=key)
    c.call("TagResource", KeyId=key, Tags=[{"TagKey": f"{c.name}{n}", "TagValue": ""} for n in range(5)])
    for n in range(3):
        c.call("CreateGrant", KeyId=key, GranteePrincipal=ACCESS, Operations=["DescribeKey"], Name=f"{c.name}-{n}")
    for operation, member, more in (("ListAliases", "Aliases", {"KeyId": key}), ("ListResourceTags", "Tags", {"KeyId": key}),
                                    ("ListGrants", "Grants", {"KeyId": key})):
        whole = c.call(operation, **more)[member]
        got = [x for p in c.pages(operation, 2, **more) for x in p[member]]
        check(len(got) == len(whole) >= 3, f"{c.name}: its paginator of {operation}", len(got), len(whole))


# --- use --------------------------------------------------------------------------------------------------------------

def encryption(c, key):
    context = {"purpose": "test", "ünïcode": "✓"}
    out = c.call("Encrypt", KeyId=key, Plaintext=b"hello", EncryptionContext=context, EncryptionAlgorithm="SYMMETRIC_DEFAULT")
    members(c, "Encrypt", out, "CiphertextBlob", "EncryptionAlgorithm", "KeyId")
    blob = out["CiphertextBlob"]
    out = c.call("Decrypt", CiphertextBlob=blob, EncryptionContext=context, KeyId=key, EncryptionAlgorithm="SYMMETRIC_DEFAULT")
    members(c, "Decrypt", out, "EncryptionAlgorithm", "KeyId", "Plaintext", *(["KeyMaterialId"] if c.complete else []))
    check(out["Plaintext"] == b"hello" and out["KeyId"] == arn_of(key), f"{c.name}: Decrypt of Encrypt", out)
    c.refuses("Decrypt", "InvalidCiphertextException", CiphertextBlob=blob, EncryptionContext={"purpose": "other"})
    damaged = blob[:-1] + bytes([blob[-1] ^ 1])
    c.refuses("Decrypt", "InvalidCiphertextException", CiphertextBlob=damaged, EncryptionContext=context)
    other = new_key(c)
    c.refuses("Decrypt", "IncorrectKeyException", "does not identify a CMK", CiphertextBlob=blob, EncryptionContext=context, KeyId=other)
    out = c.call("ReEncrypt", CiphertextBlob=blob, SourceEncryptionContext=context, SourceKeyId=key, DestinationKeyId=other,
                 DestinationEncryptionContext={"new": "one"}, SourceEncryptionAlgorithm="SYMMETRIC_DEFAULT",
                 DestinationEncryptionAlgorithm="SYMMETRIC_DEFAULT")
    members(c, "ReEncrypt", out, "CiphertextBlob", "DestinationEncryptionAlgorithm", "KeyId", "SourceEncryptionAlgorithm",
            "SourceKeyId", *(["SourceKeyMaterialId", "DestinationKeyMaterialId"] if c.complete else []))
    check(c.call("Decrypt", CiphertextBlob=out["CiphertextBlob"], EncryptionContext={"new": "one"})["Plaintext"] == b"hello",
          f"{c.name}: Decrypt of ReEncrypt")
    c.refuses("ReEncrypt", "InvalidCiphertextException", CiphertextBlob=blob, DestinationKeyId=other)
    c.refuses("Encrypt", "ValidationException",
              "Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096",
              KeyId=key, Plaintext=b"x" * 4097)
    c.refuses("Encrypt", "NotFoundException", "Invalid keyId 'none'", KeyId="none", Plaintext=b"x")
    c.refuses("Encrypt", "AccessDeniedException", "because no resource-based policy allows the kms:Encrypt action", who=stack.app,
              KeyId=key, Plaintext=b"x")
    c.refuses("Encrypt", "InvalidGrantTokenException", KeyId=key, Plaintext=b"x", GrantTokens=["none"])
    if c.complete:
        c.refuses("Encrypt", "DryRunOperationException", "would have succeeded", KeyId=key, Plaintext=b"x", DryRun=True)
        c.refuses("Decrypt", "DryRunOperationException", "", KeyId=key, DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])
        c.refuses("ReEncrypt", "DryRunOperationException", "", SourceKeyId=key, DestinationKeyId=other, DryRun=True,
                  DryRunModifiers=["IGNORE_CIPHERTEXT"])


def rsa_encryption(c):
    key = new_key(c, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    theirs = public(c, key)
    for name, hash_of in (("RSAES_OAEP_SHA_1", hashes.SHA1), ("RSAES_OAEP_SHA_256", hashes.SHA256)):
        ours = theirs.encrypt(b"from outside", padding.OAEP(padding.MGF1(hash_of()), hash_of(), None))
        out = c.call("Decrypt", KeyId=key, CiphertextBlob=ours, EncryptionAlgorithm=name)
        check(out["Plaintext"] == b"from outside" and out["EncryptionAlgorithm"] == name, f"{c.name}: Decrypt with {name} of another's", out)
        blob = c.call("Encrypt", KeyId=key, Plaintext=b"in", EncryptionAlgorithm=name)["CiphertextBlob"]
        check(len(blob) == 256 and c.call("Decrypt", KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm=name)["Plaintext"] == b"in",
              f"{c.name}: Encrypt with {name}")
    c.refuses("Encrypt", "InvalidKeyUsageException", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.",
              KeyId=key, Plaintext=b"x")


def data_keys(c, key):
    for params, size in (({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1024}, 1024)):
        out = c.call("GenerateDataKey", KeyId=key, EncryptionContext={"a": "b"}, **params)
        check(len(out["Plaintext"]) == size and
              c.call("Decrypt", CiphertextBlob=out["CiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"] == out["Plaintext"],
              f"{c.name}: GenerateDataKey of {size} bytes")
    members(c, "GenerateDataKey", out, "CiphertextBlob", "KeyId", "Plaintext", *(["KeyMaterialId"] if c.complete else []))
    for params in ({"KeySpec": "AES_256"}, {"NumberOfBytes": 1}):
        out = c.call("GenerateDataKeyWithoutPlaintext", KeyId=key, EncryptionContext={"a": "b"}, **params)
    members(c, "GenerateDataKeyWithoutPlaintext", out, "CiphertextBlob", "KeyId", *(["KeyMaterialId"] if c.complete else []))
    c.refuses("GenerateDataKey", "ValidationException", "Please specify either number of bytes or key spec.", KeyId=key)
    c.refuses("GenerateDataKey", "ValidationException",
              "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024",
              KeyId=key, NumberOfBytes=1025)
    for spec in ("RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519"):
        out = c.call("GenerateDataKeyPair", KeyId=key, KeyPairSpec=spec, EncryptionContext={"a": "b"})
        private = serialization.load_der_private_key(out["PrivateKeyPlaintext"], None)
        same = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        opened = c.call("Decrypt", CiphertextBlob=out["PrivateKeyCiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"]
        check(same == out["PublicKey"] and opened == out["PrivateKeyPlaintext"], f"{c.name}: GenerateDataKeyPair of {spec}")
    members(c, "GenerateDataKeyPair", out, "KeyId", "KeyPairSpec", "PrivateKeyCiphertextBlob", "PrivateKeyPlaintext", "PublicKey",
            *(["KeyMaterialId"] if c.complete else []))
    out = c.call("GenerateDataKeyPairWithoutPlaintext", KeyId=key, KeyPairSpec="ECC_NIST_P384", EncryptionContext={"a": "b"})
    members(c, "GenerateDataKeyPairWithoutPlaintext", out, "KeyId", "KeyPairSpec", "PrivateKeyCiphertextBlob", "PublicKey",
            *(["KeyMaterialId"] if c.complete else []))
    c.refuses("GenerateDataKeyPair", "UnsupportedOperationException", "SM2", KeyId=key, KeyPairSpec="SM2")
    out = c.call("GenerateRandom", NumberOfBytes=1024)
    check(len(out["Plaintext"]) == 1024, f"{c.name}: GenerateRandom")
    c.refuses("GenerateRandom", "ValidationException", "NumberOfBytes is required.")
    c.refuses("GenerateRandom", "UnsupportedOperationException", member="CustomKeyStoreId", NumberOfBytes=1, CustomKeyStoreId="cks-1")
    if c.complete:
        for op, more in (("GenerateDataKey", {"KeySpec": "AES_256"}), ("GenerateDataKeyWithoutPlaintext", {"KeySpec": "AES_256"}),
                         ("GenerateDataKeyPair", {"KeyPairSpec": "RSA_4096"}),
                         ("GenerateDataKeyPairWithoutPlaintext", {"KeyPairSpec": "RSA_4096"})):
            c.refuses(op, "DryRunOperationException", KeyId=key, DryRun=True, GrantTokens=[], **more)


def verify(theirs, algorithm, message, signature):
    h = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm[-3:]]()
    if algorithm.startswith("ECDSA"):
        theirs.verify(signature, message, ec.ECDSA(h))
    elif algorithm.startswith("RSASSA_PSS"):
        theirs.verify(signature, message, padding.PSS(padding.MGF1(h), h.digest_size), h)
    elif algorithm.startswith("RSASSA_PKCS1"):
        theirs.verify(signature, message, padding.PKCS1v15(), h)
    else:
        theirs.verify(signature, message)


def signatures(c):
    for spec in ("RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"):
        key = new_key(c, KeySpec=spec, KeyUsage="SIGN_VERIFY")
        out = c.call("GetPublicKey", KeyId=key)
        members(c, "GetPublicKey", out, "CustomerMasterKeySpec", "KeyId", "KeySpec", "KeyUsage", "PublicKey", "SigningAlgorithms")
        theirs = serialization.load_der_public_key(out["PublicKey"])
        for algorithm in out["SigningAlgorithms"]:
            message = b"to be signed"
            got = c.call("Sign", KeyId=key, Message=message, SigningAlgorithm=algorithm, MessageType="RAW")
            try:
                verify(theirs, algorithm, message, got["Signature"])
                good = True
            except InvalidSignature:
                good = False
            check(good and set(got) == {"KeyId", "Signature", "SigningAlgorithm"}, f"{c.name}: Sign with {algorithm} of {spec}, verified by another", got)
            out = c.call("Verify", KeyId=key, Message=message, SigningAlgorithm=algorithm, Signature=got["Signature"], MessageType="RAW")
            check(out == {"KeyId": arn_of(key), "SignatureValid": True, "SigningAlgorithm": algorithm}, f"{c.name}: Verify", out)
            if spec.endswith("25519"):
                continue
            digest = hashlib.new("sha" + algorithm[-3:], message).digest()
            out = c.call("Verify", KeyId=key, Message=digest, SigningAlgorithm=algorithm, Signature=got["Signature"], MessageType="DIGEST")
            signed = c.call("Sign", KeyId=key, Message=digest, SigningAlgorithm=algorithm, MessageType="DIGEST")["Signature"]
            try:
                verify(theirs, algorithm, message, signed)
            except InvalidSignature:
                good = False
            check(good and out["SignatureValid"] is True, f"{c.name}: Sign and Verify of a digest with {algorithm}")
    c.refuses("Verify", "KMSInvalidSignatureException", KeyId=key, Message=b"other", SigningAlgorithm=algorithm, Signature=got["Signature"])
    c.refuses("Sign", "InvalidKeyUsageException", "is incompatible with key spec", KeyId=key, Message=b"x", SigningAlgorithm="SM2DSA")
    c.refuses("Sign", "ValidationException", "is not valid for algorithm", KeyId=key, Message=bytes(64), SigningAlgorithm=algorithm, MessageType="DIGEST")
    if c.complete:
        c.refuses("Sign", "DryRunOperationException", KeyId=key, Message=b"x", SigningAlgorithm=algorithm, DryRun=True, GrantTokens=[])
        c.refuses("Verify", "DryRunOperationException", KeyId=key, Message=b"x", SigningAlgorithm=algorithm, Signature=b"s", DryRun=True, GrantTokens=[])


def macs(c, symmetric):
    for bits in ("224", "256", "384", "512"):
        key = new_key(c, KeySpec="HMAC_" + bits, KeyUsage="GENERATE_VERIFY_MAC")
        out = c.call("GenerateMac", KeyId=key, Message=b"hello", MacAlgorithm="HMAC_SHA_" + bits)
        members(c, "GenerateMac", out, "KeyId", "Mac", "MacAlgorithm")
        check(len(out["Mac"]) == int(bits) // 8, f"{c.name}: GenerateMac of HMAC_{bits}")
        got = c.call("VerifyMac", KeyId=key, Message=b"hello", MacAlgorithm="HMAC_SHA_" + bits, Mac=out["Mac"])
        check(got == {"KeyId": arn_of(key), "MacAlgorithm": "HMAC_SHA_" + bits, "MacValid": True}, f"{c.name}: VerifyMac", got)
    c.refuses("VerifyMac", "KMSInvalidMacException", KeyId=key, Message=b"hallo", MacAlgorithm="HMAC_SHA_512", Mac=out["Mac"])
    c.refuses("GenerateMac", "InvalidKeyUsageException", "Algorithm HMAC_SHA_224 is incompatible with key spec HMAC_512.",
              KeyId=key, Message=b"x", MacAlgorithm="HMAC_SHA_224")
    c.refuses("GenerateMac", "InvalidKeyUsageException", "key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac.",
              KeyId=symmetric, Message=b"x", MacAlgorithm="HMAC_SHA_224")
    if c.complete:
        c.refuses("GenerateMac", "DryRunOperationException", KeyId=key, Message=b"x", MacAlgorithm="HMAC_SHA_512", DryRun=True, GrantTokens=[])
        c.refuses("VerifyMac", "DryRunOperationException", KeyId=key, Message=b"x", MacAlgorithm="HMAC_SHA_512", Mac=b"m", DryRun=True, GrantTokens=[])


def agreement(c):
    if not c.has("DeriveSharedSecret"):
        print(f"# {c.name} does not know DeriveSharedSecret")
        return
    for spec, curve in (("ECC_NIST_P256", ec.SECP256R1), ("ECC_NIST_P384", ec.SECP384R1), ("ECC_NIST_P521", ec.SECP521R1)):
        key, ours = new_key(c, KeySpec=spec, KeyUsage="KEY_AGREEMENT"), ec.generate_private_key(curve())
        peer = ours.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        out = c.call("DeriveSharedSecret", KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=peer, GrantTokens=[])
        members(c, "DeriveSharedSecret", out, "KeyAgreementAlgorithm", "KeyId", "KeyOrigin", "SharedSecret")
        check(out["SharedSecret"] == ours.exchange(ec.ECDH(), public(c, key)), f"{c.name}: DeriveSharedSecret on {spec}")
    c.refuses("DeriveSharedSecret", "ValidationException", "not a valid", KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=b"none")
    c.refuses("DeriveSharedSecret", "DryRunOperationException", KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=peer, DryRun=True)


def grants(c):
    key = new_key(c)
    c.refuses("GenerateDataKey", "AccessDeniedException", who=stack.app, KeyId=key, KeySpec="AES_256")
    made = c.call("CreateGrant", KeyId=key, GranteePrincipal=ACCESS, RetiringPrincipal=stack.admin.arn, Name="for-tests",
                  Operations=["GenerateDataKey", "Decrypt"], Constraints={"EncryptionContextSubset": {"a": "b"}}, GrantTokens=[])
    members(c, "CreateGrant", made, "GrantId", "GrantToken")
    out = c.call("GenerateDataKey", who=stack.app, KeyId=key, KeySpec="AES_256", EncryptionContext={"a": "b", "c": "d"},
                 GrantTokens=[made["GrantToken"]])
    check(len(out["Plaintext"]) == 32, f"{c.name}: a grant lets its grantee in")
    c.refuses("GenerateDataKey", "AccessDeniedException", who=stack.app, KeyId=key, KeySpec="AES_256")
    entry = c.call("ListGrants", KeyId=key, GrantId=made["GrantId"], GranteePrincipal=ACCESS, Limit=10)["Grants"][0]
    check(set(entry) == {"Constraints", "CreationDate", "GrantId", "GranteePrincipal", "IssuingAccount", "KeyId", "Name",
                         "Operations", "RetiringPrincipal"} and entry["KeyId"] == arn_of(key), f"{c.name}: ListGrants", entry)
    out = c.call("ListRetirableGrants", RetiringPrincipal=stack.admin.arn, Limit=10)
    check([g["GrantId"] for g in out["Grants"]] == [made["GrantId"]], f"{c.name}: ListRetirableGrants", out)
    c.refuses("RevokeGrant", "NotFoundException", KeyId=key, GrantId="0" * 64)
    c.refuses("RevokeGrant", "InvalidGrantIdException", KeyId=key, GrantId="x")
    c.call("RevokeGrant", KeyId=key, GrantId=made["GrantId"])
    c.refuses("GenerateDataKey", "AccessDeniedException", who=stack.app, KeyId=key, KeySpec="AES_256", EncryptionContext={"a": "b"})
    made = c.call("CreateGrant", KeyId=key, GranteePrincipal=ACCESS, Operations=["RetireGrant"])
    c.refuses("RetireGrant", "InvalidGrantTokenException", GrantToken="none")
    if c.complete:
        c.refuses("CreateGrant", "DryRunOperationException", KeyId=key, GranteePrincipal=ACCESS, Operations=["Encrypt"], DryRun=True)
        c.refuses("RevokeGrant", "DryRunOperationException", KeyId=key, GrantId=made["GrantId"], DryRun=True)
        c.refuses("RetireGrant", "DryRunOperationException", GrantToken=made["GrantToken"], DryRun=True)
        for op, member in (("CreateGrant", "GranteeServicePrincipal"), ("CreateGrant", "RetiringServicePrincipal"),
                           ("ListGrants", "GranteeServicePrincipal"), ("ListRetirableGrants", "RetiringServicePrincipal")):
            more = {"GranteePrincipal": ACCESS, "Operations": ["Encrypt"]} if op == "CreateGrant" else {}
            if op != "ListRetirableGrants":
                more["KeyId"] = key
            c.refuses(op, "UnsupportedOperationException", member, member=member, **{**more, member: "acm.amazonaws.com"})
    c.call("RetireGrant", who=stack.app, GrantToken=made["GrantToken"])
    made = c.call("CreateGrant", KeyId=key, GranteePrincipal=ACCESS, Operations=["RetireGrant"])
    c.call("RetireGrant", who=stack.app, KeyId=arn_of(key), GrantId=made["GrantId"])
    check(c.call("ListGrants", KeyId=key)["Grants"] == [], f"{c.name}: RevokeGrant, RetireGrant")
    c.refuses("CreateGrant", "InvalidArnException", KeyId=key, GranteePrincipal="nobody", Operations=["Encrypt"])


def imports(c):
    key = new_key(c, Origin="EXTERNAL")
    material = os.urandom(32)
    for algorithm, hash_of in (("RSAES_OAEP_SHA_1", hashes.SHA1), ("RSAES_OAEP_SHA_256", hashes.SHA256),
                               ("RSA_AES_KEY_WRAP_SHA_1", hashes.SHA1), ("RSA_AES_KEY_WRAP_SHA_256", hashes.SHA256)):
        if "AES_KEY_WRAP" in algorithm and not c.complete:
            continue
        out = c.call("GetParametersForImport", KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_2048")
        members(c, "GetParametersForImport", out, "ImportToken", "KeyId", "ParametersValidTo", "PublicKey")
        oaep = padding.OAEP(padding.MGF1(hash_of()), hash_of(), None)
        wrapping = serialization.load_der_public_key(out["PublicKey"])
        if "AES_KEY_WRAP" in algorithm:
            aes = os.urandom(32)
            wrapped = wrapping.encrypt(aes, oaep) + keywrap.aes_key_wrap_with_padding(aes, material)
        else:
            wrapped = wrapping.encrypt(material, oaep)
        token = out["ImportToken"]
        c.call("ImportKeyMaterial", KeyId=key, ImportToken=token, EncryptedKeyMaterial=wrapped, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
        check(c.call("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled", f"{c.name}: ImportKeyMaterial with {algorithm}")
        blob = c.call("Encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        c.call("DeleteImportedKeyMaterial", KeyId=key)
        c.refuses("Decrypt", "KMSInvalidStateException", "is pending import.", CiphertextBlob=blob)
    until = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=2)
    c.call("ImportKeyMaterial", KeyId=key, ImportToken=token, EncryptedKeyMaterial=wrapped, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=until)
    got = c.call("DescribeKey", KeyId=key)["KeyMetadata"]
    check(got["ExpirationModel"] == "KEY_MATERIAL_EXPIRES" and "ValidTo" in got, f"{c.name}: ImportKeyMaterial until a date", got)
    check(c.call("Decrypt", CiphertextBlob=blob)["Plaintext"] == b"x", f"{c.name}: DeleteImportedKeyMaterial, and imported again")
    other = serialization.load_der_public_key(c.call("GetParametersForImport", KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256",
                                                     WrappingKeySpec="RSA_2048")["PublicKey"])
    c.refuses("ImportKeyMaterial", "InvalidImportTokenException", KeyId=key, ImportToken=b"none", EncryptedKeyMaterial=wrapped,
              ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    c.refuses("ImportKeyMaterial", "InvalidCiphertextException", KeyId=key, ImportToken=token, EncryptedKeyMaterial=other.encrypt(
        material, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)), ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    plain = new_key(c)
    c.refuses("GetParametersForImport", "UnsupportedOperationException", "origin is AWS_KMS which is not valid for this operation.",
              KeyId=plain, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
    if c.complete:
        import_pair(c)
        import_second(c, key)


def import_pair(c):
    """An RSA private key, which is longer than RSA itself encrypts."""
    key, ours = new_key(c, Origin="EXTERNAL", KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"), rsa.generate_private_key(65537, 2048)
    out = c.call("GetParametersForImport", KeyId=key, WrappingAlgorithm="RSA_AES_KEY_WRAP_SHA_256", WrappingKeySpec="RSA_3072")
    aes = os.urandom(32)
    wrapped = serialization.load_der_public_key(out["PublicKey"]).encrypt(aes, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    wrapped += keywrap.aes_key_wrap_with_padding(aes, ours.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    c.call("ImportKeyMaterial", KeyId=key, ImportToken=out["ImportToken"], EncryptedKeyMaterial=wrapped, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    check(public(c, key).public_numbers() == ours.public_key().public_numbers(), f"{c.name}: an imported RSA key is the one that was imported")


def import_second(c, key):
    out = c.call("GetParametersForImport", KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
    wrapped = serialization.load_der_public_key(out["PublicKey"]).encrypt(
        os.urandom(32), padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    common = {"KeyId": key, "ImportToken": out["ImportToken"], "EncryptedKeyMaterial": wrapped, "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    c.refuses("ImportKeyMaterial", "IncorrectKeyMaterialException", **common)
    got = c.call("ImportKeyMaterial", ImportType="NEW_KEY_MATERIAL", KeyMaterialDescription="second one", **common)
    members(c, "ImportKeyMaterial", got, "KeyId", "KeyMaterialId")
    c.call("RotateKeyOnDemand", KeyId=key)
    c.call("ImportKeyMaterial", ImportType="EXISTING_KEY_MATERIAL", KeyMaterialId=got["KeyMaterialId"], **common)
    out = c.call("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId=got["KeyMaterialId"])
    check(out["KeyMaterialId"] == got["KeyMaterialId"], f"{c.name}: a second material is imported, rotated to and deleted", out)


# --- attested ---------------------------------------------------------------------------------------------------------

def cbor_text(s):
    return bytes([0x60 + len(s)]) + s.encode()


def document(public_key):
    """An attestation document of the software NSM over a key, asked as an enclave asks its device."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(stack.path("nsm.sock"))
    fields = b"\xa3" + cbor_text("user_data") + b"\xf6" + cbor_text("nonce") + b"\xf6" + cbor_text("public_key")
    s.send(b"\xa1" + cbor_text("Attestation") + fields + b"\x59" + len(public_key).to_bytes(2, "big") + public_key)
    answer = s.recv(16384)
    s.close()
    at = answer.index(cbor_text("document")) + 9
    assert answer[at] == 0x59, answer[:64]
    return answer[at + 3:at + 3 + int.from_bytes(answer[at + 1:at + 3], "big")]


def opened(key, answer):
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = stack.path("recipient.pem")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
        f.write(pem)
    r = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", path], input=answer, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return r.stdout


def attested(c):
    pcr0 = stack.measured()["PCR0"]
    ours = rsa.generate_private_key(65537, 2048)
    spki = ours.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document(spki)}
    statement = [{"Effect": "Allow", "Principal": {"AWS": stack.admin.arn}, "Action": "kms:*", "Resource": "*"},
                 {"Effect": "Allow", "Principal": {"AWS": ACCESS}, "Resource": "*",
                  "Action": ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:DeriveSharedSecret"],
                  "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": pcr0}}}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    key = new_key(c, Policy=policy)
    out = c.call("GenerateDataKey", who=stack.app, KeyId=key, KeySpec="AES_256", Recipient=recipient)
    data_key = opened(ours, out["CiphertextForRecipient"])
    check("Plaintext" not in out and len(data_key) == 32, f"{c.name}: GenerateDataKey, attested", sorted(out))
    out2 = c.call("Decrypt", who=stack.app, CiphertextBlob=out["CiphertextBlob"], Recipient=recipient)
    check("Plaintext" not in out2 and opened(ours, out2["CiphertextForRecipient"]) == data_key, f"{c.name}: Decrypt, attested", sorted(out2))
    out = c.call("GenerateDataKeyPair", who=stack.app, KeyId=key, KeyPairSpec="ECC_NIST_P256", Recipient=recipient)
    private = serialization.load_der_private_key(opened(ours, out["CiphertextForRecipient"]), None)
    check("PrivateKeyPlaintext" not in out and private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) == out["PublicKey"], f"{c.name}: GenerateDataKeyPair, attested")
    out = c.call("GenerateRandom", NumberOfBytes=100, Recipient=recipient)
    check("Plaintext" not in out and len(opened(ours, out["CiphertextForRecipient"])) == 100, f"{c.name}: GenerateRandom, attested")
    agree, peer = new_key(c, KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT", Policy=policy), ec.generate_private_key(ec.SECP256R1())
    out = c.call("DeriveSharedSecret", who=stack.app, KeyId=agree, KeyAgreementAlgorithm="ECDH", Recipient=recipient,
                 PublicKey=peer.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    check("SharedSecret" not in out and opened(ours, out["CiphertextForRecipient"]) == peer.exchange(ec.ECDH(), public(c, agree)),
          f"{c.name}: DeriveSharedSecret, attested")
    c.refuses("GenerateDataKey", "AccessDeniedException", who=stack.app, KeyId=key, KeySpec="AES_256")
    damaged = bytearray(recipient["AttestationDocument"])
    damaged[200] ^= 1
    c.refuses("GenerateDataKey", "ValidationException", who=stack.app, KeyId=key, KeySpec="AES_256",
              Recipient={**recipient, "AttestationDocument": bytes(damaged)})


# --- errors that no operation is special for --------------------------------------------------------------------------

def strangers(c):
    stranger = lib.Principal("stranger", "AKIDSTRANGERSTRANGER", "secret")
    c.refuses("ListKeys", "UnrecognizedClientException", who=stranger)
    liar = lib.Principal("admin", stack.admin.id, "another secret")
    if c.name == "boto3":  # keeps one client an access key id
        c.clients.pop(stack.admin.id, None)
    if c.name != "JavaScript":
        c.refuses("ListKeys", "InvalidSignatureException", who=liar)
    if c.name == "boto3":
        c.clients.pop(stack.admin.id, None)


def modelled_errors(c):
    """The client gives each error its own class."""
    key = new_key(c)
    cases = [("NotFoundException", "DescribeKey", {"KeyId": "12345678-1234-1234-1234-123456789012"}),
             ("InvalidCiphertextException", "Decrypt", {"CiphertextBlob": b"x"}),
             ("KMSInvalidStateException", "CancelKeyDeletion", {"KeyId": key}),
             ("InvalidArnException", "EnableKey", {"KeyId": f"arn:aws:kms:{lib.REGION}:{lib.ACCOUNT}:alias/x"})]
    for code, operation, params in cases:
        try:
            c.call(operation, **params)
            check(False, f"{c.name}: {code} has its own class")
        except Refused as e:
            check(e.code == code and e.modelled, f"{c.name}: {code} has its own class", e, e.modelled)


def the_program(c):
    """The command as it is typed."""
    status, out, err = c.program(stack.admin, "create-key", "--description", "typed", "--tags", "TagKey=a,TagValue=b")
    key = json.loads(out or "{}").get("KeyMetadata", {}).get("KeyId", "")
    check(status == 0 and len(key) == 36, "aws kms create-key", status, out, err)
    status, out, err = c.program(stack.admin, "encrypt", "--key-id", key, "--plaintext", "aGVsbG8=", "--query", "CiphertextBlob",
                                 "--output", "text")
    blob = out.strip()
    status, out, err = c.program(stack.admin, "decrypt", "--ciphertext-blob", blob, "--query", "Plaintext", "--output", "text")
    check(status == 0 and out.strip() == "aGVsbG8=", "aws kms encrypt, decrypt", status, out, err)
    status, out, err = c.program(stack.app, "decrypt", "--ciphertext-blob", blob)
    check(status == 254 and "(AccessDeniedException)" in err and not out, "aws kms decrypt, denied", status, out, err)


def others_go_on(c):
    """While RSA keys are made, others are answered."""
    made_s, times = [], []

    def make():
        for _ in range(3):
            begin = time.monotonic()
            stack.kms.call(stack.admin, "CreateKey", KeySpec="RSA_4096", KeyUsage="SIGN_VERIFY")
            made_s.append(time.monotonic() - begin)

    slow = threading.Thread(target=make)
    slow.start()
    while slow.is_alive():
        begin = time.monotonic()
        c.call("ListKeys", Limit=1)
        times.append(time.monotonic() - begin)
    slow.join()
    check(len(times) > 3 and len(made_s) == 3 and max(times) < max(2, max(made_s) / 2), f"{c.name}: others are answered while RSA keys are made",
          f"{len(times)} answers, the slowest took {max(times):.3f} s, a key {max(made_s):.3f} s")


def documented():
    with open(DOCUMENT) as f:
        text = f.read()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    new = "\n" + record.table() + "\n"
    if "--write" in sys.argv:
        with open(DOCUMENT, "w") as f:
            f.write(before + BEGIN + new + END + after)
        old = new
    differ = [line for line in new.splitlines() if line not in old.splitlines()]
    check(old == new, "the conformance table of doc/local-kms.md is up to date (else: test_kms_clients.py --write)", *differ[:20])


def whole(c):
    key = keys(c)
    every_kind(c)
    policies(c, key)
    names(c, key)
    encryption(c, key)
    rsa_encryption(c)
    data_keys(c, key)
    signatures(c)
    macs(c, key)
    agreement(c)
    grants(c)
    imports(c)
    rotation(c, key)
    pages(c)
    strangers(c)
    modelled_errors(c)


available = []
for kind in kms_clients.CLIENTS:
    why = kind.unavailable()
    if why:
        check(True, f"{kind.name} # skip {why}")
    else:
        available.append(kind)
for kind in available:
    begin = time.monotonic()
    client = kind(stack, record)
    whole(client)
    if client.complete:
        attested(client)
        others_go_on(client)
    if client.name == "awscli":
        the_program(client)
    check(client.close() == 0, f"{client.name}: ends")
    print(f"# {client.name}: {time.monotonic() - begin:.1f} s")
if kms_clients.JavaScript in available and len(available) == len(kms_clients.CLIENTS):
    documented()
check(stack.kms_program.alive(), "the server is still there")
stack.stop()
lib.plan()
