// The rows of one bundle: linear predictor, conditional mode, and the sums over rows that both kinds of bundle share.
//
// A bundle holds eight groups, one to a lane (narrow), or one large group whose rows lie eight to a vector (wide).
// Only `total` differs: narrow sums are already per group, wide ones are added across the lanes.  A lane never sees its
// neighbours, so the company a group keeps does not change its bits.
#pragma once
#include "simd.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Packed {             // one site's rows; "vector" = eight doubles
    int64_t p;              // columns of X
    int64_t bundles;
    const int64_t* start;   // (bundles + 1) first vector of each bundle
    const int64_t* members; // (bundles) groups in the bundle, 1..8; 0 marks a wide bundle of one group
    const int64_t* group;   // (bundles, 8) number of the group in each lane
    const double* X;        // (vectors, p, 8)
    const double* y;        // (vectors, 8) successes
    const double* n;        // (vectors, 8) trials; 0 in padding
    const double* offset;   // (vectors, 8), or null
    int64_t bernoulli;      // no row of this site has more than one trial: a short cut, which changes no bit
};
struct Query {
    const double* beta;     // (p)
    double theta;
    int64_t rules;          // rules to try, in this order; a group takes the first whose error is at most `tolerance`
    const int64_t* order;   // (rules) number of nodes
    const double* z;        // nodes of all rules, one after the other
    const double* w;        // w_k exp(z_k^2 / 2)
    double tolerance;       // on |L_rule - L_next rule|, per group
};

constexpr double FAR = 300;  // beyond this, exp(eta) exp(theta u) could overflow or lose digits: take exp(eta + theta u)

template <bool WIDE> INLINE lanes total(lanes a) { return WIDE ? across(a) : a; }

template <bool WIDE> struct Bundle {
    const Packed& data;
    const Query& query;
    int64_t p, rows;
    const lanes *X, *y, *n, *offset;
    lanes *eta, *e;                      // (rows) x'beta + o;  exp(eta), or 0 in a far lane
    lanes theta, Y, N, y_eta;            // per group: theta, sum y, sum n, sum y eta
    lanes size;                          // largest |eta| of the group
    mask far;                            // groups in which some |eta| > FAR

    INLINE Bundle(const Packed& d, const Query& q, int64_t b) : data(d), query(q), p(d.p), theta(all(q.theta)) {
        int64_t first = d.start[b];
        rows = d.start[b + 1] - first;
        X = reinterpret_cast<const lanes*>(d.X) + first * p;
        y = reinterpret_cast<const lanes*>(d.y) + first;
        n = reinterpret_cast<const lanes*>(d.n) + first;
        offset = d.offset ? reinterpret_cast<const lanes*>(d.offset) + first : nullptr;
    }

    /// eta of R rows at once, so that their chains of additions overlap
    template <int R> INLINE void predict_rows(int64_t first) {
        lanes v[R];
        for (int i = 0; i < R; ++i) v[i] = offset ? offset[first + i] : all(0.0);
        for (int64_t c = 0; c < p; ++c) {
            const lanes b = all(query.beta[c]);
            for (int i = 0; i < R; ++i) v[i] = fma(X[(first + i) * p + c], b, v[i]);
        }
        for (int i = 0; i < R; ++i) eta[first + i] = v[i];
    }
    INLINE void linear_predictor() {
        int64_t done = 0;
        for (; done + 4 <= rows; done += 4) predict_rows<4>(done);
        for (; done < rows; ++done) predict_rows<1>(done);
        lanes sum_y = all(0.0), sum_n = all(0.0), sum_ye = all(0.0);
        size = all(0.0);
        for (int64_t i = 0; i < rows; ++i) {
            sum_y += y[i], sum_n += n[i];
            sum_ye = fma(y[i], eta[i], sum_ye);
            size = larger(size, absolute(eta[i]));
            e[i] = select(n[i] == all(0.0), all(0.0), exp(eta[i]));  // 0 in padding: it then adds nothing anywhere
        }
        if (WIDE) size = max_across(size);
        Y = total<WIDE>(sum_y), N = total<WIDE>(sum_n), y_eta = total<WIDE>(sum_ye);
        far = size > all(FAR);
    }

    struct Shift { lanes v, factor; mask far; bool any_far; };  // theta u, exp(theta u), where the product form is unsafe
    INLINE Shift shift(lanes u) const {
        Shift s;
        s.v = theta * u;
        s.far = far | (absolute(s.v) > all(FAR));
        s.factor = exp(s.v);
        s.any_far = any(s.far);
        return s;
    }
    struct Chance { lanes p, pq; };  // probability of success; p (1 - p)
    INLINE Chance chance(int64_t i, const Shift& s) const {
        lanes et = e[i] * s.factor, inverse = 1.0 / (et + 1.0), p = et * inverse;
        Chance r{p, p * inverse};
        if (s.any_far) {
            lanes psi = eta[i] + s.v, a = exp(-absolute(psi)), inv = 1.0 / (a + 1.0);
            lanes q = a * inv;
            r.p = select(s.far, select(psi > all(0.0), inv, q), r.p);
            r.pq = select(s.far, q * inv, r.pq);
        }
        return r;
    }

    /// u^ by Halley's iteration on f'(u) = theta (Y - sum n p) - u, kept inside a bracket that shrinks at every step.
    INLINE lanes mode() const {
        lanes bound = absolute(theta) * N, low = -bound, high = bound, u = all(0.0);
        mask active = all(1.0) > all(0.0);
        for (int pass = 0; pass < 200 && any(active); ++pass) {
            Shift s = shift(u);
            lanes P = all(0.0), W = all(0.0), W1 = all(0.0);
            for (int64_t i = 0; i < rows; ++i) {
                Chance c = chance(i, s);
                lanes w = n[i] * c.pq;
                P = fma(n[i], c.p, P);
                W += w;
                W1 = fma(w, 1.0 - 2.0 * c.p, W1);
            }
            P = total<WIDE>(P), W = total<WIDE>(W), W1 = total<WIDE>(W1);
            lanes slope = theta * (Y - P) - u, h = fma(theta * theta, W, 1.0);
            low = select(active & (slope > all(0.0)), u, low);
            high = select(active & (slope < all(0.0)), u, high);
            lanes inverse = 1.0 / h, newton = slope * inverse;
            lanes curve = fma(0.5 * newton, theta * theta * theta * W1 * inverse, 1.0);
            lanes next = u + newton / select(curve > all(0.5), curve, all(1.0));
            // landing on an end of the bracket again would go round in circles
            mask outside = (next < low) | (next > high) | (((next == low) | (next == high)) & (next != u));
            next = select(outside, 0.5 * (low + high), next);
            lanes moved = absolute(next - u);
            // Halley's error is the cube of the step: one part in 1e5 of a scale unit leaves 1e-15
            mask settled = (moved * moved * h <= all(1e-10)) | (moved <= 4e-16 * absolute(next));
            u = select(active, next, u);
            active = active & !(settled & !(outside & (moved > 4e-16 * absolute(next))));
        }
        return u;
    }

    /// sum_j n_j log(1 + exp psi_j) at u.  Rows of a single trial: the factors are multiplied and one logarithm is taken.
    INLINE lanes log_normaliser(const Shift& s) const {
        // at most 8 factors of 2^120 between two rescalings; a bound beyond that rescales after every factor
        const bool small = !any(select(far, all(0.0), size) + absolute(s.v) > all(80.0));
        lanes product = all(1.0), exponent = all(0.0), several = all(0.0);
        for (int64_t i = 0; i < rows; ++i) {
            lanes factor = fma(e[i], s.factor, 1.0);  // 1 in padding
            if (s.any_far) factor = select(s.far, all(1.0), factor);
            if (!data.bernoulli) {
                const mask many = n[i] > all(1.0);
                several = fma(n[i], log_scaled(select(many, factor, all(1.0)), all(0.0)), several);
                factor = select(many, all(1.0), factor);
            }
            product = product * factor;
            if (!small || (i & 7) == 7) {
                integers b = bits_of(product), k;
                for (int j = 0; j < PARTS; ++j) {
                    k.v[j] = (b.v[j] >> 52) - 1023;
                    b.v[j] -= k.v[j] << 52;
                    k.v[j] += 0x4338000000000000LL;
                }
                product = from_bits(b);
                exponent += from_bits(k) - ROUND_TO_INTEGER;
            }
        }
        lanes sum = log_scaled(product, exponent) + several;
        if (s.any_far) {
            lanes slow = all(0.0);
            for (int64_t i = 0; i < rows; ++i) {
                lanes psi = eta[i] + s.v;
                lanes v = larger(psi, all(0.0)) + log_scaled(exp(-absolute(psi)) + 1.0, all(0.0));
                slow = fma(n[i], v, slow);
            }
            sum = select(s.far, slow, sum);
        }
        return total<WIDE>(sum);
    }
    /// f(u) without the constant sum y eta.
    INLINE lanes exponent(lanes u, lanes normaliser) const { return fma(theta * u, Y, -normaliser) - 0.5 * u * u; }
};

}  // namespace
