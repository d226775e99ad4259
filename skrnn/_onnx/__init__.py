"""Fitted estimators as ONNX graphs; imported where a model is exported."""
