"""Tables of names in any form, and what is refused when variables are mapped: with words that help, and nothing changed."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from tests.support.names import NEW, OLD, TABLE, WAY, counts, refused
from tests.support.snapshots import changes, snapshot


@pytest.mark.parametrize(
    ("name", "packed", "separator"),
    [
        ("a.csv", False, ","),
        ("a.tsv", False, "\t"),
        ("a.TSV.gz", True, "\t"),
        ("a.csv.gz", True, ","),
        ("a.txt", False, "\t"),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_files_give_the_answer_of_the_table(tmp_path, name, packed, separator, as_text):
    path = tmp_path / name
    table = TABLE.assign(NA="NA").replace({"C": "NA"})  # NA is a name, an empty field is none
    text = table.to_csv(sep=separator, index=False).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    adata = counts()
    otl.pp.map_features(adata, str(path) if as_text else path, **WAY)
    assert adata.var_names.tolist() == ["A", "B", "NA", "D", "E", "F"]


@pytest.mark.parametrize("column", [[5788, 930, 2], [5788.0, 930.0, np.nan], ["5788", "930 ", None]])
def test_numbers_as_names(column):
    adata = counts(names=["5788", "930", "7"])
    otl.pp.map_features(adata, pd.DataFrame({"n": column, "s": ["PTPRC", "CD19", "A2M"]}), source="n", target="s")
    assert adata.var_names.tolist() == ["PTPRC", "CD19"]


def test_categories_and_other_indices_are_tables_too():
    table = TABLE.astype("category").set_index(pd.Index(range(5, 5 + len(TABLE))))
    adata = counts()
    otl.pp.map_features(adata, table, **WAY)
    assert adata.var_names.tolist() == ["A", "B", "C", "D", "E", "F"]


def test_rows_that_repeat_are_no_second_target():
    adata, other = counts(), counts()
    otl.pp.map_features(adata, TABLE, **WAY)
    otl.pp.map_features(other, pd.concat([TABLE, TABLE]), **WAY)
    assert not changes(snapshot(adata), snapshot(other))


DOUBLE = pd.DataFrame([["old0", "A", "a"]], columns=["old", "new", "new"])
REFUSED = {
    "no columns": (ValueError, r"`source` must name a column of `table`.*Columns: 'old', 'new'", (TABLE,), {}),
    "no target": (ValueError, "`target` must name a column", (TABLE,), {"source": "old"}),
    "near miss": (KeyError, "'olds' not found in the columns of `table`.*Did you mean 'old'", (TABLE,), WAY | {"source": "olds"}),
    "target": (KeyError, r"'x' not found.*argument `target`.*Available: \['old', 'new'\]", (TABLE,), WAY | {"target": "x"}),
    "one column": (ValueError, "must be two columns of `table`, got 'old' for both", (TABLE,), WAY | {"target": "old"}),
    "two columns of one name": (ValueError, "2 columns called 'new'", (DOUBLE,), WAY),
    "empty": (ValueError, "`table` has 0 rows, and none with names in both", (TABLE[:0],), WAY),
    "only gaps": (ValueError, "has 13 rows, and none", (TABLE.assign(new=np.nan),), WAY),
    "a dict": (TypeError, r"`table` must be a pandas.DataFrame, a path or None, got .* of type dict", (NEW,), WAY),
    "infinite numbers": (TypeError, r"`table`\['new'\] must hold names, got inf", (TABLE.assign(new=np.inf),), WAY),
    "numbers that are no names": (TypeError, r"`table`\['new'\] must hold names, got 0.5", (TABLE.assign(new=0.5),), WAY),
    "dates": (TypeError, "Timestamp.*dtype=str", (TABLE.assign(new=pd.Timestamp("2020-03-01")),), WAY),
    "no file": (FileNotFoundError, "no file 'no.csv'", ("no.csv",), WAY),
    "another file": (ValueError, "'.tsv', '.txt', '.csv'.*got 'table.xlsx'", ("table.xlsx",), WAY),
    "the wrong way": (ValueError, r"is in the column 'new'.*9 rows of the column 'mine' hold one: pass source='mine'", (TABLE.rename(columns={"old": "mine"}).assign(other="o")[["mine", "new", "other"]].iloc[:9],), {"source": "new", "target": "other"}),
    "nothing maps": (ValueError, "No gene is shared by adata.var_names .*the column 'old' .*map_features", (pd.DataFrame({"old": ["ENSG00000081237"], "new": ["PTPRC"]}),), WAY),
    "all have several": (ValueError, "several targets, such as 'old3'", (TABLE[9:11],), WAY),
    "rule": (ValueError, "`duplicates` must be one of None, 'sum', 'mean', 'largest', got 'sums'. Did you mean 'sum'", (TABLE,), WAY | {"duplicates": "sums"}),
    "flag": (TypeError, "`keep_known` must be True or False", (TABLE,), WAY | {"keep_known": 1}),
    "copy": (TypeError, "`copy` must be True or False", (TABLE,), WAY | {"copy": "yes"}),
    "key": (ValueError, "letters, digits and underscores", (TABLE,), WAY | {"key_added": "a/b"}),
    "other sets": (ValueError, "No gene is shared by the column 'new'", (TABLE,), WAY | {"gene_sets": {"S": ["PTPRC"]}}),
    "no sets": (ValueError, "`gene_sets` is empty", (TABLE,), WAY | {"gene_sets": {}}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input(name):
    error, words, more, options = REFUSED[name]
    refused(error, words, counts(), *more, **options)


def test_bad_files(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"old,new\nold0,A\n" * 50)[:-12])
    refused(ValueError, "a.csv.gz is not a readable table", counts(), tmp_path / "a.csv.gz", **WAY)
    (tmp_path / "b.csv").write_bytes(b"")
    refused(ValueError, "b.csv is not a readable table", counts(), tmp_path / "b.csv", **WAY)
    (tmp_path / "c.csv").write_bytes("old,new\nä,A\n".encode("latin-1"))
    refused(ValueError, "c.csv is not a readable table", counts(), tmp_path / "c.csv", **WAY)


def test_bad_data():
    with pytest.raises(TypeError, match="`adata` must be an AnnData, got ndarray"):
        otl.pp.map_features(np.ones((2, 2)), TABLE, **WAY)
    refused(ValueError, "7 observations and 0 variables", counts()[:, :0].copy(), TABLE, **WAY)
    odd = counts()
    odd.layers["words"] = np.full((7, 12), "a", dtype=object)
    refused(TypeError, r"adata.layers\['words'\] has dtype object: it cannot be combined", odd, TABLE, **WAY)
    taken = counts()
    taken.uns["plier"] = {"kind": "projection"}
    refused(ValueError, "holds a projection", taken, TABLE, key_added="plier", **WAY)


def test_a_failure_at_the_end_changes_nothing(monkeypatch):
    def broken(self, *args, **kwargs):
        msg = "at the end"
        raise MemoryError(msg)

    adata = counts()
    monkeypatch.setattr("omicstl._data.commit._validated", broken)
    refused(MemoryError, "at the end", adata, TABLE, **WAY)


def test_few_that_map_are_no_success():
    adata = counts(names=[*OLD, *(f"other{i}" for i in range(100))])
    with pytest.warns(
        otl.TransferWarning, match=r"Only 9 of 112 variables have a name in 'new'. Is 'old' the right column"
    ):
        otl.pp.map_features(adata, TABLE, **WAY)
    refused(otl.TransferWarning, "Only 9 of 112", counts(names=[*OLD, *(f"o{i}" for i in range(100))]), TABLE, **WAY)
