"""What to write in the methods section, and what to cite."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from anndata import AnnData

from omicstl._core.public import public
from omicstl._core.registry import Record, fill, record, record_of_kind, records

_ALWAYS = ("Wolf2018", "Virshup2024", "Bradbury2018")
_PACKAGE = (
    "The analysis used omicstl {omicstl_version} with anndata (Virshup et al., 2024), scanpy (Wolf et al., 2018) and "
    "JAX (Bradbury et al., 2018)."
)


@cache
def references() -> Mapping[str, str]:
    """Return the bundled BibTeX entries by key."""
    text = resources.files("omicstl._core").joinpath("references.bib").read_text(encoding="utf-8")
    return {
        match[1]: match[0].strip() for match in re.finditer(r"^@\w+\{(\w+),\n.*?^\}", text, re.DOTALL | re.MULTILINE)
    }


@public
def cite(what: AnnData | str | None = None) -> str:
    r"""Write a methods paragraph and the BibTeX entries of what was done.

    Reads from ``adata.uns`` which methods of this package were run, with the values that were used.

    Parameters
    ----------
    what
        An object that was analysed, or the name of one method, e.g. ``"plier"``. `None` cites the package's foundations
        alone.

    Returns
    -------
    The paragraph, an empty line, and the BibTeX entries.

    Raises
    ------
    KeyError
        If `what` is a name that is not in the table of methods.
    TypeError
        If `what` is something else.

    Notes
    -----
    The texts come from the table of methods. Cost: nothing but reading ``uns``.

    Examples
    --------
    >>> import omicstl as otl
    >>> print(otl.cite("plier").splitlines()[0])
    Pathway-level factors were learned with PLIER (Mao et al., 2019) as implemented in omicstl ...
    """
    if what is None:
        done: list[tuple[Record, dict[str, object]]] = []
    elif isinstance(what, str):
        done = [(record(what), {})]
    elif isinstance(what, AnnData):
        done = list(_runs(what))
    else:
        msg = f"`what` must be an AnnData, the name of a method or None, got {type(what).__name__}."
        raise TypeError(msg)
    version = {"omicstl_version": sys.modules["omicstl"].__version__}
    sentences: list[str] = []
    keys: list[str] = []
    for row, values in done:
        sentences.append(row.describe({**values, **version}))
        keys += [*row.citations, *_reference_citations(values)]
    sentences.append(fill(_PACKAGE, version))
    entries = [references()[key] for key in dict.fromkeys([*keys, *_ALWAYS])]
    return "\n\n".join([" ".join(dict.fromkeys(sentences)), *entries])


def _runs(adata: AnnData) -> Iterator[tuple[Record, dict[str, object]]]:
    table = records()
    for key in adata.uns:
        entry = adata.uns[key]
        kind = entry.get("kind") if isinstance(entry, Mapping) else None
        row = record_of_kind(kind)
        if row is not None:
            yield row, _values(key, entry)
            for part in entry:  # what other methods added to the entry, e.g. the stability of a fit
                if part in table and isinstance(entry[part], Mapping) and "params" in entry[part]:
                    yield table[part], _values(key, entry[part])


def _values(key: str, entry: Mapping[str, Any]) -> dict[str, object]:
    scalars = (str, int, float, bool)
    values: dict[str, object] = {"key": key}
    params, reference = entry.get("params"), entry.get("reference")
    if isinstance(params, Mapping):
        values |= {name: value for name, value in params.items() if isinstance(value, scalars) and value is not False}
        values |= {name: _enumerated(value) for name, value in params.items() if isinstance(value, np.ndarray)}
    values |= {name: value for name, value in entry.items() if isinstance(value, scalars)}
    if isinstance(reference, Mapping):
        values |= {f"reference_{name}": value for name, value in reference.items() if isinstance(value, scalars)}
        values["reference_digest_short"] = str(reference["digest"])[:12] if "digest" in reference else None
    names = entry.get("names")
    values["n_names"] = len(names) if names is not None and not isinstance(names, str) else None
    return values


def _enumerated(value: np.ndarray) -> str | None:
    """Names in words; no name, or numbers, leave the part of the sentence out."""
    if value.ndim != 1 or not value.size or value.dtype.kind not in "OUT":
        return None
    return ", ".join(f"'{name}'" for name in value)


def _reference_citations(values: dict[str, object]) -> tuple[str, ...]:
    row = records().get(str(values.get("reference_kind")))
    more = [
        str(values.get(name)) for name in ("table_citation", "level_citation")
    ]  # of a table of names, or a level, that was used
    return (*(row.citations if row is not None else ()), *(key for key in more if key in references()))
