// Sums, clipping and parameter updates (docs/NUMERICS.md §9), in blocks of 4,096 elements.
#include "head.c"

INLINE float block_squares(const float *x, int64_t n) {
  float r;
  REDUCE(r, n, v16 f = v16_flush(v16_load(x + i)); lanes = v16_fma(f, f, lanes), v16 f = v16_flush(v16_load_part(x + i, left, 0)); lanes = v16_fma(f, f, lanes));
  return r;
}

// Reduces block by block into `partial`, then the partial results; these stay as they are for the caller.
INLINE void reduce_flat(const psi_call *call, psi_worker *w, int squares) {
  const float *x = call->argument[0];
  float *partial = call->argument[1], *out = call->argument[2];
  int64_t n = call->integer[0], from, to, blocks = divide_up(n, PSI_BLOCK);
  own_rows(w, blocks, &from, &to);
  for (int64_t b = from; b < to; b++) {
    const float *block = x + b * PSI_BLOCK;
    int64_t count = smaller(PSI_BLOCK, n - b * PSI_BLOCK);
    partial[b] = squares ? block_squares(block, count) : row_sum(block, count);
  }
  psi_barrier(w);
  if (w->thread == 0) {
    memcpy(w->shared, partial, blocks * sizeof(float));
    *out = reduce_blocks((float *)w->shared, blocks);
  }
}

static void sum(const psi_call *call, psi_worker *w) { reduce_flat(call, w, 0); }
static void sum_squares(const psi_call *call, psi_worker *w) { reduce_flat(call, w, 1); }

static void clip_scale(const psi_call *call, psi_worker *w) {
  if (w->thread) return;
  float *out = call->argument[1], maximum = call->number[0];
  float norm = __builtin_sqrtf(*(const float *)call->argument[0]);
  out[0] = norm;
  out[1] = maximum <= 0 || norm <= maximum ? 1.0f : maximum / norm;
}

enum { STEP_SIZE, BETA1, ONE_MINUS_BETA1, BETA2, ONE_MINUS_BETA2, INVERSE_ROOT_CORRECTION2, EPSILON, DECAY_FACTOR, L2, NESTEROV, TRUST, WEIGHT_DECAY, INVERSE_CORRECTION1 };

INLINE v16 effective_gradient(v16 gradient, v16 parameter, const float *hyper, const float *clip) {
  v16 g = v16_flush(gradient);
  if (clip) g = v16_mul(g, v16_set(clip[1]));
  if (hyper[L2] != 0) g = v16_fma(v16_set(hyper[L2]), parameter, g);
  return g;
}

// UPDATE(count, COMPUTE): for each sixteen of this thread's blocks, `p` holds the parameters and COMPUTE
// leaves the new ones in `fresh`; LOAD and STORE reach other arrays, whole or at the tail.
#define LOAD(array) (whole ? v16_load((array) + i) : v16_load_part((array) + i, left, 0))
#define STORE(array, value) (whole ? v16_store((array) + i, value) : v16_store_part((array) + i, left, value))
#define UPDATE(count, parameter, parameter_partial, update_partial, COMPUTE)                  \
  do {                                                                                        \
    int64_t n_ = (count), from_, to_;                                                         \
    own_rows(w, divide_up(n_, PSI_BLOCK), &from_, &to_);                                      \
    for (int64_t b_ = from_; b_ < to_; b_++) {                                                \
      v16 parameter_lanes = v16_set(0), update_lanes = v16_set(0);                            \
      int64_t end_ = smaller(n_, (b_ + 1) * PSI_BLOCK);                                       \
      for (int64_t i = b_ * PSI_BLOCK; i < end_; i += 16) {                                   \
        int64_t left = end_ - i;                                                              \
        int whole = left >= 16;                                                               \
        v16 p = LOAD(parameter), fresh;                                                       \
        COMPUTE;                                                                              \
        STORE(parameter, fresh);                                                              \
        v16 f_ = v16_flush(fresh), d_ = v16_flush(v16_sub(fresh, p));                         \
        if (!whole) f_ = v16_keep(f_, left), d_ = v16_keep(d_, left);                         \
        parameter_lanes = v16_fma(f_, f_, parameter_lanes);                                   \
        update_lanes = v16_fma(d_, d_, update_lanes);                                         \
      }                                                                                       \
      (parameter_partial)[b_] = v16_tree(parameter_lanes);                                    \
      (update_partial)[b_] = v16_tree(update_lanes);                                          \
    }                                                                                         \
  } while (0)

static void adam(const psi_call *call, psi_worker *w) {
  float *parameter = call->argument[0], *first = call->argument[2], *second = call->argument[3];
  const float *gradient = call->argument[1], *h = call->argument[4], *clip = call->argument[5];
  v16 beta1 = v16_set(h[BETA1]), one_minus_beta1 = v16_set(h[ONE_MINUS_BETA1]), beta2 = v16_set(h[BETA2]), one_minus_beta2 = v16_set(h[ONE_MINUS_BETA2]);
  v16 root = v16_set(h[INVERSE_ROOT_CORRECTION2]), epsilon = v16_set(h[EPSILON]), decay = v16_set(h[DECAY_FACTOR]), step = v16_set(-h[STEP_SIZE]);
  UPDATE(call->integer[0], parameter, (float *)call->argument[6], (float *)call->argument[7], {
    v16 g = effective_gradient(LOAD(gradient), p, h, clip);
    v16 m = v16_floor(v16_fma(beta1, LOAD(first), v16_mul(one_minus_beta1, g)));
    v16 v = v16_floor(v16_fma(beta2, LOAD(second), v16_mul(one_minus_beta2, v16_mul(g, g))));
    STORE(first, m);
    STORE(second, v);
    v16 d = v16_fma(v16_sqrt(v), root, epsilon);
    fresh = v16_fma(step, v16_div(m, d), v16_mul(p, decay));
  });
}

static void sgd(const psi_call *call, psi_worker *w) {
  float *parameter = call->argument[0], *velocity = call->argument[2];
  const float *gradient = call->argument[1], *h = call->argument[3], *clip = call->argument[4], *ratio = call->argument[5];
  v16 beta1 = v16_set(h[BETA1]), decay = v16_set(h[DECAY_FACTOR]), step = v16_set(-(ratio ? h[STEP_SIZE] * *ratio : h[STEP_SIZE]));
  int nesterov = h[NESTEROV] != 0;
  UPDATE(call->integer[0], parameter, (float *)call->argument[6], (float *)call->argument[7], {
    v16 u = effective_gradient(LOAD(gradient), p, h, clip);
    if (velocity) {
      v16 g = u;
      u = v16_floor(v16_fma(beta1, LOAD(velocity), g));
      STORE(velocity, u);
      if (nesterov) u = v16_fma(beta1, u, g);
    }
    fresh = v16_fma(step, u, v16_mul(p, decay));
  });
}

static void lamb_direction(const psi_call *call, psi_worker *w) {
  const float *parameter = call->argument[0], *gradient = call->argument[1], *h = call->argument[4], *clip = call->argument[5];
  float *first = call->argument[2], *second = call->argument[3], *direction = call->argument[6];
  v16 beta1 = v16_set(h[BETA1]), one_minus_beta1 = v16_set(h[ONE_MINUS_BETA1]), beta2 = v16_set(h[BETA2]), one_minus_beta2 = v16_set(h[ONE_MINUS_BETA2]);
  v16 root = v16_set(h[INVERSE_ROOT_CORRECTION2]), epsilon = v16_set(h[EPSILON]), correction = v16_set(h[INVERSE_CORRECTION1]), decay = v16_set(h[WEIGHT_DECAY]);
  int64_t i, to;
  own_stretch(w, call->integer[0], &i, &to);
  for (; i < to; i += 16) {
    int64_t left = to - i;
    int whole = left >= 16;
    v16 p = LOAD(parameter), g = effective_gradient(LOAD(gradient), p, h, clip);
    v16 m = v16_floor(v16_fma(beta1, LOAD(first), v16_mul(one_minus_beta1, g)));
    v16 v = v16_floor(v16_fma(beta2, LOAD(second), v16_mul(one_minus_beta2, v16_mul(g, g))));
    STORE(first, m);
    STORE(second, v);
    STORE(direction, v16_fma(decay, p, v16_div(v16_mul(m, correction), v16_fma(v16_sqrt(v), root, epsilon))));
  }
}

static void apply_direction(const psi_call *call, psi_worker *w) {
  float *parameter = call->argument[0];
  const float *direction = call->argument[1], *h = call->argument[2], *ratio = call->argument[3];
  v16 decay = v16_set(h[DECAY_FACTOR]), step = v16_set(-(h[STEP_SIZE] * *ratio));
  UPDATE(call->integer[0], parameter, (float *)call->argument[4], (float *)call->argument[5], { fresh = v16_fma(step, LOAD(direction), v16_mul(p, decay)); });
}

static void trust_ratio(const psi_call *call, psi_worker *w) {
  if (w->thread) return;
  const float *h = call->argument[2], *clip = call->argument[3];
  float *out = call->argument[4];
  float P = __builtin_sqrtf(*(const float *)call->argument[0]), U = __builtin_sqrtf(*(const float *)call->argument[1]);
  if (P == 0 || U == 0) {
    *out = 1;
    return;
  }
  if (call->integer[0] == 1) {
    *out = P / U;
    return;
  }
  if (clip) U = U * clip[1];
  *out = (h[TRUST] * P) / (scalar_fma(h[WEIGHT_DECAY], P, U) + h[EPSILON]);
}
