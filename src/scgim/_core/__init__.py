"""Numerics without AnnData: moments, exact score, order search, mechanisms, interventions, features (numpy and torch)."""
