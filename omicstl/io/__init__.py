"""Read and write gene sets, models and tables of loadings; read compendia, drug screens and published results."""

from omicstl.io._archs4 import read_archs4
from omicstl.io._depmap import read_depmap
from omicstl.io._gdsc import read_gdsc
from omicstl.io._gene_sets import read_gmt, write_gmt
from omicstl.io._models import factor_table, read_model, write_model
from omicstl.io._plier import read_plier
from omicstl.io._refinebio import read_refinebio

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
