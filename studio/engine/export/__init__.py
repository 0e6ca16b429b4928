"""What was trained as a model of its own: merged, as GGUF, and checked."""
