"""Transformers and functions that turn what users have into sequences."""
