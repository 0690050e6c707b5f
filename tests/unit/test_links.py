"""Links between pages lead somewhere, to their headings too, and every picture is shown."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "loyalty").rglob("*.md"),
]
CODE: Final = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    return CODE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Name a page's headings as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    words = [re.sub(r"\[([^\]]*)\]\(.*?\)", r"\1", heading).strip() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", word.lower()).replace(" ", "-") for word in words}


def test_every_link_leads_to_a_file_and_to_a_heading_of_it() -> None:
    wrong, followed = [], 0
    for page in PAGES:
        for link in LINK.findall(prose(page)):
            if "://" in link:
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            followed += 1
            if not target.exists() or (anchor and anchor not in anchors(target)):
                wrong.append(f"{page.relative_to(ROOT)}: {link}")
    assert wrong == []
    assert followed > 200


def test_every_picture_is_on_a_page() -> None:
    shown = {link for page in PAGES for link in LINK.findall(prose(page))}
    names = {Path(link).name for link in shown}
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [file.name for file in pictures if file.name not in names] == []
