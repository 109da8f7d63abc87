import { networkInterfaces } from "node:os";
import { placeMaximum, placeTextMaximum } from "#src/cluster/bounds.ts";
import { addressText } from "#src/peer/address.ts";

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
