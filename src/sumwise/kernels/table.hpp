// The functions that every instruction-set level provides.
#pragma once
#include <cstdint>

struct Table {
    int64_t (*add)(int64_t* digits, const double* x, int64_t sums, int64_t terms, int64_t sum_stride, int64_t term_stride);
    int64_t (*merge)(int64_t* digits, const int64_t* other, int64_t sums);
    int64_t (*round)(const int64_t* digits, double* out, int64_t sums);
    void (*exp)(const double* x, double* out, int64_t n);
    void (*log)(const double* x, double* out, int64_t n);
    int64_t (*aghq)(const void* data, const void* query, int64_t first, int64_t last, const void* answer);
    int64_t (*vectors)(const void* data, const void* query, int64_t first, int64_t last, const void* answer);
    int64_t (*gram)(const void* columns, int64_t first, int64_t last, void* products);
    int64_t (*decimals_hold)(const void* columns, int64_t first, int64_t last, int64_t* holds);
    void (*combine)(const void* columns, const double* high, const double* low, int64_t answers, int64_t first, int64_t last,
                    double* out, int64_t out_pitch);
    int64_t (*group_add)(const void* factors, const int64_t* code, int64_t rows, int64_t low, int64_t* digits);
    void (*group_round)(int64_t* digits, int64_t groups, int64_t low, double* high, double* low_part);
    int64_t (*lmm_squeeze)(const void* groups, int64_t first, int64_t last, const void* sums);
    int64_t (*lmm_shrink)(const void* groups, const void* points, int64_t first, int64_t last, const void* sums);
    int64_t (*glm)(const void* data, const void* query, int64_t first, int64_t last, int64_t* sums, int64_t* failed);
    void (*fitted)(int64_t family, const double* eta, const double* y, const double* n, const double* aux, int64_t count,
                   double* out);
    void (*link)(int64_t family, const double* eta, const double* y, const double* n, const double* aux, int64_t count,
                 double* out);
    int64_t (*components)(const void* schur, int64_t first, int64_t last);
    void* (*workspace_new)();
    void (*workspace_free)(void* space);
    int64_t (*workspace_take)(void* space, int64_t scalars, int64_t pitch, int64_t inverse);
    int64_t (*schur_work)(const void* schur, int64_t component, void* space);
    void (*schur_answer)(const void* schur, int64_t component, const void* space);
    int64_t (*apply)(const void* space, int64_t scalars, const double* x, int64_t pitch, int64_t piece, int64_t pieces, double* out);
    void (*subtract_by_row)(const int64_t* start, const int64_t* column, const double* A, int64_t q, const double* x,
                            int64_t pitch, int64_t rows, double* out);
    void (*subtract_by_scalar)(const int64_t* start, const int64_t* entry, const int64_t* block, const double* A, int64_t q,
                               const double* x, int64_t pitch, int64_t scalars, double* out);
    void (*products_by_block)(const int64_t* start, const double* A, const double* B, int64_t q, int64_t blocks, double* out);
};
