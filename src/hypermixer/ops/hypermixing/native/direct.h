// The direct form: W1 and W2 of whole sequences, P = W1' X, Y = W2 GELU(P); see direct.py.
#pragma once
#include "call.h"

template <class C>
void direct_forward(const C& call, Arena& arena, const Task& task) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, K = call.K, head = task.head;
    const auto keys = C::keys_of(task), queries = C::queries_of(task);
    const long n = keys.padded_tokens(), m = queries.padded_tokens();

    const Matrix x = call.tokens(arena, call.key, head, keys);
    const Matrix z = call.informed(arena, call.key, head, keys, x);
    const Matrix write = call.generate(arena, 0, head, call.features(arena, 0, call.key, head, keys, z), keys.rows());
    Matrix read = write;
    if (!call.tied) {
        Matrix zq = z;
        if (!call.self) {
            const Matrix q = call.tokens(arena, call.query, head, queries);
            zq = call.informed(arena, call.query, head, queries, q);
        }
        const Matrix f = call.features(arena, call.query_net(), call.query, head, queries, zq);
        read = call.generate(arena, call.query_net(), head, f, queries.rows());
    }
    const Words write_pairs = tiles.pairs(write, keys.rows(), K), read_rows = tiles.rows(read, queries.rows(), K);
    const Words v = tiles.pairs(call.values(arena, head, keys, x, *task.run), keys.rows(), D);
    const Matrix hidden = tiles.matrix(K, D), y = tiles.matrix(queries.rows(), D);
    const auto mark = arena.mark();
    for (long b = 0; b < task.b1 - task.b0; b++) {
        const Left w = transposed(from(write_pairs, b * n / P));
        product<P>(w, from(v, b * n / P), hidden.p, hidden.ld, K, D, n / P);
        for (long i = 0; i < K; i++)
            for (long j = 0; j < D; j += LANES) {
                vec activated;
                gelu_and_slope<C::ROUGH>(load(hidden.row(i) + j), &activated, nullptr);
                store(hidden.row(i) + j, activated);
            }
        product<P>(as_rows(from(read_rows, b * m)), tiles.pairs(hidden, K, D), y.row(b * m), y.ld, m, D, K / P);
        arena.back_to(mark);
    }
    call.write(call.arguments.y, nullptr, head, queries, y);
}

// Gradient of generated weights, transposed [K, rows] -> gradient of f [rows, R].
template <class C>
Matrix generate_backward(
    const C& call, Arena& arena, int which, Sums& sums, long head, Matrix d_weights, Matrix f, long rows) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, K = call.K;
    product<P>(
        as_rows(tiles.rows(d_weights, K, padded(rows))), tiles.pairs(f, rows, D), sums.out.p, sums.out.ld, K, D,
        rows / P, true);
    for (long i = 0; i < K; i++) sums.out_bias[i] += sum(d_weights.row(i), rows);
    Matrix d_f = tiles.matrix(rows, D);
    const Left left = transposed(tiles.pairs(d_weights, K, padded(rows)));
    product<P>(left, call.nets[which][head].out_pairs, d_f.p, d_f.ld, rows, D, K / P);
    return d_f;
}

template <class C>
void direct_backward(const C& call, Arena& arena, const Task& task, Sums* sums) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, K = call.K, head = task.head;
    const int query_net = call.query_net();
    const auto keys = C::keys_of(task), queries = C::queries_of(task);
    const long n = keys.padded_tokens(), m = queries.padded_tokens();

    const Matrix x = call.tokens(arena, call.key, head, keys);
    Matrix slope_key, slope_query;
    const Matrix f_key = call.features_again(arena, call.key, head, keys, &slope_key);
    const Matrix write = call.generate(arena, 0, head, f_key, keys.rows());
    Matrix f_query = f_key, read = write;
    if (!call.tied) {
        f_query = call.features_again(arena, call.query, head, queries, &slope_query);
        read = call.generate(arena, query_net, head, f_query, queries.rows());
    }
    const Matrix values = call.values(arena, head, keys, x, *task.run);
    const Matrix g = call.read(arena, call.arguments.y, nullptr, head, queries);
    const Words v = tiles.pairs(values, keys.rows(), D), v_t = tiles.columns(values, keys.rows(), D);
    const Words g_pairs = tiles.pairs(g, queries.rows(), D), g_t = tiles.columns(g, queries.rows(), D);
    const Words write_pairs = tiles.pairs(write, keys.rows(), K), write_rows = tiles.rows(write, keys.rows(), K);
    const Words read_pairs = call.tied ? write_pairs : tiles.pairs(read, queries.rows(), K);

    const Matrix d_values = tiles.matrix(keys.rows(), D), d_write = tiles.matrix(K, keys.rows());
    const Matrix d_read = call.tied ? d_write : tiles.matrix(K, queries.rows());
    const Matrix hidden = tiles.matrix(K, D), d_hidden = tiles.matrix(K, D);
    const auto mark = arena.mark();
    for (long b = 0; b < task.b1 - task.b0; b++) {
        const Words gb = from(g_pairs, b * m / P);
        product<P>(
            transposed(from(write_pairs, b * n / P)), from(v, b * n / P), hidden.p, hidden.ld, K, D, n / P);
        product<P>(transposed(from(read_pairs, b * m / P)), gb, d_hidden.p, d_hidden.ld, K, D, m / P);
        for (long i = 0; i < K; i++)
            for (long j = 0; j < D; j += LANES) {
                vec activated, slope;
                gelu_and_slope<C::ROUGH>(load(hidden.row(i) + j), &activated, &slope);
                store(hidden.row(i) + j, activated);
                store(d_hidden.row(i) + j, load(d_hidden.row(i) + j) * slope);
            }
        product<P>(
            as_rows(from(write_rows, b * n)), tiles.pairs(d_hidden, K, D), d_values.row(b * n), d_values.ld, n, D,
            K / P);
        // Columns past a sequence's own belong to the next one, which overwrites them.
        const Words right = {v_t.p + b * n, v_t.ld}, upper = {g_t.p + b * m, g_t.ld};
        product<P>(
            as_rows(tiles.rows(d_hidden, K, D)), right, d_write.p + b * n, d_write.ld, K, padded(n), D / P);
        const Left activations = as_rows(tiles.rows(hidden, K, D));
        product<P>(activations, upper, d_read.p + b * m, d_read.ld, K, padded(m), D / P, call.tied);
        arena.back_to(mark);
    }
    const Matrix z = call.informed(arena, call.key, head, keys, x);
    const Matrix d_f = generate_backward(call, arena, 0, sums[0], head, d_write, f_key, keys.rows());
    const Matrix d_key = call.features_backward(arena, 0, sums[0], head, d_f, slope_key, z, keys.rows());
    if (call.tied) return call.write_gradients(task, d_values, d_key, nullptr, keys, queries);
    Matrix zq = z;
    if (!call.self) {
        const Matrix q = call.tokens(arena, call.query, head, queries);
        zq = call.informed(arena, call.query, head, queries, q);
    }
    const Matrix d_fq = generate_backward(call, arena, query_net, sums[query_net], head, d_read, f_query, queries.rows());
    Matrix d_query =
        call.features_backward(arena, query_net, sums[query_net], head, d_fq, slope_query, zq, queries.rows());
    call.write_gradients(task, d_values, d_key, &d_query, keys, queries);
}
