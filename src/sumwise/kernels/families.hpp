// Families and links: the log-likelihood of one row and its derivatives in the linear predictor eta.
//
// Each struct below is one pair of family and link.  F::terms(eta, y, n, aux) gives a Terms; what a caller does not use of it
// is not computed, since everything is inlined.
//
//   BinomialLogit, BinomialProbit, BinomialCloglog   y successes of n trials               aux unused
//   PoissonLog                                       mu = exp(eta), n weight               aux unused
//   NegativeBinomialLog                              mu = exp(eta), n weight               aux size k: var = mu + mu^2/k
//   GammaLog, GammaInverse                           mu = exp(eta), 1/eta; n weight        aux shape: var = mu^2/shape
//   InverseGaussianLog, InverseGaussianSquare        mu = exp(eta), eta^-1/2; n weight     aux precision: var = mu^3/precision
//
// Errors are a few ulp of the sum of the absolute values of the terms for successes and failures (for y and for mu), for any
// finite eta; where exp(eta) leaves the range of float64 values become infinite, never nan, as long as n, aux > 0 and y lies
// in the family's domain.  For eta <= 0 the links 1/mu and 1/mu^2 have l = -inf.
#pragma once
#include "special.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

/// l: log-likelihood without what depends on y, n and aux alone; its derivatives in eta: d1 = l', w = -l'' (observed
/// information), d3 = w' = -l''', d4 = w'' = -l''''.
struct Terms { lanes l, d1, w, d3, d4; };

constexpr double FARTHEST = 600;  // beyond, exp(eta) is left where it is, so that no product of two of them meets 0 or inf

/// mu = 1 / (1 + exp(-eta)).
struct BinomialLogit {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes) {
        const lanes t = absolute(eta), e = exp(-t), one = 1.0 / (1.0 + e), small = e * one, zero = all(0.0);
        const mask up = eta > 0.0;
        const lanes p = select(up, one, small), q = select(up, small, one), npq = n * (one * small);
        const lanes difference = expm1(-t) * one;  // small - one = -tanh(t / 2)
        Terms r;
        r.l = -fma(n, log1p(e), select(up, n - y, y) * larger(t, zero));
        r.d1 = fma(y, q, -(n - y) * p);
        r.w = npq;
        r.d3 = npq * select(up, difference, -difference);
        r.d4 = npq * fma(one * small, all(-6.0), 1.0);
        return r;
    }
};

/// mu = Phi(eta).  log Phi(-t) = -t^2/2 - log(sqrt(2 pi) h), h = t + r_1; the derivatives of log Mills' ratio in t are, but for
/// the sign, the cumulants of the density proportional to exp(-t x - x^2/2), x > 0, which the ratios give without
/// cancellation: r_k' = -r_k (r_{k+1} - r_k).
struct BinomialProbit {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes) {
        const lanes t = smaller(absolute(eta), all(1e150));
        const mask up = eta > 0.0;
        const NormalTail at = normal_tail(t);
        const TailRatios r = at.ratios;
        const lanes h = at.h, a = r.r2 - r.r1, b = r.r3 - r.r2, c = r.r4 - r.r3;
        const lanes e1 = r.r1 * a, e2 = r.r2 * b, e3 = r.r3 * c;
        const lanes k2 = e1, k3 = r.r1 * fma(-a, r.r1 - a, e2);
        const lanes k4 = r.r1 * (((a * (fma(a, a, e2) - e1) + e2 * b) + r.r2 * (e3 - e2)) +
                                 ((2.0 * a * (e2 - e1) - e1 * a) - r.r1 * (e2 - e1)));
        const lanes g = at.density / (1.0 - at.tail), s = t + g, D = fma(s, s + g, -all(1.0));
        // of the less and the more likely outcome, in t
        const lanes far0 = -(fma(t * t, all(0.5), all(0x1.d67f1c864beb5p-1)) + log(h)), near0 = log1p(-at.tail);
        const lanes near4 = fma(-g * s, D, g * fma(s + s + g, fma(-g, s, all(1.0)), -(g * s) * s));
        const lanes failures = n - y, far = select(up, failures, y), near = select(up, y, failures);
        const lanes odd1 = fma(near, g, -far * h), odd3 = fma(far, k3, -near * (g * D));
        Terms out;
        out.l = fma(far, far0, near * near0);
        out.d1 = select(up, odd1, -odd1);
        out.w = fma(far, 1.0 - k2, near * (g * s));
        out.d3 = select(up, odd3, -odd3);
        out.d4 = -fma(far, k4, near * near4);
        return out;
    }
};

/// mu = 1 - exp(-lambda), lambda = exp(eta).  With b = lambda / (exp lambda - 1) and u = b + lambda - 1 = -b'/b (derivatives in
/// eta), u' = lambda - b u:  log(mu)' = b, b' = -b u, b'' = b (u^2 + b u - lambda).
struct BinomialCloglog {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes) {
        const lanes rate = exp(smaller(eta, all(709.0))), lambda = smaller(rate, all(700.0));
        const mask small = lambda < 1.0;
        // (lambda/2) coth(lambda/2) - 1 = sum of B_2k lambda^2k / (2k)! [DLMF 4.19]
        constexpr double bernoulli[] = {-0x1.f57d968caacf1p-53, 0x1.355871d652e9ep-47,  -0x1.7da4e1f79955cp-42, 0x1.d6db2c4e09163p-37,
                                        -0x1.22805d644267fp-31, 0x1.66a8f2bf70ebep-26,  -0x1.bbd779334ef0bp-21, 0x1.1566abc011566p-15,
                                        -0x1.6c16c16c16c17p-10, 0x1.5555555555555p-4};
        const lanes square = smaller(lambda * lambda, all(1.0));
        lanes k = all(bernoulli[0]);
        for (int j = 1; j < 10; ++j) k = fma(k, square, bernoulli[j]);
        k = k * square;
        const lanes large_b = select(rate > 700.0, all(0.0), lambda / expm1(larger(lambda, all(0.5))));
        const lanes b = select(small, fma(lambda, all(-0.5), 1.0 + k), large_b);
        const lanes u = select(small, fma(lambda, all(0.5), k), b + (lambda - 1.0)), bu = b * u;
        const lanes D = fma(u, u, bu - lambda);
        const lanes inner = fma(u + u + b, lambda - bu, -fma(bu, u, lambda));
        const lanes log_mu = select(small, eta - log1p(u), log1p(-exp(-rate)));
        const lanes failures = n - y, lost = failures * rate;
        Terms r;
        r.l = fma(y, log_mu, -lost);
        r.d1 = fma(y, b, -lost);
        r.w = fma(y, bu, lost);
        r.d3 = fma(-y, b * D, lost);
        r.d4 = fma(-y, b * fma(-u, D, inner), lost);
        return r;
    }
};

struct PoissonLog {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes) {
        const lanes mu = exp(eta);
        Terms r;
        r.l = n * fma(y, eta, -mu);
        r.d1 = n * (y - mu);
        r.w = r.d3 = r.d4 = n * mu;
        return r;
    }
};

/// With p = mu / (mu + k) and q = k / (mu + k):  l = n (y log p + k log q).
struct NegativeBinomialLog {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes aux) {
        const lanes clipped = larger(smaller(eta, all(FARTHEST)), all(-FARTHEST)), beyond = eta - clipped;
        const lanes ratio = exp(clipped) / aux, q = 1.0 / (1.0 + ratio), p = ratio * q, nykpq = n * (y + aux) * (p * q);
        const lanes above = log1p(ratio) + larger(beyond, all(0.0));          // -log q
        const lanes below = log1p(1.0 / ratio) + larger(-beyond, all(0.0));   // -log p
        Terms r;
        r.l = -n * fma(y, below, aux * above);
        r.d1 = n * fma(y, q, -aux * p);
        r.w = nykpq;
        r.d3 = nykpq * ((1.0 - ratio) * q);
        r.d4 = nykpq * fma(p * q, all(-6.0), 1.0);
        return r;
    }
};

struct GammaLog {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes aux) {
        const lanes share = y * exp(-eta), shape = n * aux;
        Terms r;
        r.l = -shape * (share + eta);
        r.d1 = shape * (share - 1.0);
        r.w = r.d4 = shape * share;
        r.d3 = -r.w;
        return r;
    }
};

struct GammaInverse {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes aux) {
        const lanes shape = n * aux, mu = 1.0 / eta;
        const mask inside = eta > 0.0;
        Terms r;
        r.l = select(inside, shape * fma(-y, eta, log(select(inside, eta, all(1.0)))), all(-__builtin_inf()));
        r.d1 = shape * (mu - y);
        r.w = shape * mu * mu;
        r.d3 = -2.0 * r.w * mu;
        r.d4 = 6.0 * r.w * (mu * mu);
        return r;
    }
};

struct InverseGaussianLog {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes aux) {
        const lanes precision = n * aux, inverse = exp(-larger(eta, all(-0.5 * FARTHEST))), share = y * inverse;
        Terms r;
        r.l = precision * (inverse * fma(share, all(-0.5), 1.0));
        r.d1 = precision * (inverse * (share - 1.0));
        r.w = precision * (inverse * fma(share, all(2.0), -all(1.0)));
        r.d3 = precision * (inverse * fma(share, all(-4.0), 1.0));
        r.d4 = precision * (inverse * fma(share, all(8.0), -all(1.0)));
        return r;
    }
};

struct InverseGaussianSquare {
    static INLINE Terms terms(lanes eta, lanes y, lanes n, lanes aux) {
        const lanes precision = n * aux, square = 1.0 / eta;
        const mask inside = eta > 0.0;
        const lanes mu = root(select(inside, square, all(1.0)));
        Terms r;
        r.l = select(inside, precision * fma(y, -0.5 * eta, eta * mu), all(-__builtin_inf()));
        r.d1 = precision * (0.5 * (mu - y));
        r.w = precision * (0.25 * (mu * square));
        r.d3 = -1.5 * (r.w * square);
        r.d4 = 3.75 * (r.w * (square * square));
        return r;
    }
};

/// visit(F{}) for the family and link of this number; the same numbers stand in families.py.
template <class Visit> INLINE void with_family(int64_t number, Visit visit) {
    switch (number) {
        case 0: return visit(BinomialLogit{});
        case 1: return visit(BinomialProbit{});
        case 2: return visit(BinomialCloglog{});
        case 3: return visit(PoissonLog{});
        case 4: return visit(NegativeBinomialLog{});
        case 5: return visit(GammaLog{});
        case 6: return visit(GammaInverse{});
        case 7: return visit(InverseGaussianLog{});
        default: return visit(InverseGaussianSquare{});
    }
}

constexpr int TERMS = 5;

/// out (TERMS, count): l, d1, w, d3, d4 of each row.
inline void link_terms(int64_t family, const double* eta, const double* y, const double* n, const double* aux, int64_t count,
                       double* out) {
    with_family(family, [&](auto f) {
        for (int64_t i = 0; i < count; i += LANES) {
            const int64_t m = count - i < LANES ? count - i : LANES;
            alignas(64) double in[4][LANES] = {{1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1}};
            const double* from[] = {eta, y, n, aux};
            for (int k = 0; k < 4; ++k) memcpy(in[k], from[k] + i, m * sizeof(double));
            const Terms r = decltype(f)::terms(load(in[0]), load(in[1]), load(in[2]), load(in[3]));
            const lanes* all_of[] = {&r.l, &r.d1, &r.w, &r.d3, &r.d4};
            for (int k = 0; k < TERMS; ++k) {
                alignas(64) double buffer[LANES];
                store(buffer, *all_of[k]);
                memcpy(out + k * count + i, buffer, m * sizeof(double));
            }
        }
    });
}

}  // namespace
