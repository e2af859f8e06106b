// The direct form: W1 and W2 of whole sequences, P = W1' X, Y = W2 GELU(P); see direct.py.
#pragma once
#include "call.h"

// Some tokens of some sequences: the weights that they generate, as factors, and their values.
struct Generated {
    Factors write, read;
    Words values;
    long keys, queries;  // of each sequence, padded

    Generated from_sequence(long b, int P) const {
        return {{{}, from(write.pairs, b * keys / P)}, {from(read.rows, b * queries), {}}, from(values, b * keys / P),
                keys, queries};
    }
};

template <class C>
Generated generated(const C& call, Arena& arena, const Task& task) {
    const long head = task.head;
    const auto keys = C::keys_of(task), queries = C::queries_of(task);
    const auto weights = [&](int which, const SideArguments& side, void* pre, typename C::Range range, int want) {
        const Words z = call.informed(arena, side, head, range, ROWS).rows;
        const Words f = call.features(arena, which, pre, head, range, z, ROWS).rows;
        return call.generate(arena, which, head, f, range.rows(), want);
    };
    const Factors write = weights(0, call.key, call.key.pre, keys, call.tied ? BOTH : PAIRS);
    const Factors read =
        call.tied ? write : weights(call.query_net(), call.query_tokens(), call.query.pre, queries, ROWS);
    return {write, read, call.values(arena, head, keys, *task.run, PAIRS).pairs, keys.tokens(), queries.tokens()};
}

// Rows k0 to k1 of GELU(P), P summed over the parts of one sequence.
template <class C>
Words hidden_rows(const C& call, Arena& arena, const Generated* parts, long count, long k0, long k1) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const Matrix hidden = tiles.matrix(k1 - k0, call.D);
    for (long i = 0; i < count; i++) {
        const Generated& part = parts[i];
        const Left w = transposed({part.write.pairs.p + k0, part.write.pairs.ld});
        product<P>(w, part.values, hidden.p, hidden.ld, k1 - k0, call.D, part.keys / P, i > 0);
    }
    const auto activated = [&](long i, long j) { return gelu<C::ROUGH>(load(hidden.row(i) + j)); };
    return tiles.factors(k1 - k0, call.D, PAIRS, activated, hidden).pairs;
}

// y (+)= W2 GELU(P) of one sequence's tokens, by rows k0 to k1 of GELU(P).
template <class C>
void read_hidden(const C& call, const Generated& tokens, Words hidden, Matrix y, long k0, long k1) {
    constexpr int P = C::P;
    const Left w = as_rows({tokens.read.rows.p + k0 / P, tokens.read.rows.ld});
    product<P>(w, hidden, y.p, y.ld, tokens.queries, call.D, (k1 - k0) / P, k0 > 0);
}

template <class C>
void write_output(const C& call, const Task& task, Matrix y) {
    call.write(call.arguments.y, nullptr, task.head, C::queries_of(task), [&](long row, long j, long) {
        return load(y.row(row) + j);
    });
}

template <class C>
void direct_forward(const C& call, Arena& arena, const Task& task) {
    const Generated all = generated(call, arena, task);
    const Matrix y = Tiles<C::P>{arena}.matrix((task.b1 - task.b0) * all.queries, call.D);
    const auto mark = arena.mark();
    for (long b = 0; b < task.b1 - task.b0; b++) {
        const Generated one = all.from_sequence(b, C::P);
        read_hidden(call, one, hidden_rows(call, arena, &one, 1, 0, call.K), y.from(b * all.queries), 0, call.K);
        arena.back_to(mark);
    }
    write_output(call, task, y);
}

// Gradient of generated weights, transposed [K, rows] -> gradient of f [rows, R].
template <class C>
Matrix generate_backward(
    const C& call, Arena& arena, int which, Sums& sums, long head, Matrix d_weights, Words f_pairs, long rows) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, K = call.K;
    const Factors d = tiles.factors(d_weights, K, padded(rows), BOTH);
    product<P>(as_rows(d.rows), f_pairs, sums.out.p, sums.out.ld, K, D, rows / P, true);
    for (long i = 0; i < K; i++) sums.out_bias[i] += sum(d_weights.row(i), rows);
    const Matrix d_f = tiles.matrix(rows, D);
    product<P>(transposed(d.pairs), call.nets[which][head].out_pairs, d_f.p, d_f.ld, rows, D, K / P);
    return d_f;
}

template <class C>
void direct_backward(const C& call, Arena& arena, const Task& task, Sums* sums) {
    constexpr int P = C::P;
    Tiles<P> tiles{arena};
    const long D = call.D, K = call.K, head = task.head;
    const int query_net = call.query_net();
    const auto keys = C::keys_of(task), queries = C::queries_of(task);
    const long n = keys.tokens(), m = queries.tokens();

    Matrix slope_key, slope_query;
    const Factors f_key = call.features_again(arena, call.key.pre, head, keys, BOTH, &slope_key);
    const Factors write = call.generate(arena, 0, head, f_key.rows, keys.rows(), BOTH);
    Factors f_query = f_key, read = write;
    if (!call.tied) {
        f_query = call.features_again(arena, call.query.pre, head, queries, BOTH, &slope_query);
        read = call.generate(arena, query_net, head, f_query.rows, queries.rows(), PAIRS);
    }
    const Factors v = call.values(arena, head, keys, *task.run, BOTH);
    const Factors g = call.read(arena, call.arguments.y, nullptr, head, queries, BOTH);
    const Words v_t = tiles.columns(v.rows, keys.rows(), D), g_t = tiles.columns(g.rows, queries.rows(), D);
    const Matrix d_values = tiles.matrix(keys.rows(), D), d_write = tiles.matrix(K, keys.rows());
    const Matrix d_read = call.tied ? d_write : tiles.matrix(K, queries.rows());
    const Matrix hidden = tiles.matrix(K, D), d_hidden = tiles.matrix(K, D);
    const auto mark = arena.mark();
    for (long b = 0; b < task.b1 - task.b0; b++) {
        product<P>(
            transposed(from(write.pairs, b * n / P)), from(v.pairs, b * n / P), hidden.p, hidden.ld, K, D, n / P);
        product<P>(
            transposed(from(read.pairs, b * m / P)), from(g.pairs, b * m / P), d_hidden.p, d_hidden.ld, K, D, m / P);
        const Factors d = tiles.factors(K, D, BOTH, [&](long i, long j) {
            vec activated, slope;
            gelu_and_slope<C::ROUGH>(load(hidden.row(i) + j), &activated, &slope);
            store(hidden.row(i) + j, activated);
            return load(d_hidden.row(i) + j) * slope;
        }, d_hidden);
        product<P>(
            as_rows(from(write.rows, b * n)), d.pairs, d_values.row(b * n), d_values.ld, n, D, K / P);
        // Columns past a sequence's own belong to the next one, which overwrites them.
        const Words right = {v_t.p + b * n, v_t.ld}, upper = {g_t.p + b * m, g_t.ld};
        product<P>(as_rows(d.rows), right, d_write.p + b * n, d_write.ld, K, padded(n), D / P);
        const Left activations = as_rows(tiles.rows(hidden, K, D));
        product<P>(activations, upper, d_read.p + b * m, d_read.ld, K, padded(m), D / P, call.tied);
        arena.back_to(mark);
    }
    const auto network_backward = [&](int which, const SideArguments& side, typename C::Range range, Matrix d_weights,
                                      Words f_pairs, Matrix slope) {
        const Matrix d_f =
            generate_backward(call, arena, which, sums[which], head, d_weights, f_pairs, range.rows());
        const Words z = call.informed(arena, side, head, range, PAIRS).pairs;
        return call.features_backward(arena, which, sums[which], head, d_f, slope, z, range.rows());
    };
    const Matrix d_key = network_backward(0, call.key, keys, d_write, f_key.pairs, slope_key);
    if (call.tied) return call.write_gradients(task, d_values, d_key, nullptr);
    const Matrix d_query =
        network_backward(query_net, call.query_tokens(), queries, d_read, f_query.pairs, slope_query);
    call.write_gradients(task, d_values, d_key, &d_query);
}
