"""The same data trained with several methods, and what came of each."""
