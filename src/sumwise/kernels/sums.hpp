// Exact sums of doubles as fixed-point integers.
//
// A sum is DIGITS signed 64-bit digits in base 2^32; digit k weighs 2^(32 k - 1074).  1074 bits lie below the point, so
// every double, subnormals included, is an integer multiple of the last place; 2^77 terms of the largest double fit.
// In normal form all digits but the last lie in [0, 2^32), so equal sums have equal digits.
#pragma once
#include "simd.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int DIGITS = 68;
constexpr int BLOCK = 256;    // terms that are added in floating point, exactly, before they meet the digits
constexpr int CUT = 44;       // bits of each term that one round of that takes: 2^44 units, 256 = 2^8 times, stay below 2^53

INLINE int exponent_of(double x) {  // biased exponent field
    uint64_t b;
    memcpy(&b, &x, 8);
    return (int)(b >> 52 & 0x7ff);
}
INLINE double two_to(int e) {  // -1074 <= e <= 1023
    uint64_t b = e >= -1022 ? (uint64_t)(e + 1023) << 52 : 1ull << (e + 1074);
    double x;
    memcpy(&x, &b, 8);
    return x;
}

INLINE void add_one(int64_t* digits, double x) {
    uint64_t b;
    memcpy(&b, &x, 8);
    int e = (int)(b >> 52 & 0x7ff);
    uint64_t m = b & 0xfffffffffffffull;
    if (e) m |= 1ull << 52, --e;
    unsigned __int128 wide = (unsigned __int128)m << (e & 31);
    int64_t* d = digits + (e >> 5);
    int64_t sign = x < 0 ? -1 : 1;
    d[0] += sign * (int64_t)(uint32_t)wide;
    d[1] += sign * (int64_t)(uint32_t)(wide >> 32);
    d[2] += sign * (int64_t)(uint32_t)(wide >> 64);
}

/// Carries; false if the last digit has left the range that the format promises.
inline bool normalise(int64_t* d) {
    for (int k = 0; k < DIGITS - 1; ++k) {
        d[k + 1] += d[k] >> 32;
        d[k] &= 0xffffffff;
    }
    return d[DIGITS - 1] < (1ll << 31) && d[DIGITS - 1] >= -(1ll << 31);
}

/// Sum of the eight lanes, for bounds: nan if one is.
INLINE double sum_lanes(lanes a) {
    double s = 0;
    for (int j = 0; j < LANES; ++j) s += a[j];
    return s;
}

/// Adds BLOCK terms (padded with zeros), term(j) the lanes from 8 j, to one sum.  Returns false, with nothing added, if one of
/// them is not finite.
///
/// The terms are cut at multiples of a unit u CUT bits below a bound on their size: q = (x + M) - M is x rounded to a
/// multiple of u, x - q is exact, and BLOCK such q add up without rounding.  What is cut off goes through the next, finer
/// unit, until nothing is left; data of similar size need two rounds.
template <class Term> INLINE bool add_terms(int64_t* digits, Term term) {
    lanes x[BLOCK / LANES], sizes = all(0.0);
    for (int j = 0; j < BLOCK / LANES; ++j) {
        x[j] = term(j);
        sizes += absolute(x[j]);  // the sum of the sizes: a bound that costs less than the maximum
    }
    double bound = sum_lanes(sizes);
    if (!(bound < 0x1p1000)) {  // M could overflow; or there is a term that is not finite
        for (int j = 0; j < BLOCK; ++j)
            if (exponent_of(x[j / LANES][j % LANES]) == 0x7ff) return false;
        for (int j = 0; j < BLOCK; ++j) add_one(digits, x[j / LANES][j % LANES]);
        return true;
    }
    for (int e = exponent_of(bound) - 1022; bound != 0; e -= CUT) {  // every |x| < 2^e
        const int unit = e - CUT < -1074 ? -1074 : e - CUT;
        const lanes M = all(1.5 * two_to(unit + 52));
        lanes sum = all(0.0), left = all(0.0);
        for (int j = 0; j < BLOCK / LANES; ++j) {
            const lanes q = (x[j] + M) - M;
            sum += q;
            x[j] = x[j] - q;
            left += absolute(x[j]);
        }
        add_one(digits, sum_lanes(sum));
        bound = sum_lanes(left);
    }
    return true;
}
inline bool add_block(int64_t* digits, const double* terms) {
    return add_terms(digits, [terms](int j) { return load(terms + j * LANES); });
}

/// Correctly rounded (to nearest, ties to even) value of a normalised sum; false if it lies beyond the largest double.
inline bool round_sum(const int64_t* digits, double* out) {
    int64_t d[DIGITS];
    memcpy(d, digits, sizeof d);
    bool negative = d[DIGITS - 1] < 0;
    if (negative) {
        for (int k = 0; k < DIGITS; ++k) d[k] = -d[k];
        normalise(d);
    }
    int k = DIGITS - 1;
    while (k > 0 && d[k] == 0) --k;
    unsigned __int128 window = 0;  // the four leading digits, then a sticky bit for all the others
    for (int j = 0; j < 4; ++j) window = window << 32 | (uint64_t)(k - j >= 0 ? d[k - j] : 0);
    bool sticky = false;
    for (int j = k - 4; j >= 0; --j) sticky |= d[j] != 0;
    int lowest = 32 * (k - 3);     // the window is an integer times 2^(lowest - 1074)
    int length = 128;
    while (length > 0 && !(window >> (length - 1) & 1)) --length;
    int drop = length - 53;        // keep 53 bits, fewer where the result is subnormal
    if (drop < -lowest) drop = -lowest;
    uint64_t m;
    if (drop > 0) {
        unsigned __int128 rest = window & (((unsigned __int128)1 << drop) - 1), half = (unsigned __int128)1 << (drop - 1);
        m = (uint64_t)(window >> drop);
        if (rest > half || (rest == half && (sticky || (m & 1)))) ++m;
    } else {
        m = (uint64_t)window, drop = 0;
    }
    int e = lowest + drop - 1074;
    bool fits = m == 0 || e <= 971;
    double x = (double)m * two_to(e <= 971 ? e : 971);
    *out = negative ? -x : x;
    return fits && x <= 0x1.fffffffffffffp1023;
}

}  // namespace
