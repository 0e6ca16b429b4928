"""A desktop studio in which people who don't program fine-tune language models on their own computer."""

__version__ = "0.1.0"
