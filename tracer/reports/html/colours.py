"""The table of stages' looks as CSS and as SVG patterns; and which ink can be read on a colour."""

from __future__ import annotations

from tracer.reports.stage_styles import LOOKS, NO_COLOUR, Kind, Look, look_of

DARK, LIGHT = "#111111", "#ffffff"
# Pixels of a hatch's tile, and its lines in it, by the name that matplotlib gives to it.
_TILE = 8
_LINES = {
    "///": "M-2 2L2 -2M0 8L8 0M6 10L10 6",
    "\\\\\\": "M-2 6L2 10M0 0L8 8M6 -2L10 2",
    "xxx": "M0 0L8 8M8 0L0 8",
    "+++": "M4 0V8M0 4H8",
    "...": "M2 2h1.6M6 6h1.6",
    "---": "M0 2H8M0 6H8",
}


def stage_styles() -> str:
    """CSS: a class a stage. Its colour is the table's; a hatched one is filled by its pattern."""
    rules = [_rule(name, look) for name, look in {**LOOKS, "unknown": look_of("unknown")}.items()]
    return "".join(rules)


def _rule(name: str, look: Look) -> str:
    fill = f"url(#hatch-{name})" if look.hatch else look.colour
    return f".stage-{name}{{--colour:{colour(look)};--ink:{ink_on(look)};fill:{fill}}}\n"


def swatch_patterns() -> str:
    """SVG: the hatches."""
    return "".join(_pattern(name, look) for name, look in LOOKS.items() if look.hatch)


def _pattern(name: str, look: Look) -> str:
    faint = ' class="faint"' if look.kind is Kind.WORK else ' class="plain"'
    return (
        f'<pattern id="hatch-{name}" width="{_TILE}" height="{_TILE}" patternUnits="userSpaceOnUse">'
        f'<rect width="{_TILE}" height="{_TILE}" style="fill:{colour(look)}"/>'
        f'<path d="{_LINES[look.hatch]}"{faint}/></pattern>\n'
    )


def colour(look: Look) -> str:
    """What is no colour is the page's own background, in dark as in light."""
    return "var(--surface)" if look.colour == NO_COLOUR else look.colour


def ink_on(look: Look) -> str:
    """The ink that can be read on it best."""
    if look.colour == NO_COLOUR:
        return "var(--text)"
    return max((DARK, LIGHT), key=lambda ink: contrast(ink, look.colour))


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours "#rrggbb", 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(value: str) -> float:
    channels = (int(value[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
