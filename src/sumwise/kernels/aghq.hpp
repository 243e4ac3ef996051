// Adaptive Gauss-Hermite quadrature for the logistic random-intercept model: one evaluation over packed groups.
//
// Group with rows j: successes y_j of n_j trials, linear predictor psi_j(u) = x_j'beta + o_j + theta u, u ~ N(0, 1).
//     f(u)  = sum_j [ y_j psi_j - n_j log(1 + exp psi_j) ] - u^2/2
//     u^    = the mode of f,     h = -f''(u^) = 1 + theta^2 sum_j W_j,     s = h^(-1/2)
//     L     = log s + log sum_k w_k exp( f(u^ + s z_k) + z_k^2/2 )                              [Liu & Pierce 1994]
// z_k, w_k: the rule for N(0, 1), sum_k w_k = 1.  One node is the Laplace approximation.
//
// The gradient and Hessian are those of L itself, mode and scale moving with phi = (beta, theta); docs/method.md derives
// them.  exp(psi) = exp(x'beta + o) exp(theta u), so a row costs one exponential, whatever the number of nodes.
//
// A bundle holds eight groups, one to a lane (narrow), or one large group whose rows lie eight to a vector (wide).
// Only `total` differs: narrow sums are already per group, wide ones are added across the lanes.  A lane never sees its
// neighbours, so the company a group keeps does not change its bits.
#pragma once
#include "simd.hpp"
#include "sums.hpp"
#include <cstdlib>

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Packed {             // one site's rows; "vector" = eight doubles
    int64_t p;              // columns of X
    int64_t bundles;
    const int64_t* start;   // (bundles + 1) first vector of each bundle
    const int64_t* members; // (bundles) groups in the bundle, 1..8; 0 marks a wide bundle of one group
    const int64_t* group;   // (bundles, 8) number of the group in each lane
    const double* X;        // (vectors, p, 8)
    const double* y;        // (vectors, 8) successes
    const double* n;        // (vectors, 8) trials; 0 in padding
    const double* offset;   // (vectors, 8), or null
    int64_t bernoulli;      // no row of this site has more than one trial: a short cut, which changes no bit
};
struct Query {
    const double* beta;     // (p)
    double theta;
    int64_t rules;          // rules to try, in this order; a group takes the first whose error is at most `tolerance`
    const int64_t* order;   // (rules) number of nodes
    const double* z;        // nodes of all rules, one after the other
    const double* w;        // w_k exp(z_k^2 / 2)
    double tolerance;       // on |L_rule - L_next rule|, per group
};
struct Answer {
    int64_t* sums;          // (values, DIGITS): L, gradient (p+1), lower triangle of the Hessian, sum of measured errors
    int64_t* used;          // (rules) groups that took each rule
    int64_t* failed;        // (1) groups whose value or derivatives are not finite: they are left out of the sums
    double* mode;           // (groups) u^ , or null
    double* scale;          // (groups) s  , or null
};

constexpr double FAR = 300;        // beyond this, exp(eta) exp(theta u) could overflow or lose digits: take exp(eta + theta u)
constexpr int ROW_BLOCK = 16;

struct Arena {                     // scratch space of one thread; grows, never shrinks
    lanes* base = nullptr;
    int64_t size = 0, used = 0;
    ~Arena() { free(base); }
    bool reserve(int64_t n) {
        used = 0;
        if (n <= size) return true;
        free(base);
        base = static_cast<lanes*>(aligned_alloc(64, n * sizeof(lanes)));
        size = base ? n : 0;
        return base != nullptr;
    }
    lanes* take(int64_t n) { lanes* r = base + used; used += n; return r; }
};

template <bool WIDE> INLINE lanes total(lanes a) { return WIDE ? across(a) : a; }

// ---- small dense products -------------------------------------------------------------------------------------------

template <int C, int R>
INLINE void product_tile(lanes* out, int64_t stride, const lanes* X, int64_t p, const lanes* V, int64_t r, int rows) {
    lanes acc[C][R];
    for (int c = 0; c < C; ++c) for (int k = 0; k < R; ++k) acc[c][k] = out[c * stride + k];
    for (int i = 0; i < rows; ++i)
        for (int c = 0; c < C; ++c) for (int k = 0; k < R; ++k) acc[c][k] = fma(X[i * p + c], V[i * r + k], acc[c][k]);
    for (int c = 0; c < C; ++c) for (int k = 0; k < R; ++k) out[c * stride + k] = acc[c][k];
}
#if defined(__AVX512F__)
constexpr int TILE_C = 4, TILE_R = 5;
#elif defined(__AVX__)
constexpr int TILE_C = 2, TILE_R = 2;
#else
constexpr int TILE_C = 1, TILE_R = 2;
#endif
template <int C>
INLINE void product_rows(lanes* out, int64_t stride, const lanes* X, int64_t p, const lanes* V, int64_t r, int rows,
                         int64_t k_end) {
    int64_t k = 0;
    for (; k + TILE_R <= k_end; k += TILE_R) product_tile<C, TILE_R>(out + k, stride, X, p, V + k, r, rows);
    for (; k < k_end; ++k) product_tile<C, 1>(out + k, stride, X, p, V + k, r, rows);
}
/// out (p, stride) += X' V for `rows` row-vectors X (rows, p), V (rows, r); every element sums its rows in order.
/// `lower`: V has p columns and only out[c][k], k <= c, is needed.
inline void product(lanes* out, int64_t stride, const lanes* X, int64_t p, const lanes* V, int64_t r, int rows, bool lower) {
    int64_t c = 0;
    for (; c + TILE_C <= p; c += TILE_C)
        product_rows<TILE_C>(out + c * stride, stride, X + c, p, V, r, rows, lower ? c + TILE_C : r);
    for (; c < p; ++c) product_rows<1>(out + c * stride, stride, X + c, p, V, r, rows, lower ? c + 1 : r);
}

// ---- one bundle -----------------------------------------------------------------------------------------------------

template <bool WIDE> struct Bundle {
    const Packed& data;
    const Query& query;
    int64_t p, rows;
    const lanes *X, *y, *n, *offset;
    lanes *eta, *e;                      // (rows) x'beta + o;  exp(eta), or 0 in a far lane
    lanes theta, Y, N, y_eta;            // per group: theta, sum y, sum n, sum y eta
    lanes size;                          // largest |eta| of the group
    mask far;                            // groups in which some |eta| > FAR

    INLINE Bundle(const Packed& d, const Query& q, int64_t b) : data(d), query(q), p(d.p), theta(all(q.theta)) {
        int64_t first = d.start[b];
        rows = d.start[b + 1] - first;
        X = reinterpret_cast<const lanes*>(d.X) + first * p;
        y = reinterpret_cast<const lanes*>(d.y) + first;
        n = reinterpret_cast<const lanes*>(d.n) + first;
        offset = d.offset ? reinterpret_cast<const lanes*>(d.offset) + first : nullptr;
    }

    /// eta of R rows at once, so that their chains of additions overlap
    template <int R> INLINE void predict_rows(int64_t first) {
        lanes v[R];
        for (int i = 0; i < R; ++i) v[i] = offset ? offset[first + i] : all(0.0);
        for (int64_t c = 0; c < p; ++c) {
            const lanes b = all(query.beta[c]);
            for (int i = 0; i < R; ++i) v[i] = fma(X[(first + i) * p + c], b, v[i]);
        }
        for (int i = 0; i < R; ++i) eta[first + i] = v[i];
    }
    INLINE void linear_predictor() {
        int64_t done = 0;
        for (; done + 4 <= rows; done += 4) predict_rows<4>(done);
        for (; done < rows; ++done) predict_rows<1>(done);
        lanes sum_y = all(0.0), sum_n = all(0.0), sum_ye = all(0.0);
        size = all(0.0);
        for (int64_t i = 0; i < rows; ++i) {
            sum_y += y[i], sum_n += n[i];
            sum_ye = fma(y[i], eta[i], sum_ye);
            size = larger(size, absolute(eta[i]));
            e[i] = select(n[i] == all(0.0), all(0.0), exp(eta[i]));  // 0 in padding: it then adds nothing anywhere
        }
        if (WIDE) size = max_across(size);
        Y = total<WIDE>(sum_y), N = total<WIDE>(sum_n), y_eta = total<WIDE>(sum_ye);
        far = size > all(FAR);
    }

    struct Shift { lanes v, factor; mask far; bool any_far; };  // theta u, exp(theta u), where the product form is unsafe
    INLINE Shift shift(lanes u) const {
        Shift s;
        s.v = theta * u;
        s.far = far | (absolute(s.v) > all(FAR));
        s.factor = exp(s.v);
        s.any_far = any(s.far);
        return s;
    }
    struct Chance { lanes p, pq; };  // probability of success; p (1 - p)
    INLINE Chance chance(int64_t i, const Shift& s) const {
        lanes et = e[i] * s.factor, inverse = 1.0 / (et + 1.0), p = et * inverse;
        Chance r{p, p * inverse};
        if (s.any_far) {
            lanes psi = eta[i] + s.v, a = exp(-absolute(psi)), inv = 1.0 / (a + 1.0);
            lanes q = a * inv;
            r.p = select(s.far, select(psi > all(0.0), inv, q), r.p);
            r.pq = select(s.far, q * inv, r.pq);
        }
        return r;
    }

    /// u^ by Halley's iteration on f'(u) = theta (Y - sum n p) - u, kept inside a bracket that shrinks at every step.
    INLINE lanes mode() const {
        lanes bound = absolute(theta) * N, low = -bound, high = bound, u = all(0.0);
        mask active = all(1.0) > all(0.0);
        for (int pass = 0; pass < 200 && any(active); ++pass) {
            Shift s = shift(u);
            lanes P = all(0.0), W = all(0.0), W1 = all(0.0);
            for (int64_t i = 0; i < rows; ++i) {
                Chance c = chance(i, s);
                lanes w = n[i] * c.pq;
                P = fma(n[i], c.p, P);
                W += w;
                W1 = fma(w, 1.0 - 2.0 * c.p, W1);
            }
            P = total<WIDE>(P), W = total<WIDE>(W), W1 = total<WIDE>(W1);
            lanes slope = theta * (Y - P) - u, h = fma(theta * theta, W, 1.0);
            low = select(active & (slope > all(0.0)), u, low);
            high = select(active & (slope < all(0.0)), u, high);
            lanes inverse = 1.0 / h, newton = slope * inverse;
            lanes curve = fma(0.5 * newton, theta * theta * theta * W1 * inverse, 1.0);
            lanes next = u + newton / select(curve > all(0.5), curve, all(1.0));
            // landing on an end of the bracket again would go round in circles
            mask outside = (next < low) | (next > high) | (((next == low) | (next == high)) & (next != u));
            next = select(outside, 0.5 * (low + high), next);
            lanes moved = absolute(next - u);
            // Halley's error is the cube of the step: one millionth of a scale unit leaves 1e-18
            mask settled = (moved * moved * h <= all(1e-12)) | (moved <= 4e-16 * absolute(next));
            u = select(active, next, u);
            active = active & !(settled & !(outside & (moved > 4e-16 * absolute(next))));
        }
        return u;
    }

    /// sum_j n_j log(1 + exp psi_j) at u.  Rows of a single trial: the factors are multiplied and one logarithm is taken.
    INLINE lanes log_normaliser(lanes u) const {
        Shift s = shift(u);
        // at most 8 factors of 2^120 between two rescalings; a bound beyond that rescales after every factor
        const bool small = !any(select(far, all(0.0), size) + absolute(s.v) > all(80.0));
        lanes product = all(1.0), exponent = all(0.0), several = all(0.0);
        for (int64_t i = 0; i < rows; ++i) {
            lanes factor = fma(e[i], s.factor, 1.0);  // 1 in padding
            if (s.any_far) factor = select(s.far, all(1.0), factor);
            if (!data.bernoulli) {
                const mask many = n[i] > all(1.0);
                several = fma(n[i], log_scaled(select(many, factor, all(1.0)), all(0.0)), several);
                factor = select(many, all(1.0), factor);
            }
            product = product * factor;
            if (!small || (i & 7) == 7) {
                integers b = bits_of(product), k;
                for (int j = 0; j < PARTS; ++j) {
                    k.v[j] = (b.v[j] >> 52) - 1023;
                    b.v[j] -= k.v[j] << 52;
                    k.v[j] += 0x4338000000000000LL;
                }
                product = from_bits(b);
                exponent += from_bits(k) - ROUND_TO_INTEGER;
            }
        }
        lanes sum = log_scaled(product, exponent) + several;
        if (s.any_far) {
            lanes slow = all(0.0);
            for (int64_t i = 0; i < rows; ++i) {
                lanes psi = eta[i] + s.v;
                lanes v = larger(psi, all(0.0)) + log_scaled(exp(-absolute(psi)) + 1.0, all(0.0));
                slow = fma(n[i], v, slow);
            }
            sum = select(s.far, slow, sum);
        }
        return total<WIDE>(sum);
    }
    /// f(u) without the constant sum y eta.
    INLINE lanes exponent(lanes u) const { return fma(theta * u, Y, -log_normaliser(u)) - 0.5 * u * u; }
};

// ---- the rule of each group -----------------------------------------------------------------------------------------

struct Nodes {              // per group; groups with fewer nodes than `count` have weight 0 in the rest
    int64_t count = 0;
    lanes *z, *pi;          // nodes; posterior weight of each node, sum 1
    lanes log_sum, error;   // log sum_k w_k exp(...);  |L_rule - L_next rule|, 0 where there was no next rule
    lanes rule;             // number of the rule, as a double
};

/// Tries the rules in order until every group has one whose error is small enough, or there are no more.
template <bool WIDE>
inline Nodes choose_rule(const Bundle<WIDE>& g, lanes u, lanes s, lanes peak, Arena& arena, int64_t most) {
    const Query& q = g.query;
    Nodes chosen{0, arena.take(most), arena.take(most), all(0.0), all(0.0), all(-1.0)};
    lanes *term = arena.take(most), *last_term = arena.take(most), last_log = all(0.0);
    for (int64_t k = 0; k < most; ++k) chosen.z[k] = chosen.pi[k] = all(0.0);
    // differences below a few roundings of log_normaliser carry no information
    lanes floor = 4.4e-16 * (1.0 + absolute(g.log_normaliser(u)));
    lanes tolerance = larger(all(q.tolerance), floor);
    const double *z = q.z, *w = q.w, *last_z = nullptr;
    for (int64_t r = 0; r < q.rules; ++r) {
        lanes sum = all(0.0);
        for (int64_t k = 0; k < q.order[r]; ++k) {
            term[k] = w[k] * exp(g.exponent(fma(s, z[k], u)) - peak);
            sum += term[k];
        }
        lanes log_sum = log(sum), error = r ? absolute(log_sum - last_log) : all(0.0);
        bool last = r + 1 == q.rules;
        mask open = chosen.rule < all(0.0);
        auto settle = [&](mask who, int64_t rule, const double* nodes, const lanes* terms, lanes value, int64_t count) {
            for (int64_t k = 0; k < count; ++k) {
                chosen.z[k] = select(who, all(nodes[k]), chosen.z[k]);
                chosen.pi[k] = select(who, terms[k], chosen.pi[k]);
            }
            if (any(who) && count > chosen.count) chosen.count = count;
            chosen.rule = select(who, all((double)rule), chosen.rule);
            chosen.log_sum = select(who, value, chosen.log_sum);
            chosen.error = select(who, error, chosen.error);
        };
        if (r) {
            mask good = open & (error <= tolerance);
            settle(good, r - 1, last_z, last_term, last_log, q.order[r - 1]);
            open = open & !good;
        }
        if (!any(open)) break;
        if (last) settle(open, r, z, term, log_sum, q.order[r]);
        last_z = z, last_log = log_sum;
        lanes* swap = last_term;
        last_term = term, term = swap;
        z += q.order[r], w += q.order[r];
    }
    lanes scale = exp(-chosen.log_sum);
    for (int64_t k = 0; k < chosen.count; ++k) chosen.pi[k] = chosen.pi[k] * scale;
    return chosen;
}

// ---- log-likelihood, gradient, Hessian ------------------------------------------------------------------------------

inline int64_t value_count(int64_t p) { return 2 + (p + 1) + (p + 1) * (p + 2) / 2; }

struct Columns { int64_t mean_w, mean_zw, w0, w1, w2, count; };  // columns of V after the k residuals

template <bool WIDE>
inline void evaluate_bundle(Bundle<WIDE>& g, Arena& arena, int64_t most, lanes* out, lanes& mode, lanes& scale, lanes& rule) {
    const int64_t p = g.p, q = p + 1, rows = g.rows;
    const lanes theta = g.theta;
    g.eta = arena.take(rows), g.e = arena.take(rows);
    g.linear_predictor();

    // the mode and what the rows say there:  B = sum l', w_i = sum of the i-th derivative of W
    lanes u = g.mode();
    auto at_mode = g.shift(u);
    lanes P = all(0.0), w0 = all(0.0), w1 = all(0.0), w2 = all(0.0);
    for (int64_t i = 0; i < rows; ++i) {
        auto c = g.chance(i, at_mode);
        lanes W = g.n[i] * c.pq;
        P = fma(g.n[i], c.p, P);
        w0 += W;
        w1 = fma(W, 1.0 - 2.0 * c.p, w1);
        w2 = fma(W, 1.0 - 6.0 * c.pq, w2);
    }
    lanes B0 = g.Y - total<WIDE>(P);
    w0 = total<WIDE>(w0), w1 = total<WIDE>(w1), w2 = total<WIDE>(w2);
    lanes h = fma(theta * theta, w0, 1.0), s = 1.0 / root(h), peak = g.exponent(u);
    Nodes nodes = choose_rule(g, u, s, peak, arena, most);
    const int64_t K = nodes.count;
    mode = u, scale = s, rule = nodes.rule;

    // X' V for V = [residuals at each node | mean W | mean z W | W, W', W'' at the mode]
    const Columns col{K, K + 1, K + 2, K + 3, K + 4, K + 5};
    const int64_t r = col.count, widest = r > p ? r : p;
    lanes *V = arena.take(ROW_BLOCK * widest), *T = arena.take(p * r), *S = arena.take(p * p), *B = arena.take(K),
          *w = arena.take(K), *mean_w = arena.take(rows), *row_w1 = arena.take(rows), *row_w2 = arena.take(rows);
    for (int64_t j = 0; j < p * r; ++j) T[j] = all(0.0);
    for (int64_t j = 0; j < p * p; ++j) S[j] = all(0.0);
    for (int64_t k = 0; k < K; ++k) B[k] = w[k] = all(0.0);
    auto* shifts = reinterpret_cast<typename Bundle<WIDE>::Shift*>(arena.take(4 * K));
    for (int64_t k = 0; k < K; ++k) shifts[k] = g.shift(fma(s, nodes.z[k], u));
    for (int64_t first = 0; first < rows; first += ROW_BLOCK) {
        const int size = (int)(rows - first < ROW_BLOCK ? rows - first : ROW_BLOCK);
        for (int i = 0; i < size; ++i) V[i * r + col.mean_w] = V[i * r + col.mean_zw] = all(0.0);
        for (int64_t k = 0; k < K; ++k) {
            const auto& shift = shifts[k];
            lanes z = nodes.z[k], pi = nodes.pi[k], sum_l = B[k], sum_w = w[k];
            for (int i = 0; i < size; ++i) {
                auto c = g.chance(first + i, shift);
                lanes l = fma(-g.n[first + i], c.p, g.y[first + i]), W = g.n[first + i] * c.pq, weighted = pi * W;
                lanes* row = V + i * r;
                row[k] = l;
                row[col.mean_w] += weighted;
                row[col.mean_zw] = fma(z, weighted, row[col.mean_zw]);
                sum_l += l, sum_w += W;
            }
            B[k] = sum_l, w[k] = sum_w;
        }
        for (int i = 0; i < size; ++i) {
            auto c = g.chance(first + i, at_mode);
            lanes W = g.n[first + i] * c.pq;
            lanes* row = V + i * r;
            row[col.w0] = W;
            row_w1[first + i] = row[col.w1] = W * (1.0 - 2.0 * c.p);
            row_w2[first + i] = row[col.w2] = W * (1.0 - 6.0 * c.pq);
            mean_w[first + i] = row[col.mean_w];
        }
        product(T, r, g.X + first * p, p, V, r, size, false);
    }
    if (WIDE) {
        for (int64_t j = 0; j < p * r; ++j) T[j] = across(T[j]);
        for (int64_t k = 0; k < K; ++k) B[k] = across(B[k]), w[k] = across(w[k]);
    }

    // averages over the nodes; u_k = u + s z_k, F_k = f'(u_k), h_k = -f''(u_k)
    lanes F_mean = all(0.0), Fz_mean = all(0.0), H0 = all(0.0), H1 = all(0.0), H2 = all(0.0), uuw = all(0.0), b0 = all(0.0),
          b1 = all(0.0);
    for (int64_t k = 0; k < K; ++k) {
        lanes z = nodes.z[k], pi = nodes.pi[k], uk = fma(s, z, u);
        lanes F = theta * B[k] - uk, hk = fma(theta * theta, w[k], 1.0), b = B[k] - theta * uk * w[k];
        F_mean = fma(pi, F, F_mean);
        Fz_mean = fma(pi * z, F, Fz_mean);
        H0 = fma(pi, hk, H0);
        H1 = fma(pi * z, hk, H1);
        H2 = fma(pi * z * z, hk, H2);
        uuw = fma(pi * uk * uk, w[k], uuw);
        b0 = fma(pi, b, b0);
        b1 = fma(pi * z, b, b1);
    }
    // how much D2h and D2u^ weigh in D2L
    const lanes s2 = s * s, t2 = theta * theta, t3 = t2 * theta;
    const lanes kh = -0.5 * s2 * (1.0 + s * Fz_mean), ku = F_mean + kh * t3 * w1;

    // X' D X, all row weights in one
    const lanes on_w2 = kh * t2, on_w1 = -(ku * s2 * theta);
    for (int64_t first = 0; first < rows; first += ROW_BLOCK) {
        const int size = (int)(rows - first < ROW_BLOCK ? rows - first : ROW_BLOCK);
        for (int i = 0; i < size; ++i) {
            lanes D = fma(on_w2, row_w2[first + i], fma(on_w1, row_w1[first + i], -mean_w[first + i]));
            for (int64_t c = 0; c < p; ++c) V[i * p + c] = D * g.X[(first + i) * p + c];
        }
        product(S, p, g.X + first * p, p, V, p, size, true);
    }
    if (WIDE)
        for (int64_t c = 0; c < p; ++c) for (int64_t d = 0; d <= c; ++d) S[c * p + d] = across(S[c * p + d]);

    // vectors in (beta, theta):  Du = Du^, Ds, and the fixed part of Dh = D_fixed + t3 w1 Du
    lanes *Du = arena.take(q), *Ds = arena.take(q), *mean = arena.take(q), *vu = arena.take(q), *vs = arena.take(q),
          *ve = arena.take(q), *border = arena.take(q), *Dg = arena.take(K * q), *weighted = arena.take(K * q), *H = arena.take(q * q);
    const lanes on_Ds = fma(all(-0.5), H2, h) + 1.5 * Fz_mean / s;
    const lanes on_Du = -0.5 * (H0 - kh * t2 * t2 * w2 + ku * s2 * t3 * w1);
    for (int64_t c = 0; c < q; ++c) {
        const bool beta = c < p;
        const lanes* Tc = T + (beta ? c : 0) * r;
        const lanes q0 = beta ? Tc[col.w0] : u * w0, q1 = beta ? Tc[col.w1] : u * w1, q2 = beta ? Tc[col.w2] : u * w2;
        const lanes e = all(beta ? 0.0 : 1.0), R0 = beta ? -theta * Tc[col.mean_w] : b0, R1 = beta ? -theta * Tc[col.mean_zw] : b1;
        Du[c] = s2 * (B0 * e - theta * q0);
        const lanes Dh_fixed = 2.0 * theta * w0 * e + t2 * q1, Dh = fma(t3 * w1, Du[c], Dh_fixed);
        Ds[c] = -0.5 * s2 * s * Dh;
        out[1 + c] = -0.5 * s2 * Dh;
        vu[c] = R0 + kh * (t3 * q2 + t2 * w1 * e) - ku * s2 * Dh_fixed + on_Du * Du[c] - H1 * Ds[c];
        vs[c] = R1 + on_Ds * Ds[c];
        ve[c] = kh * (w0 * e + 2.0 * theta * fma(theta * w1, Du[c], q1)) - ku * s2 * q0;
        border[c] = u * (on_w2 * q2 + on_w1 * q1) - (beta ? u * Tc[col.mean_w] + s * Tc[col.mean_zw] : uuw);
        mean[c] = all(0.0);
    }
    // Dg_k (K, q), its mean over the nodes and its covariance
    for (int64_t k = 0; k < K; ++k) {
        const lanes z = nodes.z[k], pi = nodes.pi[k], uk = fma(s, z, u), F = theta * B[k] - uk;
        for (int64_t c = 0; c < q; ++c) {
            const lanes G = c < p ? T[c * r + k] : uk * B[k], d = fma(F, fma(z, Ds[c], Du[c]), G);
            Dg[k * q + c] = d;
            mean[c] = fma(pi, d, mean[c]);
        }
    }
    for (int64_t k = 0; k < K; ++k) {
        for (int64_t c = 0; c < q; ++c) {
            Dg[k * q + c] = Dg[k * q + c] - mean[c];
            weighted[k * q + c] = nodes.pi[k] * Dg[k * q + c];
        }
    }
    for (int64_t c = 0; c < q; ++c) {
        out[1 + c] += mean[c];
        for (int64_t d = 0; d <= c; ++d) {
            lanes v = c < p ? S[c * p + d] : border[d] + (d == p ? 2.0 * ve[p] : ve[d]);
            v = fma(vu[c], Du[d], fma(Du[c], vu[d], v));
            H[c * q + d] = fma(vs[c], Ds[d], fma(Ds[c], vs[d], v));
        }
    }
    product(H, q, weighted, q, Dg, q, (int)K, true);
    lanes* lower = out + 1 + q;
    for (int64_t c = 0; c < q; ++c) for (int64_t d = 0; d <= c; ++d) *lower++ = H[c * q + d];
    out[0] = g.y_eta + (peak + (log(s) + nodes.log_sum));
    out[value_count(p) - 1] = nodes.error;
}

/// Scratch, in vectors, that a bundle of `rows` row-vectors needs at `most` nodes.
inline int64_t scratch(int64_t p, int64_t rows, int64_t most) {
    int64_t r = most + 5, widest = r > p ? r : p;
    return 5 * rows + 12 * most + ROW_BLOCK * widest + p * r + p * p + (p + 1) * (8 + p + 2 * most) + 16;
}

/// Sets the values of lanes that hold a nan or an infinity to zero; these lanes of the result are nan, the others 0.
inline lanes drop_not_finite(lanes* out, int64_t values) {
    lanes check = all(0.0);
    for (int64_t v = 0; v < values; ++v) check += out[v] * 0.0;
    if (any(check != all(0.0)))
        for (int64_t v = 0; v < values; ++v)
            for (int lane = 0; lane < LANES; ++lane)
                if (check[lane] != 0) out[v][lane] = 0;
    return check;
}

/// Adds the bundles [first, last) to the answer.  0: done; 1: out of memory; 2: overflow of a sum.
inline int64_t evaluate(const Packed& data, const Query& query, int64_t first, int64_t last, const Answer& answer) {
    const int64_t values = value_count(data.p);
    int64_t most = 0, rows = 0;
    for (int64_t r = 0; r < query.rules; ++r) most = query.order[r] > most ? query.order[r] : most;
    for (int64_t b = first; b < last; ++b) {
        int64_t n = data.start[b + 1] - data.start[b];
        rows = n > rows ? n : rows;
    }
    Arena arena;
    const int64_t need = scratch(data.p, rows, most), held = values * (BLOCK / LANES + 1);
    if (!arena.reserve(need + held)) return 1;
    lanes* out = arena.take(values);
    double* block = reinterpret_cast<double*>(arena.take(values * (BLOCK / LANES)));  // (values, BLOCK)
    const int64_t mark = arena.used;
    int filled = 0;
    auto flush = [&]() {
        for (int64_t v = 0; v < values; ++v) {
            for (int j = filled; j < BLOCK; ++j) block[v * BLOCK + j] = 0;
            add_block(answer.sums + v * DIGITS, block + v * BLOCK);  // all terms are finite
        }
        filled = 0;
    };
    for (int64_t b = first; b < last; ++b) {
        arena.used = mark;
        lanes mode, scale, rule;
        if (data.members[b]) {
            Bundle<false> g(data, query, b);
            evaluate_bundle(g, arena, most, out, mode, scale, rule);
        } else {
            Bundle<true> g(data, query, b);
            evaluate_bundle(g, arena, most, out, mode, scale, rule);
        }
        const int members = data.members[b] ? (int)data.members[b] : 1;
        const lanes failed = drop_not_finite(out, values);
        if (filled + members > BLOCK) flush();
        for (int64_t v = 0; v < values; ++v) {
            double* place = block + v * BLOCK + filled;
            if (members == LANES) store(place, out[v]);
            else for (int lane = 0; lane < members; ++lane) place[lane] = out[v][lane];
        }
        filled += members;
        for (int lane = 0; lane < members; ++lane) {
            const int64_t group = data.group[b * LANES + lane];
            if (failed[lane] != 0) *answer.failed += 1;
            else answer.used[(int64_t)rule[lane]] += 1;
            if (answer.mode) answer.mode[group] = mode[lane], answer.scale[group] = scale[lane];
        }
    }
    flush();
    for (int64_t v = 0; v < values; ++v)
        if (!normalise(answer.sums + v * DIGITS)) return 2;
    return 0;
}

}  // namespace
