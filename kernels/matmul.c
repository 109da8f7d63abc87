// Matrix product with fused epilogues (docs/NUMERICS.md §4). Threads pack a block of each operand
// together, then take tiles of the output from a shared list; packing is double-buffered so that one
// barrier per block is enough.
#include "gemm.h"

#define BLOCK_ROWS ((int64_t)(2016 / TILE_ROWS * TILE_ROWS))
#define BLOCK_COLUMNS ((int64_t)2048)
#define TASK_ROWS ((int64_t)(96 / TILE_ROWS * TILE_ROWS))

typedef struct {
  const float *a, *b, *bias, *residual;
  float *out, *auxiliary;
  int64_t M, N, K, a_stride, b_stride, out_stride, auxiliary_stride, residual_stride;
  int transpose_a, transpose_b, activation, accumulate;
} product;

static int64_t product_block(int64_t extent, int64_t limit, int64_t unit) {
  int64_t parts = divide_up(extent, limit);
  return round_up(divide_up(extent, parts), unit);
}

static psi_scratch product_scratch(int64_t M, int64_t N, int64_t K) {
  if (M <= 0 || N <= 0) return (psi_scratch){0, 0};
  int64_t count = smaller(K, PSI_CHUNK);
  int64_t rows = product_block(M, BLOCK_ROWS, TILE_ROWS), columns = product_block(N, BLOCK_COLUMNS, TILE_COLUMNS);
  int64_t bytes = 2 * round_up((rows + columns) * count * (int64_t)sizeof(float) + 128, 64);
  return (psi_scratch){bytes, 0};
}

// The epilogue of whole vectors; the flags are constants where it is expanded, so each use is a plain loop.
INLINE void epilogue_vectors(const product *p, int64_t row, int64_t column, int64_t rows, int64_t columns, int bias, int activation, int residual) {
  float *out = p->out + row * p->out_stride + column;
  float *auxiliary = p->auxiliary ? p->auxiliary + row * p->auxiliary_stride + column : 0;
  const float *added = residual ? p->residual + row * p->residual_stride + column : 0;
  for (int64_t c = 0; c < columns; c += WIDTH) {
    vn b = bias ? vn_load(p->bias + column + c) : vn_set(0);
    for (int64_t r = 0; r < rows; r++) {
      vn total = vn_load(out + r * p->out_stride + c);
      if (bias) total = vn_add(total, b);
      if (activation == 1) {
        if (auxiliary) vn_store(auxiliary + r * p->auxiliary_stride + c, total);
        total = vn_gelu(total);
      }
      if (activation == 2) total = vn_mul(total, vn_gelu_derivative(vn_load(auxiliary + r * p->auxiliary_stride + c)));
      if (residual) total = vn_add(vn_load(added + r * p->residual_stride + c), total);
      vn_store(out + r * p->out_stride + c, total);
    }
  }
}

// The right edge: columns that do not fill a vector go through buffers.
static void epilogue_edge(const product *p, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  for (int64_t r = row; r < row + rows; r++) {
    float out[WIDTH] = {0}, bias[WIDTH] = {0}, auxiliary[WIDTH] = {0}, residual[WIDTH] = {0};
    product one = *p;
    for (int64_t l = 0; l < columns; l++) {
      out[l] = p->out[r * p->out_stride + column + l];
      if (p->bias) bias[l] = p->bias[column + l];
      if (p->auxiliary && p->activation == 2) auxiliary[l] = p->auxiliary[r * p->auxiliary_stride + column + l];
      if (p->residual) residual[l] = p->residual[r * p->residual_stride + column + l];
    }
    one.out = out;
    if (p->bias) one.bias = bias;
    if (p->auxiliary) one.auxiliary = auxiliary;
    if (p->residual) one.residual = residual;
    epilogue_vectors(&one, 0, 0, 1, WIDTH, !!p->bias, p->activation, !!p->residual);
    for (int64_t l = 0; l < columns; l++) {
      p->out[r * p->out_stride + column + l] = out[l];
      if (p->auxiliary && p->activation == 1) p->auxiliary[r * p->auxiliary_stride + column + l] = auxiliary[l];
    }
  }
}

static __attribute__((noinline)) void product_epilogue(const product *p, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  int64_t whole = columns / WIDTH * WIDTH;
  if (whole) {
#define EXPAND(BIAS, ACTIVATION, RESIDUAL) epilogue_vectors(p, row, column, rows, whole, BIAS, ACTIVATION, RESIDUAL)
    if (p->activation == 1 && p->bias && !p->residual) EXPAND(1, 1, 0);
    else if (p->activation == 1 && !p->bias && !p->residual) EXPAND(0, 1, 0);
    else if (p->activation == 2 && !p->bias && !p->residual) EXPAND(0, 2, 0);
    else if (p->activation == 0 && p->bias && p->residual) EXPAND(1, 0, 1);
    else if (p->activation == 0 && p->bias) EXPAND(1, 0, 0);
    else if (p->activation == 0) EXPAND(0, 0, 1);
    else EXPAND(!!p->bias, p->activation, !!p->residual);
#undef EXPAND
  }
  if (whole < columns) epilogue_edge(p, row, column + whole, rows, columns - whole);
}

static void run_product(const product *p, psi_worker *w) {
  int64_t M = p->M, N = p->N, K = p->K;
  if (M <= 0 || N <= 0) return;
  int has_epilogue = p->bias || p->activation || p->residual;
  if (K <= 0) {
    if (w->thread == 0) {
      if (!p->accumulate)
        for (int64_t r = 0; r < M; r++) memset(p->out + r * p->out_stride, 0, N * sizeof(float));
      if (has_epilogue) product_epilogue(p, 0, 0, M, N);
    }
    return;
  }
  int64_t chunk = smaller(K, PSI_CHUNK);
  int64_t block_rows = product_block(M, BLOCK_ROWS, TILE_ROWS), block_columns = product_block(N, BLOCK_COLUMNS, TILE_COLUMNS);
  int64_t buffer_floats = round_up((block_rows + block_columns) * chunk * (int64_t)sizeof(float) + 128, 64) / (int64_t)sizeof(float);
  float *buffer = (float *)w->shared;
  int turn = 0;
  for (int64_t column = 0; column < N; column += block_columns) {
    int64_t columns = smaller(block_columns, N - column);
    for (int64_t row = 0; row < M; row += block_rows) {
      int64_t rows = smaller(block_rows, M - row);
      for (int64_t k = 0; k < K; k += PSI_CHUNK, turn ^= 1) {
        int64_t count = smaller(PSI_CHUNK, K - k);
        float *packed_a = buffer + turn * buffer_floats, *packed_b = packed_a + round_up(block_rows * chunk, 16);
        int64_t a_panels = divide_up(rows, TILE_ROWS), b_panels = divide_up(columns, TILE_COLUMNS);
        const float *a = p->transpose_a ? p->a + k * p->a_stride + row : p->a + row * p->a_stride + k;
        const float *b = p->transpose_b ? p->b + column * p->b_stride + k : p->b + k * p->b_stride + column;
        pack_a(packed_a, a, p->a_stride, !p->transpose_a, rows, count, a_panels * w->thread / w->thread_count, a_panels * (w->thread + 1) / w->thread_count);
        pack_b(packed_b, b, p->b_stride, p->transpose_b, columns, count, b_panels * w->thread / w->thread_count, b_panels * (w->thread + 1) / w->thread_count);
        psi_barrier(w);
        int mode = k == 0 && !p->accumulate ? CHAIN_STORE : CHAIN_ADD;
        int last = k + count >= K;
        // Tasks: bands of rows by groups of column panels, at least eight a thread where the shape allows.
        int64_t bands = divide_up(rows, TASK_ROWS);
        int64_t groups = smaller(b_panels, larger(1, divide_up(8 * w->thread_count, bands)));
        int64_t group_panels = divide_up(b_panels, groups);
        groups = divide_up(b_panels, group_panels);
        for (int64_t task; (task = psi_next_task(w)) < bands * groups;) {
          int64_t r0 = task / groups * TASK_ROWS, r1 = smaller(rows, r0 + TASK_ROWS);
          int64_t c0 = task % groups * group_panels * TILE_COLUMNS, c1 = smaller(columns, c0 + group_panels * TILE_COLUMNS);
          for (int64_t c = c0; c < c1; c += TILE_COLUMNS)
            for (int64_t r = r0; r < r1; r += TILE_ROWS) {
              tile(count, packed_a + r * count, packed_b + c * count, p->out + (row + r) * p->out_stride + column + c, p->out_stride, mode, r1 - r, c1 - c);
              if (last && has_epilogue) product_epilogue(p, row + r, column + c, smaller(TILE_ROWS, r1 - r), smaller(TILE_COLUMNS, c1 - c));
            }
        }
      }
    }
  }
}

static void matmul(const psi_call *call, psi_worker *w) {
  const int64_t *i = call->integer;
  product p = {
      .a = call->argument[0], .b = call->argument[1], .out = call->argument[2], .bias = call->argument[3],
      .auxiliary = call->argument[4], .residual = call->argument[5], .M = i[0], .N = i[1], .K = i[2],
      .a_stride = i[3], .b_stride = i[4], .out_stride = i[5], .transpose_a = (int)i[6], .transpose_b = (int)i[7],
      .activation = (int)i[8], .accumulate = (int)i[9], .auxiliary_stride = i[10], .residual_stride = i[11],
  };
  run_product(&p, w);
}
