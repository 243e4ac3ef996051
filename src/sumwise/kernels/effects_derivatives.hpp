// Value, gradient and Louis' information of one bundle with vectors of random effects.  docs/method-vectors.md derives them.
//
//     L = log det S + log sum_k w_k exp( f(u^ + S z_k) + |z_k|^2 / 2 )
//
// The gradient is that of L itself, mode and scale moving with the parameters, by the adjoint method: from the derivatives
// of L in u^ and S back to each row's psi_j and to Lambda.  The information is minus the second derivative of the
// complete-data log-likelihood, averaged over the nodes, less the covariance of its score over them [Louis 1982].
#pragma once
#include "effects_rule.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int NODE_GROUP = 32;  // nodes that go through the product with the columns together

/// Parameters: beta, theta, log aux.
inline int64_t parameter_count(const VectorData& d, const VectorQuery& q) { return d.p + q.m + (FAMILIES[d.family].aux_slopes ? 1 : 0); }
/// Values per group: L, gradient, lower triangle of the information where it is wanted, measured quadrature error.
inline int64_t vector_values(const VectorData& d, const VectorQuery& q) {
    const int64_t P = parameter_count(d, q);
    return 2 + P + (q.information ? P * (P + 1) / 2 : 0);
}
/// Scratch, in vectors, that a bundle of `rows` row-vectors needs at `most` nodes.
inline int64_t vector_scratch(const VectorData& d, const VectorQuery& q, int64_t rows, int64_t most) {
    const int64_t c = d.p + d.q, P = parameter_count(d, q), Q = MOST_EFFECTS;
    return rows * (4 + Q) + most * (4 * Q + 3) + most * (2 * Q + 1)                             // rows; nodes, twice
           + 2 * (most * (c + 2) + ROW_GROUP * (NODE_GROUP + c + q.m) + c * (c + q.m + 1))  // sums at the nodes, twice
           + P * (P + 1) + 2 * most * P + c;                                                 // covariance; gradient
}

/// Sums over the rows at each node.
struct NodeSums {
    lanes* T;               // (p + q, count) C'l'
    lanes *la, *laa;        // (count) sums of the first and second derivative of l in log aux, where there is one
};

template <int Q> struct VectorDerivatives {
    const Effects<Q>& g;
    Arena& arena;
    const int64_t p, c, m, P;
    const bool has_aux;

    INLINE VectorDerivatives(const Effects<Q>& effects, Arena& scratch)
        : g(effects), arena(scratch), p(g.p), c(g.c), m(g.query.m), P(parameter_count(g.data, g.query)),
          has_aux(g.family.aux_slopes != nullptr) {}

    /// Into out (vector_values).  Returns the number of each group's rule.
    INLINE lanes evaluate(lanes* out, int64_t most) {
        const NodeVectors nodes = choose_nodes(g, arena, most);
        out[0] = g.log_scale + (g.peak + nodes.log_sum);
        lanes* lower = g.query.information ? out + 1 + P : nullptr;
        if (g.query.information == 1) {
            const NodeSums sums = add_rows(nodes, lower);
            subtract_covariance(nodes, sums, lower);
            gradient(nodes, sums, out + 1);
        } else {
            gradient(nodes, add_rows(nodes, nullptr), out + 1);
            if (lower) {
                const NodeVectors own = fixed_nodes(g, arena);
                subtract_covariance(own, add_rows(own, lower), lower);
            }
        }
        out[vector_values(g.data, g.query) - 1] = nodes.error;
        return nodes.rule;
    }

    /// The sums at each node.  lower (P (P + 1) / 2), if wanted: minus the averages of the second derivatives.
    OUTSIDE NodeSums add_rows(const NodeVectors& nodes, lanes* lower) {
        const int64_t K = nodes.count;
        NodeSums sums{arena.take(c * K), arena.take(K), arena.take(K)};
        lanes *D = arena.take(ROW_GROUP * NODE_GROUP), *V = arena.take(ROW_GROUP * (c > m ? c : m)), *S = arena.take(c * c),
              *B = arena.take(c * m), *E = arena.take(c);
        lanes tt[21], ta[6], psi[ROW_GROUP], w[ROW_GROUP], d1a[ROW_GROUP], wa[ROW_GROUP];
        constexpr int PAIRS = Q * (Q + 1) / 2;
        lanes mean[ROW_GROUP][1 + Q + PAIRS], mean_a[ROW_GROUP][1 + Q];  // w, w u, w u u' averaged; d(l')/d log aux likewise
        for (int64_t j = 0; j < c * K; ++j) sums.T[j] = all(0.0);
        for (int64_t k = 0; k < K; ++k) sums.la[k] = sums.laa[k] = all(0.0);
        for (int64_t j = 0; j < c * c; ++j) S[j] = all(0.0);
        for (int64_t j = 0; j < c * m; ++j) B[j] = all(0.0);
        for (int64_t j = 0; j < c; ++j) E[j] = all(0.0);
        for (auto& v : tt) v = all(0.0);
        for (auto& v : ta) v = all(0.0);
        for (int64_t first = 0; first < g.rows; first += ROW_GROUP) {
            const Rows r = g.block(first);
            const lanes* C = g.C + first * c;
            for (int i = 0; i < r.size; ++i) {
                for (auto& v : mean[i]) v = all(0.0);
                for (auto& v : mean_a[i]) v = all(0.0);
            }
            for (int64_t from = 0; from < K; from += NODE_GROUP) {
                const int64_t to = from + NODE_GROUP < K ? from + NODE_GROUP : K;
                for (int64_t k = from; k < to; ++k) {
                    const lanes* at = nodes.at + k * Q;
                    g.predict(first, r.size, at, psi);
                    lanes d1[ROW_GROUP];
                    g.family.slopes(r, psi, d1, w);
                    for (int i = 0; i < r.size; ++i) D[i * NODE_GROUP + (k - from)] = d1[i];
                    if (has_aux) g.family.aux_slopes(r, psi, sums.la[k], sums.laa[k], d1a, wa);
                    if (!lower) continue;
                    lanes moment[1 + Q + PAIRS];
                    moment[0] = nodes.pi[k];
                    for (int a = 0, j = 1 + Q; a < Q; ++a) {
                        moment[1 + a] = nodes.pi[k] * at[a];
                        for (int b = 0; b <= a; ++b) moment[j++] = moment[1 + a] * at[b];
                    }
                    for (int i = 0; i < r.size; ++i) {
                        for (int j = 0; j < 1 + Q + PAIRS; ++j) mean[i][j] = fma(moment[j], w[i], mean[i][j]);
                        if (has_aux)
                            for (int j = 0; j < 1 + Q; ++j) mean_a[i][j] = fma(moment[j], d1a[i], mean_a[i][j]);
                    }
                }
                product<true>(sums.T + from, K, C, c, D, NODE_GROUP, r.size, to - from);
            }
            if (!lower) continue;
            for (int i = 0; i < r.size; ++i)
                for (int64_t j = 0; j < c; ++j) V[i * c + j] = C[i * c + j] * mean[i][0];
            product<true>(S, c, C, c, V, c, r.size, c, true);
            for (int i = 0; i < r.size; ++i)
                for (int64_t t = 0; t < m; ++t) V[i * m + t] = C[i * c + p + g.query.row[t]] * mean[i][1 + g.query.column[t]];
            product<true>(B, m, C, c, V, m, r.size, m);
            for (int i = 0; i < r.size; ++i) add_theta(C + i * c + p, mean[i], mean_a[i], tt, ta);
            if (has_aux)
                for (int i = 0; i < r.size; ++i)
                    for (int64_t j = 0; j < p; ++j) E[j] = fma(C[i * c + j], mean_a[i][0], E[j]);
        }
        if (g.wide) {
            for (int64_t j = 0; j < c * K; ++j) sums.T[j] = across(sums.T[j]);
            for (int64_t k = 0; k < K; ++k) sums.la[k] = across(sums.la[k]), sums.laa[k] = across(sums.laa[k]);
        }
        if (lower) {
            auto at = [&](int64_t i, int64_t j) -> lanes& { return lower[i * (i + 1) / 2 + j]; };
            for (int64_t i = 0; i < p; ++i) for (int64_t j = 0; j <= i; ++j) at(i, j) = g.total(S[i * c + j]);
            for (int64_t t = 0; t < m; ++t) {
                for (int64_t j = 0; j < p; ++j) at(p + t, j) = g.total(B[j * m + t]);
                for (int64_t s = 0; s <= t; ++s) at(p + t, p + s) = g.total(tt[t * (t + 1) / 2 + s]);
            }
            if (has_aux) {
                for (int64_t j = 0; j < p; ++j) at(P - 1, j) = -g.total(E[j]);
                for (int64_t t = 0; t < m; ++t) at(P - 1, p + t) = -g.total(ta[t]);
                lanes sum = all(0.0);
                for (int64_t k = 0; k < K; ++k) sum = fma(nodes.pi[k], sums.laa[k], sum);
                at(P - 1, P - 1) = -sum;
            }
        }
        return sums;
    }
    /// One row's part of the information in theta: z_a z_c w u_b u_d, and z_a d(l')/d log aux u_b.
    INLINE void add_theta(const lanes* z, const lanes* mean, const lanes* mean_a, lanes* tt, lanes* ta) {
        const int64_t *row = g.query.row, *column = g.query.column;
        for (int64_t t = 0; t < m; ++t) {
            for (int64_t s = 0; s <= t; ++s) {
                const int64_t a = column[t] > column[s] ? column[t] : column[s], b = column[t] + column[s] - a;
                lanes& sum = tt[t * (t + 1) / 2 + s];
                sum = fma(z[row[t]] * z[row[s]], mean[1 + Q + a * (a + 1) / 2 + b], sum);
            }
            if (has_aux) ta[t] = fma(z[row[t]], mean_a[1 + column[t]], ta[t]);
        }
    }

    /// lower -= the covariance over the nodes of the score  (X'l', (Z'l')_a u_b, sum dl/d log aux).
    OUTSIDE void subtract_covariance(const NodeVectors& nodes, const NodeSums& sums, lanes* lower) {
        const int64_t K = nodes.count;
        lanes *score = arena.take(K * P), *weighted = arena.take(K * P), *H = arena.take(P * P), *mean = arena.take(P);
        for (int64_t j = 0; j < P; ++j) mean[j] = all(0.0);
        for (int64_t k = 0; k < K; ++k) {
            lanes* s = score + k * P;
            for (int64_t j = 0; j < p; ++j) s[j] = sums.T[j * K + k];
            for (int64_t t = 0; t < m; ++t) s[p + t] = sums.T[(p + g.query.row[t]) * K + k] * nodes.at[k * Q + g.query.column[t]];
            if (has_aux) s[P - 1] = sums.la[k];
            for (int64_t j = 0; j < P; ++j) mean[j] = fma(nodes.pi[k], s[j], mean[j]);
        }
        for (int64_t k = 0; k < K; ++k)
            for (int64_t j = 0; j < P; ++j) {
                score[k * P + j] = score[k * P + j] - mean[j];
                weighted[k * P + j] = nodes.pi[k] * score[k * P + j];
            }
        product<false>(H, P, weighted, P, score, P, (int)K, P, true);
        for (int64_t i = 0; i < P; ++i)
            for (int64_t j = 0; j <= i; ++j) lower[i * (i + 1) / 2 + j] = lower[i * (i + 1) / 2 + j] - H[i * P + j];
    }

    /// The gradient of L in (beta, theta, log aux) into out (P).
    OUTSIDE void gradient(const NodeVectors& nodes, const NodeSums& sums, lanes* out) {
        const int64_t K = nodes.count;
        lanes u_bar[Q], lambda[Q], aux_bar = all(0.0);
        Small<Q> N, W, Lambda_bar;  // N = S_bar'S, then adjoint of S'HS;  W = H_bar
        for (int64_t j = 0; j < p; ++j) out[j] = all(0.0);
        for (int a = 0; a < Q; ++a) {
            u_bar[a] = all(0.0);
            for (int b = 0; b < Q; ++b) N[a][b] = all(a == b ? 1.0 : 0.0), Lambda_bar[a][b] = all(0.0);
        }
        for (int64_t k = 0; k < K; ++k) {
            const lanes pi = nodes.pi[k], *z = nodes.z + k * Q, *at = nodes.at + k * Q;
            lanes slope[Q];  // f'(u_k)
            for (int b = 0; b < Q; ++b) {
                slope[b] = -at[b];
                for (int a = b; a < Q; ++a) slope[b] = fma(sums.T[(p + a) * K + k], g.query.lambda[a * Q + b], slope[b]);
                slope[b] = pi * slope[b];
                u_bar[b] += slope[b];
            }
            for (int b = 0; b < Q; ++b) {
                lanes turned = all(0.0);  // S'f'(u_k)
                for (int a = b; a < Q; ++a) turned = fma(g.S[a][b], slope[a], turned);
                for (int a = 0; a < Q; ++a) N[a][b] = fma(z[a], turned, N[a][b]);
            }
            for (int64_t j = 0; j < p; ++j) out[j] = fma(pi, sums.T[j * K + k], out[j]);
            for (int a = 0; a < Q; ++a) {
                const lanes weighted = pi * sums.T[(p + a) * K + k];
                for (int b = 0; b < Q; ++b) Lambda_bar[a][b] = fma(weighted, at[b], Lambda_bar[a][b]);
            }
            aux_bar = fma(pi, sums.la[k], aux_bar);
        }
        // S'dH S = M, dS = -S Phi(M)' with Phi the upper triangle, its diagonal halved: H_bar = -S sym(upper N) S' / 2
        for (int a = 0; a < Q; ++a) for (int b = 0; b < a; ++b) N[a][b] = N[b][a];
        for (int a = 0; a < Q; ++a)
            for (int b = 0; b <= a; ++b) {
                lanes sum = all(0.0);
                for (int d = 0; d <= a; ++d)
                    for (int e = 0; e <= b; ++e) sum = fma(g.S[a][d] * N[d][e], g.S[b][e], sum);
                W[a][b] = W[b][a] = -0.5 * sum;
            }
        for (int a = 0; a < Q; ++a)
            for (int b = 0; b < Q; ++b) {
                lanes sum = all(0.0);
                for (int d = 0; d < Q; ++d) sum = fma(g.ZwA[a][d], W[d][b], sum);
                Lambda_bar[a][b] = fma(all(2.0), sum, Lambda_bar[a][b]);
            }
        // the rows' part in H moves the mode as well
        lanes* bend = arena.take(g.rows);  // w' a'H_bar a, then the adjoint of psi at the mode
        lanes from_rows[Q];
        for (int a = 0; a < Q; ++a) from_rows[a] = all(0.0);
        for (int64_t i = 0; i < g.rows; ++i) {
            const lanes* a = g.A + i * Q;
            bend[i] = g.d3[i] * form(W, a);
            for (int b = 0; b < Q; ++b) from_rows[b] = fma(bend[i], a[b], from_rows[b]);
        }
        for (int a = 0; a < Q; ++a) u_bar[a] += g.total(from_rows[a]);
        solve(g.S, u_bar, lambda);
        lanes *rows_bar = arena.take(c);
        for (int64_t j = 0; j < c; ++j) rows_bar[j] = all(0.0);
        for (int64_t i = 0; i < g.rows; ++i) {
            const lanes* a = g.A + i * Q;
            lanes along = all(0.0);
            for (int b = 0; b < Q; ++b) along = fma(a[b], lambda[b], along);
            const lanes bar = fma(-g.w[i], along, bend[i]);
            for (int64_t j = 0; j < c; ++j) rows_bar[j] = fma(g.C[i * c + j], bar, rows_bar[j]);
        }
        for (int64_t j = 0; j < c; ++j) rows_bar[j] = g.total(rows_bar[j]);
        for (int64_t j = 0; j < p; ++j) out[j] += rows_bar[j];
        for (int64_t t = 0; t < m; ++t) {
            const int64_t a = g.query.row[t], b = g.query.column[t];
            out[p + t] = fma(rows_bar[p + a], g.u[b], fma(g.Zd[a], lambda[b], Lambda_bar[a][b]));
        }
        if (has_aux) out[P - 1] = aux_bar + g.total(aux_at_mode(W, lambda));
    }
    /// a'W a
    INLINE lanes form(const Small<Q>& W, const lanes* a) const {
        lanes sum = all(0.0);
        for (int d = 0; d < Q; ++d)
            for (int e = 0; e < Q; ++e) sum = fma(a[d] * W[d][e], a[e], sum);
        return sum;
    }
    /// What aux does to L by way of H and of the mode, row by row.
    INLINE lanes aux_at_mode(const Small<Q>& W, const lanes* lambda) const {
        lanes psi[ROW_GROUP], d1a[ROW_GROUP], wa[ROW_GROUP], unused = all(0.0), sum = all(0.0);
        for (int64_t first = 0; first < g.rows; first += ROW_GROUP) {
            const Rows r = g.block(first);
            g.predict(first, r.size, g.u, psi);
            g.family.aux_slopes(r, psi, unused, unused, d1a, wa);
            for (int i = 0; i < r.size; ++i) {
                const lanes* a = g.A + (first + i) * Q;
                lanes along = all(0.0);
                for (int b = 0; b < Q; ++b) along = fma(a[b], lambda[b], along);
                sum = fma(wa[i], form(W, a), fma(d1a[i], along, sum));
            }
        }
        return sum;
    }
};

}  // namespace
