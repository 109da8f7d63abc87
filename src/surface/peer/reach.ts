import type { Socket } from "node:net";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import { fingerprintOf } from "#src/peer/certificate.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { networkModules } from "../network-modules.ts";

/** How long each step of reaching another node may take. */
export const stepPatienceMs = 5_000;
/** A machine where nothing listens says so within this time; later it is another one that gave up. */
const saidWithinMs = 1_000;
/** Addresses of one name that are tried. */
const addressMaximum = 4;

/** What stands at an address, seen and not yet believed. */
export interface SeenCertificate {
  /** The IP address that took the connection. */
  readonly address: string;
  readonly fingerprint: string;
  readonly pem: string;
}

/** Told of every step that went well. */
export type OnPassed = (step: string, found: string) => void;

/**
 * Looks who listens at an address, down to its certificate. Refusals: `peer_name_unknown`,
 * `peer_port_closed`, `peer_silent`, `peer_not_tls`.
 */
export async function seeCertificate(
  place: PeerAddress,
  passed: OnPassed,
  patienceMs: number = stepPatienceMs,
): Promise<SeenCertificate> {
  const addresses = await resolveName(place);
  passed("name", addresses.join(", "));
  let failure: unknown;
  for (const address of addresses.slice(0, addressMaximum)) {
    let socket: Socket;
    try {
      socket = await connectTcp(place, address, patienceMs);
    } catch (error) {
      failure ??= error;
      continue;
    }
    passed("port", `${addressText({ host: address, port: place.port })} is open`);
    const der = await certificateOf(socket, place, patienceMs);
    const fingerprint = fingerprintOf(der);
    const body = Buffer.from(der).toString("base64").replace(/.{64}/g, "$&\n");
    const pem = `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
    passed("tls", `certificate ${fingerprint}`);
    return { address, fingerprint, pem };
  }
  throw failure;
}

async function resolveName({ host }: PeerAddress): Promise<string[]> {
  if (networkModules.net.isIP(host) !== 0) return [host];
  try {
    const found = await networkModules.names.lookup(host, { all: true });
    if (found.length > 0) return [...new Set(found.map(({ address }) => address))];
  } catch {
    // Whatever the resolver says, the name gives no address.
  }
  throw new Refusal(
    "peer_name_unknown",
    `the name ${host} does not resolve to an address`,
    "check its spelling, or write the address itself, such as 10.0.0.7:7420",
    { host },
  );
}

function connectTcp(place: PeerAddress, address: string, patienceMs: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = networkModules.net.connect({ host: address, port: place.port });
  const startMs = performance.now();
  const late = setTimeout(() => fail(silent(place, "")), patienceMs);
  const fail = (refusal: Refusal) => {
    clearTimeout(late);
    socket.destroy();
    reject(refusal);
  };
  const failRefused = async () => {
    fail((await hasWay(address, place.port)) ? closed(place) : noWay(place));
  };
  socket.on("error", (error: NodeJS.ErrnoException) => {
    // Every failure has this code here; a machine that refuses says so at once, and there is a way to it.
    const isSaid = error.code === "ECONNREFUSED" && performance.now() - startMs < saidWithinMs;
    if (!isSaid)
      return fail(silent(place, error.code === "ECONNREFUSED" ? "" : (error.code ?? "")));
    void failRefused();
  });
  socket.once("connect", () => {
    clearTimeout(late);
    resolve(socket);
  });
  return promise;
}

/** Whether the system knows a way to an address. Nothing is sent. */
async function hasWay(address: string, port: number): Promise<boolean> {
  const socket = networkModules.dgram.createSocket(
    networkModules.net.isIP(address) === 6 ? "udp6" : "udp4",
  );
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.on("error", reject);
    socket.connect(port, address, resolve);
    await promise;
    // Without a way it is called connected all the same, and has no other end.
    socket.remoteAddress();
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

function noWay(place: PeerAddress): Refusal {
  return new Refusal(
    "peer_silent",
    `no way leads from this machine to ${place.host}`,
    "check the address, and that this machine's network is up",
    { ...place, code: "ENETUNREACH" },
  );
}

function closed(place: PeerAddress): Refusal {
  return new Refusal(
    "peer_port_closed",
    `nothing listens on ${addressText(place)}`,
    `start the node there with \`psionic up --peer-port ${place.port}\`; \`psionic status\` there shows its address`,
    { ...place },
  );
}

function silent(place: PeerAddress, code: string): Refusal {
  return new Refusal(
    "peer_silent",
    `${addressText(place)} does not answer${code === "" ? " in time" : ` (${code})`}`,
    `check that the machine is on, and that its firewall lets TCP port ${place.port} in`,
    { ...place, code },
  );
}

/** The certificate the other end shows, without believing it. */
function certificateOf(
  socket: Socket,
  place: PeerAddress,
  patienceMs: number,
): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const tls = networkModules.tls.connect({
    socket,
    rejectUnauthorized: false,
    servername: "psionic",
  });
  const late = setTimeout(() => reject(notTls(place, "it does not answer in time")), patienceMs);
  tls.on("error", (error: Error) => reject(notTls(place, error.message)));
  // What speaks something else may end the connection below without a word to TLS.
  socket.on("close", () => reject(notTls(place, "it closed the connection")));
  tls.on("close", () => reject(notTls(place, "it closed the connection")));
  tls.once("secureConnect", () => {
    const { raw } = tls.getPeerCertificate(false);
    if (raw === undefined) reject(notTls(place, "it shows no certificate"));
    else resolve(raw);
  });
  return promise.finally(() => {
    clearTimeout(late);
    tls.destroy();
    socket.destroy();
  });
}

function notTls(place: PeerAddress, why: string): Refusal {
  return new Refusal(
    "peer_not_tls",
    `what listens on ${addressText(place)} does not speak TLS: ${why}`,
    "check the port: peers are answered on the one after --peer-port, not on that of the page",
    { ...place, why },
  );
}
