"""The demo world: well-known artworks as facts, and simulated visitors who look at them."""
