// Matrices of float32 in working memory that stays between calls, and the layouts of words that products read.
#pragma once
#include <array>
#include <cstdlib>
#include <new>
#include <vector>

#include "product.h"

// Working memory of one thread: handed out piece by piece, taken back as a whole.
class Arena {
   public:
    ~Arena() { forget(); }
    uint32_t* words(long n) {
        n = padded(n);
        if (blocks_.empty() || used_ + n > blocks_.back().size) {
            const long size = std::max(n, 1L << 18);
            void* p = nullptr;
            if (posix_memalign(&p, 64, (size_t)size * 4)) throw std::bad_alloc();
            blocks_.push_back({(uint32_t*)p, size});
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
        long total = 0;
        for (auto& block : blocks_) total += block.size;
        forget();
        words(total);
        used_ = 0;
    }
    // Gives memory back to the system where there is more than so much of it.
    void shrink(long most_words) {
        clear();
        if (!blocks_.empty() && blocks_[0].size > most_words) forget();
    }

   private:
    struct Part {
        uint32_t* p;
        long size;
    };
    void forget() {
        for (auto& block : blocks_) free(block.p);
        blocks_.clear();
        used_ = 0;
    }
    std::vector<Part> blocks_;
    long used_ = 0;
};

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

template <int P>
struct Tiles {
    Arena& arena;

    Matrix matrix(long m, long n) { return {(float*)arena.words(m * leading(n)), leading(n)}; }

    // [m, n] as the left factor of a product over n, or over m after `transposed`: pairs stand along n.
    Words rows(Matrix a, long m, long n) {
        if constexpr (P == 1) return words_of(a);
        const long ld = leading(n / 2);
        uint32_t* out = arena.words(m * ld);
        for (long i = 0; i < m; i++)
            for (long j = 0; j < n; j += PAD) {
                bf16* to = (bf16*)(out + i * ld) + j;
                for (long l = 0; l < PAD; l += LANES) store(to + l, load(a.row(i) + j + l));
            }
        return {out, ld};
    }
    // [m, n], m a multiple of P, as the right factor of a product over m, or its left factor once `transposed`: pairs
    // stand along m.
    Words pairs(Matrix a, long m, long n) {
        if constexpr (P == 1) return words_of(a);
        const long ld = leading(n);
        uint32_t* out = arena.words(m / 2 * ld);
        for (long i = 0; i < m; i += 2) pair(a.row(i), a.row(i + 1), out + i / 2 * ld, n);
        return {out, ld};
    }
    // The transposed of [m, n] as the right factor of a product over n. Its rows may be read LANES words past m.
    Words columns(Matrix a, long m, long n) {
        const Words w = rows(a, m, n);
        const long ld = leading(m), count = n / P;
        uint32_t* out = arena.words(count * ld + PAD);
        for (long i = 0; i < m; i += PAD)
            for (long j = 0; j < count; j += PAD) transpose_block(w, out, ld, i, j, m, count);
        return {out, ld};
    }

    static void pair(const float* even, const float* odd, uint32_t* out, long n) {
        for (long j = 0; j < n; j += LANES) {
#if HAS_BF16_PRODUCT
            const auto narrow = [](const float* p) {
                return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)load(p)));
            };
            const __m512i high = _mm512_slli_epi32(narrow(odd + j), 16);
            _mm512_storeu_si512(out + j, _mm512_or_si512(narrow(even + j), high));
#else
            *(bits_in_memory*)(out + j) = rounded(load(even + j)) | (rounded(load(odd + j)) << 16);
#endif
        }
    }

   private:
    static void transpose_block(Words w, uint32_t* out, long ld, long i0, long j0, long m, long n) {
        const long i1 = std::min(i0 + PAD, m), j1 = std::min(j0 + PAD, n);
        for (long j = j0; j < j1; j++)
            for (long i = i0; i < i1; i++) out[j * ld + i] = w.p[i * w.ld + j];
    }
};

inline void set_zero(Matrix a, long m, long n) {
    for (long i = 0; i < m; i++) std::fill_n(a.row(i), n, 0.0f);
}
