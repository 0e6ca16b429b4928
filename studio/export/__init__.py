"""Where a trained model can go: folders that other programs open."""
