// Linear mixed models with one grouping factor: what the profiled likelihood needs of each group.
//
// A group's rows count through G = Z'WZ and B = Z'W[X y] alone.  With G = L L' and c = L^-1 B (rows where the rank of G
// falls short are zero), and S = Lambda Lambda',
//
//     B' G^+ B = c'c                                       what the group's effects would explain if they were fixed
//     [X y]'V^-1[X y] = [X y]'W[X y] - c'c + c' H^-1 c,    H = I + L' S L,    det V W = det H
//
// With N = L H^-1 L', b = L H^-1 c, v = Lambda' b, derivatives in the entries Lambda_kj, Lambda_li are, for A = c'H^-1 c,
//
//     d log det H = 2 (N Lambda)_kj            d A = -(b_k v_j' + v_j b_k')
//     d2 log det H = 2 [j = i] N_kl - 2 [(N Lambda)_lj (N Lambda)_ki + N_kl (Lambda' N Lambda)_ij]
//     d2 A = X + X',  X = b_k ((N Lambda)_lj v_i + ((Lambda' N Lambda)_ij - [j = i]) b_l)' + v_j (N_kl v_i + (N Lambda)_ki b_l)'
#pragma once
#include "dense.hpp"
#include "sums.hpp"
#include "twofold.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code
namespace lmm {

constexpr double LEAST_PIVOT = 0x1p-70;   // of a column's square, in twice the precision: below it the rank falls short

struct Squeeze {
    int64_t q, columns, groups;           // effects; p + 1
    const double* G;                      // (q (q+1) / 2, 2, groups) lower triangle row by row, high and low parts
    const double* B;                      // (q, columns, 2, groups)
    const double* centre;                 // (columns)
    int64_t intercept;                    // column of ones that the centre is taken from, -1 without
    double* L;                            // (bundles, q (q+1) / 2, 8)
    double* c;                            // (bundles, q, columns, 8)
};
struct Groups {
    int64_t q, columns, bundles;
    const double* L;
    const double* c;
};
struct Points {
    int64_t count, m, second;             // second: derivatives of second order too
    const double* lambda;                 // (count, q, q)
    const int64_t* row;                   // (m) place of each theta in Lambda
    const int64_t* column;                // (m)
};
struct Sums {
    int64_t* digits;                      // (values, DIGITS)
    int64_t* failed;                      // (1)
};

INLINE int64_t triangle(int64_t n) { return n * (n + 1) / 2; }

/// Terms of each sum, gathered until a block is full.
struct Gather {
    static constexpr int64_t PITCH_OF = BLOCK + LANES;
    int64_t values, filled = 0;
    double* block;                        // (values, PITCH_OF)
    int64_t* digits;

    INLINE double* at(int64_t value) const { return block + value * PITCH_OF + filled; }
    INLINE void advance(int64_t terms) { if ((filled += terms) == BLOCK) flush(); }
    void flush() {
        for (int64_t v = 0; v < values; ++v) {
            for (int64_t j = filled; j < BLOCK; ++j) block[v * PITCH_OF + j] = 0;
            add_block(digits + v * DIGITS, block + v * PITCH_OF);  // all terms are finite
        }
        filled = 0;
    }
    int64_t finish() {
        flush();
        for (int64_t v = 0; v < values; ++v) if (!normalise(digits + v * DIGITS)) return 2;
        return 0;
    }
};

/// Groups first .. last - 1: L, c, and the exact sums of c'c (lower triangle row by row).  first is a multiple of 8.
inline int64_t squeeze(const Squeeze& s, int64_t first, int64_t last, const Sums& sums) {
    const int64_t q = s.q, C = s.columns, pairs = triangle(C), held = triangle(q) + q * C;
    Two* work = static_cast<Two*>(malloc(held * sizeof(Two)));
    double* block = static_cast<double*>(aligned_alloc(64, pairs * Gather::PITCH_OF * sizeof(double)));
    if (!work || !block) return free(work), free(block), 1;
    Gather gather{pairs, 0, block, sums.digits};
    Two *L = work, *c = work + triangle(q);
    for (int64_t g = first; g < last; ++g) {
        auto get = [&](const double* base, int64_t k) {
            return Two{base[(2 * k) * s.groups + g], base[(2 * k + 1) * s.groups + g]};
        };
        for (int64_t k = 0; k < triangle(q); ++k) L[k] = get(s.G, k);
        for (int64_t k = 0; k < q; ++k)
            for (int64_t j = 0; j < C; ++j) {
                Two x = get(s.B, k * C + j);
                if (s.intercept >= 0 && s.centre[j] != 0) x = x - get(s.B, k * C + s.intercept) * Two{s.centre[j], 0};
                c[k * C + j] = x;
            }
        for (int64_t i = 0; i < q; ++i) {           // by rows: L_ij = (G_ij - sum_l L_il L_jl) / L_jj
            Two* row = L + triangle(i);
            const double whole = row[i].high;
            for (int64_t j = 0; j <= i; ++j) {
                const Two* above = L + triangle(j);
                Two x = row[j];
                for (int64_t l = 0; l < j; ++l) x = x - row[l] * above[l];
                if (j < i) row[j] = above[j].high > 0 ? x / above[j] : Two{0, 0};
                else row[j] = x.high > LEAST_PIVOT * whole ? square_root(x) : Two{0, 0};
            }
            for (int64_t j = 0; j < C; ++j) {
                Two x = c[i * C + j];
                for (int64_t l = 0; l < i; ++l) x = x - row[l] * c[l * C + j];
                c[i * C + j] = row[i].high > 0 ? x / row[i] : Two{0, 0};
            }
        }
        double check = 0;
        for (int64_t k = 0; k < held; ++k) check += work[k].high * 0.0;
        for (int64_t a = 0; a < C; ++a)
            for (int64_t b = 0; b <= a; ++b) {
                Two x{0, 0};
                for (int64_t k = 0; k < q; ++k) x = x + c[k * C + a] * c[k * C + b];
                check += x.high * 0.0;
            }
        const bool failed = check != 0;
        if (failed) ++*sums.failed;
        for (int64_t a = 0; a < C; ++a)
            for (int64_t b = 0; b <= a; ++b) {
                Two x{0, 0};
                if (!failed) for (int64_t k = 0; k < q; ++k) x = x + c[k * C + a] * c[k * C + b];
                double* place = gather.at(triangle(a) + b);
                place[0] = x.high, place[1] = x.low;
            }
        gather.advance(2);
        const int64_t bundle = g / LANES, lane = g % LANES;
        for (int64_t k = 0; k < triangle(q); ++k) s.L[(bundle * triangle(q) + k) * LANES + lane] = failed ? 0 : L[k].high;
        for (int64_t k = 0; k < q * C; ++k) s.c[(bundle * q * C + k) * LANES + lane] = failed ? 0 : c[k].high;
    }
    const int64_t code = gather.finish();
    free(work), free(block);
    return code;
}

/// One bundle of eight groups at one point: everything that its sums are made of.
struct Shrunk {
    int64_t q, C;
    lanes *F, *M, *w, *b, *v, *N, *NL, *Q;   // H = F F'; M = F^-1 L'; w = F^-1 c; the others as in the head of this file
    lanes log_det;

    static int64_t scratch(int64_t q, int64_t C) { return 5 * q * q + 3 * q * C; }
    void take(Arena& arena) {
        F = arena.take(q * q), M = arena.take(q * q), N = arena.take(q * q), NL = arena.take(q * q), Q = arena.take(q * q);
        w = arena.take(q * C), b = arena.take(q * C), v = arena.take(q * C);
    }
    static INLINE lanes dot(const lanes* a, int64_t da, const lanes* b, int64_t db, int64_t n) {
        lanes s = all(0.0);
        for (int64_t k = 0; k < n; ++k) s = fma(a[k * da], b[k * db], s);
        return s;
    }
    void at(const lanes* L, const lanes* c, const double* lambda) {
        for (int64_t i = 0; i < q; ++i)          // K = Lambda' L (q, q), kept in Q
            for (int64_t j = 0; j < q; ++j) {
                lanes s = all(0.0);
                for (int64_t k = j > i ? j : i; k < q; ++k) s = fma(L[triangle(k) + j], lambda[k * q + i], s);
                Q[i * q + j] = s;
            }
        log_det = all(0.0);
        for (int64_t i = 0; i < q; ++i)          // F F' = I + K'K
            for (int64_t j = 0; j <= i; ++j) {
                lanes s = dot(Q + i, q, Q + j, q, q);
                if (i == j) s = s + 1.0;
                for (int64_t k = 0; k < j; ++k) s = fma(-F[i * q + k], F[j * q + k], s);
                if (i == j) log_det += log(s), F[i * q + i] = root(s);
                else F[i * q + j] = s / F[j * q + j];
            }
        for (int64_t i = 0; i < q; ++i) {
            const lanes inverse = 1.0 / F[i * q + i];
            for (int64_t j = 0; j < C; ++j) {
                lanes s = c[i * C + j];
                for (int64_t k = 0; k < i; ++k) s = fma(-F[i * q + k], w[k * C + j], s);
                w[i * C + j] = s * inverse;
            }
            for (int64_t j = 0; j < q; ++j) {
                lanes s = j >= i ? L[triangle(j) + i] : all(0.0);
                for (int64_t k = 0; k < i; ++k) s = fma(-F[i * q + k], M[k * q + j], s);
                M[i * q + j] = s * inverse;
            }
        }
        for (int64_t i = 0; i < q; ++i) {
            for (int64_t j = 0; j < q; ++j) N[i * q + j] = dot(M + i, q, M + j, q, q);
            for (int64_t j = 0; j < C; ++j) b[i * C + j] = dot(M + i, q, w + j, C, q);
        }
        for (int64_t i = 0; i < q; ++i) {
            for (int64_t j = 0; j < C; ++j) {
                lanes s = all(0.0);
                for (int64_t k = i; k < q; ++k) s = fma(b[k * C + j], lambda[k * q + i], s);
                v[i * C + j] = s;
            }
            for (int64_t j = 0; j < q; ++j) {
                lanes s = all(0.0);
                for (int64_t k = j; k < q; ++k) s = fma(N[i * q + k], lambda[k * q + j], s);
                NL[i * q + j] = s;
            }
        }
        for (int64_t i = 0; i < q; ++i)
            for (int64_t j = 0; j < q; ++j) {
                lanes s = all(0.0);
                for (int64_t k = i; k < q; ++k) s = fma(NL[k * q + j], lambda[k * q + i], s);
                Q[i * q + j] = s;
            }
    }

    void value(lanes* out) const {
        *out++ = log_det;
        for (int64_t a = 0; a < C; ++a) for (int64_t e = 0; e <= a; ++e) *out++ = dot(w + a, C, w + e, C, q);
    }
    void slope(int64_t k, int64_t j, lanes* out) const {
        *out++ = 2.0 * NL[k * q + j];
        const lanes *x = b + k * C, *y = v + j * C;
        for (int64_t a = 0; a < C; ++a) for (int64_t e = 0; e <= a; ++e) *out++ = -fma(x[a], y[e], y[a] * x[e]);
    }
    void curvature(int64_t k, int64_t j, int64_t l, int64_t i, lanes* y, lanes* z, lanes* out) const {
        const bool same = i == j;
        const lanes n = N[k * q + l], left = NL[l * q + j], right = NL[k * q + i];
        const lanes middle = same ? Q[i * q + j] - 1.0 : Q[i * q + j];
        lanes log_part = -fma(left, right, n * Q[i * q + j]);
        if (same) log_part += n;
        *out++ = 2.0 * log_part;
        const lanes *bk = b + k * C, *bl = b + l * C, *vj = v + j * C, *vi = v + i * C;
        for (int64_t a = 0; a < C; ++a) {
            y[a] = fma(left, vi[a], middle * bl[a]);
            z[a] = fma(n, vi[a], right * bl[a]);
        }
        for (int64_t a = 0; a < C; ++a)
            for (int64_t e = 0; e <= a; ++e)
                *out++ = fma(bk[a], y[e], vj[a] * z[e]) + fma(bk[e], y[a], vj[e] * z[a]);
    }
};

/// Bundles first .. last - 1 at all points: values (count, D, 1 + pairs) of Summand in models/lmm_messages.py.
inline int64_t shrink(const Groups& groups, const Points& points, int64_t first, int64_t last, const Sums& sums) {
    const int64_t q = groups.q, C = groups.columns, each = 1 + triangle(C), m = points.m;
    const int64_t orders = 1 + m + (points.second ? triangle(m) : 0), values = points.count * orders * each;
    Arena arena;
    double* block = static_cast<double*>(aligned_alloc(64, values * Gather::PITCH_OF * sizeof(double)));
    if (!block || !arena.reserve(Shrunk::scratch(q, C) + 2 * C + values)) return free(block), 1;
    Gather gather{values, 0, block, sums.digits};
    Shrunk at{q, C, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, all(0.0)};
    at.take(arena);
    lanes *y = arena.take(C), *z = arena.take(C), *out = arena.take(values);
    for (int64_t bundle = first; bundle < last; ++bundle) {
        const lanes* L = reinterpret_cast<const lanes*>(groups.L) + bundle * triangle(q);
        const lanes* c = reinterpret_cast<const lanes*>(groups.c) + bundle * q * C;
        lanes* to = out;
        for (int64_t point = 0; point < points.count; ++point) {
            at.at(L, c, points.lambda + point * q * q);
            at.value(to), to += each;
            for (int64_t t = 0; t < m; ++t, to += each) at.slope(points.row[t], points.column[t], to);
            for (int64_t t = 0; points.second && t < m; ++t)
                for (int64_t s = 0; s <= t; ++s, to += each)
                    at.curvature(points.row[t], points.column[t], points.row[s], points.column[s], y, z, to);
        }
        lanes check = all(0.0);
        for (int64_t k = 0; k < values; ++k) check += out[k] * 0.0;
        if (any(check != all(0.0)))
            for (int lane = 0; lane < LANES; ++lane) {
                if (check[lane] == 0) continue;
                ++*sums.failed;
                for (int64_t k = 0; k < values; ++k) out[k][lane] = 0;
            }
        for (int64_t k = 0; k < values; ++k) store(gather.at(k), out[k]);
        gather.advance(LANES);
    }
    const int64_t code = gather.finish();
    free(block);
    return code;
}

}  // namespace lmm
}  // namespace
