// esdk.cjs - AWS's Encryption SDK for JavaScript with a raw AES key, behind a pipe: one JSON request a line on stdin,
// one answer a line on stdout; bytes are base64. argv: folder of node_modules, the key in hexadecimal digits.
"use strict";
const { createRequire } = require("module");
const readline = require("readline");

const [, , folder, keyHex] = process.argv;
const sdk = createRequire(folder + "/")("@aws-crypto/client-node");
const keyring = new sdk.RawAesKeyringNode({
  keyNamespace: "test-ns",
  keyName: "k",
  unencryptedMasterKey: Uint8Array.from(Buffer.from(keyHex, "hex")),
  wrappingSuite: sdk.RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
});
const older = sdk.buildClient(sdk.CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT);
const newer = sdk.buildClient(sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);

const operations = {
  async encrypt({ suite, frame, context, data }) {
    const client = suite >= 0x0478 ? newer : older;
    const options = { suiteId: suite, frameLength: frame, encryptionContext: context };
    const { result } = await client.encrypt(keyring, Buffer.from(data, "base64"), options);
    return { data: result.toString("base64") };
  },
  async decrypt({ data }) {
    const { plaintext, messageHeader } = await newer.decrypt(keyring, Buffer.from(data, "base64"));
    return {
      data: plaintext.toString("base64"),
      context: messageHeader.encryptionContext,
      suite: messageHeader.suiteId,
      frame: messageHeader.frameLength,
    };
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
