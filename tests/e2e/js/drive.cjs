// drive.cjs - the AWS SDK for JavaScript behind a pipe: one JSON request a line on stdin, one answer a line on stdout.
// Bytes are {"$bytes": base64}, dates {"$date": milliseconds}. argv: folder of node_modules, endpoint, region.
"use strict";
const { createRequire } = require("module");
const readline = require("readline");

const [, , folder, endpoint, region] = process.argv;
const sdk = createRequire(folder + "/")("@aws-sdk/client-kms");
const clients = new Map();

function client({ id, secret, token }) {
  if (!clients.has(id)) {
    const credentials = { accessKeyId: id, secretAccessKey: secret, sessionToken: token };
    clients.set(id, new sdk.KMSClient({ endpoint, region, credentials, maxAttempts: 1 }));
  }
  return clients.get(id);
}

function revive(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(revive);
  if ("$bytes" in value) return Buffer.from(value.$bytes, "base64");
  if ("$date" in value) return new Date(value.$date);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)]));
}

function flatten(value) {
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { $date: value.getTime() };
  if (Array.isArray(value)) return value.map(flatten);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, flatten(v)]));
}

async function pages({ who, operation, input }) {
  const out = [];
  for await (const page of sdk["paginate" + operation]({ client: client(who), pageSize: input.Limit }, revive(input))) {
    const { $metadata, ...rest } = page;
    out.push(flatten(rest));
  }
  return { pages: out };
}

async function answer(request) {
  const { who, operation, input } = request;
  if (request.has !== undefined) return { has: sdk[request.has + "Command"] !== undefined };
  if (request.paginate) return pages(request);
  const { $metadata, ...rest } = await client(who).send(new sdk[operation + "Command"](revive(input)));
  return { output: flatten(rest), status: $metadata.httpStatusCode, requestId: $metadata.requestId };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let out;
    try {
      out = await answer(JSON.parse(line));
    } catch (e) {
      const modelled = sdk[e.name] !== undefined && e instanceof sdk[e.name];
      out = { error: e.name, message: e.message, status: e.$metadata?.httpStatusCode, modelled };
    }
    process.stdout.write(JSON.stringify(out) + "\n");
  }
}

main();
