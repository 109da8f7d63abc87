import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { labelMaximum, nameMaximum, textMaximum } from "./bounds.ts";
import {
  clusterOf,
  findMember,
  nodeParameter,
  scopeFor,
  submitAsOwner,
  submittedEntries,
} from "./command-parts.ts";
import { showDuration } from "./duration.ts";
import { scopes } from "./event.ts";
import { measuredLink, measuredLinks, nodeResult, nodeRows } from "./node-rows.ts";
import { memberLines } from "./views/member.ts";

export const provenanceResult = v.strictObject({
  subject: v.string(),
  author: v.string(),
  scope: v.picklist(scopes),
  policy: v.nullable(v.string()),
  atMs: v.number(),
});

defineCommand({
  name: "node/show",
  summary: "Everything that is known of one member.",
  access: "member",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({ node: nodeParameter }),
  positional: ["node"],
  result: v.strictObject({
    ...nodeResult.entries,
    /** The key it signs with, its TLS certificate and the key for what passes through others. */
    key: v.string(),
    certificate: v.string(),
    box: v.string(),
    /** What either end of its links put into the log. */
    links: v.array(measuredLink),
    /** Who decided last on this member. */
    provenance: v.nullable(provenanceResult),
  }),
  examples: ["psionic node show self", "psionic node show psnabc"],
  run({ node: words }, { services }) {
    const cluster = clusterOf(services);
    const { node, key, contact } = findMember(cluster, words);
    const { provenance } = cluster.state();
    const row = nodeRows(cluster, services.clock.wallMs()).find((each) => each.node === node)!;
    const known = provenance.find(({ subject }) => subject === `member ${node}`);
    return {
      ...row,
      ...{ key, certificate: contact.certificate, box: contact.box },
      links: measuredLinks(cluster).filter(({ from, to }) => from === node || to === node),
      provenance: known === undefined ? null : { ...known },
    };
  },
  view: (screen) => ({
    result(member) {
      for (const line of memberLines(member, screen.columns)) screen.print(line);
    },
  }),
});

const changed = v.strictObject({ node: v.string(), ...submittedEntries });

defineCommand({
  name: "node/drain",
  summary: "Give a member no more work and let it go offline in order.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({ node: nodeParameter }),
  positional: ["node"],
  result: v.strictObject({
    ...changed.entries,
    drainMs: v.number(),
    /** False where no other could lead: then it drains until it next starts. */
    isGoing: v.boolean(),
  }),
  examples: ["psionic node drain self"],
  async run({ node: words }, { services, signal }) {
    const cluster = clusterOf(services);
    const member = findMember(cluster, words);
    const { node } = member;
    const command = { kind: "node-draining", node } as const;
    const { index, term } =
      scopeFor(cluster, member) === "self"
        ? await cluster.submit("self", command, signal)
        : await submitAsOwner(cluster, command, signal);
    const { members, configuration } = cluster.state();
    const isGoing = members.some(
      (each) =>
        each.node !== node && each.standing === "ready" && each.roles.includes("coordinator"),
    );
    return { node, index, term, drainMs: configuration.drainMs, isGoing };
  },
  view: (screen) => ({
    result({ node, drainMs, isGoing }) {
      screen.print(node);
      const then = isGoing
        ? `offline in ${showDuration(drainMs)}, ready when it next starts`
        : "nobody else could lead, so it stays that way until it next starts";
      screen.note(`it drains: no lease, no new work; ${then}`);
    },
  }),
});

defineCommand({
  name: "node/evict",
  summary: "Put a member out; only a new token lets it back in.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    node: nodeParameter,
    reason: v.pipe(
      v.string(),
      v.trim(),
      v.nonEmpty("say why: it stands in the log and in receipts"),
      v.maxLength(textMaximum),
      v.description("why, for the log and the receipts"),
    ),
  }),
  positional: ["node"],
  result: changed,
  examples: ['psionic node evict psnabc --reason "returned to the vendor"'],
  async run({ node: words, reason }, { services, signal }) {
    const cluster = clusterOf(services);
    const { node } = findMember(cluster, words);
    const { index, term } = await submitAsOwner(
      cluster,
      { kind: "node-evicted", node, reason },
      signal,
    );
    return { node, index, term };
  },
  view: (screen) => ({
    result({ node }) {
      screen.print(node);
      screen.note("evicted: the others end their links to it; only a new token lets it back in");
    },
  }),
});

defineCommand({
  name: "node/own",
  summary: "Let a member's owner decide on the mesh, too.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    node: nodeParameter,
    no: v.optional(v.pipe(v.boolean(), v.description("take that away again")), false),
  }),
  positional: ["node"],
  result: v.strictObject({ ...changed.entries, isOwner: v.boolean() }),
  examples: ["psionic node own psnabc", "psionic node own psnabc --no"],
  async run({ node: words, no }, { services, signal }) {
    const cluster = clusterOf(services);
    const { node } = findMember(cluster, words);
    const command = { kind: "owner-set", node, isOwner: !no } as const;
    const { index, term } = await submitAsOwner(cluster, command, signal);
    return { node, index, term, isOwner: !no };
  },
  view: (screen) => ({
    result({ node, isOwner: owns }) {
      screen.print(node);
      screen.note(
        owns
          ? "it makes tokens, evicts and sets what the mesh is, as this node does"
          : "it decides on the mesh no longer; it stays a member",
      );
    },
  }),
});

const labelShape = /^([a-z0-9][a-z0-9-]*)=(.*)$/s;

defineCommand({
  name: "node/label",
  summary: "Keep a word with a member; KEY= takes it away.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    node: nodeParameter,
    label: v.pipe(
      v.string(),
      v.maxLength(nameMaximum + 1 + textMaximum),
      v.regex(labelShape, "write KEY=VALUE, the key in small letters, digits and dashes"),
      v.check(
        (text) => text.indexOf("=") <= nameMaximum,
        `a key has ${nameMaximum} letters at most`,
      ),
      v.description(`KEY=VALUE; a node keeps ${labelMaximum}`),
    ),
  }),
  positional: ["node", "label"],
  result: v.strictObject({ ...changed.entries, label: v.string(), value: v.string() }),
  examples: ["psionic node label self rack=b4"],
  async run({ node: words, label: text }, { services, signal }) {
    const cluster = clusterOf(services);
    const member = findMember(cluster, words);
    const { node } = member;
    const [, label, value] = labelShape.exec(text) as unknown as [string, string, string];
    const { index, term } = await cluster.submit(
      scopeFor(cluster, member),
      { kind: "node-labelled", node, label, value },
      signal,
    );
    return { node, index, term, label, value };
  },
  view: (screen) => ({
    result({ node, label, value }) {
      screen.print(node);
      screen.note(value === "" ? `${label} is taken away` : `${label}=${value}`);
    },
  }),
});
