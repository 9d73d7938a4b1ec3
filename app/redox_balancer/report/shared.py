"""Pictures of one page that have most in common: what all of them show is on the page once."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET


def share(pictures: Sequence[ET.Element | None]) -> tuple[str, list[str | None]]:
    """An `<svg>` of definitions, and the pictures as text, which refer to it; nothing where there are no two.

    Elements that every picture has in the group at the same place, irrespective of their order, become one definition
    that the group shows first.
    """
    drawn = [picture for picture in pictures if picture is not None]
    root = ET.Element("svg", {"width": "0", "height": "0", "style": "position: absolute", "aria-hidden": "true"})
    definitions = ET.SubElement(root, "defs")
    if len(drawn) > 1:
        for number, groups in enumerate(zip(*(picture.findall("g") for picture in drawn), strict=True)):
            written = [{_text(child): child for child in group} for group in groups]
            common = [text for text in written[0] if all(text in others for others in written)]
            definition = ET.SubElement(definitions, "g", {"id": f"shared-{number}"})
            definition.extend(written[0][text] for text in common)
            for group, elements in zip(groups, written, strict=True):
                for text in common:
                    group.remove(elements[text])
                group.insert(0, ET.Element("use", {"href": f"#shared-{number}"}))
    return _text(root) if len(definitions) else "", [None if each is None else _text(each) for each in pictures]


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")
