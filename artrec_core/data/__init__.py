"""1 · Data: from raw records to artworks, users, events, a catalogue and histories."""
