"""What is learned from: what an example becomes, and the loss over it."""
