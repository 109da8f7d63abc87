import type { Services } from "#src/command/define.ts";
import type { Digest } from "#src/codec/digest.ts";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import {
  answerHello,
  askHello,
  checkChannel,
  isHelloQuestion,
  readHello,
  type Hello,
} from "#src/peer/hello.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import { pinOf, rememberPin } from "#src/peer/pins.ts";
import { readCanonical, type JsonObject } from "#src/peer/signed-document.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { PeerConnection } from "./connection.ts";
import { type OnPassed, seeCertificate, type SeenCertificate, stepPatienceMs } from "./reach.ts";

/** Version of the exchange this program speaks. */
const helloVersion = 1;

export interface DialRequest {
  readonly place: PeerAddress;
  /** The certificate that must show, as a person confirmed it. */
  readonly pin?: string;
  /** The certificate that must show, as the mesh names it for a member. It is no person's pin, so it is not remembered. */
  readonly certificate?: Digest;
  /** The node that must answer. */
  readonly to?: string;
  /** The words to type again once the fingerprint is confirmed; null goes on without a pin, to diagnose. */
  readonly again: string | null;
}

/** A node that was met over the network. */
export interface Met {
  readonly connection: PeerConnection;
  readonly peer: Hello;
}

/**
 * Connects to a node by its address: its certificate must be the pinned one, and its key must sign that
 * certificate. Then this node signs the same, and calls may be made. A pin a person gave is
 * remembered for the node.
 *
 * Refusals: as `seeCertificate`, `certificate_unpinned`, `certificate_changed`, `peer_not_psionic`,
 * `peer_version`, `hello_forged`, `channel_unbound`, `peer_unexpected`, `peer_busy`.
 */
export async function dialPeer(
  services: Services,
  request: DialRequest,
  passed: OnPassed = () => {},
): Promise<Met> {
  const { place, pin, to } = request;
  const log = await services.receipts.open();
  const seen = await seeCertificate(place, passed);
  const known = pin ?? request.certificate ?? (to === undefined ? null : pinOf(services.store, to));
  checkPin(seen, known, request);
  passed(
    "pin",
    known === null ? "none; compare it with `psionic identity show` there" : "the pinned one",
  );
  const connection = await PeerConnection.open(place, seen);
  try {
    const peer = await meet(services, connection, seen, place);
    passed("psionic", `version ${helloVersion} of the exchange`);
    if (to !== undefined && peer.sender !== to) throw unexpected(peer.sender, to, place);
    passed("node", peer.sender);
    if (pin !== undefined) rememberPin(services.store, { nodeId: peer.sender, certificate: pin });
    const { challenge, hello } = { challenge: peer.question, hello: peer.hello };
    const facts = { ...ownFacts(log), certificate: seen.fingerprint };
    const question = { type: "psionic-hello-question", version: helloVersion, challenge };
    connection.send(answerHello(question, log.author, facts));
    return { connection, peer: hello };
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** As `dialPeer`, given up when the signal aborts; a connection that opens after that is closed. */
export async function dialUntil(
  signal: AbortSignal,
  ...words: Parameters<typeof dialPeer>
): Promise<Met> {
  signal.throwIfAborted();
  const dialing = dialPeer(...words);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([dialing, aborted]);
  } catch (error) {
    void dialing.then(
      ({ connection }) => connection.close(),
      () => {},
    );
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function checkPin(
  { fingerprint }: SeenCertificate,
  known: string | null,
  { place, to, again, certificate }: DialRequest,
): void {
  if (known === fingerprint) return;
  const at = addressText(place);
  if (known === null && again === null) return;
  if (known === null)
    throw new Refusal(
      "certificate_unpinned",
      `the certificate of ${at} was never confirmed: ${fingerprint}`,
      `compare it with \`psionic identity show\` there; if it is the same: ${again} --pin ${fingerprint}`,
      { ...place, fingerprint, command: `${again} --pin ${fingerprint}` },
    );
  throw new Refusal(
    "certificate_changed",
    `${at} shows the certificate ${fingerprint}, not ${known}`,
    certificate === known
      ? "another node is at that address now, or something stands in between; a member that made a new one says so at its next `psionic up`"
      : "compare it with `psionic identity show` there; if that machine changed it, give the new one with --pin",
    { ...place, seen: fingerprint, pinned: known, nodeId: to ?? null },
  );
}

/** Both questions: the other end's, to be answered once it has answered this one's. */
async function meet(
  { random, clock, trust }: Services,
  connection: PeerConnection,
  { fingerprint }: SeenCertificate,
  place: PeerAddress,
): Promise<{ readonly question: string; readonly hello: Hello; readonly sender: string }> {
  const asked = await nextGreeting(connection, place);
  const question = readPlain(asked);
  if (question === null || !isHelloQuestion(question)) throw noNode(place);
  checkVersion(question, place);
  const { bytes, challenge } = askHello(random);
  connection.send(bytes);
  const answer = await nextGreeting(connection, place);
  const document = readPlain(answer);
  if (document?.["type"] === "psionic-hello") checkVersion(document, place);
  const hello = readHello(answer, challenge, clock.wallMs(), trust);
  checkChannel(hello, fingerprint);
  return { question: String(question["challenge"]), hello, sender: hello.sender };
}

async function nextGreeting(connection: PeerConnection, place: PeerAddress): Promise<Uint8Array> {
  const late = setTimeout(() => connection.greetings.end(), stepPatienceMs);
  try {
    const document = await connection.greetings.next();
    if (document === null) throw noNode(place);
    return document;
  } finally {
    clearTimeout(late);
  }
}

function readPlain(document: Uint8Array): JsonObject | null {
  try {
    return readCanonical(document);
  } catch {
    return null;
  }
}

function checkVersion({ version }: JsonObject, place: PeerAddress): void {
  if (version === helloVersion) return;
  throw new Refusal(
    "peer_version",
    `${addressText(place)} speaks version ${String(version).slice(0, 20)} of the exchange between nodes, this program ${helloVersion}`,
    "bring both machines to the same version of psionic",
    { ...place, theirs: String(version).slice(0, 20), ours: helloVersion },
  );
}

function noNode(place: PeerAddress): Refusal {
  return new Refusal(
    "peer_not_psionic",
    `what listens on ${addressText(place)} does not greet as a node does`,
    "`psionic status` on that machine shows the address for peers",
    { ...place },
  );
}

function unexpected(found: string, expected: string, place: PeerAddress): Refusal {
  return new Refusal(
    "peer_unexpected",
    `${found} answers at ${addressText(place)}, not ${expected}`,
    "check the address after --at, or the node id after --to",
    { ...place, expected, found },
  );
}
