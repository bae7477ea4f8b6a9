"""Factors of expression: a family of models a package, and what works on the factors of any."""
