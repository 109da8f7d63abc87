import type { CommandContext, Services } from "#src/command/define.ts";
import { callPeer, meetPeer, type PeerLine } from "#src/peer/call.ts";
import { frameOf, readFrames } from "#src/peer/framing.ts";
import { ownFacts, presentedGrant } from "#src/peer/own-facts.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { splitWords } from "#src/peer/words.ts";
import type { Program } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** How long a program that has answered may take to end by itself. */
const endPatienceMs = 5_000;

/**
 * Starts a program that reaches another node, learns who is there, calls one command and gives its
 * result. The event `peer.met` comes first and says who answers; those of the command follow.
 */
export async function callThrough(
  services: Services,
  call: {
    readonly name: string;
    readonly parameters: JsonObject;
    readonly via: string;
    readonly to?: string;
  },
  { signal, emit }: Pick<CommandContext, "signal" | "emit">,
): Promise<unknown> {
  const log = await services.receipts.open();
  const { author } = log;
  const words = splitWords(call.via);
  signal.throwIfAborted();
  const program = services.programs.spawnProgram(words);
  const kill = () => program.kill("SIGTERM");
  signal.addEventListener("abort", kill, { once: true });
  try {
    const line = lineOf(program);
    const { clock, random, trust } = services;
    const parts = { clock, random, trust, signal };
    const peer = await meetPeer(line, parts, call.to);
    emit({ type: "peer.met", node: peer.sender, mesh: peer.mesh, command: call.name });
    const { rotations } = ownFacts(log);
    const grant = presentedGrant(services, peer.sender);
    const result = await callPeer(
      line,
      peer,
      { ...call, grant },
      {
        ...{ ...parts, emit, rotations, identity: author },
      },
    );
    program.endInput();
    return result;
  } catch (error) {
    // The program ends because of the signal; that, and not its end, is why nothing came back.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
    await endProgram(program, services);
  }
}

/** Documents over a program's pipes. */
function lineOf(program: Program): PeerLine {
  const frames = readFrames(program.output);
  return {
    async send(document) {
      try {
        await program.write(frameOf(document));
      } catch (error) {
        if (error instanceof Refusal) throw error;
        throw new Refusal(
          "peer_unreachable",
          "the program that reaches the other node takes no input any more",
          "run the command line after --via by itself and read what it says",
        );
      }
    },
    async receive() {
      const next = await frames.next();
      return next.done === true ? null : next.value;
    },
  };
}

async function endProgram(program: Program, { clock }: Pick<Services, "clock">): Promise<void> {
  program.endInput();
  const waiting = new AbortController();
  const late = clock.sleep(endPatienceMs, waiting.signal).then(
    () => program.kill("SIGKILL"),
    () => {},
  );
  await Promise.race([program.exited, late]);
  waiting.abort(new Error("the program has ended"));
}
