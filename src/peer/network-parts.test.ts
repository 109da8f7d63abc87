import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { parseAddress, addressText } from "./address.ts";
import { fingerprintOf, makeCertificate } from "./certificate.ts";
import { answerHello, askHello, checkChannel, readHello } from "./hello.ts";
import { Inbox, inboxMaximumBytes } from "./inbox.ts";
import {
  alice,
  bob,
  nowMs,
  openTables,
  parsed,
  random,
  refusalOf,
  trustOf,
} from "./peer.fixture.ts";
import { pinOf, rememberPin } from "./pins.ts";

describe("C-1 a node's certificate", () => {
  test("is a P-256 certificate signed by itself that other programs read", () => {
    const { certificate, key, fingerprint } = makeCertificate(bob.nodeId, random);
    const read = new X509Certificate(certificate);
    expect(read.verify(read.publicKey)).toBe(true);
    expect(read.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect(read.subject).toBe(`CN=${bob.nodeId}`);
    expect(read.fingerprint256.replaceAll(":", "").toLowerCase()).toBe(fingerprint);
    expect(fingerprintOf(certificate)).toBe(fingerprint);
    expect(read.validToDate.getUTCFullYear()).toBe(9999);
    expect(key).toStartWith("-----BEGIN PRIVATE KEY-----");
    expect(makeCertificate(bob.nodeId, random).fingerprint).not.toBe(fingerprint);
  });
});

describe("C-1 a hello over a network", () => {
  const mesh = `psm${"a".repeat(32)}`;
  const { bytes, challenge } = askHello(random);
  const helloWith = (certificate?: string) => {
    const facts = { rotations: [], mesh, ...(certificate === undefined ? {} : { certificate }) };
    return readHello(answerHello(parsed(bytes), bob, facts), challenge, nowMs, trustOf());
  };

  test("signs the certificate of its connection, and no other passes", () => {
    const ours = "a".repeat(64);
    checkChannel(helloWith(ours), ours);
    for (const hello of [helloWith("b".repeat(64)), helloWith()])
      expect(refusalOf(() => checkChannel(hello, ours)).code).toBe("channel_unbound");
  });
});

describe("C-8 an address", () => {
  test.each([
    ["10.0.0.7:7420", "10.0.0.7", 7420],
    ["[fd00::7]:7420", "fd00::7", 7420],
    ["host.example:1", "host.example", 1],
  ])("%s is read and written", (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(addressText({ host, port })).toBe(text);
  });

  test.each(["host", "host:0", "host:65536", ":7420", "fd00::7:7420", "https://h:1", "h h:1", ""])(
    "%p is refused",
    (text) => {
      expect(refusalOf(() => parseAddress(text)).code).toBe("usage");
    },
  );
});

describe("C-1 pins", () => {
  test("are kept for each node, replaced by a new one, and bounded", () => {
    using tables = Object.assign(openTables(), {
      [Symbol.dispose]() {
        tables.close();
      },
    });
    expect(pinOf(tables, bob.nodeId)).toBeNull();
    rememberPin(tables, { nodeId: bob.nodeId, certificate: "a".repeat(64) });
    rememberPin(tables, { nodeId: bob.nodeId, certificate: "b".repeat(64) });
    expect(pinOf(tables, bob.nodeId)).toBe("b".repeat(64));
    rememberPin(tables, { nodeId: alice.nodeId, certificate: "c".repeat(64) }, 1);
    expect(pinOf(tables, bob.nodeId)).toBeNull();
    expect(pinOf(tables, alice.nodeId)).toBe("c".repeat(64));
  });
});

describe("C-2 documents that wait", () => {
  test("come in order, then the end or its reason", async () => {
    const inbox = new Inbox();
    const first = inbox.next();
    inbox.push(new Uint8Array([1]));
    inbox.push(new Uint8Array([2]));
    inbox.end();
    inbox.push(new Uint8Array([3]));
    expect(await first).toEqual(new Uint8Array([1]));
    expect(await inbox.next()).toEqual(new Uint8Array([2]));
    expect(await inbox.next()).toBeNull();
  });

  test("are bounded", async () => {
    const inbox = new Inbox();
    inbox.push(new Uint8Array(inboxMaximumBytes));
    inbox.push(new Uint8Array(1));
    expect((await inbox.next())?.length).toBe(inboxMaximumBytes);
    expect(inbox.next()).rejects.toMatchObject({ code: "peer_busy" });
  });
});
