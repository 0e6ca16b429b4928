"""The recipe: everything that decides what a run learns from and how, declared once."""
