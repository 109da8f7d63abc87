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

static void product_epilogue(const product *p, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  for (int64_t r = row; r < row + rows; r++) {
    float *out = p->out + r * p->out_stride, *auxiliary = p->auxiliary ? p->auxiliary + r * p->auxiliary_stride : 0;
    const float *residual = p->residual ? p->residual + r * p->residual_stride : 0;
    for (int64_t c = column; c < column + columns; c += WIDTH) {
      int64_t valid = smaller(column + columns - c, WIDTH);
      float part[4][WIDTH];
      int whole = valid == WIDTH;
      float *po = out + c, *px = auxiliary ? auxiliary + c : 0;
      const float *pb = p->bias ? p->bias + c : 0, *pr = residual ? residual + c : 0;
      if (!whole) {  // through buffers at the right edge
        for (int l = 0; l < WIDTH; l++) {
          part[0][l] = l < valid ? po[l] : 0;
          if (pb) part[1][l] = l < valid ? pb[l] : 0;
          if (pr) part[2][l] = l < valid ? pr[l] : 0;
          if (px && p->activation == 2) part[3][l] = l < valid ? px[l] : 0;
        }
        po = part[0];
        if (pb) pb = part[1];
        if (pr) pr = part[2];
        if (px) px = part[3];
      }
      vn total = vn_load(po);
      if (pb) total = vn_add(total, vn_load(pb));
      if (p->activation == 1) {
        if (px) vn_store(px, total);
        total = vn_gelu(total);
      } else if (p->activation == 2) {
        total = vn_mul(total, vn_gelu_derivative(vn_load(px)));
      }
      if (pr) total = vn_add(vn_load(pr), total);
      vn_store(po, total);
      if (!whole)
        for (int l = 0; l < valid; l++) {
          out[c + l] = part[0][l];
          if (auxiliary && p->activation == 1) auxiliary[c + l] = part[3][l];
        }
    }
  }
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
