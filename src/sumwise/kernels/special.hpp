// exp(x) - 1, log(1 + x), and the upper tail of the normal distribution, for lanes.
#pragma once
#include "simd.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

/// exp(x) - 1 for x <= 700, below 2 ulp.  With x = n ln 2 + r it is 2^n (exp r - 1) + (2^n - 1), whose second term is exact.
INLINE lanes expm1(lanes x) {
    const lanes clipped = larger(smaller(x, all(700.0)), all(-60.0));
    const lanes n = fma(clipped, all(0x1.71547652b82fep0), ROUND_TO_INTEGER) - ROUND_TO_INTEGER;
    lanes r = fma(n, -LN2_HIGH, clipped);
    r = fma(n, -LN2_LOW, r);
    constexpr double inverse_factorial[] = {1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880,
                                            1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2};
    lanes s = all(inverse_factorial[0]);
    for (int k = 1; k < 12; ++k) s = fma(s, r, inverse_factorial[k]);
    s = fma(s, r * r, r);
    const lanes power = power_of_two(n + ROUND_TO_INTEGER);
    return select(x == x, fma(power, s, power - 1.0), x);
}

/// log(1 + x) for x > -1, below 2 ulp: u = 1 + x rounded, log(u) corrected for x - (u - 1), which is exact.
INLINE lanes log1p(lanes x) {
    const lanes u = 1.0 + x;
    const mask huge = u == all(__builtin_inf());
    return select(huge, u, log(u) + (x - (u - 1.0)) / u);
}

/// r_k = J_k / J_{k-1} of the integrals J_k(t) = int_0^inf x^k exp(-t x - x^2/2) dx, t >= 0, below 2 ulp.
///
/// J_0 is Mills' ratio (1 - Phi(t)) / phi(t).  J_{k+1} = k J_{k-1} - t J_k, hence r_k = k / (t + r_{k+1}) [Laplace's continued
/// fraction; DLMF 7.9]: downwards all terms are positive and errors shrink.  It starts from r_6 (t + 4), a Chebyshev
/// interpolant of degree 20 in (t - 4) / (t + 4) for each of t < 4 and t > 4; tests/reference/make_mills.py makes it.
struct TailRatios { lanes r1, r2, r3, r4; };
constexpr double TAIL_NEAR[] = {
    0x1.3c5d879b43d6ap-35, 0x1.8c4033c22d493p-31, 0x1.2e3c09862051ap-29, -0x1.9f2445a8876d5p-30, -0x1.bd409cf31408cp-26,
    -0x1.496e65f3b09ccp-24, -0x1.7eb162ae53709p-25, 0x1.2985289b0c3dcp-21, 0x1.51e2ccdf76d2ap-19, 0x1.150dd410584cfp-18,
    -0x1.30c8ae2786b65p-17, -0x1.3b6bd36d89f45p-14, -0x1.92b919fb78bcep-13, 0x1.a6514b98d6228p-15, 0x1.24420bda62305p-9,
    0x1.0388e6d66e817p-7, 0x1.1c22512a491bcp-8, -0x1.5258642773994p-4, -0x1.86ee9602ee5bap-2, -0x1.62e73af85a5b5p-4,
    0x1.33a52449950e6p+3};
constexpr double TAIL_FAR[] = {
    -0x1.636f53f53d3cfp-26, -0x1.2ce048ed10237p-26, 0x1.daaa34a4a3051p-23, 0x1.3bff6e7c3260bp-23, -0x1.839b0285efb0dp-20,
    -0x1.2885d888d3003p-21, 0x1.103ccb4b93093p-17, -0x1.5135fbaa79890p-27, -0x1.6e80e1281b6aep-15, 0x1.600157a7848c9p-16,
    0x1.e1d1c61712463p-13, -0x1.07c0122abbf23p-12, -0x1.309c1bebf9198p-10, 0x1.2f16823befa8ap-9, 0x1.5eefcdef2a565p-8,
    -0x1.42bacae0b7304p-6, -0x1.1c244820d25f4p-6, 0x1.5cb41f8a17558p-3, -0x1.8642f90bfc6acp-4, -0x1.b0f44054faba5p+0,
    0x1.e96564ab0a368p+2};
INLINE TailRatios tail_ratios(lanes t) {
    const mask near = t < 4.0;
    const lanes s = fma((t - 4.0) / (t + 4.0), all(2.0), select(near, all(1.0), all(-1.0)));
    lanes v = select(near, all(TAIL_NEAR[0]), all(TAIL_FAR[0]));
    for (int k = 1; k < 21; ++k) v = fma(v, s, select(near, all(TAIL_NEAR[k]), all(TAIL_FAR[k])));
    TailRatios r;
    const lanes r5 = 5.0 / (t + v / (t + 4.0));
    r.r4 = 4.0 / (t + r5);
    r.r3 = 3.0 / (t + r.r4);
    r.r2 = 2.0 / (t + r.r3);
    r.r1 = 1.0 / (t + r.r2);
    return r;
}

/// density: phi(t); tail: 1 - Phi(t); h: their ratio, t + r_1.  0 <= t.
struct NormalTail { TailRatios ratios; lanes density, tail, h; };
INLINE NormalTail normal_tail(lanes t) {
    NormalTail r;
    t = smaller(t, all(1e150));
    r.ratios = tail_ratios(t);
    const lanes square = t * t, low = fma(t, t, -square);  // t^2 to the last bit: exp multiplies its error by t^2/2
    const lanes e = exp(-0.5 * square);
    r.density = 0x1.9884533d43651p-2 * fma(e, -0.5 * low, e);
    r.h = t + r.ratios.r1;
    r.tail = r.density / r.h;
    return r;
}

}  // namespace
