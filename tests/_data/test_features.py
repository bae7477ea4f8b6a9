import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from omicstl._data.features import identifier_kind, match_features, no_overlap_message, species_hint

NAMES = st.lists(st.text("ABC123-", min_size=1, max_size=4), unique=True, max_size=30)


@given(have=NAMES, want=NAMES)
def test_match_agrees_with_a_loop(have, want):
    match = match_features(have, want)
    shared = [name for name in want if name in have]
    assert [have[i] for i in match.have_index] == shared
    assert [want[i] for i in match.want_index] == shared
    assert match.missing.tolist() == [name for name in want if name not in have]


def test_matching_is_exact():
    match = match_features(pd.Index(["PTPRC", "ptprcap"]), np.array(["PTPRCAP", "PTPRC"]))
    assert match.have_index.tolist() == [0]
    assert match.missing.tolist() == ["PTPRCAP"]


@pytest.mark.parametrize(("have", "want", "side"), [(["A", "A"], ["A"], "given"), (["A"], ["B", "B"], "wanted")])
def test_duplicates_are_refused(have, want, side):
    with pytest.raises(ValueError, match=f"The {side} feature names must be unique, got '[AB]' more than once"):
        match_features(have, want)


@pytest.mark.parametrize(
    ("names", "kind", "species"),
    [
        (["CD3E", "PTPRC", "HLA-DRA", "C1orf54"], "symbol", "human"),
        (["Cd3e", "Ptprc", "H2-Ab1", "Ms4a1"], "symbol", "mouse"),
        (["ENSG00000081237", "ENSG00000177455"], "ensembl", "human"),
        (["ENSMUSG00000026395"], "ensembl", "mouse"),
        (["ENSG00000081237.21", "ENSG00000182378.15_PAR_Y"], "ensembl_versioned", "human"),
        (["5788", "930"], "entrez", ""),
        (["1007_s_at", "ILMN_1762337"], "probe", ""),
        (["?", "Gene one", "A b"], "unknown", ""),
        ([], "unknown", ""),
    ],
)
def test_kind_and_species(names, kind, species):
    assert identifier_kind(names) == kind
    assert species_hint(names) == species


@pytest.mark.parametrize(
    ("have", "advice"),
    [
        (["ENSG00000081237", "ENSG00000177455"], "otl.pp.map_features(adata) does it with the 40,247 human pairs"),
        (
            ["ENSG00000081237.1", "ENSG00000177455.4"],
            "Cut the versions off and map the ids: otl.pp.map_features(adata)",
        ),
        (["0", "1", "2"], "only row numbers"),
        (["5788", "930"], "biomaRt or mygene: otl.pp.map_features(adata, table, source="),
        (["1007_s_at", "1053_at"], "target='<column of genes>', duplicates='largest')"),
        (["Cd19", "Ptprc"], "orthologs in the other with a table of both: otl.pp.map_features(adata, table, source="),
        (
            ["ENSMUSG00000026395"],
            "orthologs in the other with a table of both: otl.pp.map_features(adata, table, source='mouse_ensembl', target='human_symbol').",
        ),
        (["cd19", "ptprc"], "upper and lower case"),
        (["XIST", "UTY"], "same identifiers"),
    ],
)
def test_the_message_names_both_kinds_and_the_way_out(have, advice):
    message = no_overlap_message(have, ["CD19", "PTPRC"], "adata.var_names", "`gene_sets`")
    assert advice in message
    assert repr(have[0]) in message
    assert "'CD19'" in message


def test_ids_that_differ_in_their_versions_need_no_table():
    message = no_overlap_message(["ENSG00000081237.1"], ["ENSG00000081237"], "adata.var_names", "the reference")
    assert message.endswith(
        "Cut the versions off, for example adata.var_names = adata.var_names.str.split('.').str[0]."
    )


def test_the_bundled_table_is_not_offered_for_another_species():
    message = no_overlap_message(["ENSMUSG00000026395"], ["Ptprc", "Cd19"], "adata.var_names", "`gene_sets`")
    assert "Map one to the other with a table of both: otl.pp.map_features(adata, table, source=" in message
