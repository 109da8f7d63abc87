// One instruction set's lane: every operation, compiled as one unit with -DPSI_LANE_<NAME>.
#include "optimizer.c"
#include "norm.c"

static psi_scratch lane_scratch(const psi_call *call, int thread_count) {
  (void)thread_count;
  const int64_t *in = call->integer;
  switch (call->code) {
    case PSI_MATMUL: return product_scratch(in[0], in[1], in[2]);
    case PSI_ATTENTION: return attention_scratch(call, 0);
    case PSI_ATTENTION_BACKWARD: return attention_scratch(call, 1);
    case PSI_HEAD_LOSS:
    case PSI_HEAD_LOSS_GRADIENT: return head_scratch(call);
    case PSI_SUM:
    case PSI_SUM_SQUARES: return (psi_scratch){round_up(divide_up(in[0], PSI_BLOCK) * (int64_t)sizeof(float) + 64, 64), 0};
    default: return (psi_scratch){0, 0};
  }
}

// Enough independent chains to fill the pipelines: floating point operations done by `rounds` rounds.
static double fma_burst(int64_t rounds) {
  vn chain[12];
  for (int c = 0; c < 12; c++) chain[c] = vn_set((float)c);
  vn a = vn_set(0.999f), b = vn_set(0.001f);
  for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int c = 0; c < 12; c++) chain[c] = vn_fma(chain[c], a, b);
  }
  // The results are used as far as the compiler knows.
  for (int c = 0; c < 12; c++) __asm__ volatile("" : : "m"(chain[c]) : "memory");
  return (double)rounds * 12 * WIDTH * 2;
}

const psi_lane LANE(psi_lane) = {
#if defined(PSI_LANE_AVX512)
    .name = "avx512",
#elif defined(PSI_LANE_AVX2)
    .name = "avx2",
#elif defined(PSI_LANE_NEON)
    .name = "neon",
#else
    .name = "baseline",
#endif
    .vector_width = WIDTH,
    .kernels = {
        [PSI_EMBEDDING] = embedding,
        [PSI_EMBEDDING_BACKWARD] = embedding_backward,
        [PSI_POSITION_BACKWARD] = position_backward,
        [PSI_MATMUL] = matmul,
        [PSI_COLUMN_SUM] = column_sum,
        [PSI_LAYERNORM] = layernorm,
        [PSI_LAYERNORM_BACKWARD] = layernorm_backward,
        [PSI_LAYERNORM_BACKWARD_PARAMETERS] = layernorm_backward_parameters,
        [PSI_RMSNORM] = rmsnorm,
        [PSI_RMSNORM_BACKWARD] = rmsnorm_backward,
        [PSI_RMSNORM_BACKWARD_PARAMETERS] = rmsnorm_backward_parameters,
        [PSI_ROPE] = rope,
        [PSI_ATTENTION] = attention,
        [PSI_ATTENTION_BACKWARD] = attention_backward,
        [PSI_GELU] = gelu,
        [PSI_GELU_BACKWARD] = gelu_backward,
        [PSI_SWIGLU] = swiglu,
        [PSI_SWIGLU_BACKWARD] = swiglu_backward,
        [PSI_DROPOUT] = dropout,
        [PSI_ADD] = add,
        [PSI_COPY] = copy,
        [PSI_FILL] = fill,
        [PSI_HEAD_LOSS] = head_loss,
        [PSI_HEAD_LOSS_GRADIENT] = head_loss_gradient,
        [PSI_SUM] = sum,
        [PSI_SUM_SQUARES] = sum_squares,
        [PSI_CLIP_SCALE] = clip_scale,
        [PSI_SGD] = sgd,
        [PSI_ADAM] = adam,
        [PSI_LAMB_DIRECTION] = lamb_direction,
        [PSI_APPLY_DIRECTION] = apply_direction,
        [PSI_TRUST_RATIO] = trust_ratio,
        [PSI_INIT_NORMAL] = init_normal,
        [PSI_COUNT_NONFINITE] = count_nonfinite,
        [PSI_ARGMAX] = argmax,
    },
    .scratch = lane_scratch,
    .fma_burst = fma_burst,
};
