"""What was registered: contexts, features, prior knowledge, checks (layer `model`)."""
