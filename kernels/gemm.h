// The inner part of every product: packing into panels (which applies the flush rule) and the register
// tile. A panel of `a` holds TILE_ROWS output rows for each k, a panel of `b` TILE_COLUMNS output columns.
#pragma once
#include "elementary.h"
#include "psionic.h"

#if defined(PSI_LANE_AVX512)
#define TILE_ROWS 14
#define TILE_VECTORS 2
#elif defined(PSI_LANE_AVX2)
#define TILE_ROWS 6
#define TILE_VECTORS 2
#elif defined(PSI_LANE_NEON)
#define TILE_ROWS 6
#define TILE_VECTORS 4
#else
#define TILE_ROWS 2
#define TILE_VECTORS 4
#endif
#define TILE_COLUMNS (TILE_VECTORS * WIDTH)

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

// How a tile's chain begins and ends.
enum { CHAIN_STORE, CHAIN_CONTINUE, CHAIN_ADD };

// out[TILE_ROWS × TILE_COLUMNS] (stride): the chain over `count` steps of two panels. STORE: from +0, overwrites.
// CONTINUE: goes on from out. ADD: from +0, then out = out + chain.
static __attribute__((noinline)) void tile_full(int64_t count, const float *restrict a, const float *restrict b, float *restrict out, int64_t stride, int mode) {
  vn c[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 16
  for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < TILE_VECTORS; v++) c[r][v] = vn_set(0);
  if (mode == CHAIN_CONTINUE)
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 4
      for (int v = 0; v < TILE_VECTORS; v++) c[r][v] = vn_load(out + r * stride + v * WIDTH);
  for (int64_t k = 0; k < count; k++) {
    vn bv[TILE_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < TILE_VECTORS; v++) bv[v] = vn_load(b + v * WIDTH);
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++) {
      vn av = vn_set(a[r]);
#pragma GCC unroll 4
      for (int v = 0; v < TILE_VECTORS; v++) c[r][v] = vn_fma(av, bv[v], c[r][v]);
    }
    a += TILE_ROWS;
    b += TILE_COLUMNS;
  }
  if (mode == CHAIN_ADD)
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 4
      for (int v = 0; v < TILE_VECTORS; v++) c[r][v] = vn_add(vn_load(out + r * stride + v * WIDTH), c[r][v]);
#pragma GCC unroll 16
  for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < TILE_VECTORS; v++) vn_store(out + r * stride + v * WIDTH, c[r][v]);
}

// The same for a tile of which only rows × columns exist in memory.
static __attribute__((noinline)) void tile_part(int64_t count, const float *a, const float *b, float *out, int64_t stride, int mode, int64_t rows, int64_t columns) {
  float whole[TILE_ROWS * TILE_COLUMNS] __attribute__((aligned(64)));
  if (mode != CHAIN_STORE) {
    memset(whole, 0, sizeof whole);
    for (int64_t r = 0; r < rows; r++) memcpy(whole + r * TILE_COLUMNS, out + r * stride, columns * sizeof(float));
  }
  tile_full(count, a, b, whole, TILE_COLUMNS, mode);
  for (int64_t r = 0; r < rows; r++) memcpy(out + r * stride, whole + r * TILE_COLUMNS, columns * sizeof(float));
}

INLINE void tile(int64_t count, const float *a, const float *b, float *out, int64_t stride, int mode, int64_t rows, int64_t columns) {
  if (rows >= TILE_ROWS && columns >= TILE_COLUMNS) tile_full(count, a, b, out, stride, mode);
  else tile_part(count, a, b, out, stride, mode, smaller(rows, TILE_ROWS), smaller(columns, TILE_COLUMNS));
}

INLINE float scalar_flush(float x) { return __builtin_fabsf(x) < 0x1p-39f ? 0.0f : x; }

#if defined(PSI_LANE_AVX2) || defined(PSI_LANE_AVX512)
INLINE __m256 flush8(__m256 a) {
  __m256 small = _mm256_cmp_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a), _mm256_set1_ps(0x1p-39f), _CMP_LT_OQ);
  return _mm256_andnot_ps(small, a);
}
INLINE void store_first(float *p, __m256 a, int count) {
  if (count == 8) _mm256_storeu_ps(p, a);
  else {  // 6: four and two
    _mm_storeu_ps(p, _mm256_castps256_ps128(a));
    _mm_storel_pi((__m64 *)(p + 4), _mm256_extractf128_ps(a, 1));
  }
}
// Transposes 8 source rows × 8 k into 8 panel rows of which the first `count` (8 or 6) entries are stored.
INLINE void transpose8(float *restrict out, int64_t panel, const float *const *row, int64_t k, int count) {
  __m256 r[8], s[8], t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    // Rows come from memory in many short streams, which the processor does not foresee well by itself.
    if (k % 16 == 0) _mm_prefetch((const char *)(row[i] + k + 64), _MM_HINT_T0);
    r[i] = flush8(_mm256_loadu_ps(row[i] + k));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    t[4 * i + 0] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0x44);
    t[4 * i + 1] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0xee);
    t[4 * i + 2] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0x44);
    t[4 * i + 3] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    store_first(out + i * panel, _mm256_permute2f128_ps(t[i], t[i + 4], 0x20), count);
    store_first(out + (i + 4) * panel, _mm256_permute2f128_ps(t[i], t[i + 4], 0x31), count);
  }
}
#define HAS_TRANSPOSE 1
#endif

// One panel of `panel` outputs from a source whose rows are the outputs (k contiguous). `rows` of them exist.
INLINE void pack_panel_transposing(float *restrict out, const float *restrict source, int64_t stride, int64_t rows, int64_t count, int panel) {
  int64_t k = 0;
#if HAS_TRANSPOSE
  if (rows >= panel) {
    for (; k + 8 <= count; k += 8) {
      const float *row[8];
      int done = 0;
#pragma GCC unroll 4
      for (; done + 8 <= panel; done += 8) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) row[i] = source + (done + i) * stride;
        transpose8(out + k * panel + done, panel, row, k, 8);
      }
      if (done < panel) {  // six left, in both lanes that get here
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) row[i] = source + smaller(done + i, panel - 1) * stride;
        transpose8(out + k * panel + done, panel, row, k, 6);
      }
    }
  }
#endif
  for (; k < count; k++) {
    for (int i = 0; i < panel; i++) out[k * panel + i] = i < rows ? scalar_flush(source[i * stride + k]) : 0.0f;
  }
}

// One panel from a source whose rows are k (outputs contiguous).
INLINE void pack_panel_straight(float *restrict out, const float *restrict source, int64_t stride, int64_t columns, int64_t count, int panel) {
  if (columns >= panel) {
    for (int64_t k = 0; k < count; k++) {
      int i = 0;
#pragma GCC unroll 4
      for (; i + WIDTH <= panel; i += WIDTH) vn_store(out + k * panel + i, vn_flush(vn_load(source + k * stride + i)));
#if HAS_TRANSPOSE
      if (panel - i >= 8) {
        _mm256_storeu_ps(out + k * panel + i, flush8(_mm256_loadu_ps(source + k * stride + i)));
        i += 8;
      }
      if (panel - i == 6) {
        __m128 low = _mm_loadu_ps(source + k * stride + i), high = _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)(source + k * stride + i + 4));
        store_first(out + k * panel + i, flush8(_mm256_set_m128(high, low)), 6);
        i += 6;
      }
#endif
      for (; i < panel; i++) out[k * panel + i] = scalar_flush(source[k * stride + i]);
    }
  } else {
    for (int64_t k = 0; k < count; k++)
      for (int i = 0; i < panel; i++) out[k * panel + i] = i < columns ? scalar_flush(source[k * stride + i]) : 0.0f;
  }
}

// Panels [from, to) of a block: `outputs` rows of the product by `count` steps of k. Panel p lies at p·panel·count.
// transposing: source[output·stride + k]; otherwise source[k·stride + output].
#define DEFINE_PACK(name, PANEL)                                                                                                                      \
  static __attribute__((noinline)) void name(float *out, const float *source, int64_t stride, int transposing, int64_t outputs, int64_t count, int64_t from, int64_t to) { \
    for (int64_t p = from; p < to; p++) {                                                                                                             \
      int64_t first = p * PANEL;                                                                                                                      \
      if (transposing) pack_panel_transposing(out + first * count, source + first * stride, stride, outputs - first, count, PANEL);                   \
      else pack_panel_straight(out + first * count, source + first, stride, outputs - first, count, PANEL);                                           \
    }                                                                                                                                                 \
  }
DEFINE_PACK(pack_a, TILE_ROWS)
DEFINE_PACK(pack_b, TILE_COLUMNS)

// A block product from packed panels: out (rows × columns) with one chain of `count` steps.
INLINE void block_product(int64_t count, const float *a, const float *b, float *out, int64_t stride, int mode, int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; c += TILE_COLUMNS)
    for (int64_t r = 0; r < rows; r += TILE_ROWS)
      tile(count, a + r * count, b + c * count, out + r * stride + c, stride, mode, rows - r, columns - c);
}
