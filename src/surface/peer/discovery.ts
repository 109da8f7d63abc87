import type { Socket } from "node:dgram";
import type { BlockList } from "node:net";
import { networkInterfaces } from "node:os";
import type { Clock } from "#src/port/clock.ts";
import { DiscoveryBook, type DiscoveryParts, type SeenNode } from "#src/peer/discovery.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { networkModules } from "../network-modules.ts";

/** Where pings go: a group of the site's own (RFC 2365) and a port that nothing else is known for. */
export const discoveryGroup = { host: "239.255.74.20", port: 7422 };
/** Pings stay on the network of the interface. */
const hopMaximum = 1;
/** The first ping comes at once, the next after the first of these, and then ever more seldom. */
const firstPauseMs = 1_000;
const longestPauseMs = 30_000;

/** Discovery at work on one interface. */
export interface Discovery {
  /** The interface's name, and the address that datagrams leave from. */
  readonly interfaceName: string;
  readonly address: string;
  setMembers(members: readonly { readonly node: string; readonly key: string }[]): void;
  /** Further places at which a member may be dialled. */
  placesOf(node: string): readonly string[];
  seen(): readonly SeenNode[];
  stop(): Promise<void>;
}

export interface DiscoveryRequest extends Omit<DiscoveryParts, "port"> {
  readonly interfaceName: string;
  /** The port for nodes at the interface's address; null where none is open there. */
  port(address: string): number | null;
  readonly clock: Clock;
  /** Called after a hello was taken: places may have changed. */
  onSeen?(): void;
  /** Other than the product's, for tests that run beside each other. */
  readonly group?: { readonly host: string; readonly port: number };
}

/**
 * Asks on one interface who of the mesh is near, and answers those who ask there. Datagrams from beyond the
 * interface's own network are dropped. Refusals: `interface_unknown`, `address_unavailable`.
 */
export async function openDiscovery(request: DiscoveryRequest): Promise<Discovery> {
  const { interfaceName, clock, onSeen = () => {} } = request;
  const { address, netmask } = addressOf(interfaceName);
  const group = request.group ?? discoveryGroup;
  const near = networkOf(address, netmask);
  const port = () => request.port(address);
  const book = new DiscoveryBook({ ...request, port }, clock.monotonicMs());
  const [listening, asking] = [
    networkModules.dgram.createSocket({ type: "udp4", reuseAddr: true }),
    networkModules.dgram.createSocket({ type: "udp4" }),
  ];
  try {
    await bind(listening, group.port, group.host);
    listening.addMembership(group.host, address);
    await bind(asking, 0, address);
    asking.setMulticastInterface(address);
    asking.setMulticastTTL(hopMaximum);
    // Two nodes of one machine see each other too.
    asking.setMulticastLoopback(true);
  } catch (error) {
    for (const socket of [listening, asking]) socket.close();
    throw unavailable(interfaceName, address, error);
  }
  const hear = (bytes: Uint8Array, from: { readonly address: string; readonly port: number }) => {
    if (!near.check(from.address, "ipv4")) return;
    const place = { host: from.address, port: from.port };
    const answer = book.hear(bytes, place, clock.monotonicMs());
    if (answer === null) onSeen();
    else asking.send(answer, from.port, from.address);
  };
  const stopped = new AbortController();
  for (const socket of [listening, asking]) {
    socket.on("message", hear);
    // Such as a network that went away: the next ping tries again.
    socket.on("error", () => {});
  }
  const pinging = pingUntil(stopped.signal, clock, () =>
    asking.send(book.ping(clock.monotonicMs()), group.port, group.host),
  );
  return {
    ...{ interfaceName, address },
    setMembers: (members) => book.setMembers(members),
    placesOf: (node) => book.placesOf(node, clock.monotonicMs()),
    seen: () => book.seen(clock.monotonicMs()),
    async stop() {
      stopped.abort();
      await pinging;
      for (const socket of [listening, asking]) socket.close();
    },
  };
}

async function pingUntil(signal: AbortSignal, clock: Clock, ping: () => void): Promise<void> {
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs *= 2) {
    ping();
    await clock.sleep(Math.min(pauseMs, longestPauseMs), signal).catch(() => {});
  }
}

function bind(socket: Socket, port: number, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("error", reject);
  socket.bind(port, host, () => {
    socket.off("error", reject);
    resolve();
  });
  return promise;
}

/** The interface's first IPv4 address. */
function addressOf(interfaceName: string): { readonly address: string; readonly netmask: string } {
  const interfaces = Object.entries(networkInterfaces()).flatMap(([name, addresses]) => {
    const found = addresses?.find(({ family }) => family === "IPv4");
    return found === undefined ? [] : [{ name, ...found }];
  });
  const found = interfaces.find(({ name }) => name === interfaceName);
  if (found !== undefined) return found;
  const names = interfaces.map(({ name }) => name);
  throw new Refusal(
    "interface_unknown",
    `this machine has no interface ${interfaceName} with an IPv4 address`,
    names.length === 0 ? "no interface has one" : `name one of these: ${names.join(", ")}`,
    { interface: interfaceName, interfaces: names },
  );
}

function networkOf(address: string, netmask: string): BlockList {
  const prefix = netmask
    .split(".")
    .map((byte) => Number(byte).toString(2).replaceAll("0", "").length)
    .reduce((sum, bits) => sum + bits, 0);
  const network = new networkModules.net.BlockList();
  network.addSubnet(address, prefix, "ipv4");
  return network;
}

function unavailable(interfaceName: string, address: string, error: unknown): Refusal {
  const { code = "", message } = error as { readonly code?: string; readonly message: string };
  return new Refusal(
    "address_unavailable",
    `discovery cannot use the interface ${interfaceName} (${address}): ${code || message}`,
    "choose another interface, or start without --discover",
    { interface: interfaceName, address, code },
  );
}
