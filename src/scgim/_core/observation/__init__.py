"""How cells are observed: moments of the layer behind counts and zeros, and moves of what was observed (layer `_core`)."""
