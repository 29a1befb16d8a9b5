"""Writes gallery.json beside this file: the pictures of @lobehub/fluent-emoji-3d that stand for one
code point (a trailing fe0f not counted), with the lower-case Unicode name of that code point.

Run once with a Python whose unicodedata is Unicode 14.0 (3.11): the starter adapter was fitted to
exactly these 1,360 names. Usage: python3.11 gallery.py <folder of the .webp files>
"""
import json
import pathlib
import sys
import unicodedata

assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
entries = []
for file in sorted(path.name for path in pathlib.Path(sys.argv[1]).glob("*.webp")):
    points = [int(part, 16) for part in file.removesuffix(".webp").split("-") if part != "fe0f"]
    name = unicodedata.name(chr(points[0]), None) if len(points) == 1 else None
    if name is not None:
        entries.append({"file": file, "codepoint": points[0], "name": name.lower()})
lines = ",\n".join(json.dumps(entry) for entry in entries)
pathlib.Path(__file__).with_name("gallery.json").write_text(f"[\n{lines}\n]\n")
print(len(entries))
