"""Data that come with the package, gene sets, and simulations with a known truth."""

from omicstl.datasets._cells import pbmc_citeseq
from omicstl.datasets._cohorts import sle_adult, sle_pediatric
from omicstl.datasets._gene_sets import gene_sets
from omicstl.datasets._identifiers import gene_identifiers
from omicstl.datasets._multiplier import multiplier_scores
from omicstl.datasets._reference import blood_reference
from omicstl.datasets._simulate import PathwayTruth, simulate_pathways
from omicstl.datasets._simulate_drug_response import DrugResponseTruth, simulate_drug_response

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
