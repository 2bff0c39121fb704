"""AWS's own clients, each behind the same call(): the command line (awscli), boto3, and the SDK for JavaScript. What
they were asked and what came of it is recorded, for the conformance table of doc/local-kms.md."""
import base64, datetime, json, os, re, subprocess

import lib

SYSTEM_PYTHON = "/usr/bin/python3"


class Refused(Exception):
    def __init__(self, code, message, status=None, modelled=True):
        self.code, self.message, self.status, self.modelled = code, message or "", status, modelled
        super().__init__(f"{code}: {message}")


class Record:
    """By operation: members that an accepted request had, members that are refused by name, errors reached."""

    def __init__(self):
        self.accepted, self.refused, self.errors = {}, {}, {}

    def note(self, operation, params, error=None):
        for kind in (self.accepted, self.refused, self.errors):
            kind.setdefault(operation, set())
        if error is None or error == "DryRunOperationException":
            self.accepted[operation] |= set(params)
        if error is not None:
            self.errors[operation].add(error)

    def table(self):
        lines = ["| operation | members accepted | members refused | errors reached |", "|---|---|---|---|"]
        for op in sorted(self.accepted):
            cells = [", ".join(sorted(kind[op])) or "-" for kind in (self.accepted, self.refused, self.errors)]
            lines.append(f"| {op} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


class Client:
    """`call` gives the answer's members, bytes as bytes and times as datetime; Refused otherwise."""
    complete = False  # its model has every operation and member

    def __init__(self, stack, record):
        self.stack, self.record = stack, record

    def call(self, operation, who=None, **params):
        try:
            out = self._call(operation, who or self.stack.admin, params)
        except Refused as e:
            self.record.note(operation, params, e.code)
            raise
        self.record.note(operation, params)
        return out

    def refuses(self, operation, code, text="", who=None, member=None, **params):
        """Is it refused with this error and these words? `member`: the one that is not supported here."""
        try:
            out = self.call(operation, who, **params)
            return lib.check(False, f"{self.name}: {operation} is refused: {code}", out)
        except Refused as e:
            if member:
                self.record.refused.setdefault(operation, set()).add(member)
            return lib.check(e.code == code and (text in e.message if text else True) and e.status in (None, 400),
                             f"{self.name}: {operation} is refused: {code}", f"{e.code} {e.status}: {e.message}")


class JavaScript(Client):
    name, complete = "JavaScript", True

    @staticmethod
    def unavailable():
        r = subprocess.run([os.path.join(lib.ROOT, "tools", "js-sdk")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        JavaScript.folder = r.stdout.strip()
        return r.stderr.strip().splitlines()[-1] if r.returncode else None

    def __init__(self, stack, record):
        super().__init__(stack, record)
        env = {**lib.CLEAN, "NODE_EXTRA_CA_CERTS": stack.kms.ca, "AWS_CONFIG_FILE": "/dev/null",
               "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        self.process = subprocess.Popen(
            ["node", os.path.join(lib.HERE, "js", "drive.cjs"), self.folder, f"https://127.0.0.1:{stack.kms.port}", lib.REGION],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)

    def close(self):
        self.process.stdin.close()
        return self.process.wait(30)

    def send(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    @staticmethod
    def pack(value):
        if isinstance(value, bytes):
            return {"$bytes": base64.b64encode(value).decode()}
        if isinstance(value, datetime.datetime):
            return {"$date": value.timestamp() * 1000}
        if isinstance(value, dict):
            return {k: JavaScript.pack(v) for k, v in value.items()}
        return [JavaScript.pack(v) for v in value] if isinstance(value, list) else value

    @staticmethod
    def unpack(value):
        if isinstance(value, dict):
            if "$bytes" in value:
                return base64.b64decode(value["$bytes"])
            if "$date" in value:
                return datetime.datetime.fromtimestamp(value["$date"] / 1000, datetime.timezone.utc)
            return {k: JavaScript.unpack(v) for k, v in value.items()}
        return [JavaScript.unpack(v) for v in value] if isinstance(value, list) else value

    @staticmethod
    def person(who):
        return {"id": who.id, "secret": who.secret, "token": who.token}

    def has(self, operation):
        return self.send(has=operation)["has"]

    def _call(self, operation, who, params):
        got = self.send(who=self.person(who), operation=operation, input=self.pack(params))
        if "error" in got:
            raise Refused(got["error"], got["message"], got.get("status"), got["modelled"])
        return self.unpack(got["output"])

    def pages(self, operation, limit, **params):
        got = self.send(paginate=True, who=self.person(self.stack.admin), operation=operation, input={**params, "Limit": limit})
        return self.unpack(got["pages"])


class Boto3(Client):
    name = "boto3"

    @staticmethod
    def unavailable():
        try:
            import boto3  # noqa: F401 (is it there?)
        except ImportError:
            return "boto3 is not installed (Debian package python3-boto3)"

    def __init__(self, stack, record):
        super().__init__(stack, record)
        os.environ.update(AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")
        self.clients = {}

    def client(self, who):
        import boto3, botocore.config
        if who.id not in self.clients:
            self.clients[who.id] = boto3.client(
                "kms", region_name=lib.REGION, endpoint_url=f"https://127.0.0.1:{self.stack.kms.port}",
                verify=self.stack.kms.ca, aws_access_key_id=who.id, aws_secret_access_key=who.secret,
                aws_session_token=who.token, config=botocore.config.Config(retries={"max_attempts": 0}))
        return self.clients[who.id]

    @staticmethod
    def method(operation):
        from botocore import xform_name
        return xform_name(operation)

    def has(self, operation):
        return hasattr(self.client(self.stack.admin), self.method(operation))

    def _call(self, operation, who, params):
        import botocore.exceptions
        client = self.client(who)
        try:
            out = getattr(client, self.method(operation))(**params)
        except botocore.exceptions.ClientError as e:
            error = e.response["Error"]
            raise Refused(error["Code"], error["Message"], e.response["ResponseMetadata"]["HTTPStatusCode"],
                          type(e).__name__ == error["Code"]) from None
        return {k: v for k, v in out.items() if k != "ResponseMetadata"}

    def pages(self, operation, limit, **params):
        paginator = self.client(self.stack.admin).get_paginator(self.method(operation))
        pages = paginator.paginate(PaginationConfig={"PageSize": limit}, **params)
        return [{k: v for k, v in p.items() if k != "ResponseMetadata"} for p in pages]

    def close(self):
        return 0


class CommandLine(Client):
    name = "awscli"
    # Members of answers that are bytes: the command line gives them in base64.
    blobs = {"CiphertextBlob", "Plaintext", "PublicKey", "Signature", "Mac", "PrivateKeyCiphertextBlob",
             "PrivateKeyPlaintext", "ImportToken"}

    @staticmethod
    def unavailable():
        if not os.access("/usr/bin/aws", os.X_OK):
            return "the AWS command line is not installed (Debian package awscli)"

    @staticmethod
    def words(operation):
        return re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()

    def has(self, operation):
        r = subprocess.run([SYSTEM_PYTHON, "-c", "import botocore.session, sys; m = botocore.session.get_session()."
                            "get_service_model('kms'); sys.exit(sys.argv[1] not in m.operation_names)", operation])
        return r.returncode == 0

    @staticmethod
    def pack(value):
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, datetime.datetime):
            return value.isoformat()
        if isinstance(value, dict):
            return {k: CommandLine.pack(v) for k, v in value.items()}
        return [CommandLine.pack(v) for v in value] if isinstance(value, list) else value

    def __init__(self, stack, record):
        super().__init__(stack, record)
        env = {**lib.CLEAN, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
               "AWS_DEFAULT_REGION": lib.REGION, "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": ""}
        self.env = env
        self.common = ["--endpoint-url", f"https://127.0.0.1:{stack.kms.port}", "--ca-bundle", stack.kms.ca, "--output", "json",
                       "--cli-binary-format", "base64", "kms"]
        self.process = subprocess.Popen([SYSTEM_PYTHON, os.path.join(lib.HERE, "aws_driver.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=env, text=True)

    def run(self, who, *argv):
        self.process.stdin.write(json.dumps({"argv": [*self.common, *argv], "env": who.env()}) + "\n")
        self.process.stdin.flush()
        got = json.loads(self.process.stdout.readline())
        return got["status"], got["out"], got["err"]

    def program(self, who, *argv):
        """The installed program itself."""
        r = subprocess.run(["/usr/bin/aws", *self.common, *argv], env={**self.env, **who.env()}, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
        return r.returncode, r.stdout, r.stderr

    def _call(self, operation, who, params):
        status, out, err = self.run(who, self.words(operation), "--cli-input-json", json.dumps(self.pack(params)), "--no-paginate")
        if status:
            m = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(.*?\))?: ?(.*)", err, re.S)
            raise Refused(m.group(1), m.group(2).strip()) if m else RuntimeError(err)
        out = json.loads(out or "{}")
        return {k: base64.b64decode(v) if k in self.blobs else v for k, v in out.items()}

    def pages(self, operation, limit, **params):
        status, out, err = self.run(self.stack.admin, self.words(operation), "--cli-input-json", json.dumps(params),
                                    "--page-size", str(limit))
        if status:
            raise RuntimeError(err)
        return [json.loads(out)]  # put together by the client

    def close(self):
        self.process.stdin.close()
        return self.process.wait(30)


CLIENTS = [JavaScript, Boto3, CommandLine]
