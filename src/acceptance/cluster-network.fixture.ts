import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cable, slowCable } from "./slow-cable.fixture.ts";

/**
 * A network of machines inside of this one: a namespace for each, with an address, a cable to a switch in a
 * namespace of its own, and a folder. Nothing of it is seen from outside, so tests can run side by side.
 * All of it is named after this process, and what a process left that was killed is removed by the next.
 * Where the machine does not allow it, the machines are addresses of the loopback device, and the
 * network between them cannot fail.
 */

const prefix = "psionic";
/** A name of this process that no later one with the same number has: its number and when it started. */
const nameOf = (pid: number | "self"): string | null => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" || state === "X") return null;
    return `${prefix}-${pid === "self" ? process.pid : pid}-${rest[18]}`;
  } catch {
    return null;
  }
};
const namePattern = /^psionic-(\d+)-\d+/;

function tried(words: readonly string[]): { isDone: boolean; said: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...words], {
    stdout: "pipe",
    stderr: "pipe",
  });
  return { isDone: exitCode === 0, said: exitCode === 0 ? stdout.toString() : stderr.toString() };
}

function done(...words: string[]): string {
  const { isDone, said } = tried(words);
  if (!isDone) throw new Error(`${words.join(" ")}: ${said}`);
  return said;
}

const namespaces = (): string[] =>
  tried(["ip", "netns", "list"])
    .said.split("\n")
    .map((line) => line.split(" ")[0]!)
    .filter((name) => namePattern.test(name));

/** Removes what networks of processes left that are there no more. */
function removeStale(): void {
  const isStale = (name: string) => {
    const [owner, pid] = namePattern.exec(name) ?? [];
    return owner !== undefined && nameOf(Number(pid)) !== owner;
  };
  for (const name of namespaces().filter(isStale)) removeNamespace(name);
  for (const name of readdirSync(tmpdir()).filter(isStale)) removeFolder(join(tmpdir(), name));
}

function removeNamespace(name: string): void {
  for (const pid of tried(["ip", "netns", "pids", name]).said.split("\n").filter(Boolean))
    tried(["kill", "-9", pid]);
  tried(["ip", "netns", "del", name]);
}

function removeFolder(folder: string): void {
  const mounts = existsSync("/proc/mounts") ? readFileSync("/proc/mounts", "utf8") : "";
  for (const line of mounts.split("\n")) {
    const place = line.split(" ")[1] ?? "";
    if (place.startsWith(`${folder}/`)) tried(["umount", "-l", place]);
  }
  rmSync(folder, { recursive: true, force: true });
}

let knownReason: string | null | undefined;

/** Why no network of namespaces can be had here, or null. */
export function whyNoNetwork(): string | null {
  knownReason ??= findReason();
  return knownReason;
}

function findReason(): string | null {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  const missing = ["ip", "nsenter", "setpriv"].find((name) => Bun.which(name) === null);
  if (missing !== undefined) return `${missing} is not installed`;
  const name = `${nameOf("self")}-trial`;
  const { isDone, said } = tried(["ip", "netns", "add", name]);
  try {
    if (!isDone) return `no network namespace can be made: ${said.trim()}`;
    const bridge = tried(["ip", "-n", name, "link", "add", "trial", "type", "bridge"]);
    return bridge.isDone ? null : `no bridge can be made: ${bridge.said.trim()}`;
  } finally {
    removeNamespace(name);
  }
}

/** What a test's name says where it runs without a network that can fail. */
export function networkNote(): string {
  const reason = whyNoNetwork();
  return reason === null ? "" : ` (without partitions: ${reason})`;
}

let networkCount = 0;

/** So many machines; they are numbered from 0. */
export class MachineNetwork implements Disposable {
  /** Holds a folder for each machine. */
  readonly folder: string;
  /** False where the machines are loopback addresses: then nothing between them can be made to fail. */
  readonly canFail = whyNoNetwork() === null;
  readonly #name: string;
  readonly #hub: string;
  #bridgeCount = 1;
  #cables: Bun.Subprocess | null = null;

  /** With `cable` each machine's way to the switch is that slow and narrow; without it, as fast as the machine. */
  constructor(
    readonly count: number,
    readonly cable: Cable | null = null,
  ) {
    this.#name = `${nameOf("self") ?? `${prefix}-${process.pid}-0`}-${++networkCount}`;
    this.#hub = `${this.#name}-hub`;
    this.folder = join(tmpdir(), this.#name);
    if (this.canFail) removeStale();
    mkdirSync(this.folder);
    if (!this.canFail) return;
    try {
      done("ip", "netns", "add", this.#hub);
      this.#addBridge(0);
      for (let machine = 0; machine < count; machine++) this.#addMachine(machine);
      if (cable !== null) this.#lengthen(cable);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#cables?.kill("SIGKILL");
    if (this.canFail) {
      for (let machine = 0; machine < this.count; machine++) removeNamespace(this.#space(machine));
      removeNamespace(this.#hub);
    }
    removeFolder(this.folder);
  }

  address(machine: number): string {
    if (this.canFail) return `10.77.0.${machine + 1}`;
    // Other systems have one loopback address.
    return `127.0.0.${process.platform === "linux" ? machine + 1 : 1}`;
  }

  /** What starts a program on a machine; it dies with this process. */
  command(machine: number, words: readonly string[]): string[] {
    if (!this.canFail) return [...words];
    const space = `--net=/run/netns/${this.#space(machine)}`;
    return ["nsenter", space, "setpriv", "--pdeathsig", "KILL", "--", ...words];
  }

  /** Machines of different groups no longer hear each other. One in no group hears nobody. */
  partition(groups: readonly (readonly number[])[]): void {
    this.#requireFaults();
    while (this.#bridgeCount < groups.length + 1) this.#addBridge(this.#bridgeCount++);
    for (let machine = 0; machine < this.count; machine++) {
      const group = groups.findIndex((each) => each.includes(machine));
      const plug = this.#plug(machine);
      this.#onHub("link", "set", plug, "master", `switch${group + 1}`);
      // A switch without a group has this one machine alone: the cable is pulled.
      this.#onHub("link", "set", plug, group === -1 ? "down" : "up");
    }
  }

  /** What one machine sends to another is lost without a word; the other way stays open. */
  deafen(from: number, to: number): void {
    this.#requireFaults();
    const nowhere = ["lladdr", "02:00:00:00:00:ff", "dev", "eth0", "nud", "permanent"];
    done("ip", "-n", this.#space(from), "neigh", "replace", this.address(to), ...nowhere);
  }

  /** Everyone hears everyone again. */
  heal(): void {
    if (!this.canFail) return;
    this.partition([Array.from({ length: this.count }, (_, machine) => machine)]);
    for (let machine = 0; machine < this.count; machine++)
      done("ip", "-n", this.#space(machine), "neigh", "flush", "dev", "eth0", "nud", "permanent");
  }

  /** All bytes that went over a machine's cable so far, both ways, with every header. */
  bytes(machine: number): number {
    this.#requireFaults();
    const text = done("ip", "-n", this.#hub, "-s", "-j", "link", "show", `m${machine}`);
    const [link] = JSON.parse(text) as { stats64: Record<"rx" | "tx", { bytes: number }> }[];
    return link!.stats64.rx.bytes + link!.stats64.tx.bytes;
  }

  #requireFaults(): void {
    if (!this.canFail) throw new Error(`there is no network here: ${whyNoNetwork()}`);
  }

  /** A folder on a disk of its own size. */
  mountDisk(path: string, sizeMiB: number): void {
    mkdirSync(path, { recursive: true });
    done("mount", "-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs", path);
  }

  #space(machine: number): string {
    return `${this.#name}-${machine}`;
  }

  /** The device of a machine's cable that is at the switch. */
  #plug(machine: number): string {
    return `${this.cable === null ? "m" : "x"}${machine}`;
  }

  /** Puts the slow cable between each machine's device and the switch. */
  #lengthen(cable: Cable): void {
    const pairs = Array.from({ length: this.count }, (_, machine) => {
      const [near, far] = [`w${machine}`, `x${machine}`];
      this.#onHub("link", "set", `m${machine}`, "nomaster");
      this.#onHub("link", "add", near, "type", "veth", "peer", "name", far);
      this.#onHub("link", "set", near, "up");
      this.#onHub("link", "set", far, "master", "switch0", "up");
      return [`m${machine}`, near] as const;
    });
    const space = `--net=/run/netns/${this.#hub}`;
    const words = ["nsenter", space, "--", ...slowCable(this.folder, cable, pairs)];
    this.#cables = Bun.spawn(words, { stdio: ["ignore", "ignore", "inherit"] });
  }

  #onHub(...words: string[]): void {
    done("ip", "-n", this.#hub, ...words);
  }

  #addBridge(index: number): void {
    this.#onHub("link", "add", `switch${index}`, "type", "bridge");
    this.#onHub("link", "set", `switch${index}`, "up");
  }

  #addMachine(machine: number): void {
    const space = this.#space(machine);
    done("ip", "netns", "add", space);
    const cable = ["type", "veth", "peer", "name", "eth0", "netns", space];
    this.#onHub("link", "add", `m${machine}`, ...cable);
    this.#onHub("link", "set", `m${machine}`, "master", "switch0", "up");
    // One family of addresses, so that nothing but what a test does goes over the cable.
    const quiet = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || true";
    done(...this.command(machine, ["sh", "-c", quiet]));
    for (const words of [
      ["addr", "add", `${this.address(machine)}/24`, "dev", "eth0"],
      ["link", "set", "eth0", "up"],
      ["link", "set", "lo", "up"],
    ])
      done("ip", "-n", space, ...words);
  }
}
