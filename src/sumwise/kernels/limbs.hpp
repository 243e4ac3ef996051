// Columns of a block cut into integer limbs, and products of limbs summed over rows.
//
// A column of 512 rows is a whole number of some unit 2^u, in limbs of 27 bits each: products of limbs are integers below
// 2^52, and 512 of them add up in 64 bits.
#pragma once
#include "simd.hpp"
#include "sums.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int ROWS = 512;            // rows of a block
constexpr int PITCH = ROWS + LANES;  // doubles between columns; not ROWS: a page apart they would share cache places
constexpr int BITS = 27, MOST_LIMBS = 3, MOST_PLANES = 6;
constexpr int TILE = 3;              // columns by columns whose sums stay in registers
constexpr int NOTHING = 1024;        // lowest bit of a column of zeros

struct Range { int top, lowest; bool finite; };

INLINE int power_of(double x) {      // exponent of a power of two
    uint64_t b;
    memcpy(&b, &x, 8);
    const int e = (int)(b >> 52);
    return e ? e - 1023 : __builtin_ctzll(b) - 1074;
}

/// All ROWS values lie below 2^top and are multiples of 2^lowest.
inline Range range_of(const double* x) {
    const double infinity = __builtin_inf();
    lanes largest = all(0.0), least = all(infinity);
    mask bad = none();
    for (int r = 0; r < ROWS; r += LANES) {
        const lanes a = absolute(load(x + r));
        lanes without;  // the number without its lowest bit; zero where that bit is the leading one
        EACH_PART {
            const ipart b = (ipart)a.v[i];
            const ipart several = (b & 0xfffffffffffffLL) != 0;
            without.v[i] = (part)(b & (b - 1) & several);
        }
        const lanes bit = a - without;
        least = smaller(least, select(a == all(0.0), all(infinity), bit));
        largest = larger(largest, a);
        bad = bad | !(a < infinity);
    }
    double top = 0, low = infinity;
    for (int j = 0; j < LANES; ++j) {
        top = largest[j] > top ? largest[j] : top;
        low = least[j] < low ? least[j] : low;
    }
    const int field = exponent_of(top);
    return {field ? field - 1022 : -1022, low == infinity ? NOTHING : power_of(low), !any(bad)};
}

/// Limbs of a column, and the rest where one is asked for.  True if the limbs leave a rest.
template <int LIMBS> bool cut(const double* x, int unit, int64_t* planes, int64_t plane, double* rest) {
    mask left = none();
    for (int r = 0; r < ROWS; r += LANES) {
        lanes v = load(x + r);
        integers limb[LIMBS];
        for (int k = LIMBS - 1; k >= 0; --k) {
            const lanes M = all(1.5 * two_to(52 + unit + BITS * k));   // adding it rounds to a multiple of 2^(unit + 27 k)
            const lanes t = v + M;
            EACH_PART limb[k].v[i] = (ipart)t.v[i] - (ipart)M.v[i];
            v = v - (t - M);
        }
        if (rest) store(rest + r, v);
        left = left | (v != all(0.0));
        for (int k = 0; k < LIMBS; ++k) store(planes + k * plane + r, limb[k]);
        int q = LIMBS;
        for (int l = 1; l < LIMBS; ++l)
            for (int k = 0; k < l; ++k) {
                integers sum;
                EACH_PART sum.v[i] = limb[k].v[i] + limb[l].v[i];
                store(planes + q++ * plane + r, sum);
            }
    }
    return any(left);
}

#define EACH_COLUMN(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < n; ++i)

INLINE ipart multiply(ipart a, ipart b) {  // of numbers that fit 32 bits
#if defined(__AVX512F__)
    return (ipart)_mm512_maskz_mul_epi32(0xff, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (ipart)_mm256_mul_epi32((__m256i)a, (__m256i)b);
#else
    return a * b;
#endif
}

INLINE ipart load_part(const int64_t* p) { return *(const ipart_at*)p; }

/// out[i * count + j] = sum over rows of a_i b_j, modulo 2^64, for TILE by TILE columns, or those with j <= i.
template <bool DIAGONAL> void tile(const int64_t* a, const int64_t* b, int64_t* out, int64_t count) {
    ipart s[TILE][TILE] = {};
    for (int r = 0; r < ROWS; r += WIDTH) {
        ipart y[TILE];
        EACH_COLUMN(j, TILE) y[j] = load_part(b + j * PITCH + r);
        EACH_COLUMN(i, TILE) {
            const ipart x = load_part(a + i * PITCH + r);
            EACH_COLUMN(j, (DIAGONAL ? i + 1 : TILE)) s[i][j] += multiply(x, y[j]);
        }
    }
    EACH_COLUMN(i, TILE)
        EACH_COLUMN(j, (DIAGONAL ? i + 1 : TILE)) {
            uint64_t total = 0;
            for (int k = 0; k < WIDTH; ++k) total += (uint64_t)s[i][j][k];
            out[i * count + j] = (int64_t)total;
        }
}

}  // namespace
