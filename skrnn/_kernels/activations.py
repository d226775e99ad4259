"""Activation functions as plain arithmetic, which LLVM can vectorise."""

import numpy as np
from numba.extending import overload


def tanh(x):
    """Return the hyperbolic tangent; compiled code uses the overload below."""
    return np.tanh(x)


@overload(tanh)
def _tanh(x):
    """Return the implementation for the precision of x.

    float32: the rational function of Eigen's `ptanh`, accurate to 3e-7. float64: the
    rational function of Cody and Waite (as in Cephes' `tanh.c`) at x / 32, then five
    times tanh(2 y) = 2 tanh(y) / (1 + tanh(y)^2), accurate to a few units in the last
    place.
    """
    if x.bitwidth == 32:
        bound = np.float32(7.90531110763549805)
        p = tuple(
            np.float32(c)
            for c in (
                -2.76076847742355e-16,
                2.00018790482477e-13,
                -8.60467152213735e-11,
                5.12229709037114e-08,
                1.48572235717979e-05,
                6.37261928875436e-04,
                4.89352455891786e-03,
            )
        )
        q = tuple(
            np.float32(c)
            for c in (
                1.19825839466702e-06,
                1.18534705686654e-04,
                2.26843463243900e-03,
                4.89352518554385e-03,
            )
        )

        def impl(x):
            # Comparisons in this order keep NaN.
            x = bound if x > bound else (-bound if x < -bound else x)
            s = x * x
            numerator = p[0] * s + p[1]
            numerator = numerator * s + p[2]
            numerator = numerator * s + p[3]
            numerator = numerator * s + p[4]
            numerator = numerator * s + p[5]
            numerator = numerator * s + p[6]
            denominator = q[0] * s + q[1]
            denominator = denominator * s + q[2]
            denominator = denominator * s + q[3]
            return x * numerator / denominator

        return impl

    def impl(x):
        x = 20.0 if x > 20.0 else (-20.0 if x < -20.0 else x)
        y = x / 32
        s = y * y
        numerator = (-9.64399179425052238628e-1 * s - 9.92877231001918586564e1) * s
        numerator -= 1.61468768441708447952e3
        denominator = (s + 1.12811678491632931402e2) * s + 2.23548839060100448583e3
        denominator = denominator * s + 4.84406305325125486048e3
        t = y + y * s * numerator / denominator
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        return 2 * t / (1 + t * t)

    return impl
