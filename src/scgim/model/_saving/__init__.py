"""The file of a model: arrays and JSON, written beside and then put in place (layer `model`)."""
