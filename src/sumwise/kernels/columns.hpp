// Columns of the caller's table, wherever they lie: fetched block by block, read as decimals, combined row by row.
#pragma once
#include <cstdlib>

#include "limbs.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Columns {
    const char* const* start;        // (count) address of row 0
    const int64_t* stride;           // (count) bytes from row to row
    int64_t count;
    const char* weight;              // null without weights
    int64_t weight_stride;
    const double* scale;             // (count) power of ten: column c stands for the integers x scale[c]; null for none
};

/// The columns of a block; rows beyond the last are zero.
inline void fetch(const Columns& from, int64_t first, int64_t n, double* x) {
    for (int64_t c = 0; c < from.count; ++c)
        if (from.stride[c] == 8) memcpy(x + c * PITCH, from.start[c] + first * 8, n * 8);
    for (int64_t r0 = 0; r0 < n; r0 += LANES) {  // a table that lies row by row is read eight rows at a time
        const int64_t r1 = r0 + LANES < n ? r0 + LANES : n;
        for (int64_t c = 0; c < from.count; ++c) {
            if (from.stride[c] == 8) continue;
            const char* p = from.start[c] + (first + r0) * from.stride[c];
            for (int64_t r = r0; r < r1; ++r, p += from.stride[c]) memcpy(x + c * PITCH + r, p, 8);
        }
    }
    for (int64_t c = 0; c < from.count; ++c) memset(x + c * PITCH + n, 0, (ROWS - n) * 8);
}

/// x becomes the integers that decimals of so many places stand for: m with m / scale = x in float64, below 10^15, where
/// there is one at most.  False, with x lost, if a number is no such decimal.
inline bool to_integers(double* x, double scale) {
    mask bad = none();
    for (int r = 0; r < ROWS; r += LANES) {
        const lanes v = load(x + r), m = (v * scale + ROUND_TO_INTEGER) - ROUND_TO_INTEGER;
        bad = bad | !(m / all(scale) == v) | !(absolute(m) < 1e15);
        store(x + r, m);
    }
    return !any(bad);
}

/// holds[c] is cleared if a number of column c in rows first .. last - 1 is no decimal of the places that scale[c] gives.
inline int64_t decimals_hold(const Columns& from, int64_t first, int64_t last, int64_t* holds) {
    double* x = static_cast<double*>(aligned_alloc(64, from.count * PITCH * sizeof(double)));
    if (!x) return 1;
    for (int64_t row = first; row < last; row += ROWS) {
        fetch(from, row, last - row < ROWS ? last - row : ROWS, x);
        for (int64_t c = 0; c < from.count; ++c)
            if (holds[c] && !to_integers(x + c * PITCH, from.scale[c])) holds[c] = 0;
    }
    free(x);
    return 0;
}

/// out[q, r] = sum_j x_rj (high + low)_jq in twice the precision, rounded once; high, low (count, answers).
inline void combine(const Columns& from, const double* high, const double* low, int64_t answers, int64_t first,
                    int64_t last, double* out, int64_t out_pitch) {
    for (int64_t row = first; row < last; row += LANES) {
        const int64_t n = last - row < LANES ? last - row : LANES;
        for (int64_t q = 0; q < answers; ++q) {
            lanes sum = all(0.0), error = all(0.0);
            for (int64_t c = 0; c < from.count; ++c) {
                alignas(64) double x[LANES] = {};
                for (int64_t r = 0; r < n; ++r) memcpy(x + r, from.start[c] + (row + r) * from.stride[c], 8);
                const lanes v = load(x), h = all(high[c * answers + q]), product = v * h;
                const lanes s = sum + product, back = s - sum;                 // two-sum [Knuth 1969]
                error += ((sum - (s - back)) + (product - back)) + fma(v, low[c * answers + q], fma(v, h, -product));
                sum = s;
            }
            alignas(64) double y[LANES];
            store(y, sum + error);
            memcpy(out + q * out_pitch + row, y, n * 8);
        }
    }
}

}  // namespace
