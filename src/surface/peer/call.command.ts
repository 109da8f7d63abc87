import * as v from "valibot";
import { defineCommand, registry } from "#src/command/registry.ts";
import { parseAddress } from "#src/peer/address.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { remoteView } from "./remote-view.ts";

defineCommand({
  name: "peer/call",
  summary: "Call a command of another node, at its address or through a program that reaches it.",
  access: "owner",
  flow: "peer",
  // It starts whatever program it is told to, and connects to wherever it is told to.
  localOnly: true,
  parameters: v.strictObject({
    name: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.maxLength(200),
      v.description("the command to call there, such as commands/list"),
    ),
    parameters: v.optional(
      v.pipe(
        v.record(v.string(), v.unknown()),
        v.description("its parameters, as one JSON object"),
      ),
      {},
    ),
    via: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.maxLength(8_192),
        v.description(
          "the command line that ends in `psionic peer pipe` on the other node's machine; split into words as a shell does, but run without one",
        ),
      ),
    ),
    at: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty(),
        v.maxLength(300),
        v.description("where the other node listens, HOST:PORT, instead of --via"),
      ),
    ),
    pin: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal characters"),
        v.description(
          "with --at: SHA-256 of the certificate there, as `identity show` there prints it; remembered for that node",
        ),
      ),
    ),
    to: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^psn[a-z2-7]{32}$/, "must be a node id"),
        v.description("the node that must answer; any other is refused"),
      ),
    ),
  }),
  positional: ["name", "parameters"],
  // What the other node's command gives, exactly.
  result: v.unknown(),
  examples: [
    "psionic peer call version --via 'psionic peer pipe --home other'",
    `psionic peer call version --at 10.0.0.7:7420 --pin ${"ab".repeat(32)}`,
  ],
  async run({ name, parameters, via, at, pin, to }, { services, signal, emit }) {
    const call = { name: name.trim().split(/\s+/).join("/"), parameters };
    const node = to === undefined ? {} : { to };
    if (via !== undefined && at === undefined && pin === undefined) {
      const { callThrough } = await import("./call-through.ts");
      return callThrough(services, { ...call, via, ...node }, { signal, emit });
    }
    if (at === undefined || via !== undefined) throw oneWay();
    const { callAt } = await import("./call-at.ts");
    const place = parseAddress(at);
    const again = `psionic peer call ${quoted(name)} ${quoted(JSON.stringify(parameters))} --at ${quoted(at)}${to === undefined ? "" : ` --to ${to}`}`;
    const request = { place, again, ...node, ...(pin === undefined ? {} : { pin }) };
    return callAt(services, request, call, { signal, emit });
  },
  view: (screen) => remoteView(screen, registry),
});

/** A word as a shell keeps it. */
const quoted = (word: string) =>
  /^[\w@%+=:,./[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

function oneWay(): Refusal {
  return new Refusal(
    "usage",
    "a node is reached in one of two ways: --via or --at",
    "give --at HOST:PORT, with --pin the first time, or --via 'ssh HOST psionic peer pipe'",
  );
}
