"""Effects that cells do not show (layer `_core`; not from the paper)."""
