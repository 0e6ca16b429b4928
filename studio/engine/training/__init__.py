"""Training: the trainer, its data, its loss, its checkpoints."""
