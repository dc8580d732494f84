"""The exact top-K engine: the k items with the highest inner product for every user, on a CPU or a GPU."""
