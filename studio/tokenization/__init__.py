"""From an example to token ids and labels: chat template, rendering, truncation. Trainer and preview share it."""
