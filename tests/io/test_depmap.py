"""Expression and models in DepMap's layouts, written here."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from omicstl.io._depmap_match import match_lines

GENES = ["TP53 (7157)", "EGFR (1956)", "ABC-1 (12)", "HLA-A (3105)"]
IDS = ["ACH-000219", "ACH-000552", "ACH-000001", "ACH-000707"]
VALUES = np.round(np.random.default_rng(0).uniform(0, 12, (4, 4)), 3)


def expression(path, values=VALUES, ids=IDS, genes=GENES):
    pd.DataFrame(values, index=ids, columns=genes).to_csv(path)
    return path


def models(path, **columns):
    table = {
        "ModelID": [*IDS, "ACH-009999"],
        "PatientID": ["PT"] * 5,
        "CellLineName": ["A-375", "HT-29", "NIH:OVCAR-3", "TT", "Other"],
        "StrippedCellLineName": ["A375", "HT29", "NIHOVCAR3", "TT", "OTHER"],
        "OncotreeLineage": ["Skin", "Bowel", "", "Thyroid", "Lung"],
        "OncotreePrimaryDisease": ["Melanoma", "Colorectal Adenocarcinoma", "Ovarian", "Thyroid", "Lung"],
    } | columns
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def screen(path, lines=("A-375", "HT-29", "T-T", "TT"), sanger=("S1", "S2", "S3", "S4")):
    rows = [
        {"CELL_LINE_NAME": line, "SANGER_MODEL_ID": number, "DRUG_NAME": drug, "LN_IC50": i + 0.1 * j, "AUC": 0.1 * i}
        for i, (line, number) in enumerate(zip(lines, sanger, strict=True))
        for j, drug in enumerate(["Erlotinib", "VNLG/124"])
        if (i, j) != (1, 1)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return otl.io.read_gdsc(path)


@pytest.fixture
def files(tmp_path):
    return expression(tmp_path / "OmicsExpressionProteinCodingGenesTPMLogp1.csv"), models(tmp_path / "Model.csv")


def test_expression_and_models(files):
    lines = otl.io.read_depmap(*files)
    assert lines.obs_names.tolist() == ["A375", "HT29", "NIHOVCAR3", "TT"]
    assert lines.var_names.tolist() == ["TP53", "EGFR", "ABC-1", "HLA-A"]
    assert lines.var["entrez"].tolist() == ["7157", "1956", "12", "3105"]
    assert lines.X.dtype == np.float32
    np.testing.assert_allclose(lines.X, VALUES, rtol=1e-6)
    assert lines.obs["model_id"].tolist() == IDS
    assert lines.obs["lineage"].tolist() == ["Skin", "Bowel", "unknown", "Thyroid"]
    assert lines.obs["cell_line_name"].tolist() == ["A-375", "HT-29", "NIH:OVCAR-3", "TT"]
    assert not lines.obsm


def test_a_screen_is_joined_by_name(files, tmp_path):
    lines = otl.io.read_depmap(*files, response=screen(tmp_path / "screen.csv"))
    assert lines.obs_names.tolist() == ["A375", "HT29"], "T-T and TT are two lines of one stripped name"
    np.testing.assert_allclose(lines.obsm["ln_ic50"], [[0.0, 0.1], [1.0, np.nan]])
    np.testing.assert_allclose(lines.obsm["auc"], [[0.0, 0.0], [0.1, np.nan]])
    assert lines.uns["ln_ic50_names"].tolist() == lines.uns["auc_names"].tolist() == ["Erlotinib", "VNLG/124"]
    assert lines.obs["matched_by"].tolist() == ["stripped_name"] * 2
    assert lines.uns["depmap"]["n_ambiguous"] == 2
    assert lines.uns["depmap"]["n_not_measured"] == 2
    np.testing.assert_allclose(lines.X, VALUES[:2], rtol=1e-6)


def test_the_identifier_of_sanger_decides(files, tmp_path):
    models(files[1], SangerModelID=["S1", "", "", "S4", ""])
    lines = otl.io.read_depmap(*files, response=screen(tmp_path / "screen.csv"))
    assert lines.obs_names.tolist() == ["A375", "HT29", "TT"]
    assert lines.obs["matched_by"].tolist() == ["sanger_model_id", "stripped_name", "sanger_model_id"]
    assert lines.obsm["ln_ic50"][2, 0] == 3.0, "TT, not T-T"


def test_matching_against_a_loop():
    random = np.random.default_rng(1)
    left = pd.DataFrame({"stripped_name": random.choice([f"L{i}" for i in range(40)], 30)})
    right = pd.DataFrame(
        {"stripped_name": random.choice([f"L{i}" for i in range(40)], 30)}, index=list("abcdefghijklmnopqrstuvwxyzABCD")
    )
    found = match_lines(left, right)
    for i, name in enumerate(left["stripped_name"]):
        alike = np.flatnonzero(right["stripped_name"].to_numpy() == name)
        alone = (left["stripped_name"] == name).sum() == 1 and len(alike) == 1
        assert found.rows[i] == (alike[0] if alone else -1)
    assert (found.rows >= 0).any()
    assert found.ambiguous


def test_profiles_that_are_not_the_default_are_left_out(files):
    table = pd.DataFrame(VALUES, columns=GENES)
    table.insert(0, "SequencingID", ["CDS-1", "CDS-2", "CDS-3", "CDS-4"])
    table.insert(1, "ModelID", [IDS[0], IDS[0], IDS[1], IDS[2]])
    table.insert(2, "IsDefaultEntryForModel", ["No", "Yes", "Yes", "Yes"])
    table.insert(3, "ModelConditionID", "MC-1")
    table.to_csv(files[0])
    lines = otl.io.read_depmap(*files)
    assert lines.obs_names.tolist() == ["A375", "HT29", "NIHOVCAR3"]
    np.testing.assert_allclose(lines.X, VALUES[1:], rtol=1e-6)


def test_former_names_of_the_columns(files, tmp_path):
    old = tmp_path / "sample_info.csv"
    old.write_text("DepMap_ID,cell_line_name,stripped_cell_line_name,lineage\nACH-000219,A-375,A375,skin\n")
    lines = otl.io.read_depmap(files[0], old)
    assert lines.obs_names.tolist() == ["A375"]
    assert lines.obs["lineage"].tolist() == ["skin"]
    assert lines.uns["depmap"]["n_without_model"] == 3


def test_genes_that_lack_values_or_share_a_symbol(files):
    values = VALUES.copy()
    values[2, 3] = np.nan
    expression(files[0], values, genes=["TP53 (7157)", "TP53 (99)", "ABC-1 (12)", "HLA-A (3105)"])
    lines = otl.io.read_depmap(*files)
    assert lines.var_names.tolist() == ["TP53 (7157)", "TP53 (99)", "ABC-1"]
    assert lines.uns["depmap"]["n_genes_incomplete"] == 1
    expression(files[0], genes=["TP53 (7157)", "TP53 (7157)", "ABC-1 (12)", "HLA-A (3105)"])
    with pytest.raises(ValueError, match=r"several columns 'TP53 \(7157\)'"):
        otl.io.read_depmap(*files)


def test_models_that_share_a_name(files):
    models(files[1], StrippedCellLineName=["A375", "A375", "NIHOVCAR3", "", "OTHER"])
    lines = otl.io.read_depmap(*files)
    assert lines.obs_names.tolist() == ["A375_ACH-000219", "A375_ACH-000552", "NIHOVCAR3", "ACH-000707"]


def test_files_hold_it_and_cite_names_both(files, tmp_path):
    lines = otl.io.read_depmap(*files, response=screen(tmp_path / "screen.csv"))
    lines.write_h5ad(tmp_path / "lines.h5ad")
    back = ad.read_h5ad(tmp_path / "lines.h5ad")
    np.testing.assert_array_equal(back.obsm["ln_ic50"], lines.obsm["ln_ic50"])
    text = str(otl.cite(lines))
    assert "Ghandi et al., 2019): 2 lines and 4 genes" in text
    assert "Yang et al., 2013" in text


def test_other_values_than_logarithms(files):
    expression(files[0], VALUES * 100)
    with pytest.warns(otl.ScaleWarning, match=r"are no log2\(TPM \+ 1\). Take the file that ends on TPMLogp1"):
        otl.io.read_depmap(*files)


def test_another_file_is_named(files, tmp_path):
    with pytest.raises(ValueError, match="is DepMap's expression. Pass DepMap's table of models"):
        otl.io.read_depmap(files[0], files[0])
    with pytest.raises(ValueError, match=r"is DepMap's table of models \(Model.csv\). Pass DepMap's expression"):
        otl.io.read_depmap(files[1], files[1])
    genes_in_rows = tmp_path / "counts.csv"
    pd.DataFrame(VALUES.T, index=GENES, columns=IDS).to_csv(genes_in_rows)
    with pytest.raises(
        ValueError, match=r"lacks \"columns such as 'TP53 \(7157\)'\"; DepMap's expression \(one row a line\)"
    ):
        otl.io.read_depmap(genes_in_rows, files[1])
    renamed = tmp_path / "models.csv"
    renamed.write_text("ModelID,StrippedCellLine\nACH-000219,A375\n")
    with pytest.raises(ValueError, match=r"lacks 'StrippedCellLineName'.*Did you mean 'StrippedCellLine'"):
        otl.io.read_depmap(files[0], renamed)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ids": [*IDS[:3], IDS[0]]}, "several rows for 'ACH-000219'. Keep one"),
        ({"ids": ["PR-1", "PR-2", "PR-3", "PR-4"]}, r"No line of .*'PR-1'.* is in the table of models \('ACH-000219'"),
        ({"values": np.full((4, 4), "low", dtype=object)}, "cannot be read as a table"),
        ({"ids": [], "values": VALUES[:0]}, "has no rows"),
        ({"values": np.full((4, 4), np.inf)}, "holds infinite values"),
        ({"values": np.full((4, 4), np.nan)}, "Every gene of .* lacks a value"),
    ],
)
def test_bad_expression(files, change, text):
    expression(files[0], **change)
    with pytest.raises(ValueError, match=text):
        otl.io.read_depmap(*files)


def test_nothing_matches(files, tmp_path):
    with pytest.raises(ValueError, match=r"No line of the screen \('X', 'Y'\) is among the lines"):
        otl.io.read_depmap(*files, response=screen(tmp_path / "screen.csv", ("X", "Y"), ("1", "2")))
    with pytest.raises(TypeError, match="`response` must be an AnnData or None, got 'GDSC2.csv' of type str"):
        otl.io.read_depmap(*files, response="GDSC2.csv")
    models(files[1], ModelID=[IDS[0], *IDS])
    with pytest.raises(ValueError, match="describes 'ACH-000219' more than once"):
        otl.io.read_depmap(*files)
    with pytest.raises(FileNotFoundError):
        otl.io.read_depmap(tmp_path / "none.csv", files[1])


def test_a_sparse_screen_is_read(tmp_path):
    (tmp_path / "expression.csv").write_text(",TP53 (7157)\nACH-1,3.5\nACH-2,2.5\n")
    (tmp_path / "Model.csv").write_text("ModelID,StrippedCellLineName\nACH-1,A375\nACH-2,HT29\n")
    (tmp_path / "screen.csv").write_text("CELL_LINE_NAME,DRUG_NAME,LN_IC50\nA-375,Erlotinib,2.5\nHT-29,Erlotinib,1.5\n")
    screen = otl.io.read_gdsc(tmp_path / "screen.csv")
    screen.X = sp.csr_matrix(screen.X)
    lines = otl.io.read_depmap(tmp_path / "expression.csv", tmp_path / "Model.csv", response=screen)
    assert lines.obsm["ln_ic50"].tolist() == [[2.5], [1.5]]
