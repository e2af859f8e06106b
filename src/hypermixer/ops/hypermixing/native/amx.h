// C (+)= A B of bfloat16 pairs in Intel's tile registers (AMX): sixteen rows of sixteen words at a time.
//
// A tile's shape is set beforehand and holds for the whole register, so a product is done in up to four passes, each of
// tiles of one shape: whole ones, and those that are left over below and behind.
#pragma once
#include "vector.h"

#if HAS_BF16_PRODUCT && defined(__AMX_BF16__) && defined(__AMX_TILE__) && defined(__linux__)
#define HAS_TILES 1
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

constexpr long TILE = 16;         // rows of a tile, and words in one of its rows
constexpr long TILED_DEPTH = 256;  // words of the left factor that are laid out, and added up in registers, at a time
constexpr long LAID_ROWS = 512;    // rows of the left factor that are laid out at a time
// Multiply-adds of words below which vectors are faster: tiles have to be set up.
constexpr long LEAST_TILED = 1L << 14;

// Whether the kernel lets this process use the tiles; Linux wants to be asked, once for all threads.
inline bool tiles_allowed() {
    constexpr long ASK_FOR_FEATURE = 0x1023, TILE_DATA = 18;
    static const bool allowed = syscall(SYS_arch_prctl, ASK_FOR_FEATURE, TILE_DATA) == 0;
    return allowed;
}

// What was written before is in memory behind this: some compilers' headers do not say that tiles are loaded from it.
inline void memory_is_read() { asm volatile("" ::: "memory"); }

// Registers 0 to 3 hold a square of tiles of C, 4 and 5 one tile of A below the other, 6 and 7 two of B side by side.
inline void set_tiles(long upper, long lower, long words) {
    struct alignas(64) {
        uint8_t palette = 1, start = 0, unused[14] = {};
        uint16_t row_bytes[16] = {};
        uint8_t rows[16] = {};
    } shape;
    const auto set = [&](int tile, long rows, long row_words) {
        shape.rows[tile] = (uint8_t)rows, shape.row_bytes[tile] = (uint16_t)(rows ? row_words * 4 : 0);  // both or none
    };
    set(0, upper, TILE), set(1, upper, TILE), set(2, lower, TILE), set(3, lower, TILE);
    set(4, upper, words), set(5, lower, words);
    set(6, words, TILE), set(7, words, TILE);
    asm volatile("" : : "r"(&shape) : "memory");  // all of it: the header of GCC 12 declares a pointer's worth
    _tile_loadconfig(&shape);
}

// One square of C, over `steps` tiles of the reduction: LOW and WIDE say whether it has a second row, a second column.
template <bool LOW, bool WIDE>
inline void square(
    const uint32_t* a, long lda, const uint32_t* b, long ldb, float* c, long ldc, long steps, long words, bool add) {
    const uint32_t* low = a + TILE * lda;
    float* c_low = c + TILE * ldc;
    if (add) {
        _tile_loadd(0, c, ldc * 4);
        if constexpr (WIDE) _tile_loadd(1, c + TILE, ldc * 4);
        if constexpr (LOW) _tile_loadd(2, c_low, ldc * 4);
        if constexpr (LOW && WIDE) _tile_loadd(3, c_low + TILE, ldc * 4);
    } else {
        _tile_zero(0);
        if constexpr (WIDE) _tile_zero(1);
        if constexpr (LOW) _tile_zero(2);
        if constexpr (LOW && WIDE) _tile_zero(3);
    }
    for (long step = 0; step < steps; step++) {
        _tile_loadd(4, a, lda * 4);
        _tile_loadd(6, b, ldb * 4);
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (WIDE) {
            _tile_loadd(7, b + TILE, ldb * 4);
            _tile_dpbf16ps(1, 4, 7);
        }
        if constexpr (LOW) {
            _tile_loadd(5, low, lda * 4);
            _tile_dpbf16ps(2, 5, 6);
        }
        if constexpr (LOW && WIDE) _tile_dpbf16ps(3, 5, 7);
        a += words, low += words, b += words * ldb;
    }
    _tile_stored(0, c, ldc * 4);
    if constexpr (WIDE) _tile_stored(1, c + TILE, ldc * 4);
    if constexpr (LOW) _tile_stored(2, c_low, ldc * 4);
    if constexpr (LOW && WIDE) _tile_stored(3, c_low + TILE, ldc * 4);
}

// Rows of C by tiles of one shape: `rows` in blocks of `tall`, which are one or two tiles.
inline void tiled_pass(
    const uint32_t* a, long lda, const uint32_t* b, long ldb, float* c, long ldc, long rows, long tall, long n,
    long steps, long words, bool add) {
    const long upper = std::min(tall, TILE), lower = tall - upper;
    memory_is_read();
    set_tiles(upper, lower, words);
    const auto run = lower ? square<true, true> : square<false, true>;
    const auto narrow = lower ? square<true, false> : square<false, false>;
    for (long j = 0; j < n; j += 2 * TILE)
        for (long i = 0; i < rows; i += tall)
            (n - j > TILE ? run : narrow)(
                a + i * lda, lda, b + j, ldb, c + i * ldc + j, ldc, steps, words, add);
}

// to [rows, words] = from', which is [words, rows].
inline void lay_out(const uint32_t* from, long ld_from, uint32_t* to, long ld_to, long rows, long words) {
    uint32_t corner[TILE * TILE];
    for (long i = 0; i < rows; i += TILE)
        for (long k = 0; k < words; k += TILE) {
            const uint32_t* block = from + k * ld_from + i;
            if (i + TILE <= rows && k + TILE <= words) {
                transpose(block, ld_from, to + i * ld_to + k, ld_to);
                continue;
            }
            const auto mask = (__mmask16)((1u << std::min(TILE, rows - i)) - 1);
            for (long r = 0; r < TILE; r++)
                _mm512_storeu_si512(
                    corner + r * TILE,
                    k + r < words ? _mm512_maskz_loadu_epi32(mask, block + r * ld_from) : _mm512_setzero_si512());
            transpose(corner, TILE, to + i * ld_to + k, ld_to);
        }
}

// Working memory for `lay_out`, half a megabyte a thread: rows of whole tiles, each on cache lines of its own.
constexpr long LAID_WORDS = TILED_DEPTH + TILE;  // not a power of two: rows would share their places in the cache
inline uint32_t* laid_out() {
    struct Free {
        void operator()(uint32_t* memory) const { std::free(memory); }
    };
    constexpr long BYTES = (LAID_ROWS + 2 * TILE) * LAID_WORDS * sizeof(uint32_t);
    static_assert(LAID_WORDS * sizeof(uint32_t) % 64 == 0);
    static thread_local std::unique_ptr<uint32_t, Free> memory((uint32_t*)std::aligned_alloc(64, BYTES));
    if (!memory) throw std::bad_alloc();
    return memory.get();
}

// c [m, n] (+)= a [m, words] b [words, n]; element (i, k) of a stands at a[i * row + k * step], n is a multiple of TILE.
inline void tiled_product(
    const uint32_t* a, long row, long step, const uint32_t* b, long ldb, float* c, long ldc, long m, long n,
    long words, bool add) {
    if (step != 1 && m > LAID_ROWS) {
        for (long i = 0; i < m; i += LAID_ROWS)
            tiled_product(
                a + i * row, row, step, b, ldb, c + i * ldc, ldc, std::min(LAID_ROWS, m - i), n, words, add);
        return;
    }
    const long whole = m / (2 * TILE) * (2 * TILE);
    for (long k = 0; k < words; k += TILED_DEPTH) {
        const long depth = std::min(TILED_DEPTH, words - k), steps = depth / TILE, rest = depth % TILE;
        const uint32_t* left = a + k * step;
        long lda = row;
        if (step != 1) {
            lda = LAID_WORDS;
            uint32_t* room = laid_out();
            lay_out(left, step, room, lda, m, depth);
            left = room;
        }
        const auto pass = [&](long first, long rows, long tall) {
            const uint32_t* from = left + first * lda;
            float* to = c + first * ldc;
            const uint32_t* panel = b + k * ldb;
            if (steps) tiled_pass(from, lda, panel, ldb, to, ldc, rows, tall, n, steps, TILE, add || k > 0);
            if (rest)
                tiled_pass(
                    from + steps * TILE, lda, panel + steps * TILE * ldb, ldb, to, ldc, rows, tall, n, 1, rest,
                    add || k > 0 || steps);
        };
        if (whole) pass(0, whole, 2 * TILE);
        if (m > whole) pass(whole, m - whole, m - whole);
    }
    _tile_release();
}
#else
#define HAS_TILES 0
#endif
