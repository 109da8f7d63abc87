import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./binary.ts";
import { MachineNetwork, whyNoNetwork } from "./cluster-network.fixture.ts";
import { lives, until } from "./daemon.fixture.ts";

const reason = whyNoNetwork() === null ? "" : ` (${whyNoNetwork()})`;

/** Answers with what it was sent. */
const echo = `Bun.serve({ hostname: "0.0.0.0", port: 80, fetch: async (request) => new Response(await request.text()) }); setInterval(() => {}, 1e6)`;

/** Whether one machine gets an answer from another within a second. */
async function reaches(network: MachineNetwork, from: number, to: number): Promise<boolean> {
  const ask = `const answer = await fetch("http://${network.address(to)}", { method: "POST", body: "hi", signal: AbortSignal.timeout(1000) });
    process.exit((await answer.text()) === "hi" ? 0 : 1)`;
  const child = Bun.spawn(network.command(from, [process.execPath, "-e", ask]), {
    stdio: ["ignore", "ignore", "ignore"],
  });
  return (await child.exited) === 0;
}

async function withEchoes(network: MachineNetwork): Promise<void> {
  for (let machine = 0; machine < network.count; machine++)
    Bun.spawn(network.command(machine, [process.execPath, "-e", echo]), {
      stdio: ["ignore", "ignore", "inherit"],
    });
  for (let machine = 0; machine < network.count; machine++)
    await until(`machine ${machine} answers`, () => reaches(network, machine, machine));
}

describe.skipIf(reason !== "")(`a network of machines inside of this one${reason}`, () => {
  test("parts of it do not hear each other, and do again when it is healed", async () => {
    using network = new MachineNetwork(4);
    await withEchoes(network);
    const seen = async () =>
      Promise.all(
        [
          [0, 1],
          [2, 1],
          [0, 3],
          [3, 3],
        ].map(([from, to]) => reaches(network, from!, to!)),
      );
    expect(await seen()).toEqual([true, true, true, true]);
    network.partition([[0, 1], [2]]);
    expect(await seen()).toEqual([true, false, false, true]);
    network.heal();
    expect(await seen()).toEqual([true, true, true, true]);
    const before = network.bytes(2);
    expect(await reaches(network, 1, 2)).toBe(true);
    expect(network.bytes(2) - before).toBeGreaterThan(100);
  }, 60_000);

  test("one way can be lost alone: an answer does not come, and nobody else notices", async () => {
    using network = new MachineNetwork(3);
    await withEchoes(network);
    network.deafen(1, 0);
    expect(await reaches(network, 0, 1)).toBe(false);
    expect(await reaches(network, 0, 2)).toBe(true);
    expect(await reaches(network, 2, 1)).toBe(true);
    network.heal();
    expect(await reaches(network, 0, 1)).toBe(true);
  }, 60_000);

  test("what a killed test leaves is removed by the next one", async () => {
    const fixture = join(root, "src/acceptance/cluster-network.fixture.ts");
    const program = `const { MachineNetwork } = await import(${JSON.stringify(fixture)});
      const network = new MachineNetwork(1);
      network.mountDisk(network.folder + "/disk", 1);
      const { pid } = Bun.spawn(network.command(0, ["sleep", "600"]));
      console.log(JSON.stringify({ folder: network.folder, pid }));
      setInterval(() => {}, 1e6);`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    const { value } = await child.stdout.getReader().read();
    const left = JSON.parse(new TextDecoder().decode(value)) as { folder: string; pid: number };
    // Only once the program itself runs it is bound to who started it.
    await until("it sleeps", () => readFileSync(`/proc/${left.pid}/comm`, "utf8") === "sleep\n");
    child.kill("SIGKILL");
    await child.exited;
    await until("its processes die with it", () => !lives(left.pid));
    expect(existsSync(left.folder)).toBe(true);
    using network = new MachineNetwork(1);
    expect(existsSync(left.folder)).toBe(false);
    expect(existsSync(network.folder)).toBe(true);
    const spaces = Bun.spawnSync(["ip", "netns", "list"]).stdout.toString();
    expect(spaces).not.toContain(left.folder.split("/").at(-1)!);
  }, 30_000);

  test("a long, narrow cable delays every answer and carries so much a second", async () => {
    const delayMs = 20;
    using network = new MachineNetwork(2, { delayMs, bitsPerSecond: 50e6 });
    await withEchoes(network);
    await until("the cable carries", () => reaches(network, 0, 1));
    const body = 2_000_000;
    const ask = `const url = "http://${network.address(1)}";
      await (await fetch(url, { method: "POST", body: "first" })).text();
      const began = performance.now();
      await (await fetch(url, { method: "POST", body: "hi" })).text();
      const trip = performance.now() - began;
      const sent = performance.now();
      const { length } = await (await fetch(url, { method: "POST", body: "x".repeat(${body}) })).text();
      console.log(JSON.stringify({ trip, took: performance.now() - sent, length }));`;
    const child = Bun.spawn(network.command(0, [process.execPath, "-e", ask]), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const { trip, took, length } = JSON.parse(await child.stdout.text()) as Record<string, number>;
    expect(length).toBe(body);
    // Through two cables there, and through two back.
    expect(trip).toBeGreaterThan(4 * delayMs);
    // Both ways at 50 Mbit/s, one after the other.
    expect(took).toBeGreaterThan((2 * body * 8) / 50e3);
    expect(took).toBeLessThan(20_000);
    network.partition([[0], [1]]);
    expect(await reaches(network, 0, 1)).toBe(false);
    network.heal();
    await until("healed", () => reaches(network, 0, 1));
  }, 60_000);
});
