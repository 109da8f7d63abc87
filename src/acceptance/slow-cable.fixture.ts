import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Cables as long and as narrow as those between towns: a program that carries packets from one device to another and
 * back, each so much later and no more bits a second than that. Where a kernel has no module for it.
 */
const source = `
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* Bytes of the largest packet, offloaded ones included, with the header that says how it is offloaded. */
enum { packet_bytes = 66000, queue_packets = 512 };

struct packet { int64_t due_ns; int size; uint8_t bytes[packet_bytes]; };
struct way { int from, to, first, count; int64_t free_ns; struct packet *queue; };

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void fail(const char *what) { perror(what); exit(1); }

static int open_end(const char *name) {
  int end = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int yes = 1;
  struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
  if (end < 0 || place.sll_ifindex == 0) fail(name);
  if (setsockopt(end, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes)) fail("offloaded packets");
  if (setsockopt(end, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes)) fail("own packets");
  int room = 8 << 20;
  setsockopt(end, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (bind(end, (struct sockaddr *)&place, sizeof place)) fail(name);
  return end;
}

int main(int argc, char **argv) {
  if (argc < 5 || argc % 2 == 0) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int64_t delay_ns = atoll(argv[1]) * 1000, bits_per_second = atoll(argv[2]);
  int way_count = argc - 3;
  struct way *ways = calloc((size_t)way_count, sizeof *ways);
  struct pollfd *ends = calloc((size_t)way_count, sizeof *ends);
  for (int pair = 0; pair < way_count; pair += 2) {
    int a = open_end(argv[3 + pair]), b = open_end(argv[4 + pair]);
    ways[pair] = (struct way){.from = a, .to = b};
    ways[pair + 1] = (struct way){.from = b, .to = a};
  }
  for (int index = 0; index < way_count; index++) {
    ways[index].queue = calloc(queue_packets, sizeof(struct packet));
    ends[index] = (struct pollfd){.fd = ways[index].from, .events = POLLIN};
  }
  puts("open");
  fflush(stdout);
  for (;;) {
    int64_t now = now_ns(), next = INT64_MAX;
    for (int index = 0; index < way_count; index++) {
      struct way *way = &ways[index];
      for (;;) {
        static uint8_t scratch[packet_bytes];
        struct packet *packet = way->count < queue_packets ? &way->queue[(way->first + way->count) % queue_packets] : NULL;
        ssize_t size = recv(way->from, packet ? packet->bytes : scratch, packet_bytes, 0);
        if (size <= 0) break;
        if (!packet) continue; /* The cable's buffer is full: lost, as on any. */
        int64_t begin = way->free_ns > now ? way->free_ns : now;
        way->free_ns = begin + (int64_t)size * 8 * 1000000000LL / bits_per_second;
        packet->due_ns = way->free_ns + delay_ns;
        packet->size = (int)size;
        way->count++;
      }
      while (way->count > 0) {
        struct packet *packet = &way->queue[way->first];
        if (packet->due_ns > now) { if (packet->due_ns < next) next = packet->due_ns; break; }
        send(way->to, packet->bytes, (size_t)packet->size, 0);
        way->first = (way->first + 1) % queue_packets;
        way->count--;
      }
    }
    now = now_ns();
    int64_t wait_ns = next == INT64_MAX ? 1000000000LL : next > now ? next - now : 0;
    struct timespec wait = {.tv_sec = wait_ns / 1000000000LL, .tv_nsec = wait_ns % 1000000000LL};
    ppoll(ends, (nfds_t)way_count, &wait, NULL);
  }
}
`;

export interface Cable {
  /** One way. */
  readonly delayMs: number;
  readonly bitsPerSecond: number;
}

/** Why there are no slow cables here, or null. */
export function whyNoSlowCable(): string | null {
  return Bun.which("cc") === null ? "cc is not installed" : null;
}

/** The words of the program for pairs of devices; it prints `open` once it carries. */
export function slowCable(
  folder: string,
  { delayMs, bitsPerSecond }: Cable,
  pairs: readonly (readonly [string, string])[],
): string[] {
  const [code, program] = [join(folder, "slow-cable.c"), join(folder, "slow-cable")];
  writeFileSync(code, source);
  const { exitCode, stderr } = Bun.spawnSync(["cc", "-O2", "-o", program, code], {
    stderr: "pipe",
  });
  if (exitCode !== 0) throw new Error(`the cable did not compile: ${stderr.toString()}`);
  return [program, String(Math.round(delayMs * 1000)), String(bitsPerSecond), ...pairs.flat()];
}
