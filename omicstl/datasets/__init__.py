"""Data that come with the package, gene sets, and simulations with a known truth."""

from ._cells import pbmc_citeseq
from ._cohorts import sle_adult, sle_pediatric
from ._gene_sets import gene_sets
from ._identifiers import gene_identifiers
from ._multiplier import multiplier_scores
from ._reference import blood_reference
from ._simulate import PathwayTruth, simulate_pathways
from ._simulate_drug_response import DrugResponseTruth, simulate_drug_response

__all__ = [
    "DrugResponseTruth",
    "PathwayTruth",
    "blood_reference",
    "gene_identifiers",
    "gene_sets",
    "multiplier_scores",
    "pbmc_citeseq",
    "simulate_drug_response",
    "simulate_pathways",
    "sle_adult",
    "sle_pediatric",
]
