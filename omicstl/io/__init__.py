"""Read and write gene sets, models and tables of loadings; read compendia and published results."""

from omicstl.io._gene_sets import read_gmt, write_gmt
from omicstl.io._models import factor_table, read_model, write_model

__all__ = ["factor_table", "read_gmt", "read_model", "write_gmt", "write_model"]
