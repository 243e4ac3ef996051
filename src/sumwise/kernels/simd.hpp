// Eight doubles that behave the same on every processor.
//
// A `lanes` value is one AVX-512 register, two AVX2 registers, or four SSE2 / NEON registers.  Every operation works
// lane by lane and is correctly rounded, so the width of the hardware changes the speed and never the bits.  Fused
// multiply-add is written out (`fma`), and the compiler is told not to fuse anything else (-ffp-contract=off).
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int LANES = 8;
#if defined(__AVX512F__)
constexpr int WIDTH = 8;
#elif defined(__AVX__)
constexpr int WIDTH = 4;
#else
constexpr int WIDTH = 2;
#endif
constexpr int PARTS = LANES / WIDTH;
typedef double part __attribute__((vector_size(8 * WIDTH)));
typedef int64_t ipart __attribute__((vector_size(8 * WIDTH)));
typedef double part_at __attribute__((vector_size(8 * WIDTH), aligned(8), may_alias));    // in memory, at any address
typedef int64_t ipart_at __attribute__((vector_size(8 * WIDTH), aligned(8), may_alias));

#define INLINE inline __attribute__((always_inline))
#define OUTSIDE __attribute__((noinline))  // work that dwarfs its call: the compiler is spared copies of it
#define EACH_PART _Pragma("GCC unroll 8") for (int i = 0; i < PARTS; ++i)

struct mask { ipart m[PARTS]; };
struct alignas(64) lanes {
    part v[PARTS];
    INLINE double& operator[](int lane) { return reinterpret_cast<double*>(v)[lane]; }
    INLINE double operator[](int lane) const { return reinterpret_cast<const double*>(v)[lane]; }
};
struct integers { ipart v[PARTS]; };

INLINE lanes all(double x) { lanes r; EACH_PART for (int j = 0; j < WIDTH; ++j) r.v[i][j] = x; return r; }
// part by part: compilers copy a whole struct in pieces, by way of the stack
INLINE lanes load(const double* p) { lanes r; EACH_PART r.v[i] = *(const part_at*)(p + i * WIDTH); return r; }
INLINE void store(double* p, lanes a) { EACH_PART *(part_at*)(p + i * WIDTH) = a.v[i]; }
INLINE void store(int64_t* p, integers a) { EACH_PART *(ipart_at*)(p + i * WIDTH) = a.v[i]; }

#define BINARY(op) \
    INLINE lanes operator op(lanes a, lanes b) { lanes r; EACH_PART r.v[i] = a.v[i] op b.v[i]; return r; } \
    INLINE lanes operator op(lanes a, double b) { return a op all(b); } \
    INLINE lanes operator op(double a, lanes b) { return all(a) op b; }
BINARY(+) BINARY(-) BINARY(*) BINARY(/)
#undef BINARY
INLINE lanes operator-(lanes a) { lanes r; EACH_PART r.v[i] = -a.v[i]; return r; }
INLINE lanes& operator+=(lanes& a, lanes b) { a = a + b; return a; }

#define COMPARE(op) \
    INLINE mask operator op(lanes a, lanes b) { mask r; EACH_PART r.m[i] = a.v[i] op b.v[i]; return r; } \
    INLINE mask operator op(lanes a, double b) { return a op all(b); }
COMPARE(<) COMPARE(>) COMPARE(<=) COMPARE(>=) COMPARE(==) COMPARE(!=)
#undef COMPARE
INLINE mask operator&(mask a, mask b) { EACH_PART a.m[i] &= b.m[i]; return a; }
INLINE mask operator|(mask a, mask b) { EACH_PART a.m[i] |= b.m[i]; return a; }
INLINE mask operator!(mask a) { EACH_PART a.m[i] = ~a.m[i]; return a; }
INLINE mask none() { mask r; EACH_PART r.m[i] = ipart{}; return r; }
INLINE lanes select(mask c, lanes a, lanes b) {
    lanes r;
    EACH_PART r.v[i] = c.m[i] ? a.v[i] : b.v[i];
    return r;
}
INLINE bool any(mask c) {
    ipart seen = c.m[0];
    for (int i = 1; i < PARTS; ++i) seen |= c.m[i];
    int64_t bits = 0;
    for (int i = 0; i < WIDTH; ++i) bits |= seen[i];
    return bits != 0;
}
INLINE lanes absolute(lanes a) { lanes r; EACH_PART r.v[i] = (part)((ipart)a.v[i] & INT64_MAX); return r; }

// a > b ? a : b, and a < b ? a : b: b where one of them is nan, as x86 has it
#if defined(__AVX512F__)
constexpr __mmask8 EVERY = 0xff;  // with it instead of none at all, gcc 12 has no uninitialized value to warn of
INLINE part larger_part(part a, part b) { return (part)_mm512_maskz_max_pd(EVERY, (__m512d)a, (__m512d)b); }
INLINE part smaller_part(part a, part b) { return (part)_mm512_maskz_min_pd(EVERY, (__m512d)a, (__m512d)b); }
#elif defined(__AVX__)
INLINE part larger_part(part a, part b) { return (part)_mm256_max_pd((__m256d)a, (__m256d)b); }
INLINE part smaller_part(part a, part b) { return (part)_mm256_min_pd((__m256d)a, (__m256d)b); }
#else
INLINE part larger_part(part a, part b) { return a > b ? a : b; }
INLINE part smaller_part(part a, part b) { return a < b ? a : b; }
#endif
INLINE lanes larger(lanes a, lanes b) { lanes r; EACH_PART r.v[i] = larger_part(a.v[i], b.v[i]); return r; }
INLINE lanes smaller(lanes a, lanes b) { lanes r; EACH_PART r.v[i] = smaller_part(a.v[i], b.v[i]); return r; }

#if !defined(__FMA__) && !defined(__aarch64__)  // no such instruction: the C library's is slower and gives the same bits
OUTSIDE inline part fma_part(part a, part b, part c) {
    part r;
    for (int i = 0; i < WIDTH; ++i) r[i] = __builtin_fma(a[i], b[i], c[i]);
    return r;
}
#else
INLINE part fma_part(part a, part b, part c) {
#if defined(__AVX512F__)
    return (part)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    return (part)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return (part)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#endif
}
#endif
/// a b + c with one rounding.
INLINE lanes fma(lanes a, lanes b, lanes c) { lanes r; EACH_PART r.v[i] = fma_part(a.v[i], b.v[i], c.v[i]); return r; }
INLINE lanes fma(lanes a, lanes b, double c) { return fma(a, b, all(c)); }
INLINE lanes fma(lanes a, double b, lanes c) { return fma(a, all(b), c); }

INLINE lanes root(lanes a) {
    lanes r;
    EACH_PART for (int j = 0; j < WIDTH; ++j) r.v[i][j] = __builtin_sqrt(a.v[i][j]);
    return r;
}

/// Sum of the eight lanes, in one fixed order, copied to every lane.
INLINE lanes across(lanes a) {
    double s[LANES];
    store(s, a);
    return all(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
}
INLINE lanes max_across(lanes a) {
    double m = a[0];
    for (int i = 1; i < LANES; ++i) m = a[i] > m ? a[i] : m;
    return all(m);
}

INLINE integers bits_of(lanes a) { integers r; EACH_PART r.v[i] = (ipart)a.v[i]; return r; }
INLINE lanes from_bits(integers a) { lanes r; EACH_PART r.v[i] = (part)a.v[i]; return r; }

constexpr double LN2_HIGH = 0x1.62e42fefa38p-1;      // the first 42 bits of ln 2, so that n LN2_HIGH is exact
constexpr double LN2_LOW = 0x1.ef35793c7673p-45;     // ln 2 - LN2_HIGH
constexpr double ROUND_TO_INTEGER = 0x1.8p52;        // adding it leaves the nearest integer in the low bits

/// 2^n for integers n in [-1022, 1023] that came out of a ROUND_TO_INTEGER addition.
INLINE lanes power_of_two(lanes shifted) {
    integers r = bits_of(shifted);
    EACH_PART r.v[i] = (r.v[i] + 1023) << 52;
    return from_bits(r);
}

/// s 2^n for s in [1/2, 2] and whole n in [-1075, 1024], rounded once.
INLINE lanes scaled(lanes s, lanes n) {
#if defined(__AVX512F__)
    lanes r;
    EACH_PART r.v[i] = (part)_mm512_maskz_scalef_pd(EVERY, (__m512d)s.v[i], (__m512d)n.v[i]);
    return r;
#else
    lanes half = n * 0.5 + ROUND_TO_INTEGER;         // two factors, so that results near the ends of the range survive
    lanes rest = n - (half - ROUND_TO_INTEGER) + ROUND_TO_INTEGER;
    return s * power_of_two(half) * power_of_two(rest);
#endif
}

/// exp(x), below 1 ulp.  x = n ln 2 + r with |r| <= ln 2 / 2, then the Taylor series of exp(r) to r^13.   Where it is clipped
/// the result is inf, or 0; a nan comes through.
INLINE lanes exp(lanes x) {
    lanes clipped = larger(all(-745.2), smaller(all(709.8), x));
    lanes n = fma(clipped, all(0x1.71547652b82fep0), ROUND_TO_INTEGER) - ROUND_TO_INTEGER;
    lanes r = fma(n, -LN2_HIGH, clipped);
    r = fma(n, -LN2_LOW, r);
    constexpr double inverse_factorial[] = {1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880,
                                            1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2};
    lanes s = all(inverse_factorial[0]);
    for (int k = 1; k < 12; ++k) s = fma(s, r, inverse_factorial[k]);
    return scaled(fma(s, r * r, r) + 1.0, n);
}

/// log(x) + e ln 2 for positive normal x, below 1 ulp.  x = 2^n m with m in [sqrt(1/2), sqrt 2); with f = m - 1 and
/// t = f / (2 + f), log m = 2 artanh t = f - t (f - R), R = 2 t^2 (1/3 + t^2/5 + ...), arranged as in fdlibm's e_log.c.
INLINE lanes log_scaled(lanes x, lanes e) {
    integers b = bits_of(x), m, n;
    EACH_PART {
        ipart shifted = b.v[i] - 0x3fe6a09e667f3bcdLL;                // bits of sqrt(1/2)
        n.v[i] = shifted >> 52;
        m.v[i] = b.v[i] - (n.v[i] << 52);
        n.v[i] = n.v[i] + 0x4338000000000000LL;                       // integer -> double by way of ROUND_TO_INTEGER
    }
    lanes whole = (from_bits(n) - ROUND_TO_INTEGER) + e;
    lanes f = from_bits(m) - 1.0, t = f / (f + 2.0), t2 = t * t;
    lanes series = all(2. / 23);
    for (int k = 21; k >= 3; k -= 2) series = fma(series, t2, 2. / k);
    lanes half_square = 0.5 * f * f, R = series * t2;
    lanes low = fma(whole, LN2_LOW, t * (half_square + R));
    return fma(whole, LN2_HIGH, f - (half_square - low));
}

/// log(x) for any x: -inf at 0, nan below, inf at inf.
INLINE lanes log(lanes x) {
    mask tiny = x < all(0x1p-1022);
    lanes y = log_scaled(select(tiny, x * 0x1p54, x), select(tiny, all(-54.0), all(0.0)));
    y = select(x == all(0.0), all(-__builtin_inf()), y);
    y = select(x < all(0.0), all(__builtin_nan("")), y);
    y = select(x == all(__builtin_inf()), x, y);
    return select(x == x, y, x);
}

}  // namespace
