// Small dense systems in a fixed order of operations, each rounded once: BLAS and LAPACK order their sums by processor.
// Matrices are (rows, columns) in C order.

#include <cmath>
#include <cstdint>

#define API extern "C" __attribute__((visibility("default")))

/// Columns of the Cholesky factor L of M (n, n), of which the lower triangle is read and overwritten.  Returns how many there
/// are before a pivot is not above `least`; a nan is not.
API int64_t sw_eliminate(double* M, int64_t n, double least, double* L) {
    for (int64_t k = 0; k < n; ++k) {
        const double pivot = M[k * n + k];
        if (!(pivot > least)) return k;
        const double root = std::sqrt(pivot);
        L[k * n + k] = root;
        for (int64_t i = k + 1; i < n; ++i) L[i * n + k] = M[i * n + k] / root;
        for (int64_t i = k + 1; i < n; ++i) {
            const double a = L[i * n + k];
            for (int64_t j = k + 1; j <= i; ++j) M[i * n + j] -= a * L[j * n + k];
        }
    }
    return n;
}

/// x (n, columns) becomes L^-1 x, or with `back` L^-T x.
API void sw_solve_lower(const double* L, int64_t n, double* x, int64_t columns, int64_t back) {
    for (int64_t step = 0; step < n; ++step) {
        const int64_t k = back ? n - 1 - step : step;
        double* own = x + k * columns;
        for (int64_t c = 0; c < columns; ++c) own[c] = own[c] / L[k * n + k];
        for (int64_t i = back ? 0 : k + 1; i < (back ? k : n); ++i) {
            const double a = back ? L[k * n + i] : L[i * n + k];
            for (int64_t c = 0; c < columns; ++c) x[i * columns + c] -= a * own[c];
        }
    }
}

/// out (rows, columns) = A (rows, inner) B (inner, columns), the products added in order.
API void sw_times(const double* A, const double* B, int64_t rows, int64_t inner, int64_t columns, double* out) {
    for (int64_t i = 0; i < rows; ++i) {
        double* own = out + i * columns;
        for (int64_t c = 0; c < columns; ++c) own[c] = 0.0;
        for (int64_t k = 0; k < inner; ++k) {
            const double a = A[i * inner + k];
            for (int64_t c = 0; c < columns; ++c) own[c] += a * B[k * columns + c];
        }
    }
}
