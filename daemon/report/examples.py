"""The rows that matter most to a reader: the most valuable, and the most suspect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.report import figures
from daemon.report.frame import code, section
from daemon.report.markup import Safe, el, fact, join, name, said
from daemon.shards.shard import ShardManifest, scores_of
from scoring.types import GRID

SHOWN = 25  # rows of each table
Columns = Mapping[str, Sequence[Any]]
Cell = tuple[str | Safe, float | str | None]  # as shown, and what it sorts by


def draw(m: ShardManifest, rows: Columns | None) -> Safe:
    """The section; without rows it says where they are."""
    title = "Rows worth a look"
    if rows is None:
        return section(
            "rows", title, join("The texts are left out of this page; the rows lie in the store "
            "under ", code(m.rows_object), "."),
        )  # fmt: skip
    lead = join(
        "Texts and labels stand here as they came: treat the page like the data itself. ",
        code("sluice why ID"), " tells the whole way of a row.",
    )  # fmt: skip
    return section(
        "rows", title, lead,
        _table("Most valuable", "valuable", ("Utterance", "Group", "Weight", *_scores(rows),
               "Seen"), valuable(rows), rows, _value_cells),
        _table(*_doubt(m), ("Utterance", "Label given", "Model says",
               "Plausibility", "Arms"), suspicious(rows, m.suspect_below), rows, _suspect_cells),
    )  # fmt: skip


def _scores(rows: Columns) -> tuple[str, ...]:
    return scores_of({column: [] for column in rows})


def valuable(rows: Columns) -> list[int]:
    """Selected rows, the heaviest first; what weighs the same, by the sum of scores."""
    scores = [rows[f"score_{score}"] for score in _scores(rows)]

    def order(row: int) -> tuple[float, float, int]:
        return (-rows["weight"][row], -sum(column[row] or 0.0 for column in scores), row)

    chosen = (row for row, arms in enumerate(rows["arms"]) if "selected" in arms)
    return sorted(chosen, key=order)[:SHOWN]


def _doubt(m: ShardManifest) -> tuple[str, str]:
    title = "Least plausible labels" if m.suspect_below is None else "Most suspect labels"
    return title, "suspect"


def suspicious(rows: Columns, below: int | None) -> list[int]:
    """Rows with a label that can be judged (and is suspect), the least plausible first."""
    border = 1.0 if below is None else below / GRID
    found = enumerate(rows["plausibility"])
    judged = [row for row, value in found if value is not None and value < border]
    return sorted(judged, key=lambda row: (rows["plausibility"][row], row))[:SHOWN]


def _table(
    title: str, kind: str, columns: Sequence[str], chosen: Sequence[int], rows: Columns, cells: Any
) -> Safe:
    """Cards on a narrow screen; roles say that it is a table even where it is not laid out as one.

    Buttons to sort and the field to filter are made by the script: without it there are none.
    """
    if not chosen:
        return join(el("h3", title), el("p", "There are none.", class_="quiet"))
    made = [cells(rows, row) for row in chosen]
    numbers = [all(not isinstance(cell[i][1], str) for cell in made) for i in range(len(columns))]
    head = [
        el("th", column, scope="col", role="columnheader", class_="number" if number else None)
        for column, number in zip(columns, numbers, strict=True)
    ]
    body = [_row(columns, each, kind) for each in made]
    return el(
        "div",
        el("h3", title, id=f"{kind}-caption"),
        el(
            "table",
            el("thead", el("tr", *head, role="row"), role="rowgroup"),
            el("tbody", *body, role="rowgroup"),
            class_="cards", role="table", aria_labelledby=f"{kind}-caption", data_sortable=True,
        ),
    )  # fmt: skip


def _row(columns: Sequence[str], cells: Sequence[Cell], kind: str) -> Safe:
    made = []
    for column, (content, key) in zip(columns, cells, strict=True):
        number = not isinstance(key, str)
        made.append(
            el("td", content, role="cell", data_name=column, data_key="" if key is None else key,
               class_="number" if number else None)
        )  # fmt: skip
    return el("tr", *made, role="row", data_row=kind)


def _utterance(rows: Columns, row: int) -> Cell:
    identity = rows["id"][row] or ""
    where = join(said(identity), f" \u00b7 {rows['lane'][row]} at {rows['position'][row]}")
    content = join(
        el("div", said(rows["text"][row] or "", "utterance")), el("div", where, class_="where")
    )
    return content, rows["text"][row] or ""


def _value_cells(rows: Columns, row: int) -> list[Cell]:
    weight, seen = rows["weight"][row], rows["multiplicity"][row]
    return [
        _utterance(rows, row),
        _word(rows["group"][row]),
        (fact("weight", weight, figures.real(weight, 2), rows["id"][row] or ""), weight),
        *(_number(rows[f"score_{score}"][row]) for score in _scores(rows)),
        (figures.count(seen), float(seen)),
    ]


def _suspect_cells(rows: Columns, row: int) -> list[Cell]:
    value = rows["plausibility"][row]
    arms = ", ".join(rows["arms"][row])
    return [
        _utterance(rows, row),
        _word(rows["label"][row]),
        _word(rows["argmax"][row]),
        (fact("plausibility", value, figures.real(value), rows["id"][row] or ""), value),
        (arms, arms),
    ]


def _word(word: str | None) -> Cell:
    return (figures.DASH, "") if word is None else (name(word), word)


def _number(value: float | None) -> Cell:
    return (figures.DASH, None) if value is None else (figures.real(value, 2), value)
