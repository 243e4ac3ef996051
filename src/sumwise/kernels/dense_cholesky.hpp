// Cholesky factor, inverse and solutions of one dense symmetric matrix, by square tiles.
//
// S = U'U with U upper triangular.  V = U^-T, then S^-1 = V'V.  Every element of U, V and of the solutions is one chain of
// fused multiply-adds over k = 0, 1, ..., so neither the size of the tiles nor the threads that share them change a bit.
//
// Tiles are tasks, numbered so that a tile needs none of a higher number.  Threads draw numbers from one counter and wait
// for the tiles that theirs needs: whoever comes late, or never, changes nothing but the time.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>

#include "simd.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int SIDE = 72;  // measured: 38 GFlop/s of 44 at 72, 34 at 48, 31 at 24
constexpr int TILE_NUMBERS = SIDE * SIDE;
#if defined(__AVX512F__)
constexpr int ROWS_AT_ONCE = 12, ROWS_LEFT = 4;
#elif defined(__AVX__)
constexpr int ROWS_AT_ONCE = 6, ROWS_LEFT = 2;
#else
constexpr int ROWS_AT_ONCE = 2, ROWS_LEFT = 2;
#endif

/// The number at p in every lane; said so that compilers load it once for each register, without shuffles.
INLINE lanes spread(const double* p) {
#if defined(__AVX512F__)
    return {{(part)_mm512_set1_pd(*p)}};
#elif defined(__AVX__)
    const part x = (part)_mm256_broadcast_sd(p);
    return {{x, x}};
#else
    return all(*p);
#endif
}

/// c + a b, or c - a b with MINUS, with one rounding.
template <bool MINUS> INLINE lanes fma_or_less(lanes a, lanes b, lanes c) {
#if defined(__AVX512F__)
    if (MINUS) {
        lanes r;
        EACH_PART r.v[i] = (part)_mm512_fnmadd_pd((__m512d)a.v[i], (__m512d)b.v[i], (__m512d)c.v[i]);
        return r;
    }
#elif defined(__FMA__)
    if (MINUS) {
        lanes r;
        EACH_PART r.v[i] = (part)_mm256_fnmadd_pd((__m256d)a.v[i], (__m256d)b.v[i], (__m256d)c.v[i]);
        return r;
    }
#endif
    return fma(a, MINUS ? -b : b, c);
}

/// X[i, j] += or -= sum_k A[k, i] B[k, j] for R rows i and eight columns j.  A has rows of SIDE numbers.
template <int R, bool MINUS>
INLINE void update_rows(double* X, int64_t x_pitch, const double* A, const double* B, int64_t b_pitch, int depth) {
    lanes acc[R];
    for (int r = 0; r < R; ++r) acc[r] = load(X + r * x_pitch);
    for (int k = 0; k < depth; ++k) {
        const lanes b = load(B + k * b_pitch);
        for (int r = 0; r < R; ++r) acc[r] = fma_or_less<MINUS>(spread(A + k * SIDE + r), b, acc[r]);
    }
    for (int r = 0; r < R; ++r) store(X + r * x_pitch, acc[r]);
}

/// The same for `rows` rows and `columns` columns: multiples of four and of eight.
template <bool MINUS>
inline void update(double* X, int64_t x_pitch, const double* A, const double* B, int64_t b_pitch, int depth, int rows,
                   int64_t columns) {
    for (int64_t j = 0; j < columns; j += LANES) {
        int i = 0;
        for (; i + ROWS_AT_ONCE <= rows; i += ROWS_AT_ONCE)
            update_rows<ROWS_AT_ONCE, MINUS>(X + i * x_pitch + j, x_pitch, A + i, B + j, b_pitch, depth);
        for (; i < rows; i += ROWS_LEFT)
            update_rows<ROWS_LEFT, MINUS>(X + i * x_pitch + j, x_pitch, A + i, B + j, b_pitch, depth);
    }
}

constexpr int STEP = 4;  // rows of a tile that are solved together

/// Four rows of U'X = X against the rows of U from `row`, after all rows before them have been taken off.
INLINE void solve_rows(double* X, int64_t pitch, const double* U, const double* inverse, int row) {
    lanes x[STEP];
    for (int r = 0; r < STEP; ++r) {
        x[r] = load(X + (row + r) * pitch);
        for (int s = 0; s < r; ++s) x[r] = fma(all(U[(row + s) * SIDE + row + r]), -x[s], x[r]);
        x[r] = x[r] * all(inverse[row + r]);
        store(X + (row + r) * pitch, x[r]);
    }
}

/// X = U^-T X for the upper triangle U of a diagonal tile; inverse: of its diagonal.
inline void solve(double* X, int64_t pitch, const double* U, const double* inverse, int rows, int64_t columns) {
    for (int row = 0; row < rows; row += STEP) {
        for (int64_t j = 0; j < columns; j += LANES) {
            update_rows<STEP, true>(X + row * pitch + j, pitch, U + row, X + j, pitch, row);
            solve_rows(X + j, pitch, U, inverse, row);
        }
    }
}

/// U, in place of S, for a diagonal tile, whose numbers left of the diagonal are nobody's; pivot: squares of U's diagonal;
/// inverse: of U's diagonal.  After a pivot that is not positive all is nan.
inline void factorise(double* S, double* pivot, double* inverse, int rows) {
    for (int row = 0; row < rows; row += STEP) {
        const int first = row / LANES * LANES;
        update<true>(S + row * SIDE + first, SIDE, S + row, S + first, SIDE, row, STEP, rows - first);
        for (int c = row; c < rows; ++c)
            for (int r = row; r < row + STEP && r <= c; ++r) {
                double x = S[r * SIDE + c];
                for (int s = row; s < r; ++s) x = __builtin_fma(S[s * SIDE + r], -S[s * SIDE + c], x);
                if (r == c) {
                    pivot[r] = x;
                    inverse[r] = 1 / __builtin_sqrt(x > 0 ? x : __builtin_nan(""));
                }
                S[r * SIDE + c] = x * inverse[r];
            }
    }
}

/// One system.  S (tiles, tiles) of TILE_NUMBERS numbers each, upper triangle wanted: becomes U, then S^-1, both triangles.
/// y (order, pitch): right-hand sides, become V y; u (order, pitch): S^-1 y.  pivot, inverse (order).
/// order: rows, a multiple of eight, rows added to make it one are those of the unit matrix.  V, u: null for U and V y alone.
struct Dense {
    int64_t order, pitch;
    double *S, *V, *y, *u, *pivot, *inverse;

    int64_t tiles() const { return (order + SIDE - 1) / SIDE; }
    int rows(int64_t i) const { return (int)(order - i * SIDE < SIDE ? order - i * SIDE : SIDE); }
    double* of_S(int64_t i, int64_t j) const { return S + (i * tiles() + j) * TILE_NUMBERS; }
    double* of_V(int64_t i, int64_t j) const { return V + (i * tiles() + j) * TILE_NUMBERS; }
};

/// Which tasks are done; shared by the threads that work on one system.
struct Progress {
    std::atomic<int64_t> next{0};                // task
    std::atomic<int64_t> finished[3] = {0, 0, 0};  // tasks of each phase
    std::atomic<uint8_t>* done = nullptr;        // (tiles, 2 tiles + 2): tiles of U, of y, of V; rows of S that are there

    template <typename Ready> static void wait(Ready ready) {
        for (int spins = 0; !ready(); ++spins)
            if (spins > 200) std::this_thread::yield();
    }
    void wait_for(const std::atomic<uint8_t>& task) const {
        wait([&] { return task.load(std::memory_order_acquire) != 0; });
    }
};

/// Task `column` of tile row i: 0 .. tiles - 1 a tile of U, `tiles` the rows of y, from tiles + 1 a tile of V.
inline void eliminate_tile(const Dense& d, const Progress& progress, int64_t i, int64_t column) {
    const int64_t tiles = d.tiles(), flags = 2 * tiles + 2;
    const bool of_y = column == tiles, of_V = column > tiles;
    const int64_t j = of_V ? column - tiles - 1 : column;
    const int rows = d.rows(i);
    const int64_t pitch = of_y ? d.pitch : SIDE, columns = of_y ? d.pitch : d.rows(j);
    auto tile = [&](int64_t k) { return of_y ? d.y + k * SIDE * d.pitch : of_V ? d.of_V(k, j) : d.of_S(k, j); };
    double* X = tile(i);
    if (of_V)
        for (int r = 0; r < rows; ++r)
            for (int64_t c = 0; c < columns; ++c) X[r * SIDE + c] = i == j && r == c;
    for (int64_t k = of_V ? j : 0; k < i; ++k) {
        progress.wait_for(progress.done[k * flags + i]);
        progress.wait_for(progress.done[k * flags + column]);
        update<true>(X, pitch, d.of_S(k, i), tile(k), pitch, d.rows(k), rows, columns);
    }
    if (column == i) return factorise(X, d.pivot + i * SIDE, d.inverse + i * SIDE, rows);
    progress.wait_for(progress.done[i * flags + i]);
    solve(X, pitch, d.of_S(i, i), d.inverse + i * SIDE, rows, columns);
}

/// Tiles (i, j) and (j, i) of S^-1, i <= j, when all of V is there; j == tiles: rows i of S^-1 y.
inline void multiply_tile(const Dense& d, int64_t i, int64_t j) {
    const int64_t tiles = d.tiles();
    const bool of_u = j == tiles;
    double* X = of_u ? d.u + i * SIDE * d.pitch : d.of_S(i, j);
    const int64_t pitch = of_u ? d.pitch : SIDE, columns = of_u ? d.pitch : d.rows(j);
    const int rows = d.rows(i);
    for (int r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c) X[r * pitch + c] = 0;
    for (int64_t k = of_u ? i : j; k < tiles; ++k)
        update<false>(X, pitch, d.of_V(k, i), of_u ? d.y + k * SIDE * d.pitch : d.of_V(k, j), pitch, d.rows(k), rows, columns);
    if (of_u || i == j) return;
    double* mirror = d.of_S(j, i);
    for (int64_t c = 0; c < columns; ++c)
        for (int r = 0; r < rows; ++r) mirror[c * SIDE + r] = X[r * SIDE + c];
}

}  // namespace
