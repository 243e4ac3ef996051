"""Print the coefficients of TAIL_NEAR and TAIL_FAR in src/sumwise/kernels/special.hpp.

Run from the repository root, in seconds:   python -m tests.reference.make_mills

r_6(t) (t + 4), with r_6 = J_6 / J_5 and J_k(t) = int_0^inf x^k exp(-t x - x^2/2) dx, is interpolated at Chebyshev
points in s = 2 x + 1 for x = (t - 4) / (t + 4) < 0 and s = 2 x - 1 above, and written in powers of s.  50 digits.
"""

from collections.abc import Callable

from mpmath import mp, mpf

DEGREE, ORDER, SCALE = 20, 6, 4
TERMS = 600  # of the continued fraction r_k = k / (t + r_{k+1}), where t >= 4


def ratio(t) -> mpf:
    """r_6(t) = J_6 / J_5."""
    if t >= SCALE:
        r = (mp.sqrt(t * t + 4 * TERMS) - t) / 2
        for k in range(TERMS - 1, ORDER - 1, -1):
            r = k / (t + r)
        return r
    with mp.workdps(mp.dps + 20):  # the recurrence upwards cancels
        J = [mp.sqrt(mp.pi / 2) * mp.exp(t * t / 2) * mp.erfc(t / mp.sqrt(2))]
        J.append(1 - t * J[0])
        for k in range(1, ORDER):
            J.append(k * J[k - 1] - t * J[k])
        return J[ORDER] / J[ORDER - 1]


def coefficients(f: Callable) -> list:
    """Of s^DEGREE down to s^0: the polynomial that meets f in the zeros of the Chebyshev polynomial T_{DEGREE + 1}."""
    n = DEGREE + 1
    angles = [mp.pi * (2 * j + 1) / (2 * n) for j in range(n)]
    values = [f(mp.cos(a)) for a in angles]
    chebyshev = [2 * mp.fsum(v * mp.cos(k * a) for v, a in zip(values, angles, strict=True)) / n for k in range(n)]
    chebyshev[0] /= 2
    powers = [mpf(0)] * n
    before, this = [mpf(1)], [mpf(0), mpf(1)]
    for c in chebyshev:
        for i, v in enumerate(before):
            powers[i] += c * v
        following = [mpf(0), *(2 * v for v in this)]
        for i, v in enumerate(before):
            following[i] -= v
        before, this = this, following
    return powers[::-1]


def main() -> None:
    """Both lists, as hexadecimal float64."""
    with mp.workdps(50):
        for name, shift in (("TAIL_NEAR", -1), ("TAIL_FAR", 1)):

            def f(s, shift=shift):
                x = (s + shift) / 2
                t = SCALE * (1 + x) / (1 - x)
                return ratio(t) * (t + SCALE)

            print(f"{name}: {', '.join(float(c).hex() for c in coefficients(f))}")


if __name__ == "__main__":
    main()
