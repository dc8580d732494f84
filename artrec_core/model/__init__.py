"""Turns text into vectors: the two towers, their training and the model registry."""
