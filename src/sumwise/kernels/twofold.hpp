// Numbers in twice the precision: the unevaluated sum of two doubles.
#pragma once
#include "simd.hpp"

namespace {  // each level keeps its own copy: merged at link time, all levels would run the baseline code

struct Two { double high, low; };

INLINE Two quick_sum(double a, double b) {       // |a| >= |b|
    const double s = a + b;
    return {s, b - (s - a)};
}
INLINE Two exact_sum(double a, double b) {       // [Knuth 1969]
    const double s = a + b, back = s - a;
    return {s, (a - (s - back)) + (b - back)};
}
INLINE Two exact_product(double a, double b) {
    const double p = a * b;
    return {p, __builtin_fma(a, b, -p)};
}
INLINE Two operator+(Two a, Two b) {
    Two s = exact_sum(a.high, b.high);
    const Two t = exact_sum(a.low, b.low);
    s = quick_sum(s.high, s.low + t.high);
    return quick_sum(s.high, s.low + t.low);
}
INLINE Two operator-(Two a) { return {-a.high, -a.low}; }
INLINE Two operator-(Two a, Two b) { return a + -b; }
INLINE Two operator*(Two a, Two b) {
    const Two p = exact_product(a.high, b.high);
    return quick_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}
INLINE Two operator/(Two a, Two b) {
    const double first = a.high / b.high;
    const Two rest = a - b * Two{first, 0};
    const double second = rest.high / b.high;
    const Two rest2 = rest - b * Two{second, 0};
    return quick_sum(first, second) + Two{rest2.high / b.high, 0};
}
INLINE Two square_root(Two a) {                  // a > 0; one step of Newton from the rounded root
    const double first = __builtin_sqrt(a.high);
    const Two rest = a - exact_product(first, first);
    return quick_sum(first, rest.high / (2 * first));
}

}  // namespace
