// The functions of families.hpp over a few row-vectors at a time, behind one table of pointers: what calls them is
// compiled once, not once for each family.
#pragma once
#include "families.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Rows {
    const lanes *y, *n;
    lanes aux;
    int size;
};
struct FamilyRows {
    lanes (*value)(const Rows&, const lanes* psi);                           // sum of l
    void (*slopes)(const Rows&, const lanes* psi, lanes* d1, lanes* w);
    void (*bends)(const Rows&, const lanes* psi, lanes* d3);
    /// derivatives in the logarithm of aux: sum of dl and of d2l; rows of d(d1), dw.  Null where there is no aux.
    void (*aux_slopes)(const Rows&, const lanes* psi, lanes& la, lanes& laa, lanes* d1a, lanes* wa);
};

template <class F> lanes value_of(const Rows& r, const lanes* psi) {
    lanes sum = all(0.0);
    for (int i = 0; i < r.size; ++i) sum += F::terms(psi[i], r.y[i], r.n[i], r.aux).l;
    return sum;
}
INLINE lanes log_one_plus_exp(lanes psi) { return larger(psi, all(0.0)) + log_scaled(exp(-absolute(psi)) + 1.0, all(0.0)); }

/// Rows of a single trial: the factors 1 + exp psi are multiplied, and one logarithm is taken of eight of them.
template <> lanes value_of<BinomialLogit>(const Rows& r, const lanes* psi) {
    lanes linear = all(0.0), logs = all(0.0);
    for (int first = 0; first < r.size; first += 8) {
        const int end = first + 8 < r.size ? first + 8 : r.size;
        lanes product = all(1.0), far = psi[first];
        mask several = none();
        for (int i = first; i < end; ++i) {
            linear = fma(r.y[i], psi[i], linear);
            far = larger(far, psi[i]);
            several = several | (r.n[i] > all(1.0));
            product = product * select(r.n[i] == all(1.0), exp(psi[i]) + 1.0, all(1.0));
        }
        lanes sum = log_scaled(product, all(0.0));
        const mask slow = far > all(80.0);  // eight factors of 2^120 stay below the largest double
        if (any(slow)) {
            lanes sums = all(0.0);
            for (int i = first; i < end; ++i)
                sums += select(r.n[i] == all(1.0), log_one_plus_exp(psi[i]), all(0.0));
            sum = select(slow, sums, sum);
        }
        if (any(several))  // in the other lanes the terms below are zero
            for (int i = first; i < end; ++i)
                sum = fma(select(r.n[i] == all(1.0), all(0.0), r.n[i]), log_one_plus_exp(psi[i]), sum);
        logs += sum;
    }
    return linear - logs;
}
template <class F> void slopes_of(const Rows& r, const lanes* psi, lanes* d1, lanes* w) {
    for (int i = 0; i < r.size; ++i) {
        const Terms t = F::terms(psi[i], r.y[i], r.n[i], r.aux);
        d1[i] = t.d1, w[i] = t.w;
    }
}
template <class F> void bends_of(const Rows& r, const lanes* psi, lanes* d3) {
    for (int i = 0; i < r.size; ++i) d3[i] = F::terms(psi[i], r.y[i], r.n[i], r.aux).d3;
}

/// With p, q as in NegativeBinomialLog and k = aux, dp/d log k = -pq = -dq/d log k:
///     dl = n k log q - l',   d(l') = p l',   dw = n p q (k + (y + k)(p - q)),   d2l = n k (log q + p) - p l'
void negative_binomial_aux(const Rows& r, const lanes* psi, lanes& la, lanes& laa, lanes* d1a, lanes* wa) {
    for (int i = 0; i < r.size; ++i) {
        const lanes y = r.y[i], n = r.n[i], k = r.aux;
        const lanes ratio = exp(smaller(psi[i], all(FARTHEST))) / k, q = 1.0 / (1.0 + ratio), p = ratio * q, nk = n * k;
        const lanes log_q = -(log1p(ratio) + larger(psi[i] - FARTHEST, all(0.0))), d1 = n * fma(y, q, -k * p);
        la += fma(nk, log_q, -d1);
        d1a[i] = p * d1;
        wa[i] = n * (p * q) * fma(y + k, p - q, k);
        laa += fma(nk, log_q + p, -d1a[i]);
    }
}
/// l, l', w are proportional to the shape.
void gamma_aux(const Rows& r, const lanes* psi, lanes& la, lanes& laa, lanes* d1a, lanes* wa) {
    for (int i = 0; i < r.size; ++i) {
        const Terms t = GammaLog::terms(psi[i], r.y[i], r.n[i], r.aux);
        la += t.l, laa += t.l;
        d1a[i] = t.d1, wa[i] = t.w;
    }
}

constexpr FamilyRows FAMILIES[] = {  // numbers as in with_family; the others are not log-concave
    {value_of<BinomialLogit>, slopes_of<BinomialLogit>, bends_of<BinomialLogit>, nullptr},
    {value_of<BinomialProbit>, slopes_of<BinomialProbit>, bends_of<BinomialProbit>, nullptr},
    {value_of<BinomialCloglog>, slopes_of<BinomialCloglog>, bends_of<BinomialCloglog>, nullptr},
    {value_of<PoissonLog>, slopes_of<PoissonLog>, bends_of<PoissonLog>, nullptr},
    {value_of<NegativeBinomialLog>, slopes_of<NegativeBinomialLog>, bends_of<NegativeBinomialLog>, negative_binomial_aux},
    {value_of<GammaLog>, slopes_of<GammaLog>, bends_of<GammaLog>, gamma_aux},
};
constexpr int64_t FAMILY_COUNT = sizeof FAMILIES / sizeof *FAMILIES;

}  // namespace
