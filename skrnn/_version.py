"""The version of skrnn, a plain literal that setuptools reads."""

__version__ = "0.1.0"
