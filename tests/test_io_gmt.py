import pandas as pd
import pytest

from omicstl.io import read_gmt, write_gmt

SETS = {"T cell": ["CD3E", "CD2"], "B cell": ["CD2", "CD3E", "CD19"]}


@pytest.mark.parametrize("name", ["a.gmt", "a.gmt.gz"])
def test_round_trip_keeps_the_order_within_sets(tmp_path, name):
    write_gmt(tmp_path / name, SETS, descriptions={"B cell": "a note"})
    assert read_gmt(tmp_path / name) == SETS
    write_gmt(tmp_path / "b.gmt", tmp_path / name)
    assert {key: set(genes) for key, genes in read_gmt(tmp_path / "b.gmt").items()} == {
        k: set(g) for k, g in SETS.items()
    }


def test_equal_sets_give_equal_bytes(tmp_path):
    for name in ("a.gmt.gz", "b.gmt.gz"):
        write_gmt(tmp_path / name, SETS)
    assert (tmp_path / "a.gmt.gz").read_bytes() == (tmp_path / "b.gmt.gz").read_bytes()


def test_a_table_is_written_too(tmp_path):
    write_gmt(tmp_path / "a.gmt", pd.DataFrame({"source": ["T", "T"], "target": ["CD2", "CD3E"]}))
    assert read_gmt(tmp_path / "a.gmt") == {"T": ["CD2", "CD3E"]}


def test_errors(tmp_path):
    with pytest.raises(KeyError, match="'B cel' not found in gene_sets. Did you mean 'B cell'"):
        write_gmt(tmp_path / "a.gmt", SETS, descriptions={"B cel": ""})
    with pytest.raises(ValueError, match="cannot stand in a GMT file"):
        write_gmt(tmp_path / "a.gmt", {"A\tB": ["CD2"]})
    with pytest.raises(FileNotFoundError, match="no file"):
        read_gmt(tmp_path / "absent.gmt")
    assert not (tmp_path / "a.gmt").exists()
