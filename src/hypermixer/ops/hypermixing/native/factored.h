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
void accumulate(const C& call, Words f_pairs, Words x_pairs, long rows, State state, bool add) {
    constexpr int P = C::P;
    const long D = call.D;
    product<P>(transposed(f_pairs), x_pairs, state.matrix.p, state.matrix.ld, D, D, rows / P, add);
    for (long j = 0; j < D; j += LANES) {
        vec total = add ? load(state.vector + j) : vec{};
        for (long i = 0; i < rows / P; i++) total += sum_of_word<P>(x_pairs.p + i * x_pairs.ld + j);
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
    const Matrix hidden = tiles.matrix(K, n), out = c.matrix.column(c0);
    product<P>(
        as_rows(key.out_rows), tiles.pairs(s.matrix.column(c0), D, n), hidden.p, hidden.ld, K, n, D / P);
    std::fill_n(c.vector + c0, n, 0.0f);
    const Words activated = tiles.factors(K, n, PAIRS, [&](long i, long j) {
        const vec v = gelu<C::ROUGH>(load(hidden.row(i) + j) + load(s.vector + c0 + j) * key.out_bias[i]);
        store(c.vector + c0 + j, load(c.vector + c0 + j) + v * query.out_bias[i]);
        return v;
    }, hidden).pairs;
    product<P>(transposed(query.out_pairs), activated, out.p, out.ld, D, n, K / P);
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
    const Factors s_in = tiles.factors(s_cut, D, n, BOTH);
    const Factors d_in = tiles.factors(d_c_cut, D, n, BOTH);
    product<P>(as_rows(key.out_rows), s_in.pairs, hidden.p, hidden.ld, K, n, D / P);
    product<P>(as_rows(query.out_rows), d_in.pairs, d_hidden.p, d_hidden.ld, K, n, D / P);
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
    const Factors d = tiles.factors(d_hidden, K, n, BOTH);
    product<P>(
        as_rows(tiles.rows(hidden, K, n)), tiles.columns(d_in.rows, D, n), of_query.out.p, of_query.out.ld, K, D, n / P,
        true);
    product<P>(
        as_rows(d.rows), tiles.columns(s_in.rows, D, n), of_key.out.p, of_key.out.ld, K, D, n / P, true);
    product<P>(transposed(key.out_pairs), d.pairs, d_s_cut.p, d_s_cut.ld, D, n, K / P);
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

// --- Tokens and states -------------------------------------------------------------------------------------------

// What tokens read from a state as products read it: C, and its transposed.
struct Reading {
    Words pairs, columns;
    const float* vector;
};
template <class C>
Reading reading(const C& call, Arena& arena, State c, bool transposed_too) {
    Tiles<C::P> tiles{arena};
    const Factors f = tiles.factors(c.matrix, call.D, call.D, transposed_too ? BOTH : PAIRS);
    return {f.pairs, transposed_too ? tiles.columns(f.rows, call.D, call.D) : Words{}, c.vector};
}

// Y = F C + c0 for the queries of a task of one sequence.
template <class C>
void read_state(const C& call, Arena& arena, const Task& task, Left f, Reading c) {
    const auto mark = arena.mark();
    const auto queries = C::queries_of(task);
    const long D = call.D, tokens = task.q1 - task.q0;
    const Matrix y = Tiles<C::P>{arena}.matrix(tokens, D);
    product<C::P>(f, c.pairs, y.p, y.ld, tokens, D, D / C::P);
    call.write(call.arguments.y, nullptr, task.head, queries, [&](long row, long j, long) {
        return load(y.row(row) + j) + load(c.vector + j);
    });
    arena.back_to(mark);
}

template <class C>
Factors query_features(const C& call, Arena& arena, const Task& task) {
    const auto queries = C::queries_of(task);
    const Words z = call.informed(arena, call.query_tokens(), task.head, queries, ROWS).rows;
    return call.features(arena, call.query_net(), call.query.pre, task.head, queries, z, ROWS);
}

// Sequence b of a task of whole sequences, as a task.
inline Task alone(Task task, long b) {
    task.b0 += b;
    task.b1 = task.b0 + 1;
    return task;
}

template <class C>
void factored_forward(const C& call, Arena& arena, const Task& task) {
    constexpr int P = C::P;
    const long head = task.head;
    const auto keys = C::keys_of(task);
    const long n = keys.tokens(), m = C::queries_of(task).tokens();
    const Words z = call.informed(arena, call.key, head, keys, ROWS).rows;
    const Factors f_key = call.features(arena, 0, call.key.pre, head, keys, z, call.tied ? BOTH : PAIRS);
    const Factors f_query = call.tied ? f_key : query_features(call, arena, task);
    const Words v = call.values(arena, head, keys, *task.run, PAIRS).pairs;
    const State s = new_state<P>(arena, call.D), c = new_state<P>(arena, call.D);
    const auto mark = arena.mark();
    for (long b = 0; b < task.b1 - task.b0; b++) {
        const long at = task.run->state + task.b0 + b;
        accumulate(call, from(f_key.pairs, b * n / P), from(v, b * n / P), n, s, false);
        mix(call, arena, head, s, c, 0, call.D);
        keep_state(call, call.arguments.s, call.arguments.s0, head, at, s, 0, call.D);
        keep_state(call, call.arguments.c, nullptr, head, at, c, 0, call.D);
        read_state(call, arena, alone(task, b), as_rows(from(f_query.rows, b * m)), reading(call, arena, c, false));
        arena.back_to(mark);
    }
}

// Gradients of the tokens of a task. `states_of(b)` -> what sequence b reads: C, and the gradient of S.
template <class C, class StatesOf>
void tokens_backward(const C& call, Arena& arena, Sums* sums, const Task& task, StatesOf states_of) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, head = task.head;
    const auto keys = C::keys_of(task), queries = C::queries_of(task);
    const long n = keys.tokens(), m = queries.tokens();
    Matrix slope, slope_query;
    const Words f = call.features_again(arena, call.key.pre, head, keys, ROWS, &slope).rows;
    const Words v = call.values(arena, head, keys, *task.run, ROWS).rows;
    const Words g = call.read(arena, call.arguments.y, nullptr, head, queries, ROWS).rows;
    const Matrix d_values = tiles.matrix(keys.rows(), D), d_f = tiles.matrix(keys.rows(), D);
    const Matrix d_fq = call.tied ? d_f : tiles.matrix(queries.rows(), D);
    for (long b = 0; b < task.b1 - task.b0; b++) {
        const auto mark = arena.mark();
        const std::pair<Reading, Reading> states = states_of(b);
        const auto &[c, d_s] = states;
        const Matrix of_values = d_values.from(b * n);
        for (long i = 0; i < n; i++) std::copy_n(d_s.vector, D, of_values.row(i));
        product<P>(as_rows(from(f, b * n)), d_s.pairs, of_values.p, of_values.ld, n, D, D / P, true);
        product<P>(as_rows(from(v, b * n)), d_s.columns, d_f.row(b * n), d_f.ld, n, D, D / P);
        product<P>(as_rows(from(g, b * m)), c.columns, d_fq.row(b * m), d_fq.ld, m, D, D / P, call.tied);
        arena.back_to(mark);
    }
    const Words z = call.informed(arena, call.key, head, keys, PAIRS).pairs;
    const Matrix d_key = call.features_backward(arena, 0, sums[0], head, d_f, slope, z, keys.rows());
    if (call.tied) return call.write_gradients(task, d_values, d_key, nullptr);
    const Words zq = call.informed(arena, call.query_tokens(), head, queries, PAIRS).pairs;
    call.features_again(arena, call.query.pre, head, queries, ROWS, &slope_query);
    const int which = call.query_net();
    const Matrix d_query =
        call.features_backward(arena, which, sums[which], head, d_fq, slope_query, zq, queries.rows());
    call.write_gradients(task, d_values, d_key, &d_query);
}

template <class C>
void factored_backward(const C& call, Arena& arena, const Task& task, Sums* sums) {
    constexpr int P = C::P;
    const long D = call.D, head = task.head;
    const auto queries = C::queries_of(task);
    const long m = queries.tokens();
    const Words g = call.read(arena, call.arguments.y, nullptr, head, queries, PAIRS).pairs;
    void* pre = call.tied ? call.key.pre : call.query.pre;
    const Words f = call.features_again(arena, pre, head, queries, PAIRS).pairs;
    const State d_c = new_state<P>(arena, D);
    tokens_backward(call, arena, sums, task, [&](long b) {
        const long at = task.run->state + task.b0 + b;
        const State s = kept_state(call, arena, call.arguments.s, call.arguments.s0, head, at);
        const State c = kept_state(call, arena, call.arguments.c, nullptr, head, at);
        const State d_s = new_state<P>(arena, D);
        accumulate(call, from(f, b * m / P), from(g, b * m / P), m, d_c, false);
        mix_backward(call, arena, sums, head, s, d_c, d_s, 0, D);
        return std::pair{reading(call, arena, c, true), reading(call, arena, d_s, true)};
    });
}
