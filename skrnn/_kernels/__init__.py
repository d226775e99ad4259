"""Compiled loops of the recurrent layers and the optimiser (numba)."""
