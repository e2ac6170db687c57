"""Real changes of the pages: each replaces a text that occurs exactly once in its page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A change that a reviewer of `page` would want to be told about."""

    page: str
    kind: str
    old: str
    new: str

    def applied(self, html: str) -> str:
        """The page's text with this change made."""
        if html.count(self.old) != 1:
            raise ValueError(
                f"{self.page}: {self.old!r} occurs {html.count(self.old)} times, not once"
            )
        return html.replace(self.old, self.new)


CHANGES = (
    Change("text", "word", "ground wheat for", "ground maize for"),
    Change("text", "word", "A short history of mud", "A brief history of mud"),
    Change("text", "digit", "survey of 1761", "survey of 1781"),
    Change("text", "digit", "780 kg", "730 kg"),
    Change("text", "digit", "lived to be 83", "lived to be 88"),
    Change("text", "icon", '<circle cx="6" cy="6" r="4.2"/><path d="M9.2 9.2 13 13"/>', ""),
    Change("text", "colour", "border-left: 3px solid #c9a77f", "border-left: 3px solid #8fae86"),
    Change("text", "colour", "a.here { color: #9c3b1c", "a.here { color: #1c5f9c"),
    Change("text", "border", "border-top: 1px solid #d9d0c0", "border-top: 1px solid transparent"),
    Change("text", "border", "1px solid #e8dfcf", "1px solid #d2c3a8"),
    Change("text", "move", '<p class="by">', '<p class="by" style="position:relative;left:4px">'),
    Change("text", "row", "<div><dt>Pairs of stones</dt><dd>3 to 10</dd></div>", ""),
    Change("text", "contrast", "sans-serif; color: #7a7164", "sans-serif; color: #a79f93"),
    Change("text", "size", "h2 { font-size: 12px", "h2 { font-size: 13px"),
    Change("dashboard", "word", "Bakery Lindqvist", "Bakery Lundqvist"),
    Change("dashboard", "digit", "€48,316", "€43,316"),
    Change("dashboard", "digit", "▲ 6.8 %", "▲ 8.8 %"),
    Change("dashboard", "digit", "€388.10", "€388.70"),
    Change("dashboard", "digit", "#20613", "#20618"),
    Change("dashboard", "icon", '<path d="M2 13V8M6 13V2M10 13V5"/>', ""),
    Change("dashboard", "colour", "background: #2563eb", "background: #4f46e5"),
    Change("dashboard", "colour", "background:#fff8ec", "background:#eef6ff"),
    Change("dashboard", "border", "border: 1px solid #d3dae6", "border: 1px solid #f3f5f9"),
    Change("dashboard", "move", "<h2>Orders", '<h2 style="position:relative;top:4px">Orders'),
    Change("dashboard", "move", 'circle cx="127" cy="14"', 'circle cx="127" cy="18"'),
    Change("dashboard", "row", '<span>15 %</span>Wholesale<i><b style="width:15%"></b></i>', ""),
    Change("dashboard", "contrast", "left; color: #6b7280", "left; color: #a3a9b4"),
    Change("dashboard", "size", ".card strong { font-size: 19px", ".card strong { font-size: 20px"),
    Change("form", "word", "Strong winds", "Severe winds"),
    Change("form", "digit", "£113.60", "£118.60"),
    Change("form", "digit", "£152.45", "£162.45"),
    Change("form", "digit", "08 / 03 / 1986", "08 / 08 / 1986"),
    Change("form", "icon", '<path d="M7 1 13.5 13H.5z" fill="#d99a0b"/>', ""),
    Change("form", "icon", '"checkbox"> Tell', '"checkbox" checked> Tell'),
    Change("form", "colour", "background: #0f766e", "background: #0f6290"),
    Change("form", "colour", "background: #fdeae7", "background: #fff"),
    Change("form", "border", "border-top: 1px solid #d3dfdd", "border-top: 1px solid transparent"),
    Change("form", "border", "border: 1px solid #8fb3ae", "border: 2px solid #8fb3ae"),
    Change("form", "move", '<label id="plate">', '<label style="position:relative;top:4px">'),
    Change("form", "row", "      <div><span>Dog</span><span>£7.00</span></div>\n", ""),
    Change("form", "contrast", ".bad .hint { color: #b03024", ".bad .hint { color: #d98f88"),
    Change("form", "size", "font: bold 13px", "font: bold 14px"),
    Change("dark", "word", "Midnight", "Moonless"),
    Change("dark", "digit", "13 px", "18 px"),
    Change("dark", "digit", "version 8.13.6", "version 8.13.8"),
    Change("dark", "digit", "16</em>", "18</em>"),
    Change("dark", "icon", '<path d="M8.5 1 3 8.5h4L6.5 14 12 6.5H8z"/>', ""),
    Change("dark", "icon", '<span class="toggle"></span>', '<span class="toggle yes"></span>'),
    Change(
        "dark",
        "colour",
        "background: #5568e8; border-color: #5568e8",
        "background: #7a55d0; border-color: #7a55d0",
    ),
    Change("dark", "colour", "background:#c9823d", "background:#b9a03a"),
    Change(
        "dark", "border", "border-bottom: 1px solid #2c3140", "border-bottom: 1px solid #4a5268"
    ),
    Change(
        "dark", "border", ".pick { border: 1px solid #3b4254", ".pick { border: 1px solid #20242f"
    ),
    Change("dark", "move", "<button>Reset", '<button style="position:relative;left:-4px">Reset'),
    Change(
        "dark",
        "row",
        '  <a><svg viewBox="0 0 15 15"><path d="M1.5 4h12v8h-12zM1.5 7h12"/></svg>Billing</a>\n',
        "",
    ),
    Change("dark", "contrast", "color: #8b92a5", "color: #5f6577"),
    Change("dark", "size", ".box h2 { font-size: 13px", ".box h2 { font-size: 14px"),
    Change("chart", "word", "Brackendale", "Breckendale"),
    Change("chart", "digit", "168.3", "163.3"),
    Change("chart", "digit", ">2018</text>", ">2013</text>"),
    Change("chart", "digit", "29 % farms", "28 % farms"),
    Change("chart", "digit", "table 18", "table 13"),
    Change("chart", "icon", 'cy="75.5" r="4"', 'cy="75.5" r="0"'),
    Change("chart", "colour", 'stroke="#8e5ba6"/>\n    <circle', 'stroke="#a65b6b"/>\n    <circle'),
    Change("chart", "colour", 'stroke="#7fb3dd"', 'stroke="#a3a0dc"'),
    Change("chart", "border", '<path d="M60 116.5H476" stroke="#e4e7ec"/>', ""),
    Change(
        "chart",
        "border",
        "border:1px solid #d0d5dd;padding:7px 9px",
        "border:2px solid #d0d5dd;padding:6px 8px",
    ),
    Change("chart", "move", '<path d="M60 140.5H476"', '<path d="M60 136.5H476"'),
    Change("chart", "row", 'y="110" width="11" height="40"', 'y="110" width="11" height="0"'),
    Change("chart", "contrast", "8px; color: #667085", "8px; color: #a5adba"),
    Change("chart", "size", "h1 { font-size: 18px", "h1 { font-size: 19px"),
    Change("gallery", "word", "Late bloom", "Last bloom"),
    Change("gallery", "digit", "</svg>638<", "</svg>688<"),
    Change("gallery", "digit", "1,386", "1,336"),
    Change("gallery", "digit", "0:34", "0:84"),
    Change("gallery", "icon", '<span class="prize">1st prize</span>', ""),
    Change("gallery", "icon", '<path d="M7 6l1.5-3h5L15 6"/>', ""),
    Change("gallery", "colour", "background: #e2533f", "background: #c9458a"),
    Change("gallery", "colour", "background: #ffd54a", "background: #ffb04a"),
    Change("gallery", "border", "border: 1px solid #e2e2e2", "border: 1px solid #fff"),
    Change(
        "gallery",
        "border",
        "border: 1px solid #ccc; border-radius: 14px; padding: 5px 12px",
        "border: 2px solid #ccc; border-radius: 14px; padding: 4px 11px",
    ),
    Change("gallery", "move", '<figure id="last">', '<figure style="top:4px">'),
    Change("gallery", "row", "<span>Places</span>", ""),
    Change("gallery", "contrast", "header small { color: #777", "header small { color: #aaa"),
    Change("gallery", "size", "block; font-size: 12px", "block; font-size: 13px"),
    Change("code", "word", "Admiralty tables", "Admiralty charts"),
    Change("code", "word", "angle = <", "angel = <"),
    Change("code", "digit", "28.984104", "28.934104"),
    Change("code", "digit", "3.18", "3.13"),
    Change("code", "icon", '<path d="M.5 2.5h4l1 1.5h5v6.5H.5z"/>', ""),
    Change("code", "icon", "underline wavy #d0453a 1px", "none"),
    Change("code", "colour", ".s { color: #3d8b40", ".s { color: #3d7a8b"),
    Change("code", "colour", "background: #dbe4f4", "background: #f4e8db"),
    Change("code", "border", "border-top: 2px solid #3b78d8", "border-top: 2px solid #fbfbfd"),
    Change("code", "border", "border-top:1px solid #cfd4de", "border-top:1px solid transparent"),
    Change("code", "move", "<span>UTF-8", '<span style="position:relative;left:4px">UTF-8'),
    Change("code", "row", '  <a class="sub">cranes.py</a>\n', ""),
    Change("code", "contrast", "font-style: italic; }", "font-style: italic; opacity: .6 }"),
    Change(
        "code", "size", "padding: 11px 0 0; font-size: 11px", "padding: 11px 0 0; font-size: 12px"
    ),
    Change("landing", "word", "Dentist, Ella", "Dentist, Emma"),
    Change("landing", "digit", "128,000", "123,000"),
    Change("landing", "digit", "15:20", "16:20"),
    Change("landing", "digit", "8 o’clock", "6 o’clock"),
    Change("landing", "icon", '<path d="M10 6v4l3 2"/>', ""),
    Change("landing", "icon", "★★★★★", "★★★★☆"),
    Change("landing", "colour", ".go { background: #fff", ".go { background: #ffe9c9"),
    Change("landing", "colour", "border-color:#2a9d8f", "border-color:#2a6f9d"),
    Change("landing", "border", "1px solid #e6e0f2", "1px solid #fff"),
    Change(
        "landing",
        "border",
        "border: 1px solid #f0e4ff; padding: 4px 14px",
        "border: 2px solid #f0e4ff; padding: 3px 13px",
    ),
    Change(
        "landing", "move", '<a class="see">', '<a class="see" style="position:relative;top:4px">'
    ),
    Change("landing", "row", '    <div class="slot"><small>15:20</small>Dentist, Ella</div>\n', ""),
    Change(
        "landing", "contrast", "font-size: 12px; color: #625a78", "font-size: 12px; color: #989199"
    ),
    Change(
        "landing",
        "size",
        "margin: 7px 0 2px; font-size: 15px",
        "margin: 7px 0 2px; font-size: 16px",
    ),
    Change("script", "word", "ισόγειο", "υπόγειο"),
    Change("script", "word", "مجاني", "متاح"),
    Change("script", "digit", "431-68-20", "431-66-20"),
    Change("script", "digit", "380 ₽", "330 ₽"),
    Change("script", "digit", "11:00–17:00", "11:00–11:00"),
    Change("script", "icon", '<circle cx="78" cy="50" r="5" fill="#d9762b"/>', ""),
    Change("script", "colour", "background: #d9762b", "background: #c4455a"),
    Change("script", "colour", "background: #1f6f9f", "background: #3f5fb0"),
    Change(
        "script", "border", "border-bottom: 2px solid #1f6f9f", "border-bottom: 2px solid #9fc4da"
    ),
    Change("script", "border", "border-top: 1px solid #e3eaf1", "border-top: 1px solid #fff"),
    Change(
        "script",
        "move",
        '<span class="go">',
        '<span class="go" style="position:relative;left:4px">',
    ),
    Change("script", "row", "      <tr><td>Дети до 7 лет</td><td>бесплатно</td></tr>\n", ""),
    Change(
        "script", "contrast", "font-size: 10px; color: #5f7387", "font-size: 10px; color: #9fadba"
    ),
    Change("script", "size", "h2 { font: bold 16px", "h2 { font: bold 17px"),
    Change("map", "word", "Fish Quay", "Salt Quay"),
    Change("map", "digit", "650 m", "850 m"),
    Change("map", "digit", "Pier 3", "Pier 8"),
    Change("map", "digit", "sheet 61-B", "sheet 67-B"),
    Change("map", "icon", '<g id="station">', '<g visibility="hidden">'),
    Change("map", "colour", 'fill="#e4d9ec"', 'fill="#f2d9cd"'),
    Change("map", "colour", 'stroke="#fbd38a"', 'stroke="#f6b8a0"'),
    Change("map", "border", 'stroke="#6a8fb3" stroke-dasharray="7 4"', 'stroke="none"'),
    Change(
        "map", "border", 'stroke="#8f8f8f" stroke-width="2"', 'stroke="#8f8f8f" stroke-width="1"'
    ),
    Change("map", "move", '<text x="484" y="358"', '<text x="488" y="358"'),
    Change("map", "move", '<circle cx="700" cy="170"', '<circle cx="700" cy="174"'),
    Change("map", "row", "M664 90h30v22h-30z", "M664 90h0"),
    Change("map", "contrast", 'fill="#44546a"', 'fill="#8d98a8"'),
    Change("map", "size", ".map text { font: 11px", ".map text { font: 12px"),
)
