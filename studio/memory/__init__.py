"""What a run needs: estimated, held against what there is, and changed until it fits."""
