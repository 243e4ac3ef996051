// One evaluation over packed groups with vectors of random effects: exact sums of L, gradient and information.
#pragma once
#include "aghq.hpp"
#include "effects_derivatives.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct VectorAnswer {
    int64_t* sums;          // (values, DIGITS): L, gradient, lower triangle of the information, sum of measured errors
    int64_t* used;          // (rules) groups that took each rule
    int64_t* failed;        // (1) groups whose value or derivatives are not finite: they are left out of the sums
    double* mode;           // (groups, q) u^, or null: then nothing else is computed
    double* covariance;     // (groups, q, q) H^-1
};

template <int Q> inline void put_modes(const Effects<Q>& g, const int64_t* group, int members, const VectorAnswer& answer) {
    for (int lane = 0; lane < members; ++lane)
        for (int a = 0; a < Q; ++a) {
            answer.mode[group[lane] * Q + a] = g.u[a][lane];
            for (int b = 0; b < Q; ++b) {
                double sum = 0;
                for (int d = 0; d <= (a < b ? a : b); ++d) sum += g.S[a][d][lane] * g.S[b][d][lane];
                answer.covariance[(group[lane] * Q + a) * Q + b] = sum;
            }
        }
}

/// Adds the bundles [first, last) to the answer.  0: done; 1: out of memory; 2: overflow of a sum.
template <int Q>
inline int64_t evaluate_effects(const VectorData& data, const VectorQuery& query, int64_t first, int64_t last,
                                const VectorAnswer& answer) {
    const int64_t values = vector_values(data, query);
    int64_t most = query.own_count, rows = 0;
    for (int64_t r = 0; r < query.rules; ++r) most = query.count[r] > most ? query.count[r] : most;
    for (int64_t b = first; b < last; ++b) {
        const int64_t n = data.start[b + 1] - data.start[b];
        rows = n > rows ? n : rows;
    }
    Arena arena;
    if (!arena.reserve(vector_scratch(data, query, rows, most) + values * (STRIDE / LANES + 1))) return 1;
    lanes* out = arena.take(values);
    double* block = reinterpret_cast<double*>(arena.take(values * (STRIDE / LANES)));  // (values, STRIDE)
    const int64_t mark = arena.used;
    int filled = 0;
    auto flush = [&]() {
        for (int64_t v = 0; v < values; ++v) {
            for (int j = filled; j < BLOCK; ++j) block[v * STRIDE + j] = 0;
            add_block(answer.sums + v * DIGITS, block + v * STRIDE);  // all terms are finite
        }
        filled = 0;
    };
    for (int64_t b = first; b < last; ++b) {
        arena.used = mark;
        const int members = data.members[b] ? (int)data.members[b] : 1;
        const Effects<Q> effects(data, query, FAMILIES[data.family], b, arena);
        if (answer.mode) {
            put_modes(effects, data.group + b * LANES, members, answer);
            continue;
        }
        const lanes rule = VectorDerivatives<Q>(effects, arena).evaluate(out, most);
        const lanes failed = drop_not_finite(out, values);
        if (filled + members > BLOCK) flush();
        for (int64_t v = 0; v < values; ++v)
            for (int lane = 0; lane < members; ++lane) block[v * STRIDE + filled + lane] = out[v][lane];
        filled += members;
        for (int lane = 0; lane < members; ++lane) {
            if (failed[lane] != 0) *answer.failed += 1;
            else answer.used[(int64_t)rule[lane]] += 1;
        }
    }
    if (answer.mode) return 0;
    flush();
    for (int64_t v = 0; v < values; ++v)
        if (!normalise(answer.sums + v * DIGITS)) return 2;
    return 0;
}

/// The same, for any number of effects.  3: too many, or no such family.
inline int64_t evaluate_vectors(const VectorData& data, const VectorQuery& query, int64_t first, int64_t last,
                                const VectorAnswer& answer) {
    if (data.family < 0 || data.family >= FAMILY_COUNT) return 3;
    switch (data.q) {
        case 1: return evaluate_effects<1>(data, query, first, last, answer);
        case 2: return evaluate_effects<2>(data, query, first, last, answer);
        case 3: return evaluate_effects<3>(data, query, first, last, answer);
    }
    return 3;
}

}  // namespace
