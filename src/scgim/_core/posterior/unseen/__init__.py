"""Effects that cells do not show, and which way targets move (layer `_core`; not from the paper)."""
