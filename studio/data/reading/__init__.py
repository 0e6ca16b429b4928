"""What a model reads: chat templates, tokens, labels, lengths and cuts. Preview and trainer both use this."""
