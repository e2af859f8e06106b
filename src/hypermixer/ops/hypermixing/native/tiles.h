// Matrices of float32 in working memory that stays between calls, and the layouts of words that products read.
#pragma once
#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "product.h"

inline std::atomic<long> words_held{0};  // by all arenas

// Working memory of one thread: handed out piece by piece, taken back as a whole.
class Arena {
   public:
    ~Arena() { forget(); }
    uint32_t* words(long n) {
        n = padded(n);
        if (blocks_.empty() || used_ + n > blocks_.back().size) {
            const long size = std::max({n, wanted_, 1L << 18});
            void* p = nullptr;
            if (posix_memalign(&p, 64, (size_t)size * 4)) throw std::bad_alloc();
            blocks_.push_back({(uint32_t*)p, size});
            words_held += size;
            used_ = 0;
        }
        uint32_t* p = blocks_.back().p + used_;
        used_ += n;
        return p;
    }
    struct Mark {
        size_t blocks;
        long used;
    };
    Mark mark() const { return {blocks_.size(), used_}; }
    // What was handed out since the mark is free again, unless a new block had to be added.
    void back_to(Mark mark) {
        if (blocks_.size() == mark.blocks) used_ = mark.used;
    }
    // Everything is free again; what took several blocks will find its place in one.
    void clear() {
        used_ = 0;
        if (blocks_.size() < 2) return;
        wanted_ = 0;
        for (auto& block : blocks_) wanted_ += block.size;
        forget();
    }
    // Gives memory back to the system where there is more than so much of it.
    void shrink(long most_words) {
        clear();
        if (!blocks_.empty() && blocks_[0].size > most_words) forget();
        wanted_ = std::min(wanted_, most_words);
    }

   private:
    struct Part {
        uint32_t* p;
        long size;
    };
    void forget() {
        for (auto& block : blocks_) free(block.p), words_held -= block.size;
        blocks_.clear();
        used_ = 0;
    }
    std::vector<Part> blocks_;
    long used_ = 0, wanted_ = 0;  // words handed out of the last block; the next block's least size
};

constexpr long MOST_KEPT_WORDS = 16L << 20;  // working memory of a thread that stays between calls

static Arena& own_arena() {
    static thread_local Arena arena;
    return arena;
}

struct Matrix {  // float32
    float* p;
    long ld;
    float* row(long i) const { return p + i * ld; }
    Matrix from(long i) const { return {p + i * ld, ld}; }
    Matrix column(long j) const { return {p + j, ld}; }
};
inline Words words_of(Matrix m) { return {(const uint32_t*)m.p, m.ld}; }
inline Words from(Words w, long i) { return {w.p + i * w.ld, w.ld}; }

// One line more than the columns: rows of a power of two would share their places in the cache.
inline long leading(long columns) { return padded(columns) + PAD; }

// Two rows as one row of words: the left one of each pair stands in the lower half.
inline void store_pair(uint32_t* out, vec even, vec odd) {
#if HAS_BF16_PRODUCT
    const auto narrow = [](vec v) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v)); };
    _mm512_storeu_si512(out, _mm512_or_si512(narrow(even), _mm512_slli_epi32(narrow(odd), 16)));
#else
    *(bits_in_memory*)out = rounded(even) | (rounded(odd) << 16);
#endif
}

// The sum of what LANES words hold.
template <int P>
inline vec sum_of_word(const uint32_t* p) {
    const bits b = *(const bits_in_memory*)p;
    return P == 1 ? (vec)b : (vec)(b << 16) + (vec)(b & 0xffff0000u);
}

// LANES values of a row of words whose pairs stand along it, from value j on.
template <int P>
inline vec value_of_word(const uint32_t* row, long j) {
    if constexpr (P == 1) return load((const float*)row + j);
    return load((const bf16*)row + j);
}

// A matrix as factors of products, each where it was asked for.
struct Factors {
    Words rows;   // [m, n / P]: the left factor of a product over n; pairs stand along n
    Words pairs;  // [m / P, n]: the right factor of a product over m, or its left one `transposed`; pairs along m
};
enum Want { ROWS = 1, PAIRS = 2, BOTH = 3 };

template <int P>
struct Tiles {
    Arena& arena;

    Matrix matrix(long m, long n) { return {(float*)arena.words(m * leading(n)), leading(n)}; }

    // Calls f(i, j) -> vec for all of [m, n] and lays the results out; m is a multiple of P.
    // `into` is where float32 words may stand.
    template <class F>
    Factors factors(long m, long n, int want, F f, Matrix into = {nullptr, 0}) {
        if constexpr (P == 1) {
            const Matrix out = into.p ? into : matrix(m, n);
            for (long i = 0; i < m; i++)
                for (long j = 0; j < n; j += LANES) store(out.row(i) + j, f(i, j));
            return {words_of(out), words_of(out)};
        }
        Factors out{{nullptr, leading(n / 2)}, {nullptr, leading(n)}};
        uint32_t* rows = want & ROWS ? arena.words(m * out.rows.ld) : nullptr;
        uint32_t* pairs = want & PAIRS ? arena.words(m / 2 * out.pairs.ld) : nullptr;
        out.rows.p = rows, out.pairs.p = pairs;
        for (long i = 0; i < m; i += 2) {
            bf16* even = (bf16*)(rows + i * out.rows.ld);
            bf16* odd = (bf16*)(rows + (i + 1) * out.rows.ld);
            for (long j = 0; j < n; j += LANES) {
                const vec a = f(i, j), b = f(i + 1, j);
                if (rows) store(even + j, a), store(odd + j, b);
                if (pairs) store_pair(pairs + i / 2 * out.pairs.ld + j, a, b);
            }
        }
        return out;
    }
    // Of a matrix as it is.
    Factors factors(Matrix a, long m, long n, int want) {
        if constexpr (P == 1) return {words_of(a), words_of(a)};
        return factors(m, n, want, [&](long i, long j) { return load(a.row(i) + j); });
    }
    Words rows(Matrix a, long m, long n) { return factors(a, m, n, ROWS).rows; }
    Words pairs(Matrix a, long m, long n) { return factors(a, m, n, PAIRS).pairs; }
    // The transposed of rows [m, n / P] as the right factor of a product over n. Its rows may be read LANES words past m.
    Words columns(Words w, long m, long n) {
        const long ld = leading(m), count = n / P;
        uint32_t* out = arena.words(count * ld + PAD);
        const long whole_rows = m / LANES * LANES, whole_columns = count / LANES * LANES;
        for (long i = 0; i < whole_rows; i += LANES)
            for (long j = 0; j < whole_columns; j += LANES) transpose(w.p + i * w.ld + j, w.ld, out + j * ld + i, ld);
        for (long i = 0; i < m; i++)
            for (long j = i < whole_rows ? whole_columns : 0; j < count; j++) out[j * ld + i] = w.p[i * w.ld + j];
        return {out, ld};
    }
    Words columns(Matrix a, long m, long n) { return columns(rows(a, m, n), m, n); }
};

inline void set_zero(Matrix a, long m, long n) {
    for (long i = 0; i < m; i++) std::fill_n(a.row(i), n, 0.0f);
}
