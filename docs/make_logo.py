"""Make the logo, for light and for dark paper: ``python docs/make_logo.py``.

A drug (the pill) acts on one gene, and what follows from it is drawn below.
"""

from pathlib import Path

OUT = Path(__file__).parent / "_static"
RED, BLUE = "#c23b33", "#2f6db3"
INK = {"light": "#22262b", "dark": "#e9ecef"}

LOGO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">
<g fill="none" stroke="{ink}" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round">
<path d="M27 25.5 17.5 42"/><path d="M16.5 35.8 16.9 43 23 39.3"/>
<path d="M37 25.5 46 40.8"/><path d="M40.8 44.4 51.6 38.2"/>
</g>
<circle cx="32" cy="17" r="9" fill="{red}"/>
<circle cx="13" cy="51" r="8" fill="{red}" fill-opacity="0.55"/>
<circle cx="51" cy="51" r="8" fill="{blue}" fill-opacity="0.75"/>
<g transform="translate(53 11) rotate(-35)">
<rect x="-9.5" y="-4.6" width="19" height="9.2" rx="4.6" fill="{ink}"/>
<path d="M0 -4.6V4.6" stroke="{paper}" stroke-width="1.8"/>
</g>
</svg>
"""


def main() -> None:
    for name, ink in INK.items():
        paper = INK["dark" if name == "light" else "light"]
        (OUT / f"logo_{name}.svg").write_text(LOGO.format(ink=ink, paper=paper, red=RED, blue=BLUE), encoding="utf-8")


if __name__ == "__main__":
    main()
