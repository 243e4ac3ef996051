// Exact cross-products of columns of doubles.
//
// Rows go through in blocks, whose columns are cut into one to three limbs (limbs.hpp).  With limbs a_k and b_k,
//
//     a b = sum_k a_k b_k 4^(27k) + sum_{k<l} [ (a_k + a_l)(b_k + b_l) - a_k b_k - a_l b_l ] 2^(27(k+l))     [Karatsuba & Ofman 1962]
//
// so three limbs cost six integer products a pair instead of nine.  Three limbs reach 80 bits below a column's largest
// value; what lies still lower (a "rest", rare) is multiplied out one product at a time.  Totals of blocks go into digits
// in base 2^32.
#pragma once
#include <cstdlib>

#include "columns.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int PANEL = 48;            // columns that stay in the second-level cache
constexpr int TOO_LARGE = 990;       // binary exponent from which cutting a column could overflow

struct Products {
    int64_t* digits;                 // (width, pairs) digit k of each pair weighs 2^(32 k + low); pairs (i, j), j <= i, row by row
    int64_t pairs, low;
    int64_t first, last;             // no digit below the first or above the last is in use; updated
    int64_t* lowest;                 // (count + 1) exponent of the lowest bit in use: columns, weights; updated
};

/// The columns of a block and their limbs.
struct Side {
    double* x;         // (count, PITCH)
    double* rest;      // (count, PITCH) what the limbs leave
    int64_t* planes;   // (MOST_PLANES, count, PITCH): limbs 0, 1, 2, then the sums of limbs 0 + 1, 0 + 2, 1 + 2
    int* unit;         // (count) the lowest limb counts in 2^unit
    bool* has_rest;    // (count)
};

/// The digits of one pair of columns.
struct Sum {
    Products& out;
    int64_t pair;

    INLINE int64_t* open(int64_t position) const {  // three digits from here
        const int64_t k = (position - out.low) >> 5;
        out.first = k < out.first ? k : out.first;
        out.last = k + 2 > out.last ? k + 2 : out.last;
        return out.digits + k * out.pairs + pair;
    }
    INLINE void add(int64_t position, int64_t value) const {  // value 2^position
        const __int128 wide = (__int128)value << ((position - out.low) & 31);
        int64_t* d = open(position);
        d[0] += (uint32_t)wide;
        d[out.pairs] += (uint32_t)(wide >> 32);
        d[2 * out.pairs] += (int64_t)(wide >> 64);
    }
    INLINE void add(int64_t position, uint64_t value, int64_t sign) const {
        const unsigned __int128 wide = (unsigned __int128)value << ((position - out.low) & 31);
        if (!value) return;
        int64_t* d = open(position);
        d[0] += sign * (int64_t)(uint32_t)wide;
        d[out.pairs] += sign * (int64_t)(uint32_t)(wide >> 32);
        d[2 * out.pairs] += sign * (int64_t)(uint32_t)(wide >> 64);
    }
};

struct Parts { uint64_t m; int e; int64_t sign; };  // x = sign m 2^e
INLINE Parts parts_of(double x) {
    uint64_t b;
    memcpy(&b, &x, 8);
    const int e = (int)(b >> 52 & 0x7ff);
    const uint64_t m = b & 0xfffffffffffffull;
    return {e ? m | 1ull << 52 : m, (e ? e : 1) - 1075, b >> 63 ? -1 : 1};
}
INLINE void add_product(Sum sum, Parts a, Parts b) {
    const unsigned __int128 m = (unsigned __int128)a.m * b.m;
    const int64_t at = a.e + b.e, sign = a.sign * b.sign;
    sum.add(at, (uint64_t)m, sign);
    sum.add(at + 64, (uint64_t)(m >> 64), sign);
}
inline void add_product(Sum sum, Parts a, Parts b, Parts c) {
    const unsigned __int128 m = (unsigned __int128)a.m * b.m;
    const int64_t at = a.e + b.e + c.e, sign = a.sign * b.sign * c.sign;
    const unsigned __int128 lower = (unsigned __int128)(uint64_t)m * c.m, upper = (m >> 64) * c.m;
    sum.add(at, (uint64_t)lower, sign);
    sum.add(at + 64, (uint64_t)(lower >> 64), sign);
    sum.add(at + 64, (uint64_t)upper, sign);
    sum.add(at + 128, (uint64_t)(upper >> 64), sign);
}

struct Block {
    int64_t count, padded;  // columns; rounded up to whole tiles
    Side left, right;       // the same columns without weights; with them, right holds weight times column
    double *weight, *low_products;  // (PITCH), (count, PITCH)
    int64_t* sums;          // (MOST_PLANES, padded, padded)
    bool weighted;

};

INLINE Sum sum_of(Products& out, int64_t i, int64_t j) { return {out, i * (i + 1) / 2 + j}; }

template <typename T> T* take(char*& memory, int64_t n) {
    T* p = reinterpret_cast<T*>(memory);
    memory += (n * (int64_t)sizeof(T) + 63) / 64 * 64;
    return p;
}
inline void take_side(char*& memory, int64_t padded, Side& side) {
    side.x = take<double>(memory, padded * PITCH);
    side.rest = take<double>(memory, padded * PITCH);
    side.planes = take<int64_t>(memory, MOST_PLANES * padded * PITCH);
    side.unit = take<int>(memory, padded);
    side.has_rest = take<bool>(memory, padded);
}
inline char* lay_out(Block& b, char* memory) {
    char* at = memory;
    take_side(at, b.padded, b.left);
    b.right = b.left;
    if (b.weighted) {
        take_side(at, b.padded, b.right);
        b.weight = take<double>(at, PITCH);
        b.low_products = take<double>(at, b.padded * PITCH);
    }
    b.sums = take<int64_t>(at, MOST_PLANES * b.padded * b.padded);
    return at;
}

inline int limbs_for(const Range* ranges, int64_t count) {
    int limbs = 1;
    for (int64_t c = 0; c < count; ++c)
        while (limbs < MOST_LIMBS && ranges[c].lowest < ranges[c].top - (BITS - 1) - BITS * (limbs - 1)) ++limbs;
    return limbs;
}

inline void cut_side(const Block& b, Side& side, const Range* ranges, int limbs) {
    const int64_t plane = b.padded * PITCH;
    for (int64_t c = 0; c < b.padded; ++c) {
        const double* x = side.x + c * PITCH;
        int64_t* planes = side.planes + c * PITCH;
        double* rest = side.rest + c * PITCH;
        side.unit[c] = 0, side.has_rest[c] = false;
        const bool empty = c >= b.count || ranges[c].lowest == NOTHING, huge = !empty && ranges[c].top > TOO_LARGE;
        if (empty || huge) {
            for (int q = 0; q < limbs * (limbs + 1) / 2; ++q) memset(planes + q * plane, 0, ROWS * 8);
            if (huge) memcpy(rest, x, ROWS * 8), side.has_rest[c] = true;
            continue;
        }
        const int unit = ranges[c].top - (BITS - 1) - BITS * (limbs - 1);
        side.unit[c] = unit < -1074 ? -1074 : unit;
        const auto into = limbs == 1 ? cut<1> : limbs == 2 ? cut<2> : cut<3>;
        side.has_rest[c] = into(x, side.unit[c], planes, plane, nullptr);  // to store it is rarely worth the time
        if (side.has_rest[c]) into(x, side.unit[c], planes, plane, rest);
    }
}

/// All pairs of columns: totals over the block of each product of limbs, then of what these stand for.
inline void multiply_limbs(const Block& b, int limbs, Products& out) {
    const int64_t m = b.padded, plane = m * PITCH;
    for (int q = 0; q < limbs * (limbs + 1) / 2; ++q) {
        const int64_t *A = b.left.planes + q * plane, *B = b.right.planes + q * plane;
        int64_t* S = b.sums + q * m * m;
        for (int64_t j0 = 0; j0 < m; j0 += PANEL)
            for (int64_t i = j0; i < m; i += TILE)
                for (int64_t j = j0; j < j0 + PANEL && j <= i; j += TILE)
                    if (i == j)
                        tile<true>(A + i * PITCH, B + j * PITCH, S + i * m + j, m);
                    else
                        tile<false>(A + i * PITCH, B + j * PITCH, S + i * m + j, m);
    }
    for (int64_t i = 0; i < b.count; ++i)
        for (int64_t j = 0; j <= i; ++j) {
            uint64_t p[MOST_PLANES];  // unsigned: sums may wrap around, their differences do not
            for (int q = 0; q < limbs * (limbs + 1) / 2; ++q) p[q] = (uint64_t)b.sums[(q * m + i) * m + j];
            const Sum sum = sum_of(out, i, j);
            const int64_t at = (int64_t)b.left.unit[i] + b.right.unit[j];
            sum.add(at, (int64_t)p[0]);
            if (limbs == 2) {
                sum.add(at + BITS, (int64_t)(p[2] - p[0] - p[1]));
                sum.add(at + 2 * BITS, (int64_t)p[1]);
            } else if (limbs == 3) {
                sum.add(at + BITS, (int64_t)(p[3] - p[0] - p[1]));
                sum.add(at + 2 * BITS, (int64_t)(p[4] - p[0] - p[2] + p[1]));
                sum.add(at + 3 * BITS, (int64_t)(p[5] - p[1] - p[2]));
                sum.add(at + 4 * BITS, (int64_t)p[2]);
            }
        }
}

/// x_i z_j = (limbs of x_i) (limbs of z_j) + rest_i z_j + (limbs of x_i) rest_j.
inline void multiply_rests(const Block& b, Products& out) {
    for (int64_t c = 0; c < b.count; ++c) {
        if (b.left.has_rest[c])
            for (int64_t r = 0; r < ROWS; ++r) {
                const double rest = b.left.rest[c * PITCH + r];
                if (rest == 0) continue;
                for (int64_t j = 0; j <= c; ++j)
                    add_product(sum_of(out, c, j), parts_of(rest), parts_of(b.right.x[j * PITCH + r]));
            }
        if (b.right.has_rest[c])
            for (int64_t r = 0; r < ROWS; ++r) {
                const double rest = b.right.rest[c * PITCH + r];
                if (rest == 0) continue;
                for (int64_t i = c; i < b.count; ++i) {
                    const double x = b.left.x[i * PITCH + r], limbs = b.left.has_rest[i] ? x - b.left.rest[i * PITCH + r] : x;
                    add_product(sum_of(out, i, c), parts_of(limbs), parts_of(rest));
                }
            }
    }
}

inline void multiply_triples(const Block& b, Products& out) {
    for (int64_t r = 0; r < ROWS; ++r) {
        if (b.weight[r] == 0) continue;
        for (int64_t i = 0; i < b.count; ++i)
            for (int64_t j = 0; j <= i; ++j)
                add_product(sum_of(out, i, j), parts_of(b.weight[r]), parts_of(b.left.x[i * PITCH + r]),
                            parts_of(b.left.x[j * PITCH + r]));
    }
}

/// Weight times column as the sum of two doubles: right.x, rounded, and low_products.  False where that is not exact.
inline bool multiply_weights(const Block& b) {
    mask inexact = none();
    for (int64_t c = 0; c < b.count; ++c)
        for (int r = 0; r < ROWS; r += LANES) {
            const lanes x = load(b.left.x + c * PITCH + r), w = load(b.weight + r), z = x * w, size = absolute(z);
            store(b.right.x + c * PITCH + r, z);
            store(b.low_products + c * PITCH + r, fma(x, w, -z));
            const mask nothing = (x == all(0.0)) | (w == all(0.0));
            inexact = inexact | ((!nothing) & ((size > 0x1p960) | (size < 0x1p-900)));
        }
    return !any(inexact);
}

/// Both sides are in place: multiply them out.  ranges: of the columns on the left; spare (count): for the right.
inline void multiply_sides(Block& b, const Range* ranges, Range* spare, Products& out) {
    int limbs = limbs_for(ranges, b.count);
    if (b.weighted) {
        for (int64_t c = 0; c < b.count; ++c) spare[c] = range_of(b.right.x + c * PITCH);
        const int more = limbs_for(spare, b.count);
        limbs = more > limbs ? more : limbs;
        cut_side(b, b.right, spare, limbs);
    }
    cut_side(b, b.left, ranges, limbs);
    if (!b.weighted) b.right = b.left;
    multiply_limbs(b, limbs, out);
    multiply_rests(b, out);
}

/// Carries what a digit holds beyond 32 bits; the last digit in use keeps the sign.
inline void carry(Products& out) {
    for (int64_t k = out.first; k < out.last; ++k)
        for (int64_t pair = 0; pair < out.pairs; ++pair) {
            int64_t* d = out.digits + k * out.pairs + pair;
            d[out.pairs] += d[0] >> 32;
            d[0] &= 0xffffffff;
        }
}

/// Adds the cross-products of rows first .. last - 1 to out.digits.  Returns 0; -1 - c for a value that is not finite in
/// column c (count: in the weights); -2 - count - c for one that is no decimal of the places that scale[c] gives; 1 without
/// memory.
inline int64_t gram(const Columns& from, int64_t first, int64_t last, Products& out) {
    Block b{};
    b.count = from.count, b.padded = (from.count + TILE - 1) / TILE * TILE, b.weighted = from.weight != nullptr;
    const int64_t bytes = lay_out(b, nullptr) - (char*)nullptr;
    char* memory = static_cast<char*>(aligned_alloc(64, bytes));
    Range* ranges = static_cast<Range*>(malloc(2 * b.padded * sizeof(Range)));
    if (!memory || !ranges) return free(memory), free(ranges), 1;
    lay_out(b, memory);
    const Columns weight = {&from.weight, &from.weight_stride, 1, nullptr, 0, nullptr};
    int64_t code = 0;
    int since = 0;
    for (int64_t row = first; row < last && !code; row += ROWS) {
        const int64_t n = last - row < ROWS ? last - row : ROWS;
        fetch(from, row, n, b.left.x);
        for (int64_t c = 0; c < b.count && !code; ++c) {
            ranges[c] = range_of(b.left.x + c * PITCH);
            if (!ranges[c].finite) code = -1 - c;
            if (from.scale && from.scale[c] != 1 && !code) {
                if (!to_integers(b.left.x + c * PITCH, from.scale[c])) code = -2 - b.count - c;
                ranges[c] = range_of(b.left.x + c * PITCH);
            }
            if (ranges[c].lowest < out.lowest[c]) out.lowest[c] = ranges[c].lowest;
        }
        if (b.weighted && !code) {
            fetch(weight, row, n, b.weight);
            const Range range = range_of(b.weight);
            if (!range.finite) code = -1 - b.count;
            if (range.lowest < out.lowest[b.count]) out.lowest[b.count] = range.lowest;
        }
        if (code) break;
        if (!b.weighted) {
            multiply_sides(b, ranges, ranges + b.padded, out);
        } else if (multiply_weights(b)) {
            multiply_sides(b, ranges, ranges + b.padded, out);
            memcpy(b.right.x, b.low_products, b.count * PITCH * sizeof(double));
            multiply_sides(b, ranges, ranges + b.padded, out);
        } else {
            multiply_triples(b, out);
        }
        if (++since == 1 << 16) since = 0, carry(out);  // a digit holds 2^31 additions
    }
    if (!code) carry(out);
    free(memory), free(ranges);
    return code;
}

}  // namespace
