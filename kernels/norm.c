// LayerNorm and RMSNorm, forward, backward and parameter gradients (docs/NUMERICS.md §5).
#include "reduction.h"

static void layernorm(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0], *gain = call->argument[1], *shift = call->argument[2];
  float *y = call->argument[3], *means = call->argument[4], *rstds = call->argument[5];
  int64_t rows = call->integer[0], n = call->integer[1], from, to;
  own_rows(w, rows, &from, &to);
  for (int64_t r = from; r < to; r++) {
    const float *px = x + r * n;
    float *py = y + r * n;
    float mean = row_sum(px, n) / (float)n, squares;
    v16 vmean = v16_set(mean);
    REDUCE(
        squares, n, v16 d = v16_sub(v16_load(px + i), vmean); lanes = v16_fma(d, d, lanes),
        v16 d = v16_keep(v16_sub(v16_load_part(px + i, left, 0), vmean), left); lanes = v16_fma(d, d, lanes));
    float rstd = 1.0f / __builtin_sqrtf(squares / (float)n + call->number[0]);
    v16 vrstd = v16_set(rstd);
    means[r] = mean;
    rstds[r] = rstd;
    for (int64_t i = 0; i < n; i += 16) {
      int64_t left = n - i;
      int whole = left >= 16;
      v16 h = v16_mul(v16_sub(whole ? v16_load(px + i) : v16_load_part(px + i, left, 0), vmean), vrstd);
      v16 g = whole ? v16_load(gain + i) : v16_load_part(gain + i, left, 0);
      v16 out = shift ? v16_fma(h, g, whole ? v16_load(shift + i) : v16_load_part(shift + i, left, 0)) : v16_mul(h, g);
      if (whole) v16_store(py + i, out);
      else v16_store_part(py + i, left, out);
    }
  }
}

// Shared by both norms: with h the normalised row and g = dy·gain, dx = fma(−h, b, g − a)·rstd (a only with means).
INLINE void norm_row_backward(const float *dy, const float *x, const float *gain, const float *mean, float rstd, const float *residual, float *dx, int64_t n) {
  v16 vmean = v16_set(mean ? *mean : 0), vrstd = v16_set(rstd);
  float sum_g = 0, sum_gh;
#define HAT(value) v16_mul(mean ? v16_sub(value, vmean) : value, vrstd)
  if (mean)
    REDUCE(
        sum_g, n, lanes = v16_add(lanes, v16_mul(v16_load(dy + i), v16_load(gain + i))),
        lanes = v16_add(lanes, v16_keep(v16_mul(v16_load_part(dy + i, left, 0), v16_load_part(gain + i, left, 0)), left)));
  REDUCE(
      sum_gh, n, lanes = v16_fma(v16_mul(v16_load(dy + i), v16_load(gain + i)), HAT(v16_load(x + i)), lanes),
      lanes = v16_fma(v16_mul(v16_load_part(dy + i, left, 0), v16_load_part(gain + i, left, 0)), v16_keep(HAT(v16_load_part(x + i, left, 0)), left), lanes));
  v16 a = v16_set(sum_g / (float)n), b = v16_set(sum_gh / (float)n);
  for (int64_t i = 0; i < n; i += 16) {
    int64_t left = n - i;
    int whole = left >= 16;
    v16 h = HAT(whole ? v16_load(x + i) : v16_load_part(x + i, left, 0));
    v16 g = v16_mul(whole ? v16_load(dy + i) : v16_load_part(dy + i, left, 0), whole ? v16_load(gain + i) : v16_load_part(gain + i, left, 0));
    if (mean) g = v16_sub(g, a);
    v16 out = v16_mul(v16_fma(v16_neg(h), b, g), vrstd);
    if (residual) out = v16_add(whole ? v16_load(residual + i) : v16_load_part(residual + i, left, 0), out);
    if (whole) v16_store(dx + i, out);
    else v16_store_part(dx + i, left, out);
  }
#undef HAT
}

static void layernorm_backward(const psi_call *call, psi_worker *w) {
  const float *dy = call->argument[0], *x = call->argument[1], *gain = call->argument[2], *mean = call->argument[3], *rstd = call->argument[4], *residual = call->argument[5];
  float *dx = call->argument[6];
  int64_t n = call->integer[1], from, to;
  own_rows(w, call->integer[0], &from, &to);
  for (int64_t r = from; r < to; r++) norm_row_backward(dy + r * n, x + r * n, gain, mean + r, rstd[r], residual ? residual + r * n : 0, dx + r * n, n);
}

INLINE int64_t grouped(int64_t row, int64_t groups, int64_t stride, int64_t columns) { return row / groups * stride + row % groups * columns; }

static void rmsnorm(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0], *gain = call->argument[1];
  float *y = call->argument[2], *rstds = call->argument[3];
  const int64_t *in = call->integer;
  int64_t n = in[1], from, to;
  own_rows(w, in[0], &from, &to);
  for (int64_t r = from; r < to; r++) {
    const float *px = x + grouped(r, in[2], in[3], n);
    float *py = y + grouped(r, in[2], in[4], n);
    float rstd = 1.0f / __builtin_sqrtf(row_product(px, px, n) / (float)n + call->number[0]);
    rstds[r] = rstd;
    v16 vrstd = v16_set(rstd);
    for (int64_t i = 0; i < n; i += 16) {
      int64_t left = n - i;
      if (left >= 16) v16_store(py + i, v16_mul(v16_mul(v16_load(px + i), vrstd), v16_load(gain + i)));
      else v16_store_part(py + i, left, v16_mul(v16_mul(v16_load_part(px + i, left, 0), vrstd), v16_load_part(gain + i, left, 0)));
    }
  }
}

static void rmsnorm_backward(const psi_call *call, psi_worker *w) {
  const float *dy = call->argument[0], *x = call->argument[1], *gain = call->argument[2], *rstd = call->argument[3], *residual = call->argument[4];
  float *dx = call->argument[5];
  const int64_t *in = call->integer;
  int64_t n = in[1], groups = in[2], from, to;
  own_rows(w, in[0], &from, &to);
  for (int64_t r = from; r < to; r++)
    norm_row_backward(dy + grouped(r, groups, in[3], n), x + grouped(r, groups, in[4], n), gain, 0, rstd[r], residual ? residual + grouped(r, groups, in[5], n) : 0, dx + grouped(r, groups, in[6], n), n);
}

// Column chains over rows, sixteen columns at a time: gain = Σ dy·h, shift = Σ dy.
INLINE void norm_parameters(psi_worker *w, const float *dy, const float *x, const float *mean, const float *rstd, float *gain, float *shift, int64_t rows, int64_t n, int64_t groups, int64_t dy_stride, int64_t x_stride, int accumulate) {
  int64_t bands = divide_up(n, 16);
  for (int64_t band = w->thread; band < bands; band += w->thread_count) {
    int64_t c = band * 16, left = n - c;
    int whole = left >= 16;
    v16 gain_total = v16_set(0), shift_total = v16_set(0);
    if (accumulate) {
      gain_total = whole ? v16_load(gain + c) : v16_load_part(gain + c, left, 0);
      if (shift) shift_total = whole ? v16_load(shift + c) : v16_load_part(shift + c, left, 0);
    }
    for (int64_t first = 0; first < rows; first += PSI_CHUNK) {
      v16 g = v16_set(0), s = v16_set(0);
      for (int64_t r = first; r < smaller(rows, first + PSI_CHUNK); r++) {
        const float *pd = dy + grouped(r, groups, dy_stride, n) + c, *px = x + grouped(r, groups, x_stride, n) + c;
        v16 d = whole ? v16_load(pd) : v16_load_part(pd, left, 0), v = whole ? v16_load(px) : v16_load_part(px, left, 0);
        if (mean) v = v16_sub(v, v16_set(mean[r]));
        g = v16_fma(d, v16_mul(v, v16_set(rstd[r])), g);
        if (shift) s = v16_add(s, d);
      }
      gain_total = first == 0 && !accumulate ? g : v16_add(gain_total, g);
      shift_total = first == 0 && !accumulate ? s : v16_add(shift_total, s);
    }
    if (whole) {
      v16_store(gain + c, gain_total);
      if (shift) v16_store(shift + c, shift_total);
    } else {
      v16_store_part(gain + c, left, gain_total);
      if (shift) v16_store_part(shift + c, left, shift_total);
    }
  }
}

static void layernorm_backward_parameters(const psi_call *call, psi_worker *w) {
  const int64_t *in = call->integer;
  norm_parameters(w, call->argument[0], call->argument[1], call->argument[2], call->argument[3], call->argument[4], call->argument[5], in[0], in[1], 1, in[1], in[1], (int)in[2]);
}

static void rmsnorm_backward_parameters(const psi_call *call, psi_worker *w) {
  const int64_t *in = call->integer;
  norm_parameters(w, call->argument[0], call->argument[1], 0, call->argument[2], call->argument[3], 0, in[0], in[1], in[2], in[3], in[4], (int)in[5]);
}
