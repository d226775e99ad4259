"""A bundled data set and generators of synthetic data."""

from skrnn.datasets._airline import load_airline_passengers
from skrnn.datasets._generated import (
    make_binary_addition,
    make_order_sentences,
    make_sine_waves,
)
from skrnn.datasets._stores import make_store_sales

__all__ = [
    "load_airline_passengers",
    "make_binary_addition",
    "make_order_sentences",
    "make_sine_waves",
    "make_store_sales",
]
