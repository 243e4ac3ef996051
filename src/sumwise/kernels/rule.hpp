// The choice of a quadrature rule for each group, by measured error.
#pragma once
#include "bundle.hpp"
#include "dense.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Nodes {              // per group; groups with fewer nodes than `count` have weight 0 in the rest
    int64_t count = 0;
    lanes *z, *pi;          // nodes; posterior weight of each node, sum 1
    lanes log_sum, error;   // log sum_k w_k exp(...);  |L_rule - L_next rule|, 0 where there was no next rule
    lanes rule;             // number of the rule, as a double
    void* shifts;           // (count) Bundle::Shift of each node: known where there was a single rule, else room for them
    bool shifts_known;
};

/// Tries the rules in order until every group has one whose error is small enough, or there are no more.
template <bool WIDE>
inline Nodes choose_rule(const Bundle<WIDE>& g, lanes u, lanes s, lanes normaliser, lanes peak, Arena& arena,
                         int64_t most) {
    const Query& q = g.query;
    using Shift = typename Bundle<WIDE>::Shift;
    Nodes chosen{0, arena.take(most), arena.take(most), all(0.0), all(0.0), all(-1.0), arena.take(4 * most), q.rules == 1};
    auto* shifts = static_cast<Shift*>(chosen.shifts);
    lanes *term = arena.take(most), *last_term = arena.take(most), last_log = all(0.0);
    for (int64_t k = 0; k < most; ++k) chosen.z[k] = chosen.pi[k] = all(0.0);
    // differences below a few roundings of log_normaliser carry no information
    lanes floor = 4.4e-16 * (1.0 + normaliser);
    lanes tolerance = larger(all(q.tolerance), floor);
    const double *z = q.z, *w = q.w, *last_z = nullptr;
    for (int64_t r = 0; r < q.rules; ++r) {
        lanes sum = all(0.0);
        for (int64_t k = 0; k < q.order[r]; ++k) {
            const lanes uk = fma(s, z[k], u);
            shifts[k] = g.shift(uk);
            term[k] = w[k] * exp(g.exponent(uk, g.log_normaliser(shifts[k])) - peak);
            sum += term[k];
        }
        lanes log_sum = log(sum), error = r ? absolute(log_sum - last_log) : all(0.0);
        bool last = r + 1 == q.rules;
        mask open = chosen.rule < all(0.0);
        auto settle = [&](mask who, int64_t rule, const double* nodes, const lanes* terms, lanes value, int64_t count) {
            for (int64_t k = 0; k < count; ++k) {
                chosen.z[k] = select(who, all(nodes[k]), chosen.z[k]);
                chosen.pi[k] = select(who, terms[k], chosen.pi[k]);
            }
            if (any(who) && count > chosen.count) chosen.count = count;
            chosen.rule = select(who, all((double)rule), chosen.rule);
            chosen.log_sum = select(who, value, chosen.log_sum);
            chosen.error = select(who, error, chosen.error);
        };
        if (r) {
            mask good = open & (error <= tolerance);
            settle(good, r - 1, last_z, last_term, last_log, q.order[r - 1]);
            open = open & !good;
        }
        if (!any(open)) break;
        if (last) settle(open, r, z, term, log_sum, q.order[r]);
        last_z = z, last_log = log_sum;
        lanes* swap = last_term;
        last_term = term, term = swap;
        z += q.order[r], w += q.order[r];
    }
    lanes scale = exp(-chosen.log_sum);
    for (int64_t k = 0; k < chosen.count; ++k) chosen.pi[k] = chosen.pi[k] * scale;
    return chosen;
}

}  // namespace
