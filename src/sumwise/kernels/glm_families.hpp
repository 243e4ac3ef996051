// What a generalized linear model needs of one row besides families.hpp: mean, deviance, expected information.
#pragma once
#include <type_traits>

#include "families.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

/// mu: mean of one trial; slope: d mu / d eta; deviance: of the row, with its weight; score: dl/deta, weight: expected and
/// observed: actual -d2l/deta2, all at dispersion one.  Pearson's chi^2 of the row is score^2 / weight.
struct Fitted { lanes mu, slope, deviance, score, weight, observed; };

/// y log(y / over), 0 at y = 0.
INLINE lanes relative_entropy(lanes y, lanes over) { return select(y > 0.0, y * log(y / over), all(0.0)); }

/// p + q = 1.  The likelihood of rows without both outcomes is their deviance; others lose no digits to l alone.
INLINE lanes binomial_deviance(lanes y, lanes n, lanes p, lanes q, lanes l) {
    const mask alike = (y == all(0.0)) | (y == n);
    if (!any(!alike)) return -2.0 * l;
    const lanes both = 2.0 * (relative_entropy(y, n * p) + relative_entropy(n - y, n * q));
    return select(alike, -2.0 * l, both);
}
template <class F> INLINE Fitted begun(const Terms& r) {
    Fitted f;
    f.score = r.d1, f.observed = r.w;
    return f;
}
inline Fitted OUTSIDE fitted(BinomialLogit, lanes eta, lanes y, lanes n, lanes aux) {
    const Terms r = BinomialLogit::terms(eta, y, n, aux);
    Fitted f = begun<BinomialLogit>(r);
    const lanes e = exp(-absolute(eta)), one = 1.0 / (1.0 + e), small = e * one;
    const mask up = eta > 0.0;
    f.mu = select(up, one, small), f.slope = one * small, f.weight = r.w;
    f.deviance = binomial_deviance(y, n, f.mu, select(up, small, one), r.l);
    return f;
}
inline Fitted OUTSIDE fitted(BinomialProbit, lanes eta, lanes y, lanes n, lanes aux) {
    const Terms r = BinomialProbit::terms(eta, y, n, aux);
    Fitted f = begun<BinomialProbit>(r);
    const NormalTail t = normal_tail(absolute(eta));
    const mask up = eta > 0.0;
    const lanes rest = 1.0 - t.tail;
    f.mu = select(up, rest, t.tail), f.slope = t.density, f.weight = n * (t.h * (t.density / rest));
    f.deviance = binomial_deviance(y, n, f.mu, select(up, t.tail, rest), r.l);
    return f;
}
inline Fitted OUTSIDE fitted(BinomialCloglog, lanes eta, lanes y, lanes n, lanes aux) {
    const Terms r = BinomialCloglog::terms(eta, y, n, aux);
    Fitted f = begun<BinomialCloglog>(r);
    const lanes rate = exp(smaller(eta, all(709.0))), q = exp(-rate);
    // weight = n b lambda, with b lambda = lambda^2 / (exp lambda - 1)
    const lanes lambda = smaller(rate, all(700.0));
    const lanes b_lambda = select(lambda < 1e-300, lambda, lambda * (lambda / expm1(larger(lambda, all(1e-300)))));
    f.mu = -expm1(-rate), f.slope = rate * q, f.weight = n * select(rate > 700.0, all(0.0), b_lambda);
    f.deviance = binomial_deviance(y, n, f.mu, q, r.l);
    return f;
}
inline Fitted OUTSIDE fitted(PoissonLog, lanes eta, lanes y, lanes n, lanes aux) {
    const Terms r = PoissonLog::terms(eta, y, n, aux);
    Fitted f = begun<PoissonLog>(r);
    f.mu = f.slope = exp(eta), f.weight = r.w;
    f.deviance = 2.0 * n * (relative_entropy(y, f.mu) - (y - f.mu));
    return f;
}
inline Fitted OUTSIDE fitted(NegativeBinomialLog, lanes eta, lanes y, lanes n, lanes aux) {
    const Terms r = NegativeBinomialLog::terms(eta, y, n, aux);
    Fitted f = begun<NegativeBinomialLog>(r);
    f.mu = f.slope = exp(eta);
    f.weight = n * (aux * (f.mu / (f.mu + aux)));
    f.deviance = 2.0 * n * (relative_entropy(y, f.mu) - (y + aux) * log((y + aux) / (f.mu + aux)));
    return f;
}
INLINE lanes gamma_deviance(lanes n, lanes ratio) { return 2.0 * n * ((ratio - 1.0) - log(ratio)); }
inline Fitted OUTSIDE fitted(GammaLog, lanes eta, lanes y, lanes n, lanes aux) {
    Fitted f = begun<GammaLog>(GammaLog::terms(eta, y, n, aux));
    f.mu = f.slope = exp(eta), f.weight = n;
    f.deviance = gamma_deviance(n, y / f.mu);
    return f;
}
inline Fitted OUTSIDE fitted(GammaInverse, lanes eta, lanes y, lanes n, lanes aux) {
    const Terms r = GammaInverse::terms(eta, y, n, aux);
    Fitted f = begun<GammaInverse>(r);
    f.mu = 1.0 / eta, f.slope = -f.mu * f.mu, f.weight = r.w;
    f.deviance = select(eta > 0.0, gamma_deviance(n, select(eta > 0.0, y * eta, y)), all(__builtin_inf()));
    return f;
}
INLINE lanes inverse_gaussian_deviance(lanes y, lanes n, lanes mu) {
    const lanes off = (y - mu) / mu;
    return n * (off * off / y);
}
inline Fitted OUTSIDE fitted(InverseGaussianLog, lanes eta, lanes y, lanes n, lanes aux) {
    Fitted f = begun<InverseGaussianLog>(InverseGaussianLog::terms(eta, y, n, aux));
    f.mu = f.slope = exp(eta), f.weight = n / f.mu;
    f.deviance = inverse_gaussian_deviance(y, n, f.mu);
    return f;
}
inline Fitted OUTSIDE fitted(InverseGaussianSquare, lanes eta, lanes y, lanes n, lanes aux) {
    const mask inside = eta > 0.0;
    const Terms r = InverseGaussianSquare::terms(eta, y, n, aux);
    Fitted f = begun<InverseGaussianSquare>(r);
    f.mu = 1.0 / root(select(inside, eta, all(1.0))), f.slope = -0.5 * (f.mu / eta), f.weight = r.w;
    f.deviance = select(inside, inverse_gaussian_deviance(y, n, f.mu), all(__builtin_inf()));
    return f;
}

/// Derivatives of a row's whole log-likelihood in the logarithm of aux: d1 first, d2 second, cross that of d l / d eta, dw that
/// of w (families.hpp).  c: what belongs to the log-likelihood besides the terms in eta, see each family.
struct AuxTerms { lanes c, d1, d2, cross, dw; };

/// Negative binomial, aux = size k:  log-likelihood = c - deviance / 2 + what depends on y alone (a Poisson row at its mean).
///
/// c = delta(y + k) - delta(k) - log(1 + y/k) / 2, with delta(x) = log Gamma(x) - log( sqrt(2 pi / x) (x / e)^x ) [Loader 2000].
/// dl/dk = [ psi(y+k) - psi(k) - log(1 + y/k) ] + log(1 + z) - z,  z = (y - mu) / (mu + k).  Differences of Stirling's series
/// [DLMF 5.11] in 1/(y+k)^2 and 1/k^2 are divided differences, by Horner in both, so that nothing cancels where k is large;
/// below 10 the recurrences lift k by 10.
constexpr int LIFT = 10;
constexpr double DELTA[] = {1. / 12, -1. / 360, 1. / 1260, -1. / 1680, 1. / 1188, -691. / 360360, 1. / 156, -3617. / 122400};
constexpr double PSI[] = {1. / 12, -1. / 120, 1. / 252, -1. / 240, 1. / 132, -691. / 32760, 1. / 12, -3617. / 8160};
constexpr double PSI1[] = {1. / 6, -1. / 30, 1. / 42, -1. / 30, 5. / 66, -691. / 2730, 7. / 6, -3617. / 510};
struct Divided { lanes value, difference; };  // P(b), (P(b) - P(a)) / (b - a)
template <int N> INLINE Divided divided(const double (&c)[N], lanes a, lanes b) {
    lanes at_a = all(c[N - 1]), at_b = all(c[N - 1]), d = all(0.0);
    for (int k = N - 2; k >= 0; --k) {
        d = fma(d, b, at_a);
        at_a = fma(at_a, a, all(c[k]));
        at_b = fma(at_b, b, all(c[k]));
    }
    return {at_b, d};
}
inline AuxTerms OUTSIDE aux_terms(NegativeBinomialLog, lanes eta, lanes y, lanes n, lanes k) {
    const mask small = k < double(LIFT);
    const lanes K = select(small, k + double(LIFT), k), a = 1.0 / K, b = 1.0 / (y + K), A = a * a, B = b * b;
    const lanes ba = -y * (a * b), BA = ba * (b + a);                     // b - a, b^2 - a^2
    const Divided delta = divided(DELTA, A, B), psi = divided(PSI, A, B), psi1 = divided(PSI1, A, B);
    lanes c = fma(ba, delta.value, a * (BA * delta.difference));          // delta(y + K) - delta(K)
    lanes first = -0.5 * ba - BA * fma(psi.difference, A, psi.value);     // of B PSI(B) - A PSI(A)
    lanes second = 0.5 * BA + (ba * (B * psi1.value) + a * (BA * fma(psi1.difference, A, psi1.value)));
    const lanes above = log1p(y / k);
    if (any(small)) {
        lanes product = all(1.0), sum1 = all(0.0), sum2 = all(0.0);
        for (int j = 0; j < LIFT; ++j) {
            const lanes lower = k + double(j), share = y / (lower * (y + lower));
            product = product * (1.0 + y / lower);
            sum1 += share;
            sum2 += share * (1.0 / lower + 1.0 / (y + lower));
        }
        const lanes lifted = log1p(y / K), whole = y + k;
        const lanes rise = fma(whole, log1p(double(LIFT) / whole), -k * log1p(double(LIFT) / k));
        c = select(small, c + ((rise + double(LIFT) * lifted) - log(product)) + 0.5 * (above - lifted), c);
        first = select(small, first + ((sum1 + lifted) - above), first);
        second = select(small, second + (ba + (y / (k * whole) - sum2)), second);
    }
    const lanes mu = exp(eta), z = (y - mu) / (mu + k);
    const lanes logs = select(z < -0.5, log((y + k) / (mu + k)), log1p(larger(z, all(-0.5))));  // log(1 + z)
    const lanes slope = k * (first + (logs - z));
    AuxTerms r;
    r.c = n * fma(above, all(-0.5), c);
    r.d1 = n * slope;
    r.d2 = n * fma(k * k, second + z * z / (y + k), slope);
    const lanes p = mu / (mu + k), q = k / (mu + k);
    r.cross = n * (k * (p * z));
    r.dw = n * (p * q) * fma(y + k, p - q, k);
    return r;
}

/// delta(x) as above; log x - psi(x); 1/x - psi'(x).  x > 0.
struct Stirling { lanes delta, psi, trigamma; };
INLINE Stirling stirling(lanes x) {
    const mask small = x < double(LIFT);
    const lanes X = select(small, x + double(LIFT), x), a = 1.0 / X, A = a * a;
    lanes delta = all(DELTA[7]), psi = all(PSI[7]), psi1 = all(PSI1[7]);
    for (int k = 6; k >= 0; --k) {
        delta = fma(delta, A, DELTA[k]);
        psi = fma(psi, A, PSI[k]);
        psi1 = fma(psi1, A, PSI1[k]);
    }
    Stirling r{delta * a, fma(a, all(0.5), psi * A), -fma(A, all(0.5), a * (A * psi1))};
    if (any(small)) {
        lanes product = all(1.0), sum1 = all(0.0), sum2 = all(0.0);
        for (int j = 0; j < LIFT; ++j) {
            const lanes lower = x + double(j), inverse = 1.0 / lower;
            product = product * lower;
            sum1 += inverse;
            sum2 = fma(inverse, inverse, sum2);
        }
        const lanes log_x = log(x), log_X = log(X);
        const lanes rise = ((X - 0.5) * log_X - (x - 0.5) * log_x) - double(LIFT);
        r.delta = select(small, r.delta + (rise - log(product)), r.delta);
        r.psi = select(small, r.psi + (sum1 + (log_x - log_X)), r.psi);
        r.trigamma = select(small, (r.trigamma - a) + (1.0 / x - sum2), r.trigamma);
    }
    return r;
}

/// Gamma, aux = shape a:  log-likelihood = c + l of families.hpp, c = n [ a log a - log Gamma(a) + (a - 1) log y ].
template <class F> INLINE AuxTerms gamma_aux_terms(lanes eta, lanes y, lanes n, lanes a) {
    const Terms t = F::terms(eta, y, n, a);
    const Stirling s = stirling(a);
    const lanes ratio = std::is_same_v<F, GammaLog> ? y * exp(-eta) : y * eta;  // y / mu
    AuxTerms r;
    r.c = n * (((0.5 * log(a * 0x1.45f306dc9c883p-3) - s.delta) + a) + (a - 1.0) * log(y));
    r.d1 = n * (a * (s.psi + ((1.0 - ratio) + log(ratio))));
    r.d2 = fma(n * (a * a), s.trigamma, r.d1);
    r.cross = t.d1, r.dw = t.w;
    return r;
}
inline AuxTerms OUTSIDE aux_terms(GammaLog, lanes eta, lanes y, lanes n, lanes a) { return gamma_aux_terms<GammaLog>(eta, y, n, a); }
inline AuxTerms OUTSIDE aux_terms(GammaInverse, lanes eta, lanes y, lanes n, lanes a) {
    return gamma_aux_terms<GammaInverse>(eta, y, n, a);
}
template <class F> INLINE AuxTerms aux_terms(F, lanes, lanes, lanes, lanes) {  // families without one
    return {all(0.0), all(0.0), all(0.0), all(0.0), all(0.0)};
}

constexpr int ROW_VALUES = 11;

/// out (ROW_VALUES, count): mu, slope, deviance, score, weight, observed of each row; AuxTerms (0 where there is no aux).
inline void fitted_rows(int64_t family, const double* eta, const double* y, const double* n, const double* aux,
                        int64_t count, double* out) {
    with_family(family, [&](auto f) {
        for (int64_t i = 0; i < count; i += LANES) {
            const int64_t m = count - i < LANES ? count - i : LANES;
            alignas(64) double in[4][LANES], buffer[LANES];
            const double* from[] = {eta, y, n, aux};
            for (int k = 0; k < 4; ++k)
                for (int j = 0; j < LANES; ++j) in[k][j] = j < m ? from[k][i + j] : 1;
            const lanes t = load(in[0]), response = load(in[1]), trials = load(in[2]), size = load(in[3]);
            const Fitted r = fitted(f, t, response, trials, size);
            const AuxTerms s = aux_terms(f, t, response, trials, size);
            const lanes* values[] = {&r.mu, &r.slope, &r.deviance, &r.score, &r.weight, &r.observed, &s.c, &s.d1, &s.d2, &s.cross, &s.dw};
            for (int k = 0; k < ROW_VALUES; ++k) {
                store(buffer, *values[k]);
                memcpy(out + k * count + i, buffer, m * sizeof(double));
            }
        }
    });
}

}  // namespace
