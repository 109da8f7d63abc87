// Stands in front of the compiler's <immintrin.h> when the AVX-512 lane is compiled for a processor
// without AVX-512: every _mm512 intrinsic the kernels use, in GCC's generic vectors. The lane's own
// logic (width 16, the 14 by 32 tile, transposes, tails) is then what runs; what stays unproven is
// that each instruction computes what its manual says. An intrinsic missing here does not compile.
#pragma once
#include_next <immintrin.h>
#if defined(__AVX512F__)
#error "the emulated lane is compiled without AVX-512"
#endif

typedef int32_t emulated_words __attribute__((vector_size(64), may_alias));
typedef uint32_t emulated_unsigned __attribute__((vector_size(64), may_alias));
typedef float emulated_unaligned __attribute__((vector_size(64), aligned(4), may_alias));
#define EMULATED static inline __attribute__((always_inline, unused))
#define EACH_LANE for (int lane = 0; lane < 16; lane++)

EMULATED __m512 emulated_load(const void *p) { return (__m512)*(const emulated_unaligned *)p; }
EMULATED void emulated_store(void *p, __m512 a) { *(emulated_unaligned *)p = a; }
EMULATED __m512 emulated_set(float x) { return (__m512){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
EMULATED __m512i emulated_set_word(int32_t x) {
  return (__m512i)(emulated_words){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
EMULATED __m512 emulated_sqrt(__m512 a) { EACH_LANE a[lane] = __builtin_sqrtf(a[lane]); return a; }
EMULATED __m512 emulated_fma(__m512 a, __m512 b, __m512 c) {
  EACH_LANE c[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return c;
}
// The second operand where either is NaN or both are zero.
EMULATED __m512 emulated_max(__m512 a, __m512 b) { EACH_LANE b[lane] = a[lane] > b[lane] ? a[lane] : b[lane]; return b; }
EMULATED __mmask16 emulated_less(__m512 a, __m512 b) {
  unsigned mask = 0;
  EACH_LANE mask |= (unsigned)(a[lane] < b[lane]) << lane;
  return (__mmask16)mask;
}
// A set bit takes the last operand.
EMULATED __m512 emulated_blend(__mmask16 mask, __m512 a, __m512 b) {
  EACH_LANE a[lane] = mask >> lane & 1 ? b[lane] : a[lane];
  return a;
}
EMULATED __m512 emulated_convert(__m512i a) { return __builtin_convertvector((emulated_words)a, __m512); }
EMULATED __m256d emulated_half(__m512d a, int half) { return (__m256d){a[4 * half], a[4 * half + 1], a[4 * half + 2], a[4 * half + 3]}; }

#define _mm512_loadu_ps(p) emulated_load(p)
#define _mm512_storeu_ps(p, a) emulated_store(p, a)
#define _mm512_set1_ps(x) emulated_set(x)
#define _mm512_set1_epi32(x) emulated_set_word(x)
#define _mm512_add_ps(a, b) ((__m512)((a) + (b)))
#define _mm512_sub_ps(a, b) ((__m512)((a) - (b)))
#define _mm512_mul_ps(a, b) ((__m512)((a) * (b)))
#define _mm512_div_ps(a, b) ((__m512)((a) / (b)))
#define _mm512_sqrt_ps(a) emulated_sqrt(a)
#define _mm512_fmadd_ps(a, b, c) emulated_fma(a, b, c)
#define _mm512_max_ps(a, b) emulated_max(a, b)
#define _mm512_cmp_ps_mask(a, b, predicate) \
  ({ _Static_assert((predicate) == _CMP_LT_OQ, "only ordered less-than is emulated"); emulated_less(a, b); })
#define _mm512_mask_blend_ps(mask, a, b) emulated_blend(mask, a, b)
#define _mm512_abs_ps(a) ((__m512)((emulated_words)(a) & INT32_MAX))
#define _mm512_castps_si512(a) ((__m512i)(a))
#define _mm512_castsi512_ps(a) ((__m512)(a))
#define _mm512_xor_si512(a, b) ((__m512i)((a) ^ (b)))
#define _mm512_and_si512(a, b) ((__m512i)((a) & (b)))
#define _mm512_add_epi32(a, b) ((__m512i)((emulated_unsigned)(a) + (emulated_unsigned)(b)))
#define _mm512_sub_epi32(a, b) ((__m512i)((emulated_unsigned)(a) - (emulated_unsigned)(b)))
#define _mm512_slli_epi32(a, count) ((__m512i)((emulated_unsigned)(a) << (count)))
#define _mm512_srai_epi32(a, count) ((__m512i)((emulated_words)(a) >> (count)))
#define _mm512_cvtepi32_ps(a) emulated_convert(a)
#define _mm512_castps_pd(a) ((__m512d)(a))
#define _mm512_castps512_ps256(a) ((__m256)emulated_half((__m512d)(a), 0))
#define _mm512_extractf64x4_pd(a, half) emulated_half(a, half)
