// The library's doors: which lanes this processor has, the thread team, memory, and running a plan.
#define _GNU_SOURCE
#include "psionic.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define EXPORT __attribute__((visibility("default")))
#define MOST_THREADS 256
// How long a waiting thread spins before it sleeps: about 20 microseconds.
#define SPINS 600

enum { LANE_BASELINE = 1, LANE_AVX2 = 2, LANE_AVX512 = 4, LANE_NEON = 8 };

struct psi_team {
  const psi_lane *lane;
  int thread_count;
  pthread_t threads[MOST_THREADS];
  // The plan being run.
  const psi_call *calls;
  int64_t from, to;
  char *scratch;
  int64_t shared_bytes, each_bytes;
  int closing;
  // Changes when a plan starts; workers wait on it between plans.
  _Alignas(64) atomic_uint job;
  _Alignas(64) atomic_uint arrived;
  _Alignas(64) atomic_uint phase;
  _Alignas(64) atomic_llong task;
  // 1 + the first call that met an index outside its table; 0 when none did.
  atomic_llong failure;
};

typedef struct {
  psi_team *team;
  int thread;
} start_argument;

static void pause_briefly(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void wait_while(atomic_uint *word, unsigned value) {
  for (int spin = 0; spin < SPINS; spin++) {
    if (atomic_load_explicit(word, memory_order_acquire) != value) return;
    pause_briefly();
  }
  while (atomic_load_explicit(word, memory_order_acquire) == value) {
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    sched_yield();
#endif
  }
}

static void wake_all(atomic_uint *word) {
#if defined(__linux__)
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, MOST_THREADS, NULL, NULL, 0);
#else
  (void)word;
#endif
}

void psi_barrier(psi_worker *worker) {
  psi_team *team = worker->team;
  unsigned phase = atomic_load_explicit(&team->phase, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == (unsigned)team->thread_count) {
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&team->task, 0, memory_order_relaxed);
    atomic_store_explicit(&team->phase, phase + 1, memory_order_release);
    if (team->thread_count > 1) wake_all(&team->phase);
  } else {
    wait_while(&team->phase, phase);
  }
}

int64_t psi_next_task(psi_worker *worker) { return atomic_fetch_add_explicit(&worker->team->task, 1, memory_order_relaxed); }

void psi_fail(psi_worker *worker) {
  long long none = 0;
  atomic_compare_exchange_strong(&worker->team->failure, &none, worker->call + 1);
}

static void run_calls(psi_team *team, int thread) {
  psi_worker worker = {team, thread, team->thread_count, team->from, team->scratch, team->scratch + team->shared_bytes + thread * team->each_bytes};
  // Read once: behind the last barrier the owner may already set up the next stretch.
  int64_t from = team->from, to = team->to;
  for (int64_t c = from; c < to; c++) {
    worker.call = c;
    team->lane->kernels[team->calls[c].code](&team->calls[c], &worker);
    psi_barrier(&worker);
  }
}

static void *worker_main(void *argument) {
  start_argument start = *(start_argument *)argument;
  free(argument);
  unsigned job = 0;
  for (;;) {
    wait_while(&start.team->job, job);
    job = atomic_load_explicit(&start.team->job, memory_order_acquire);
    if (start.team->closing) return NULL;
    run_calls(start.team, start.thread);
  }
}

EXPORT int psi_lanes(void) {
#if defined(__x86_64__)
  int lanes = LANE_BASELINE;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) lanes |= LANE_AVX2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) lanes |= LANE_AVX512;
  return lanes;
#else
  return LANE_NEON;
#endif
}

static const psi_lane *lane_of(int lane) {
#if defined(__x86_64__)
  if (lane == LANE_BASELINE) return &psi_lane_baseline;
  if (lane == LANE_AVX2) return &psi_lane_avx2;
  if (lane == LANE_AVX512) return &psi_lane_avx512;
#else
  if (lane == LANE_NEON) return &psi_lane_neon;
#endif
  return NULL;
}

EXPORT void psi_team_close(psi_team *team) {
  if (!team) return;
  team->closing = 1;
  atomic_fetch_add_explicit(&team->job, 1, memory_order_release);
  wake_all(&team->job);
  for (int t = 1; t < team->thread_count; t++) pthread_join(team->threads[t], NULL);
  free(team);
}

// A team of `thread_count` threads (the caller is one of them), or NULL when a lane or thread cannot be had.
EXPORT psi_team *psi_team_open(int lane, int thread_count) {
  const psi_lane *chosen = lane & psi_lanes() ? lane_of(lane) : NULL;
  if (!chosen || thread_count < 1 || thread_count > MOST_THREADS) return NULL;
  psi_team *team = aligned_alloc(64, (sizeof(psi_team) + 63) / 64 * 64);
  if (!team) return NULL;
  memset(team, 0, sizeof *team);
  team->lane = chosen;
  team->thread_count = 1;
  for (int t = 1; t < thread_count; t++) {
    start_argument *start = malloc(sizeof *start);
    if (start) *start = (start_argument){team, t};
    if (!start || pthread_create(&team->threads[t], NULL, worker_main, start)) {
      free(start);
      psi_team_close(team);
      return NULL;
    }
    team->thread_count = t + 1;
  }
  return team;
}

// Shared and per-thread scratch in bytes for calls [0, count), written to sizes[0] and sizes[1].
EXPORT void psi_scratch_sizes(psi_team *team, const psi_call *calls, int64_t count, int64_t *sizes) {
  sizes[0] = sizes[1] = 64;
  for (int64_t c = 0; c < count; c++) {
    psi_scratch need = team->lane->scratch(&calls[c], team->thread_count);
    if (need.shared > sizes[0]) sizes[0] = need.shared;
    if (need.each > sizes[1]) sizes[1] = need.each;
  }
}

// Runs calls [from, to); returns when every thread is done: 0, or 1 + the first call that failed.
// A stretch without calls has no barrier to end on, so the workers are not told of it: one that came late
// would read the next stretch instead, and run it twice.
EXPORT int64_t psi_run(psi_team *team, const psi_call *calls, int64_t from, int64_t to, char *scratch, int64_t shared_bytes, int64_t each_bytes) {
  if (from >= to) return 0;
  team->calls = calls;
  team->from = from;
  team->to = to;
  team->scratch = scratch;
  team->shared_bytes = shared_bytes;
  team->each_bytes = each_bytes;
  atomic_store(&team->failure, 0);
  if (team->thread_count > 1) {
    atomic_fetch_add_explicit(&team->job, 1, memory_order_release);
    wake_all(&team->job);
  }
  run_calls(team, 0);
  return atomic_load(&team->failure);
}

// Zeroed memory on a 64-byte boundary (huge pages where the system gives them), or NULL.
EXPORT void *psi_allocate(int64_t bytes) {
  void *memory = NULL;
  size_t size = bytes > 0 ? (size_t)bytes : 64, alignment = size >= (4 << 20) ? 2 << 20 : 64;
  if (posix_memalign(&memory, alignment, size)) return NULL;
#if defined(__linux__)
  if (alignment > 64) madvise(memory, size, MADV_HUGEPAGE);
#endif
  memset(memory, 0, size);
  return memory;
}

EXPORT void psi_release(void *memory) { free(memory); }

EXPORT void psi_copy_memory(void *to, const void *from, int64_t bytes) { memcpy(to, from, (size_t)bytes); }

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

typedef struct {
  const psi_lane *lane;
  double limit, flops, elapsed;
  float *buffer;
  int64_t floats;
} measurement;

static void *measure_fma(void *argument) {
  measurement *m = argument;
  m->lane->fma_burst(100000);
  double start = seconds();
  do m->flops += m->lane->fma_burst(200000);
  while ((m->elapsed = seconds() - start) < m->limit);
  return NULL;
}

static void *measure_copy(void *argument) {
  measurement *m = argument;
  double start = seconds();
  do {
    memcpy(m->buffer, m->buffer + m->floats / 2, (size_t)m->floats / 2 * sizeof(float));
    m->flops += (double)m->floats * sizeof(float);
  } while ((m->elapsed = seconds() - start) < m->limit);
  return NULL;
}

static double measure(void *(*body)(void *), int lane, int thread_count, double limit, int64_t floats) {
  pthread_t threads[MOST_THREADS];
  measurement each[MOST_THREADS];
  double rate = 0;
  if (thread_count < 1 || thread_count > MOST_THREADS || !lane_of(lane) || !(lane & psi_lanes())) return 0;
  for (int t = 0; t < thread_count; t++) {
    each[t] = (measurement){lane_of(lane), limit, 0, 0, NULL, floats};
    if (floats) each[t].buffer = psi_allocate(floats * (int64_t)sizeof(float));
  }
  for (int t = 1; t < thread_count; t++)
    if (pthread_create(&threads[t], NULL, body, &each[t])) thread_count = t;
  body(&each[0]);
  for (int t = 1; t < thread_count; t++) pthread_join(threads[t], NULL);
  for (int t = 0; t < thread_count; t++) {
    rate += each[t].flops / each[t].elapsed;
    free(each[t].buffer);
  }
  return rate;
}

// Floating point operations per second of fused multiply-adds on registers, all threads together.
EXPORT double psi_peak_flops(int lane, int thread_count, double limit_seconds) { return measure(measure_fma, lane, thread_count, limit_seconds, 0); }

// Bytes per second read and written by copying 64 MiB buffers, all threads together.
EXPORT double psi_copy_bandwidth(int lane, int thread_count, double limit_seconds) { return measure(measure_copy, lane, thread_count, limit_seconds, 32 << 20); }

// Asks the kernel to kill this process when its parent dies. Returns 0 where that cannot be asked for.
EXPORT int psi_die_with_parent(void) {
#if defined(__linux__)
  return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
#else
  return 0;
#endif
}
