"""Plots as SVG, in plain Python: lines over a linear or logarithmic axis, and stacked bars. Nothing but text comes out, so
two runs can be compared line by line."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 680, 400, 76, 190, 40, 56
COLOURS = ("#1f6f8b", "#c05746", "#5b8c5a", "#8e6c8a", "#b8860b", "#444444", "#2e86ab", "#a23b72")


def number(v):
    if v == 0:
        return "0"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(v) >= size:
            return f"{v / size:.3g}{unit}"
    return f"{v:.3g}"


def ticks(low, high, log):
    """Values where lines are drawn, and the ends of the axis."""
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        last = max(last, first + 1)
        return [10.0 ** e for e in range(first, last + 1)]
    step = 10 ** math.floor(math.log10(high or 1))
    while high / step < 4:
        step /= 2
    while high / step > 8:
        step *= 2
    return [step * i for i in range(math.ceil(high / step) + 1)]


class Axis:
    def __init__(self, values, log, start, end):
        positive = [v for v in values if v > 0]
        self.log = log and bool(positive)
        self.ticks = ticks(min(positive) if self.log else 0, max(values, default=1) or 1, self.log)
        self.start, self.end = start, end

    def at(self, v):
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            low, high, v = math.log10(low), math.log10(high), math.log10(max(v, low))
        return self.start + (self.end - self.start) * (v - low) / (high - low)


def text(x, y, s, anchor="start", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(s)}</text>'


def frame(title):
    return [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12" fill="#222">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            text(LEFT, 24, title, more='font-size="15" font-weight="bold"')]


def grid_y(axis, label):
    out = []
    for t in axis.ticks:
        y = axis.at(t)
        out += [f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>', text(LEFT - 8, y + 4, number(t), "end")]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return out + [text(18, middle, label, "middle", f'transform="rotate(-90 18 {middle:.1f})"')]


def lines(path, title, x_label, y_label, series, log_x=False, log_y=False):
    """`series`: name -> [(x, y), ...]."""
    x = Axis([p[0] for s in series.values() for p in s], log_x, LEFT, WIDTH - RIGHT)
    y = Axis([p[1] for s in series.values() for p in s], log_y, HEIGHT - BOTTOM, TOP)
    out = frame(title) + grid_y(y, y_label)
    for t in x.ticks:
        out += [f'<line x1="{x.at(t):.1f}" y1="{TOP}" x2="{x.at(t):.1f}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>',
                text(x.at(t), HEIGHT - BOTTOM + 18, number(t), "middle")]
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label, "middle"))
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        at = [(x.at(a), y.at(b)) for a, b in sorted(points)]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b in at) + '"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in at]
        out += [f'<rect x="{WIDTH - RIGHT + 12}" y="{TOP + 20 * i}" width="12" height="12" fill="{colour}"/>',
                text(WIDTH - RIGHT + 30, TOP + 20 * i + 11, name)]
    write(path, out)


def bars(path, title, y_label, columns):
    """`columns`: name -> {part: value}; parts are stacked in their order."""
    parts = list(dict.fromkeys(p for c in columns.values() for p in c))
    y = Axis([sum(c.values()) for c in columns.values()], False, HEIGHT - BOTTOM, TOP)
    out = frame(title) + grid_y(y, y_label)
    room = (WIDTH - RIGHT - LEFT) / max(1, len(columns))
    for k, (name, column) in enumerate(columns.items()):
        below = 0.0
        for part, value in column.items():
            top, bottom = y.at(below + value), y.at(below)
            out.append(f'<rect x="{LEFT + room * (k + 0.2):.1f}" y="{top:.1f}" width="{room * 0.6:.1f}" height="{bottom - top:.1f}" '
                       f'fill="{COLOURS[parts.index(part) % len(COLOURS)]}"/>')
            below += value
        out.append(text(LEFT + room * (k + 0.5), HEIGHT - BOTTOM + 18, name, "middle"))
    for i, part in enumerate(parts):
        out += [f'<rect x="{WIDTH - RIGHT + 12}" y="{TOP + 20 * i}" width="12" height="12" fill="{COLOURS[i % len(COLOURS)]}"/>',
                text(WIDTH - RIGHT + 30, TOP + 20 * i + 11, part)]
    write(path, out)


def write(path, out):
    with open(path, "w") as f:
        f.write("\n".join(out + ["</svg>"]) + "\n")
