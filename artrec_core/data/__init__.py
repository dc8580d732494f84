"""1 · Art and people in: from raw records to a catalogue and histories."""
