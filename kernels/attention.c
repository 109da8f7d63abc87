// Causal attention with grouped heads (docs/NUMERICS.md §7). A task is one batch entry's key/value group
// (and, forward, a range of its queries): keys and values are packed once, queries go through in small
// blocks, and scores exist for one block of rows only. Masked weights are zero, which under the flush rule
// leaves every chain as if the key were not there.
#include "embedding.c"

// Queries per block: whole tiles, and long enough to amortise continuing the key-gradient chains.
#define QUERY_ROWS ((int64_t)(48 / TILE_ROWS * TILE_ROWS))

typedef struct {
  int64_t batch, queries, keys, heads, groups, size;
  int64_t query_stride, key_stride, value_stride, out_stride;
  float scale;
} attention_shape;

static attention_shape attention_shape_of(const psi_call *call) {
  const int64_t *in = call->integer;
  return (attention_shape){in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], in[8], in[9], call->number[0]};
}

// How many ranges of queries a forward task list cuts each group into.
static int64_t attention_splits(const attention_shape *s, int thread_count) {
  int64_t pairs = larger(1, s->batch * s->groups), blocks = divide_up(larger(1, s->queries), QUERY_ROWS);
  return smaller(blocks, larger(1, divide_up(4 * thread_count, pairs)));
}

typedef struct {
  float *keys, *values, *query, *scores, *weights, *out;
  int64_t padded_keys, padded_size, total;
} attention_buffers;

static attention_buffers attention_layout(const attention_shape *s, float *base) {
  attention_buffers b;
  b.padded_keys = round_up(s->keys, TILE_COLUMNS);
  b.padded_size = round_up(s->size, TILE_COLUMNS);
  float *p = base;
  b.keys = p, p += b.padded_keys * s->size;
  b.values = p, p += s->keys * b.padded_size;
  b.query = p, p += QUERY_ROWS * s->size;
  b.scores = p, p += QUERY_ROWS * b.padded_keys;
  b.weights = p, p += QUERY_ROWS * smaller(b.padded_keys, PSI_CHUNK);
  b.out = p, p += QUERY_ROWS * b.padded_size;
  b.total = p - base + 64;
  return b;
}

// scores (rows × columns, stride padded) = a · panelsᵀ over the head, chunk by chunk. Both operands were packed
// chunk after chunk of the head dimension. Row r sees columns 0 … reach + r: tiles beyond that are left out.
static void head_products(const float *a, const float *panels, int64_t padded_outputs, int64_t size, float *out, int64_t stride, int64_t rows, int64_t columns, int64_t reach) {
  for (int64_t d = 0; d < size; d += PSI_CHUNK) {
    int64_t count = smaller(PSI_CHUNK, size - d);
    for (int64_t c = 0; c < columns; c += TILE_COLUMNS)
      for (int64_t r = larger(0, (c - reach) / TILE_ROWS * TILE_ROWS); r < rows; r += TILE_ROWS)
        tile(count, a + QUERY_ROWS * d + r * count, panels + padded_outputs * d + c * count, out + r * stride + c, stride, d ? CHAIN_ADD : CHAIN_STORE, rows - r, columns - c);
  }
}

// Packs rows (outputs) whose contiguous elements are the head dimension, as a left operand.
static void pack_rows_a(float *out, const float *source, int64_t stride, int64_t rows, int64_t size) {
  for (int64_t d = 0; d < size; d += PSI_CHUNK) {
    int64_t count = smaller(PSI_CHUNK, size - d);
    pack_a(out + QUERY_ROWS * d, source + d, stride, 1, rows, count, 0, divide_up(rows, TILE_ROWS));
  }
}

static void pack_rows_b(float *out, const float *source, int64_t stride, int64_t rows, int64_t size) {
  int64_t padded = round_up(rows, TILE_COLUMNS);
  for (int64_t d = 0; d < size; d += PSI_CHUNK) {
    int64_t count = smaller(PSI_CHUNK, size - d);
    pack_b(out + padded * d, source + d, stride, 1, rows, count, 0, padded / TILE_COLUMNS);
  }
}

// Packs rows (the k of a product) whose elements are its outputs, chunk of 512 rows after chunk.
static void pack_terms_b(float *out, const float *source, int64_t stride, int64_t rows, int64_t size) {
  int64_t padded = round_up(size, TILE_COLUMNS);
  for (int64_t k = 0; k < rows; k += PSI_CHUNK) {
    int64_t count = smaller(PSI_CHUNK, rows - k);
    pack_b(out + padded * k, source + k * stride, stride, 0, size, count, 0, padded / TILE_COLUMNS);
  }
}

// out (rows × padded size) = Σ over keys of weights (rows × visible, stride) times packed terms, chunked from key 0.
// Row r has weights for keys 0 … reach + r; a tile's chain ends where its last row's weights do.
static void weighted_sum(const float *weights, int64_t stride, float *packed_weights, const float *terms, int64_t total_terms, int64_t padded_size, float *out, int64_t rows, int64_t visible, int64_t reach) {
  for (int64_t k = 0; k < visible; k += PSI_CHUNK) {
    // Panels of the terms are `whole` long.
    int64_t whole = smaller(PSI_CHUNK, total_terms - k), count = smaller(whole, visible - k);
    for (int64_t r = 0; r < rows; r += TILE_ROWS) {
      int64_t steps = smaller(count, reach + r + TILE_ROWS - k);
      if (steps <= 0) continue;
      pack_a(packed_weights, weights + r * stride + k, stride, 1, rows - r, steps, 0, 1);
      for (int64_t c = 0; c < padded_size; c += TILE_COLUMNS)
        tile(steps, packed_weights, terms + padded_size * k + c * whole, out + r * padded_size + c, padded_size, k ? CHAIN_ADD : CHAIN_STORE, rows - r, TILE_COLUMNS);
    }
  }
}

// Scales the first `visible` scores of a row; the rest up to `padded` (a multiple of 16) become minus infinity,
// whose exponential is +0: it changes neither the maximum nor any lane of a sum.
INLINE void scale_row(float *row, int64_t visible, int64_t padded, float scale) {
  vn factor = vn_set(scale);
  int64_t j = 0;
  for (; j + WIDTH <= visible; j += WIDTH) vn_store(row + j, vn_mul(vn_load(row + j), factor));
  for (; j < visible; j++) row[j] = row[j] * scale;
  for (; j < padded && j % WIDTH; j++) row[j] = -__builtin_inff();
  for (; j < padded; j += WIDTH) vn_store(row + j, vn_set(-__builtin_inff()));
}

static void attention(const psi_call *call, psi_worker *w) {
  attention_shape s = attention_shape_of(call);
  const float *query = call->argument[0], *key = call->argument[1], *value = call->argument[2];
  const int32_t *position = call->argument[3];
  float *out = call->argument[4], *statistics = call->argument[5];
  if (position && *position + s.queries > s.keys) {
    if (w->thread == 0) psi_fail(w);
    return;
  }
  int64_t first = position ? *position : 0, per_group = s.heads / s.groups;
  int64_t splits = attention_splits(&s, w->thread_count), tasks = s.batch * s.groups * splits;
  int64_t blocks = divide_up(s.queries, QUERY_ROWS);
  attention_buffers b = attention_layout(&s, (float *)w->own);
  for (int64_t task; (task = psi_next_task(w)) < tasks;) {
    // The longest ranges of queries come first, so that the list ends evenly.
    int64_t split = splits - 1 - task / (s.batch * s.groups), pair = task % (s.batch * s.groups);
    int64_t entry = pair / s.groups, group = pair % s.groups;
    int64_t block0 = blocks * split / splits, block1 = blocks * (split + 1) / splits;
    int64_t used = smaller(s.keys, smaller(s.queries, block1 * QUERY_ROWS) + first);
    pack_rows_b(b.keys, key + entry * s.keys * s.key_stride + group * s.size, s.key_stride, used, s.size);
    pack_terms_b(b.values, value + entry * s.keys * s.value_stride + group * s.size, s.value_stride, used, s.size);
    int64_t padded_used = round_up(used, TILE_COLUMNS);
    for (int64_t h = group * per_group; h < (group + 1) * per_group; h++)
      for (int64_t block = block0; block < block1; block++) {
        int64_t i0 = block * QUERY_ROWS, rows = smaller(QUERY_ROWS, s.queries - i0);
        int64_t row0 = entry * s.queries + i0, visible = smaller(s.keys, i0 + rows + first), padded = round_up(visible, TILE_COLUMNS);
        pack_rows_a(b.query, query + row0 * s.query_stride + h * s.size, s.query_stride, rows, s.size);
        head_products(b.query, b.keys, padded_used, s.size, b.scores, b.padded_keys, rows, padded, i0 + first);
        for (int64_t r = 0; r < rows; r++) {
          float *row = b.scores + r * b.padded_keys;
          int64_t seen = smaller(s.keys, i0 + r + first + 1), whole = round_up(seen, 16);
          scale_row(row, seen, padded, s.scale);
          float maximum = row_maximum(row, whole), *statistic = statistics + ((row0 + r) * s.heads + h) * 2;
          statistic[0] = maximum;
          statistic[1] = row_exponentials(row, whole, maximum);
          memset(row + whole, 0, (padded - whole) * sizeof(float));
        }
        weighted_sum(b.scores, b.padded_keys, b.weights, b.values, used, b.padded_size, b.out, rows, visible, i0 + first);
        for (int64_t r = 0; r < rows; r++) {
          float inverse = 1.0f / statistics[((row0 + r) * s.heads + h) * 2 + 1], *po = out + (row0 + r) * s.out_stride + h * s.size;
          const float *sum = b.out + r * b.padded_size;
          int64_t d = 0;
          for (; d + WIDTH <= s.size; d += WIDTH) vn_store(po + d, vn_mul(vn_load(sum + d), vn_set(inverse)));
          for (; d < s.size; d++) po[d] = sum[d] * inverse;
        }
      }
  }
}

typedef struct {
  float *keys, *values, *key_terms, *query, *out_gradient, *query_terms, *out_terms, *scores, *products, *weights, *query_gradient;
  float *key_chain, *value_chain, *key_total, *value_total;
  int64_t padded_keys, key_rows, padded_size, total;
} backward_buffers;

static backward_buffers backward_layout(const attention_shape *s, float *base) {
  backward_buffers b;
  b.padded_keys = round_up(s->keys, TILE_COLUMNS);
  b.key_rows = round_up(s->keys, TILE_ROWS);
  b.padded_size = round_up(s->size, TILE_COLUMNS);
  float *p = base;
  b.keys = p, p += b.padded_keys * s->size;
  b.values = p, p += b.padded_keys * s->size;
  b.key_terms = p, p += s->keys * b.padded_size;
  b.query = p, p += QUERY_ROWS * s->size;
  b.out_gradient = p, p += QUERY_ROWS * s->size;
  b.query_terms = p, p += QUERY_ROWS * b.padded_size;
  b.out_terms = p, p += QUERY_ROWS * b.padded_size;
  b.scores = p, p += QUERY_ROWS * b.padded_keys;
  b.products = p, p += QUERY_ROWS * b.padded_keys;
  b.weights = p, p += QUERY_ROWS * (b.key_rows + PSI_CHUNK);
  b.query_gradient = p, p += QUERY_ROWS * b.padded_size;
  b.key_chain = p, p += b.key_rows * b.padded_size;
  b.value_chain = p, p += b.key_rows * b.padded_size;
  b.key_total = p, p += b.key_rows * b.padded_size;
  b.value_total = p, p += b.key_rows * b.padded_size;
  b.total = p - base + 64;
  return b;
}

// chain (keys × padded size) goes on with this block's rows: chain += weightsᵀ · terms, query by query. Keys from
// `first` on are seen by the block's later queries only; the others' weights are zero and left out.
static void continue_key_chain(const float *weights, int64_t stride, float *packed, const float *terms, int64_t padded_size, float *chain, int64_t rows, int64_t visible, int64_t first) {
  for (int64_t r = 0; r < visible; r += TILE_ROWS) {
    int64_t skipped = larger(0, r - first), steps = rows - skipped;
    pack_a(packed, weights + skipped * stride + r, stride, 0, visible - r, steps, 0, 1);
    for (int64_t c = 0; c < padded_size; c += TILE_COLUMNS)
      tile_full(steps, packed, terms + c * rows + skipped * TILE_COLUMNS, chain + r * padded_size + c, padded_size, CHAIN_CONTINUE);
  }
}

// Adds the finished chains of a chunk of queries onto the totals.
static void close_chain(float *total, const float *chain, int64_t count, int opens) {
  if (opens) memcpy(total, chain, count * sizeof(float));
  else
    for (int64_t i = 0; i < count; i += WIDTH) vn_store(total + i, vn_add(vn_load(total + i), vn_load(chain + i)));
}

static void attention_backward(const psi_call *call, psi_worker *w) {
  attention_shape s = attention_shape_of(call);
  const float *query = call->argument[0], *key = call->argument[1], *value = call->argument[2], *out = call->argument[3], *out_gradient = call->argument[4], *statistics = call->argument[5];
  float *query_gradient = call->argument[6], *key_gradient = call->argument[7], *value_gradient = call->argument[8];
  int64_t out_gradient_stride = call->integer[10], query_gradient_stride = call->integer[11], key_gradient_stride = call->integer[12], value_gradient_stride = call->integer[13];
  int64_t per_group = s.heads / s.groups, T = s.queries;
  backward_buffers b = backward_layout(&s, (float *)w->own);
  int64_t chain_length = b.key_rows * b.padded_size;
  for (int64_t task; (task = psi_next_task(w)) < s.batch * s.groups;) {
    int64_t entry = task / s.groups, group = task % s.groups, first_row = entry * T;
    const float *keys = key + first_row * s.key_stride + group * s.size, *values = value + first_row * s.value_stride + group * s.size;
    pack_rows_b(b.keys, keys, s.key_stride, T, s.size);
    pack_rows_b(b.values, values, s.value_stride, T, s.size);
    pack_terms_b(b.key_terms, keys, s.key_stride, T, s.size);
    int chains_closed = 0;
    for (int64_t h = group * per_group; h < (group + 1) * per_group; h++) {
      for (int64_t chunk = 0; chunk < T; chunk += PSI_CHUNK) {
        int64_t chunk_end = smaller(T, chunk + PSI_CHUNK);
        memset(b.key_chain, 0, chain_length * sizeof(float));
        memset(b.value_chain, 0, chain_length * sizeof(float));
        for (int64_t i0 = chunk; i0 < chunk_end; i0 += QUERY_ROWS) {
          int64_t rows = smaller(QUERY_ROWS, chunk_end - i0), row0 = first_row + i0, visible = i0 + rows, padded = round_up(visible, TILE_COLUMNS);
          const float *q = query + row0 * s.query_stride + h * s.size, *g = out_gradient + row0 * out_gradient_stride + h * s.size;
          pack_rows_a(b.query, q, s.query_stride, rows, s.size);
          pack_rows_a(b.out_gradient, g, out_gradient_stride, rows, s.size);
          head_products(b.query, b.keys, b.padded_keys, s.size, b.scores, b.padded_keys, rows, padded, i0);
          head_products(b.out_gradient, b.values, b.padded_keys, s.size, b.products, b.padded_keys, rows, padded, i0);
          for (int64_t r = 0; r < rows; r++) {
            float *p = b.scores + r * b.padded_keys, *ds = b.products + r * b.padded_keys;
            const float *statistic = statistics + ((row0 + r) * s.heads + h) * 2;
            int64_t seen = i0 + r + 1, whole = round_up(seen, 16);
            float inverse = 1.0f / statistic[1], delta = row_product(g + r * out_gradient_stride, out + (row0 + r) * s.out_stride + h * s.size, s.size);
            scale_row(p, seen, padded, s.scale);
            vn vm_ = vn_set(statistic[0]), vi = vn_set(inverse), vd = vn_set(delta), vs = vn_set(s.scale);
            for (int64_t j = 0; j < whole; j += WIDTH) {
              vn probability = vn_mul(vn_exp(vn_sub(vn_load(p + j), vm_)), vi);
              vn_store(p + j, probability);
              vn_store(ds + j, vn_mul(vn_mul(probability, vn_sub(vn_load(ds + j), vd)), vs));
            }
            memset(p + whole, 0, (padded - whole) * sizeof(float));
            memset(ds + whole, 0, (padded - whole) * sizeof(float));
          }
          pack_b(b.query_terms, q, s.query_stride, 0, s.size, rows, 0, b.padded_size / TILE_COLUMNS);
          pack_b(b.out_terms, g, out_gradient_stride, 0, s.size, rows, 0, b.padded_size / TILE_COLUMNS);
          continue_key_chain(b.products, b.padded_keys, b.weights, b.query_terms, b.padded_size, b.key_chain, rows, visible, i0);
          continue_key_chain(b.scores, b.padded_keys, b.weights, b.out_terms, b.padded_size, b.value_chain, rows, visible, i0);
          weighted_sum(b.products, b.padded_keys, b.weights, b.key_terms, T, b.padded_size, b.query_gradient, rows, visible, i0);
          for (int64_t r = 0; r < rows; r++) memcpy(query_gradient + (row0 + r) * query_gradient_stride + h * s.size, b.query_gradient + r * b.padded_size, s.size * sizeof(float));
        }
        close_chain(b.key_total, b.key_chain, chain_length, !chains_closed);
        close_chain(b.value_total, b.value_chain, chain_length, !chains_closed);
        chains_closed = 1;
      }
    }
    for (int64_t j = 0; j < T; j++) {
      memcpy(key_gradient + (first_row + j) * key_gradient_stride + group * s.size, b.key_total + j * b.padded_size, s.size * sizeof(float));
      memcpy(value_gradient + (first_row + j) * value_gradient_stride + group * s.size, b.value_total + j * b.padded_size, s.size * sizeof(float));
    }
  }
}

static psi_scratch attention_scratch(const psi_call *call, int backward) {
  attention_shape s = attention_shape_of(call);
  int64_t floats = backward ? backward_layout(&s, 0).total : attention_layout(&s, 0).total;
  return (psi_scratch){0, round_up(floats * (int64_t)sizeof(float), 64)};
}
