"""Command line: ``scgim demo``, ``scgim fit``, ``scgim predict``. Heavy packages are imported by the commands only."""

from scgim.cli._app import app, main

__all__ = ["app", "main"]
