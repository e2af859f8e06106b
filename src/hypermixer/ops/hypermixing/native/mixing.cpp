// Entry points.
#include "norm.h"
#include "schedule.h"

namespace {

template <class T, int P>
int evaluate(const CallArguments& a) {
    static thread_local Arena shared;
    bool done = false;
    try {
        Schedule<T, P> schedule(a, shared);
        done = a.backward ? schedule.backward() : schedule.forward();
    } catch (const std::bad_alloc&) {
    }
    shared.shrink(MOST_KEPT_WORDS);
    return done ? 0 : 1;
}

template <class T>
int normalise(const NormArguments& a) {
    static thread_local Arena shared;
    std::atomic<bool> failed{false};
    try {
        const LayerNorm<T> norm(a, shared);
        const long size = 2 * norm.row_words();
        float* sums = (float*)shared.words(a.threads * size);
#pragma omp parallel num_threads((int)a.threads)
        {
            Arena& arena = own_arena();
            const long thread = omp_get_thread_num(), count = omp_get_num_threads();
            try {
                norm.run(arena, a.rows * thread / count, a.rows * (thread + 1) / count, sums + thread * size);
            } catch (const std::bad_alloc&) {
                failed = true;
            }
            arena.shrink(MOST_KEPT_WORDS);
#pragma omp barrier
#pragma omp single
            if (a.d_weight)
                for (long j = 0; j < a.width; j++) {
                    a.d_weight[j] = a.d_bias[j] = 0;
                    for (long t = 0; t < count; t++) {
                        a.d_weight[j] += sums[t * size + j];
                        a.d_bias[j] += sums[t * size + size / 2 + j];
                    }
                }
        }
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    shared.shrink(MOST_KEPT_WORDS);
    return failed;
}

}  // namespace

// 0: done, 1: out of memory. dtype is 0 for float32, 1 for bfloat16.
extern "C" __attribute__((visibility("default"))) int hypermixer_mixing(const CallArguments* a) {
    if (a->dtype == 0) return evaluate<float, 1>(*a);
    return evaluate<bf16, HAS_BF16_PRODUCT ? 2 : 1>(*a);
}
extern "C" __attribute__((visibility("default"))) int hypermixer_layer_norm(const NormArguments* a) {
    return a->dtype == 0 ? normalise<float>(*a) : normalise<bf16>(*a);
}
extern "C" __attribute__((visibility("default"))) int64_t hypermixer_bytes_held() { return 4 * words_held; }
