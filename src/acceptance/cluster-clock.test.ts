import { expect, test } from "bun:test";
import { TemporaryFolder } from "./binary.ts";
import { OwnClock, whyNoClock } from "./cluster-clock.fixture.ts";

const reason = process.env["CI"] || whyNoClock() === null ? "" : ` (${whyNoClock()})`;

test.skipIf(reason !== "")(
  `a process can have a clock of its own, which jumps while it runs${reason}`,
  async () => {
    using folder = new TemporaryFolder();
    const clock = new OwnClock(folder.path);
    const tell = `const from = performance.now();
      for await (const _ of console) console.log(JSON.stringify([Date.now(), performance.now() - from, new Date().getTime()]));`;
    const child = Bun.spawn([process.execPath, "-e", tell], {
      ...{ stdin: "pipe", stdout: "pipe", env: { ...process.env, ...clock.environment } },
    });
    const reader = child.stdout.getReader();
    const ask = async () => {
      void child.stdin.write("\n");
      await child.stdin.flush();
      const { value } = await reader.read();
      const [wallMs, passedMs, dateMs] = JSON.parse(new TextDecoder().decode(value)) as number[];
      expect(Math.abs(wallMs! - dateMs!)).toBeLessThan(1_000);
      expect(passedMs).toBeWithin(0, 60_000);
      return Math.round((wallMs! - Date.now()) / 10_000) * 10_000;
    };
    expect(await ask()).toBe(0);
    clock.set(3_600);
    expect(await ask()).toBe(3_600_000);
    clock.set(-600);
    expect(await ask()).toBe(-600_000);
    child.kill();
    await child.exited;
  },
);
