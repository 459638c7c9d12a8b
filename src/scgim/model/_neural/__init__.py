"""Structure of neural mechanisms: parents, starts, changes of activity (layer `model`)."""
