// What the library and its lanes share: the call as TypeScript packs it, and the thread team.
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PSI_ARGUMENTS 12
#define PSI_INTEGERS 20
#define PSI_FLOATS 4
#define PSI_CHUNK 512
#define PSI_BLOCK 4096

// One step of a plan. Layout: i32 code, i32 unused, 12 pointers, 20 i64, 4 f32 (280 bytes, little-endian).
typedef struct {
  int32_t code;
  int32_t unused;
  void *argument[PSI_ARGUMENTS];
  int64_t integer[PSI_INTEGERS];
  float number[PSI_FLOATS];
} psi_call;

typedef struct psi_team psi_team;

// A thread's view of the team while it runs a plan.
typedef struct {
  psi_team *team;
  int thread;
  int thread_count;
  int64_t call;  // index of the call being run
  char *shared;  // scratch all threads see
  char *own;     // scratch of this thread
} psi_worker;

// Waits for every thread of the team; resets the task counter.
void psi_barrier(psi_worker *worker);
// Marks the call as failed (an index in its data points outside a table); the run goes on and reports it.
void psi_fail(psi_worker *worker);
// Next index of a shared task list; starts at 0 after each barrier.
int64_t psi_next_task(psi_worker *worker);

typedef void (*psi_kernel)(const psi_call *call, psi_worker *worker);

// Bytes of shared and of per-thread scratch a call needs.
typedef struct {
  int64_t shared;
  int64_t each;
} psi_scratch;

// One instruction set's implementation of every operation.
typedef struct {
  const char *name;
  int vector_width;
  psi_kernel kernels[64];
  psi_scratch (*scratch)(const psi_call *call, int thread_count);
  // Runs `rounds` of independent fused multiply-adds; returns the floating point operations done.
  double (*fma_burst)(int64_t rounds);
} psi_lane;

extern const psi_lane psi_lane_baseline, psi_lane_avx2, psi_lane_avx512, psi_lane_neon;

// Operation codes: the position in the declaration order of src/kernel/contract.ts.
enum {
  PSI_EMBEDDING,
  PSI_EMBEDDING_BACKWARD,
  PSI_POSITION_BACKWARD,
  PSI_MATMUL,
  PSI_COLUMN_SUM,
  PSI_LAYERNORM,
  PSI_LAYERNORM_BACKWARD,
  PSI_LAYERNORM_BACKWARD_PARAMETERS,
  PSI_RMSNORM,
  PSI_RMSNORM_BACKWARD,
  PSI_RMSNORM_BACKWARD_PARAMETERS,
  PSI_ROPE,
  PSI_ATTENTION,
  PSI_ATTENTION_BACKWARD,
  PSI_GELU,
  PSI_GELU_BACKWARD,
  PSI_SWIGLU,
  PSI_SWIGLU_BACKWARD,
  PSI_DROPOUT,
  PSI_ADD,
  PSI_COPY,
  PSI_FILL,
  PSI_HEAD_LOSS,
  PSI_HEAD_LOSS_GRADIENT,
  PSI_SUM,
  PSI_SUM_SQUARES,
  PSI_CLIP_SCALE,
  PSI_SGD,
  PSI_ADAM,
  PSI_LAMB_DIRECTION,
  PSI_APPLY_DIRECTION,
  PSI_TRUST_RATIO,
  PSI_INIT_NORMAL,
  PSI_COUNT_NONFINITE,
  PSI_ARGMAX,
  PSI_OPERATIONS
};
