import { Refusal } from "#src/refusal/refusal.ts";

/** Where a node listens for others. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `HOST:PORT`; an IPv6 address stands in brackets. Refused with `usage`. */
export function parseAddress(text: string): PeerAddress {
  const found = /^(?:\[([0-9a-f:.%a-z]+)\]|([^\s[\]:/]+)):(\d{1,5})$/i.exec(text);
  const port = Number(found?.[3]);
  if (found !== null && port >= 1 && port <= 65_535) return { host: (found[1] ?? found[2])!, port };
  throw new Refusal(
    "usage",
    `${text} is no address of a node`,
    "write HOST:PORT, such as 10.0.0.7:7420 or [fd00::7]:7420",
    { address: text },
  );
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|::1)$/i;

/** True for an address that leads to the machine on which it is dialled, whichever that is. */
export const isOwnMachine = ({ host }: PeerAddress): boolean => loopback.test(host);

/** The address as it is written. */
export function addressText({ host, port }: PeerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
