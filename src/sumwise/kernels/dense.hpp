// Scratch memory, and small dense products whose sums run in one fixed order.
#pragma once
#include <cstdlib>

#include "simd.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Arena {                     // scratch space of one thread; grows, never shrinks
    lanes* base = nullptr;
    int64_t size = 0, used = 0;
    ~Arena() { free(base); }
    bool reserve(int64_t n) {
        used = 0;
        if (n <= size) return true;
        free(base);
        base = static_cast<lanes*>(aligned_alloc(64, n * sizeof(lanes)));
        size = base ? n : 0;
        return base != nullptr;
    }
    lanes* take(int64_t n) { lanes* r = base + used; used += n; return r; }
};

template <int C, int R, bool ADD>
INLINE void product_tile(lanes* out, int64_t stride, const lanes* X, int64_t p, const lanes* V, int64_t r, int rows) {
    lanes acc[C][R];
    for (int c = 0; c < C; ++c) for (int k = 0; k < R; ++k) acc[c][k] = ADD ? out[c * stride + k] : all(0.0);
    for (int i = 0; i < rows; ++i)
        for (int c = 0; c < C; ++c) for (int k = 0; k < R; ++k) acc[c][k] = fma(X[i * p + c], V[i * r + k], acc[c][k]);
    for (int c = 0; c < C; ++c) for (int k = 0; k < R; ++k) out[c * stride + k] = acc[c][k];
}
#if defined(__AVX512F__)
constexpr int TILE_C = 4, TILE_R = 5;
#elif defined(__AVX__)
constexpr int TILE_C = 2, TILE_R = 2;
#else
constexpr int TILE_C = 1, TILE_R = 2;
#endif
/// All columns of V up to k_end against C columns of X, in tiles as wide as they come.
template <int C, bool ADD>
INLINE void product_rows(lanes* out, int64_t stride, const lanes* X, int64_t p, const lanes* V, int64_t r, int rows,
                         int64_t k_end) {
    int64_t k = 0;
    for (; k + TILE_R <= k_end; k += TILE_R) product_tile<C, TILE_R, ADD>(out + k, stride, X, p, V + k, r, rows);
    switch (k_end - k) {
        case 4: return product_tile<C, 4, ADD>(out + k, stride, X, p, V + k, r, rows);
        case 3: return product_tile<C, 3, ADD>(out + k, stride, X, p, V + k, r, rows);
        case 2: return product_tile<C, 2, ADD>(out + k, stride, X, p, V + k, r, rows);
        case 1: return product_tile<C, 1, ADD>(out + k, stride, X, p, V + k, r, rows);
    }
}
/// out (p, stride) = X' V, or += with ADD, for `rows` row-vectors X (rows, p) and the first `count` columns of V (rows, r);
/// every element sums its rows in order.  `lower`: V has p columns, and of out[c][k] only k <= c is wanted; some of the
/// others are written too.
template <bool ADD>
inline void OUTSIDE product(lanes* out, int64_t stride, const lanes* X, int64_t p, const lanes* V, int64_t r, int rows,
                            int64_t count, bool lower = false) {
    int64_t c = 0;
    for (; c + TILE_C <= p; c += TILE_C)
        product_rows<TILE_C, ADD>(out + c * stride, stride, X + c, p, V, r, rows, lower ? c + TILE_C : count);
    switch (p - c) {
        case 3: return product_rows<3, ADD>(out + c * stride, stride, X + c, p, V, r, rows, count);
        case 2: return product_rows<2, ADD>(out + c * stride, stride, X + c, p, V, r, rows, count);
        case 1: return product_rows<1, ADD>(out + c * stride, stride, X + c, p, V, r, rows, count);
    }
}

}  // namespace
