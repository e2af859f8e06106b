// Vectors of LANES float32, by the compiler's vector extensions: AVX-512, AVX2 and NEON from one text.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#define LANES 16
#define MOST_ROWS 12  // rows of a block of a product: 24 of 32 registers hold sums
#else
#define LANES 8
#define MOST_ROWS 6
#endif
#if defined(__AVX512BF16__) && defined(__AVX512BW__)
#include <immintrin.h>
#define HAS_BF16_PRODUCT 1
#else
#define HAS_BF16_PRODUCT 0
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float vec_in_memory __attribute__((vector_size(LANES * 4), aligned(2), may_alias));
typedef uint32_t bits __attribute__((vector_size(LANES * 4)));
typedef uint32_t bits_in_memory __attribute__((vector_size(LANES * 4), aligned(2), may_alias));
typedef uint16_t half_bits __attribute__((vector_size(LANES * 2)));
typedef uint16_t half_in_memory __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

// Rows of scratch matrices are padded to this many columns, with zeros.
constexpr long PAD = 16;
inline long padded(long n) { return (n + PAD - 1) / PAD * PAD; }

struct bf16 {
    uint16_t value;
};

inline vec load(const float* p) { return *(const vec_in_memory*)p; }
inline void store(float* p, vec v) { *(vec_in_memory*)p = v; }
inline vec all(float value) { return value - (vec){}; }

// Rounds to the nearest bfloat16, ties to even; NaN stays NaN. The result stands in the lower half of each lane.
inline bits rounded(vec v) {
    const bits b = (bits)v;
    const bits up = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
    return v == v ? up : (b >> 16) | 0x40u;
}
inline vec load(const bf16* p) { return (vec)(__builtin_convertvector(*(const half_in_memory*)p, bits) << 16); }
inline void store(bf16* p, vec v) {
#if HAS_BF16_PRODUCT
    *(__m256i_u*)p = (__m256i)_mm512_cvtneps_pbh((__m512)v);
#else
    *(half_in_memory*)p = __builtin_convertvector(rounded(v), half_bits);
#endif
}

// to [LANES, LANES] = from', word by word: rows i and i + LANES / 2 are interleaved as often as LANES can be halved.
inline void transpose(const uint32_t* from, long ld_from, uint32_t* to, long ld_to) {
#if LANES == 16
#define HALF(at) at, at + 16, at + 1, at + 17, at + 2, at + 18, at + 3, at + 19, \
                 at + 4, at + 20, at + 5, at + 21, at + 6, at + 22, at + 7, at + 23
#else
#define HALF(at) at, at + 8, at + 1, at + 9, at + 2, at + 10, at + 3, at + 11
#endif
#if __has_builtin(__builtin_shufflevector)
#define INTERLEAVED(a, b, at) __builtin_shufflevector(a, b, HALF(at))
#else  // before GCC 12
#define INTERLEAVED(a, b, at) __builtin_shuffle(a, b, (bits){HALF(at)})
#endif
    bits rows[LANES], next[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) rows[i] = *(const bits_in_memory*)(from + i * ld_from);
#pragma GCC unroll 4
    for (int halved = 1; halved < LANES; halved *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = INTERLEAVED(rows[i], rows[i + LANES / 2], 0);
            next[2 * i + 1] = INTERLEAVED(rows[i], rows[i + LANES / 2], LANES / 2);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) rows[i] = next[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) *(bits_in_memory*)(to + i * ld_to) = rows[i];
#undef INTERLEAVED
#undef HALF
}

inline float widened(float value) { return value; }
inline float widened(bf16 value) {
    const uint32_t b = (uint32_t)value.value << 16;
    float f;
    memcpy(&f, &b, 4);
    return f;
}
inline void narrow(float value, float* p) { *p = value; }
inline void narrow(float value, bf16* p) { p->value = (uint16_t)rounded(all(value))[0]; }

inline float sum(vec v) {
    float total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
}
inline float sum(const float* p, long n) {
    vec total = {};
    long j = 0;
    for (; j + LANES <= n; j += LANES) total += load(p + j);
    float rest = sum(total);
    for (; j < n; j++) rest += p[j];
    return rest;
}

// --- GELU ---------------------------------------------------------------------------------------------------------
// The normal distribution function and the slope of the GELU are 1/2 plus an odd function of x, here x p(x x): least
// squares in Chebyshev nodes of u = 2 x x / L L - 1 on [-L, L], constant outside. Largest errors 1.6e-7 and 4.8e-7 for
// float32; 2.1e-5 and 6.4e-5 where results are rounded to bfloat16 (3.9e-3).

template <int N>
inline vec polynomial(const float (&c)[N], vec u) {
    vec p = all(c[N - 1]);
#pragma GCC unroll 16
    for (int i = N - 2; i >= 0; i--) p = p * u + c[i];
    return p;
}

// In this order of operands NaN passes through.
inline vec clamped(vec x, float limit) {
    x = limit < x ? all(limit) : x;
    return -limit > x ? all(-limit) : x;
}

template <bool ROUGH>
inline void gelu_and_slope(vec x, vec* activated, vec* slope) {
    static const float CDF[] = {
        1.285519381e-01f, -6.417245416e-02f, 4.773681946e-02f, -3.878793531e-02f, 3.208479899e-02f,
        -2.610645464e-02f, 2.026763499e-02f, -1.469426939e-02f, 1.053246664e-02f, -7.632690695e-03f,
        4.134362222e-03f, -1.266030330e-03f, 1.104130518e-03f, -1.356621726e-03f, 5.133984886e-04f};
    static const float SLOPE[] = {
        1.287591754e-01f, -6.574025785e-02f, 5.367006584e-02f, -5.372089071e-02f, 6.020174688e-02f, -6.891623321e-02f,
        7.523842930e-02f, -7.261057192e-02f, 6.096041843e-02f, -5.390862841e-02f, 4.908017934e-02f,
        -2.665867560e-02f, 4.483749179e-03f, -7.260346950e-03f, 1.200240986e-02f, -4.671401064e-03f};
    static const float ROUGH_CDF[] = {
        1.569022756e-01f, -7.714815752e-02f, 5.478823363e-02f, -4.084046657e-02f, 2.795321445e-02f,
        -1.594966967e-02f, 1.134147540e-02f, -9.931579992e-03f, 3.998000935e-03f};
    static const float ROUGH_SLOPE[] = {
        1.594432086e-01f, -8.989671448e-02f, 8.628770030e-02f, -9.578571375e-02f, 1.044288603e-01f,
        -8.601000467e-02f, 4.887083249e-02f, -4.813852443e-02f, 5.531699012e-02f, -2.339937024e-02f};
    constexpr float L = ROUGH ? 4.5f : 5.5f;
    const vec c = clamped(x, L);
    const vec u = c * c * (2 / (L * L)) - 1.0f;
    if (activated) *activated = x * (c * (ROUGH ? polynomial(ROUGH_CDF, u) : polynomial(CDF, u)) + 0.5f);
    if (slope) *slope = c * (ROUGH ? polynomial(ROUGH_SLOPE, u) : polynomial(SLOPE, u)) + 0.5f;
}
template <bool ROUGH>
inline vec gelu(vec x) {
    vec activated;
    gelu_and_slope<ROUGH>(x, &activated, nullptr);
    return activated;
}
