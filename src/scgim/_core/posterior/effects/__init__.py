"""How large effects of targets are, along doses and between levels, where it is known which genes are targets (layer `_core`)."""
