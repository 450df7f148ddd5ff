"""Functions that stand in for a model, and one small document of each format."""

import re
from collections.abc import Callable, Sequence

from seqloom.documents.document import DocumentOptions, TranslatedDocument, translate_document
from seqloom.languages import Direction
from seqloom.text import PLACEHOLDER
from seqloom.translation.results import Result

EN_DE = Direction("en", "de")
OPTIONS = DocumentOptions(EN_DE)


def loud(text: str) -> str:
    """Return the text in capitals, except for its placeholders."""
    parts = re.split(f"({PLACEHOLDER.pattern})", text)
    return "".join(part if position % 2 else part.upper() for position, part in enumerate(parts))


def saying(say: Callable[[str], str]) -> Callable[[Sequence[str]], list[Result]]:
    """Return a translate function that says this for each text."""
    return lambda texts: [Result(say(text), (), 0.5) for text in texts]


LOUD = saying(loud)


def translated(name: str, content: str | bytes, say: Callable[[str], str] = loud, **options) -> TranslatedDocument:
    """Return a document translated from English to German."""
    given = content if isinstance(content, bytes) else content.encode()
    return translate_document(given, name, saying(say), DocumentOptions(EN_DE, **options))


def text(name: str, content: str | bytes, say: Callable[[str], str] = loud, **options) -> str:
    """Return the text of a translated document in UTF-8."""
    return translated(name, content, say, **options).content.decode()


DOCUMENTS = {
    "a.po": """# A catalogue
msgid ""
msgstr ""
"Language: de\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

#: a.c:1
#, c-format
msgid "Save %s"
msgstr ""

msgid "Done"
msgstr "Fertig"

#, fuzzy
msgid "Guess"
msgstr "Geraten"

#~ msgid "Gone"
#~ msgstr ""
""",
    "a.xlf": """<?xml version="1.0"?>
<xliff version="1.2"><file original="f" source-language="en" target-language="de" datatype="plaintext"><body>
<trans-unit id="1" approved="yes"><source>Save <g id="1">it</g> &amp; go</source></trans-unit>
<trans-unit id="2"><source>Done</source><target state="translated">Fertig</target></trans-unit>
<trans-unit id="3"><source>Open</source><target state="needs-review-translation">Auf</target></trans-unit>
<trans-unit id="4" translate="no"><source>ACME</source></trans-unit>
</body></file></xliff>
""",
    "b.xlf": """<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" trgLang="de">
<file id="f"><unit id="u"><segment id="1"><source>Save <pc id="1">it</pc></source></segment>
<segment id="2" state="final"><source>Done</source><target>Fertig</target></segment></unit>
</file></xliff>
""",
    "a.tmx": """<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en"><seg>Save <ph x="1">{0}</ph></seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Open</seg></tuv><tuv xml:lang="de"><seg/></tuv></tu>
<tu><tuv xml:lang="en"><seg>Done</seg></tuv><tuv xml:lang="de"><seg>Fertig</seg></tuv></tu>
</body></tmx>
""",
    "a.json": """{\n  "menu": {"open": "Open {name}", "n": 3, "deep": ["Save", null, true]}\n}\n""",
    "strings.xml": """<?xml version="1.0" encoding="utf-8"?>
<resources xmlns:xliff="urn:oasis:names:tc:xliff:document:1.2">
    <!-- a comment --><string name="a">It\\'s <b>open</b> &amp; <xliff:g id="n">%1$s</xliff:g></string>
    <string name="b" translatable="false">ACME</string><string name="c">@string/a</string>
    <plurals name="n"><item quantity="one">%d file</item><item quantity="other">%d files</item></plurals>
</resources>
""",
    "a.strings": '/* a comment */\n"open" = "Open \\"%@\\"";\n"save"="Save";\n',
    "a.properties": "# a comment\nopen = Open the file\nsave: Don''t save {0}\n",
    "a.yml": 'en:\n  # a comment\n  open: Open %{name}\n  save: "Save"\n  n: 3\n',
    "a.html": '<!DOCTYPE html>\n<html lang="en"><head><title>Home</title><script>var a = "b";</script></head>\n'
    '<body><p>Open <b>the file</b> &amp; go<br>now</p><img src="a.png" alt="A light"></body></html>\n',
    "a.md": "---\ntitle: x\n---\n\n# Open\n\nSave **it** with `code`\nand [go](http://x.org).\n\n"
    "```sh\nls\n```\n\n- one\n",
    "a.srt": "1\n00:00:01,000 --> 00:00:02,000\nTurn on the light\nin the kitchen.\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\n- Yes?\n- No.\n",
    "a.txt": "Open the file.\n\n  Save it.\n",
    "a.csv": 'Open,,x\n"Save, now",,y\nDone,Fertig,z\n',
    "a.tsv": "Open\t\tx\nSave\nDone\tFertig\tz\n",
}
"""Documents by name. Those of bilingual formats have one translated text, which must stay."""
