"""Archives, written from docs/archive-format.md alone."""

from dataclasses import dataclass

import derived
import segments
import zstd_frame
from fields import Fields
from refused import check
from xxh3 import xxh3_64, xxh3_128

MAGIC = bytes.fromhex("454E54524F46530A")
HEADER_BYTES = 16
FOOTER_BYTES = 96
SEGMENTS_PER_PAGE = 512
NO_TABLE = 0xFFFFFFFF
STORED, CONSTANT, TANS, HUFFMAN, ZSTD = range(5)
NONE, ROTATE, DELTA, BLOCKS, TRELLIS = range(5)
EXTENDED_LAYOUTS = 1
TRELLIS_LAYOUTS = 2
VIEWS = 4


@dataclass
class Block:
    offset: int
    stored_size: int
    plain_size: int
    checksum: int


@dataclass
class Extent:
    name: bytes
    element_size: int
    transform: int
    segment_size: int
    plain_size: int
    index_offset: int
    stored_size: int
    planes: list  # of (codec, table number)
    block: list  # of (bytes, plane)

    def segment_count(self):
        return -(-self.plain_size // self.segment_size)

    def page_segments(self):
        """The number of segments of each page."""
        n = self.segment_count()
        return [min(SEGMENTS_PER_PAGE, n - at) for at in range(0, n, SEGMENTS_PER_PAGE)]

    def pages_size(self):
        return sum(16 + 4 * m for m in self.page_segments())

    def begin(self):
        return self.index_offset + self.pages_size() - self.stored_size

    def storage(self):
        """Everything but the name."""
        return (self.element_size, self.transform, self.segment_size, self.plain_size, self.index_offset,
                self.stored_size, tuple(self.planes), tuple(self.block))


@dataclass
class File:
    path: bytes
    mode: int
    mtime_ns: int
    size: int
    hash: bytes
    extents: list


@dataclass
class ViewFile:
    path: bytes
    mode: int
    mtime_ns: int
    size: int
    hash: bytes
    extents: list  # of numbers


@dataclass
class View:
    name: bytes
    directories: list
    files: list


class Archive:
    def __init__(self, data):
        self.data = data
        self._header()
        self._footer()
        self._index(self.block(self.index_block))
        self._tiling()
        self._check_views()

    def _header(self):
        check(len(self.data) >= HEADER_BYTES + FOOTER_BYTES, "too short")
        header = Fields(self.data[:HEADER_BYTES])
        check(header.take(8) == MAGIC, "not an archive")
        check(header.u32() == 1, "unknown version")
        check(header.u32() == 0, "unknown feature flags")

    def _footer(self):
        footer = Fields(self.data[-FOOTER_BYTES:])
        self.report_block = Block(footer.u64(), footer.u64(), footer.u64(), footer.u64())
        self.index_block = Block(footer.u64(), footer.u64(), footer.u64(), footer.u64())
        size, version, flags, checksum = footer.u64(), footer.u32(), footer.u32(), footer.u64()
        check(footer.take(8) == MAGIC, "no footer")
        check(checksum == xxh3_64(self.data[-FOOTER_BYTES:][:80]), "footer checksum")
        check(version == 1, "unknown version")
        check(flags & ~(EXTENDED_LAYOUTS | TRELLIS_LAYOUTS | VIEWS) == 0, "unknown feature flags")
        self.transforms = {NONE, ROTATE}
        self.transforms |= {DELTA, BLOCKS} if flags & EXTENDED_LAYOUTS else set()
        self.transforms |= {TRELLIS} if flags & TRELLIS_LAYOUTS else set()
        self.has_views = flags & VIEWS != 0
        check(size == len(self.data), "another file size")
        end = len(self.data) - FOOTER_BYTES
        for block in (self.index_block, self.report_block):
            check(block.offset + block.stored_size == end, "block out of place")
            check(block.offset >= HEADER_BYTES, "block inside the header")
            check(block.stored_size <= block.plain_size <= min(2**30, 262144 + 64 * block.stored_size),
                  "block of an impossible size")
            end = block.offset
        self.extents_end = end

    def block(self, block):
        stored = self.data[block.offset:block.offset + block.stored_size]
        check(xxh3_64(stored, block.offset) == block.checksum, "block checksum")
        if block.plain_size == block.stored_size:
            return stored
        return zstd_frame.decompress(stored, block.plain_size)

    def report(self):
        return self.block(self.report_block)

    def _index(self, plain):
        fields = Fields(plain)
        self.tables = [self._table(fields) for _ in range(fields.u32())]
        self.directories = [fields.text() for _ in range(fields.u32())]
        self.files = [self._file(fields) for _ in range(fields.u32())]
        self.tree_name, self.pool, self.derived, self.views, self.default_view = b"", [], [], [], b""
        if self.has_views:
            self._views(fields)
        check(fields.remaining() == 0, "bytes behind the index")
        used = {table for extent in self._all_extents() for _, table in extent.planes if table != NO_TABLE}
        check(used == set(range(len(self.tables))), "unused table")
        self._paths(self.files, self.directories)

    def _views(self, fields):
        self.tree_name = fields.text()
        self.pool = [self._extent(fields) for _ in range(fields.u32())]
        check(all(extent.plain_size > 0 for extent in self.pool), "empty extent in the pool")
        self.derived = [derived.Derived(fields) for _ in range(fields.u32())]
        self.views = [self._view(fields) for _ in range(fields.u32())]
        self.default_view = fields.text()

    def _view(self, fields):
        view = View(fields.text(), [fields.text() for _ in range(fields.u32())],
                    [self._view_file(fields) for _ in range(fields.u32())])
        self._paths(view.files, view.directories)
        return view

    def _view_file(self, fields):
        file = ViewFile(fields.text(), fields.u16(), fields.i64(), fields.u64(), bytes(fields.take(16)), [])
        check(file.mode & ~0o555 == 0, "mode")
        file.extents = [fields.u32() for _ in range(fields.u32())]
        return file

    def _table(self, fields):
        codec, zero = fields.u8(), fields.u8()
        check(codec in (TANS, HUFFMAN) and zero == 0, "broken table record")
        table = fields.take(fields.u16())
        check(len(table) <= 1024, "table too long")
        return (codec, segments.Table(codec, table))

    def _file(self, fields):
        file = File(fields.text(), fields.u16(), fields.i64(), fields.u64(), bytes(fields.take(16)), [])
        check(file.mode & ~0o555 == 0, "mode")
        for _ in range(fields.u32()):
            file.extents.append(self._extent(fields))
        check(file.size == sum(extent.plain_size for extent in file.extents), "file size")
        check(file.size < 2**63, "file size")
        return file

    def _extent(self, fields):
        extent = Extent(fields.text(), fields.u8(), fields.u8(), fields.u32(), fields.u64(), fields.u64(),
                        fields.u64(), [], [])
        check(extent.transform in self.transforms, "transform")
        if extent.transform == BLOCKS:
            check(1 <= extent.element_size <= 8, "number of planes")
        else:
            check(extent.element_size in (1, 2, 4, 8), "element size")
        check(extent.transform != ROTATE or extent.element_size > 1, "rotation")
        check(extent.transform != TRELLIS or extent.element_size == 1, "trellis of more than bytes")
        check(65536 <= extent.segment_size <= 4194304 and extent.segment_size % 256 == 0, "segment size")
        if extent.plain_size == 0:
            check(extent.index_offset == 0 and extent.stored_size == 0, "empty extent with stored bytes")
        for _ in range(extent.element_size):
            codec, table = fields.u8(), fields.u32()
            check(codec <= ZSTD, "unknown codec")
            if codec in (TANS, HUFFMAN):
                check(table < len(self.tables) and self.tables[table][0] == codec, "plane without its table")
            else:
                check(table == NO_TABLE, "plane with a table")
            extent.planes.append((codec, table))
        if extent.transform == BLOCKS:
            extent.block = [(fields.u16(), fields.u8()) for _ in range(fields.u8())]
            check(1 <= len(extent.block) <= 16, "number of fields")
            check(all(size > 0 for size, _ in extent.block), "empty field")
            check(sum(size for size, _ in extent.block) <= 4096, "block too long")
            check({plane for _, plane in extent.block} == set(range(extent.element_size)), "planes of a block")
        return extent

    def _paths(self, all_files, directories):
        files = [file.path for file in all_files]
        for paths in (files, directories):
            check(all(a < b for a, b in zip(paths, paths[1:])), "paths out of order or twice")
            for path in paths:
                parts = path.split(b"/")
                check(1 <= len(path) <= 4096 and all(1 <= len(part) <= 255 for part in parts), "path length")
                check(b"." not in parts and b".." not in parts, "unsafe path")
                check(all(byte >= 0x20 and byte != 0x7F for byte in path), "unsafe path")
        implied = {b"/".join(path.split(b"/")[:i])
                   for path in files + directories for i in range(1, path.count(b"/") + 1)}
        check(not implied & set(files), "file that is also a directory")
        check(not implied & set(directories), "directory that another path implies")
        check(not set(files) & set(directories), "file that is also a directory")

    def _all_extents(self):
        return [extent for file in self.files for extent in file.extents] + self.pool

    def _tiling(self):
        by_place = {}
        for extent in self._all_extents():
            if extent.plain_size > 0:
                first = by_place.setdefault(extent.index_offset, extent)
                check(first.storage() == extent.storage(), "extents that share only some of their bytes")
        position = HEADER_BYTES
        for _, extent in sorted(by_place.items()):
            check(extent.begin() == position, "gap or overlap")
            position += extent.stored_size
        check(position == self.extents_end, "bytes that belong to no extent")
        self.stored = [extent for _, extent in sorted(by_place.items())]

    def _check_views(self):
        if not self.has_views:
            return
        names = [view.name for view in self.views]
        check(len(names) <= 64, "too many views")
        check(len(self.derived) <= 2**22, "too many derived extents")
        check(all(sum(len(file.extents) for file in view.files) <= 2**22 for view in self.views), "too many extents")
        check(all(a < b for a, b in zip(names, names[1:])) and self.tree_name not in names, "views twice or unsorted")
        for name in names + ([self.tree_name] if self.tree_name else []):
            check(1 <= len(name) <= 64 and set(name) <= set(b"abcdefghijklmnopqrstuvwxyz0123456789-"), "view name")
        check(self.tree_name or not (self.files or self.directories), "stored tree without a name")
        check(self.default_view and self.default_view in names + [self.tree_name], "default view")
        for one in self.derived:
            one.check(self._stored_size)
        used = set()
        for file in (file for view in self.views for file in view.files):
            used.update(file.extents)
            check(file.size == sum(self._size(number) for number in file.extents) < 2**63, "file size")
        check(used >= set(range(len(self.stored), len(self.stored) + len(self.derived))), "unused derived extent")
        for one in self.derived:
            used.update(one.inputs())
        shown = {extent.index_offset for file in self.files for extent in file.extents}
        check(all(number in used or extent.index_offset in shown for number, extent in enumerate(self.stored)),
              "unused extent of the pool")

    def _stored_size(self, number):
        check(number < len(self.stored), "extent that is not there")
        return self.stored[number].plain_size

    def _size(self, number):
        check(number < len(self.stored) + len(self.derived), "extent that is not there")
        if number < len(self.stored):
            return self.stored[number].plain_size
        return self.derived[number - len(self.stored)].plain_size

    def segment_places(self, extent):
        """(archive offset, stored size) of every segment."""
        places = []
        page_offset = extent.index_offset
        position = extent.begin()
        for m in extent.page_segments():
            page = self.data[page_offset:page_offset + 16 + 4 * m]
            fields = Fields(page)
            check(fields.u64() == xxh3_64(page[8:], page_offset), "page checksum")
            check(fields.u64() == position, "page base")
            base = position
            for _ in range(m):
                end = base + fields.u32()
                places.append((position, end - position))
                position = end
            page_offset += len(page)
        check(position == extent.index_offset, "segments do not end where the pages begin")
        return places

    def read_extent(self, extent):
        parts = []
        done = 0
        tables = [None if table == NO_TABLE else self.tables[table][1] for _, table in extent.planes]
        layout = segments.Layout(extent.element_size, extent.transform, extent.block)
        for offset, size in self.segment_places(extent):
            plain_size = min(extent.segment_size, extent.plain_size - done)
            check(9 <= size <= plain_size + 256, "segment of an impossible size")
            stored = self.data[offset:offset + size]
            check(Fields(stored).u64() == xxh3_64(stored[8:], offset), "segment checksum")
            codecs = [codec for codec, _ in extent.planes]
            parts.append(segments.decode(stored[8:], plain_size, layout, codecs, tables))
            done += plain_size
        return b"".join(parts)

    def read_number(self, number):
        if number < len(self.stored):
            return self.read_extent(self.stored[number])
        content = self.derived[number - len(self.stored)].content(self.read_number)
        check(len(content) == self._size(number), "size of a derived extent")
        return content

    def trees(self):
        """(name, files, directories) of every view, the default one first."""
        trees = [(view.name, view.files, view.directories) for view in self.views]
        if self.tree_name or not self.has_views:
            trees.append((self.tree_name, self.files, self.directories))
        return sorted(trees, key=lambda tree: tree[0] != self.default_view)

    def read_file(self, file):
        read = self.read_number if isinstance(file, ViewFile) else self.read_extent
        content = b"".join(read(extent) for extent in file.extents)
        check(len(content) == file.size, "file size")
        check(xxh3_128(content) == file.hash, "file hash")
        return content
