// What a call of the operator is made of: arguments as Python passes them, packed weights, tiles of tokens.
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

// --------------------------------------------------------------------------------------------------------------------

struct Run {  // B sequences of N keys and M queries
    long batch, keys, queries, factored, block, chunk;
    long sequence, key, query, state;  // where its sequences, tokens and states begin
    bool cut() const { return factored && std::max(keys, queries) > chunk; }
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

// Some tokens of some sequences of a run, for one head.
struct Task {
    const Run* run;
    long head, b0, b1;   // sequences
    long k0, k1, q0, q1;  // keys and queries, of each
    long slot;           // spans: which partial state
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
    const SideArguments &key, &query, &value;
    const bool tied, self, own_values;

    explicit Call(const CallArguments& a)
        : arguments(a), heads(a.heads), d(a.width / a.heads), k(a.hidden / a.heads), D(padded(d)), K(padded(k)),
          key(a.key), query(a.query), value(a.value.x ? a.value : a.key), tied(a.tied),
          self(!a.query.x), own_values(a.value.x || a.divisor) {}

    static long even(long tokens) { return (tokens + P - 1) / P * P; }
    long width() const { return arguments.width; }
    int query_net() const { return arguments.query_net.hidden ? 1 : 0; }

    void pack(int which, long head, Arena& arena) {
        const NetworkArguments& from = which ? arguments.query_net : arguments.key_net;
        Tiles<P> tiles{arena};
        const auto padded_matrix = [&](const void* p, long m, long n) {
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
        const Matrix hidden = padded_matrix(from.hidden, d, d), out = padded_matrix(from.out, k, d);
        net.hidden_bias = padded_vector(from.hidden_bias, d);
        net.out_bias = padded_vector(from.out_bias, k);
        bool direct = false, factored = false;
        for (long i = 0; i < arguments.run_count; i++) (arguments.runs[6 * i + 3] ? factored : direct) = true;
        if (arguments.backward) net.hidden_pairs = tiles.pairs(hidden, D, D);
        else net.hidden_t = tiles.columns(hidden, D, D);
        if (direct) net.out_t = tiles.columns(out, K, D);
        if (factored) net.out_rows = tiles.rows(out, K, D);
        if (factored || arguments.backward) net.out_pairs = tiles.pairs(out, K, D);
    }

    // --- Tiles of tokens: rows are sequence after sequence, each padded to an even number with zeros --------------

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
        long padded_tokens() const { return even(t1 - t0); }
        long rows() const { return (b1 - b0) * padded_tokens(); }
        template <class F>
        void each(F f) const {  // (row of the tile, token, sequence, place in the sequence); token < 0: padding
            for (long b = b0, row = 0; b < b1; b++) {
                for (long t = t0; t < t1; t++) f(row++, first + b * length + t, b, t);
                for (long t = t1; t < t0 + padded_tokens(); t++) f(row++, -1L, b, t);
            }
        }
    };
    static Range keys_of(const Task& t) { return {t.run->key, t.run->keys, t.b0, t.b1, t.k0, t.k1}; }
    static Range queries_of(const Task& t) { return {t.run->query, t.run->queries, t.b0, t.b1, t.q0, t.q1}; }

    // One head's columns of [tokens, D], zero where dropped or padded.
    Matrix read(Arena& arena, const void* x, const uint8_t* keep, long head, Range range) const {
        Matrix out = Tiles<P>{arena}.matrix(range.rows(), D);
        const T* from = (const T*)x + head * d;
        range.each([&](long row, long token, long, long) {
            float* to = out.row(row);
            const bool there = token >= 0 && (!keep || keep[token]);
            if (there) read_row(from + token * width(), to, d);
            if (!there || d < D) std::fill(to + (there ? d : 0), to + D, 0.0f);
        });
        return out;
    }
    Matrix tokens(Arena& arena, const SideArguments& side, long head, Range range) const {
        return read(arena, side.x, side.keep, head, range);
    }
    // What a network sees of tokens: times scale, plus positions.
    Matrix informed(Arena& arena, const SideArguments& side, long head, Range range, Matrix x) const {
        const float scale = arguments.scale;
        if (!side.positions && scale == 1.0f) return x;
        Matrix out = Tiles<P>{arena}.matrix(range.rows(), D);
        const T* codes = side.positions ? (const T*)side.positions + head * d : nullptr;
        range.each([&](long row, long token, long, long place) {
            const float* from = x.row(row);
            float* to = out.row(row);
            const T* code = codes ? codes + (side.positions_each ? token : place) * width() : nullptr;
            if (token < 0) code = nullptr;
            long j = 0;
            if (code)
                for (; j + LANES <= d; j += LANES) store(to + j, load(from + j) * scale + load(code + j));
            for (; j < D; j++) to[j] = from[j] * scale + (code && j < d ? widened(code[j]) : 0.0f);
        });
        return out;
    }
    // Values: the keys as they are, or other tokens, or either divided.
    Matrix values(Arena& arena, long head, Range range, Matrix key_tokens, const Run& run) const {
        if (!own_values) return key_tokens;
        Matrix out = read(arena, value.x, key.keep, head, range);
        divide(out, range, run);
        return out;
    }
    void divide(Matrix a, Range range, const Run& run) const {
        if (!arguments.divisor) return;
        range.each([&](long row, long, long b, long) {
            const float by = arguments.divisor[run.sequence + b];
            for (long j = 0; j < D; j += LANES) store(a.row(row) + j, load(a.row(row) + j) / by);
        });
    }
    // a (+ b) into one head's columns of [tokens, D]; zero where dropped.
    void write(void* to, const uint8_t* keep, long head, Range range, Matrix a, Matrix* b = nullptr) const {
        T* rows = (T*)to + head * d;
        range.each([&](long row, long token, long, long) {
            if (token < 0) return;
            float* from = a.row(row);
            if (keep && !keep[token]) std::fill_n(from, D, 0.0f);
            else if (b) for (long j = 0; j < D; j += LANES) store(from + j, load(from + j) + load(b->row(row) + j));
            write_row(from, rows + token * width(), d);
        });
    }

    // --- A network on tiles -------------------------------------------------------------------------------------

    // z -> GELU activations [rows, R]; what is before the GELU goes to side.pre where it is kept.
    Matrix features(Arena& arena, int which, const SideArguments& side, long head, Range range, Matrix z) const {
        Tiles<P> tiles{arena};
        const Network& net = nets[which][head];
        const long rows = range.rows();
        Matrix f = tiles.matrix(rows, D);
        product<P>(as_rows(tiles.rows(z, rows, D)), net.hidden_t, f.p, f.ld, rows, D, D / P);
        T* pre = side.pre ? (T*)side.pre + head * d : nullptr;
        range.each([&](long row, long token, long, long) {
            float* to = f.row(row);
            for (long j = 0; j < D; j += LANES) store(to + j, load(to + j) + load(net.hidden_bias + j));
            if (pre && token >= 0) write_row(to, pre + token * width(), d);
            for (long j = 0; j < D; j += LANES) {
                vec activated;
                gelu_and_slope<ROUGH>(load(to + j), &activated, nullptr);
                store(to + j, activated);
            }
        });
        return f;
    }
    // The same from what was kept, with the GELU's slope if `slope` is asked for.
    Matrix features_again(Arena& arena, const SideArguments& side, long head, Range range, Matrix* slope) const {
        Matrix f = read(arena, side.pre, nullptr, head, range);
        if (slope) *slope = Tiles<P>{arena}.matrix(range.rows(), D);
        for (long row = 0; row < range.rows(); row++)
            for (long j = 0; j < D; j += LANES) {
                vec activated, rising;
                gelu_and_slope<ROUGH>(load(f.row(row) + j), &activated, slope ? &rising : nullptr);
                store(f.row(row) + j, activated);
                if (slope) store(slope->row(row) + j, rising);
            }
        return f;
    }
    // f [rows, R] -> W [rows, K].
    Matrix generate(Arena& arena, int which, long head, Matrix f, long rows) const {
        Tiles<P> tiles{arena};
        const Network& net = nets[which][head];
        Matrix w = tiles.matrix(rows, K);
        product<P>(as_rows(tiles.rows(f, rows, D)), net.out_t, w.p, w.ld, rows, K, D / P);
        for (long i = 0; i < rows; i++)
            for (long j = 0; j < K; j += LANES) store(w.row(i) + j, load(w.row(i) + j) + load(net.out_bias + j));
        return w;
    }
    // Gradient of the activations, overwritten -> gradient of the tokens that the network saw.
    Matrix features_backward(
        Arena& arena, int which, Sums& sums, long head, Matrix d_f, Matrix slope, Matrix z, long rows) const {
        Tiles<P> tiles{arena};
        for (long i = 0; i < rows; i++)
            for (long j = 0; j < D; j += LANES) {
                const vec v = load(d_f.row(i) + j) * load(slope.row(i) + j);
                store(d_f.row(i) + j, v);
                store(sums.hidden_bias + j, load(sums.hidden_bias + j) + v);
            }
        Matrix d_z = tiles.matrix(rows, D);
        product<P>(
            transposed(tiles.pairs(d_f, rows, D)), tiles.pairs(z, rows, D), sums.hidden.p, sums.hidden.ld, D, D,
            rows / P, true);
        product<P>(
            as_rows(tiles.rows(d_f, rows, D)), nets[which][head].hidden_pairs, d_z.p, d_z.ld, rows, D, D / P);
        if (arguments.scale != 1.0f)
            for (long i = 0; i < rows; i++)
                for (long j = 0; j < D; j += LANES) store(d_z.row(i) + j, load(d_z.row(i) + j) * arguments.scale);
        return d_z;
    }
    // Gradients of the tokens of a task, from those of values and of what the networks saw, into those of the call.
    void write_gradients(
        const Task& task, Matrix d_values, Matrix d_key, Matrix* d_query, Range keys, Range queries) const {
        divide(d_values, keys, *task.run);
        if (d_query && self)
            for (long i = 0; i < keys.rows(); i++)
                for (long j = 0; j < D; j += LANES)
                    store(d_key.row(i) + j, load(d_key.row(i) + j) + load(d_query->row(i) + j));
        if (d_query && !self) write(query.grad, query.keep, task.head, queries, *d_query);
        if (arguments.value.x) write(value.grad, key.keep, task.head, keys, d_values);
        write(key.grad, key.keep, task.head, keys, d_key, arguments.value.x ? nullptr : &d_values);
    }
};
