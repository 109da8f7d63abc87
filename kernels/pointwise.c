// Element by element: activations, dropout, addition, copies, initial values (docs/NUMERICS.md §2, §3, §6).
#include "random.h"

// This thread's stretch of a flat array, cut at multiples of 16 elements.
INLINE void own_stretch(const psi_worker *w, int64_t count, int64_t *from, int64_t *to) {
  int64_t groups = divide_up(count, 16), first, last;
  own_rows(w, groups, &first, &last);
  *from = smaller(count, first * 16);
  *to = smaller(count, last * 16);
}

// POINTWISE(count, whole, part): statements for sixteen at `i`, and for the last `left`.
#define POINTWISE(count, WHOLE, PART)                                    \
  do {                                                                   \
    int64_t i, to_;                                                      \
    own_stretch(w, count, &i, &to_);                                     \
    for (; i + 16 <= to_; i += 16) { WHOLE; }                            \
    if (i < to_) { int64_t left = to_ - i; PART; }                       \
  } while (0)

static void gelu(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0];
  float *y = call->argument[1];
  POINTWISE(call->integer[0], v16_store(y + i, v16_gelu(v16_load(x + i))), v16_store_part(y + i, left, v16_gelu(v16_load_part(x + i, left, 0))));
}

static void gelu_backward(const psi_call *call, psi_worker *w) {
  const float *dy = call->argument[0], *x = call->argument[1];
  float *dx = call->argument[2];
  POINTWISE(call->integer[0], v16_store(dx + i, v16_mul(v16_load(dy + i), v16_gelu_derivative(v16_load(x + i)))),
            v16_store_part(dx + i, left, v16_mul(v16_load_part(dy + i, left, 0), v16_gelu_derivative(v16_load_part(x + i, left, 0)))));
}

static void swiglu(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0];
  float *y = call->argument[1];
  int64_t n = call->integer[1], from, to;
  own_rows(w, call->integer[0], &from, &to);
  for (int64_t r = from; r < to; r++) {
    const float *gate = x + r * 2 * n, *up = gate + n;
    for (int64_t i = 0; i < n; i += 16) {
      int64_t left = n - i;
      v16 g = left >= 16 ? v16_load(gate + i) : v16_load_part(gate + i, left, 0), u = left >= 16 ? v16_load(up + i) : v16_load_part(up + i, left, 0);
      v16 out = v16_mul(v16_mul(g, v16_sigmoid(g)), u);
      if (left >= 16) v16_store(y + r * n + i, out);
      else v16_store_part(y + r * n + i, left, out);
    }
  }
}

static void swiglu_backward(const psi_call *call, psi_worker *w) {
  const float *dy = call->argument[0], *x = call->argument[1];
  float *dx = call->argument[2];
  int64_t n = call->integer[1], from, to;
  own_rows(w, call->integer[0], &from, &to);
  for (int64_t r = from; r < to; r++) {
    const float *gate = x + r * 2 * n, *up = gate + n;
    float *dgate = dx + r * 2 * n, *dup = dgate + n;
    for (int64_t i = 0; i < n; i += 16) {
      int64_t left = n - i;
      int whole = left >= 16;
      v16 g = whole ? v16_load(gate + i) : v16_load_part(gate + i, left, 0), u = whole ? v16_load(up + i) : v16_load_part(up + i, left, 0);
      v16 d = whole ? v16_load(dy + r * n + i) : v16_load_part(dy + r * n + i, left, 0);
      v16 s = v16_sigmoid(g), gs = v16_mul(g, s);
      v16 out_up = v16_mul(d, gs), out_gate = v16_mul(v16_mul(d, u), v16_fma(gs, v16_sub(v16_set(1), s), s));
      if (whole) {
        v16_store(dgate + i, out_gate);
        v16_store(dup + i, out_up);
      } else {
        v16_store_part(dgate + i, left, out_gate);
        v16_store_part(dup + i, left, out_up);
      }
    }
  }
}

static void dropout(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0], *residual = call->argument[2];
  const int32_t *state = call->argument[1];
  float *y = call->argument[3], scale = call->number[0];
  int64_t count = call->integer[0], from, to;
  uint32_t threshold = (uint32_t)call->integer[2];
  own_rows(w, divide_up(count, 64), &from, &to);
  for (int64_t g = from; g < to; g++) {
    uint32_t word[4][16];
    random_group(word, state, (uint32_t)state[2], (uint32_t)state[3], (uint32_t)call->integer[1], (uint32_t)g);
    for (int r = 0; r < 4; r++) {
      int64_t first = g * 64 + r * 16, left = smaller(16, count - first);
      float kept[16];
      if (left <= 0) break;
      memcpy(kept, x + first, left * sizeof(float));
      for (int64_t l = left; l < 16; l++) kept[l] = 0;
      for (int l = 0; l < 16; l++) kept[l] = word[r][l] >= threshold ? kept[l] * scale : 0.0f;
      if (residual)
        for (int64_t l = 0; l < left; l++) kept[l] = residual[first + l] + kept[l];
      memcpy(y + first, kept, left * sizeof(float));
    }
  }
}

static void add(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0], *y = call->argument[1];
  float *out = call->argument[2];
  const int64_t *in = call->integer;
  int64_t n = in[1], from, to;
  own_rows(w, in[0], &from, &to);
  for (int64_t r = from; r < to; r++) {
    const float *px = x + r * in[2], *py = y + r * in[3];
    float *po = out + r * in[4];
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) v16_store(po + i, v16_add(v16_load(px + i), v16_load(py + i)));
    for (; i < n; i++) po[i] = px[i] + py[i];
  }
}

static void copy(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0];
  const int32_t *position = call->argument[1];
  float *out = call->argument[2];
  const int64_t *in = call->integer;
  int64_t from, to, first = position ? *position : 0;
  own_rows(w, in[0], &from, &to);
  for (int64_t r = from; r < to; r++)
    if (first + r >= in[4]) psi_fail(w);
    else memcpy(out + (first + r) * in[3], x + r * in[2], in[1] * sizeof(float));
}

static void fill(const psi_call *call, psi_worker *w) {
  float *out = call->argument[0];
  v16 value = v16_set(call->number[0]);
  POINTWISE(call->integer[0], v16_store(out + i, value), v16_store_part(out + i, left, value));
}

static void init_normal(const psi_call *call, psi_worker *w) {
  const int32_t *state = call->argument[0];
  float *out = call->argument[1];
  int64_t count = call->integer[0], from, to;
  v16 deviation = v16_set(call->number[0]);
  own_rows(w, divide_up(count, 64), &from, &to);
  for (int64_t g = from; g < to; g++) {
    uint32_t word[4][16];
    float uniform[4][16], value[4][16];
    random_group(word, state, 0, 0, (uint32_t)call->integer[1], (uint32_t)g);
    for (int r = 0; r < 4; r++)
      for (int l = 0; l < 16; l++) uniform[r][l] = (float)(word[r][l] >> 9) * 0x1p-23f + 0x1p-24f;
    for (int pair = 0; pair < 4; pair += 2)
      for (int l = 0; l < 16; l += WIDTH) {
        vn radius = vn_sqrt(vn_mul(vn_set(-2.0f), vn_log(vn_load(uniform[pair] + l)))), cosine, sine;
        vn_turn(vn_load(uniform[pair + 1] + l), &cosine, &sine);
        vn_store(value[pair] + l, vn_mul(radius, cosine));
        vn_store(value[pair + 1] + l, vn_mul(radius, sine));
      }
    for (int r = 0; r < 4; r++) {
      int64_t i = g * 64 + r * 16, left = count - i;
      v16 v = v16_mul(v16_load(value[r]), deviation);
      if (left >= 16) v16_store(out + i, v);
      else if (left > 0) v16_store_part(out + i, left, v);
    }
  }
}

static void count_nonfinite(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0];
  int32_t *out = call->argument[1];
  const int64_t *in = call->integer;
  if (w->thread != 0) return;
  int64_t count = 0;
  for (int64_t r = 0; r < in[0]; r++)
    for (int64_t i = 0; i < in[1]; i++) {
      float v = x[r * in[2] + i];
      count += !(v - v == 0);
    }
  *out = (int32_t)smaller(count, INT32_MAX);
}

INLINE int32_t row_argmax(const float *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return (int32_t)best;
}

static void argmax(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0];
  int32_t *out = call->argument[1];
  int64_t n = call->integer[1], from, to;
  own_rows(w, call->integer[0], &from, &to);
  for (int64_t r = from; r < to; r++) out[r] = row_argmax(x + r * n, n);
}
