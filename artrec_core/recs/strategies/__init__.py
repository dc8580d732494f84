"""Strategies: components, folding, filters, candidates, re-ranking and exploration."""
