import { describe, expect, test } from "bun:test";
import { sealFooter } from "#src/evidence/parts.ts";
import { sealSnapshot } from "#src/cluster/mesh-snapshot.ts";
import { emptyMesh } from "#src/cluster/state.ts";
import { canonicalText } from "#src/codec/digest.ts";
import { grantText, signGrant } from "#src/grant/grant.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
import { sealTicket } from "#src/peer/blob-ticket.ts";
import { DiscoveryBook } from "#src/peer/discovery.ts";
import { sealCall } from "#src/peer/envelope.ts";
import { answerHello } from "#src/peer/hello.ts";
import { sealMessage } from "#src/peer/message.ts";
import { ReplyWriter } from "#src/peer/reply.ts";
import { checkPolicy, signPolicy } from "#src/policy/policy.ts";
import { receiptText, signReceipt } from "#src/receipt/receipt.ts";
import { nodeIdOf, signingKeyFromSeed, verifyBytes } from "#src/receipt/signature.ts";
import { sealTrustBundle } from "#src/receipt/trust-bundle.ts";
import { signStatement } from "#src/window/statement.ts";
import { machineRandom } from "./random.ts";

/** One key signs everything a node says, so no signature may count for a document of another type. */

const key = signingKeyFromSeed(new Uint8Array(32).fill(5));
const nodeId = nodeIdOf(key.publicKey);
const self = { nodeId, key };
const zeros = "0".repeat(64);

/** What was signed, canonical, and its signature in hexadecimal. */
interface Signed {
  readonly text: string;
  readonly signature: string;
}

function whole(bytes: Uint8Array | string): Signed {
  const text = typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes);
  const { signature, ...content } = JSON.parse(text) as Record<string, unknown>;
  return { text: canonicalText(content), signature: String(signature) };
}

function reply(): Signed {
  const frames: Uint8Array[] = [];
  const call = { callId: null, sender: null, digest: zeros };
  // Whatever a caller makes a node say stands inside the reply's own document.
  new ReplyWriter(self, call, (frame) => frames.push(frame)).write("result", {
    type: "psionic-grant",
  });
  return whole(frames[0]!);
}

function receipt(): Signed {
  const made = signReceipt(
    {
      ...{ type: "psionic-receipt", version: 1, author: nodeId, key: key.publicKey, sequence: 1 },
      ...{ previous: zeros, atMs: 1, kind: "test.made", subject: "", body: {} },
    },
    key,
  );
  return { text: receiptText(made), signature: made.signature };
}

function grant(): Signed {
  const made = signGrant(
    {
      ...{ mesh: meshIdOf(self), issuer: nodeId, grantee: key.publicKey, epoch: 1 },
      ...{ capabilities: ["runs"], issuedMs: 1, expiresMs: 2, budget: {} },
    },
    key,
  );
  return { text: grantText(made), signature: made.signature };
}

function statement(): Signed {
  const said = { saying: "gone", reason: "" } as const;
  const unsigned = {
    mesh: meshIdOf(self),
    run: "abcd",
    node: nodeId,
    previous: null,
    anchor: null,
  };
  const { signature, ...content } = signStatement(key, { ...unsigned, said });
  return {
    text: canonicalText({ type: "psionic-run-statement", version: 1, ...content }),
    signature,
  };
}

const rules = [{ id: "a", when: "true", outcome: "allow", reason: "why not" }];
const policy = () =>
  whole(
    JSON.stringify(
      signPolicy(checkPolicy({ name: "a", revision: 1, summary: "A policy.", rules }), self),
    ),
  );

const question = { type: "psionic-hello-question", version: 1, challenge: "0".repeat(32) };
const call = { recipient: nodeId, name: "version", parameters: {}, grant: null, rotations: [] };
const message = {
  ...{ mesh: meshIdOf(self), recipient: nodeId, epoch: 1, counter: 1, kind: "ping", body: {} },
  ...{ claims: null, grant: null },
};
const documents: Readonly<Record<string, () => Signed>> = {
  "psionic-receipt": receipt,
  "psionic-grant": grant,
  "psionic-policy": policy,
  "psionic-call": () => whole(sealCall(self, { ...call, nowMs: 1, random: machineRandom })),
  "psionic-message": () => whole(sealMessage(self, message)),
  "psionic-blob-ticket": () => whole(sealTicket(self, { ...message, nowMs: 1 })),
  "psionic-reply": reply,
  "psionic-hello": () =>
    whole(answerHello(question, self, { rotations: [], mesh: meshIdOf(self) })),
  "psionic-discovery": () =>
    whole(
      new DiscoveryBook(
        {
          ...{ signer: () => self, mesh: () => meshIdOf(self), random: machineRandom },
          port: () => null,
        },
        0,
      ).ping(0),
    ),
  "psionic-mesh-snapshot": () =>
    whole(sealSnapshot(emptyMesh, { index: 1, term: 1, logDigest: zeros, madeMs: 1 }, self)),
  "psionic-run-statement": statement,
  "psionic-run-bundle": () =>
    whole(
      sealFooter({ mesh: "mesh", run: "abcd", parts: 1, chain: zeros }, { ...self, rotations: [] }),
    ),
  "psionic-trust-bundle": () => whole(sealTrustBundle({ ...self, rotations: [] }, 1)),
};

describe("I-1 what one key signs", () => {
  test.each(Object.entries(documents))(
    "I-1 %s names its type within what is signed",
    (type, make) => {
      const { text, signature } = make();
      expect(verifyBytes(key.publicKey, Buffer.from(text), Buffer.from(signature, "hex"))).toBe(
        true,
      );
      expect(JSON.parse(text)).toMatchObject({ type, version: 1 });
      for (const other of Object.keys(documents).filter((each) => each !== type)) {
        const renamed = canonicalText({ ...(JSON.parse(text) as object), type: other });
        const signed = verifyBytes(
          key.publicKey,
          Buffer.from(renamed),
          Buffer.from(signature, "hex"),
        );
        expect([other, signed]).toEqual([other, false]);
      }
    },
  );

  // A further signer joins the documents above, with a type of its own.
  test("I-1 nothing else in the program signs", async () => {
    const signers = new Set<string>();
    for await (const path of new Bun.Glob("src/**/*.ts").scan(`${import.meta.dir}/../..`)) {
      if (/\.(test|fixture)\.ts$/.test(path)) continue;
      const source = await Bun.file(`${import.meta.dir}/../../${path}`).text();
      if (/\bsignBytes\(/.test(source)) signers.add(path);
    }
    expect([...signers].toSorted()).toEqual([
      // With the key that a join token's secret makes, and no node's.
      "src/cluster/admission-proof.ts",
      "src/cluster/mesh-snapshot.ts",
      "src/evidence/parts.ts",
      ...["src/grant/grant.ts", "src/peer/signed-document.ts", "src/policy/policy.ts"],
      ...["src/receipt/receipt.ts", "src/receipt/signature.ts", "src/receipt/trust-bundle.ts"],
      "src/window/statement.ts",
    ]);
  });
});
