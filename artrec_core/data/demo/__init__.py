"""The demo data: facts about well-known artworks, and simulated visitors who look at them."""
