// LayerNorm over whole rows, forward and backward.
#pragma once
#include <omp.h>

#include "call.h"

struct NormArguments {  // as laid out in call.py
    int64_t dtype, threads, rows, width;
    float eps;
    const void *x, *weight, *bias;  // [rows, D], [D] or null
    void* y;                        // [rows, D]; in the backward pass its gradient; may be x
    void* d_x;                      // [rows, D]
    float *d_weight, *d_bias;       // [D], or null in the forward pass
};

template <class T>
class LayerNorm {
    using Rows = Call<T, 1>;

   public:
    LayerNorm(const NormArguments& a, Arena& shared) : a_(a), padded_(padded(a.width)) {
        weight_ = vector_of(shared, a.weight, 1.0f), bias_ = vector_of(shared, a.bias, 0.0f);
    }
    // Rows r0 to r1. In the backward pass, sums of the gradients of weight and bias go to sums [2, padded D].
    void run(Arena& arena, long r0, long r1, float* sums) const {
        float *x = (float*)arena.words(padded_), *g = (float*)arena.words(padded_);
        std::fill_n(x, padded_, 0.0f), std::fill_n(g, padded_, 0.0f);
        if (a_.d_weight) std::fill_n(sums, 2 * padded_, 0.0f);
        for (long r = r0; r < r1; r++) {
            Rows::read_row((const T*)a_.x + r * a_.width, x, a_.width);
            const float scale = standardise(x);
            if (!a_.d_weight) {
                for (long j = 0; j < padded_; j += LANES) store(x + j, load(x + j) * load(weight_ + j) + load(bias_ + j));
                Rows::write_row(x, (T*)a_.y + r * a_.width, a_.width);
                continue;
            }
            Rows::read_row((const T*)a_.y + r * a_.width, g, a_.width);
            backward(x, g, scale, sums);
            Rows::write_row(g, (T*)a_.d_x + r * a_.width, a_.width);
        }
    }
    long row_words() const { return padded_; }

   private:
    const NormArguments& a_;
    const long padded_;
    const float *weight_, *bias_;

    const float* vector_of(Arena& arena, const void* p, float otherwise) const {
        float* out = (float*)arena.words(padded_);
        std::fill_n(out, padded_, otherwise);
        if (p) Rows::read_row((const T*)p, out, a_.width);
        return out;
    }
    // x -> (x - mean) / standard deviation; returns one over that. Zeros past the end stay zeros.
    float standardise(float* x) const {
        const float n = (float)a_.width, mean = sum(x, a_.width) / n;
        for (long j = 0; j < padded_; j += LANES) store(x + j, load(x + j) - mean);
        std::fill(x + a_.width, x + padded_, 0.0f);
        vec squares = {};
        for (long j = 0; j < padded_; j += LANES) squares += load(x + j) * load(x + j);
        const float scale = 1 / __builtin_sqrtf(sum(squares) / n + a_.eps);
        for (long j = 0; j < padded_; j += LANES) store(x + j, load(x + j) * scale);
        return scale;
    }
    // Standardised x and the gradient of y -> the gradient of x, in g.
    void backward(const float* x, float* g, float scale, float* sums) const {
        vec total = {}, along = {};
        for (long j = 0; j < padded_; j += LANES) {
            const vec upper = load(g + j), inner = upper * load(weight_ + j);
            store(sums + j, load(sums + j) + upper * load(x + j));
            store(sums + padded_ + j, load(sums + padded_ + j) + upper);
            store(g + j, inner);
            total += inner, along += inner * load(x + j);
        }
        const float mean = sum(total) / (float)a_.width, slope = sum(along) / (float)a_.width;
        for (long j = 0; j < padded_; j += LANES) store(g + j, scale * (load(g + j) - mean - load(x + j) * slope));
        std::fill(g + a_.width, g + padded_, 0.0f);
    }
};
