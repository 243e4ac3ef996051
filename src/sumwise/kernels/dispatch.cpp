// The C entry points, and the choice of the instruction-set level.
#include "table.hpp"

extern "C" {
extern const Table table_base;
#ifdef HAVE_v3
extern const Table table_v3, table_v4;
#endif
}

namespace {
int best_level() {
#ifdef HAVE_v3
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 1;
#endif
    return 0;
}
const Table* table_of(int level) {
#ifdef HAVE_v3
    if (level == 2) return &table_v4;
    if (level == 1) return &table_v3;
#endif
    (void)level;
    return &table_base;
}
int current = best_level();
const Table* table = table_of(current);
}  // namespace

#define API extern "C" __attribute__((visibility("default")))
/// Raised whenever a signature or a struct changes: library.py refuses a library of another number.
API int64_t sw_interface() { return 11; }
/// Highest level of this processor: 0 baseline, 1 AVX2 + FMA, 2 AVX-512.
API int64_t sw_best_level() { return best_level(); }
API int64_t sw_level() { return current; }
API int64_t sw_set_level(int64_t level) {
    if (level < 0 || level > best_level()) return 1;
    current = (int)level;
    table = table_of(current);
    return 0;
}
API int64_t sw_sum_add(int64_t* digits, const double* x, int64_t sums, int64_t terms, int64_t sum_stride, int64_t term_stride) {
    return table->add(digits, x, sums, terms, sum_stride, term_stride);
}
API int64_t sw_sum_merge(int64_t* digits, const int64_t* other, int64_t sums) { return table->merge(digits, other, sums); }
API int64_t sw_sum_round(const int64_t* digits, double* out, int64_t sums) { return table->round(digits, out, sums); }
API void sw_exp(const double* x, double* out, int64_t n) { table->exp(x, out, n); }
API void sw_log(const double* x, double* out, int64_t n) { table->log(x, out, n); }
API int64_t sw_aghq(const void* data, const void* query, int64_t first, int64_t last, const void* answer) {
    return table->aghq(data, query, first, last, answer);
}
API int64_t sw_vectors(const void* data, const void* query, int64_t first, int64_t last, const void* answer) {
    return table->vectors(data, query, first, last, answer);
}
API int64_t sw_gram(const void* columns, int64_t first, int64_t last, void* products) {
    return table->gram(columns, first, last, products);
}
API int64_t sw_decimals_hold(const void* columns, int64_t first, int64_t last, int64_t* holds) {
    return table->decimals_hold(columns, first, last, holds);
}
API void sw_combine(const void* columns, const double* high, const double* low, int64_t answers, int64_t first, int64_t last,
                    double* out, int64_t out_pitch) {
    table->combine(columns, high, low, answers, first, last, out, out_pitch);
}
API int64_t sw_group_add(const void* factors, const int64_t* code, int64_t rows, int64_t low, int64_t* digits) {
    return table->group_add(factors, code, rows, low, digits);
}
API void sw_group_round(int64_t* digits, int64_t groups, int64_t low, double* high, double* low_part) {
    table->group_round(digits, groups, low, high, low_part);
}
API int64_t sw_lmm_squeeze(const void* groups, int64_t first, int64_t last, const void* sums) {
    return table->lmm_squeeze(groups, first, last, sums);
}
API int64_t sw_lmm_shrink(const void* groups, const void* points, int64_t first, int64_t last, const void* sums) {
    return table->lmm_shrink(groups, points, first, last, sums);
}
API void sw_link(int64_t family, const double* eta, const double* y, const double* n, const double* aux, int64_t count,
                 double* out) {
    table->link(family, eta, y, n, aux, count, out);
}
API int64_t sw_glm(const void* data, const void* query, int64_t first, int64_t last, int64_t* sums, int64_t* failed) {
    return table->glm(data, query, first, last, sums, failed);
}
API void sw_fitted(int64_t family, const double* eta, const double* y, const double* n, const double* aux, int64_t count,
                   double* out) {
    table->fitted(family, eta, y, n, aux, count, out);
}
API int64_t sw_components(const void* schur, int64_t first, int64_t last) { return table->components(schur, first, last); }
API void* sw_workspace_new() { return table->workspace_new(); }
API void sw_workspace_free(void* space) { table->workspace_free(space); }
API int64_t sw_workspace_take(void* space, int64_t scalars, int64_t pitch, int64_t inverse) {
    return table->workspace_take(space, scalars, pitch, inverse);
}
API int64_t sw_schur_work(const void* schur, int64_t component, void* space) {
    return table->schur_work(schur, component, space);
}
API void sw_schur_answer(const void* schur, int64_t component, const void* space) {
    table->schur_answer(schur, component, space);
}
API int64_t sw_apply_inverse(const void* space, int64_t scalars, const double* x, int64_t pitch, int64_t piece, int64_t pieces,
                             double* out) {
    return table->apply(space, scalars, x, pitch, piece, pieces, out);
}
API void sw_subtract_by_row(const int64_t* start, const int64_t* column, const double* A, int64_t q, const double* x,
                            int64_t pitch, int64_t rows, double* out) {
    table->subtract_by_row(start, column, A, q, x, pitch, rows, out);
}
API void sw_subtract_by_scalar(const int64_t* start, const int64_t* entry, const int64_t* block, const double* A, int64_t q,
                               const double* x, int64_t pitch, int64_t scalars, double* out) {
    table->subtract_by_scalar(start, entry, block, A, q, x, pitch, scalars, out);
}
API void sw_products_by_block(const int64_t* start, const double* A, const double* B, int64_t q, int64_t blocks, double* out) {
    table->products_by_block(start, A, B, q, blocks, out);
}
