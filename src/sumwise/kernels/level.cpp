// All kernels, compiled once for each instruction-set level (LEVEL = base, v3, v4); see CMakeLists.txt.
#include "aghq.hpp"
#include "grouped.hpp"
#include "lmm.hpp"
#include "families.hpp"
#include "glm.hpp"
#include "products.hpp"
#include "schur.hpp"
#include "sums.hpp"
#include "table.hpp"

namespace {

int64_t add(int64_t* digits, const double* x, int64_t sums, int64_t terms, int64_t sum_stride, int64_t term_stride) {
    alignas(64) double block[BLOCK];
    for (int64_t v = 0; v < sums; ++v) {
        int64_t* d = digits + v * DIGITS;
        int64_t since = 0;
        for (int64_t first = 0; first < terms; first += BLOCK) {
            for (int64_t j = 0; j < BLOCK; ++j)
                block[j] = first + j < terms ? x[v * sum_stride + (first + j) * term_stride] : 0;
            if (!add_block(d, block)) return -1 - v;
            if (++since == 1 << 22) since = 0, normalise(d);  // a digit holds 2^31 additions, a block makes BLOCK at most
        }
        if (!normalise(d)) return v + 1;
    }
    return 0;
}
int64_t merge(int64_t* digits, const int64_t* other, int64_t sums) {
    for (int64_t v = 0; v < sums; ++v) {
        for (int k = 0; k < DIGITS; ++k) digits[v * DIGITS + k] += other[v * DIGITS + k];
        if (!normalise(digits + v * DIGITS)) return v + 1;
    }
    return 0;
}
int64_t round_all(const int64_t* digits, double* out, int64_t sums) {
    for (int64_t v = 0; v < sums; ++v)
        if (!round_sum(digits + v * DIGITS, out + v)) return v + 1;
    return 0;
}
template <lanes (*f)(lanes)> void map(const double* x, double* out, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        alignas(64) double buffer[LANES] = {1, 1, 1, 1, 1, 1, 1, 1};
        const int64_t m = n - i < LANES ? n - i : LANES;
        memcpy(buffer, x + i, m * sizeof(double));
        store(buffer, f(load(buffer)));
        memcpy(out + i, buffer, m * sizeof(double));
    }
}
int64_t evaluate_aghq(const void* data, const void* query, int64_t first, int64_t last, const void* answer) {
    return evaluate(*static_cast<const Packed*>(data), *static_cast<const Query*>(query), first, last,
                    *static_cast<const Answer*>(answer));
}
int64_t gram_of(const void* columns, int64_t first, int64_t last, void* products) {
    return gram(*static_cast<const Columns*>(columns), first, last, *static_cast<Products*>(products));
}
int64_t decimals_hold_of(const void* columns, int64_t first, int64_t last, int64_t* holds) {
    return decimals_hold(*static_cast<const Columns*>(columns), first, last, holds);
}
void combine_rows(const void* columns, const double* high, const double* low, int64_t answers, int64_t first, int64_t last,
                  double* out, int64_t out_pitch) {
    combine(*static_cast<const Columns*>(columns), high, low, answers, first, last, out, out_pitch);
}
int64_t glm_of(const void* data, const void* query, int64_t first, int64_t last, int64_t* sums, int64_t* failed) {
    return evaluate_glm(*static_cast<const GlmData*>(data), *static_cast<const GlmQuery*>(query), first, last, sums, failed);
}

int64_t components_of(const void* schur, int64_t first, int64_t last) {
    return components(*static_cast<const Schur*>(schur), first, last);
}
void* workspace_new() { return new (std::nothrow) Workspace; }
void workspace_free(void* space) { delete static_cast<Workspace*>(space); }
int64_t workspace_take(void* space, int64_t scalars, int64_t pitch, int64_t inverse) {
    return !static_cast<Workspace*>(space)->take(scalars, pitch, inverse != 0);
}
int64_t schur_work(const void* schur, int64_t component, void* space) {
    return work_on(*static_cast<const Schur*>(schur), component, *static_cast<Workspace*>(space));
}
void schur_answer(const void* schur, int64_t component, const void* space) {
    const Schur& p = *static_cast<const Schur*>(schur);
    const int64_t base = p.component[component];
    static_cast<const Workspace*>(space)->answer(p, base, p.component[component + 1] - base);
}
int64_t apply_inverse(const void* space, int64_t scalars, const double* x, int64_t pitch, int64_t piece, int64_t pieces,
                      double* out) {
    return apply(static_cast<const Workspace*>(space)->d, scalars, x, pitch, piece, pieces, out);
}

int64_t group_add(const void* factors, const int64_t* code, int64_t rows, int64_t low, int64_t* digits) {
    const Strided* f = static_cast<const Strided*>(factors);
    return add_by_group(f[0], f[1], code, rows, low, digits);
}
int64_t lmm_squeeze(const void* groups, int64_t first, int64_t last, const void* sums) {
    return lmm::squeeze(*static_cast<const lmm::Squeeze*>(groups), first, last, *static_cast<const lmm::Sums*>(sums));
}
int64_t lmm_shrink(const void* groups, const void* points, int64_t first, int64_t last, const void* sums) {
    return lmm::shrink(*static_cast<const lmm::Groups*>(groups), *static_cast<const lmm::Points*>(points), first, last,
                       *static_cast<const lmm::Sums*>(sums));
}

}  // namespace

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
extern "C" int64_t JOIN(vectors_, LEVEL)(const void* data, const void* query, int64_t first, int64_t last, const void* answer);
namespace {
constexpr Table table() {
    Table t{};
    t.add = add;
    t.merge = merge;
    t.round = round_all;
    t.exp = map<exp>;
    t.log = map<log>;
    t.aghq = evaluate_aghq;
    t.gram = gram_of;
    t.decimals_hold = decimals_hold_of;
    t.combine = combine_rows;
    t.group_add = group_add;
    t.group_round = round_by_group;
    t.lmm_squeeze = lmm_squeeze;
    t.lmm_shrink = lmm_shrink;
    t.glm = glm_of;
    t.fitted = fitted_rows;
    t.link = link_terms;
    t.vectors = JOIN(vectors_, LEVEL);
    t.components = components_of;
    t.workspace_new = workspace_new;
    t.workspace_free = workspace_free;
    t.workspace_take = workspace_take;
    t.schur_work = schur_work;
    t.schur_answer = schur_answer;
    t.apply = apply_inverse;
    t.subtract_by_row = subtract_by_row;
    t.subtract_by_scalar = subtract_by_scalar;
    t.products_by_block = products_by_block;
    return t;
}
}  // namespace
extern "C" const Table JOIN(table_, LEVEL) = table();
