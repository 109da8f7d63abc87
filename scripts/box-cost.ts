import { boxKeyFromSeed, openBox, sealBox } from "../src/peer/sealed-box.ts";

/** What sealing and opening one message costs, in milliseconds, by its size: the median of many. */
const key = boxKeyFromSeed(crypto.getRandomValues(new Uint8Array(32)));
const way = { mesh: "m", sender: "a", recipient: "b", relay: "c", session: "0" };
const count = 200;

const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1]!;

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; last: T }> {
  const times: number[] = [];
  let last!: T;
  for (let index = 0; index < count; index++) {
    const startedMs = performance.now();
    last = await work();
    times.push(performance.now() - startedMs);
  }
  return { ms: median(times), last };
}

for (const sizeBytes of [300, 4_096, 65_536, 700_000]) {
  const plain = new Uint8Array(sizeBytes);
  const seal = await timed(() => sealBox(key.publicKey, way, plain));
  const open = await timed(() => openBox(key, way, seal.last));
  console.log(`${sizeBytes} bytes: seal ${seal.ms.toFixed(2)} ms, open ${open.ms.toFixed(2)} ms`);
}
