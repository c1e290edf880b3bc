"""A Wireshark dissector of a dialect, in Lua: length, TPDU, header, message type, bitmap, every field with its name.

What `wire.describe` masks in a log is masked here too. The packet's bytes are in the capture nevertheless, and
Wireshark shows them beside the tree: a capture of real traffic is card data, whatever reads it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pos_engine.wire.field import Content, Justify, Sensitivity
from pos_engine.wire.rules import prefix_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pos_engine.dialects.base import Dialect
    from pos_engine.values import Language, Text
    from pos_engine.wire.columns import Column, Columns
    from pos_engine.wire.field import FieldSpec

_PROGRAM: Final = """\
-- @TITLE@ over TCP, made by `pos-engine dialect export @DIALECT@ --format wireshark`.
-- tshark -X lua_script:THIS_FILE -r capture.pcap -V
local PORT = @PORT@
local TPDU_BYTES, HEADER_BYTES = @TPDU_BYTES@, @HEADER_BYTES@
local MTI, BITMAP, BITMAPS = "@MTI@", "@BITMAP@", @BITMAPS@
local HEADER = @HEADER@
local FIELDS = @FIELDS@
local CODES = @CODES@

local proto = Proto("@PROTO@", "@TITLE@")
local fields = {
  length = ProtoField.uint16("@PROTO@.length", "Length"),
  tpdu = ProtoField.string("@PROTO@.tpdu", "TPDU"),
  header = ProtoField.string("@PROTO@.header", "Header"),
  mti = ProtoField.string("@PROTO@.mti", "Message type"),
  bitmap = ProtoField.string("@PROTO@.bitmap", "Bitmap"),
}
local function declare_columns(columns)
  for _, column in ipairs(columns) do
    fields[column.key] = ProtoField.string("@PROTO@.p" .. column.key:gsub("%.", "_"), column.name)
  end
end
declare_columns(HEADER)
for number, field in pairs(FIELDS) do
  fields[number] = ProtoField.string("@PROTO@.f" .. number, number .. " " .. field.name)
  declare_columns(field.columns)
end
for _, field in pairs(fields) do
  table.insert(proto.fields, field)
end
local malformed = ProtoExpert.new(
  "@PROTO@.malformed", "Not a message of this dialect", expert.group.MALFORMED, expert.severity.ERROR
)
proto.experts = { malformed }

-- The characters that bytes stand for: two hex digits a byte when packed, else one character a byte.
local function text(range, encoding)
  if encoding == "BCD" or encoding == "BINARY" then
    return tostring(range:bytes()):upper()
  end
  return range:string(encoding == "EBCDIC" and ENC_EBCDIC or ENC_ISO_8859_1)
end

local function has_bit(bitmap, number)
  local digit = tonumber(bitmap:sub(math.floor((number - 1) / 4) + 1, math.floor((number - 1) / 4) + 1), 16)
  return digit ~= nil and math.floor(digit / 2 ^ (3 - (number - 1) % 4)) % 2 == 1
end

-- How many digits, characters or bytes the field at offset has, and how many bytes that takes.
local function extent(tvb, offset, field)
  local units = field.size
  if field.prefix > 0 then
    if offset + field.prefix > tvb:len() then return nil end
    local range = tvb(offset, field.prefix)
    units = field.prefix_encoding == "BINARY" and range:uint() or tonumber(text(range, field.prefix_encoding))
  end
  if units == nil or units > field.size then return nil end
  return units, field.encoding == "BCD" and math.ceil(units / 2) or units
end

local function masked(field, value, bytes)
  if field.show == "open" then return value end
  if field.show == "pan" and #value >= 13 and not value:find("%D") then
    return value:sub(1, 6) .. ("*"):rep(#value - 10) .. value:sub(-4)
  end
  return field.show == "sized" and ("*** (" .. bytes .. " bytes)") or "***"
end

local function add_columns(item, range, value, columns)
  local start = 1
  for _, column in ipairs(columns) do
    local part = value:sub(start, start + column.width - 1)
    if #part < column.width then return end
    local child = item:add(fields[column.key], range, part)
    if column.values[part] then child:append_text(" (" .. column.values[part] .. ")") end
    start = start + column.width
  end
end

local function add_field(tree, tvb, offset, number)
  local field = FIELDS[number]
  local units, size = nil, nil
  if field then units, size = extent(tvb, offset, field) end
  local first = field and offset + field.prefix
  if units == nil or first + size > tvb:len() then
    tree:add_proto_expert_info(malformed, "field " .. number .. " cannot be read")
    return nil
  end
  local range = size > 0 and tvb(first, size) or tvb(offset, field.prefix)
  local value = size > 0 and text(range, field.encoding) or ""
  if field.encoding == "BCD" and #value > units then
    value = field.right and value:sub(2) or value:sub(1, -2)
  end
  local item = tree:add(fields[number], tvb(offset, field.prefix + size), masked(field, value, size))
  if field.show == "open" then add_columns(item, range, value, field.columns) end
  if number == 39 and CODES[value] then item:append_text(" (" .. CODES[value] .. ")") end
  return first + size, value
end

local function take(tree, tvb, offset, size, name)
  if offset + size > tvb:len() then
    tree:add_proto_expert_info(malformed, "ends inside the " .. name)
    return nil
  end
  return tvb(offset, size)
end

local function add_bitmaps(tree, tvb, offset)
  local size = (BITMAP == "BINARY" or BITMAP == "BCD") and 8 or 16
  local bitmap, first = "", offset
  for place = 0, BITMAPS - 1 do
    if place > 0 and not has_bit(bitmap, (place - 1) * 64 + 1) then break end
    local range = take(tree, tvb, offset, size, "bitmap")
    if not range then return nil end
    bitmap = bitmap .. text(range, BITMAP)
    offset = offset + size
  end
  tree:add(fields.bitmap, tvb(first, offset - first), bitmap)
  return offset, bitmap
end

local function dissect(tvb, pinfo, root)
  pinfo.cols.protocol = "@DIALECT@"
  local tree = root:add(proto, tvb())
  tree:add(fields.length, tvb(0, 2))
  local offset = 2
  for _, part in ipairs({ { "tpdu", TPDU_BYTES }, { "header", HEADER_BYTES } }) do
    if part[2] > 0 then
      local range = take(tree, tvb, offset, part[2], part[1])
      if not range then return tvb:len() end
      local item = tree:add(fields[part[1]], range, text(range, "BCD"))
      if part[1] == "header" then add_columns(item, range, text(range, "BCD"), HEADER) end
      offset = offset + part[2]
    end
  end
  local range = take(tree, tvb, offset, (MTI == "BCD" or MTI == "BINARY") and 2 or 4, "message type")
  if not range then return tvb:len() end
  local mti = text(range, MTI)
  tree:add(fields.mti, range, mti)
  tree:append_text(", " .. mti)
  local bitmap
  offset, bitmap = add_bitmaps(tree, tvb, offset + range:len())
  local summary = mti
  for number = 2, offset and #bitmap * 4 or 0 do
    if number ~= 65 and has_bit(bitmap, number) then
      local value
      offset, value = add_field(tree, tvb, offset, number)
      if not offset then break end
      if number == 11 then summary = summary .. " STAN " .. value end
      if number == 39 then summary = summary .. " " .. value end
    end
  end
  if offset and offset < tvb:len() then
    tree:add_proto_expert_info(malformed, "bytes follow the last field: " .. (tvb:len() - offset))
  end
  pinfo.cols.info = summary
  return tvb:len()
end

function proto.dissector(tvb, pinfo, tree)
  dissect_tcp_pdus(tvb, tree, 2, function(pdu, _, offset) return pdu(offset, 2):uint() + 2 end, dissect)
  return tvb:len()
end

DissectorTable.get("tcp.port"):add(PORT, proto)
"""

_TPDU_BYTES: Final = 5


def dissector(dialect: Dialect, port: int, language: Language = "en") -> str:
    """Write the dissector for frames with a two-byte length on a TCP port, names in one language."""
    header = dialect.header
    values = {
        "TITLE": _escaped(dialect.title.say(language)),
        "DIALECT": dialect.name,
        "PROTO": "pos_" + re.sub(r"[^a-z0-9]", "_", dialect.name),
        "PORT": str(port),
        "TPDU_BYTES": str(_TPDU_BYTES if dialect.tpdu_default is not None else 0),
        "HEADER_BYTES": str(sum(column.width for column in header.columns) // 2 if header is not None else 0),
        "MTI": dialect.spec.mti.name,
        "BITMAP": dialect.spec.bitmap.name,
        "BITMAPS": str(dialect.spec.bitmaps),
        "HEADER": _columns(header, dialect.meanings, language, "  ") if header is not None else "{}",
        "FIELDS": _table(
            (f"[{number}]", _field(field, dialect, language)) for number, field in sorted(dialect.spec.fields.items())
        ),
        "CODES": _table(
            (f"[{_quoted(code.code)}]", _quoted(code.meaning.say(language))) for code in dialect.codes.values()
        ),
    }
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], _PROGRAM)


def _field(field: FieldSpec, dialect: Dialect, language: Language) -> str:
    layout = dialect.layouts.get(field.number)
    facts = {
        "name": _quoted(field.name.say(language)),
        "size": str(field.length.size),
        "prefix": str(0 if field.length.fixed else prefix_size(field)),
        "prefix_encoding": _quoted(field.prefix_encoding.name),
        "encoding": _quoted(field.encoding.name),
        "right": "true" if field.justify is Justify.RIGHT else "false",
        "show": _quoted(_show(field)),
        "columns": "{}" if layout is None else _columns(layout, dialect.meanings, language, "    "),
    }
    return "{ " + ", ".join(f"{name} = {value}" for name, value in facts.items()) + " }"


def _show(field: FieldSpec) -> str:
    """Which of the three masks a field wears; as `wire.describe` decides for a log."""
    if field.sensitivity is Sensitivity.OPEN:
        return "open"
    if field.sensitivity is Sensitivity.PAN:
        return "pan"
    return "sized" if field.content is Content.B and not field.length.fixed else "hidden"


def _columns(layout: Columns, meanings: Mapping[str, Mapping[str, Text]], language: Language, indent: str) -> str:
    return _table((("", _column(column, meanings.get(column.key, {}), language)) for column in layout.columns), indent)


def _column(column: Column, meanings: Mapping[str, Text], language: Language) -> str:
    name = _numbered(column.key, column.name.say(language))
    facts = f"key = {_quoted(column.key)}, name = {_quoted(name)}, width = {column.width}"
    return f"{{ {facts}, values = {_values(meanings, language)} }}"


def _numbered(key: str, name: str) -> str:
    return f"{key} {name}" if key[0].isdigit() else name


def _values(meanings: Mapping[str, Text], language: Language) -> str:
    known = (f"[{_quoted(value)}] = {_quoted(text.say(language))}" for value, text in meanings.items())
    return "{ " + ", ".join(known) + " }" if meanings else "{}"


def _table(rows: Iterable[tuple[str, str]], indent: str = "  ") -> str:
    lines = [f"{indent}{key} = {value}," if key else f"{indent}{value}," for key, value in rows]
    return "\n".join(["{", *lines, indent[2:] + "}"])


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Make a text safe inside Lua's double quotes, and on a comment's one line."""
    printable = (character for character in text if character.isprintable())
    return "".join(f"\\{character}" if character in '"\\' else character for character in printable)
