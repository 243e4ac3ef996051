// Adaptive Gauss-Hermite quadrature for the logistic random-intercept model: one bundle's log-likelihood and derivatives.
//
// Group with rows j: successes y_j of n_j trials, linear predictor psi_j(u) = x_j'beta + o_j + theta u, u ~ N(0, 1).
//     f(u)  = sum_j [ y_j psi_j - n_j log(1 + exp psi_j) ] - u^2/2
//     u^    = the mode of f,     h = -f''(u^) = 1 + theta^2 sum_j W_j,     s = h^(-1/2)
//     L     = log s + log sum_k w_k exp( f(u^ + s z_k) + z_k^2/2 )                              [Liu & Pierce 1994]
// z_k, w_k: the rule for N(0, 1), sum_k w_k = 1.  One node is the Laplace approximation.
//
// The gradient and Hessian are those of L itself, mode and scale moving with phi = (beta, theta); docs/method.md derives
// them.  exp(psi) = exp(x'beta + o) exp(theta u), so a row costs one exponential, whatever the number of nodes.
#pragma once
#include "bundle.hpp"
#include "dense.hpp"
#include "rule.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int ROW_BLOCK = 16;

/// Values per group: L, gradient (p + 1), lower triangle of the Hessian, measured quadrature error.
inline int64_t value_count(int64_t p) { return 2 + (p + 1) + (p + 1) * (p + 2) / 2; }

/// Scratch, in vectors, that a bundle of `rows` row-vectors needs at `most` nodes.
inline int64_t scratch(int64_t p, int64_t rows, int64_t most) {
    const int64_t r = most + 5, widest = r > p ? r : p, q = p + 1;
    return 6 * rows + 12 * most + ROW_BLOCK * widest + p * r + p * p + q * (8 + p + 2 * most) + 16;
}

template <bool WIDE> struct Derivatives {
    Bundle<WIDE>& g;
    Arena& arena;
    const int64_t p, q, rows;
    lanes theta, u, h, s, s2, t2, t3;   // u: the mode
    lanes normaliser, peak;                  // at the mode: sum of n log(1 + exp psi); f without its constant
    typename Bundle<WIDE>::Shift at_mode;
    lanes B0, w0, w1, w2;                    // at the mode: sum of residuals, sums of W, W', W''
    Nodes nodes;
    int64_t K, r;                            // nodes; columns of V
    int64_t mean_w, mean_zw, col0, col1, col2;  // columns of V after the K residuals
    lanes *V, *T, *S;                        // T = X'V (p, r);  S = X' D X (p, p), lower triangle
    lanes *B, *w;                            // (K) sum of residuals, sum of W at each node
    lanes *row_w0, *row_w1, *row_w2;         // (rows) W, W', W'' at the mode
    lanes* row_mean_w;                       // (rows) W averaged over the nodes
    lanes F_mean, Fz_mean, H0, H1, H2, uuw, b0, b1;  // averages over the nodes
    lanes kh, ku, on_w1, on_w2;              // how much D2h and D2u^ weigh in D2L; and with them W', W'' in a row of D

    INLINE Derivatives(Bundle<WIDE>& bundle, Arena& scratch_space, int64_t most)
        : g(bundle), arena(scratch_space), p(bundle.p), q(bundle.p + 1), rows(bundle.rows), theta(bundle.theta) {
        g.eta = arena.take(rows), g.e = arena.take(rows);
        g.linear_predictor();
        find_mode();
        nodes = choose_rule(g, u, s, normaliser, peak, arena, most);
        K = nodes.count;
        mean_w = K, mean_zw = K + 1, col0 = K + 2, col1 = K + 3, col2 = K + 4, r = K + 5;
    }

    INLINE void find_mode() {
        u = g.mode();
        at_mode = g.shift(u);
        row_w0 = arena.take(rows), row_w1 = arena.take(rows), row_w2 = arena.take(rows);
        lanes P = all(0.0);
        w0 = w1 = w2 = all(0.0);
        for (int64_t i = 0; i < rows; ++i) {
            auto c = g.chance(i, at_mode);
            const lanes W = g.n[i] * c.pq;
            P = fma(g.n[i], c.p, P);
            w0 += row_w0[i] = W;
            w1 += row_w1[i] = W * (1.0 - 2.0 * c.p);
            w2 += row_w2[i] = W * (1.0 - 6.0 * c.pq);
        }
        B0 = g.Y - total<WIDE>(P);
        w0 = total<WIDE>(w0), w1 = total<WIDE>(w1), w2 = total<WIDE>(w2);
        t2 = theta * theta, t3 = t2 * theta;
        h = fma(t2, w0, 1.0), s = 1.0 / root(h), s2 = s * s;
        normaliser = g.log_normaliser(at_mode);
        peak = g.exponent(u, normaliser);
    }

    /// L, gradient and Hessian of the bundle's groups into out (value_count(p)).
    INLINE void evaluate(lanes* out) {
        weigh_rows();
        average_nodes();
        weigh_cross_product();
        assemble(out);
        out[0] = g.y_eta + (peak + (log(s) + nodes.log_sum));
        out[value_count(p) - 1] = nodes.error;
    }

    /// T = X' [residuals at each node | mean W | mean z W | W, W', W'' at the mode], block of rows by block of rows.
    INLINE void weigh_rows() {
        V = arena.take(ROW_BLOCK * (r > p ? r : p)), T = arena.take(p * r), B = arena.take(K), w = arena.take(K);
        row_mean_w = arena.take(rows);
        for (int64_t k = 0; k < K; ++k) B[k] = w[k] = all(0.0);
        auto* shifts = static_cast<typename Bundle<WIDE>::Shift*>(nodes.shifts);
        if (!nodes.shifts_known) for (int64_t k = 0; k < K; ++k) shifts[k] = g.shift(fma(s, nodes.z[k], u));
        for (int64_t first = 0; first < rows; first += ROW_BLOCK) {
            const int size = (int)(rows - first < ROW_BLOCK ? rows - first : ROW_BLOCK);
            for (int i = 0; i < size; ++i) V[i * r + mean_w] = V[i * r + mean_zw] = all(0.0);
            for (int64_t k = 0; k < K; ++k) weigh_at_node(k, shifts[k], first, size);
            for (int i = 0; i < size; ++i) {
                lanes* row = V + i * r;
                row[col0] = row_w0[first + i], row[col1] = row_w1[first + i], row[col2] = row_w2[first + i];
                row_mean_w[first + i] = row[mean_w];
            }
            if (first) product<true>(T, r, g.X + first * p, p, V, r, size, r);
            else product<false>(T, r, g.X, p, V, r, size, r);
        }
        if (WIDE) {
            for (int64_t j = 0; j < p * r; ++j) T[j] = across(T[j]);
            for (int64_t k = 0; k < K; ++k) B[k] = across(B[k]), w[k] = across(w[k]);
        }
    }
    INLINE void weigh_at_node(int64_t k, const typename Bundle<WIDE>::Shift& shift, int64_t first, int size) {
        const lanes z = nodes.z[k], pi = nodes.pi[k];
        lanes sum_l = B[k], sum_w = w[k];
        for (int i = 0; i < size; ++i) {
            auto c = g.chance(first + i, shift);
            const lanes l = fma(-g.n[first + i], c.p, g.y[first + i]), W = g.n[first + i] * c.pq, weighted = pi * W;
            lanes* row = V + i * r;
            row[k] = l;
            row[mean_w] += weighted;
            row[mean_zw] = fma(z, weighted, row[mean_zw]);
            sum_l += l, sum_w += W;
        }
        B[k] = sum_l, w[k] = sum_w;
    }

    /// Averages over the nodes of u_k = u + s z_k, F_k = f'(u_k), h_k = -f''(u_k), b_k = B_k - theta u_k w_k.
    INLINE void average_nodes() {
        F_mean = Fz_mean = H0 = H1 = H2 = uuw = b0 = b1 = all(0.0);
        for (int64_t k = 0; k < K; ++k) {
            const lanes z = nodes.z[k], pi = nodes.pi[k], uk = fma(s, z, u);
            const lanes F = theta * B[k] - uk, hk = fma(t2, w[k], 1.0), b = B[k] - theta * uk * w[k];
            F_mean = fma(pi, F, F_mean);
            Fz_mean = fma(pi * z, F, Fz_mean);
            H0 = fma(pi, hk, H0);
            H1 = fma(pi * z, hk, H1);
            H2 = fma(pi * z * z, hk, H2);
            uuw = fma(pi * uk * uk, w[k], uuw);
            b0 = fma(pi, b, b0);
            b1 = fma(pi * z, b, b1);
        }
        kh = -0.5 * s2 * (1.0 + s * Fz_mean), ku = F_mean + kh * t3 * w1;
        on_w2 = kh * t2, on_w1 = -(ku * s2 * theta);
    }

    /// S = X' D X, all terms quadratic in the rows in one weight a row.
    INLINE void weigh_cross_product() {
        S = arena.take(p * p);
        for (int64_t first = 0; first < rows; first += ROW_BLOCK) {
            const int size = (int)(rows - first < ROW_BLOCK ? rows - first : ROW_BLOCK);
            for (int i = 0; i < size; ++i) {
                const int64_t row = first + i;
                const lanes D = fma(on_w2, row_w2[row], fma(on_w1, row_w1[row], -row_mean_w[row]));
                for (int64_t c = 0; c < p; ++c) V[i * p + c] = D * g.X[row * p + c];
            }
            if (first) product<true>(S, p, g.X + first * p, p, V, p, size, p, true);
            else product<false>(S, p, g.X, p, V, p, size, p, true);
        }
        if (WIDE)
            for (int64_t c = 0; c < p; ++c) for (int64_t d = 0; d <= c; ++d) S[c * p + d] = across(S[c * p + d]);
    }

    /// Gradient and Hessian from S and from vectors in (beta, theta): Du = Du^, Ds, Dg_k, and vu, vs, ve such that the terms
    /// of rank two are vu Du' + vs Ds' + ve e' and their transposes.
    INLINE void assemble(lanes* out) {
        lanes *Du = arena.take(q), *Ds = arena.take(q), *vu = arena.take(q), *vs = arena.take(q), *ve = arena.take(q),
              *border = arena.take(q), *H = arena.take(q * q);
        const lanes on_Ds = fma(all(-0.5), H2, h) + 1.5 * Fz_mean / s;
        const lanes on_Du = -0.5 * (H0 - kh * t2 * t2 * w2 + ku * s2 * t3 * w1);
        for (int64_t c = 0; c < q; ++c) {
            const bool beta = c < p;
            const lanes* Tc = T + (beta ? c : 0) * r;
            const lanes q0 = beta ? Tc[col0] : u * w0, q1 = beta ? Tc[col1] : u * w1, q2 = beta ? Tc[col2] : u * w2;
            const lanes e = all(beta ? 0.0 : 1.0), R0 = beta ? -theta * Tc[mean_w] : b0, R1 = beta ? -theta * Tc[mean_zw] : b1;
            Du[c] = s2 * (B0 * e - theta * q0);
            const lanes Dh_fixed = 2.0 * theta * w0 * e + t2 * q1, Dh = fma(t3 * w1, Du[c], Dh_fixed);
            Ds[c] = -0.5 * s2 * s * Dh;
            out[1 + c] = -0.5 * s2 * Dh;
            vu[c] = R0 + kh * (t3 * q2 + t2 * w1 * e) - ku * s2 * Dh_fixed + on_Du * Du[c] - H1 * Ds[c];
            vs[c] = R1 + on_Ds * Ds[c];
            ve[c] = kh * (w0 * e + 2.0 * theta * fma(theta * w1, Du[c], q1)) - ku * s2 * q0;
            border[c] = u * (on_w2 * q2 + on_w1 * q1) - (beta ? u * Tc[mean_w] + s * Tc[mean_zw] : uuw);
        }
        for (int64_t j = 0; j < q * q; ++j) H[j] = all(0.0);
        for (int64_t c = 0; c < q; ++c)
            for (int64_t d = 0; d <= c; ++d) {
                lanes v = c < p ? S[c * p + d] : border[d] + (d == p ? 2.0 * ve[p] : ve[d]);
                v = fma(vu[c], Du[d], fma(Du[c], vu[d], v));
                H[c * q + d] = fma(vs[c], Ds[d], fma(Ds[c], vs[d], v));
            }
        add_covariance(Du, Ds, out + 1, H);
        lanes* lower = out + 1 + q;
        for (int64_t c = 0; c < q; ++c) for (int64_t d = 0; d <= c; ++d) *lower++ = H[c * q + d];
    }
    /// Dg_k = (X' residuals, u_k B_k) + F_k (Du + z_k Ds): its mean over the nodes to the gradient, its covariance to H.
    INLINE void add_covariance(const lanes* Du, const lanes* Ds, lanes* gradient, lanes* H) {
        lanes *mean = arena.take(q), *Dg = arena.take(K * q), *weighted = arena.take(K * q);
        for (int64_t c = 0; c < q; ++c) mean[c] = all(0.0);
        for (int64_t k = 0; k < K; ++k) {
            const lanes z = nodes.z[k], pi = nodes.pi[k], uk = fma(s, z, u), F = theta * B[k] - uk;
            for (int64_t c = 0; c < q; ++c) {
                const lanes G = c < p ? T[c * r + k] : uk * B[k], d = fma(F, fma(z, Ds[c], Du[c]), G);
                Dg[k * q + c] = d;
                mean[c] = fma(pi, d, mean[c]);
            }
        }
        for (int64_t k = 0; k < K; ++k)
            for (int64_t c = 0; c < q; ++c) {
                Dg[k * q + c] = Dg[k * q + c] - mean[c];
                weighted[k * q + c] = nodes.pi[k] * Dg[k * q + c];
            }
        for (int64_t c = 0; c < q; ++c) gradient[c] += mean[c];
        product<true>(H, q, weighted, q, Dg, q, (int)K, q, true);
    }
};

}  // namespace
