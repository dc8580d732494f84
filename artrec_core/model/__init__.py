"""Text to vectors: the two towers, their training and their registry."""
