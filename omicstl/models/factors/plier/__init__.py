"""PLIER: factors that follow gene sets."""
