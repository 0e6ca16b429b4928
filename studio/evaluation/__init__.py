"""Verdicts and statistics without torch."""
