"""Bring the variables of an AnnData to other identifiers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import check_choice, listed
from omicstl._core.log import TransferWarning, info, warn
from omicstl._core.public import public
from omicstl._data.adata import check_adata, layer_names
from omicstl._data.commit import Result, check_in_memory, check_target, replace_variables
from omicstl._data.features import described, no_overlap_message
from omicstl._data.genesets import gene_lists, read_gene_sets
from omicstl._data.identifiers import bare_names, bundled_identifiers, choose_columns, read_pairs, read_table
from omicstl._data.remap import RULES, Plan, check_matrix, combine, is_counts, largest, plan

if TYPE_CHECKING:
    from anndata import AnnData

_FEW = 0.1
_BUNDLED = {"table_name": "the table of Geneformer (Theodoris et al., 2023)", "table_citation": "Theodoris2023"}


@public
def map_features(
    adata: AnnData,
    table: pd.DataFrame | str | Path | None = None,
    *,
    source: str | None = None,
    target: str | None = None,
    keep_known: bool = True,
    duplicates: str | None = None,
    gene_sets: str | Path | dict[str, list[str]] | pd.DataFrame | None = None,
    key_added: str = "map_features",
    copy: bool = False,
) -> AnnData | None:
    r"""Bring the variables to other identifiers: Ensembl ids to symbols, former symbols to current ones, mouse to human.

    For data whose `var_names` are not those of a reference or of a collection of gene sets. Names are looked up exactly as
    they are written, except that Ensembl ids lose their version and ``_PAR_Y`` first (``ENSG00000182378.15_PAR_Y``).

    Parameters
    ----------
    adata
        Data of any scale; `var_names` may repeat. Shape (n_obs, n_vars).
    table
        Pairs of names, one a row: a table, or the path of a ``.csv`` or of a tab-separated ``.tsv`` or ``.txt`` file, plain or
        gzipped. `None` takes the bundled human table, `omicstl.datasets.gene_identifiers`.
    source
        Column of `table` with the present names. `None` only for the bundled table: its column of the kind that most of
        `var_names` are, ``"gene_name"`` or ``"ensembl_id"``.
    target
        Column of `table` with the new names. `None` only for the bundled table: its other column.
    keep_known
        Leave a name as it is if the column `target` holds it, also where the column `source` holds it too: a current symbol
        can be a former symbol of another gene. `False` looks up every name, for two species that spell different genes alike.
    duplicates
        What to do with variables that come to share a name: ``"sum"``, ``"mean"``, or ``"largest"``, which keeps the one with
        the largest mean in ``adata.X`` (usual for array probes). `None` decides for X and for each layer by its values:
        ``"sum"`` where all are whole numbers, none negative (counts), otherwise ``"mean"``.
    gene_sets
        Gene sets in the new identifiers (path of a GMT file, dict, table), to be told which of their genes are retired
        names: neither among the mapped variables nor in the column `target`, which must list all current names for this.
    key_added
        Name of the report in ``adata.uns``.
    copy
        Return a copy instead of changing `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. `adata` gets the new variables, in the order of first appearance, with `var` of the first
    variable of each name. Variables without a partner, or with several in `table`, are left out. `raw` is dropped, and
    where variables were added up or averaged `varm` and `varp` too. Layouts stay (dense, CSR, CSC, dask). Writes
    ``uns[key_added]``:

    - ``params``: columns, options and the counts ``n_before``, ``n_after``, ``n_unmapped``, ``n_ambiguous``, ``n_merged``
      (variables that share their new name), ``n_stay`` (variables that had a target name), ``n_retired``
    - ``unmapped``, ``ambiguous``: names without a partner, and with several
    - ``merged``: `source` and `target` of the variables that share a new name; ``rules``: what was done to which matrix
    - ``shared``: `source` and `target` of pairs that were not applied because of `keep_known`
    - ``retired``: `set` and `gene` of the retired names; ``dropped``: slots that were dropped

    Raises
    ------
    KeyError
        If `source` or `target` is not a column of `table` (the near miss is named).
    ValueError
        If no name is in the table (both kinds of identifiers are named), the table is empty, the columns are not given, or
        `gene_sets` share nothing with the new identifiers.
    TypeError
        If a column holds something else than names, or a matrix holds something else than numbers.
    FileNotFoundError
        If there is no file at the path.
    NotImplementedError
        If `adata` is backed by a file, or a matrix is of another type.

    Warns
    -----
    TransferWarning
        If fewer than one in ten variables is mapped, or if gene sets lose half of their genes or more to retired names.

    Notes
    -----
    Counts of one gene under several ids are parts of one count and add up: the total is conserved but for variables left
    out. Logarithms do not add up (:math:`\log a + \log b = \log ab`), and the exact way, to take them back, add and take
    them again, needs their base and the normalisation, which the values do not tell. The mean keeps the scale. Where you
    have counts, map them first and normalise afterwards. A copy ``_PAR_Y`` is often all zeros, as reads are counted on X:
    on logarithms the mean then halves the gene, and ``duplicates="largest"`` does not.

    A variable with several targets is left out, because a value cannot be shared out; several sources of one target are
    combined. For one-to-one orthologs alone, drop the repeated names of the second column first:
    ``table.drop_duplicates("human_symbol", keep=False)``.

    The bundled table is that of Geneformer :cite:p:`Theodoris2023` and knows current symbols only. Former symbols need a
    table of your own, such as a download from HGNC, one pair a row: ``source="Previous symbol", target="Approved symbol"``.
    A second call writes over the report of the first unless it has another `key_added`. Cost: one pass over the values and
    a sparse product :math:`X M` with as many entries in M as variables.

    Examples
    --------
    >>> import anndata as ad, numpy as np, omicstl as otl, pandas as pd
    >>> var = pd.DataFrame(index=["ENSG00000081237.21", "ENSG00000182378.15", "ENSG00000182378.15_PAR_Y", "ERCC-00002"])
    >>> adata = ad.AnnData(np.array([[5, 2, 3, 90]], dtype=np.float32), var=var)
    >>> otl.pp.map_features(adata)
    >>> adata.to_df()
       PTPRC  PLCXD1
    0    5.0     5.0
    >>> adata.uns["map_features"]["unmapped"].tolist()
    ['ERCC-00002']

    Orthologs, or any other pairs, from a table of your own:

    >>> pairs = pd.DataFrame({"human": ["PTPRC", "PLCXD1"], "mouse": ["Ptprc", "Plcxd1"]})
    >>> otl.pp.map_features(adata, pairs, source="human", target="mouse")
    >>> adata.var_names.tolist()
    ['Ptprc', 'Plcxd1']
    """
    check_adata(adata)
    check_in_memory(adata)
    check_target(adata, key_added, kind="map_features", copy=copy)
    check_choice("duplicates", duplicates, (None, *RULES))
    if 0 in adata.shape:
        msg = f"adata has {adata.n_obs} observations and {adata.n_vars} variables; at least one of each is needed."
        raise ValueError(msg)
    names = np.asarray(adata.var_names).astype(str)
    frame = bundled_identifiers() if table is None else read_table(table)
    source, target = choose_columns(frame, names, source, target, own=table is not None)
    pairs, targets = read_pairs(frame, source, target)
    made = plan(names, pairs, keep=targets if keep_known else targets[:0])
    if made.kept.size == 0:
        raise ValueError(_nothing(names, frame, pairs, source, target, made))
    retired = _retired(gene_sets, made.names, targets.to_numpy(dtype=object), target)
    index, rules, matrices = _merge(adata, made, duplicates)
    dropped = _dropped(adata, merged=matrices is not None)
    params = {
        "table": "bundled" if table is None else "own",
        **(_BUNDLED if table is None else dict.fromkeys(_BUNDLED)),
        "source": source,
        "target": target,
        "keep_known": bool(keep_known),
        "duplicates": " and ".join(dict.fromkeys(rules["rule"])) or None,
        **_counts(made, names.size, len(retired)),
    }
    report = _report(made, names) | {"rules": rules, "retired": retired, "dropped": np.array(dropped, dtype=object)}
    if made.kept.size < _FEW * names.size:
        warn(
            f"Only {made.kept.size:,} of {names.size:,} variables have a name in {target!r}. Is {source!r} the right column? "
            f"Not found: {listed(made.unmapped)}.",
            TransferWarning,
        )
    result = Result(key=key_added, uns={"kind": "map_features", "version": 1, "params": params, **report})
    written = replace_variables(adata, result, index, made.names, matrices=matrices, copy=copy)
    _tell(params, dropped, rules)
    return written


def _counts(made: Plan, n_before: int, n_retired: int) -> dict[str, int]:
    return {
        "n_before": n_before,
        "n_after": made.names.size,
        "n_unmapped": made.unmapped.size,
        "n_ambiguous": made.ambiguous.size,
        "n_merged": int(made.sizes[made.sizes > 1].sum()),
        "n_stay": made.n_stay,
        "n_retired": n_retired,
    }


def _report(made: Plan, names: np.ndarray) -> dict[str, Any]:
    """Names that were left out, and those that share one now."""
    shares = (made.sizes > 1)[made.group]
    return {
        "unmapped": made.unmapped,
        "ambiguous": made.ambiguous,
        "merged": pd.DataFrame({"source": names[made.kept[shares]], "target": made.names[made.group[shares]]}),
        "shared": made.shared,
    }


def _merge(
    adata: AnnData, made: Plan, duplicates: str | None
) -> tuple[np.ndarray, pd.DataFrame, dict[str | None, Any] | None]:
    """Return the variable that stands for each new name, the rule of each matrix, and X and layers if made anew."""
    found: dict[str | None, Any] = {} if adata.X is None else {None: adata.X}
    found |= {name: adata.layers[name] for name in layer_names(adata)}
    where = {name: "adata.X" if name is None else f"adata.layers[{name!r}]" for name in found}
    if made.sizes.max() == 1 or not found:
        return made.first, pd.DataFrame({"matrix": [], "rule": []}, dtype=object), None
    for name, x in found.items():
        check_matrix(x, where[name])
    if duplicates == "largest":
        if adata.X is None:
            msg = "duplicates='largest' compares means in adata.X, which is None. Use 'sum' or 'mean', or set adata.X."
            raise ValueError(msg)
        index, matrices = largest(adata.X, made), None
        rule = dict.fromkeys(found, "largest")
    else:
        rule = {name: duplicates or ("sum" if is_counts(x) else "mean") for name, x in found.items()}
        index, matrices = made.first, {name: combine(x, made, rule[name]) for name, x in found.items()}
    return index, pd.DataFrame({"matrix": [where[name] for name in rule], "rule": list(rule.values())}), matrices


def _dropped(adata: AnnData, *, merged: bool) -> list[str]:
    raw = [] if adata.raw is None else ["raw"]
    return raw + [f"{slot}[{name!r}]" for slot in ("varm", "varp") for name in getattr(adata, slot) if merged]


def _nothing(names: np.ndarray, table: pd.DataFrame, pairs: pd.DataFrame, source: str, target: str, made: Plan) -> str:
    """Say why no variable has a new name."""
    if made.ambiguous.size:
        return (
            f"All variables that `table` knows have several targets, such as {listed(made.ambiguous)}, and which is meant "
            "cannot be told. Keep one row of each source."
        )
    here = {*names.tolist(), *bare_names(names)}
    others = {str(name): int(column.isin(here).sum()) for name, column in table.items() if name != source}
    best = max(others, key=lambda name: others[name], default="")
    if others.get(best):
        way_out = f"pass source={best!r}" if best != target else "they have the new names already"
        return (
            f"No name of adata.var_names ({described(names)}) is in the column {source!r} of the table "
            f"({described(pairs['source'].to_numpy(dtype=str))}), but {others[best]:,} rows of the column {best!r} hold one: "
            f"{way_out}."
        )
    return no_overlap_message(names, pairs["source"].to_numpy(dtype=str), "adata.var_names", f"the column {source!r}")


def _retired(gene_sets: Any, new: np.ndarray, current: np.ndarray, target: str) -> pd.DataFrame:
    """Return sets and genes that are no current names, and warn of the sets that lose half of their genes or more."""
    if gene_sets is None:
        return pd.DataFrame({"set": [], "gene": []}, dtype=object)
    known = {*new, *current}
    sets = gene_lists(read_gene_sets(gene_sets))
    members = pd.DataFrame([(name, gene) for name, genes in sets.items() for gene in genes], columns=["set", "gene"])
    unknown = ~members["gene"].isin(known)
    if unknown.all():
        genes = members["gene"].unique().astype(str)
        raise ValueError(no_overlap_message(current.astype(str), genes, f"the column {target!r}", "`gene_sets`"))
    retired = members[unknown].reset_index(drop=True)
    lost = unknown.groupby(members["set"], sort=False).agg(["sum", "size"])
    emptied = lost[lost["sum"] * 2 >= lost["size"]]
    if len(emptied):
        shown = [f"{name} ({row['sum']} of {row['size']})" for name, row in emptied.iterrows()]
        warn(
            f"{len(emptied)} of {len(sets)} gene sets lose half of their genes or more, because these are neither in the data "
            f"nor current names in {target!r}: {listed(shown)}. Bring the sets to the names of the table, too.",
            TransferWarning,
        )
    if len(retired):
        info(
            f"{retired['gene'].nunique():,} of {members['gene'].nunique():,} genes of the sets, in "
            f"{retired['set'].nunique()} of {len(sets)} sets, are names that neither the data nor the table has: "
            f"{listed(dict.fromkeys(retired['gene']))}."
        )
    return retired


def _tell(params: dict[str, Any], dropped: list[str], rules: pd.DataFrame) -> None:
    counts, way = params, f"from {params['source']!r} to {params['target']!r}"
    text = f"Mapped {counts['n_before']:,} variables {way}: {counts['n_after']:,} variables"
    parts = [
        f"{counts['n_merged']:,} that share a name combined ({', '.join(f'{m}: {r}' for m, r in rules.to_numpy())})"
        * bool(counts["n_merged"]),
        f"{counts['n_stay']:,} left as they were" * bool(counts["n_stay"]),
        f"{counts['n_unmapped']:,} without a partner and {counts['n_ambiguous']:,} with several left out",
        f"dropped {listed(dropped)}" * bool(dropped),
    ]
    info("; ".join([text, *(part for part in parts if part)]) + ".")
