// The kernel for vectors of random effects, compiled once for each instruction-set level, beside level.cpp.
#include "vectors.hpp"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
extern "C" int64_t JOIN(vectors_, LEVEL)(const void* data, const void* query, int64_t first, int64_t last, const void* answer) {
    return evaluate_vectors(*static_cast<const VectorData*>(data), *static_cast<const VectorQuery*>(query), first, last,
                            *static_cast<const VectorAnswer*>(answer));
}
