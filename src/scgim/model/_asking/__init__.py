"""What a fitted model is asked besides predictions: interventions, suggestions, experiments (layer `model`)."""
