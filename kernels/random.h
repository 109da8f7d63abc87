// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), sixteen counters at a time (docs/NUMERICS.md §3).
#pragma once
#include "reduction.h"

// Words of elements 64·group … 64·group+63: word[w][lane] belongs to element 64·group + 16·w + lane.
INLINE void random_group(uint32_t word[4][16], const int32_t *state, uint32_t step, uint32_t rank, uint32_t purpose, uint32_t group) {
  uint32_t c0[16], c1[16], c2[16], c3[16];
  for (int l = 0; l < 16; l++) {
    c0[l] = 16 * group + l;
    c1[l] = rank;
    c2[l] = step;
    c3[l] = purpose;
  }
  uint32_t k0 = (uint32_t)state[0], k1 = (uint32_t)state[1];
  for (int round = 0; round < 10; round++) {
    for (int l = 0; l < 16; l++) {
      uint64_t p0 = (uint64_t)0xD2511F53u * c0[l], p1 = (uint64_t)0xCD9E8D57u * c2[l];
      uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1[l] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3[l] ^ k1;
      c1[l] = (uint32_t)p1;
      c3[l] = (uint32_t)p0;
      c0[l] = n0;
      c2[l] = n2;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int l = 0; l < 16; l++) {
    word[0][l] = c0[l];
    word[1][l] = c1[l];
    word[2][l] = c2[l];
    word[3][l] = c3[l];
  }
}
