"""Read and write gene sets, models and tables of loadings; read compendia, drug screens and published results."""

from ._archs4 import read_archs4
from ._depmap import read_depmap
from ._gdsc import read_gdsc
from ._gene_sets import read_gmt, write_gmt
from ._models import factor_table, read_model, write_model
from ._plier import read_plier
from ._refinebio import read_refinebio

__all__ = [
    "factor_table",
    "read_archs4",
    "read_depmap",
    "read_gdsc",
    "read_gmt",
    "read_model",
    "read_plier",
    "read_refinebio",
    "write_gmt",
    "write_model",
]
