"""The torch module: networks, closed-form expectation, training plan (layer `model`)."""
