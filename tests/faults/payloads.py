"""Texts that become code where somebody forgets to escape, and a search for those that did."""

from __future__ import annotations

from html.parser import HTMLParser

PAYLOADS = (
    '<img src=x onerror="window.pwned=1">',
    "</script><script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "' onmouseover='window.pwned=1",
    "<!--<script>window.pwned=1//-->",
    "<a href='javascript:window.pwned=1'>here</a>",
    "</textarea><iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "[here](javascript:window.pwned=1) ![x](x' onerror='window.pwned=1)",
)


class Page(HTMLParser):
    """Reads a page as a browser does: what would run, and what is only text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.alive: list[str] = []
        self.text = ""
        self._script: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        kind = given.get("type", "")
        self._script = tag if tag == "script" and "json" not in kind else None
        for name, value in given.items():
            runs = name.startswith("on") or name == "srcdoc"
            runs |= value.strip().lower().startswith("javascript:")
            if runs and "pwned" in value:
                self.alive.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script and "pwned" in data:
            self.alive.append(f"script {data[:80]}")
        self.text += data
