"""Models that run without torch: ONNX, and a page for the browser. Needs the extra ``export``."""
