import { frameOf } from "#src/peer/framing.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { HttpContext } from "./route.ts";
import { readBody } from "./body.ts";
import { failureOf } from "./bugs.ts";
import type { Door } from "./door.ts";
import { openStream } from "./stream.ts";

/**
 * `POST /peer`: one sealed call in, its frames out, each after its length. Only on the socket: whoever
 * carries envelopes there for a peer is the owner's own process, and the envelope itself says who
 * calls. There is no empty frame, so there is no heartbeat either; a silent call is exempt from the server's
 * time limit.
 *
 * Refusals: `not_found` over TCP, `door_busy`, `daemon_stopping`, those of the body.
 */
export async function answerPeerCall(door: Door, context: HttpContext): Promise<Response> {
  const request = context.req.raw;
  const { env: arrival } = context;
  const { answerPeer } = door.parts;
  if (arrival.via !== "socket" || answerPeer === undefined)
    throw new Refusal(
      "not_found",
      "peers are answered on the socket only",
      "call through a pipe on this machine",
    );
  if (door.parts.draining())
    throw new Refusal(
      "daemon_stopping",
      "the daemon is stopping and takes no new calls",
      "start it again with `psionic up --detach`",
    );
  const release = door.calls.take("peer");
  try {
    const envelope = await readBody(request, door.limits);
    arrival.hold(request);
    const stream = openStream(door.limits, "");
    const signal = AbortSignal.any([request.signal, arrival.stopping, stream.gone]);
    void answerPeer(envelope, (frame) => stream.write(frameOf(frame)), signal)
      // Refused without a frame only where this node has no key; the caller sees the end.
      .catch((error: unknown) => failureOf(error, "answering a peer"))
      .finally(() => {
        stream.end();
        release();
      });
    return new Response(stream.body, { headers: { "content-type": "application/octet-stream" } });
  } catch (error) {
    release();
    throw error;
  }
}
