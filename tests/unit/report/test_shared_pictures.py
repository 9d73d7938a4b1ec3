"""What several pictures have in common is on the page once, and no picture loses anything."""

from xml.etree import ElementTree as ET

from redox_balancer.design.task import Task
from redox_balancer.pathways.layout import fitted_map
from redox_balancer.pathways.picture import DrawnEnzyme, picture
from redox_balancer.report.html import share


def _pictures() -> list[ET.Element]:
    space = Task().space()
    fluxes = {reaction: float(index % 5) for index, reaction in enumerate(space.network.reactions)}
    (placement,) = (each for each in space.placements if each.id == "LBNOX_c")
    chart = fitted_map(space.network, {placement.reaction: placement.stoichiometry})
    return [
        picture(fitted_map(space.network, {}), fluxes, {}, "one"),
        picture(chart, fluxes | {"GAPD": 7.0}, {placement.reaction: DrawnEnzyme("LBNOX", 1.0)}, "two"),
    ]


def _elements(root: ET.Element, defined: dict[str, ET.Element]) -> list[list[str]]:
    """Texts of the elements of each group, with what `use` refers to in its place."""
    groups = []
    for group in root.findall("g"):
        children = [
            part
            for child in group
            for part in (defined[child.attrib["href"].removeprefix("#")] if child.tag == "use" else [child])
        ]
        groups.append(sorted(ET.tostring(part, encoding="unicode") for part in children))
    return groups


def _read(text: str) -> ET.Element:
    return ET.XML(text.replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def test_pictures_are_complete_with_what_they_share() -> None:
    whole = [_elements(each, {}) for each in _pictures()]
    size = sum(len(ET.tostring(each)) for each in _pictures())
    shared, texts = share([None, *_pictures()])
    assert texts[0] is None
    defined = {each.attrib["id"]: each for each in ET.XML(shared).iter("g") if "id" in each.attrib}
    for text, expected in zip(texts[1:], whole, strict=True):
        assert text is not None
        assert text.count("<use") == 3
        assert _elements(_read(text), defined) == expected
    assert sum(len(text or "") for text in texts) < 0.6 * size


def test_a_single_picture_shares_nothing() -> None:
    only = _pictures()[0]
    assert share([only]) == ("", [ET.tostring(only, encoding="unicode")])
    assert share([None]) == ("", [None])
