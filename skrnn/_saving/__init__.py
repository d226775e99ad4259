"""Model files: what `save_model` writes and `load_model` reads."""
