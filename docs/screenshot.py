"""Draws a terminal's screen as SVG: tmux capture-pane -e -p | python3 docs/screenshot.py > out.svg"""

import html
import re
import sys

CELL, LINE, PAD = 8.4, 18, 16
COLOURS = {31: "#e06c75", 32: "#8fc379", 33: "#d8b26b", 36: "#56b6c2", 39: "#d7dae0",
           91: "#e06c75", 92: "#8fc379", 93: "#d8b26b", 96: "#56b6c2"}


def spans(lines):
    """Each line as pieces (column, text, colour, bold, dim); a style lasts past the line's end."""
    colour, bold, dim, out = 39, False, False, []
    for line in lines:
        column, pieces = 0, []
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if part.startswith("\x1b[38;5;"):
                colour = {"10": 92, "14": 96}.get(part[7:-1], 39)
            elif part.startswith("\x1b["):
                for code in [int(c or 0) for c in part[2:-1].split(";")]:
                    if code == 0:
                        colour, bold, dim = 39, False, False
                    elif code == 1:
                        bold = True
                    elif code == 2:
                        dim = True
                    elif code == 22:
                        bold = dim = False
                    elif code in COLOURS:
                        colour = code
            elif part:
                pieces.append((column, part, COLOURS[colour], bold, dim))
                column += len(part)
        out.append(pieces)
    return out


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = PAD * 2 + CELL * max(len(line) for line in plain)
    height = PAD * 2 + LINE * len(lines)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
          f'viewBox="0 0 {width:.0f} {height}" role="img" aria-label="A run of handaxe ask">')
    print(f'<rect width="100%" height="100%" rx="8" fill="#1e2127"/>')
    print('<g font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14" '
          'xml:space="preserve">')
    for row, pieces in enumerate(spans(lines)):
        for column, text, colour, bold, dim in pieces:
            if text.strip():
                x, y = PAD + CELL * column, PAD + LINE * (row + 0.75)
                style = ' font-weight="bold"' * bold + ' opacity="0.65"' * dim
                print(f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" textLength="{CELL * len(text):.1f}"'
                      f'{style}>{html.escape(text)}</text>')
    print("</g>\n</svg>")


if __name__ == "__main__":
    main()
