// esdk.cjs - AWS's Encryption SDK for JavaScript behind a pipe: one JSON request a line on stdin, one answer a line on
// stdout; bytes are base64. A request with "kms" uses the KMS keyring, with "caching" behind the
// caching materials manager, others a raw AES key.
// argv: folder of node_modules, that key in hexadecimal digits, KMS's endpoint (where there is one).
"use strict";
const { createRequire } = require("module");
const readline = require("readline");

const [, , folder, keyHex, endpoint] = process.argv;
const sdk = createRequire(folder + "/")("@aws-crypto/client-node");
const raw = new sdk.RawAesKeyringNode({
  keyNamespace: "test-ns",
  keyName: "k",
  unencryptedMasterKey: Uint8Array.from(Buffer.from(keyHex, "hex")),
  wrappingSuite: sdk.RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
});
const older = sdk.buildClient(sdk.CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT);
const newer = sdk.buildClient(sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const suppliers = new Map();

// kms: { who: { id, secret, token }, generator, keys }; to open the two are the keys that may be asked for.
function keyringOf({ kms }, opens) {
  if (!kms) return raw;
  const { id, secret, token } = kms.who;
  if (!suppliers.has(id)) {
    const credentials = { accessKeyId: id, secretAccessKey: secret, sessionToken: token };
    suppliers.set(id, sdk.cacheClients(sdk.getClient(sdk.KMS, { endpoint, credentials, maxAttempts: 1 })));
  }
  const keyIds = kms.keys || [];
  return opens
    ? new sdk.KmsKeyringNode({ clientProvider: suppliers.get(id), keyIds: [kms.generator, ...keyIds] })
    : new sdk.KmsKeyringNode({ clientProvider: suppliers.get(id), generatorKeyId: kms.generator, keyIds });
}

// Of a keyring for sealing: one data key for several messages, while it is asked for with the same context and suite.
const cached = new Map();
function cachingOf(request) {
  if (!cached.has(request.kms.generator))
    cached.set(
      request.kms.generator,
      new sdk.NodeCachingMaterialsManager({
        backingMaterials: keyringOf(request),
        cache: sdk.getLocalCryptographicMaterialsCache(10),
        maxAge: 60000,
      }),
    );
  return cached.get(request.kms.generator);
}

// What a stream gives for `data`, written to it in pieces of `cut` bytes.
async function through(stream, data, cut) {
  const out = [];
  let header;
  stream.on("MessageHeader", (h) => (header = h));
  const read = (async () => {
    for await (const piece of stream) out.push(piece);
  })();
  for (let at = 0; at < data.length; at += cut) {
    if (!stream.write(data.subarray(at, at + cut))) await Promise.race([new Promise((go) => stream.once("drain", go)), read]);
  }
  stream.end();
  await read;
  return { bytes: Buffer.concat(out), header };
}

const facts = (header) => ({ context: header.encryptionContext, suite: header.suiteId, frame: header.frameLength });

const operations = {
  async encrypt(request) {
    const { suite, frame, context, data, cut } = request;
    const client = suite === undefined || suite >= 0x0478 ? newer : older;
    const options = { suiteId: suite, frameLength: frame, encryptionContext: context };
    const plain = Buffer.from(data, "base64");
    const materials = request.caching ? cachingOf(request) : keyringOf(request);
    const result = cut
      ? (await through(client.encryptStream(materials, options), plain, cut)).bytes
      : (await client.encrypt(materials, plain, options)).result;
    return { data: result.toString("base64") };
  },
  async decrypt(request) {
    const { data, cut, unsigned } = request;
    const message = Buffer.from(data, "base64");
    if (!cut) {
      const { plaintext, messageHeader } = await newer.decrypt(keyringOf(request, true), message);
      return { data: plaintext.toString("base64"), ...facts(messageHeader) };
    }
    const make = unsigned ? newer.decryptUnsignedMessageStream : newer.decryptStream;
    const { bytes, header } = await through(make(keyringOf(request, true)), message, cut);
    return { data: bytes.toString("base64"), ...facts(header) };
  },
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let answer;
    try {
      answer = await operations[request.op](request);
    } catch (e) {
      answer = { error: String(e.message || e) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
})();
