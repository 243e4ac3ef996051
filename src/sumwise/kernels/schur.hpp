// The crossed mixed model at one theta: what remains when the levels of one factor are eliminated.
//
// K = I + Lambda' Z'WZ Lambda.  The levels of one factor (its blocks) meet only levels of other factors (the scalars), so
// their part of K is block diagonal; with G_i = L_i^-1 K_i,others for block i = L_i L_i' the others are left with
//     S = K_others - sum_i G_i' G_i.
// Levels that no chain of rows joins never meet: S falls into components, and a component's numbers depend on nothing else.
#pragma once
#include <cstdlib>
#include <new>

#include "dense_cholesky.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

/// effects: of one block, q; pitch: numbers of a row of right-hand sides, a multiple of eight.
/// component (components + 1): first scalar of each.   An entry is a scalar that a block meets: start (blocks + 1) entries of
/// each block, by scalar; column (entries): the scalar; block (entries); G (entries, q).
/// row_start (scalars + 1), row_entry (entries): the entries of each scalar, by block.
/// other_start (scalars + 1), other_column, K: the upper triangle of K_others by rows, by scalar, diagonal included.
/// c (blocks, q, pitch): L_i^-1 Lambda' Z'W[X y]; y (scalars, pitch): Lambda'Z'W[X y] of the scalars.
/// Answers: pivot (scalars), y: V (y - G'c); and with `inverse`: u (scalars, pitch): S^-1 of that, H (entries, q) = G_i S^-1
/// of block i's own entries, M: elements of S^-1 where K has some.
struct Schur {
    int64_t effects, pitch, inverse;
    const int64_t *component, *start, *column, *block, *row_start, *row_entry, *other_start, *other_column;
    const double *G, *K, *c;
    double *y, *pivot, *u, *H, *M;
};

/// Rows of S and of y of tile row i, for the component from scalar `base` on.
inline void form_rows(const Schur& p, const Dense& d, int64_t base, int64_t scalars, int64_t i, double* row) {
    const int64_t q = p.effects, tiles = d.tiles();
    for (int r = 0; r < d.rows(i); ++r) {
        const int64_t at = i * SIDE + r, j = base + at;
        for (int64_t k = at; k < d.order; ++k) row[k] = 0;
        double* y = d.y + at * p.pitch;
        if (at >= scalars) {
            row[at] = 1;
            for (int64_t t = 0; t < p.pitch; ++t) y[t] = 0;
        } else {
            for (int64_t t = 0; t < p.pitch; ++t) y[t] = p.y[j * p.pitch + t];
            for (int64_t e = p.other_start[j]; e < p.other_start[j + 1]; ++e) row[p.other_column[e] - base] = p.K[e];
            for (int64_t k = p.row_start[j]; k < p.row_start[j + 1]; ++k) {
                const int64_t own = p.row_entry[k], b = p.block[own], last = p.start[b + 1];
                for (int64_t a = 0; a < q; ++a) {
                    const double g = -p.G[own * q + a];
                    for (int64_t e = own; e < last; ++e)
                        row[p.column[e] - base] = __builtin_fma(g, p.G[e * q + a], row[p.column[e] - base]);
                    const double* c = p.c + (b * q + a) * p.pitch;
                    for (int64_t t = 0; t < p.pitch; t += LANES) store(y + t, fma(all(g), load(c + t), load(y + t)));
                }
            }
        }
        for (int64_t j2 = i; j2 < tiles; ++j2) {
            const int64_t first = j2 == i ? at : j2 * SIDE;
            memcpy(d.of_S(i, j2) + r * SIDE + (first - j2 * SIDE), row + first,
                   ((j2 * SIDE + d.rows(j2)) - first) * sizeof(double));
        }
    }
}

/// What the rows of S^-1 in tile row i say to the entries and to K_others.
inline void read_rows(const Schur& p, const Dense& d, int64_t base, int64_t scalars, int64_t i, double* row) {
    const int64_t q = p.effects;
    for (int r = 0; r < d.rows(i) && i * SIDE + r < scalars; ++r) {
        const int64_t j = base + i * SIDE + r;
        for (int64_t t = 0; t < d.tiles(); ++t)
            memcpy(row + t * SIDE, d.of_S(i, t) + r * SIDE, d.rows(t) * sizeof(double));
        for (int64_t k = p.row_start[j]; k < p.row_start[j + 1]; ++k) {
            const int64_t own = p.row_entry[k], b = p.block[own];
            for (int64_t a = 0; a < q; ++a) {
                double h = 0;
                for (int64_t e = p.start[b]; e < p.start[b + 1]; ++e)
                    h = __builtin_fma(p.G[e * q + a], row[p.column[e] - base], h);
                p.H[own * q + a] = h;
            }
        }
        for (int64_t e = p.other_start[j]; e < p.other_start[j + 1]; ++e) p.M[e] = row[p.other_column[e] - base];
    }
}

/// Takes tasks of one component until none is left: forms S, eliminates, inverts, reads.  row (order): scratch of this thread.
inline void work(const Schur& p, const Dense& d, int64_t base, int64_t scalars, Progress& progress, double* row) {
    const int64_t tiles = d.tiles(), flags = 2 * tiles + 2;
    const int64_t of_V = p.inverse ? 1 : 0;
    // forming comes first; of tile row i: U from i on, y, and V up to i
    const int64_t eliminations = of_V ? tiles * (tiles + 2) : tiles * (tiles + 3) / 2;
    const int64_t products = of_V ? tiles * (tiles + 1) / 2 + tiles : 0;
    const int64_t all_tasks = tiles + eliminations + products + (of_V ? tiles : 0);
    for (;;) {
        int64_t task = progress.next.fetch_add(1, std::memory_order_relaxed);
        if (task >= all_tasks) return;
        if (task < tiles) {
            form_rows(p, d, base, scalars, task, row);
            progress.done[task * flags + 2 * tiles + 1].store(1, std::memory_order_release);
            continue;
        }
        task -= tiles;
        if (task < eliminations) {
            int64_t i = 0;
            for (;; ++i) {
                const int64_t width = of_V ? tiles + 2 : tiles - i + 1;
                if (task < width) break;
                task -= width;
            }
            progress.wait_for(progress.done[i * flags + 2 * tiles + 1]);
            eliminate_tile(d, progress, i, i + task);
            progress.done[i * flags + i + task].store(1, std::memory_order_release);
            progress.finished[0].fetch_add(1, std::memory_order_release);
            continue;
        }
        task -= eliminations;
        if (task < products) {
            Progress::wait([&] { return progress.finished[0].load(std::memory_order_acquire) == eliminations; });
            int64_t i = 0;
            for (; task >= tiles - i + 1; ++i) task -= tiles - i + 1;
            multiply_tile(d, i, i + task);
            progress.finished[1].fetch_add(1, std::memory_order_release);
            continue;
        }
        task -= products;
        Progress::wait([&] { return progress.finished[1].load(std::memory_order_acquire) == products; });
        read_rows(p, d, base, scalars, task, row);
    }
}

INLINE int64_t padded(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/// Memory of one component, and of the threads that work on it.
struct Workspace {
    Dense d{};
    Progress progress;
    double* memory = nullptr;
    int64_t reserved = 0;

    ~Workspace() {
        free(memory);
        delete[] progress.done;
    }
    /// Room for one component of so many scalars; false if there is none.
    bool take(int64_t scalars, int64_t pitch, bool inverse) {
        d.order = padded(scalars), d.pitch = pitch;
        const int64_t square = d.tiles() * d.tiles() * TILE_NUMBERS, rows = d.tiles() * SIDE;
        const int64_t size = square * (inverse ? 2 : 1) + rows * pitch * 2 + rows * 2;
        if (size > reserved) {
            free(memory);
            delete[] progress.done;
            memory = static_cast<double*>(aligned_alloc(64, size * sizeof(double)));
            progress.done = new (std::nothrow) std::atomic<uint8_t>[d.tiles() * (2 * d.tiles() + 2)];
            reserved = memory && progress.done ? size : 0;
            if (!reserved) return false;
        }
        double* at = memory;
        auto next = [&](int64_t n) { double* r = at; at += n; return r; };
        d.S = next(square);
        d.V = inverse ? next(square) : nullptr;
        d.y = next(rows * pitch), d.u = next(rows * pitch), d.pivot = next(rows), d.inverse = next(rows);
        progress.next = 0;
        for (auto& count : progress.finished) count = 0;
        for (int64_t k = 0; k < d.tiles() * (2 * d.tiles() + 2); ++k) progress.done[k] = 0;
        return true;
    }
    void answer(const Schur& p, int64_t base, int64_t scalars) const {
        memcpy(p.y + base * p.pitch, d.y, scalars * p.pitch * sizeof(double));
        memcpy(p.pivot + base, d.pivot, scalars * sizeof(double));
        if (p.inverse) memcpy(p.u + base * p.pitch, d.u, scalars * p.pitch * sizeof(double));
    }
};

/// Components first .. last - 1, one after another.   1 if there is no memory.
inline int64_t components(const Schur& p, int64_t first, int64_t last) {
    Workspace space;
    double* row = nullptr;
    int64_t most = 0;
    for (int64_t k = first; k < last; ++k) {
        const int64_t base = p.component[k], scalars = p.component[k + 1] - base;
        if (!space.take(scalars, p.pitch, p.inverse != 0)) return free(row), 1;
        if (space.d.order > most) {
            free(row);
            most = space.d.order;
            row = static_cast<double*>(malloc(most * sizeof(double)));
            if (!row) return 1;
        }
        work(p, space.d, base, scalars, space.progress, row);
        space.answer(p, base, scalars);
    }
    free(row);
    return 0;
}

/// The work of one thread on a component that several share.   1 if there is no memory.
inline int64_t work_on(const Schur& p, int64_t component, Workspace& space) {
    const int64_t base = p.component[component];
    auto* row = static_cast<double*>(malloc(space.d.order * sizeof(double)));
    if (!row) return 1;
    work(p, space.d, base, p.component[component + 1] - base, space.progress, row);
    free(row);
    return 0;
}

/// out (scalars, pitch) = S^-1 x, piece number `piece` of so many, for a component whose inverse the space still holds.
inline int64_t apply(const Dense& d, int64_t scalars, const double* x, int64_t pitch, int64_t piece, int64_t pieces, double* out) {
    const int64_t first = d.tiles() * piece / pieces, last = d.tiles() * (piece + 1) / pieces;
    auto* rows = static_cast<double*>(aligned_alloc(64, SIDE * pitch * sizeof(double)));
    if (!rows) return 1;
    for (int64_t i = first; i < last; ++i) {
        memset(rows, 0, SIDE * pitch * sizeof(double));
        for (int64_t k = 0; k < d.tiles(); ++k) {
            const int depth = (int)(scalars - k * SIDE < SIDE ? scalars - k * SIDE : SIDE);
            update<false>(rows, pitch, d.of_S(k, i), x + k * SIDE * pitch, pitch, depth, d.rows(i), pitch);
        }
        const int64_t count = scalars - i * SIDE < SIDE ? scalars - i * SIDE : SIDE;
        memcpy(out + i * SIDE * pitch, rows, count * pitch * sizeof(double));
    }
    free(rows);
    return 0;
}

// -- sparse rows against right-hand sides; every sum runs in the order of its entries --

/// out[row, a, :] -= sum over the row's entries of A[entry, a] x[column[entry], :].
inline void subtract_by_row(const int64_t* start, const int64_t* column, const double* A, int64_t q, const double* x,
                            int64_t pitch, int64_t rows, double* out) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t a = 0; a < q; ++a)
            for (int64_t t = 0; t < pitch; t += LANES) {
                lanes sum = load(out + (i * q + a) * pitch + t);
                for (int64_t e = start[i]; e < start[i + 1]; ++e)
                    sum = fma(all(A[e * q + a]), -load(x + column[e] * pitch + t), sum);
                store(out + (i * q + a) * pitch + t, sum);
            }
}

/// out[j, :] -= sum over the scalar's entries, by block, and over a, of A[entry, a] x[block[entry], a, :].
inline void subtract_by_scalar(const int64_t* start, const int64_t* entry, const int64_t* block, const double* A, int64_t q,
                               const double* x, int64_t pitch, int64_t scalars, double* out) {
    for (int64_t j = 0; j < scalars; ++j)
        for (int64_t t = 0; t < pitch; t += LANES) {
            lanes sum = load(out + j * pitch + t);
            for (int64_t k = start[j]; k < start[j + 1]; ++k)
                for (int64_t a = 0; a < q; ++a)
                    sum = fma(all(A[entry[k] * q + a]), -load(x + (block[entry[k]] * q + a) * pitch + t), sum);
            store(out + j * pitch + t, sum);
        }
}

/// out[block, a, b] = sum over the block's entries of A[entry, a] B[entry, b].
inline void products_by_block(const int64_t* start, const double* A, const double* B, int64_t q, int64_t blocks, double* out) {
    for (int64_t i = 0; i < blocks; ++i)
        for (int64_t a = 0; a < q; ++a)
            for (int64_t b = 0; b < q; ++b) {
                double sum = 0;
                for (int64_t e = start[i]; e < start[i + 1]; ++e) sum = __builtin_fma(A[e * q + a], B[e * q + b], sum);
                out[(i * q + a) * q + b] = sum;
            }
}

}  // namespace
