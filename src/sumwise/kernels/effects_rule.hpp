// The choice of a rule for each group, by measured error: as rule.hpp, for nodes that are vectors.
#pragma once
#include "effects.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct NodeVectors {        // per group; groups with fewer nodes than `count` have weight 0 in the rest
    int64_t count = 0;
    lanes *z, *at, *pi;     // (count, Q) nodes and u^ + S z; (count) posterior weight of each node, sum 1
    lanes log_sum, error;   // log sum_k w_k exp(...);  difference of the two rules, 0 where there was one rule only
    lanes rule;             // number of the rule, as a double
};

/// term (count): w_k exp( f(u_k) - peak ) over the nodes z (count, Q); at (count, Q): u_k.   Returns their sum.
template <int Q>
inline lanes node_terms(const Effects<Q>& g, const double* z, const double* w, int64_t count, lanes* at, lanes* term) {
    lanes psi[ROW_GROUP];
    for (int64_t k = 0; k < count; ++k) {
        lanes node[Q];
        for (int a = 0; a < Q; ++a) node[a] = all(z[k * Q + a]);
        g.place(node, at + k * Q);
        term[k] = all(0.0);
    }
    for (int64_t first = 0; first < g.rows; first += ROW_GROUP) {
        const Rows r = g.block(first);
        for (int64_t k = 0; k < count; ++k) {
            g.predict(first, r.size, at + k * Q, psi);
            term[k] += g.family.value(r, psi);
        }
    }
    lanes sum = all(0.0);
    for (int64_t k = 0; k < count; ++k) {
        lanes f = g.total(term[k]);
        for (int a = 0; a < Q; ++a) f = f - 0.5 * at[k * Q + a] * at[k * Q + a];
        term[k] = w[k] * exp(f - g.peak);
        sum += term[k];
    }
    return sum;
}

/// Where a node's weight is 0, its place is the mode: there every derivative is finite.
template <int Q> INLINE void settle_weights(const Effects<Q>& g, NodeVectors& nodes) {
    const lanes scale = exp(-nodes.log_sum);
    for (int64_t k = 0; k < nodes.count; ++k) {
        nodes.pi[k] = nodes.pi[k] * scale;
        const mask void_node = nodes.pi[k] == all(0.0);
        for (int a = 0; a < Q; ++a) nodes.at[k * Q + a] = select(void_node, g.u[a], nodes.at[k * Q + a]);
    }
}

/// Tries the rules in order until a group's values agree, or there are no more; of the two that agree it takes the second,
/// so that the error, which is that of the first, is on the safe side.  With an infinite tolerance it takes the first rule.
template <int Q> inline NodeVectors choose_nodes(const Effects<Q>& g, Arena& arena, int64_t most) {
    const VectorQuery& q = g.query;
    NodeVectors chosen{0, arena.take(most * Q), arena.take(most * Q), arena.take(most), all(0.0), all(0.0), all(-1.0)};
    lanes *term = arena.take(most), *last_term = arena.take(most), *at = arena.take(most * Q),
          *last_at = arena.take(most * Q), last_log = all(0.0);
    for (int64_t k = 0; k < most; ++k) {
        chosen.pi[k] = all(0.0);
        for (int a = 0; a < Q; ++a) chosen.z[k * Q + a] = all(0.0), chosen.at[k * Q + a] = g.u[a];
    }
    // differences below a few roundings of f carry no information
    const lanes tolerance = larger(all(q.tolerance), 4.4e-16 * (1.0 + absolute(g.peak)));
    const bool fixed = !(q.tolerance < __builtin_inf());
    const double *z = q.z, *w = q.w, *last_z = nullptr;
    for (int64_t r = 0; r < q.rules; ++r) {
        const lanes log_sum = log(node_terms(g, z, w, q.count[r], at, term));
        const lanes error = r ? absolute(log_sum - last_log) : all(0.0);
        mask open = chosen.rule < all(0.0);
        auto settle = [&](mask who, int64_t rule, const double* nodes, const lanes* places, const lanes* terms, lanes value) {
            if (!any(who)) return;
            const int64_t count = q.count[rule];
            for (int64_t k = 0; k < count; ++k) {
                for (int a = 0; a < Q; ++a) {
                    chosen.z[k * Q + a] = select(who, all(nodes[k * Q + a]), chosen.z[k * Q + a]);
                    chosen.at[k * Q + a] = select(who, places[k * Q + a], chosen.at[k * Q + a]);
                }
                chosen.pi[k] = select(who, terms[k], chosen.pi[k]);
            }
            if (count > chosen.count) chosen.count = count;
            chosen.rule = select(who, all((double)rule), chosen.rule);
            chosen.log_sum = select(who, value, chosen.log_sum);
            chosen.error = select(who, error, chosen.error);
        };
        if (r) {
            const mask good = open & (error <= tolerance);
            if (fixed) settle(good, r - 1, last_z, last_at, last_term, last_log);
            else settle(good, r, z, at, term, log_sum);
            open = open & !good;
        }
        if (!any(open)) break;
        if (r + 1 == q.rules) settle(open, r, z, at, term, log_sum);
        last_z = z, last_log = log_sum;
        lanes *swap = last_term, *swap_at = last_at;
        last_term = term, term = swap, last_at = at, at = swap_at;
        z += q.count[r] * Q, w += q.count[r];
    }
    settle_weights(g, chosen);
    return chosen;
}

/// One rule for all groups, whatever its error.
template <int Q> inline NodeVectors fixed_nodes(const Effects<Q>& g, Arena& arena) {
    const VectorQuery& q = g.query;
    const int64_t K = q.own_count;
    NodeVectors nodes{K, arena.take(K * Q), arena.take(K * Q), arena.take(K), all(0.0), all(0.0), all(0.0)};
    nodes.log_sum = log(node_terms(g, q.own_z, q.own_w, K, nodes.at, nodes.pi));
    for (int64_t k = 0; k < K * Q; ++k) nodes.z[k] = all(q.own_z[k]);
    settle_weights(g, nodes);
    return nodes;
}

}  // namespace
