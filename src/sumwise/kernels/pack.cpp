// Moves rows into the layout of bundle.hpp: eight doubles to a vector, one lane to a group or to a row.
#include <cstdint>

#define API extern "C" __attribute__((visibility("default")))

/// slot[i] = place of row i.  next (groups): place of the group's next row, advanced by step (groups) at each row.
API void sw_slots(const int64_t* code, int64_t rows, int64_t* next, const int64_t* step, int64_t* slot) {
    for (int64_t i = 0; i < rows; ++i) {
        slot[i] = next[code[i]];
        next[code[i]] += step[code[i]];
    }
}

/// out[vector, column, lane] = x - centre for the `columns` wide array out (vectors, columns, 8).
API void sw_spread(const double* x, int64_t rows, const int64_t* slot, double centre, double* out, int64_t column, int64_t columns) {
    for (int64_t i = 0; i < rows; ++i) out[((slot[i] >> 3) * columns + column) * 8 + (slot[i] & 7)] = x[i] - centre;
}
