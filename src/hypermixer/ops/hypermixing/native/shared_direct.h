// The direct form where threads outnumber whole sequences and heads: several threads work on each.
//
// They share out its tokens, which generate their weights; then the rows of GELU(P), each summed over all tokens; then
// its tokens again, which read all rows. What one thread makes waits in its arena until all have read it.
#pragma once
#include <omp.h>

#include "direct.h"

template <class C>
class SharedDirect {
   public:
    SharedDirect(const C& call, int threads) : call_(call), threads_(threads) {}

    // Takes the sequences of a run; `parts` threads are to work on each of their heads.
    void add(const Run& run, long parts) {
        for (long b = 0; b < run.batch; b++)
            for (long head = 0; head < call_.heads; head++)
                for (long i = 0; i < parts; i++) {
                    const auto cut = [&](long tokens, long at) {
                        return at == parts ? tokens : tokens * at / parts / C::P * C::P;
                    };
                    const Task tokens{
                        &run, head, b, b + 1, cut(run.keys, i), cut(run.keys, i + 1), cut(run.queries, i),
                        cut(run.queries, i + 1), 0, 1.0};
                    const long k0 = call_.K / PAD * i / parts * PAD, k1 = call_.K / PAD * (i + 1) / parts * PAD;
                    const long first = (long)(shares_.size() - i);
                    shares_.push_back({tokens, k0, k1, first, parts, {}, {}});
                }
    }

    // false: out of memory.
    bool forward() {
        if (shares_.empty()) return true;
        std::atomic<bool> failed{false};
#pragma omp parallel num_threads(threads_)
        {
            Arena& arena = own_arena();
            each(failed, [&](Share& share) { share.generated = generated(call_, arena, share.tokens); });
#pragma omp barrier
            each(failed, [&](Share& share) {
                const auto all = generated_of(share);
                share.hidden = hidden_rows(call_, arena, all.data(), share.parts, share.k0, share.k1);
            });
#pragma omp barrier
            each(failed, [&](Share& share) {
                const Matrix y = Tiles<C::P>{arena}.matrix(share.generated.queries, call_.D);
                for (long i = share.first; i < share.first + share.parts; i++)
                    read_hidden(call_, share.generated, shares_[i].hidden, y, shares_[i].k0, shares_[i].k1);
                write_output(call_, share.tokens, y);
            });
#pragma omp barrier
            arena.shrink(MOST_KEPT_WORDS);
        }
        return !failed;
    }

   private:
    struct Share {  // of one sequence and head: some tokens, and rows k0 to k1 of GELU(P)
        Task tokens;
        long k0, k1, first, parts;  // its sequence's shares begin at `first`
        Generated generated;
        Words hidden;
    };

    const C& call_;
    const int threads_;
    std::vector<Share> shares_;

    std::vector<Generated> generated_of(const Share& share) const {
        std::vector<Generated> all;
        for (long i = 0; i < share.parts; i++) all.push_back(shares_[share.first + i].generated);
        return all;
    }

    // Calls f on this thread's part of the shares.
    template <class F>
    void each(std::atomic<bool>& failed, F f) {
        const long thread = omp_get_thread_num(), count = omp_get_num_threads(), n = (long)shares_.size();
        try {
            for (long i = n * thread / count; i < n * (thread + 1) / count && !failed; i++) f(shares_[i]);
        } catch (const std::bad_alloc&) {
            failed = true;
        }
    }
};
