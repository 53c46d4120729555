"""Derives the AWS provider's schema from its generated JavaScript bindings.

The CDK Terrain bindings on PyPI are generated from `terraform providers schema`, so that each attribute's name, type and
use (required, optional, computed) and each nested block's shape can be read back from them. What is not in there cannot be
had: default values, validators of values, conflicts between arguments, and which arguments force a replacement.

A block is described as `{"attributes": {NAME: …}, "blocks": {NAME: …}}`, where an attribute has `type` (as Terraform's
wire format has it), `required`, `optional` and `computed`, and a block has `nesting`, `min_items`, `max_items` and
`block`.
"""

from __future__ import annotations

import re

SIMPLE_TYPES = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}

ENTRY = re.compile(
    r"^\s+(?P<name>\w+): \{\n"
    r"\s+value: (?P<value>.*?),\n"
    r"\s+isBlock: (?P<is_block>true|false),\n"
    r'\s+type: "(?P<kind>\w+)",\n'
    r'\s+storageClassType: "(?P<storage>\w+)",\n',
    re.MULTILINE,
)
MAPPER = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
CLASS = re.compile(r"^class (\w+) extends ([\w.]+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
USE = re.compile(
    r"// (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+), required: (?P<required>\w+)\n"
    r"(?P<code>.*?)\n\s+\}",
    re.DOTALL,
)
NESTED_LIST = re.compile(r'= new (\w+)\(this, "\w+"(?:, (\w+))?\)')
WHOLE = re.compile(r"synthesizeHclAttributes\(\) \{(.*?)^    \}", re.MULTILINE | re.DOTALL)
VERSION = re.compile(r"providerVersion: '([\d.]+)'")


class SchemaNotFound(Exception):
    """The bindings are not written as this module expects."""


def version(source: str) -> str:
    """The provider's version that a file of the bindings was generated from."""
    return VERSION.search(source).group(1)


def derive(source: str) -> dict:
    """The block of the resource, data source or provider that one file of the bindings is about."""
    return _File(source).block()


class _Use:
    """How one attribute or block of a class is used, and the code that gets it."""

    def __init__(self, match: re.Match):
        self.computed, self.optional, self.required = (match[word] == "true" for word in ("computed", "optional", "required"))
        self.code = match["code"]

    @property
    def read_only(self) -> bool:
        return self.computed and not self.optional and not self.required


UNKNOWN_USE = USE.match("// x - computed: false, optional: true, required: false\n\n }")


class _File:
    def __init__(self, source: str):
        self.mappers = {name: list(ENTRY.finditer(body)) for name, body in MAPPER.findall(source)}
        self.uses: dict[str, dict[str, _Use]] = {}
        top = None
        for name, base, body in CLASS.findall(source):
            self.uses[name] = {match["name"]: _Use(match) for match in USE.finditer(body)}
            if base in ("cdktn.TerraformResource", "cdktn.TerraformDataSource", "cdktn.TerraformProvider"):
                top = name, WHOLE.search(body)
        if top is None or top[1] is None:
            raise SchemaNotFound("no resource, data source or provider in this file of the bindings")
        self.top, self.top_entries = top[0], list(ENTRY.finditer(top[1].group(1)))

    def block(self) -> dict:
        return self._block(self.top_entries, self.uses[self.top])

    def _block(self, entries: list[re.Match], uses: dict[str, _Use]) -> dict:
        attributes, blocks = {}, {}
        for entry in entries:
            name, use = entry["name"], uses.get(entry["name"], _Use(UNKNOWN_USE))
            mapper = re.search(r"(\w+)ToHclTerraform", entry["value"])
            if entry["is_block"] == "false":
                attributes[name] = _attribute(_simple_type(entry["kind"], entry["storage"]), use)
            elif re.search(r"listMapperHcl\(\w+, false\)", entry["value"]):
                attributes[name] = _attribute([entry["kind"], self._object_of_mapper(mapper[1])], use)
            else:
                blocks[name] = self._nested(entry, mapper[1], use)
        for name, use in uses.items():
            if name not in attributes and name not in blocks and use.read_only:
                attributes[name] = _attribute(self._read_only_type(use.code), use)
        return {"attributes": attributes, "blocks": blocks}

    def _nested(self, entry: re.Match, mapper: str, use: _Use) -> dict:
        """A nested block. One that takes no list in the bindings is a list or set of at most one, or a single block."""
        kind, many = entry["kind"], "listMapper" in entry["value"]
        return {
            "nesting": "single" if kind == "struct" else kind,
            "min_items": int(use.required and kind != "struct"),
            "max_items": 0 if many or kind == "struct" else 1,
            "block": self._block(self.mappers[mapper], self.uses.get(_class_of(mapper), {})),
        }

    def _object_of_mapper(self, mapper: str) -> list:
        """The type of an attribute that is a list of objects, which Terraform lets write like blocks."""
        return ["object", {entry["name"]: _simple_type(entry["kind"], entry["storage"]) for entry in self.mappers[mapper]}]

    def _read_only_type(self, code: str) -> object:
        """The type of an attribute that cannot be set, told by how the bindings get it."""
        for name, type_ in (("String", "string"), ("Number", "number"), ("Boolean", "bool")):
            if f"get{name}Attribute(" in code:
                return type_
            if f"get{name}MapAttribute(" in code or f"cdktn.{name}Map(" in code:
                return ["map", type_]
        if "getNumberListAttribute(" in code:
            return ["list", "number"]
        if "getListAttribute(" in code:
            return ["set" if "tolist(" in code else "list", "string"]
        nested = NESTED_LIST.search(code)
        if nested is None:
            raise SchemaNotFound(f"no type is known for what is got by {code.strip()!r}")
        return self._read_only_objects(nested[1], wraps_set=nested[2] == "true")

    def _read_only_objects(self, list_class: str, wraps_set: bool) -> list:
        item = re.sub(r"(List|Map|Set)$", "", list_class).removesuffix("OutputReference") + "OutputReference"
        members = {name: self._read_only_type(use.code) for name, use in self.uses[item].items()}
        kind = "map" if list_class.endswith("Map") else "set" if wraps_set else "list"
        return [kind, ["object", members]]


def _class_of(mapper: str) -> str:
    return mapper[0].upper() + mapper[1:] + "OutputReference"


def _attribute(type_: object, use: _Use) -> dict:
    return {
        "type": type_,
        "required": use.required,
        "optional": use.optional and not use.required,
        "computed": use.computed and not use.required,
    }


def _simple_type(kind: str, storage: str) -> object:
    """The type of `stringList`, `numberMap` and the like; the last layer's kind is in `kind`, which knows sets."""
    match = re.fullmatch(r"(string|number|boolean|any)((?:List|Map|Set)*)", storage)
    if match is None:
        raise SchemaNotFound(f"no type is known for {storage!r}")
    type_: object = SIMPLE_TYPES[match[1]]
    layers = [layer.lower() for layer in re.findall(r"List|Map|Set", match[2])]
    if layers and kind in ("list", "set", "map"):
        layers[-1] = kind
    for layer in layers:
        type_ = [layer, type_]
    return type_
