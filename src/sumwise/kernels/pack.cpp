// Moves rows into the layout of bundle.hpp: eight doubles to a vector, one lane to a group or to a row.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#define API extern "C" __attribute__((visibility("default")))

namespace {

struct Row {
    uint64_t key;
    int64_t place;
};

/// Rows in an order that depends on their numbers alone: by key, and where keys are alike by the numbers themselves.
struct Before {
    const double* const* columns;
    int64_t count;

    bool operator()(const Row& a, const Row& b) const {
        if (a.key != b.key) return a.key < b.key;
        for (int64_t c = 0; c < count; ++c) {
            const double x = columns[c][a.place], y = columns[c][b.place];
            if (x != y) return x < y;
        }
        return false;
    }
};

}  // namespace

/// key[i] takes in x[i]: a mixing of 64 bits (the finaliser of SplitMix64 [Steele, Lea & Flood 2014]) of the fraction
/// alone, so that a column in other units, by a power of two, leaves the rows in the same order.
API void sw_keys(const double* x, int64_t rows, uint64_t* key) {
    for (int64_t i = 0; i < rows; ++i) {
        uint64_t bits;
        std::memcpy(&bits, &x[i], sizeof bits);
        bits = (bits & 0xfffffffffffffu) ^ (key[i] + 0x9e3779b97f4a7c15u);
        bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
        bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
        key[i] = bits ^ (bits >> 31);
    }
}

/// slot[i] = place of row i.  place, step (groups): of a group's first row, and between its rows, which stand in the
/// order of their keys (rows), then of the numbers in `columns` (count arrays of rows).   1 if there is no memory.
API int64_t sw_slots(const int64_t* code, int64_t rows, int64_t groups, const int64_t* place, const int64_t* step,
                     const uint64_t* key, const double* const* columns, int64_t count, int64_t* slot) {
    const std::unique_ptr<int64_t[]> end(new (std::nothrow) int64_t[groups + 1]());
    const std::unique_ptr<Row[]> sorted(new (std::nothrow) Row[rows + 1]);
    if (!end || !sorted) return 1;
    for (int64_t i = 0; i < rows; ++i) ++end[code[i]];
    for (int64_t g = 0, sum = 0; g < groups; ++g) {
        const int64_t size = end[g];
        end[g] = sum;
        sum += size;
    }
    for (int64_t i = 0; i < rows; ++i) sorted[end[code[i]]++] = {key[i], i};
    const Before before{columns, count};
    for (int64_t g = 0, first = 0; g < groups; first = end[g], ++g) {
        std::sort(&sorted[first], &sorted[end[g]], before);
        for (int64_t i = first, at = place[g]; i < end[g]; ++i, at += step[g]) slot[sorted[i].place] = at;
    }
    return 0;
}

/// out[vector, column, lane] = x - centre for the `columns` wide array out (vectors, columns, 8).
API void sw_spread(const double* x, int64_t rows, const int64_t* slot, double centre, double* out, int64_t column, int64_t columns) {
    for (int64_t i = 0; i < rows; ++i) out[((slot[i] >> 3) * columns + column) * 8 + (slot[i] & 7)] = x[i] - centre;
}
