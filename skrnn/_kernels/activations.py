"""Activation functions in arithmetic that loops can vectorise."""

import numpy as np
from numba.extending import overload


def tanh(x):
    """Return the hyperbolic tangent, in arithmetic that loops can do in vectors."""
    return np.tanh(x)


@overload(tanh)
def _tanh(x):
    """Choose by precision.

    float32: the quotient of two polynomials of Eigen's `ptanh`, exact to 3e-7.
    float64: Cody and Waite's quotient (as in Cephes' `tanh.c`) of a thirty-second of x,
    and five times the formula of the double argument, exact to a few units in the last
    place.
    """
    if x.bitwidth == 32:
        top = np.float32(7.90531110763549805)
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
            # In this order NaN stays NaN.
            x = top if x > top else (-top if x < -top else x)
            s = x * x
            above = p[0] * s + p[1]
            above = above * s + p[2]
            above = above * s + p[3]
            above = above * s + p[4]
            above = above * s + p[5]
            above = above * s + p[6]
            below = q[0] * s + q[1]
            below = below * s + q[2]
            below = below * s + q[3]
            return x * above / below

        return impl

    def impl(x):
        x = 20.0 if x > 20.0 else (-20.0 if x < -20.0 else x)
        y = x / 32
        s = y * y
        above = (-9.64399179425052238628e-1 * s - 9.92877231001918586564e1) * s
        above -= 1.61468768441708447952e3
        below = (s + 1.12811678491632931402e2) * s + 2.23548839060100448583e3
        below = below * s + 4.84406305325125486048e3
        t = y + y * s * above / below
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        t = 2 * t / (1 + t * t)
        return 2 * t / (1 + t * t)

    return impl
