import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";

defineCommand({
  name: "peer/pipe",
  summary: "Answer another node's calls on standard input and output, until the end of input.",
  access: "owner",
  flow: "peer",
  localOnly: true,
  parameters: v.strictObject({}),
  result: v.object({ answered: v.number() }),
  examples: ["psionic peer pipe"],
  async run(_parameters, { services, signal }) {
    const { pipe } = services.interaction;
    if (pipe === undefined) {
      throw new Refusal(
        "input_needed",
        "peer pipe speaks on the standard input and output of its own process",
        "start it as a program: ssh host psionic peer pipe",
      );
    }
    const { answerPeer } = await import("./door.ts");
    const { servePipe } = await import("./serve.ts");
    const { answerByDaemon } = await import("#src/surface/socket/peer.ts");
    // A home without a key is refused before anything is read.
    const { author } = await services.receipts.open();
    const parts = { registry: services.registry, services, signal };
    const answered = await servePipe(pipe, {
      self: author,
      signal,
      async answer(document, send) {
        // Asked each time: a daemon may come and go while the pipe is open.
        const socket = await services.findSocket();
        if (socket === null) await answerPeer(document, parts, send);
        else await answerByDaemon(socket, document, send, signal);
      },
    });
    return { answered };
  },
  // Standard output carries frames and nothing else.
  view: () => ({ result() {} }),
});
