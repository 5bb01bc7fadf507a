"""Minimum-cost assignment of rows to columns.

Shortest augmenting paths with potentials (Jonker and Volgenant 1987, in the rectangular form of Crouse 2016,
"On implementing 2D rectangular assignment algorithms"). Exact, O(rows^2 * columns), and deterministic: of equally
cheap columns the first is taken, so the answer depends on the matrix alone. Meant for the handful of calls two
traces have in common; no numeric library is worth its call overhead there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf


def assign(cost: Sequence[Sequence[float]]) -> list[int]:
    """The column of each row, -1 for a row left out. Every row or every column is assigned. Costs are finite."""
    rows, columns = len(cost), len(cost[0]) if cost else 0
    if rows <= columns:
        return _assign_all_rows(cost, columns)
    result = [-1] * rows
    for column, row in enumerate(_assign_all_rows(list(zip(*cost, strict=True)), rows)):
        result[row] = column
    return result


def _assign_all_rows(cost: Sequence[Sequence[float]], columns: int) -> list[int]:
    """The column of each row; there are at least as many columns as rows."""
    if len(cost) == 1:
        return [min(range(columns), key=cost[0].__getitem__)]
    row_potential, column_potential = [0.0] * len(cost), [0.0] * columns
    row_of, column_of = [-1] * columns, [-1] * len(cost)
    for start in range(len(cost)):
        shortest, came_from, reached, sink = _shortest_path(cost, start, row_of, row_potential, column_potential)
        row_potential[start] += shortest[sink]
        for column in reached:
            slack = shortest[sink] - shortest[column]
            row_potential[row_of[column]] += slack
            column_potential[column] -= slack
        _augment(start, sink, came_from, row_of, column_of)
    return column_of


def _shortest_path(
    cost: Sequence[Sequence[float]],
    start: int,
    row_of: Sequence[int],
    row_potential: Sequence[float],
    column_potential: Sequence[float],
) -> tuple[list[float], list[int], list[int], int]:
    """Dijkstra over reduced costs from one free row to the nearest free column.

    Returns lengths, the row each column was reached from, the assigned columns passed, and the free column.
    """
    shortest, came_from = [inf] * len(row_of), [-1] * len(row_of)
    reached: list[int] = []
    waiting = list(range(len(row_of)))
    row, length = start, 0.0
    while True:
        costs, base = cost[row], length - row_potential[row]
        for column in waiting:
            through = base + costs[column] - column_potential[column]
            if through < shortest[column]:
                shortest[column], came_from[column] = through, row
        nearest = min(waiting, key=shortest.__getitem__)
        if row_of[nearest] < 0:
            return shortest, came_from, reached, nearest
        waiting.remove(nearest)
        reached.append(nearest)
        row, length = row_of[nearest], shortest[nearest]


def _augment(start: int, sink: int, came_from: Sequence[int], row_of: list[int], column_of: list[int]) -> None:
    """Turn the path round: every row on it takes the column through which the path left it."""
    column = sink
    while True:
        row = came_from[column]
        row_of[column] = row
        column_of[row], column = column, column_of[row]
        if row == start:
            return
