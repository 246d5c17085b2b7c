"""Text can be read in both themes: WCAG's 4.5:1 for every pair of colours that meet."""

import re
from importlib import resources

import pytest

CSS = resources.files("argus_server").joinpath("static", "argus.css").read_text("utf-8")
PAPERS = ("page", "raised", "hover", "by")
INKS = ("text", "muted", "accent", "good", "busy", "bad")


def themes():
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    light_colours = dict(re.findall(r"--([\w-]+): (#\w+);", light))
    return {
        "light": light_colours,
        "dark": {**light_colours, **dict(re.findall(r"--([\w-]+): (#\w+);", dark))},
    }


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_ink_can_be_read_on_every_paper(theme):
    colours = themes()[theme]
    pairs = [(ink, paper) for ink in INKS for paper in PAPERS]
    pairs += [("on-accent", "accent"), ("text", "bad-page"), ("bad", "bad-page")]

    weak = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}

    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}
