// Cuts a call into tasks of about equal size and lets threads have equal shares of them.
//
// Which thread does what depends on the sizes and the number of threads alone, and sums over threads are taken in their
// order: results are the same bits every time.
#pragma once
#include <omp.h>

#include "factored.h"
#include "shared_direct.h"

// Chunks that a sequence may have and still be one task of the forward pass: to cut it costs a way to memory and back.
constexpr long WHOLE = 4;

template <class T, int P>
class Schedule {
    using C = Call<T, P>;

   public:
    explicit Schedule(const CallArguments& a, Arena& shared)
        : call_(a), a_(a), shared_(shared), threads_(a.threads), shared_direct_(call_, threads_) {
        read_runs();
        pack();
        if (a.backward) make_sums();
    }

    bool forward() {
        each(whole_, [&](Arena& arena, const Task& task, Sums*) {
            if (task.run->factored) factored_forward(call_, arena, task);
            else direct_forward(call_, arena, task);
        });
        if (!shared_direct_.forward()) failed_ = true;
        if (first_.empty()) return !failed_;
        each(first_, [&](Arena& arena, const Task& span, Sums*) { first_forward(arena, span); });
        each(mixes_, [&](Arena& arena, const Task& task, Sums*) {
            const State s = total(task), c = mixed_[task.slot];
            mix(call_, arena, task.head, s, c, task.k0, task.k1);
            const long at = task.run->state + task.b0;
            keep_state(call_, a_.s, a_.s0, task.head, at, s, task.k0, task.k1);
            keep_state(call_, a_.c, nullptr, task.head, at, c, task.k0, task.k1);
        });
        each(second_, [&](Arena& arena, const Task& span, Sums*) { second_forward(arena, span); });
        return !failed_;
    }

    bool backward() {
        each(whole_, [&](Arena& arena, const Task& task, Sums* sums) {
            if (task.run->factored) factored_backward(call_, arena, task, sums);
            else direct_backward(call_, arena, task, sums);
        });
        if (!first_.empty()) {
            each(first_, [&](Arena& arena, const Task& span, Sums*) { first_backward(arena, span); });
            each(mixes_, [&](Arena& arena, const Task& task, Sums* sums) {
                const long at = task.run->state + task.b0;
                const State s = kept_state(call_, arena, a_.s, a_.s0, task.head, at);
                mix_backward(call_, arena, sums, task.head, s, total(task), mixed_[task.slot], task.k0, task.k1);
            });
            each(second_, [&](Arena& arena, const Task& span, Sums* sums) { second_backward(arena, span, sums); });
        }
        add_sums();
        return !failed_;
    }

   private:
    C call_;
    const CallArguments& a_;
    Arena& shared_;
    const int threads_;
    SharedDirect<C> shared_direct_;
    std::atomic<bool> failed_{false};
    std::vector<Run> runs_;
    std::vector<Task> whole_;                   // whole sequences
    std::vector<Task> first_, mixes_, second_;  // spans of sequences that are cut, before and after `mix`, and that
    // Of sequences that are cut: states of their spans, [spans, heads] for each, and what `mix` makes, [heads].
    std::vector<State> partial_, mixed_;
    std::vector<std::array<long, 2>> spans_of_;  // first partial state and number of spans of each in mixed_
    std::vector<Sums> sums_;  // [threads, heads, networks]

    int networks() const { return a_.query_net.hidden ? 2 : 1; }

    // --- Cutting -----------------------------------------------------------------------------------------------

    void read_runs() {
        Run next{};
        for (long i = 0; i < a_.run_count; i++) {
            const int64_t* r = a_.runs + 6 * i;
            Run run = next;
            run.batch = r[0], run.keys = r[1], run.queries = r[2], run.factored = r[3], run.block = r[4],
            run.chunk = r[5];
            const long whole = a_.backward || run.batch * call_.heads < threads_ ? 1 : WHOLE;
            run.cut = run.factored && std::max(run.keys, run.queries) > run.chunk * whole;
            runs_.push_back(run);
            next.sequence = run.sequence + run.batch;
            next.key = run.key + run.batch * run.keys;
            next.query = run.query + run.batch * run.queries;
            next.state = run.state + (run.factored ? run.batch : 0);
        }
        long whole = 0;
        for (const Run& run : runs_) whole += run.batch * call_.heads;
        for (const Run& run : runs_) {
            if (run.cut)
                for (long b = 0; b < run.batch; b++) cut_sequence(run, b);
            else if (!run.factored && !a_.backward && whole < threads_)
                shared_direct_.add(run, (threads_ + whole - 1) / std::max(whole, 1L));
            else groups(run);
        }
    }
    double token_cost(const Run& run) const {
        return (double)call_.D * (run.factored ? 3 * call_.D : call_.D + 3 * call_.K) + 20.0 * call_.D;
    }
    void groups(const Run& run) {
        const long longest = std::max({run.keys, run.queries, 1L});
        const long share = (run.batch * call_.heads + 4 * threads_ - 1) / (4 * threads_);  // four tasks for a thread
        const long most = std::max(1L, std::min(run.chunk / longest, share)), count = (run.batch + most - 1) / most;
        const double sequence = token_cost(run) * longest + 40.0 * call_.K * call_.D;
        for (long i = 0; i < count; i++)
            for (long head = 0; head < call_.heads; head++) {
                const long b0 = run.batch * i / count, b1 = run.batch * (i + 1) / count;
                whole_.push_back({&run, head, b0, b1, 0, run.keys, 0, run.queries, 0, sequence * (b1 - b0)});
            }
    }
    // Cuts [0, tokens) in `count` parts; no cut parts a pair.
    static long cut_at(long tokens, long i, long count) { return i == count ? tokens : tokens * i / count / P * P; }

    // A span is worked on chunk by chunk, all heads of one before the next: its rows are in cache then.
    void cut_sequence(const Run& run, long b) {
        const long chunks = (std::max(run.keys, run.queries) + run.chunk - 1) / run.chunk;
        const long spans = std::min(chunks, (2 * threads_ - 1) / run.batch + 1);
        const long slot = (long)mixed_.size(), first = (long)partial_.size();
        for (long i = 0; i < spans; i++) {
            second_.push_back({
                &run, 0, b, b + 1, cut_at(run.keys, i, spans), cut_at(run.keys, i + 1, spans),
                cut_at(run.queries, i, spans), cut_at(run.queries, i + 1, spans), slot, 1.0});
            first_.push_back(second_.back());
            first_.back().slot = (long)partial_.size();
            for (long head = 0; head < call_.heads; head++) partial_.push_back(new_state<P>(shared_, call_.D));
        }
        const long columns = run.batch * call_.heads >= 4 * threads_ ? call_.D : std::min(call_.D, 4 * PAD);
        for (long head = 0; head < call_.heads; head++) {
            mixed_.push_back(new_state<P>(shared_, call_.D));
            spans_of_.push_back({first + head, spans});
            for (long c = 0; c < call_.D; c += columns)
                mixes_.push_back({&run, head, b, b + 1, c, std::min(c + columns, call_.D), 0, 0, slot + head, 1.0});
        }
    }

    // --- Sequences that are cut ----------------------------------------------------------------------------------

    // Calls f on all heads of one chunk after the other of a span; `slot` becomes the head's.
    template <class F>
    void each_chunk(Arena& arena, const Task& span, F f) {
        const long keys = span.k1 - span.k0, queries = span.q1 - span.q0;
        const long count = std::max(1L, (std::max(keys, queries) + span.run->chunk - 1) / span.run->chunk);
        for (long i = 0; i < count; i++) {
            Task task = span;
            task.k0 = span.k0 + cut_at(keys, i, count), task.k1 = span.k0 + cut_at(keys, i + 1, count);
            task.q0 = span.q0 + cut_at(queries, i, count), task.q1 = span.q0 + cut_at(queries, i + 1, count);
            for (; task.head < call_.heads; task.head++, task.slot++) {
                const auto mark = arena.mark();
                f(task, i > 0);
                arena.back_to(mark);
            }
        }
    }
    void first_forward(Arena& arena, const Task& span) {
        each_chunk(arena, span, [&](const Task& task, bool add) {
            const auto keys = C::keys_of(task);
            const Words z = call_.informed(arena, call_.key, task.head, keys, ROWS).rows;
            const Factors f = call_.features(arena, 0, call_.key.pre, task.head, keys, z, call_.tied ? BOTH : PAIRS);
            const Words v = call_.values(arena, task.head, keys, *task.run, PAIRS).pairs;
            accumulate(call_, f.pairs, v, keys.rows(), partial_[task.slot], add);
            // Activations that are read again wait where the output will stand.
            if (!call_.tied) return;
            call_.write(a_.y, nullptr, task.head, keys, [&](long row, long j, long) {
                return value_of_word<P>(f.rows.p + row * f.rows.ld, j);
            });
        });
    }
    void second_forward(Arena& arena, const Task& span) {
        std::vector<Reading> c;
        for (long head = 0; head < call_.heads; head++)
            c.push_back(reading(call_, arena, mixed_[span.slot + head], false));
        each_chunk(arena, span, [&](const Task& task, bool) {
            const Left f = call_.tied ? call_.left(arena, a_.y, nullptr, task.head, C::queries_of(task))
                                      : as_rows(query_features(call_, arena, task).rows);
            read_state(call_, arena, task, f, c[task.head]);
        });
    }
    void first_backward(Arena& arena, const Task& span) {
        void* pre = call_.tied ? call_.key.pre : call_.query.pre;
        each_chunk(arena, span, [&](const Task& task, bool add) {
            const auto queries = C::queries_of(task);
            const Words g = call_.read(arena, a_.y, nullptr, task.head, queries, PAIRS).pairs;
            const Words f = call_.features_again(arena, pre, task.head, queries, PAIRS).pairs;
            accumulate(call_, f, g, queries.rows(), partial_[task.slot], add);
        });
    }
    void second_backward(Arena& arena, const Task& span, Sums* sums) {
        std::vector<std::pair<Reading, Reading>> states;
        for (long head = 0; head < call_.heads; head++) {
            const State c = kept_state(call_, arena, a_.c, nullptr, head, span.run->state + span.b0);
            states.push_back({reading(call_, arena, c, true), reading(call_, arena, mixed_[span.slot + head], true)});
        }
        each_chunk(arena, span, [&](const Task& task, bool) {
            tokens_backward(call_, arena, sums + task.head * networks(), task, [&](long) { return states[task.head]; });
        });
    }
    // The sum of the states of a sequence's spans, columns k0 to k1; it takes the place of the first.
    State total(const Task& task) {
        const auto [start, spans] = spans_of_[task.slot];
        const State first = partial_[start];
        for (long i = 1; i < spans; i++) {
            const State& next = partial_[start + i * call_.heads];
            for (long j = task.k0; j < task.k1; j += LANES) {
                for (long row = 0; row < call_.D; row++)
                    store(first.matrix.row(row) + j, load(first.matrix.row(row) + j) + load(next.matrix.row(row) + j));
                store(first.vector + j, load(first.vector + j) + load(next.vector + j));
            }
        }
        return first;
    }

    // --- Threads -----------------------------------------------------------------------------------------------

    template <class F>
    void each(const std::vector<Task>& tasks, F f) {
        if (tasks.empty()) return;
        double total = 0;
        for (const Task& task : tasks) total += task.cost;
#pragma omp parallel num_threads(threads_)
        {
            Arena& arena = own_arena();
            const int thread = omp_get_thread_num(), count = omp_get_num_threads();
            double before = 0;
            for (const Task& task : tasks) {
                const int owner = std::min(count - 1, (int)((before + task.cost / 2) / total * count));
                before += task.cost;
                if (owner != thread || failed_) continue;
                try {
                    f(arena, task, a_.backward ? &sums_[(thread * call_.heads + task.head) * networks()] : nullptr);
                } catch (const std::bad_alloc&) {
                    failed_ = true;
                }
                arena.clear();  // never throws
            }
            arena.shrink(MOST_KEPT_WORDS);
        }
    }
    void pack() {
        const long heads = call_.heads;
        for (int which = 0; which < networks(); which++) call_.nets[which].resize(heads);
        for (int which = 0; which < networks(); which++)
            for (long head = 0; head < heads; head++) call_.pack(which, head, shared_);
    }
    void make_sums() {
        const long D = call_.D, K = call_.K;
        for (long i = 0; i < threads_ * networks() * call_.heads; i++) {
            Tiles<P> tiles{shared_};
            Sums sums{tiles.matrix(D, D), (float*)shared_.words(D), tiles.matrix(K, D), (float*)shared_.words(K)};
            set_zero(sums.hidden, D, D), set_zero(sums.out, K, D);
            std::fill_n(sums.hidden_bias, D, 0.0f), std::fill_n(sums.out_bias, K, 0.0f);
            sums_.push_back(sums);
        }
    }
    void add_sums() {
        const long heads = call_.heads, d = call_.d, k = call_.k;
        for (int which = 0; which < networks(); which++) {
            const NetworkArguments& net = which ? a_.query_net : a_.key_net;
            for (long head = 0; head < heads; head++)
                for (int t = 0; t < threads_; t++) {
                    const Sums& sums = sums_[(t * heads + head) * networks() + which];
                    const auto add = [&](float* to, const float* from, long n) {
                        if (to) for (long j = 0; j < n; j++) to[j] = t ? to[j] + from[j] : from[j];
                    };
                    for (long i = 0; i < d; i++) add(net.d_hidden + (head * d + i) * d, sums.hidden.row(i), d);
                    for (long i = 0; i < k; i++) add(net.d_out + (head * k + i) * d, sums.out.row(i), d);
                    add(net.d_hidden_bias ? net.d_hidden_bias + head * d : nullptr, sums.hidden_bias, d);
                    add(net.d_out_bias ? net.d_out_bias + head * k : nullptr, sums.out_bias, k);
                }
        }
    }
};
