// Token and position embeddings, RoPE, column sums (docs/NUMERICS.md §6).
#include "pointwise.c"

static void embedding(const psi_call *call, psi_worker *w) {
  const int32_t *tokens = call->argument[0], *position = call->argument[3];
  const float *table = call->argument[1], *positions = call->argument[2];
  float *out = call->argument[4];
  const int64_t *in = call->integer;
  int64_t n = in[1], from, to, first = position ? *position : 0;
  own_rows(w, in[0], &from, &to);
  for (int64_t r = from; r < to; r++) {
    if (tokens[r] < 0 || tokens[r] >= in[2] || (positions && r % in[3] + first >= in[4])) {
      psi_fail(w);
      continue;
    }
    const float *row = table + tokens[r] * n, *offset = positions ? positions + (r % in[3] + first) * n : 0;
    float *po = out + r * n;
    if (!offset) memcpy(po, row, n * sizeof(float));
    else {
      int64_t i = 0;
      for (; i + 16 <= n; i += 16) v16_store(po + i, v16_add(v16_load(row + i), v16_load(offset + i)));
      for (; i < n; i++) po[i] = row[i] + offset[i];
    }
  }
}

static void embedding_backward(const psi_call *call, psi_worker *w) {
  const int32_t *tokens = call->argument[0];
  const float *dy = call->argument[1];
  float *table = call->argument[2];
  int64_t rows = call->integer[0], n = call->integer[1], from, to;
  own_stretch(w, n, &from, &to);
  for (int64_t r = 0; r < rows; r++) {
    if (tokens[r] < 0 || tokens[r] >= call->integer[2]) {
      psi_fail(w);
      continue;
    }
    float *row = table + tokens[r] * n;
    int64_t i = from;
    for (; i + 16 <= to; i += 16) v16_store(row + i, v16_add(v16_load(row + i), v16_load(dy + r * n + i)));
    for (; i < to; i++) row[i] = row[i] + dy[r * n + i];
  }
}

// Column chains of plain sums: rows first, first+step, … (count of them), columns [c, c+16).
INLINE void column_chain(const float *x, int64_t step, int64_t count, float *out, int64_t left, int accumulate) {
  int whole = left >= 16;
  v16 total = v16_set(0);
  if (accumulate) total = whole ? v16_load(out) : v16_load_part(out, left, 0);
  for (int64_t first = 0; first < count; first += PSI_CHUNK) {
    v16 s = v16_set(0);
    for (int64_t r = first; r < smaller(count, first + PSI_CHUNK); r++) s = v16_add(s, whole ? v16_load(x + r * step) : v16_load_part(x + r * step, left, 0));
    total = first == 0 && !accumulate ? s : v16_add(total, s);
  }
  if (whole) v16_store(out, total);
  else v16_store_part(out, left, total);
}

// The same for 64 columns.
INLINE void wide_column_chain(const float *x, int64_t step, int64_t count, float *out, int accumulate) {
  v16 total[4];
  for (int g = 0; g < 4; g++) total[g] = accumulate ? v16_load(out + g * 16) : v16_set(0);
  for (int64_t first = 0; first < count; first += PSI_CHUNK) {
    v16 s[4];
    for (int g = 0; g < 4; g++) s[g] = v16_set(0);
    for (int64_t r = first; r < smaller(count, first + PSI_CHUNK); r++)
      for (int g = 0; g < 4; g++) s[g] = v16_add(s[g], v16_load(x + r * step + g * 16));
    for (int g = 0; g < 4; g++) total[g] = first == 0 && !accumulate ? s[g] : v16_add(total[g], s[g]);
  }
  for (int g = 0; g < 4; g++) v16_store(out + g * 16, total[g]);
}

static void position_backward(const psi_call *call, psi_worker *w) {
  const float *dy = call->argument[0];
  float *out = call->argument[1];
  const int64_t *in = call->integer;
  int64_t n = in[1], context = in[2], from, to;
  own_rows(w, context, &from, &to);
  for (int64_t t = from; t < to; t++)
    for (int64_t c = 0; c < n; c += 16) column_chain(dy + t * n + c, context * n, t < in[0] ? divide_up(in[0] - t, context) : 0, out + t * n + c, n - c, (int)in[3]);
}

static void column_sum(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0];
  float *out = call->argument[1];
  const int64_t *in = call->integer;
  // Four groups of sixteen columns side by side make longer stretches of each row; what is left goes one by one.
  int64_t wide = in[1] / 64, bands = wide + divide_up(in[1] - wide * 64, 16);
  for (int64_t b = w->thread; b < bands; b += w->thread_count) {
    if (b < wide) wide_column_chain(x + b * 64, in[2], in[0], out + b * 64, (int)in[3]);
    else {
      int64_t column = wide * 64 + (b - wide) * 16;
      column_chain(x + column, in[2], in[0], out + column, in[1] - column, (int)in[3]);
    }
  }
}

static void rope(const psi_call *call, psi_worker *w) {
  const float *x = call->argument[0], *table = call->argument[1];
  const int32_t *position = call->argument[2];
  float *y = call->argument[3];
  const int64_t *in = call->integer;
  int64_t heads = in[1], size = in[2], half = size / 2, from, to, first = position ? *position : 0;
  own_rows(w, in[0], &from, &to);
  for (int64_t r = from; r < to; r++) {
    if (r % in[3] + first >= in[4]) {
      psi_fail(w);
      continue;
    }
    const float *cosine = table + (r % in[3] + first) * size, *sine = cosine + half;
    for (int64_t h = 0; h < heads; h++) {
      const float *px = x + r * in[5] + h * size;
      float *py = y + r * in[6] + h * size;
      for (int64_t i = 0; i < half; i += WIDTH) {
        int64_t left = half - i;
        if (left >= WIDTH) {
          vn x1 = vn_load(px + i), x2 = vn_load(px + half + i), c = vn_load(cosine + i), s = vn_load(sine + i);
          if (in[7]) s = vn_neg(s);
          vn_store(py + i, vn_fma(x1, c, vn_neg(vn_mul(x2, s))));
          vn_store(py + half + i, vn_fma(x2, c, vn_mul(x1, s)));
        } else {
          for (int64_t j = i; j < half; j++) {
            float x1 = px[j], x2 = px[half + j], c = cosine[j], s = in[7] ? -sine[j] : sine[j];
            py[j] = scalar_fma(x1, c, -(x2 * s));
            py[half + j] = scalar_fma(x2, c, x1 * s);
          }
        }
      }
    }
  }
}
