"""Answers of models, and the exam over the examples set aside."""
