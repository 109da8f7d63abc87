import { digestBytes } from "#src/codec/digest.ts";
import { proveAdmission, tokenKey, type Applicant } from "./admission-proof.ts";
import type { Command, Event, Scope } from "./event.ts";
import { MeshFold, type MeshOutcome } from "./mesh-fold.ts";
import { authorityDigest } from "./state.ts";

/** A mesh for tests: each line says who asks for what, and when. */
export class TestMesh {
  readonly fold = new MeshFold();
  timeMs = 1_000;
  term = 1;

  get state() {
    return this.fold.mesh;
  }

  ask(author: string, scope: Scope, command: Command): MeshOutcome {
    const { timeMs, term } = this;
    const event: Event = { author, scope, policy: null, timeMs, term, command };
    return this.fold.outcome(JSON.stringify(event));
  }

  /** The refusal's code, or "done". */
  codeOf(author: string, scope: Scope, command: Command): string {
    const outcome = this.ask(author, scope, command);
    return "done" in outcome ? "done" : outcome.refused;
  }

  fence() {
    return { term: this.term, index: 1, authority: authorityDigest(this.state) };
  }
}

export const keyOf = (node: string) => digestBytes(`key of ${node}`);
export const secretOf = (token: string) => `secret of ${token}`;

export const contactOf = (node: string) => ({
  places: [`${node}:7420`],
  certificate: digestBytes(`certificate of ${node}`),
  box: digestBytes(`box of ${node}`),
});

/** What a member says at a start. */
export function readiness(node: string, epoch = 1) {
  const known = { key: keyOf(node), contact: contactOf(node) };
  return { kind: "node-ready" as const, node, epoch, ...known };
}

export const founding: Command = {
  kind: "mesh-founded",
  ...{ mesh: "home", node: "a", key: keyOf("a"), roles: ["host", "coordinator"] },
  ...{ epoch: 1, version: 1, founding: 0, contact: contactOf("a") },
};

export function tokenCommand(token: string, isReusable = false): Command {
  const base = { token, secret: tokenKey(secretOf(token)), isReusable, lifetimeMs: 3_600_000 };
  return { kind: "token-created", ...base, roles: ["trainer", "coordinator"] };
}

export function admission(node: string, token: string) {
  return proven({
    kind: "node-admitted" as const,
    ...{ mesh: "home", node, key: keyOf(node), epoch: 1, version: 1 },
    roles: ["trainer" as const],
    ...{ token, clockMs: 1_000, claims: [] as string[] },
    contact: contactOf(node),
  });
}

/** The newcomer with the proof that it has the secret of the token it names. */
export function proven<T extends Applicant>(newcomer: T): T & { readonly proof: string } {
  return { ...newcomer, proof: proveAdmission(secretOf(newcomer.token), newcomer) };
}

/** The mesh of `a`, with token `t` unused; where asked for, with `b` admitted by another and ready. */
export function foundedMesh(hasSecond = false): TestMesh {
  const mesh = new TestMesh();
  mesh.ask("a", "owner", founding);
  mesh.ask("a", "owner", tokenCommand("t"));
  if (!hasSecond) return mesh;
  mesh.ask("a", "owner", tokenCommand("second"));
  mesh.ask("a", "membership", admission("b", "second"));
  mesh.ask("b", "self", readiness("b"));
  return mesh;
}
