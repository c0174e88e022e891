"""A trained model taken along: ONNX graphs, a program that needs no torch, a page. Needs the extra ``export``."""
