// Elementary functions of exact/1 (docs/NUMERICS.md §2) on native vectors.
#pragma once
#include "vector.h"

#define MAGIC 12582912.0f

// exp(x) for x ≤ 0.
INLINE vn vn_exp(vn x) {
  vn t = vn_fma(x, vn_set(1.44269504088896341f), vn_set(MAGIC));
  vn n = vn_sub(t, vn_set(MAGIC));
  vn r = vn_fma(n, vn_set(-0.693359375f), x);
  r = vn_fma(n, vn_set(2.12194440e-4f), r);
  vn p = vn_set(1.9875691500e-4f);
  p = vn_fma(p, r, vn_set(1.3981999507e-3f));
  p = vn_fma(p, r, vn_set(8.3334519073e-3f));
  p = vn_fma(p, r, vn_set(4.1665795894e-2f));
  p = vn_fma(p, r, vn_set(1.6666665459e-1f));
  p = vn_fma(p, r, vn_set(5.0000001201e-1f));
  vn y = vn_add(vn_fma(p, vn_mul(r, r), r), vn_set(1.0f));
  return vn_select(vn_lt(x, vn_set(-87.0f)), vn_set(0.0f), vn_mul(y, vn_power_of_two(t)));
}

// log(x) for normal x > 0.
INLINE vn vn_log(vn x) {
  vn e, m;
  vn_split(x, &e, &m);
  vn f = vn_sub(m, vn_set(1.0f)), z = vn_mul(f, f);
  vn p = vn_set(7.0376836292e-2f);
  p = vn_fma(p, f, vn_set(-1.1514610310e-1f));
  p = vn_fma(p, f, vn_set(1.1676998740e-1f));
  p = vn_fma(p, f, vn_set(-1.2420140846e-1f));
  p = vn_fma(p, f, vn_set(1.4249322787e-1f));
  p = vn_fma(p, f, vn_set(-1.6668057665e-1f));
  p = vn_fma(p, f, vn_set(2.0000714765e-1f));
  p = vn_fma(p, f, vn_set(-2.4999993993e-1f));
  p = vn_fma(p, f, vn_set(3.3333331174e-1f));
  vn y = vn_mul(vn_mul(p, f), z);
  y = vn_fma(e, vn_set(-2.12194440e-4f), y);
  y = vn_fma(vn_set(-0.5f), z, y);
  return vn_fma(e, vn_set(0.693359375f), vn_add(f, y));
}

INLINE float scalar_log(float x) {
  float buffer[WIDTH];
  vn_store(buffer, vn_log(vn_set(x)));
  return buffer[0];
}

INLINE vn vn_sigmoid(vn z) {
  vn q = vn_exp(vn_neg(vn_abs(z)));
  vn one = vn_set(1.0f);
  return vn_div(vn_select(vn_lt(z, vn_set(0.0f)), q, one), vn_add(one, q));
}

// cos 2πu and sin 2πu for 0 ≤ u < 1.
INLINE void vn_turn(vn u, vn *cosine, vn *sine) {
  vn t = vn_mul(vn_set(4.0f), u);
  vn n = vn_sub(vn_add(t, vn_set(MAGIC)), vn_set(MAGIC));
  vn a = vn_mul(vn_sub(t, n), vn_set(1.57079632679489662f)), s = vn_mul(a, a);
  vn p = vn_set(-1.9515295891e-4f);
  p = vn_fma(p, s, vn_set(8.3321608736e-3f));
  p = vn_fma(p, s, vn_set(-1.6666654611e-1f));
  vn sn = vn_fma(vn_mul(p, s), a, a);
  vn c = vn_set(2.443315711809948e-5f);
  c = vn_fma(c, s, vn_set(-1.388731625493765e-3f));
  c = vn_fma(c, s, vn_set(4.166664568298827e-2f));
  vn cs = vn_fma(vn_mul(c, s), s, vn_fma(vn_set(-0.5f), s, vn_set(1.0f)));
  // n is 0 … 4. Odd quadrants exchange the two; quadrants 1, 2 negate the cosine, 2, 3 the sine.
  vm is0 = vn_lt(n, vn_set(0.5f)), below2 = vn_lt(n, vn_set(1.5f)), below3 = vn_lt(n, vn_set(2.5f)), below4 = vn_lt(n, vn_set(3.5f));
  vn q0c = cs, q0s = sn, q1c = vn_neg(sn), q1s = cs, q2c = vn_neg(cs), q2s = vn_neg(sn), q3c = sn, q3s = vn_neg(cs);
  *cosine = vn_select(is0, q0c, vn_select(below2, q1c, vn_select(below3, q2c, vn_select(below4, q3c, q0c))));
  *sine = vn_select(is0, q0s, vn_select(below2, q1s, vn_select(below3, q2s, vn_select(below4, q3s, q0s))));
}

INLINE vn vn_gelu_gate(vn x, vn q) {
  vn t = vn_fma(vn_mul(q, vn_set(0.044715f)), x, x);
  return vn_sigmoid(vn_mul(t, vn_set(1.5957691216057308f)));
}
INLINE vn vn_gelu(vn x) { return vn_mul(x, vn_gelu_gate(x, vn_mul(x, x))); }
INLINE vn vn_gelu_derivative(vn x) {
  vn q = vn_mul(x, x), s = vn_gelu_gate(x, q);
  vn d = vn_mul(vn_fma(q, vn_set(0.134145f), vn_set(1.0f)), vn_set(1.5957691216057308f));
  return vn_fma(vn_mul(vn_mul(x, s), vn_sub(vn_set(1.0f), s)), d, s);
}

INLINE v16 v16_exp(v16 a) { EACH a.x[i] = vn_exp(a.x[i]); return a; }
INLINE v16 v16_gelu(v16 a) { EACH a.x[i] = vn_gelu(a.x[i]); return a; }
INLINE v16 v16_gelu_derivative(v16 a) { EACH a.x[i] = vn_gelu_derivative(a.x[i]); return a; }
INLINE v16 v16_sigmoid(v16 a) { EACH a.x[i] = vn_sigmoid(a.x[i]); return a; }
