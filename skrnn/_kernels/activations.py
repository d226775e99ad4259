"""Activation functions as plain arithmetic on `Vector` operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Coefficients of polynomials in the square of the argument, the highest first.
NUMERATOR = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
DENOMINATOR = (
    1.19825839466702e-06,
    1.18534705686654e-04,
    2.26843463243900e-03,
    4.89352518554385e-03,
)
BOUND = 7.90531110763549805
DOUBLE_NUMERATOR = (
    -9.64399179425052238628e-1,
    -9.92877231001918586564e1,
    -1.61468768441708447952e3,
)
DOUBLE_DENOMINATOR = (
    1.0,
    1.12811678491632931402e2,
    2.23548839060100448583e3,
    4.84406305325125486048e3,
)
DOUBLE_BOUND = 20.0


def tanh(*arguments: Any) -> Any:
    """Return the hyperbolic tangent of each `Vector`, or of the only one.

    float32: the rational function of Eigen's `ptanh`, accurate to 3e-7. float64: the
    rational function of Cody and Waite (as in Cephes' `tanh.c`) at x / 32, then five
    times tanh(2 y) = 2 tanh(y) / (1 + tanh(y)^2), accurate to a few units in the last
    place. Several arguments share their divisions, see `divide`.
    """
    if arguments[0].is_single:
        arguments = [x.clip(BOUND) for x in arguments]
        squares = [x * x for x in arguments]
        results = divide(
            [
                x * polynomial(square, NUMERATOR)
                for x, square in zip(arguments, squares, strict=True)
            ],
            [polynomial(square, DENOMINATOR) for square in squares],
        )
    else:
        arguments = [x.clip(DOUBLE_BOUND) * (1 / 32) for x in arguments]
        squares = [y * y for y in arguments]
        ratios = divide(
            [polynomial(square, DOUBLE_NUMERATOR) for square in squares],
            [polynomial(square, DOUBLE_DENOMINATOR) for square in squares],
        )
        results = [
            y + y * square * ratio
            for y, square, ratio in zip(arguments, squares, ratios, strict=True)
        ]
        for _ in range(5):
            results = divide([2 * t for t in results], [1 + t * t for t in results])
    return results[0] if len(results) == 1 else results


def sigmoid(*arguments: Any) -> Any:
    """Return 1 / (1 + exp(-x)) of each `Vector`, or of the only one."""
    results = tanh(*(0.5 * x for x in arguments))
    if len(arguments) == 1:
        return 0.5 + 0.5 * results
    return [0.5 + 0.5 * t for t in results]


def divide(numerators: Any, denominators: Any) -> list[Any]:
    """Return the quotients by one division, which takes as long as many products.

    It is by the product of all denominators, whose range must allow that.
    """
    if len(numerators) == 1:
        return [numerators[0] / denominators[0]]
    products = [denominators[0]]
    for denominator in denominators[1:]:
        products.append(products[-1] * denominator)
    inverse, quotients = 1 / products[-1], []
    for k in range(len(numerators) - 1, 0, -1):
        quotients.append(numerators[k] * (inverse * products[k - 1]))
        inverse = inverse * denominators[k]
    quotients.append(numerators[0] * inverse)
    return quotients[::-1]


def polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """Return a polynomial by Horner's rule, the highest power first."""
    result = x.lift(coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result
