import { getLogger } from "@logtape/logtape";
import type { Services } from "#src/command/define.ts";
import type { Isolate } from "#src/command/dispatch.ts";
import type { Registry } from "#src/command/registry.ts";
import type { AnswerPeer } from "#src/surface/http/parts.ts";

const log = getLogger(["psionic", "peer"]);

/** The peer door behind the socket; its rooms are loaded with the first envelope. */
export function peerAnswers(parts: {
  readonly registry: Registry;
  readonly services: Services;
  readonly isolate: Isolate;
}): AnswerPeer {
  return async (envelope, send, signal) => {
    const { answerPeer } = await import("#src/surface/peer/door.ts");
    const onBug = (error: unknown) => log.error("bug while a peer was answered", { error });
    await answerPeer(envelope, { ...parts, signal, onBug }, send);
  };
}
