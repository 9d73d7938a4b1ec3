"""The notebooks of the documentation run on the embedded core, show what they promise and link to pages."""

import re
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbclient
import pytest
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "docs/notebooks").glob("*.py"))}
SHOWN = {
    "aws": ["in total", "image/png"],
    "cell_line": [
        "patient: 1.73 lactate per glucose",
        "patient+complex_iii_closed: LBNOX_c 0.1 % + AOX_m",
        "image/png",
    ],
    "first_design": ["proven optimal", "LBNOX_c 0.1 % + TPNOX_c 0.03 %, value 0.7006", "image/svg+xml", "image/png"],
    "own_enzyme": ["MYNOX_m 0.1 %, value", "image/png"],
    "reductive_stress": ["pdh_deficiency: growth 0.0162 1/h, 80.8% lost; not redox", "image/svg+xml", "image/png"],
    "why_learn": ["search 100.0% after", "image/png"],
}
"""What the outputs of each notebook hold: texts, and types of figures."""


def outputs(notebook: NotebookNode) -> Iterator[str]:
    """Texts of all outputs, and the types of what is shown."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield from output.get("data", {})
            yield output.get("text", "")


@pytest.mark.timeout(300)  # a minute on a machine that does nothing else
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_it_promises(name: str) -> None:
    notebook = jupytext.read(NOTEBOOKS[name])
    where = {"metadata": {"path": NOTEBOOKS[name].parent}}
    before = set(NOTEBOOKS[name].parent.iterdir())
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=where).execute()
    shown = "\n".join(outputs(notebook))
    assert [text for text in SHOWN[name] if text not in shown] == []
    assert set(NOTEBOOKS[name].parent.iterdir()) == before


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_ends_with_what_to_do_next_and_its_links_lead_to_pages(name: str) -> None:
    text = NOTEBOOKS[name].read_text().replace("\n#", "")
    assert "## Next" in NOTEBOOKS[name].read_text().rpartition("# %% [markdown]")[2]
    links = re.findall(r"\]\(\s*([\w./-]+)\.html\)", text)
    assert links
    for link in links:
        page = NOTEBOOKS[name].parent / link
        assert page.with_suffix(".md").is_file() or page.with_suffix(".py").is_file(), link


def test_the_index_and_the_site_list_every_notebook() -> None:
    index, site = (ROOT / "docs/index.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    assert all(f"(notebooks/{name}.py)" in index and f": notebooks/{name}.py\n" in site for name in NOTEBOOKS)
