// What a call of the operator is made of: arguments as Python passes them, packed weights, tokens, a network on them.
#pragma once
#include "tiles.h"

// --- As laid out in call.py ------------------------------------------------------------------------------------------

struct NetworkArguments {  // [H, R, D/H], [H, R], [H, K/H, R], [H, K/H]; biases may be null; gradients are float32 sums
    const void *hidden, *hidden_bias, *out, *out_bias;
    float *d_hidden, *d_hidden_bias, *d_out, *d_out_bias;
};
struct SideArguments {
    const void* x;          // [tokens, D]; null: as the keys
    const uint8_t* keep;    // [tokens] or null
    const void* positions;  // [N, D] or [tokens, D] or null
    int64_t positions_each;
    void* pre;   // [tokens, D]: hidden layer before the GELU, or null where it is not kept
    void* grad;  // [tokens, D]
};
struct CallArguments {
    int64_t dtype, threads, width, heads, hidden, tied, run_count, state_count, backward;
    float scale;
    const int64_t* runs;  // six for each: see RunSpec
    SideArguments key, query, value;
    const float* divisor;  // [sequences] or null
    NetworkArguments key_net, query_net;
    void *y, *s, *c, *s0;  // y: [tokens, D], in the backward pass its gradient; s, c, s0 null where they are not kept
};

// --- What they are made into ---------------------------------------------------------------------------------------

struct Run {  // B sequences of N keys and M queries
    long batch, keys, queries, factored, block, chunk;
    long sequence, key, query, state;  // where its sequences, tokens and states begin
    bool cut;                          // whether a sequence is more than one task
};
struct Network {  // one head's weights as products read them; see `pack`
    Words hidden_t, hidden_pairs, out_t, out_rows, out_pairs;
    const float *hidden_bias, *out_bias;  // padded; zeros where there is none
};
struct Sums {  // one thread's gradients of one head's weights: [R, D], [R], [K, R], [K]
    Matrix hidden;
    float* hidden_bias;
    Matrix out;
    float* out_bias;
};
struct Task {  // some tokens of some sequences of a run, for one head
    const Run* run;
    long head, b0, b1;    // sequences
    long k0, k1, q0, q1;  // keys and queries, of each
    long slot;            // of a sequence that is cut: which states are meant
    double cost;
};

template <class T, int P_>
struct Call {
    using Element = T;
    static constexpr int P = P_;
    static constexpr bool ROUGH = sizeof(T) == 2;
    const CallArguments& arguments;
    const long heads, d, k, D, K;  // d, k of one head; D, K padded
    std::vector<Network> nets[2];  // of keys, of queries
    const SideArguments &key, &query;
    const bool tied, self;

    explicit Call(const CallArguments& a)
        : arguments(a), heads(a.heads), d(a.width / a.heads), k(a.hidden / a.heads), D(padded(d)), K(padded(k)),
          key(a.key), query(a.query), tied(a.tied), self(!a.query.x) {}

    static long even(long tokens) { return (tokens + P - 1) / P * P; }
    long width() const { return arguments.width; }
    int query_net() const { return arguments.query_net.hidden ? 1 : 0; }
    const SideArguments& query_tokens() const { return self ? key : query; }

    void pack(int which, long head, Arena& arena) {
        const NetworkArguments& from = which ? arguments.query_net : arguments.key_net;
        Tiles<P> tiles{arena};
        bool direct = false, factored = false;
        for (long i = 0; i < arguments.run_count; i++) (arguments.runs[6 * i + 3] ? factored : direct) = true;
        // What is only transposed may be read where it stands.
        const bool in_place = sizeof(T) == 4 && d == D && k == K && !arguments.backward;
        const auto matrix_of = [&](const void* p, long m, long n, bool only_transposed) {
            if (in_place && only_transposed) return Matrix{(float*)p + head * m * n, n};
            Matrix out = tiles.matrix(padded(m), padded(n));
            set_zero(out, padded(m), padded(n));
            for (long i = 0; i < m; i++) read_row((const T*)p + (head * m + i) * n, out.row(i), n);
            return out;
        };
        const auto padded_vector = [&](const void* p, long n) {
            float* out = (float*)arena.words(padded(n));
            std::fill_n(out, padded(n), 0.0f);
            if (p) read_row((const T*)p + head * n, out, n);
            return out;
        };
        Network& net = nets[which][head];
        const Matrix hidden = matrix_of(from.hidden, d, d, true), out = matrix_of(from.out, k, d, !factored);
        net.hidden_bias = padded_vector(from.hidden_bias, d);
        net.out_bias = padded_vector(from.out_bias, k);
        if (arguments.backward) net.hidden_pairs = tiles.pairs(hidden, D, D);
        else net.hidden_t = tiles.columns(hidden, D, D);
        if (direct) net.out_t = tiles.columns(out, K, D);
        if (factored) net.out_rows = tiles.rows(out, K, D);
        if (factored || arguments.backward) net.out_pairs = tiles.pairs(out, K, D);
    }

    // --- Tokens: rows of a tile are sequence after sequence, each padded to an even number with zeros --------------

    static void read_row(const T* from, float* to, long n) {
        long j = 0;
        for (; j + LANES <= n; j += LANES) store(to + j, load(from + j));
        for (; j < n; j++) to[j] = widened(from[j]);
    }
    static void write_row(const float* from, T* to, long n) {
        long j = 0;
        for (; j + LANES <= n; j += LANES) store(to + j, load(from + j));
        for (; j < n; j++) narrow(from[j], to + j);
    }

    struct Range {  // b0 to b1 of sequences of `length` tokens that begin at `first`, t0 to t1 of each
        long first, length, b0, b1, t0, t1;
        long tokens() const { return even(t1 - t0); }
        long rows() const { return (b1 - b0) * tokens(); }
        template <class F>
        void each(F f) const {  // f(row, token, sequence, place in the sequence); token < 0: padding
            for (long b = b0, row = 0; b < b1; b++) {
                for (long t = t0; t < t1; t++) f(row++, first + b * length + t, b, t);
                for (long t = t1; t < t0 + tokens(); t++) f(row++, -1L, b, t);
            }
        }
    };
    static Range keys_of(const Task& t) { return {t.run->key, t.run->keys, t.b0, t.b1, t.k0, t.k1}; }
    static Range queries_of(const Task& t) { return {t.run->query, t.run->queries, t.b0, t.b1, t.q0, t.q1}; }

    // One head's columns of a row of [tokens, D]; zeros where there is no row.
    struct Row {
        const T* p;
        long d;
        vec at(long j) const {
            if (!p) return vec{};
            if (j + LANES <= d) return load(p + j);
            float rest[LANES] = {};
            if (j < d) read_row(p + j, rest, d - j);
            return load(rest);
        }
    };
    // Asks for it already: rows lie apart, and the processor does not see which comes next.
    Row row_of(const void* x, long token, long head) const {
        const T* p = (const T*)x + token * width() + head * d;
        for (long j = 0; j < d; j += 64 / (long)sizeof(T)) __builtin_prefetch(p + j, 0, 2);
        return {p, d};
    }

    // Calls f(row, vec, column) on [tokens, D] read as a side's tokens: zeros where dropped or padded.
    Factors read(Arena& arena, const void* x, const uint8_t* keep, long head, Range range, int want) const {
        const auto rows = row_list(arena, range, [&](long token, long, long) {
            return token < 0 || (keep && !keep[token]) ? Row{nullptr, d} : row_of(x, token, head);
        });
        return Tiles<P>{arena}.factors(range.rows(), D, want, [&](long i, long j) { return rows[i].at(j); });
    }
    // The same of rows that may serve as they stand; for products of one sequence's tokens, or of whole ones.
    Left left(Arena& arena, const void* x, const uint8_t* keep, long head, Range range) const {
        const bool in_place = sizeof(T) * P == 4 && d == D && !keep && range.tokens() == range.t1 - range.t0 &&
                              (range.b1 - range.b0 == 1 || range.tokens() == range.length);
        if (!in_place) return as_rows(read(arena, x, keep, head, range, ROWS).rows);
        const long first = range.first + range.b0 * range.length + range.t0;
        return {(const uint32_t*)row_of(x, first, head).p, width() / P, 1};
    }
    Factors tokens(Arena& arena, const SideArguments& side, long head, Range range, int want) const {
        return read(arena, side.x, side.keep, head, range, want);
    }
    // What a network sees of tokens: times scale, plus positions.
    Factors informed(Arena& arena, const SideArguments& side, long head, Range range, int want) const {
        struct Source {
            Row x, code;
        };
        const float scale = arguments.scale;
        const auto rows = row_list(arena, range, [&](long token, long, long place) {
            Source row{{nullptr, d}, {nullptr, d}};
            if (token < 0) return row;
            if (!side.keep || side.keep[token]) row.x = row_of(side.x, token, head);
            if (side.positions) row.code = row_of(side.positions, side.positions_each ? token : place, head);
            return row;
        });
        return Tiles<P>{arena}.factors(
            range.rows(), D, want, [&](long i, long j) { return rows[i].x.at(j) * scale + rows[i].code.at(j); });
    }
    // Values: the keys as they are, or other tokens, or either divided.
    Factors values(Arena& arena, long head, Range range, const Run& run, int want) const {
        const void* x = arguments.value.x ? arguments.value.x : key.x;
        if (!arguments.divisor) return read(arena, x, key.keep, head, range, want);
        struct Source {
            Row x;
            float factor;
        };
        const auto rows = row_list(arena, range, [&](long token, long b, long) {
            const bool there = token >= 0 && (!key.keep || key.keep[token]);
            return Source{there ? row_of(x, token, head) : Row{nullptr, d}, 1 / arguments.divisor[run.sequence + b]};
        });
        return Tiles<P>{arena}.factors(
            range.rows(), D, want, [&](long i, long j) { return rows[i].x.at(j) * rows[i].factor; });
    }
    // a (+ b) into one head's columns of [tokens, D]; zero where dropped.
    template <class F>
    void write(void* to, const uint8_t* keep, long head, Range range, F f) const {
        T* rows = (T*)to + head * d;
        range.each([&](long row, long token, long b, long) {
            if (token < 0) return;
            T* out = rows + token * width();
            const bool there = !keep || keep[token];
            long j = 0;
            for (; j + LANES <= d; j += LANES) store(out + j, there ? f(row, j, b) : vec{});
            if (j == d) return;
            float rest[LANES];
            store(rest, there ? f(row, j, b) : vec{});
            write_row(rest, out + j, d - j);
        });
    }

    // --- A network on tokens ------------------------------------------------------------------------------------

    // Hidden layer of what it sees -> GELU activations [rows, R]; what is before the GELU goes to `pre` if it is kept.
    Factors features(Arena& arena, int which, void* pre, long head, Range range, Words z, int want) const {
        Tiles<P> tiles{arena};
        const Network& net = nets[which][head];
        const long rows = range.rows();
        const Matrix f = tiles.matrix(rows, D);
        product<P>(as_rows(z), net.hidden_t, f.p, f.ld, rows, D, D / P);
        if (pre)
            write(pre, nullptr, head, range, [&](long row, long j, long) {
                return load(f.row(row) + j) + load(net.hidden_bias + j);
            });
        return tiles.factors(rows, D, want, [&](long i, long j) {
            return gelu<ROUGH>(load(f.row(i) + j) + load(net.hidden_bias + j));
        }, f);
    }
    // The same from what was kept; the GELU's slope is written to `slope` if it is given.
    Factors features_again(Arena& arena, void* pre, long head, Range range, int want, Matrix* slope = nullptr) const {
        const auto rows = row_list(arena, range, [&](long token, long, long) {
            return token < 0 ? Row{nullptr, d} : row_of(pre, token, head);
        });
        Tiles<P> tiles{arena};
        if (slope) *slope = tiles.matrix(range.rows(), D);
        return tiles.factors(range.rows(), D, want, [&](long i, long j) {
            vec activated, rising;
            gelu_and_slope<ROUGH>(rows[i].at(j), &activated, slope ? &rising : nullptr);
            if (slope) store(slope->row(i) + j, rising);
            return activated;
        });
    }
    // f [rows, R] -> W [rows, K].
    Factors generate(Arena& arena, int which, long head, Words f, long rows, int want) const {
        Tiles<P> tiles{arena};
        const Network& net = nets[which][head];
        const Matrix w = tiles.matrix(rows, K);
        product<P>(as_rows(f), net.out_t, w.p, w.ld, rows, K, D / P);
        return tiles.factors(
            rows, K, want, [&](long i, long j) { return load(w.row(i) + j) + load(net.out_bias + j); }, w);
    }
    // Gradient of the activations, overwritten -> gradient of what the network saw, before `scale`.
    Matrix features_backward(
        Arena& arena, int which, Sums& sums, long head, Matrix d_f, Matrix slope, Words z_pairs, long rows) const {
        Tiles<P> tiles{arena};
        const Factors d_pre = tiles.factors(rows, D, BOTH, [&](long i, long j) {
            const vec v = load(d_f.row(i) + j) * load(slope.row(i) + j);
            store(sums.hidden_bias + j, load(sums.hidden_bias + j) + v);
            return v;
        }, d_f);
        const Matrix d_z = tiles.matrix(rows, D);
        product<P>(
            transposed(d_pre.pairs), z_pairs, sums.hidden.p, sums.hidden.ld, D, D, rows / P, true);
        product<P>(as_rows(d_pre.rows), nets[which][head].hidden_pairs, d_z.p, d_z.ld, rows, D, D / P);
        return d_z;
    }
    // Gradients of the tokens of a task, from those of values and of what the networks saw, into those of the call.
    void write_gradients(const Task& task, Matrix d_values, Matrix d_key, const Matrix* d_query) const {
        const Range keys = keys_of(task), queries = queries_of(task);
        const float scale = arguments.scale;
        const auto of_value = [&](long row, long j, long b) {
            const vec v = load(d_values.row(row) + j);
            return arguments.divisor ? v / arguments.divisor[task.run->sequence + b] : v;
        };
        if (arguments.value.x) write(arguments.value.grad, key.keep, task.head, keys, of_value);
        const bool with_values = !arguments.value.x, with_queries = self && d_query;
        write(key.grad, key.keep, task.head, keys, [&](long row, long j, long b) {
            vec v = load(d_key.row(row) + j);
            if (with_queries) v += load(d_query->row(row) + j);
            v *= scale;
            return with_values ? v + of_value(row, j, b) : v;
        });
        if (d_query && !self)
            write(query.grad, query.keep, task.head, queries, [&](long row, long j, long) {
                return load(d_query->row(row) + j) * scale;
            });
    }

   private:
    template <class F>
    static auto row_list(Arena& arena, Range range, F f) {
        using Source = decltype(f(0L, 0L, 0L));
        Source* rows = (Source*)arena.words(range.rows() * (long)(sizeof(Source) / 4));
        range.each([&](long row, long token, long b, long place) { rows[row] = f(token, b, place); });
        return rows;
    }
};
