"""Small data sets that come with the package, for examples and tests."""

from skrnn.datasets._airline import load_airline_passengers

__all__ = ["load_airline_passengers"]
