"""Predictions step by step: streams and forecasts."""
