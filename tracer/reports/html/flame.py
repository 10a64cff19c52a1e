"""A flame graph: folded stacks as boxes, the wider the more of it. Geometry; what is too small to see is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

# Boxes of one picture, and the least share that one has: a page has to stay small, and a sliver says nothing.
_MOST_BOXES, _LEAST_SHARE = 500, 0.002
# Functions of a stack: the kernel samples no more than 127.
_DEEPEST = 130
ROW = 18


class Box(NamedTuple):
    """A function in a stack.

    Args:
        left, width: Shares of the whole, in per cent.
        depth: 0 is the whole.
        stage: Which stage it belongs to.
        value: Samples, or bytes.
    """

    name: str
    left: float
    width: float
    depth: int
    stage: str
    value: int


class Flame(NamedTuple):
    """The picture.

    Args:
        unit: What its values count.
        hidden: Boxes that are not drawn.
    """

    title: str
    unit: str
    boxes: list[Box]
    total: int
    hidden: int

    @property
    def depth(self) -> int:
        """Rows of the picture."""
        return max((box.depth for box in self.boxes), default=0) + 1


class _Node:
    """A function below its callers, and what was found in and below it."""

    def __init__(self, name: str, stack: str) -> None:
        self.name, self.stack, self.value = name, stack, 0
        self.below: dict[str, _Node] = {}

    def callee(self, name: str) -> _Node:
        """The box of a function that this one calls."""
        if name not in self.below:
            self.below[name] = _Node(name, f"{self.stack};{name}".lstrip(";"))
        return self.below[name]


class _Placed(NamedTuple):
    node: _Node
    left: float
    depth: int


def flame_of(title: str, unit: str, folded: Mapping[str, int], stage_of: Callable[[str], str]) -> Flame:
    """From stacks "outermost;...;innermost" with what each stands for.

    Args:
        stage_of: The stage of a stack whose innermost function is the box.
    """
    root = _tree(folded)
    placed = list(_placed(root)) if root.value else []
    # A caller has as much as its callees or more, so that no box is drawn without the one below it.
    drawn = sorted(placed, key=lambda one: (-one.node.value, one.depth))[:_MOST_BOXES]
    drawn = [one for one in drawn if one.node.value >= _LEAST_SHARE * root.value]
    boxes = [
        Box(node.name, left, 100 * node.value / root.value, depth, stage_of(node.stack), node.value)
        for node, left, depth in sorted(drawn, key=lambda one: (one.depth, one.left))
    ]
    return Flame(title, unit, boxes, root.value, len(placed) - len(boxes))


def _tree(folded: Mapping[str, int]) -> _Node:
    root = _Node("all", "")
    for stack, value in folded.items():
        node = root
        node.value += value
        for name in stack.split(";", _DEEPEST)[:_DEEPEST]:
            node = node.callee(name)
            node.value += value
    return root


def _placed(root: _Node) -> Iterator[_Placed]:
    """All boxes with the place where each begins, the greatest callee of a function first."""
    waiting = [_Placed(root, 0.0, 0)]
    while waiting:
        node, left, depth = one = waiting.pop()
        yield one
        for callee in sorted(node.below.values(), key=lambda below: (-below.value, below.name)):
            waiting.append(_Placed(callee, left, depth + 1))
            left += 100 * callee.value / root.value
