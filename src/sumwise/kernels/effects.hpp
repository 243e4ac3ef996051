// Vectors of random effects: one bundle's rows, the conditional mode and its curvature.
//
// Group with rows j, linear predictor psi_j(u) = x_j'beta + o_j + a_j'u, a_j = Lambda'z_j, u ~ N(0, I):
//     f(u) = sum_j l_j(psi_j(u)) - |u|^2 / 2,    u^ = the mode of f,    H = -f''(u^) = I + sum_j w_j a_j a_j'
//     S    = the Cholesky factor of H^-1, lower triangular: S S' = H^-1
// l_j: a row's log-likelihood, w_j = -l_j'' >= 0 (families.hpp).  Bundles are those of bundle.hpp: eight groups, one to a
// lane, or one large group whose rows lie eight to a vector (wide); sums over rows are then added across the lanes.
#pragma once
#include "dense.hpp"
#include "family_rows.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int MOST_EFFECTS = 3;
constexpr int ROW_GROUP = 16;  // row-vectors that go through a family's functions together

struct VectorData {         // one site's rows; "vector" = eight doubles
    int64_t p, q;           // columns of X; of Z, 1 .. MOST_EFFECTS
    int64_t bundles;
    const int64_t* start;   // (bundles + 1) first vector of each bundle
    const int64_t* members; // (bundles) groups in the bundle, 1..8; 0 marks a wide bundle of one group
    const int64_t* group;   // (bundles, 8) number of the group in each lane
    const double* C;        // (vectors, p + q, 8) columns of X, then of Z
    const double* y;        // (vectors, 8)
    const double* n;        // (vectors, 8) trials or weights; 0 in padding
    const double* offset;   // (vectors, 8), or null
    int64_t family;         // number in family_rows.hpp
};
struct VectorQuery {
    const double* beta;     // (p)
    const double* lambda;   // (q, q) lower triangular
    int64_t m;              // entries of Lambda that are parameters, in the order of theta
    const int64_t* row;     // (m) their rows and columns
    const int64_t* column;
    double aux;             // size or shape, where the family has one
    int64_t rules;          // rules to try, in this order, until two in turn differ by at most `tolerance`
    const int64_t* count;   // (rules) number of nodes
    const double* z;        // (all nodes, q) nodes of all rules, one after the other
    const double* w;        // (all nodes) w_k exp(|z_k|^2 / 2)
    double tolerance;       // per group; infinite: the first rule is taken, a second one only measures its error
    int64_t information;    // 0: none is wanted; 1: at the nodes of the value; 2: at nodes of its own
    int64_t own_count;
    const double* own_z;    // (own_count, q)
    const double* own_w;    // (own_count)
};

template <int Q> struct Small {  // a Q x Q matrix, one to a lane
    lanes v[Q][Q];
    INLINE lanes* operator[](int i) { return v[i]; }
    INLINE const lanes* operator[](int i) const { return v[i]; }
};
/// U, upper triangular, with U U' = H (lower triangle), columns in turn from the last.
template <int Q> INLINE Small<Q> factor(const Small<Q>& H) {
    Small<Q> U;
    for (int b = Q - 1; b >= 0; --b)
        for (int a = b; a >= 0; --a) {
            lanes s = H[b][a];
            for (int d = b + 1; d < Q; ++d) s = fma(-U[a][d], U[b][d], s);
            U[a][b] = a == b ? root(s) : s / U[b][b];
        }
    return U;
}
/// S = U^-T, lower triangular: the Cholesky factor of H^-1.
template <int Q> INLINE Small<Q> inverse_transposed(const Small<Q>& U) {
    Small<Q> S;
    for (int b = 0; b < Q; ++b) {
        for (int a = 0; a < b; ++a) S[a][b] = all(0.0);
        for (int a = b; a < Q; ++a) {
            lanes s = all(a == b ? 1.0 : 0.0);
            for (int d = b; d < a; ++d) s = fma(-U[d][a], S[d][b], s);
            S[a][b] = s / U[a][a];
        }
    }
    return S;
}
/// x = H^-1 b = S S'b.
template <int Q> INLINE void solve(const Small<Q>& S, const lanes* b, lanes* x) {
    lanes half[Q];
    for (int a = 0; a < Q; ++a) {
        half[a] = all(0.0);
        for (int d = a; d < Q; ++d) half[a] = fma(S[d][a], b[d], half[a]);
    }
    for (int a = 0; a < Q; ++a) {
        x[a] = all(0.0);
        for (int d = 0; d <= a; ++d) x[a] = fma(S[a][d], half[d], x[a]);
    }
}

template <int Q> struct Effects {
    const VectorData& data;
    const VectorQuery& query;
    const FamilyRows& family;
    const int64_t p, c;                // columns of X; of X and Z
    int64_t rows;
    bool wide;
    const lanes *C, *y, *n, *offset;
    lanes *eta, *A;                    // (rows) x'beta + o;  (rows, Q) a_j
    lanes *w, *d3;                     // (rows) at the mode: w_j and its derivative in psi
    lanes aux;
    lanes u[Q], peak;                  // the mode, f there
    lanes Zd[Q];                       // Z'l' at the mode
    Small<Q> ZwA, S;                   // Z'WA at the mode; S
    lanes log_scale;                   // log det S

    INLINE Effects(const VectorData& d, const VectorQuery& query_, const FamilyRows& f, int64_t b, Arena& arena)
        : data(d), query(query_), family(f), p(d.p), c(d.p + Q), aux(all(query_.aux)) {
        const int64_t first = d.start[b];
        rows = d.start[b + 1] - first;
        wide = d.members[b] == 0;
        C = reinterpret_cast<const lanes*>(d.C) + first * c;
        y = reinterpret_cast<const lanes*>(d.y) + first;
        n = reinterpret_cast<const lanes*>(d.n) + first;
        offset = d.offset ? reinterpret_cast<const lanes*>(d.offset) + first : nullptr;
        eta = arena.take(rows), A = arena.take(rows * Q), w = arena.take(rows), d3 = arena.take(rows);
        linear_predictor();
        find_mode();
        bend();
    }
    INLINE lanes total(lanes a) const { return wide ? across(a) : a; }
    INLINE Rows block(int64_t first) const {
        const int64_t left = rows - first;
        return {y + first, n + first, aux, (int)(left < ROW_GROUP ? left : ROW_GROUP)};
    }

    INLINE void linear_predictor() {
        for (int64_t i = 0; i < rows; ++i) {
            const lanes *x = C + i * c, *z = x + p;
            lanes v = offset ? offset[i] : all(0.0);
            for (int64_t k = 0; k < p; ++k) v = fma(x[k], all(query.beta[k]), v);
            eta[i] = v;
            for (int b = 0; b < Q; ++b) {
                lanes a = all(0.0);
                for (int k = b; k < Q; ++k) a = fma(z[k], all(query.lambda[k * Q + b]), a);
                A[i * Q + b] = a;
            }
        }
    }
    /// psi at u of `size` row-vectors
    INLINE void predict(int64_t first, int size, const lanes* at, lanes* psi) const {
        for (int i = 0; i < size; ++i) {
            lanes v = eta[first + i];
            for (int b = 0; b < Q; ++b) v = fma(A[(first + i) * Q + b], at[b], v);
            psi[i] = v;
        }
    }
    /// f'(u), and the lower triangle of -f''(u)
    OUTSIDE void slope(const lanes* at, lanes* g, Small<Q>& H) const {
        lanes psi[ROW_GROUP], d1[ROW_GROUP], w1[ROW_GROUP];
        for (int a = 0; a < Q; ++a) {
            g[a] = all(0.0);
            for (int b = 0; b <= a; ++b) H[a][b] = all(0.0);
        }
        for (int64_t first = 0; first < rows; first += ROW_GROUP) {
            const Rows r = block(first);
            predict(first, r.size, at, psi);
            family.slopes(r, psi, d1, w1);
            for (int i = 0; i < r.size; ++i) {
                const lanes* a = A + (first + i) * Q;
                for (int k = 0; k < Q; ++k) {
                    g[k] = fma(a[k], d1[i], g[k]);
                    const lanes wa = w1[i] * a[k];
                    for (int b = 0; b <= k; ++b) H[k][b] = fma(wa, a[b], H[k][b]);
                }
            }
        }
        for (int a = 0; a < Q; ++a) {
            g[a] = total(g[a]) - at[a];
            for (int b = 0; b <= a; ++b) H[a][b] = total(H[a][b]) + (a == b ? 1.0 : 0.0);
        }
    }

    /// u^ by Newton's method.  f is concave with -f'' >= I, so the size of f' falls along Newton's direction and vanishes
    /// at u^ alone: a step is halved until it falls, and doubled where it falls far less than Newton's parabola says (an
    /// exponential, seen from far above, would else come down by one a step).
    INLINE void find_mode() {
        lanes step[Q], trial[Q], g[Q], best = all(__builtin_inf()), t = all(1.0);
        mask active = all(1.0) > all(0.0);
        for (int a = 0; a < Q; ++a) u[a] = trial[a] = step[a] = all(0.0);
        for (int pass = 0; pass < 1000; ++pass) {
            Small<Q> H;
            slope(trial, g, H);
            lanes size = all(0.0);
            for (int a = 0; a < Q; ++a) size += absolute(g[a]);
            const mask lower = active & (pass ? size <= fma(t, -0.1, all(1.0)) * best | ((t > all(1.0)) & (size < best)) : active);
            const lanes fell = pass ? size / best : all(0.0);
            const Small<Q> T = inverse_transposed(factor(H));
            lanes next[Q], length = all(0.0);
            solve(T, g, next);
            for (int a = 0; a < Q; ++a) length = fma(g[a], next[a], length);  // step'H step: in units of the scale
            best = select(lower, size, best);
            const mask poor = (fell > all(0.3)) & (t >= all(1.0));
            t = select(lower, select(poor, 2.0 * t, all(1.0)), 0.5 * t);
            // Newton's error is about the square of the step: 1e-8 of a scale unit leaves 1e-16
            const mask near = lower & (length <= all(1e-16));
            mask moves = none();
            for (int a = 0; a < Q; ++a) {
                u[a] = select(lower, trial[a], u[a]);
                step[a] = select(lower, next[a], step[a]);
                moves = moves | (absolute(t * step[a]) > 4e-16 * absolute(u[a]));
                u[a] = select(near, u[a] + next[a], u[a]);
            }
            active = active & !near & moves & (t > all(1e-18));
            if (!any(active)) return;
            for (int a = 0; a < Q; ++a) trial[a] = fma(t, step[a], u[a]);
        }
    }

    /// At the mode: f, W and its derivative, Z'l', Z'WA, S.
    OUTSIDE void bend() {
        lanes psi[ROW_GROUP], d1[ROW_GROUP];
        Small<Q> H;
        peak = all(0.0);
        for (int a = 0; a < Q; ++a) {
            Zd[a] = all(0.0);
            for (int b = 0; b < Q; ++b) ZwA[a][b] = H[a][b] = all(0.0);
        }
        for (int64_t first = 0; first < rows; first += ROW_GROUP) {
            const Rows r = block(first);
            predict(first, r.size, u, psi);
            family.slopes(r, psi, d1, w + first);
            family.bends(r, psi, d3 + first);
            peak = peak + family.value(r, psi);
            for (int i = 0; i < r.size; ++i) {
                const lanes *z = C + (first + i) * c + p, *a = A + (first + i) * Q;
                for (int k = 0; k < Q; ++k) {
                    Zd[k] = fma(z[k], d1[i], Zd[k]);
                    const lanes wz = w[first + i] * z[k], wa = w[first + i] * a[k];
                    for (int b = 0; b < Q; ++b) ZwA[k][b] = fma(wz, a[b], ZwA[k][b]);
                    for (int b = 0; b <= k; ++b) H[k][b] = fma(wa, a[b], H[k][b]);
                }
            }
        }
        peak = total(peak);
        for (int a = 0; a < Q; ++a) {
            peak = peak - 0.5 * u[a] * u[a];
            Zd[a] = total(Zd[a]);
            for (int b = 0; b < Q; ++b) ZwA[a][b] = total(ZwA[a][b]), H[a][b] = total(H[a][b]) + (a == b ? 1.0 : 0.0);
        }
        const Small<Q> U = factor(H);
        S = inverse_transposed(U);
        log_scale = all(0.0);
        for (int a = 0; a < Q; ++a) log_scale = log_scale - log(U[a][a]);
    }
    /// u^ + S z
    INLINE void place(const lanes* z, lanes* at) const {
        for (int a = 0; a < Q; ++a) {
            at[a] = u[a];
            for (int b = 0; b <= a; ++b) at[a] = fma(S[a][b], z[b], at[a]);
        }
    }
};

}  // namespace
