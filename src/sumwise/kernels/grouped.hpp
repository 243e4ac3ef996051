// Sums of products by group, exact, whatever the order of the rows.
//
// Each group's sum is a window of eight digits in base 2^32; digit k weighs 2^(32 k + low).  The window lies so that its
// upper 64 bits are room for carries; a product that reaches below it is reported, never cut.
#pragma once
#include "sums.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

constexpr int WINDOW = 8;

struct Strided {             // a column of the caller's table; null stands for ones
    const char* start;
    int64_t stride;          // bytes from row to row

    INLINE double at(int64_t row) const {
        double x;
        memcpy(&x, start + row * stride, 8);
        return x;
    }
};

/// digits += x; false where x reaches below the window.
INLINE bool add_to_window(int64_t* digits, int64_t low, double x) {
    uint64_t b;
    memcpy(&b, &x, 8);
    int e = (int)(b >> 52 & 0x7ff);
    uint64_t m = b & 0xfffffffffffffull;
    if (e) m |= 1ull << 52; else e = 1;
    int64_t at = e - 1075 - low;
    if (__builtin_expect(at < 0, 0)) {
        if (!m) return true;
        if (at <= -53 || (m & ((1ull << -at) - 1))) return false;
        m >>= -at;
        at = 0;
    }
    const unsigned __int128 wide = (unsigned __int128)m << (at & 31);
    int64_t* d = digits + (at >> 5);
    const int64_t sign = -(int64_t)(b >> 63);  // 0 or -1: (v ^ sign) - sign negates
    d[0] += ((int64_t)(uint32_t)wide ^ sign) - sign;
    d[1] += ((int64_t)(uint32_t)(wide >> 32) ^ sign) - sign;
    d[2] += ((int64_t)(uint32_t)(wide >> 64) ^ sign) - sign;
    return true;
}

struct Whole {               // x = (-1)^sign m 2^(e - 1075)
    uint64_t m;
    int e;
    int64_t sign;            // 0 or -1
};
INLINE Whole whole_of(double x) {
    uint64_t b;
    memcpy(&b, &x, 8);
    const int e = (int)(b >> 52 & 0x7ff);
    const uint64_t m = b & 0xfffffffffffffull;
    return {e ? m | 1ull << 52 : m, e ? e : 1, -(int64_t)(b >> 63)};
}
/// digits += a b, all of its 106 bits; false where it reaches below the window.
INLINE bool add_product_to_window(int64_t* digits, int64_t low, double x, double y) {
    const Whole a = whole_of(x), b = whole_of(y);
    unsigned __int128 m = (unsigned __int128)a.m * b.m;
    int64_t at = (int64_t)a.e + b.e - 2150 - low;
    if (__builtin_expect(at < 0, 0)) {
        if (!m) return true;
        if (at <= -106 || (m & (((unsigned __int128)1 << -at) - 1))) return false;
        m >>= -at;
        at = 0;
    }
    const unsigned __int128 lower = (unsigned __int128)(uint64_t)m << (at & 31), upper = (m >> 64) << (at & 31);
    int64_t* d = digits + (at >> 5);
    const int64_t sign = a.sign ^ b.sign;
    d[0] += ((int64_t)(uint32_t)lower ^ sign) - sign;
    d[1] += ((int64_t)(uint32_t)(lower >> 32) ^ sign) - sign;
    d[2] += (((int64_t)(uint32_t)(lower >> 64) + (int64_t)(uint32_t)upper) ^ sign) - sign;
    d[3] += ((int64_t)(uint32_t)(upper >> 32) ^ sign) - sign;
    d[4] += ((int64_t)(uint32_t)(upper >> 64) ^ sign) - sign;
    return true;
}

/// digits (groups, WINDOW) += a b for each row, by its group.   1: a product reaches below the window.
template <bool PRODUCT>
inline int64_t add_rows(Strided a, Strided b, const int64_t* code, int64_t rows, int64_t low, int64_t* digits) {
    for (int64_t i = 0; i < rows; ++i) {
        int64_t* d = digits + code[i] * WINDOW;
        if (PRODUCT ? !add_product_to_window(d, low, a.at(i), b.at(i)) : !add_to_window(d, low, b.at(i))) return 1;
    }
    return 0;
}
inline int64_t add_by_group(Strided a, Strided b, const int64_t* code, int64_t rows, int64_t low, int64_t* digits) {
    return a.start ? add_rows<true>(a, b, code, rows, low, digits) : add_rows<false>(a, b, code, rows, low, digits);
}

/// A window's value, rounded to nearest, ties to even.  d: normal form, not negative.
inline double nearest(const int64_t* d, int64_t low) {
    int k = WINDOW - 1;
    while (k > 0 && d[k] == 0) --k;
    unsigned __int128 window = 0;
    for (int j = 0; j < 4; ++j) window = window << 32 | (uint64_t)(k - j >= 0 ? d[k - j] : 0);
    bool sticky = false;
    for (int j = k - 4; j >= 0; --j) sticky |= d[j] != 0;
    const uint64_t upper = (uint64_t)(window >> 64), lower = (uint64_t)window;
    const int length = upper ? 128 - __builtin_clzll(upper) : lower ? 64 - __builtin_clzll(lower) : 0;
    const int64_t lowest = low + 32 * (k - 3);  // of the window
    int64_t drop = length - 53;
    if (drop < -1074 - lowest) drop = -1074 - lowest;
    if (drop > 127) return 0;
    uint64_t m;
    int64_t e = lowest;
    if (drop > 0) {
        const unsigned __int128 half = (unsigned __int128)1 << (drop - 1), rest = window & ((half << 1) - 1);
        m = (uint64_t)(window >> drop), e += drop;
        if (rest > half || (rest == half && (sticky || (m & 1)))) ++m;
    } else {
        m = (uint64_t)window;
        while (m && e < -1074) m >>= 1, ++e;  // zeros
    }
    if (!m) return 0;
    while (e > 960) m <<= 1, --e;
    return (double)m * two_to((int)e);
}

/// high[g] + low_part[g]: each group's sum in twice the precision, each part rounded once.
inline void round_by_group(int64_t* digits, int64_t groups, int64_t low, double* high, double* low_part) {
    for (int64_t g = 0; g < groups; ++g) {
        double part[2] = {0, 0};
        int64_t* d = digits + g * WINDOW;
        for (int turn = 0; turn < 2; ++turn) {
            int64_t normal[WINDOW];
            memcpy(normal, d, sizeof normal);
            auto carry = [&]() {
                for (int k = 0; k < WINDOW - 1; ++k) normal[k + 1] += normal[k] >> 32, normal[k] &= 0xffffffff;
            };
            carry();
            const bool negative = normal[WINDOW - 1] < 0;
            if (negative) {
                for (int k = 0; k < WINDOW; ++k) normal[k] = -normal[k];
                carry();
            }
            const double x = nearest(normal, low);
            part[turn] = negative ? -x : x;
            if (x == 0) break;
            add_to_window(d, low, -part[turn]);
        }
        high[g] = part[0], low_part[g] = part[1];
    }
}

}  // namespace
