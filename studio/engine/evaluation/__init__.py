"""Answers of models: greedy and many at once, or one that is streamed."""
