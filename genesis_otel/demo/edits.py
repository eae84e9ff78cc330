"""What the demo's model can come up with: edits of a circle packing program that really make it better, worse, shorter or
broken.

In: a program, the kind of answer that is due, and a number that chooses among the possible ones. Out: edits: whole lines to find,
and their replacement. The same question gets the same answer; no edits if nothing fits the program.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple


class Edit(NamedTuple):
    """One change of a program."""

    why: str
    find: str
    put: str


STARTS: Sequence[str] = (
    '''\
    """Where the circles begin: the rows of a square grid."""
    return [((i % 6 + 0.5) / 6, (i // 6 + 0.5) / 6) for i in range(COUNT)]''',
    '''\
    """Where the circles begin: rings around the centre."""
    rings = ((1, 0.0), (8, 0.22), (17, 0.42))
    return [
        (0.5 + r * math.cos(math.tau * i / n), 0.5 + r * math.sin(math.tau * i / n)) for n, r in rings for i in range(n)
    ]''',
    '''\
    """Where the circles begin: five rows of five, and one in a gap."""
    return [((i % 5 + 0.5) / 5, (i // 5 + 0.5) / 5) for i in range(25)] + [(0.4, 0.4)]''',
    '''\
    """Where the circles begin: rows of five and six, each shifted against the next."""
    rows = (5, 6, 5, 5, 5)
    return [((i + 0.5) / n, (row + 0.5) / len(rows)) for row, n in enumerate(rows) for i in range(n)]''',
)
"""Starting arrangements, from worse to better."""

RADII: Sequence[str] = (
    '''\
    """How large they are: all the same, with a wide margin."""
    nearest = min(math.dist(a, b) for i, a in enumerate(points) for b in points[:i])
    return [0.6 * nearest / 2 for _ in points]''',
    '''\
    """How large they are: all the same, as the closest two and the border allow."""
    nearest = min(math.dist(a, b) for i, a in enumerate(points) for b in points[:i])
    border = min(min(x, y, 1 - x, 1 - y) for x, y in points)
    return [min(nearest / 2, border) for _ in points]''',
    '''\
    """How large they are: each up to the middle between it and its nearest neighbour."""
    return [
        min(x, y, 1 - x, 1 - y, *(math.dist((x, y), b) / 2 for j, b in enumerate(points) if j != i))
        for i, (x, y) in enumerate(points)
    ]''',
    '''\
    """How large they are: each takes, in turn, the room that its neighbours leave."""
    sizes = [
        min(x, y, 1 - x, 1 - y, *(math.dist((x, y), b) / 2 for j, b in enumerate(points) if j != i))
        for i, (x, y) in enumerate(points)
    ]
    for i, (x, y) in enumerate(points):
        room = (math.dist((x, y), b) - sizes[j] for j, b in enumerate(points) if j != i)
        sizes[i] = min(x, y, 1 - x, 1 - y, *room)
    return sizes''',
)
"""Ways to size the circles, from worse to better."""

IMPROVEMENTS: Sequence[str] = (
    '''\
    """Where they go from there: nowhere."""
    return points''',
    '''\
    """Where they go from there: a step to the side for all, while that helps."""
    best = sum(radii(points))
    for _ in range(ROUNDS):
        moved = [(x + random.gauss(0, STEP), y + random.gauss(0, STEP)) for x, y in points]
        if all(0 < x < 1 and 0 < y < 1 for x, y in moved) and sum(radii(moved)) > best:
            points, best = moved, sum(radii(moved))
    return points''',
    '''\
    """Where they go from there: one at a time, a random step, kept when it helps."""
    best = sum(radii(points))
    for _ in range(ROUNDS):
        i = random.randrange(COUNT)
        x, y = (min(max(each + random.gauss(0, STEP), 0.01), 0.99) for each in points[i])
        moved = [*points[:i], (x, y), *points[i + 1 :]]
        if (total := sum(radii(moved))) > best:
            points, best = moved, total
    return points''',
    '''\
    """Where they go from there: one at a time, a step that becomes smaller, kept when it helps."""
    best = sum(radii(points))
    for turn in range(ROUNDS):
        i, step = random.randrange(COUNT), STEP * (1 - turn / ROUNDS)
        x, y = (min(max(each + random.gauss(0, step), 0.01), 0.99) for each in points[i])
        moved = [*points[:i], (x, y), *points[i + 1 :]]
        if (total := sum(radii(moved))) > best:
            points, best = moved, total
    return points''',
)
"""Ways to move the circles, from worse to better."""

ROUNDS = ("20", "100", "200", "400")
STEPS = ("0.2", "0.1", "0.05", "0.02")


def is_broken(code: str) -> bool:
    """Whether `misspell` or `divide` broke the program."""
    return _TYPO in code or _DIVISION in code


_SIGNATURE = "def radii(points: list[Point]) -> list[float]:"
_TYPO = "def radii(points: list[Point] -> list[float]:"
_COUNT = "COUNT = 26"
_DIVISION = "COUNT = 26\nSCALE = 1 / (COUNT - 26)"


def improve(code: str, choice: int) -> list[Edit]:
    """Repair what is broken; else take the next better way in one of the three functions, or search longer and finer."""
    if _TYPO in code:
        return [Edit("The signature misses a parenthesis.", _TYPO, _SIGNATURE)]
    if _DIVISION in code:
        return [Edit("Nothing needs SCALE, and it divides by zero.", _DIVISION, _COUNT)]
    ahead = [_move(code, RADII, 1), _move(code, STARTS, 1), _move(code, STARTS, 2)]
    if _move(code, RADII, -2):  # moving one circle helps only if each has its own size
        ahead += [_move(code, IMPROVEMENTS, by) for by in (1, 2)]
    if _move(code, IMPROVEMENTS, -1):  # it searches at all, so rounds and step size matter
        ahead += [_set(code, "ROUNDS", ROUNDS, by) for by in (1, 2)] + [_set(code, "STEP", STEPS, +1)]
    possible = [edit for edit in ahead if edit]
    if not possible:
        return shorten(code, choice)
    first = possible[choice % len(possible)]
    second = possible[choice // len(possible) % len(possible)]
    return [first] if choice % 3 or first.find == second.find else [first, second]


def worsen(code: str, choice: int) -> list[Edit]:
    """Go back to a poorer way: the kind of idea that sounds good and is not."""
    back = [_move(code, slot, -1) for slot in (STARTS, RADII, IMPROVEMENTS)]
    back += [_set(code, "ROUNDS", ROUNDS, -1), _set(code, "STEP", STEPS, -1)]
    possible = [edit for edit in back if edit]
    return [possible[choice % len(possible)]] if possible else []


def shorten(code: str, choice: int) -> list[Edit]:
    """Remove a docstring: the program becomes shorter and packs the same."""
    lines = [line for line in code.split("\n") if line.startswith('    """') and line.endswith('"""')]
    if not lines:
        return []
    line = lines[choice % len(lines)]
    after = code.split("\n")[code.split("\n").index(line) + 1]
    return [Edit("The code says this itself.", f"{line}\n{after}", after)]


def misspell(code: str, choice: int) -> list[Edit]:
    """Introduce a syntax error."""
    return [Edit("The signature can be tidied.", _SIGNATURE, _TYPO)] if _SIGNATURE in code else []


def divide(code: str, choice: int) -> list[Edit]:
    """Make a program that compiles but crashes."""
    return [Edit("A scale relative to the count may help.", _COUNT, _DIVISION)] if _COUNT in code.split("\n") else []


def miss(code: str, choice: int) -> list[Edit]:
    """Search for text that is not in the program."""
    return [Edit("The inner loop can be vectorised.", "for circle in circles:\n    circle.grow()", "circles.grow()")]


def copy(code: str, other: str) -> list[Edit]:
    """Turn the program into an existing one."""
    return [Edit("An earlier attempt was on a better way.", code, other)] if code != other else []


def applied(code: str, edits: Sequence[Edit]) -> str:
    """The program with the edits applied."""
    for edit in edits:
        code = code.replace(edit.find, edit.put, 1)
    return code


def _move(code: str, slot: Sequence[str], by: int) -> Edit | None:
    """The edit from the program's present variant to the one ``by`` further."""
    for index, text in reversed(
        list(enumerate(slot))
    ):  # the first variant is contained in the last line of the better ones
        body = text.partition("\n")[2]
        here = text if text in code else body if body in code else None
        if here is not None and 0 <= index + by < len(slot):
            why = slot[index + by].split("\n")[0].strip().strip('"')
            return Edit(why, here, slot[index + by])
    return None


def _set(code: str, name: str, values: Sequence[str], by: int) -> Edit | None:
    """The edit from the program's present value to the one ``by`` further."""
    found = re.search(rf"^{name} = (\S+)$", code, re.MULTILINE)
    if not found or found[1] not in values or not 0 <= values.index(found[1]) + by < len(values):
        return None
    value = values[values.index(found[1]) + by]
    return Edit(f"{name} of {value} instead of {found[1]}.", found[0], f"{name} = {value}")
