"""What a drug may do to its targets, one kind a file: scores, and the cells that follow (layer `_core`)."""
