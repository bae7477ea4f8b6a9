import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy import sparse

from omicstl._data.genesets import GeneSets, match, read_gene_sets
from omicstl._data.gmt import GmtSet, dump_gmt, parse_gmt

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=8).map(
    str.strip
)
WORD = TEXT.filter(bool)
SETS = st.lists(
    st.builds(GmtSet, WORD, TEXT, st.lists(WORD, unique=True, max_size=6)), unique_by=lambda item: item.name, max_size=6
)


@given(sets=SETS, suffix=st.sampled_from([".gmt", ".gmt.gz"]))
def test_gmt_round_trip(sets, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("gmt") / f"sets{suffix}"
    dump_gmt(path, sets)
    assert parse_gmt(path) == sets


def write(tmp_path, text, name="a.gmt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_blanks_empty_descriptions_and_newlines(tmp_path, newline):
    lines = ["\ufeffT cell\ta note with blanks\tCD3E\tCD2", "", "B cell\t\tCD19\tCD19\t MS4A1 \t", "none\t\t"]
    sets = parse_gmt(write(tmp_path, newline.join(lines)))
    assert sets == [
        GmtSet("T cell", "a note with blanks", ["CD3E", "CD2"]),
        GmtSet("B cell", "", ["CD19", "MS4A1"]),
        GmtSet("none", "", []),
    ]


@pytest.mark.parametrize("name", ["a.gmt", "a.gmt.gz", "a.GMT"])
def test_gzip_is_known_by_its_bytes(tmp_path, name):
    path = write(tmp_path, gzip.compress(b"A\t\tCD2\n", mtime=0), name)
    assert read_gene_sets(str(path)).genes.tolist() == ["CD2"]


@pytest.mark.parametrize("line", ["B CD19 CD2", "B\tCD19", "\tnote\tCD2"])
def test_malformed_line_is_named(tmp_path, line):
    with pytest.raises(ValueError, match=r"a\.gmt, line 3: expected a set name, a description and genes"):
        parse_gmt(write(tmp_path, f"A\t\tCD2\n\n{line}\n"))


def test_duplicated_set_names_both_lines(tmp_path):
    with pytest.raises(ValueError, match=r"line 2: the set 'A' stands on line 1 already"):
        parse_gmt(write(tmp_path, "A\t\tCD2\nA\t\tCD3E\n"))


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b\x08\x00broken", gzip.compress(b"A\t\tCD2\n" * 99, mtime=0)[:-9], b"A\t\t\xff\xfe"]
)
def test_unreadable_file(tmp_path, data):
    with pytest.raises(ValueError, match=r"a\.gmt is not a readable GMT file"):
        parse_gmt(write(tmp_path, data))


@pytest.mark.parametrize(
    "item", [GmtSet("A\tB", "", []), GmtSet("A", "x\ny", []), GmtSet("A", "", [""]), GmtSet(" A", "", [])]
)
def test_what_would_not_come_back_is_not_written(tmp_path, item):
    with pytest.raises(ValueError, match="cannot stand in a GMT file"):
        dump_gmt(tmp_path / "a.gmt", [item])
    assert not (tmp_path / "a.gmt").exists()


def test_every_form_gives_the_same_collection(tmp_path):
    lists = {"T cell": ["CD3E", "CD2"], "B cell": ["CD19", "CD2"]}
    dump_gmt(tmp_path / "a.gmt", [GmtSet(name, "", genes) for name, genes in lists.items()])
    tidy = pd.DataFrame([(name, gene) for name, genes in lists.items() for gene in genes], columns=["source", "target"])
    binary = pd.DataFrame({name: [int(g in genes) for g in ["CD3E", "CD2", "CD19"]] for name, genes in lists.items()})
    binary.index = ["CD3E", "CD2", "CD19"]
    expected = read_gene_sets(lists)
    repeated = pd.concat([tidy, tidy]).astype("category").assign(weight=-1.0)
    for source in [tmp_path / "a.gmt", tidy, repeated, binary, binary == 1, binary * 1.0, expected]:
        sets = read_gene_sets(source)
        assert sets.genes.tolist() == ["CD3E", "CD2", "CD19"]
        assert sets.names.tolist() == ["T cell", "B cell"]
        assert sets.membership.dtype == np.float32
        np.testing.assert_array_equal(sets.membership.toarray(), [[1, 0], [1, 1], [0, 1]])


def test_sets_have_a_fixed_order():
    assert read_gene_sets({"A": {"CD3E", "CD2", "CD19"}}).genes.tolist() == ["CD19", "CD2", "CD3E"]


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        ({}, ValueError, "`gene_sets` is empty: 0 sets"),
        ({"A": []}, ValueError, "is empty: 1 sets"),
        ({"A": "CD2"}, TypeError, "set 'A' must be a list of names, got str"),
        ({"A": [1]}, TypeError, "set 'A' holds 1 \\(int\\)"),
        ({"A": ["CD2", np.nan]}, TypeError, "set 'A' holds nan \\(float\\)"),
        ({1: ["CD2"]}, TypeError, "non-empty strings, got 1"),
        (["CD2"], TypeError, "got list"),
        (None, TypeError, "got NoneType"),
        ("reactome", ValueError, "otl.datasets.gene_sets"),
        ("absent.gmt", FileNotFoundError, "no file 'absent.gmt'"),
        (pd.DataFrame({"source": ["A", None], "target": ["CD2", "CD3E"]}), ValueError, "1 row\\(s\\)"),
        (pd.DataFrame({"set": ["A"], "gene": ["CD2"]}), ValueError, "columns 'source' and 'target'"),
        (pd.DataFrame({"A": [1, 0]}), TypeError, "index \\(genes\\)"),
        (pd.DataFrame({"A": [1, 0]}, index=["CD2", "CD2"]), ValueError, "unique, got 'CD2'"),
        (pd.DataFrame({"A": [1, 2.5]}, index=["CD2", "CD3E"]), ValueError, "got 2.5 for gene 'CD3E' in set 'A'"),
        (pd.DataFrame({"A": [1, np.nan]}, index=["CD2", "CD3E"]), ValueError, "got nan for gene 'CD3E'"),
        (GeneSets(np.array(["A"]), np.array(["B"]), sparse.csc_array((2, 1))), ValueError, "genes × sets, 1 × 1"),
    ],
)
def test_bad_input(source, error, text):
    with pytest.raises(error, match=text):
        read_gene_sets(source)


def test_a_gene_does_not_inherit_the_sets_of_a_longer_name():
    matched = match(read_gene_sets({"A": ["PTPRCAP", "CD2"], "B": ["PTPRC"]}), ["PTPRC", "CD2"], min_genes=1)
    assert matched.genes.tolist() == ["PTPRC", "CD2"]
    np.testing.assert_array_equal(matched.membership.toarray(), [[0, 1], [1, 0]])
    assert matched.lost_genes.tolist() == ["PTPRCAP"]


@given(data=st.data())
def test_match_agrees_with_a_loop(data):
    pool = [f"G{i}" for i in range(12)]
    lists = data.draw(
        st.dictionaries(st.sampled_from("ABCDE"), st.lists(st.sampled_from(pool), unique=True), min_size=1)
    )
    var_names = data.draw(st.permutations([*pool[:8], "X", "Y"]))
    low = data.draw(st.sampled_from([1, 2, 3]))
    sizes = {name: sum(g in var_names for g in genes) for name, genes in lists.items()}
    kept = [name for name, size in sizes.items() if low <= size]
    if not kept:
        with pytest.raises(ValueError):
            match(read_gene_sets(lists), var_names, min_genes=low)
        return
    matched = match(read_gene_sets(lists), var_names, min_genes=low)
    known = {gene for genes in lists.values() for gene in genes}
    assert matched.genes.tolist() == [name for name in var_names if name in known]
    assert [var_names[i] for i in matched.columns] == matched.genes.tolist()
    assert matched.names.tolist() == kept
    assert matched.lost_sets == [(name, size) for name, size in sizes.items() if name not in kept]
    assert set(matched.lost_genes) == known - set(var_names)
    expected = [[float(gene in lists[name]) for name in kept] for gene in matched.genes]
    np.testing.assert_array_equal(
        matched.membership.toarray(), np.array(expected).reshape(len(matched.genes), len(kept))
    )
    assert matched.membership.has_sorted_indices


def test_genes_of_no_set_stay():
    table = pd.DataFrame({"A": [1, 0, 0]}, index=["CD2", "CD3E", "XIST"])
    matched = match(read_gene_sets(table), ["XIST", "UTY", "CD2"], min_genes=1)
    assert matched.genes.tolist() == ["XIST", "CD2"]


def test_no_shared_gene_names_both_kinds():
    with pytest.raises(ValueError, match="human Ensembl gene ids .* and `gene_sets` \\(human gene symbols"):
        match(read_gene_sets({"A": ["CD2", "CD3E"]}), ["ENSG00000116824"], min_genes=1)


def test_all_sets_too_small_says_how_large_they_are():
    sets = read_gene_sets({"A": ["CD2", "CD3E"], "B": ["CD19"]})
    with pytest.raises(
        ValueError, match="None of the 2 sets .* min_genes=10 .* the largest, 'A', has 2. Lower min_genes to at most 2"
    ):
        match(sets, ["CD2", "CD3E", "CD19"])
