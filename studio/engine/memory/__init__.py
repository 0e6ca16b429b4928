"""What a training step needs: traced without a card, probed on one."""
