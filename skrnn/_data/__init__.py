"""The data on its way in: sequences, targets, normalization and splits."""
