// One evaluation over packed groups: exact sums of log-likelihood, gradient and Hessian.
#pragma once
#include "derivatives.hpp"
#include "sums.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Answer {
    int64_t* sums;          // (values, DIGITS): L, gradient (p+1), lower triangle of the Hessian, sum of measured errors
    int64_t* used;          // (rules) groups that took each rule
    int64_t* failed;        // (1) groups whose value or derivatives are not finite: they are left out of the sums
    double* mode;           // (groups) u^ , or null
    double* scale;          // (groups) s  , or null
};

constexpr int STRIDE = BLOCK + LANES;  // rows of a power of two would all fall into the same few cache sets

/// Sets the values of lanes that hold a nan or an infinity to zero; these lanes of the result are nan, the others 0.
inline lanes drop_not_finite(lanes* out, int64_t values) {
    lanes check = all(0.0);
    for (int64_t v = 0; v < values; ++v) check += out[v] * 0.0;
    if (any(check != all(0.0)))
        for (int64_t v = 0; v < values; ++v)
            for (int lane = 0; lane < LANES; ++lane)
                if (check[lane] != 0) out[v][lane] = 0;
    return check;
}

/// Adds the bundles [first, last) to the answer.  0: done; 1: out of memory; 2: overflow of a sum.
inline int64_t evaluate(const Packed& data, const Query& query, int64_t first, int64_t last, const Answer& answer) {
    const int64_t values = value_count(data.p);
    int64_t most = 0, rows = 0;
    for (int64_t r = 0; r < query.rules; ++r) most = query.order[r] > most ? query.order[r] : most;
    for (int64_t b = first; b < last; ++b) {
        int64_t n = data.start[b + 1] - data.start[b];
        rows = n > rows ? n : rows;
    }
    Arena arena;
    const int64_t need = scratch(data.p, rows, most), held = values * (STRIDE / LANES + 1);
    if (!arena.reserve(need + held)) return 1;
    lanes* out = arena.take(values);
    double* block = reinterpret_cast<double*>(arena.take(values * (STRIDE / LANES)));  // (values, STRIDE)
    const int64_t mark = arena.used;
    int filled = 0;
    lanes mode, scale, rule;
    auto flush = [&]() {
        for (int64_t v = 0; v < values; ++v) {
            for (int j = filled; j < BLOCK; ++j) block[v * STRIDE + j] = 0;
            add_block(answer.sums + v * DIGITS, block + v * STRIDE);  // all terms are finite
        }
        filled = 0;
    };
    auto run = [&](auto bundle) {
        arena.used = mark;
        Derivatives group(bundle, arena, most);
        group.evaluate(out);
        mode = group.u, scale = group.s, rule = group.nodes.rule;
    };
    for (int64_t b = first; b < last; ++b) {
        if (data.members[b]) run(Bundle<false>(data, query, b));
        else run(Bundle<true>(data, query, b));
        const int members = data.members[b] ? (int)data.members[b] : 1;
        const lanes failed = drop_not_finite(out, values);
        if (filled + members > BLOCK) flush();
        for (int64_t v = 0; v < values; ++v) {
            double* place = block + v * STRIDE + filled;
            if (members == LANES) store(place, out[v]);
            else for (int lane = 0; lane < members; ++lane) place[lane] = out[v][lane];
        }
        filled += members;
        for (int lane = 0; lane < members; ++lane) {
            const int64_t group = data.group[b * LANES + lane];
            if (failed[lane] != 0) *answer.failed += 1;
            else answer.used[(int64_t)rule[lane]] += 1;
            if (answer.mode) answer.mode[group] = mode[lane], answer.scale[group] = scale[lane];
        }
    }
    flush();
    for (int64_t v = 0; v < values; ++v)
        if (!normalise(answer.sums + v * DIGITS)) return 2;
    return 0;
}

}  // namespace
