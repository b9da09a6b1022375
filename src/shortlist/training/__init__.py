"""One visible loop; turns a declared model into arrays and ONNX graphs."""
