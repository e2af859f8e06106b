// C (+)= A B, where a reduction runs over 32-bit words: one float32, or two bfloat16 (P = 2).
#pragma once
#include <algorithm>
#include <utility>

#include "amx.h"
#include "vector.h"

struct Words {  // a matrix of words
    const uint32_t* p;
    long ld;
};
struct Left {  // the left factor: element (i, k) stands at p[i * row + k * step]
    const uint32_t* p;
    long row, step;
};
inline Left as_rows(Words w) { return {w.p, w.ld, 1}; }
inline Left transposed(Words w) { return {w.p, 1, w.ld}; }

template <int P>
inline vec multiply_add(vec sum, uint32_t left, bits right) {
#if HAS_BF16_PRODUCT
    if constexpr (P == 2)
        return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)right, (__m512bh)_mm512_set1_epi32((int)left));
#endif
    float value;
    memcpy(&value, &left, 4);
    return sum + (vec)right * value;
}

// MR rows and NV vectors of C, held in registers.
template <int P, int MR, int NV, bool ACROSS>
static void block(Left a, const uint32_t* b, long ldb, float* c, long ldc, long words, bool add) {
    vec sums[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++) sums[i][j] = add ? load(c + i * ldc + j * LANES) : (vec){};
    const long row = a.row, step = ACROSS ? a.step : 1;
    const uint32_t *a0 = a.p, *a3 = a.p + 3 * row, *a6 = a.p + 6 * row, *a9 = a.p + 9 * row;
    for (long k = 0; k < words; k++) {
        bits right[NV];
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++) right[j] = *(const bits_in_memory*)(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++) {
            const uint32_t* near = i < 3 ? a0 : i < 6 ? a3 : i < 9 ? a6 : a9;
            const uint32_t left = ACROSS ? a0[i] : near[(i % 3) * row];
#pragma GCC unroll 2
            for (int j = 0; j < NV; j++) sums[i][j] = multiply_add<P>(sums[i][j], left, right[j]);
        }
        b += ldb;
        a0 += step, a3 += step, a6 += step, a9 += step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++) store(c + i * ldc + j * LANES, sums[i][j]);
}

using Block = void (*)(Left, const uint32_t*, long, float*, long, long, bool);

template <int P, int NV, bool ACROSS, int... I>
constexpr std::array<Block, sizeof...(I)> blocks_of(std::integer_sequence<int, I...>) {
    return {block<P, I + 1, NV, ACROSS>...};
}

// c [m, n] (+)= a [m, words] b [words, n]; n is a multiple of LANES.
template <int P>
void product(Left a, Words b, float* c, long ldc, long m, long n, long words, bool add = false) {
    static constexpr auto SIZES = std::make_integer_sequence<int, MOST_ROWS>{};
    static constexpr std::array<Block, MOST_ROWS> BLOCKS[2][2] = {
        {blocks_of<P, 1, false>(SIZES), blocks_of<P, 1, true>(SIZES)},
        {blocks_of<P, 2, false>(SIZES), blocks_of<P, 2, true>(SIZES)}};
#if HAS_TILES
    if constexpr (P == 2)
        if (m * n * words >= LEAST_TILED && tiles_allowed())
            return tiled_product(a.p, a.row, a.step, b.p, b.ld, c, ldc, m, n, words, add);
#endif
    constexpr long DEPTH = 256;  // words of the right factor's panel that stay in the first cache
    const bool across = a.row == 1 && a.step != 1;
    const long count = (m + MOST_ROWS - 1) / MOST_ROWS;
    if (words == 0 && !add)
        for (long i = 0; i < m; i++) std::fill_n(c + i * ldc, n, 0.0f);
    for (long k = 0; k < words; k += DEPTH) {
        const long depth = std::min(DEPTH, words - k);
        for (long j = 0; j < n;) {
            const int vectors = n - j >= 2 * LANES ? 2 : 1;
            const auto& sized = BLOCKS[vectors - 1][across];
            for (long part = 0; part < count; part++) {  // rows in blocks of equal size, to within one
                const long i = m * part / count, rows = m * (part + 1) / count - i;
                const Left left = {a.p + i * a.row + k * a.step, a.row, a.step};
                sized[rows - 1](left, b.p + k * b.ld + j, b.ld, c + i * ldc + j, ldc, depth, add || k > 0);
            }
            j += vectors * LANES;
        }
    }
}
