"""Likelihoods of a decoder, and when a latent unit counts as active; loads no compiler."""

from __future__ import annotations

#: Likelihoods: outputs of the decoder for each variable, parameters that each variable has for itself.
LIKELIHOODS: dict[str, tuple[int, tuple[str, ...]]] = {
    "gaussian": (1, ()),
    "gaussian_learned": (1, ("log_scale",)),
    "bernoulli": (1, ()),
    "poisson": (1, ()),
    "nb": (1, ("log_inverse_dispersion",)),
    "zinb": (2, ("log_inverse_dispersion",)),
}
COUNTS = ("poisson", "nb", "zinb")
GAUSSIAN = ("gaussian", "gaussian_learned")
ACTIVE = 0.01  # variance of a unit's posterior mean below which it carries nothing (Burda et al. 2016)
