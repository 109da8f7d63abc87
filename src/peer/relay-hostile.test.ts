import { expect, test } from "bun:test";
import fc from "fast-check";
import { Refusal } from "#src/refusal/refusal.ts";
import { DiscoveryBook } from "./discovery.ts";
import { alice, bob, random } from "./peer.fixture.ts";
import { RelayBook, relayBody } from "./relay.ts";
import { boxKeyFromSeed, openBox, sealBox } from "./sealed-box.ts";
import type { JsonObject } from "./signed-document.ts";

/** Whatever bytes, documents and boxes come in: nothing is thrown but refusals, and nothing passes. */

const mesh = `psm${"a".repeat(32)}`;
const session = "0".repeat(32);
const from = { host: "10.0.0.2", port: 50_000 };

/** Some bytes of a text changed, or the text cut or doubled. */
const torn = (bytes: Uint8Array) =>
  fc
    .record({
      flips: fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
      end: fc.oneof(fc.constant(bytes.length), fc.nat(bytes.length)),
      isDoubled: fc.boolean(),
    })
    .map(({ flips, end, isDoubled }) => {
      const copy = Uint8Array.from(bytes);
      for (const [place, change] of flips) copy[place]! ^= change;
      const cut = copy.slice(0, end);
      return isDoubled ? Buffer.concat([cut, cut]) : cut;
    })
    .filter((made) => !Buffer.from(made).equals(Buffer.from(bytes)));

test("C-8 of 20,000 torn datagrams none is answered or remembered", () => {
  const parts = { mesh: () => mesh, port: () => 7420, random, limits: { burst: 1e9 } };
  const a = new DiscoveryBook({ ...parts, signer: () => alice }, 0);
  const b = new DiscoveryBook({ ...parts, signer: () => bob }, 0);
  const ping = a.ping(0);
  const hello = b.hear(ping, from, 0)!;
  for (const [book, bytes] of [
    [b, ping],
    [a, hello],
  ] as const)
    fc.assert(
      fc.property(torn(bytes), (made) => {
        expect(book.hear(made, from, 0)).toBeNull();
      }),
      { numRuns: 10_000, seed: 1 },
    );
  expect([...a.seen(0), ...b.seen(0)]).toEqual([]);
  a.hear(hello, from, 0);
  expect(a.seen(0)).toHaveLength(1);
});

test("C-8 of 20,000 hostile relay messages none is passed on, and none breaks anything", () => {
  const book = new RelayBook(alice.nodeId, random);
  const others = ["b", "c"].map((letter) => `psn${letter.repeat(32)}`) as [string, string];
  book.setMembers(others, 0);
  for (const node of others) book.setLinked(node, true, 0);
  const word = fc.oneof(
    fc.constantFrom(...others, alice.nodeId, session, "__proto__", ""),
    fc.string(),
    fc.jsonValue(),
  );
  // Anything but base64: what is well-formed is passed on unread.
  const sealed = word.filter((each) => typeof each !== "string" || !/^[\w+/]+={0,2}$/.test(each));
  const body = fc.oneof(
    fc.record(
      { to: word, from: word, session: word, sealed, nodes: fc.array(word) },
      { requiredKeys: [] },
    ),
    fc.dictionary(fc.string(), fc.jsonValue()),
  );
  let passedCount = 0;
  const refused = (work: () => unknown) => {
    try {
      if (work() !== null) passedCount++;
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "envelope_malformed") throw error;
    }
  };
  fc.assert(
    fc.property(body, (made) => {
      const json = made as JsonObject;
      refused(() => book.pass(others[0], json, 0));
      refused(() => book.arrive(others[0], json, 0));
      refused(() => {
        book.heardReaches(others[0], json);
        return null;
      });
    }),
    { numRuns: 20_000, seed: 1 },
  );
  expect(passedCount).toBe(0);
  const honest = relayBody(others[1], { relay: alice.nodeId, session }, Buffer.from("x"));
  expect(book.pass(others[0], honest, 0)?.to).toBe(others[1]);
});

test("C-8 of 1,000 torn boxes none opens", async () => {
  const key = boxKeyFromSeed(new Uint8Array(32).fill(7));
  const way = { mesh, sender: bob.nodeId, recipient: alice.nodeId, relay: "psnrelay", session };
  const box = await sealBox(key.publicKey, way, Buffer.from("the secret"));
  await fc.assert(
    fc.asyncProperty(torn(box), async (made) => {
      const error = await openBox(key, way, made).catch((each: unknown) => each);
      expect((error as Refusal).code).toBe("box_forged");
    }),
    { numRuns: 1_000, seed: 1 },
  );
});
