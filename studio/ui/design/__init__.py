"""How the window looks and speaks: palettes, stylesheet, language."""
