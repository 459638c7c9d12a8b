"""Answers: requests, predicted and counterfactual cells, tables (layer `model`)."""
