"""Tables that are made of what was read: columns out of cells, replies put to what they answer, gaps and keys read."""
