"""Conversations with a model: how they are kept, what of them it is told again, and what becomes data."""
