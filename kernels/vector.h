// The native vector of each lane, under one set of names. `vn` holds WIDTH floats, `vm` a comparison
// result; `v16` is sixteen virtual lanes made of native vectors, the unit of every reduction.
#pragma once
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(PSI_LANE_AVX512)
#include <immintrin.h>
#define WIDTH 16
#define LANE(name) name##_avx512
typedef __m512 vn;
typedef __mmask16 vm;
INLINE vn vn_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vn_store(float *p, vn a) { _mm512_storeu_ps(p, a); }
INLINE vn vn_set(float x) { return _mm512_set1_ps(x); }
INLINE vn vn_add(vn a, vn b) { return _mm512_add_ps(a, b); }
INLINE vn vn_sub(vn a, vn b) { return _mm512_sub_ps(a, b); }
INLINE vn vn_mul(vn a, vn b) { return _mm512_mul_ps(a, b); }
INLINE vn vn_div(vn a, vn b) { return _mm512_div_ps(a, b); }
INLINE vn vn_sqrt(vn a) { return _mm512_sqrt_ps(a); }
INLINE vn vn_fma(vn a, vn b, vn c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vn vn_max(vn a, vn b) { return _mm512_max_ps(a, b); }
INLINE vm vn_lt(vn a, vn b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE vn vn_select(vm m, vn a, vn b) { return _mm512_mask_blend_ps(m, b, a); }
INLINE vn vn_abs(vn a) { return _mm512_abs_ps(a); }
INLINE vn vn_neg(vn a) {
  return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
}
// 2^n from t = n + 12582912, whose low mantissa bits hold n.
INLINE vn vn_power_of_two(vn t) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(t), 23), _mm512_set1_epi32(127 << 23)));
}
// x = m·2^e with m in [√½, √2).
INLINE void vn_split(vn x, vn *e, vn *m) {
  __m512i i = _mm512_sub_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x3f3504f3));
  *e = _mm512_cvtepi32_ps(_mm512_srai_epi32(i, 23));
  *m = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_and_si512(i, _mm512_set1_epi32(0x7fffff)), _mm512_set1_epi32(0x3f3504f3)));
}

// The last steps of the fixed tree, within one vector: each adds the upper half onto the lower.
INLINE float vn_tree(vn a) {
  __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
INLINE float vn_largest(vn a) {
  __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)));
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

#elif defined(PSI_LANE_AVX2)
#include <immintrin.h>
#define WIDTH 8
#define LANE(name) name##_avx2
typedef __m256 vn;
typedef __m256 vm;
INLINE vn vn_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vn_store(float *p, vn a) { _mm256_storeu_ps(p, a); }
INLINE vn vn_set(float x) { return _mm256_set1_ps(x); }
INLINE vn vn_add(vn a, vn b) { return _mm256_add_ps(a, b); }
INLINE vn vn_sub(vn a, vn b) { return _mm256_sub_ps(a, b); }
INLINE vn vn_mul(vn a, vn b) { return _mm256_mul_ps(a, b); }
INLINE vn vn_div(vn a, vn b) { return _mm256_div_ps(a, b); }
INLINE vn vn_sqrt(vn a) { return _mm256_sqrt_ps(a); }
INLINE vn vn_fma(vn a, vn b, vn c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vn vn_max(vn a, vn b) { return _mm256_max_ps(a, b); }
INLINE vm vn_lt(vn a, vn b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE vn vn_select(vm m, vn a, vn b) { return _mm256_blendv_ps(b, a, m); }
INLINE vn vn_abs(vn a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE vn vn_neg(vn a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }
INLINE vn vn_power_of_two(vn t) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(t), 23), _mm256_set1_epi32(127 << 23)));
}
INLINE void vn_split(vn x, vn *e, vn *m) {
  __m256i i = _mm256_sub_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(0x3f3504f3));
  *e = _mm256_cvtepi32_ps(_mm256_srai_epi32(i, 23));
  *m = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_and_si256(i, _mm256_set1_epi32(0x7fffff)), _mm256_set1_epi32(0x3f3504f3)));
}

INLINE float vn_tree(vn a) {
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
INLINE float vn_largest(vn a) {
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

#elif defined(PSI_LANE_NEON)
#include <arm_neon.h>
#define WIDTH 4
#define LANE(name) name##_neon
typedef float32x4_t vn;
typedef uint32x4_t vm;
INLINE vn vn_load(const float *p) { return vld1q_f32(p); }
INLINE void vn_store(float *p, vn a) { vst1q_f32(p, a); }
INLINE vn vn_set(float x) { return vdupq_n_f32(x); }
INLINE vn vn_add(vn a, vn b) { return vaddq_f32(a, b); }
INLINE vn vn_sub(vn a, vn b) { return vsubq_f32(a, b); }
INLINE vn vn_mul(vn a, vn b) { return vmulq_f32(a, b); }
INLINE vn vn_div(vn a, vn b) { return vdivq_f32(a, b); }
INLINE vn vn_sqrt(vn a) { return vsqrtq_f32(a); }
INLINE vn vn_fma(vn a, vn b, vn c) { return vfmaq_f32(c, a, b); }
INLINE vm vn_lt(vn a, vn b) { return vcltq_f32(a, b); }
INLINE vn vn_select(vm m, vn a, vn b) { return vbslq_f32(m, a, b); }
INLINE vn vn_max(vn a, vn b) { return vn_select(vcgtq_f32(a, b), a, b); }
INLINE vn vn_abs(vn a) { return vabsq_f32(a); }
INLINE vn vn_neg(vn a) { return vnegq_f32(a); }
INLINE vn vn_power_of_two(vn t) {
  return vreinterpretq_f32_s32(vaddq_s32(vshlq_n_s32(vreinterpretq_s32_f32(t), 23), vdupq_n_s32(127 << 23)));
}
INLINE void vn_split(vn x, vn *e, vn *m) {
  int32x4_t i = vsubq_s32(vreinterpretq_s32_f32(x), vdupq_n_s32(0x3f3504f3));
  *e = vcvtq_f32_s32(vshrq_n_s32(i, 23));
  *m = vreinterpretq_f32_s32(vaddq_s32(vandq_s32(i, vdupq_n_s32(0x7fffff)), vdupq_n_s32(0x3f3504f3)));
}

INLINE float vn_tree(vn a) {
  float32x2_t q = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(q, 0) + vget_lane_f32(q, 1);
}
INLINE float vn_largest(vn a) {
  float s[WIDTH], m;
  vst1q_f32(s, a);
  m = s[0];
  for (int l = 1; l < WIDTH; l++) m = s[l] > m ? s[l] : m;
  return m;
}

#elif defined(PSI_LANE_BASELINE)
// Plain C for x86-64 without FMA hardware: the fused multiply-add is computed in double precision
// rounded to odd, which makes the second rounding to float correct.
#define WIDTH 4
#define LANE(name) name##_baseline
typedef struct { float f[WIDTH]; } vn;
typedef struct { int32_t b[WIDTH]; } vm;
#define LANES for (int l = 0; l < WIDTH; l++)
INLINE float soft_fma(float a, float b, float c) {
  double p = (double)a * b, s = p + c, t = s - p, error = (p - (s - t)) + (c - t);
  if (error != 0 && error == error && s - s == 0) {
    uint64_t bits;
    memcpy(&bits, &s, 8);
    if (!(bits & 1)) bits += ((error > 0) == (s > 0)) ? 1 : -1;
    memcpy(&s, &bits, 8);
  }
  return (float)s;
}
INLINE vn vn_load(const float *p) { vn r; memcpy(&r, p, sizeof r); return r; }
INLINE void vn_store(float *p, vn a) { memcpy(p, &a, sizeof a); }
INLINE vn vn_set(float x) { vn r; LANES r.f[l] = x; return r; }
INLINE vn vn_add(vn a, vn b) { LANES a.f[l] += b.f[l]; return a; }
INLINE vn vn_sub(vn a, vn b) { LANES a.f[l] -= b.f[l]; return a; }
INLINE vn vn_mul(vn a, vn b) { LANES a.f[l] *= b.f[l]; return a; }
INLINE vn vn_div(vn a, vn b) { LANES a.f[l] /= b.f[l]; return a; }
INLINE vn vn_sqrt(vn a) { LANES a.f[l] = __builtin_sqrtf(a.f[l]); return a; }
INLINE vn vn_fma(vn a, vn b, vn c) { LANES c.f[l] = soft_fma(a.f[l], b.f[l], c.f[l]); return c; }
INLINE vn vn_max(vn a, vn b) { LANES a.f[l] = a.f[l] > b.f[l] ? a.f[l] : b.f[l]; return a; }
INLINE vm vn_lt(vn a, vn b) { vm m; LANES m.b[l] = a.f[l] < b.f[l]; return m; }
INLINE vn vn_select(vm m, vn a, vn b) { LANES a.f[l] = m.b[l] ? a.f[l] : b.f[l]; return a; }
INLINE vn vn_abs(vn a) { LANES a.f[l] = __builtin_fabsf(a.f[l]); return a; }
INLINE vn vn_neg(vn a) { LANES a.f[l] = -a.f[l]; return a; }
INLINE vn vn_power_of_two(vn t) {
  LANES { uint32_t u; memcpy(&u, &t.f[l], 4); u = (u << 23) + (127u << 23); memcpy(&t.f[l], &u, 4); }
  return t;
}
INLINE void vn_split(vn x, vn *e, vn *m) {
  LANES {
    int32_t i, j;
    memcpy(&i, &x.f[l], 4);
    i = (int32_t)((uint32_t)i - 0x3f3504f3u);
    e->f[l] = (float)(i >> 23);
    j = (i & 0x7fffff) + 0x3f3504f3;
    memcpy(&m->f[l], &j, 4);
  }
}
INLINE float vn_tree(vn a) { return (a.f[0] + a.f[2]) + (a.f[1] + a.f[3]); }
INLINE float vn_largest(vn a) {
  float m = a.f[0];
  for (int l = 1; l < WIDTH; l++) m = a.f[l] > m ? a.f[l] : m;
  return m;
}
#else
#error "choose a lane: -DPSI_LANE_AVX512, _AVX2, _NEON or _BASELINE"
#endif

// flush(x): +0 below 2^-39 in magnitude; NaN stays.
INLINE vn vn_flush(vn a) { return vn_select(vn_lt(vn_abs(a), vn_set(0x1p-39f)), vn_set(0), a); }
// floor(x) of the optimizers: +0 below 2^-100 in magnitude.
INLINE vn vn_floor(vn a) { return vn_select(vn_lt(vn_abs(a), vn_set(0x1p-100f)), vn_set(0), a); }

#define PARTS (16 / WIDTH)
typedef struct { vn x[PARTS]; } v16;
#define EACH for (int i = 0; i < PARTS; i++)
INLINE v16 v16_load(const float *p) { v16 r; EACH r.x[i] = vn_load(p + i * WIDTH); return r; }
INLINE void v16_store(float *p, v16 a) { EACH vn_store(p + i * WIDTH, a.x[i]); }
INLINE v16 v16_set(float x) { v16 r; EACH r.x[i] = vn_set(x); return r; }
INLINE v16 v16_add(v16 a, v16 b) { EACH a.x[i] = vn_add(a.x[i], b.x[i]); return a; }
INLINE v16 v16_sub(v16 a, v16 b) { EACH a.x[i] = vn_sub(a.x[i], b.x[i]); return a; }
INLINE v16 v16_mul(v16 a, v16 b) { EACH a.x[i] = vn_mul(a.x[i], b.x[i]); return a; }
INLINE v16 v16_div(v16 a, v16 b) { EACH a.x[i] = vn_div(a.x[i], b.x[i]); return a; }
INLINE v16 v16_sqrt(v16 a) { EACH a.x[i] = vn_sqrt(a.x[i]); return a; }
INLINE v16 v16_fma(v16 a, v16 b, v16 c) { EACH c.x[i] = vn_fma(a.x[i], b.x[i], c.x[i]); return c; }
INLINE v16 v16_max(v16 a, v16 b) { EACH a.x[i] = vn_max(a.x[i], b.x[i]); return a; }
INLINE v16 v16_neg(v16 a) { EACH a.x[i] = vn_neg(a.x[i]); return a; }
INLINE v16 v16_flush(v16 a) { EACH a.x[i] = vn_flush(a.x[i]); return a; }
INLINE v16 v16_floor(v16 a) { EACH a.x[i] = vn_floor(a.x[i]); return a; }

// The first `count` (< 16) lanes from memory, the rest `fill`.
INLINE v16 v16_load_part(const float *p, int64_t count, float fill) {
  float buffer[16];
  for (int l = 0; l < 16; l++) buffer[l] = l < count ? p[l] : fill;
  return v16_load(buffer);
}
INLINE void v16_store_part(float *p, int64_t count, v16 a) {
  float buffer[16];
  v16_store(buffer, a);
  for (int l = 0; l < count; l++) p[l] = buffer[l];
}
// Lanes from `count` on become +0.
INLINE v16 v16_keep(v16 a, int64_t count) {
  float buffer[16];
  v16_store(buffer, a);
  for (int64_t l = count; l < 16; l++) buffer[l] = 0;
  return v16_load(buffer);
}
// The fixed tree 8-4-2-1: whole vectors first, then within the last one.
INLINE float v16_tree(v16 a) {
  for (int parts = PARTS / 2; parts >= 1; parts /= 2)
    for (int i = 0; i < parts; i++) a.x[i] = vn_add(a.x[i], a.x[i + parts]);
  return vn_tree(a.x[0]);
}
INLINE float v16_largest(v16 a) {
  for (int i = 1; i < PARTS; i++) a.x[0] = vn_max(a.x[0], a.x[i]);
  return vn_largest(a.x[0]);
}
INLINE float scalar_fma(float a, float b, float c) {
#if defined(PSI_LANE_BASELINE)
  return soft_fma(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
