import * as v from "valibot";
import { defineCommand, registry } from "#src/command/registry.ts";
import { remoteView } from "./remote-view.ts";

defineCommand({
  name: "peer/call",
  summary: "Call a command of another node, through a program that reaches it.",
  access: "owner",
  flow: "peer",
  // It starts whatever program it is told to.
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
    via: v.pipe(
      v.string(),
      v.nonEmpty(),
      v.maxLength(8_192),
      v.description(
        "the command line that ends in `psionic peer pipe` on the other node's machine; split into words as a shell does, but run without one",
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
  examples: ["psionic peer call version --via 'psionic peer pipe --home other'"],
  async run({ name, parameters, via, to }, { services, signal, emit }) {
    const { callThrough } = await import("./call-through.ts");
    const call = { name: name.trim().split(/\s+/).join("/"), parameters };
    return callThrough(
      services,
      { ...call, via, ...(to === undefined ? {} : { to }) },
      { signal, emit },
    );
  },
  view: (screen) => remoteView(screen, registry),
});
