// The factored form: S = F' X [R, D], C = B2' GELU(B1 S + b1 s0') [R, D], Y = F C + c0; see factored.py.
#pragma once
#include "call.h"

struct State {  // S or C [R, D], and s0 or c0 [D]; or the gradients of either
    Matrix matrix;
    float* vector;
};

template <int P>
State new_state(Arena& arena, long D) {
    return {Tiles<P>{arena}.matrix(D, D), (float*)arena.words(D)};
}

// S (+)= F' X and s0 (+)= the sum of X, over rows.
template <class C>
void accumulate(const C& call, Arena& arena, Matrix f, Matrix x, long rows, State state, bool add) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D;
    const auto mark = arena.mark();
    const Left left = transposed(tiles.pairs(f, rows, D));
    product<P>(left, tiles.pairs(x, rows, D), state.matrix.p, state.matrix.ld, D, D, rows / P, add);
    arena.back_to(mark);
    for (long j = 0; j < D; j += LANES) {
        vec total = add ? load(state.vector + j) : (vec){};
        for (long i = 0; i < rows; i++) total += load(x.row(i) + j);
        store(state.vector + j, total);
    }
}

// Columns c0 to c1 of C and c0 from those of S and s0.
template <class C>
void mix(const C& call, Arena& arena, long head, State s, State c, long c0, long c1) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, K = call.K, n = c1 - c0;
    const Network &key = call.nets[0][head], &query = call.nets[call.query_net()][head];
    const auto mark = arena.mark();
    const Matrix hidden = tiles.matrix(K, n);
    product<P>(
        as_rows(key.out_rows), tiles.pairs(s.matrix.column(c0), D, n), hidden.p, hidden.ld, K, n, D / P);
    for (long j = 0; j < n; j += LANES) {
        const vec s0 = load(s.vector + c0 + j);
        vec total = {};
        for (long i = 0; i < K; i++) {
            vec activated;
            gelu_and_slope<C::ROUGH>(load(hidden.row(i) + j) + s0 * key.out_bias[i], &activated, nullptr);
            store(hidden.row(i) + j, activated);
            total += activated * query.out_bias[i];
        }
        store(c.vector + c0 + j, total);
    }
    const Matrix out = c.matrix.column(c0);
    product<P>(transposed(query.out_pairs), tiles.pairs(hidden, K, n), out.p, out.ld, D, n, K / P);
    arena.back_to(mark);
}

// Gradients of S and s0, columns c0 to c1, from those of C and c0; those of the second layers go to `sums`.
template <class C>
void mix_backward(const C& call, Arena& arena, Sums* sums, long head, State s, State d_c, State d_s, long c0, long c1) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, K = call.K, n = c1 - c0;
    const int which = call.query_net();
    const Network &key = call.nets[0][head], &query = call.nets[which][head];
    Sums &of_key = sums[0], &of_query = sums[which];
    const auto mark = arena.mark();
    const Matrix hidden = tiles.matrix(K, n), d_hidden = tiles.matrix(K, n);
    const Matrix s_cut = s.matrix.column(c0), d_c_cut = d_c.matrix.column(c0), d_s_cut = d_s.matrix.column(c0);
    product<P>(as_rows(key.out_rows), tiles.pairs(s_cut, D, n), hidden.p, hidden.ld, K, n, D / P);
    product<P>(as_rows(query.out_rows), tiles.pairs(d_c_cut, D, n), d_hidden.p, d_hidden.ld, K, n, D / P);
    const float *s0 = s.vector + c0, *d_c0 = d_c.vector + c0;
    float* d_s0 = d_s.vector + c0;
    std::fill_n(d_s0, n, 0.0f);
    for (long i = 0; i < K; i++) {
        vec to_write = {}, to_read = {};
        for (long j = 0; j < n; j += LANES) {
            vec activated, slope;
            gelu_and_slope<C::ROUGH>(load(hidden.row(i) + j) + load(s0 + j) * key.out_bias[i], &activated, &slope);
            slope *= load(d_hidden.row(i) + j) + load(d_c0 + j) * query.out_bias[i];
            store(hidden.row(i) + j, activated);
            store(d_hidden.row(i) + j, slope);
            store(d_s0 + j, load(d_s0 + j) + slope * key.out_bias[i]);
            to_read += activated * load(d_c0 + j);
            to_write += slope * load(s0 + j);
        }
        of_query.out_bias[i] += sum(to_read);
        of_key.out_bias[i] += sum(to_write);
    }
    product<P>(
        as_rows(tiles.rows(hidden, K, n)), tiles.columns(d_c_cut, D, n), of_query.out.p, of_query.out.ld, K, D, n / P,
        true);
    product<P>(
        as_rows(tiles.rows(d_hidden, K, n)), tiles.columns(s_cut, D, n), of_key.out.p, of_key.out.ld, K, D, n / P,
        true);
    product<P>(
        transposed(key.out_pairs), tiles.pairs(d_hidden, K, n), d_s_cut.p, d_s_cut.ld, D, n, K / P);
    arena.back_to(mark);
}

// Y = F C + c0 [rows, D].
template <class C>
void apply(const C& call, Arena& arena, Matrix f, State c, Matrix y, long rows) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const auto mark = arena.mark();
    product<P>(
        as_rows(tiles.rows(f, rows, call.D)), tiles.pairs(c.matrix, call.D, call.D), y.p, y.ld, rows, call.D,
        call.D / P);
    arena.back_to(mark);
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < call.D; j += LANES) store(y.row(i) + j, load(y.row(i) + j) + load(c.vector + j));
}

// X C' [rows, R], added to what is there if asked for.
template <class C>
void apply_transposed(const C& call, Arena& arena, Matrix x, State c, Matrix out, long rows, bool add) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const auto mark = arena.mark();
    product<P>(
        as_rows(tiles.rows(x, rows, call.D)), tiles.columns(c.matrix, call.D, call.D), out.p, out.ld, rows, call.D,
        call.D / P, add);
    arena.back_to(mark);
}

// --- States that are kept for the backward pass: [H, B, R, D] and [H, B, D] --------------------------------------

template <class C>
void keep_state(const C& call, void* matrix, void* vector, long head, long at, State state, long c0, long c1) {
    using T = typename C::Element;
    if (!matrix) return;
    const long d = call.d, index = head * call.arguments.state_count + at, width = std::min(c1, d) - c0;
    for (long i = 0; i < d; i++)
        C::write_row(state.matrix.row(i) + c0, (T*)matrix + (index * d + i) * d + c0, width);
    if (vector) C::write_row(state.vector + c0, (T*)vector + index * d + c0, width);
}

template <class C>
State kept_state(const C& call, Arena& arena, const void* matrix, const void* vector, long head, long at) {
    using T = typename C::Element;
    const long d = call.d, D = call.D, index = head * call.arguments.state_count + at;
    State state = new_state<C::P>(arena, D);
    set_zero(state.matrix, D, D);
    std::fill_n(state.vector, D, 0.0f);
    for (long i = 0; i < d; i++) C::read_row((const T*)matrix + (index * d + i) * d, state.matrix.row(i), d);
    if (vector) C::read_row((const T*)vector + index * d, state.vector, d);
    return state;
}

// --- Whole sequences --------------------------------------------------------------------------------------------

template <class C>
Matrix query_features(const C& call, Arena& arena, long head, typename C::Range queries, Matrix f_key, Matrix z) {
    if (call.tied) return f_key;
    if (!call.self) {
        const Matrix q = call.tokens(arena, call.query, head, queries);
        z = call.informed(arena, call.query, head, queries, q);
    }
    return call.features(arena, call.query_net(), call.query, head, queries, z);
}

template <class C>
void factored_forward(const C& call, Arena& arena, const Task& task) {
    const long D = call.D, head = task.head;
    const auto keys = C::keys_of(task), queries = C::queries_of(task);
    const long n = keys.padded_tokens(), m = queries.padded_tokens();
    const Matrix x = call.tokens(arena, call.key, head, keys);
    const Matrix z = call.informed(arena, call.key, head, keys, x);
    const Matrix f_key = call.features(arena, 0, call.key, head, keys, z);
    const Matrix f_query = query_features(call, arena, head, queries, f_key, z);
    const Matrix values = call.values(arena, head, keys, x, *task.run);
    const Matrix y = Tiles<C::P>{arena}.matrix(queries.rows(), D);
    const State s = new_state<C::P>(arena, D), c = new_state<C::P>(arena, D);
    for (long b = 0; b < task.b1 - task.b0; b++) {
        const long at = task.run->state + task.b0 + b;
        accumulate(call, arena, f_key.from(b * n), values.from(b * n), n, s, false);
        mix(call, arena, head, s, c, 0, D);
        keep_state(call, call.arguments.s, call.arguments.s0, head, at, s, 0, D);
        keep_state(call, call.arguments.c, nullptr, head, at, c, 0, D);
        apply(call, arena, f_query.from(b * m), c, y.from(b * m), m);
    }
    call.write(call.arguments.y, nullptr, head, queries, y);
}

// Gradients of tokens, given those of the states of each sequence of the task.
template <class C, class StatesOf>
void tokens_backward(const C& call, Arena& arena, Sums* sums, const Task& task, Matrix g, StatesOf states_of) {
    Tiles<C::P> tiles{arena};
    const long D = call.D, head = task.head;
    const auto keys = C::keys_of(task), queries = C::queries_of(task);
    const long n = keys.padded_tokens(), m = queries.padded_tokens();
    const Matrix x = call.tokens(arena, call.key, head, keys);
    const Matrix z = call.informed(arena, call.key, head, keys, x);
    const Matrix values = call.values(arena, head, keys, x, *task.run);
    Matrix slope, slope_query;
    const Matrix f = call.features_again(arena, call.key, head, keys, &slope);
    const Matrix d_values = tiles.matrix(keys.rows(), D), d_f = tiles.matrix(keys.rows(), D);
    const Matrix d_fq = call.tied ? d_f : tiles.matrix(queries.rows(), D);
    for (long b = 0; b < task.b1 - task.b0; b++) {
        const auto mark = arena.mark();
        const auto [c, d_s] = states_of(b);
        apply(call, arena, f.from(b * n), d_s, d_values.from(b * n), n);
        apply_transposed(call, arena, values.from(b * n), d_s, d_f.from(b * n), n, false);
        apply_transposed(call, arena, g.from(b * m), c, d_fq.from(b * m), m, call.tied);
        arena.back_to(mark);
    }
    const Matrix d_key = call.features_backward(arena, 0, sums[0], head, d_f, slope, z, keys.rows());
    if (call.tied) return call.write_gradients(task, d_values, d_key, nullptr, keys, queries);
    Matrix zq = z;
    if (!call.self) {
        const Matrix q = call.tokens(arena, call.query, head, queries);
        zq = call.informed(arena, call.query, head, queries, q);
    }
    call.features_again(arena, call.query, head, queries, &slope_query);
    const int which = call.query_net();
    Matrix d_query = call.features_backward(arena, which, sums[which], head, d_fq, slope_query, zq, queries.rows());
    call.write_gradients(task, d_values, d_key, &d_query, keys, queries);
}

template <class C>
void factored_backward(const C& call, Arena& arena, const Task& task, Sums* sums) {
    const long D = call.D, head = task.head;
    const auto queries = C::queries_of(task);
    const long m = queries.padded_tokens();
    const Matrix g = call.read(arena, call.arguments.y, nullptr, head, queries);
    const Matrix f = call.features_again(arena, call.tied ? call.key : call.query, head, queries, nullptr);
    const State d_c = new_state<C::P>(arena, D);
    tokens_backward(call, arena, sums, task, g, [&](long b) {
        const long at = task.run->state + task.b0 + b;
        const State s = kept_state(call, arena, call.arguments.s, call.arguments.s0, head, at);
        const State c = kept_state(call, arena, call.arguments.c, nullptr, head, at);
        const State d_s = new_state<C::P>(arena, D);
        accumulate(call, arena, f.from(b * m), g.from(b * m), m, d_c, false);
        mix_backward(call, arena, sums, head, s, d_c, d_s, 0, D);
        return std::pair{c, d_s};
    });
}
