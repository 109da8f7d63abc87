import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/**
 * A program that makes connections to a node's door and does on each what no node does:
 *
 *     bun cluster-hostile.fixture.ts HOST PORT COUNT
 *
 * It keeps them until the other end has ended them all, then prints how many of which kind there were and how
 * long the last one lasted.
 */

type Deed = (socket: Socket) => void;

const upgrade = (extra = "") =>
  `GET /peer HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${extra}\r\n`;

/** A byte a second, for as long as it is let. */
function dribble(socket: Socket, text: string): void {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.destroyed || at >= text.length) clearInterval(timer);
    else socket.write(text[at++]!);
  }, 1_000);
}

/** Writes as much as the other end takes. */
function pour(socket: Socket, piece: Buffer, most: number): void {
  for (let count = 0; count < most && !socket.destroyed; count++) socket.write(piece);
}

/** A masked binary frame of a WebSocket that announces so many bytes, with these at its start. */
function frame(announced: bigint, bytes: Buffer): Buffer {
  const head = Buffer.alloc(14);
  head.set([0x82, 0xff]);
  head.writeBigUInt64BE(announced, 2);
  return Buffer.concat([head, bytes]);
}

const plain: Record<string, Deed> = {
  halfOpen: () => {},
  wrongProtocol: (socket) => socket.write(upgrade()),
  cutHello: (socket) => socket.write(Buffer.from("16030100ff010000fb0303", "hex")),
  slowHello: (socket) => dribble(socket, "\u0016\u0003\u0001\u0000ÿ\u0001"),
  noise: (socket) => pour(socket, Buffer.alloc(65_536, 0xff), 16),
};

const overTls: Record<string, Deed> = {
  silent: () => {},
  slowRequest: (socket) => dribble(socket, upgrade()),
  hugeHeader: (socket) =>
    pour(socket, Buffer.from(`GET /peer HTTP/1.1\r\nx: ${"y".repeat(65_536)}`), 16),
  hugeBody: (socket) => {
    socket.write("POST /peer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
    pour(socket, Buffer.alloc(65_536), 64);
  },
  silentGuest: (socket) => socket.write(upgrade()),
  hugeFrame: (socket) => {
    socket.write(upgrade());
    socket.once("data", () => {
      socket.write(frame(1n << 40n, Buffer.alloc(65_536)));
      pour(socket, Buffer.alloc(65_536), 32);
    });
  },
  manyFrames: (socket) => {
    socket.write(upgrade());
    const small = Buffer.concat([Buffer.from([0x82, 0x84, 0, 0, 0, 0]), Buffer.from("{}{}")]);
    socket.once("data", () => pour(socket, Buffer.concat(Array(1_000).fill(small)), 20));
  },
  deaf: (socket) => {
    socket.write(upgrade());
    socket.pause();
    pour(socket, Buffer.from([0x89, 0x80, 0, 0, 0, 0]), 20_000);
    // Who does not read does not see the end either.
    setTimeout(() => socket.resume(), 15_000);
  },
};

const [host = "", port = "", count = ""] = process.argv.slice(2);
const deeds = [
  ...Object.entries(plain).map(([kind, deed]) => ({ kind, deed, isTls: false })),
  ...Object.entries(overTls).map(([kind, deed]) => ({ kind, deed, isTls: true })),
];
const made: Record<string, number> = {};
const startedMs = performance.now();
const ends = Array.from({ length: Number(count) }, async (_, index) => {
  const { kind, deed, isTls } = deeds[index % deeds.length]!;
  made[kind] = (made[kind] ?? 0) + 1;
  await new Promise<void>((ended) => {
    const where = { host, port: Number(port) };
    const socket: Socket = isTls
      ? connectTls({ ...where, rejectUnauthorized: false }, () => deed(socket))
      : connect(where, () => deed(socket));
    socket.on("error", () => {});
    socket.on("close", () => ended());
    socket.resume();
  });
});
await Promise.all(ends);
console.log(JSON.stringify({ made, lastedMs: Math.round(performance.now() - startedMs) }));
process.exit(0);
