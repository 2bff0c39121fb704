// streams.cjs - AWS's Encryption SDK for JavaScript with a raw AES key, so without KMS: what it takes for a file of any
// length, streamed and thrown away, or for one small message after the other.
//     node streams.cjs MODULES encrypt|decrypt SUITE FILE [SAVE]     seconds, bytes that came out
//     node streams.cjs MODULES small SUITE BYTES SECONDS             encrypted and decrypted messages a second
"use strict";
const { createRequire } = require("module");
const fs = require("fs");
const { pipeline } = require("stream/promises");
const { Writable } = require("stream");

const [, , modules, what, suiteText, arg, more] = process.argv;
const sdk = createRequire(modules + "/")("@aws-crypto/client-node");
const suiteId = Number(suiteText);
const ring = new sdk.RawAesKeyringNode({
  keyNamespace: "bench",
  keyName: "k",
  unencryptedMasterKey: new Uint8Array(32).fill(7),
  wrappingSuite: sdk.RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
});
const client = sdk.buildClient(sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const now = () => Number(process.hrtime.bigint()) / 1e9;

async function file() {
  const through =
    what === "encrypt"
      ? client.encryptStream(ring, { suiteId, frameLength: 65536 })
      : suiteId === 0x0578
        ? client.decryptStream(ring)
        : client.decryptUnsignedMessageStream(ring);
  let bytes = 0;
  const nothing = new Writable({
    write(piece, _, go) {
      bytes += piece.length;
      go();
    },
  });
  const start = now();
  await pipeline(fs.createReadStream(arg, { highWaterMark: 1 << 18 }), through, more ? fs.createWriteStream(more) : nothing);
  return { seconds: now() - start, bytes: more ? fs.statSync(more).size : bytes };
}

async function small() {
  const text = Buffer.alloc(Number(arg), 120);
  const rate = async (one) => {
    let n = 0;
    const start = now();
    for (; now() - start < Number(more); n++) await one();
    return n / (now() - start);
  };
  const { result } = await client.encrypt(ring, text, { suiteId });
  return { encrypt: await rate(() => client.encrypt(ring, text, { suiteId })), decrypt: await rate(() => client.decrypt(ring, result)) };
}

(async () => console.log(JSON.stringify(await (what === "small" ? small() : file()))))();
