"""Which share of the cells responds to a drug."""
