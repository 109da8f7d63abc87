// A program without an operating system: runs packed conformance cases on the AVX-512 lane exactly as
// the product compiles it, compares every word of their memory with what the reference wrote, and says
// so on the first serial port. One thread. The cases come as the boot loader's module (packed-cases.ts).
#include <stddef.h>
#include <stdint.h>

#include "psionic.h"

#define NAME_BYTES 40
#define MOST_SHOWN 3

// What lies before each case's memory: its bytes, then as many that are expected, then one kind per word.
typedef struct {
  char name[NAME_BYTES];
  int64_t seed;
  int64_t memory_bytes;  // a multiple of 64
  psi_call call;         // each argument is 1 + its offset in the memory, or 0 when absent
} packed_case;

typedef struct {
  uint64_t magic, case_count;
} packed_header;

enum { KIND_EXACT, KIND_FLOAT };

// The parts of a multiboot information block that are used here.
typedef struct {
  uint32_t flags, lower_kib, upper_kib, device, command, module_count, modules;
} boot_information;
typedef struct {
  uint32_t start, end, text, unused;
} boot_module;

extern char machine_end[];

static int64_t next_task;
static int failed;
void psi_barrier(psi_worker *worker) { (void)worker, next_task = 0; }
int64_t psi_next_task(psi_worker *worker) { return (void)worker, next_task++; }
void psi_fail(psi_worker *worker) { (void)worker, failed = 1; }

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  void *at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
  return to;
}
void *memset(void *to, int byte, size_t bytes) {
  void *at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(byte) : "memory");
  return to;
}

static void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
// Eight data bits, one stop bit, as fast as it goes.
static void open_serial(void) {
  out8(0x3fb, 0x80), out8(0x3f8, 1), out8(0x3f9, 0), out8(0x3fb, 3);
}
static void say(const char *text) {
  for (; *text; text++) {
    while (!(in8(0x3fd) & 0x20)) {}
    out8(0x3f8, (uint8_t)*text);
  }
}
static void say_number(int64_t value) {
  char digits[24], *at = digits + sizeof digits;
  *--at = 0;
  do *--at = (char)('0' + value % 10);
  while (value /= 10);
  say(at);
}
static void say_word(uint32_t word) {
  char digits[9] = {0};
  for (int i = 0; i < 8; i++) digits[i] = "0123456789abcdef"[word >> (28 - 4 * i) & 15];
  say(digits);
}
// Ends the emulation once everything is said: Bochs leaves when it reads this word on this port.
static void finish(void) {
  while (!(in8(0x3fd) & 0x40)) {}
  for (const char *at = "Shutdown"; *at; at++) out8(0x8900, (uint8_t)*at);
}

static void say_processor(void) {
  uint32_t brand[13] = {0};
  for (uint32_t i = 0; i < 3; i++)
    __asm__("cpuid" : "=a"(brand[4 * i]), "=b"(brand[4 * i + 1]), "=c"(brand[4 * i + 2]), "=d"(brand[4 * i + 3]) : "a"(0x80000002 + i), "c"(0));
  say("processor ");
  say((char *)brand);
  // The same question as psi_lanes asks.
  __builtin_cpu_init();
  int has_lane = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  say(has_lane ? ", which has the avx512 lane\n" : ", which lacks the avx512 lane\n");
}

static int is_nan(uint32_t word) { return (word & 0x7fffffff) > 0x7f800000; }

// Runs one case in `work`; returns the number of words that differ.
static int64_t run_case(const packed_case *packed, char *work, int is_shown) {
  const char *memory = (const char *)(packed + 1);
  const uint32_t *expected = (const uint32_t *)(memory + packed->memory_bytes), *found = (const uint32_t *)work;
  const uint8_t *kinds = (const uint8_t *)expected + packed->memory_bytes;
  psi_call call = packed->call;
  memcpy(work, memory, (size_t)packed->memory_bytes);
  for (int i = 0; i < PSI_ARGUMENTS; i++) call.argument[i] = call.argument[i] ? work + (intptr_t)call.argument[i] - 1 : NULL;
  psi_scratch need = psi_lane_avx512.scratch(&call, 1);
  char *shared = work + packed->memory_bytes, *own = shared + (need.shared + 127) / 64 * 64;
  psi_worker worker = {NULL, 0, 1, 0, shared, own};
  next_task = failed = 0;
  psi_lane_avx512.kernels[call.code](&call, &worker);
  int64_t differences = failed;
  for (int64_t i = 0; i < packed->memory_bytes / 4; i++) {
    if (found[i] == expected[i] || (kinds[i] == KIND_FLOAT && is_nan(found[i]) && is_nan(expected[i]))) continue;
    if (differences++ == 0 && is_shown) {
      say("difference "), say(packed->name), say(" seed "), say_number(packed->seed), say(" word "), say_number(i);
      say(" expected "), say_word(expected[i]), say(" found "), say_word(found[i]), say("\n");
    }
  }
  return differences;
}

void machine_main(const boot_information *information) {
  const boot_module *module = (const boot_module *)(uintptr_t)information->modules;
  const packed_header *header = (const packed_header *)(uintptr_t)module->start;
  open_serial();
  say_processor();
  if (information->module_count != 1 || header->magic != 0x3173657361637370) {
    say("no cases\n");
    return finish();
  }
  uintptr_t end = module->end > (uintptr_t)machine_end ? module->end : (uintptr_t)machine_end;
  char *work = (char *)((end + 0x1fffff) / 0x200000 * 0x200000);
  const packed_case *packed = (const packed_case *)(header + 1);
  const char *name = packed->name;
  int64_t equal = 0, different = 0, all_equal = 0, all_different = 0;
  for (uint64_t i = 0; i < header->case_count; i++) {
    if (run_case(packed, work, different < MOST_SHOWN)) different++;
    else equal++;
    const packed_case *next = (const packed_case *)((const char *)(packed + 1) + packed->memory_bytes * 2 + packed->memory_bytes / 4);
    int is_last = i + 1 == header->case_count;
    // Cases of one operation follow each other.
    if (is_last || next->call.code != packed->call.code) {
      say(name), say(" "), say_number(equal), say(" equal "), say_number(different), say(" different\n");
      all_equal += equal, all_different += different, equal = different = 0;
      if (!is_last) name = next->name;
    }
    packed = next;
  }
  say("verdict "), say_number(all_equal), say(" equal "), say_number(all_different), say(" different\n");
  finish();
}
