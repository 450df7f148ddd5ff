"""Sample files in markup formats, and fragments to insert into them, for `benchmarks.fuzz_formats`."""

_XML = (
    b"&nbsp;", b"&#0;", b"&#x10FFFF;", b"&#99999999999999999999;", b"&x;", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?",
    b"<!DOCTYPE tmx [<!ENTITY a 'b'>]>", b"<!DOCTYPE tmx SYSTEM 'x'>", b"<a>", b"</a>", b'xml:lang="', b'"', b"/>",
    b"<a b='&lt;&copy;&y;'/>", b' encoding="utf-7"',
    b"<!ATTLIST tuv a CDATA 'b'>", b"<a:b:c/>", b"xmlns=''",
    b"%s", b"{0}",
)  # fmt: skip

SAMPLES: dict[str, list[bytes]] = {
    "android": [
        rb"""<?xml version="1.0" encoding="utf-8"?>
<resources xmlns:xliff="urn:oasis:names:tc:xliff:document:1.2">
  <string name="title" product="tablet">Fridge\'s   "lid  open" caf\u00e9</string>
  <string name="greeting">Hi <xliff:g id="name" example="Ann">%1$s</xliff:g>, <b>welcome <i>home</i></b>\n</string>
  <string name="page" translatable="false"><![CDATA[<p>See & that</p>]]></string>
<string name="alias">@string/title</string>
  <string-array name="days"><item>Monday</item><item/></string-array>
  <plurals name="files"><item quantity="one">%d file</item><item quantity="other">%d files</item></plurals>
</resources>
""",
    ],
    "html": [
        b"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Bread &amp; butter</title>
<meta name="description" content="How to bake"><style>p { color: red }</style><script>if (a < b) { "</p>" }</script>
</head>
<body><h1 title="The oven">Warm <em>up</em></h1><p>Take a <a href="bowl.html" title='A "bowl"'>bowl</a>
<br> caf&eacute;.</p>
<ul><li>Flour<li>Water <img src="w.png" alt="Cold"> <b><i>salt</b></i></ul><pre> keep </pre>
<input type=submit value=Send>
<p translate="no">KX-1</p><p>Type <span translate="no">make <b>all</b></span> now</p><!-- note --><?php echo 1; ?>
</body></html>
""",
        "<meta charset=shift_jis><p title=a>門を<b>閉め</b>る</p>".encode("shift_jis"),
    ],
    "tmx": [
        """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en" segtype="sentence" datatype="rtf"><note>n</note></header><body>
<tu tuid="1" changeid="MT!"><prop type="x-mt">no</prop><tuv xml:lang="en-US">
<seg>Save the <bpt i="1" x="1">{\\b </bpt>file<ept
i="1">}</ept>&nbsp;<ph x="2">{0}<sub>alt</sub></ph> now<ut>{\\cs6 </ut></seg></tuv><tuv xml:lang="de"><seg>Sichere <ph
x="2">{0}</ph> die <bpt i="3" x="1">{\\b </bpt>Datei<ept i="3">}</ept><it pos="begin"/> <hi>größer</hi></seg></tuv>
</tu>
<tu><tuv xml:lang="fr"><seg>un</seg></tuv><tuv lang="en"><seg/></tuv></tu><!-- c -->
<tu><tuv xml:lang="EN_gb"><seg>One</seg></tuv><tuv xml:lang="de"/><tuv xml:lang="de"><seg><![CDATA[<b>]]></seg>
</tuv></tu>
</body></tmx>""".encode(),
        '<?xml version="1.0" encoding="utf-16"?><tmx><body><tu><tuv xml:lang="en"><seg>Gate</seg></tuv>'
        '<tuv xml:lang="de"><seg>Tür</seg></tuv></tu></body></tmx>'.encode("utf-16"),
    ],
    "xliff": [
        """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2" xmlns:sdl="http://sdl.com/FileTypes/SdlXliff/1.0">
<file original="a.html" datatype="html" source-language="en" target-language="de"><header><note>n</note></header>
<body>
<group translate="no"><trans-unit id="1" approved="no">
<source>Click <g id="1">here</g> or <x id="2" equiv-text="{0}"/></source>
<target state="needs-translation" state-qualifier="mt-suggestion">Klicke <g id="1">hier</g></target><alt-trans>
<source>x
</source><target>y</target></alt-trans></trans-unit></group>
<trans-unit id="2"><source>Open it. Close.</source><seg-source><g id="7">
<mrk mtype="seg" mid="1">Open it.</mrk> <mrk mtype="seg"
mid="2">Close <bx id="3" rid="1"/>now<ex id="4" rid="1"/>.</mrk></g></seg-source><target>
<mrk mtype="seg" mid="2">Zu.</mrk></target>
<sdl:seg-defs><sdl:seg id="1" conf="Draft" origin="mt"/><sdl:seg id="2" conf="Translated"/></sdl:seg-defs>
</trans-unit>
<trans-unit id="3"><source>Größe</source><seg-source><mrk mtype="seg" mid="a">Size</mrk></seg-source><target/>
</trans-unit>
<trans-unit id="4"><source>One</source></trans-unit></body></file></xliff>""".encode(),
        b"""<xliff version="2.1" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de">
<file id="f"><unit id="1">
<notes><note>About</note></notes><originalData><data id="d">%d</data></originalData><segment id="s" state="initial">
<source>Go <pc
id="1">on</pc> <ph id="2" disp="{0}"/><ph id="3" dataRef="d"/></source></segment><ignorable><source> </source>
</ignorable><segment>
<source>a<sc id="4"/>b<ec startRef="4"/><mrk id="m" translate="no">K</mrk></source><target>x<sc id="4"/>y</target>
</segment></unit>
</file></xliff>""",
    ],
}  # fmt: skip

TOKENS: dict[str, tuple[bytes, ...]] = {
    "android": (
        *_XML, rb"\u", rb"\'", b'"', b"\\", b"@", b"<string name='title'>", b"</string>", b"<item>", b"<xliff:g>",
    ),
    "html": (
        *_XML, b"<p>", b"</p>", b"<b>", b"</b>", b"<pre>", b"<script>", b"</script>", b"<title>", b" title=x",
        b" alt='", b" translate=no", b"<meta charset=utf-16>", b"<meta charset=cp437>", b"<svg>", b"<br>", b"</",
        b"<", b"&notit", b"&#1", b"&#x80;",
    ),
    "tmx": (
        *_XML, b"<tu>", b"</tu>", b"<tuv xml:lang='de'>", b"<seg>", b"</seg>", b"<ph/>", b"<bpt i='1'/>",
        b"<ept i='1'/>", b"<ut>", b"<sub>", b"<hi>",
    ),
    "xliff": (
        *_XML, b"<trans-unit>", b"<unit>", b"<source>", b"</source>", b"<target/>", b"<mrk mtype='seg' mid='1'>",
        b"<x/>", b"<g>", b"<mrk>", b"</mrk>", b"<seg-source>", b"version='2.0'", b"<ec startRef='1'/>", b"<segment>",
        b"<file>",
    ),
}  # fmt: skip

WHOLE: dict[str, tuple[bytes, ...]] = {
    "android": (
        b"text", b"<b>x</b>", b"<br/>", b"<item>%d</item>", b"<string name='title'>a</string>", rb" \u0041 \' ",
        b"&nbsp;", b'"  "', b"<g id='1'>x<b/></g>", b"<string/>", b"<plurals/>",
        b"<array name='a'><item>@id/x</item></array>",
    ),
    "html": (
        b"text", b"<b>x</b>", b"<br>", b"<img alt=x>", b"<p title=a>", b"<pre>x</pre>", b"&#0;&euro;&x",
        b"<!-- c -->", b"<a title='x'>y</a>", b"<i translate=no>z</i>", b"<td>",
    ),
    "tmx": (
        b"text", b"<ph x='1'/>", b"<bpt i='1'/>", b"<ept i='1'/>", b"<hi>x</hi>", b"<ut>{</ut>", b"<sub>s</sub>",
        b"&nbsp;", b"<tuv xml:lang='de'><seg>x</seg></tuv>", b"<tuv xml:lang='en-GB'/>", b"<seg/>", b"<tu/>",
        b"<b>x<i/></b>", b"<g1>", b"&lt;x1/>", b"<!--c-->", b"<![CDATA[<x2/>]]>", b"<prop type='x-mt'>1</prop>",
        "größer 門😀".encode(),
    ),
    "xliff": (
        b"text", b"<x id='1'/>", b"<g id='1'>a</g>", b"<bx id='1'/>", b"<ex id='1'/>",
        b"<mrk mtype='seg' mid='1'>m</mrk>", b"<mrk mtype='seg' mid='2'/>", b"<target/>", b"<target>t</target>",
        b"<source>s</source>", b"<seg-source>s</seg-source>", b"<trans-unit/>",
        b"<unit><segment><source>u</source></segment></unit>", b"<pc id='1'>p</pc>", b"<ph id='1'>%s</ph>",
        b"<sc id='1'/>", b"<ec startRef='1'/>", b"<mrk translate='no'>x</mrk>", b"&nbsp;", b"&lt;g1>", b"<!--c-->",
        b"<group/>",
    ),
}  # fmt: skip
"""Well-formed fragments."""
