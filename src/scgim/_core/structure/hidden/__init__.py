"""Hidden causes that move several genes at once: latent factors of the noises (layer `_core`; not from the paper)."""
