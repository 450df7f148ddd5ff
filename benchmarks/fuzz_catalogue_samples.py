"""Sample catalogues, texts and tables, and fragments to insert into them, for `benchmarks.fuzz_formats`."""

import struct

_PO = r"""# licence
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Language: de\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

#: a.c:1
#, fuzzy, c-format
#| msgid "Opn"
msgctxt "menu"
msgid "Open \"it\"\n"
msgstr ""
"Öffne \"es\"\n"

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien\303\244\x41"

#~ msgid "Gone"
#~ msgstr ""
#~ "Weg"
"""


def _mo(messages: list[tuple[bytes, bytes]], order: str) -> bytes:
    tables, texts, place = [b"", b""], b"", 28 + 16 * len(messages)
    for side in (0, 1):
        for message in messages:
            tables[side] += struct.pack(order + "2I", len(message[side]), place + len(texts))
            texts += message[side] + b"\0"
    count = len(messages)
    head = struct.pack(order + "7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
    return head + tables[0] + tables[1] + texts


_MESSAGES = [
    (b"", b"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=n>1;\n"),
    (b"%d file\0%d files", b"%d Datei\0%d Dateien"),
    (b"menu\x04Open", "Öffnen".encode()),
    (b"menu.file.open", b"Datei"),
]

SAMPLES: dict[str, list[bytes]] = {
    "apple_strings": [
        r"""/* Menu */
"menu.open" = "Open \"%@\"…"; // line
save = 'Save it';
"Say \U00fc" = "\U00dcber\n\344\t\101\'";
"Bare text";
"two" /* inner */ = "lines
of text";
""".encode(),
        '"a" = "Kühl";\r\n/* x */ "b" = "y";'.encode("utf-16"),
    ],
    "csv": [b'source,target\r\n"Say ""hi"", now","Sag\nhallo"\r\n\r\nplain,glatt,0.9\n'],
    "gettext": [
        _PO.encode(),
        _PO.replace("UTF-8", "ISO-8859-1").encode("latin-1"),
        _mo(_MESSAGES, "<"),
        _mo(_MESSAGES, ">"),
    ],
    "json_catalogue": [
        rb"""{
  "menu": {"file.open": "Open \u00fc\ud83d\ude00", "a/b~c": "x\ty"}, "day_one": "{{count}} day", "day_other": "days",
  "steps": ["One", {"x": "Two", "x": "Three"}, 3, -1.5e+9, true, null, []], "n": {}, "last": "{n, plural, one {#}}"
}
""",
        '{"a": ["Kühl", "門"]}'.encode("utf-16-le"),
    ],
    "markdown": [
        rb"""---
title: x
---
# A *heading* #

First **bold** text, a [link](https://e.org/a_b "T") and `co``de`. \*Hard\* &copy;\
break ![pic](x.png "y") <b>tag</b> <https://x.y> [ref][r] ~~gone~~ <!-- c --> ***both***

> - [ ] quoted
>   goes on
1. one
   ```sh
   code
   ```
Title
=====
| a | b\|c |
|---|:-:|
| d | `e` |

<div>
html
</div>

[r]: https://x.y
    code
""",
    ],
    "moses": ["one cup\ntwo\u2028cups\r\n\n門\n".encode()],
    "properties": [
        rb"""# comment
! another
open=Open {0}
  save : Save\
    it
quit Quit
a\ b\=c\u00fc = K\u00fchl\n\ttab \:
empty=
bare
""",
        "a=Kühl\r\nb = x\r".encode("latin-1"),
    ],
    "subrip": [
        b"""1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>.

2
00:00:03,000 --> 00:00:04,000 X1:10
Two
lines
3
00:00:05.5 --> 00:00:06,000

stray
""",
    ],
    "tsv": ['Cool air\tKühle Luft\t0.9\r\n\n"a"\t"b"\r\nlast\tletzte'.encode()],
    "yaml_catalogue": [
        rb"""# Texts
de:
  menu: &menu
    open: Open file   # comment
    "a/b": 'It''s "so"'
    flow: {x: one, "y": "two \u00fc", n: 5, l: [three, 'four']}
  same: *menu
  <<: *menu
  count: {one: "a day", other: "%{count} days"}
  text: |
    First
      deeper

    last
  folded: >-
    folded
    text

  many: plain
    goes on
  yes_no: yes
  list:
  - item
  - - |+
      kept

  ? complex
  : !!str value
---
end
""",
    ],
}

TOKENS: dict[str, tuple[bytes, ...]] = {
    "apple_strings": (
        b"/*", b"*/", b"//", b'"', b"'", b"\\", rb"\U12", rb"\777", b"=", b";", b"{", b"<", b"bplist", b"\r",
    ),
    "csv": (
        b'"', b'""', b",", b"\r", b"\n", b'"x\ny",',
    ),
    "gettext": (
        b'"', b"\\", rb"\377", rb"\xff", b"msgid ", b"msgstr ", b"msgctxt ", b"msgid_plural ", b"msgstr[99] ", b"#~ ",
        b"#| ", b"#, fuzzy\n", b"charset=", b"klingon", b"utf-7", b"plural=", b"n%0", b"(((((", b"?n:", b"\x00",
        b"\x04", b"\xff\xff\xff\xff", b"domain ", b'""\n', b"\x1c\x00\x00\x00",
    ),
    "json_catalogue": (
        b"{", b"}", b"[", b"]", b'"', b"\\", rb"\ud800", rb"\u12", b":", b",", b"NaN", b"-Infinity", b"1e999",
        b"9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
        b'"a":', b"[[[[[[", b'{"a":', b"null", b"//", b"'",
    ),
    "markdown": (
        b"`", b"``", b"*", b"**", b"***", b"_", b"~~", b"[", b"](", b"][", b"![", b"<!--", b"-->", b"<", b">", b"<b>",
        b"</b>", b"|", b"|-|-|", b"\n", b"\n\n", b"    ", b"- ", b"1. ", b"> ", b"#", b"---", b"```\n", b"~~~\n",
        b"<div>", b"\\", b"&", b"&#0;", b"&#99999999;", b"[x]: y", b'(x "', b"(((",
    ),
    "moses": (
        b"\r", b"\n", b"\r\n", b"\x85",
    ),
    "properties": (
        b"\\", rb"\u", rb"\u12", rb"\ud800", b"=", b":", b" ", b"#", b"!", b"\r", b"\n", b"\\\n", b"\x0c", b"\xfc",
    ),
    "subrip": (
        b"-->", b"00:00:01,000 --> 00:00:02,500\n", b"\n\n", b"7\n", b"\r", b"WEBVTT\n", b"1:2:3,4",
    ),
    "tsv": (
        b"\t", b"\t\t", b'"', b"\r", b"\n",
    ),
    "yaml_catalogue": (
        b"&a ", b"*a", b"*menu", b"!x ", b"!!int ", b"!<", b"? ", b": ", b"- ", b"{", b"}", b"[", b"]", b"|", b">",
        b"|2\n", b">+\n", b"%TAG ! x\n", b"%YAML 9.9\n", b"---\n", b"...\n", b"'", b'"', rb"\x", rb"\U00110000",
        b"\t", b"<<: ", b"  ", b"#", b"@", b"`", b"{a: ", b"[[[[", b"~", b"2026-01-01", b"=",
    ),
}  # fmt: skip
