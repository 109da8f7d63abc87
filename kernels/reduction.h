// Row reductions (docs/NUMERICS.md §1): sixteen lanes, the fixed tree, blocks of 4,096.
#pragma once
#include "gemm.h"

// Rows up to 4,096 blocks long (16.7M elements) fit the block table on the stack.
#define MOST_ROW_BLOCKS 4096

// Reduces block results, recursively as the specification says. Overwrites `x` (it is scratch).
static float reduce_blocks(float *x, int64_t n) {
  while (n > 1) {
    int64_t blocks = divide_up(n, PSI_BLOCK);
    for (int64_t b = 0; b < blocks; b++) {
      int64_t from = b * PSI_BLOCK, count = smaller(PSI_BLOCK, n - from), i = 0;
      v16 lanes = v16_set(0);
      for (; i + 16 <= count; i += 16) lanes = v16_add(lanes, v16_load(x + from + i));
      if (i < count) lanes = v16_add(lanes, v16_load_part(x + from + i, count - i, 0));
      x[b] = v16_tree(lanes);
    }
    n = blocks;
    if (blocks == 1) break;
  }
  return n > 0 ? x[0] : 0;
}

// REDUCE(result, n, STEP, TAIL): runs STEP for each whole group of sixteen at index `i`, TAIL for the last
// `left` elements; both update the v16 `lanes`.
#define REDUCE(result, n, STEP, TAIL)                                    \
  do {                                                                   \
    float block_[MOST_ROW_BLOCKS_USED(n)];                               \
    int64_t blocks_ = 0;                                                 \
    for (int64_t from_ = 0; from_ < (n); from_ += PSI_BLOCK) {           \
      int64_t to_ = smaller((n), from_ + PSI_BLOCK), i = from_;          \
      v16 lanes = v16_set(0);                                            \
      for (; i + 16 <= to_; i += 16) { STEP; }                           \
      if (i < to_) { int64_t left = to_ - i; (void)left; TAIL; }         \
      block_[blocks_++] = v16_tree(lanes);                               \
    }                                                                    \
    result = blocks_ == 1 ? block_[0] : reduce_blocks(block_, blocks_);  \
  } while (0)
#define MOST_ROW_BLOCKS_USED(n) (divide_up((n), PSI_BLOCK) + 1)

INLINE float row_sum(const float *x, int64_t n) {
  float r;
  REDUCE(r, n, lanes = v16_add(lanes, v16_load(x + i)), lanes = v16_add(lanes, v16_load_part(x + i, left, 0)));
  return r;
}

INLINE float row_product(const float *x, const float *y, int64_t n) {
  float r;
  REDUCE(r, n, lanes = v16_fma(v16_load(x + i), v16_load(y + i), lanes), lanes = v16_fma(v16_load_part(x + i, left, 0), v16_load_part(y + i, left, 0), lanes));
  return r;
}

INLINE float row_maximum(const float *x, int64_t n) {
  v16 best = v16_set(-__builtin_inff());
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) best = v16_max(best, v16_load(x + i));
  if (i < n) best = v16_max(best, v16_load_part(x + i, n - i, -__builtin_inff()));
  return v16_largest(best);
}

// x[j] = exp(x[j] − maximum); returns the row reduction of the results.
INLINE float row_exponentials(float *x, int64_t n, float maximum) {
  v16 m = v16_set(maximum);
  float r;
  REDUCE(
      r, n,
      v16 e = v16_exp(v16_sub(v16_load(x + i), m)); v16_store(x + i, e); lanes = v16_add(lanes, e),
      v16 e = v16_exp(v16_sub(v16_load_part(x + i, left, maximum), m)); v16_store_part(x + i, left, e); lanes = v16_add(lanes, v16_keep(e, left)));
  return r;
}

// Rows [*from, *to) of this thread when `rows` are shared out in static bands.
INLINE void own_rows(const psi_worker *w, int64_t rows, int64_t *from, int64_t *to) {
  *from = rows * w->thread / w->thread_count;
  *to = rows * (w->thread + 1) / w->thread_count;
}
