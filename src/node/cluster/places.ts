import { networkInterfaces } from "node:os";
import { placeMaximum, placeTextMaximum } from "#src/cluster/bounds.ts";
import { addressText, type PeerAddress } from "#src/peer/address.ts";
import { networkModules } from "#src/surface/network-modules.ts";

const anyAddress = /^(0\.0\.0\.0|::|\[::\])$/;

/**
 * Addresses of this machine that others may reach, IPv4 first. Addresses that are valid on one link alone
 * (`fe80::`, `169.254.`) are left out: they mean nothing to another machine.
 */
export function machineAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outside = all.filter(
    ({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address),
  );
  const rank = ({ family }: { readonly family: string }) => (family === "IPv4" ? 0 : 1);
  return [...new Set(outside.toSorted((a, b) => rank(a) - rank(b)).map(({ address }) => address))];
}

/** How long the system may take to say which way leads to an address. */
const routeMs = 2_000;

/**
 * The address of this machine from which it reaches a place; null where no way leads there, or none out of
 * this machine. Nothing is sent.
 */
export async function addressTowards({ host, port }: PeerAddress): Promise<string | null> {
  try {
    const { address, family } = await networkModules.names.lookup(host);
    const socket = networkModules.dgram.createSocket(family === 6 ? "udp6" : "udp4");
    try {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const late = setTimeout(() => reject(new Error("no answer")), routeMs);
      socket.on("error", reject);
      socket.connect(port, address, () => resolve(socket.address().address));
      const own = await promise.finally(() => clearTimeout(late));
      return /^(127\.|::1$|fe80:|0\.0\.0\.0$|::$)/i.test(own) ? null : own;
    } finally {
      socket.close();
    }
  } catch {
    return null;
  }
}

/** Where a door that listens at a host is reached, the likeliest first; bounded as contacts are. */
export function placesOf(host: string, port: number): readonly string[] {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const hosts = anyAddress.test(host) ? machineAddresses() : [bare];
  // A machine without a network still reaches itself.
  const reached = hosts.length > 0 ? hosts : ["127.0.0.1"];
  return reached
    .map((each) => addressText({ host: each, port }))
    .filter((place) => place.length <= placeTextMaximum)
    .slice(0, placeMaximum);
}
