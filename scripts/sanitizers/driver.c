// Runs packed programs (packed-programs.ts) on teams of every lane and compares what they leave in memory
// with what the reference left, bit for bit. It is linked with the kernels under a sanitizer, so every space is
// a block of its own of exactly its size. Under AddressSanitizer calls run one by one, and then only what the
// call's own arguments span may be touched: reading one element too many is seen inside a space, too.
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "psionic.h"

#if !defined(__SANITIZE_ADDRESS__) && defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HAS_FENCES 1
static void close_memory(void *from, int64_t bytes) { ASAN_POISON_MEMORY_REGION(from, (size_t)bytes); }
static void open_memory(void *from, int64_t bytes) { ASAN_UNPOISON_MEMORY_REGION(from, (size_t)bytes); }
#else
#define HAS_FENCES 0
static void close_memory(void *from, int64_t bytes) { (void)from, (void)bytes; }
static void open_memory(void *from, int64_t bytes) { (void)from, (void)bytes; }
#endif

#define MAGIC 0x31676f72705f6973
#define MOST_SPACES 8
#define MOST_THREADS 3
#define SPACE_BIT 40
#define GAP_BYTES 64
#define MOST_SECONDS 240

#define VISIBLE __attribute__((visibility("default")))
// The sanitizers ask for these by name.
VISIBLE const char *__asan_default_options(void) { return "detect_stack_use_after_return=1"; }
VISIBLE const char *__ubsan_default_options(void) { return "print_stacktrace=1"; }
VISIBLE const char *__tsan_default_options(void) { return "halt_on_error=1"; }

int psi_lanes(void);
psi_team *psi_team_open(int lane, int thread_count);
void psi_team_close(psi_team *team);
void psi_scratch_sizes(psi_team *team, const psi_call *calls, int64_t count, int64_t *sizes);
int64_t psi_run(psi_team *team, const psi_call *calls, int64_t from, int64_t to, char *scratch, int64_t shared_bytes, int64_t each_bytes);
void *psi_allocate(int64_t bytes);
void psi_release(void *memory);
void psi_copy_memory(void *to, const void *from, int64_t bytes);
double psi_peak_flops(int lane, int thread_count, double limit_seconds);
double psi_copy_bandwidth(int lane, int thread_count, double limit_seconds);

typedef struct {
  psi_call call;  // each argument is 1 + its offset + its space << 40, or 0 when absent
  int64_t extent_bytes[PSI_ARGUMENTS];
} packed_call;

// Then: the calls, the spaces before (each rounded up to 8 bytes), the same afterwards, a kind per word.
typedef struct {
  char name[40];
  int64_t seed, call_count, space_count, space_bytes[MOST_SPACES];
} packed_program;

// A program bound to memory of its own.
typedef struct {
  const packed_program *packed;
  const char *before, *expected;
  const uint8_t *kinds;
  const char *end;
  char *spaces[MOST_SPACES];
  psi_call *calls;
  const packed_call *packed_calls;
  char *scratch;
  int64_t sizes[2];
  int64_t shared_bytes, each_bytes, scratch_bytes;
} program;

// What is wrong on purpose, so that a run shows that the sanitizer would have said it.
static enum { PLANT_NOTHING, PLANT_FENCE, PLANT_ALIGNMENT, PLANT_SCRATCH } planted;

static int64_t round_up_to(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

static void *allocate(int64_t bytes) {
  // Exactly so many: a block of no bytes may not be touched at all.
  void *memory = malloc((size_t)bytes);
  if (!memory && bytes) abort();
  return memory;
}

static program find_program(const char *at) {
  program p = {.packed = (const packed_program *)at};
  int64_t bytes = 0;
  for (int64_t s = 0; s < p.packed->space_count; s++) bytes += round_up_to(p.packed->space_bytes[s], 8);
  p.packed_calls = (const packed_call *)(p.packed + 1);
  p.before = (const char *)(p.packed_calls + p.packed->call_count);
  p.expected = p.before + bytes;
  p.kinds = (const uint8_t *)p.expected + bytes;
  p.end = at + round_up_to((const char *)p.kinds + bytes / 4 - at, 8);
  return p;
}

static char *pointer_of(const program *p, const void *packed) {
  int64_t place = (int64_t)(intptr_t)packed - 1;
  return place < 0 ? NULL : p->spaces[place >> SPACE_BIT] + (place & (((int64_t)1 << SPACE_BIT) - 1));
}

// Memory as it was before the first call.
static void fill_spaces(program *p) {
  const char *from = p->before;
  for (int64_t s = 0; s < p->packed->space_count; s++) {
    int64_t bytes = p->packed->space_bytes[s];
    if (bytes) memcpy(p->spaces[s], from, (size_t)bytes);
    from += round_up_to(bytes, 8);
  }
}

static void bind_program(program *p, psi_team *team, int thread_count) {
  int64_t count = p->packed->call_count;
  for (int64_t s = 0; s < p->packed->space_count; s++) p->spaces[s] = allocate(p->packed->space_bytes[s]);
  fill_spaces(p);
  p->calls = allocate(count * (int64_t)sizeof(psi_call));
  for (int64_t c = 0; c < count; c++) {
    p->calls[c] = p->packed_calls[c].call;
    for (int i = 0; i < PSI_ARGUMENTS; i++) p->calls[c].argument[i] = pointer_of(p, p->calls[c].argument[i]);
  }
  psi_scratch_sizes(team, p->calls, count, p->sizes);
  // Each part is followed by a gap that nobody may touch, so that the parts begin on 64 bytes as in the product.
  p->shared_bytes = round_up_to(p->sizes[0], 64) + GAP_BYTES;
  p->each_bytes = planted == PLANT_SCRATCH ? 0 : round_up_to(p->sizes[1], 64) + GAP_BYTES;
  p->scratch_bytes = p->shared_bytes + (round_up_to(p->sizes[1], 64) + GAP_BYTES) * thread_count;
  p->scratch = aligned_alloc(64, (size_t)p->scratch_bytes);
  if (!p->scratch) abort();
  close_memory(p->scratch, p->scratch_bytes);
  open_memory(p->scratch, p->sizes[0]);
  for (int t = 0; t < thread_count; t++) open_memory(p->scratch + p->shared_bytes + t * p->each_bytes, p->sizes[1]);
}

static void free_program(program *p) {
  open_memory(p->scratch, p->scratch_bytes);
  free(p->scratch);
  free(p->calls);
  for (int64_t s = 0; s < p->packed->space_count; s++) free(p->spaces[s]);
}

static void close_spaces(program *p) {
  for (int64_t s = 0; s < p->packed->space_count; s++) close_memory(p->spaces[s], p->packed->space_bytes[s]);
}

static void open_spaces(program *p) {
  for (int64_t s = 0; s < p->packed->space_count; s++) open_memory(p->spaces[s], p->packed->space_bytes[s]);
}

// One call with nothing but its arguments open; returns what psi_run says.
static int64_t run_fenced(program *p, psi_team *team, int64_t c) {
  close_spaces(p);
  for (int i = 0; i < PSI_ARGUMENTS; i++) {
    int64_t bytes = p->packed_calls[c].extent_bytes[i];
    if (!p->calls[c].argument[i]) continue;
    // One element less than the call was promised.
    if (planted == PLANT_FENCE && bytes) bytes -= 4;
    open_memory(p->calls[c].argument[i], bytes);
  }
  int64_t failed = psi_run(team, p->calls, c, c + 1, p->scratch, p->shared_bytes, p->each_bytes);
  open_spaces(p);
  return failed;
}

static int is_nan(uint32_t word) { return (word & 0x7fffffff) > 0x7f800000; }

// How many words differ from what the reference left.
static int64_t count_differences(const program *p, const char *where) {
  const uint32_t *expected = (const uint32_t *)p->expected;
  const uint8_t *kinds = p->kinds;
  int64_t differences = 0;
  for (int64_t s = 0; s < p->packed->space_count; s++) {
    const uint32_t *found = (const uint32_t *)p->spaces[s];
    for (int64_t i = 0; i < p->packed->space_bytes[s] / 4; i++) {
      if (found[i] == expected[i] || (kinds[i] && is_nan(found[i]) && is_nan(expected[i]))) continue;
      if (differences++ == 0) fprintf(stderr, "difference: %s seed %lld %s: space %lld word %lld: expected %08x, found %08x\n", p->packed->name, (long long)p->packed->seed, where, (long long)s, (long long)i, expected[i], found[i]);
    }
    expected += round_up_to(p->packed->space_bytes[s], 8) / 4;
    kinds += round_up_to(p->packed->space_bytes[s], 8) / 4;
  }
  return differences;
}

static int is_equal_after_run(const char *at, psi_team *team, int thread_count, const char *where) {
  program p = find_program(at);
  bind_program(&p, team, thread_count);
  int64_t count = p.packed->call_count, failed = 0;
  if (planted == PLANT_ALIGNMENT) p.calls[0].argument[0] = (char *)p.calls[0].argument[0] + 1;
  if (HAS_FENCES)
    for (int64_t c = 0; c < count && !failed; c++) failed = run_fenced(&p, team, c);
  else failed = psi_run(team, p.calls, 0, count, p.scratch, p.shared_bytes, p.each_bytes);
  if (failed) fprintf(stderr, "failed: %s seed %lld %s: call %lld\n", p.packed->name, (long long)p.packed->seed, where, (long long)failed - 1);
  int is_equal = !failed && !count_differences(&p, where);
  free_program(&p);
  return is_equal;
}

static uint32_t draw(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  return *state >> 16;
}

// The plan again and again in stretches of none to two calls; returns how often the result was another.
static int64_t stress_stretches(const char *at, int lane, int64_t stretches) {
  psi_team *team = psi_team_open(lane, MOST_THREADS);
  if (!team) return 1;
  program p = find_program(at);
  bind_program(&p, team, MOST_THREADS);
  int64_t different = 0, from = 0, count = p.packed->call_count;
  uint32_t state = 1;
  for (int64_t done = 0; done < stretches || from; done++) {
    int64_t to = from + draw(&state) % 3;
    if (to > count) to = count;
    if (psi_run(team, p.calls, from, to, p.scratch, p.shared_bytes, p.each_bytes)) different++;
    // The caller dawdles after some stretches, so that workers also wake before the next one is set up.
    for (uint32_t pause = draw(&state) % 8 * 8; pause; pause--) sched_yield();
    from = to;
    if (from < count) continue;
    different += count_differences(&p, "in short stretches") != 0;
    fill_spaces(&p);
    from = 0;
  }
  free_program(&p);
  psi_team_close(team);
  return different;
}

// Teams that end at once and teams that end after a call.
static int64_t stress_teams(const char *at, int lane, int teams) {
  int64_t different = 0;
  for (int i = 0; i < teams; i++) {
    psi_team *team = psi_team_open(lane, 1 + i % MOST_THREADS);
    if (!team) return 1;
    if (i % 2) different += !is_equal_after_run(at, team, 1 + i % MOST_THREADS, "on a short-lived team");
    psi_team_close(team);
  }
  return different;
}

// What the library offers besides running plans; returns how much of it failed.
static int64_t try_the_rest(int lane) {
  char *from = psi_allocate(100), *to = psi_allocate((4 << 20) + 100);
  if (!from || !to) return 1;
  from[99] = 7;
  psi_copy_memory(to + (4 << 20), from, 100);
  int64_t failures = to[(4 << 20) + 99] != 7;
  psi_release(from), psi_release(to), psi_release(NULL);
  failures += psi_team_open(0, 1) != NULL || psi_team_open(lane, 0) != NULL || psi_team_open(lane, 257) != NULL;
  psi_team_close(NULL);
  return failures + (psi_peak_flops(lane, 2, 0.01) <= 0) + (psi_copy_bandwidth(lane, 2, 0.01) <= 0);
}

static char *read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) abort();
  long bytes = ftell(file);
  char *content = allocate(bytes);
  rewind(file);
  if (fread(content, 1, (size_t)bytes, file) != (size_t)bytes) abort();
  fclose(file);
  return content;
}

// The first program of a name, whose programs begin with these letters.
static const char *named_program(const char *content, const char *letters) {
  const char *at = content + 16;
  for (uint64_t i = ((const uint64_t *)content)[1]; i; i--, at = find_program(at).end)
    if (!strncmp(((const packed_program *)at)->name, letters, strlen(letters))) return at;
  abort();
}

static const struct { int bit; const char *name; } lanes[] = {{1, "baseline"}, {2, "avx2"}, {4, "avx512"}, {8, "neon"}};

static int64_t run_lane(const char *content, int lane, const char *lane_name, int64_t stretches, int teams) {
  uint64_t program_count = ((const uint64_t *)content)[1];
  int64_t all_different = 0;
  for (int threads = 1; threads <= MOST_THREADS; threads++) {
    char where[64];
    snprintf(where, sizeof where, "on %s with threads %d", lane_name, threads);
    psi_team *team = psi_team_open(lane, threads);
    if (!team) return 1;
    int64_t equal = 0;
    const char *at = content + 16;
    for (uint64_t i = 0; i < program_count; i++, at = find_program(at).end) equal += is_equal_after_run(at, team, threads, where);
    psi_team_close(team);
    all_different += (int64_t)program_count - equal;
    printf("%s threads %d: programs equal %lld, different %lld\n", lane_name, threads, (long long)equal, (long long)((int64_t)program_count - equal));
  }
  int64_t in_stretches = stress_stretches(named_program(content, "plan"), lane, stretches);
  printf("%s: stretches %lld, different %lld\n", lane_name, (long long)stretches, (long long)in_stretches);
  int64_t on_teams = stress_teams(named_program(content, "attention"), lane, teams);
  printf("%s: teams %d, different %lld\n", lane_name, teams, (long long)on_teams);
  int64_t failures = try_the_rest(lane);
  printf("%s: other functions failed %lld\n", lane_name, (long long)failures);
  return all_different + in_stretches + on_teams + failures;
}

// driver <packed programs> <stretches> <teams>, or driver <packed programs> <fence | alignment | scratch>
int main(int count, char **words) {
  if (count < 3) return 2;
  // A team that waits for a thread for ever is a failure, too.
  alarm(MOST_SECONDS);
  char *content = read_file(words[1]);
  if (((const uint64_t *)content)[0] != MAGIC) return 2;
  if (!strcmp(words[2], "fence")) planted = PLANT_FENCE;
  if (!strcmp(words[2], "alignment")) planted = PLANT_ALIGNMENT;
  if (!strcmp(words[2], "scratch")) planted = PLANT_SCRATCH;
  int64_t wrong = 0;
  if (planted) {
    int threads = planted == PLANT_SCRATCH ? MOST_THREADS : 1;
    psi_team *team = psi_team_open(1 & psi_lanes() ? 1 : 8, threads);
    const char *at = named_program(content, planted == PLANT_SCRATCH ? "plan" : "embedding");
    // Often, because on a busy machine one thread may take every task and race with nobody.
    for (int i = 0; i < 400; i++) wrong += !is_equal_after_run(at, team, threads, "with a planted mistake");
    psi_team_close(team);
  } else {
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++)
      if (lanes[i].bit & psi_lanes()) wrong += run_lane(content, lanes[i].bit, lanes[i].name, atoll(words[2]), count > 3 ? atoi(words[3]) : 0);
  }
  printf("verdict: %s\n", wrong ? "something differs" : "everything is equal");
  free(content);
  return wrong != 0;
}
