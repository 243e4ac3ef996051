// One evaluation of a generalized linear model over the rows of a table: exact sums, the row being the atom.
#pragma once
#include <initializer_list>
#include <type_traits>

#include "columns.hpp"
#include "glm_families.hpp"
#include "sums.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

static_assert(ROWS % BLOCK == 0, "blocks of rows are whole blocks of terms");

struct GlmData {
    Columns x;               // the p columns; no weight, no scale
    const double* centre;    // (p) subtracted from them
    const double* y;         // (rows)
    const double* n;         // (rows) trials of a binomial row, weight of any other; null for ones; rows of 0 are left out
    const double* offset;    // (rows); null for zeros
};
struct GlmQuery {
    int64_t family;          // see with_family
    const double* beta;      // (p)
    double aux;              // size of the negative binomial; 1
    int64_t information;     // 0: none, no score either; 1: expected; 2: observed
    int64_t size;            // whether derivatives in the logarithm of the size are wanted
};

/// Deviance and Pearson's chi^2; with information the score (p) and the lower triangle p (p + 1) / 2; with size c, d1, d2 of
/// AuxTerms and, with information, cross (p).
inline int64_t glm_values(int64_t p, const GlmQuery& q) {
    return 2 + (q.information ? p + p * (p + 1) / 2 : 0) + (q.size ? 3 + (q.information ? p : 0) : 0);
}

/// The numbers of a block of rows, each (ROWS).
struct GlmBlock {
    double *x, *y, *n, *deviance, *pearson, *score, *weight, *c, *d1, *d2, *cross, *weighted;
};
inline int64_t glm_lay_out(GlmBlock& b, int64_t p, char* memory) {
    char* at = memory;
    auto take = [&at](int64_t count) {
        double* start = reinterpret_cast<double*>(at);
        at += count * sizeof(double);
        return start;
    };
    b.x = take(p * PITCH);
    double** rows[] = {&b.y, &b.n, &b.deviance, &b.pearson, &b.score, &b.weight, &b.c, &b.d1, &b.d2, &b.cross, &b.weighted};
    for (double** row : rows) *row = take(PITCH);
    return at - memory;
}

/// Rows of the block, one after the other: x'beta in the order of the columns, each step one rounding.  Returns how many rows
/// have no finite value; they count as nothing.
template <class F> int64_t glm_rows(const GlmData& data, const GlmQuery& query, const GlmBlock& b, int64_t first, int64_t rows) {
    int64_t failed = 0;
    for (int64_t r = 0; r < ROWS; r += LANES) {
        alignas(64) double offset[LANES] = {};
        if (data.offset && r < rows) memcpy(offset, data.offset + first + r, (rows - r < LANES ? rows - r : LANES) * sizeof(double));
        lanes eta = load(offset);
        for (int64_t c = 0; c < data.x.count; ++c) eta = fma(load(b.x + c * PITCH + r), query.beta[c], eta);
        const lanes given = load(b.n + r);
        const mask live = given > 0.0;
        const lanes n = select(live, given, all(1.0)), y = select(live, load(b.y + r), all(1.0)), aux = all(query.aux);
        const Fitted f = fitted(F{}, eta, y, n, aux);
        lanes weight = query.information == 2 ? f.observed : f.weight;
        lanes pearson = select(f.weight > 0.0, f.score * f.score / f.weight, all(0.0));
        lanes check = (f.deviance + f.score + f.weight + f.observed) * 0.0;
        AuxTerms s = aux_terms(BinomialLogit{}, eta, y, n, aux);
        if constexpr (std::is_same_v<F, NegativeBinomialLog>) {
            s = aux_terms(F{}, eta, y, n, aux);
            check += (s.c + s.d1 + s.d2 + s.cross) * 0.0;
        }
        const mask good = check == all(0.0), keep = live & good;
        if (any(live & !good)) {
            alignas(64) double bad[LANES];
            store(bad, select(live & !good, all(1.0), all(0.0)));
            for (int j = 0; j < LANES; ++j) failed += bad[j] != 0;
        }
        const lanes zero = all(0.0);
        store(b.deviance + r, select(keep, f.deviance, zero));
        store(b.pearson + r, select(keep & (pearson == pearson), pearson, zero));
        store(b.score + r, select(keep, f.score, zero));
        store(b.weight + r, select(keep, weight, zero));
        if (query.size) {
            store(b.c + r, select(keep, s.c, zero));
            store(b.d1 + r, select(keep, s.d1, zero));
            store(b.d2 + r, select(keep, s.d2, zero));
            store(b.cross + r, select(keep, s.cross, zero));
        }
    }
    return failed;
}

INLINE bool add_column(int64_t*& digits, const double* v) {
    bool fits = true;
    for (int half = 0; half < ROWS; half += BLOCK) fits &= add_block(digits, v + half);
    digits += DIGITS;
    return fits;
}
inline bool add_product_of(int64_t*& digits, const double* u, const double* v) {
    bool fits = true;
    for (int half = 0; half < ROWS; half += BLOCK)
        fits &= add_terms(digits, [=](int j) { return load(u + half + j * LANES) * load(v + half + j * LANES); });
    digits += DIGITS;
    return fits;
}

/// Adds rows first .. last - 1 to sums (glm_values, DIGITS) and to failed (1): rows, or blocks of them, without finite terms.
/// 0: done; 1: out of memory; 2: overflow of a sum.
inline int64_t evaluate_glm(const GlmData& data, const GlmQuery& query, int64_t first, int64_t last, int64_t* sums, int64_t* failed) {
    const int64_t p = data.x.count, values = glm_values(p, query);
    GlmBlock b;
    const int64_t bytes = glm_lay_out(b, p, nullptr);
    char* memory = static_cast<char*>(aligned_alloc(64, (bytes + 63) / 64 * 64));
    if (!memory) return 1;
    glm_lay_out(b, p, memory);
    bool fits = true;
    int since = 0;
    for (int64_t row = first; row < last && fits; row += ROWS) {
        const int64_t rows = last - row < ROWS ? last - row : ROWS;
        fetch(data.x, row, rows, b.x);
        for (int64_t c = 0; c < p; ++c)
            if (data.centre[c] != 0)
                for (int64_t r = 0; r < ROWS; r += LANES) store(b.x + c * PITCH + r, load(b.x + c * PITCH + r) - data.centre[c]);
        memcpy(b.y, data.y + row, rows * sizeof(double));
        for (int64_t r = 0; r < ROWS; ++r) b.n[r] = r < rows ? (data.n ? data.n[row + r] : 1) : 0;
        with_family(query.family, [&](auto f) { *failed += glm_rows<decltype(f)>(data, query, b, row, rows); });
        int64_t* at = sums;
        bool whole = true;
        for (const double* column : {b.deviance, b.pearson}) whole &= add_column(at, column);
        if (query.information) {
            for (int64_t i = 0; i < p; ++i) whole &= add_product_of(at, b.score, b.x + i * PITCH);
            for (int64_t i = 0; i < p; ++i) {
                for (int64_t r = 0; r < ROWS; r += LANES) store(b.weighted + r, load(b.weight + r) * load(b.x + i * PITCH + r));
                for (int64_t j = 0; j <= i; ++j) whole &= add_product_of(at, b.weighted, b.x + j * PITCH);
            }
        }
        if (query.size) {
            for (const double* column : {b.c, b.d1, b.d2}) whole &= add_column(at, column);
            if (query.information)
                for (int64_t i = 0; i < p; ++i) whole &= add_product_of(at, b.cross, b.x + i * PITCH);
        }
        if (!whole) *failed += 1;
        if (++since == 1 << 20 || last - row <= ROWS) {  // a digit holds 2^31 additions
            since = 0;
            for (int64_t v = 0; v < values; ++v) fits &= normalise(sums + v * DIGITS);
        }
    }
    free(memory);
    return fits ? 0 : 2;
}

}  // namespace
