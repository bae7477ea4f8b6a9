"""Terms that bring the latent variables of two domains together: a file each, with a class that it names METHOD.

These files load without jax, so that options can be named and checked; ``init`` and ``loss`` import what they need.
"""
