"""Segments and tables, written from docs/codec-format.md alone."""

import zstd_frame
from fields import Bits, Fields
from refused import check

STORED, CONSTANT, TANS, HUFFMAN, ZSTD = range(5)
NONE, ROTATE, DELTA, BLOCKS, TRELLIS = range(5)
STATES = 64
ROUND = 256
CHUNK = 4096


class PrefixCode:
    """Canonical; code words are written most significant bit first into LSB-first strings."""

    def __init__(self, lengths, longest):
        self.symbols = {}  # (length, code word) -> symbol
        self.single = None
        present = [(length, symbol) for symbol, length in enumerate(lengths) if length > 0]
        check(len(present) > 0, "code without symbols")
        check(all(length <= longest for length, _ in present), "code word too long")
        if len(present) == 1:
            check(present[0][0] == 1, "single code word that is not of length 1")
            self.single = present[0][1]
            return
        check(sum(2 ** (longest - length) for length, _ in present) == 2 ** longest, "code space not used up exactly")
        word, last_length = -1, 0
        for length, symbol in sorted(present):
            word = (word + 1) << (length - last_length)
            self.symbols[(length, word)] = symbol
            last_length = length

    def read(self, bits):
        if self.single is not None:
            return self.single
        length, word = 0, 0
        while (length, word) not in self.symbols:
            check(length < 16, "no such code word")
            word = word << 1 | bits.bit()
            length += 1
        return self.symbols[(length, word)]


class Table:
    def __init__(self, codec, data):
        fields = Fields(data)
        form = fields.u8()
        self.k = form & 7
        order = form >> 3 & 3
        check(form >> 5 == 0 and self.k <= 5, "table form")
        self.class_count = 256 >> self.k
        self.m = fields.u8()
        check(1 <= self.m <= min(self.class_count, 64), "number of coded classes")
        self.value_of_rank = [self._zigzag, self._list, self._pairs, self._classes][order](fields)
        check(sorted(self.value_of_rank) == list(range(256)), "order that is not a permutation")
        symbol_count = self.m if self.m == self.class_count else self.m + 1
        check(symbol_count <= 64, "too many symbols")
        if codec == TANS:
            self._states(fields, symbol_count)
            escapes = self.m in self.symbol_of_state
        else:
            bits = Bits(fields.take((3 * symbol_count + 7) // 8))
            lengths = [bits.number(3) for _ in range(symbol_count)]
            bits.end()
            self.class_code = PrefixCode(lengths, 6)
            escapes = symbol_count > self.m and lengths[self.m] > 0
        self.escape_code = self._escape_code(fields) if escapes else None
        check(fields.remaining() == 0, "bytes behind the table")

    def _zigzag(self, fields):
        z = fields.u8()
        return [(z + (rank // 2 if rank % 2 == 0 else -(rank + 1) // 2)) % 256 for rank in range(256)]

    def _list(self, fields):
        listed = list(fields.take(self.m << self.k))
        return listed + [value for value in range(256) if value not in listed]

    def _pairs(self, fields):
        low, high = fields.take(16), fields.take(16)
        return sorted(range(256), key=lambda value: (low[value & 15] + high[value >> 4], value))

    def _classes(self, fields):
        bits = Bits(fields.take((256 * (8 - self.k) + 7) // 8))
        classes = [bits.number(8 - self.k) for _ in range(256)]
        check(all(classes.count(c) == 1 << self.k for c in range(self.class_count)), "class of the wrong size")
        return sorted(range(256), key=lambda value: (classes[value], value))

    def _states(self, fields, symbol_count):
        width = (symbol_count - 1).bit_length()
        bits = Bits(fields.take((STATES * width + 7) // 8))
        self.symbol_of_state = [bits.number(width) for _ in range(STATES)]
        bits.end()
        check(all(symbol < symbol_count for symbol in self.symbol_of_state), "state of an unknown symbol")
        self.bit_count, self.base = [], []
        for i, symbol in enumerate(self.symbol_of_state):
            x = self.symbol_of_state.count(symbol) + self.symbol_of_state[:i].count(symbol)
            b = 6 - (x.bit_length() - 1)
            self.bit_count.append(b)
            self.base.append((x << b) - 64)

    def _escape_code(self, fields):
        nibbles = [nibble for byte in fields.take(fields.remaining()) for nibble in (byte & 15, byte >> 4)]
        wanted = self.class_count - self.m
        lengths, at, previous_repeat = [], 0, None
        while len(lengths) < wanted:
            check(at < len(nibbles), "escape code cut short")
            nibble = nibbles[at]
            if nibble <= 11:
                lengths.append(nibble)
                at += 1
                continue
            check(at + 1 < len(nibbles), "escape code cut short")
            count = nibbles[at + 1] + 3
            check(nibble == 13 or (nibble == 12 and lengths), "escape code with an unknown nibble")
            lengths += [0 if nibble == 13 else lengths[-1]] * count
            at += 2
        check(len(lengths) == wanted, "escape code too long")
        if at % 2 == 1:
            check(nibbles[at] == 0, "padding nibble that is not zero")
            at += 1
        check(at == len(nibbles), "bytes behind the escape code")
        check(nibbles[:len(spelled(lengths))] == spelled(lengths), "escape code spelled another way")
        return PrefixCode(lengths, 11)


def spelled(lengths):
    """The nibbles that must spell these code lengths."""
    nibbles, at = [], 0
    while at < len(lengths):
        for nibble, value in ((13, 0), (12, lengths[at - 1] if at > 0 else None)):
            run = 0
            while at + run < len(lengths) and lengths[at + run] == value and run < 18:
                run += 1
            if run >= 3:
                nibbles += [nibble, run - 3]
                at += run
                break
        else:
            nibbles.append(lengths[at])
            at += 1
    return nibbles


class Layout:
    """How the bytes of an extent are cut into planes; `block` is a list of (bytes, plane)."""

    def __init__(self, element_size, transform, block):
        self.element_size, self.transform, self.block = element_size, transform, block
        self.unit = sum(size for size, _ in block) if transform == BLOCKS else element_size

    def plane_bytes(self, plane):
        """Of one element or block."""
        return sum(size for size, p in self.block if p == plane) if self.transform == BLOCKS else 1


def decode(stored, plain_size, layout, codecs, tables):
    fields = Fields(stored)
    headers = [fields.u32() for _ in range(len(codecs))]
    count = plain_size // layout.unit
    planes = []
    for plane, (header, codec, table) in enumerate(zip(headers, codecs, tables)):
        kind = header & 15
        stream = fields.take(header >> 4)
        check(kind in (STORED, CONSTANT, codec), "plane of a kind its extent does not name")
        planes.append(decode_stream(kind, stream, count * layout.plane_bytes(plane), table))
    leftover = fields.take(plain_size % layout.unit)
    check(fields.remaining() == 0, "bytes behind the segment")
    merged = merge_blocks(planes, layout, count) if layout.transform == BLOCKS else merge(planes, layout)
    return merged + bytes(leftover)


def merge(planes, layout):
    if layout.transform == TRELLIS:
        return follow_trellis(planes[0])
    width = 8 * layout.element_size
    merged = bytearray()
    number = 0
    for element in zip(*planes):
        coded = int.from_bytes(bytes(element), "little")
        if layout.transform == ROTATE:
            number = coded >> 1 | (coded & 1) << (width - 1)
        elif layout.transform == DELTA:
            number = (number + coded) % 2 ** width
        else:
            number = coded
        merged += number.to_bytes(layout.element_size, "little")
    return bytes(merged)


def follow_trellis(plane):
    values = bytearray()
    b, c = [0] * 6, [0] * 6  # of the six bytes before
    for byte in plane:
        now = b[-1] ^ b[-6] ^ c[-2] ^ c[-4]
        values.append((byte << 1 & 0xFF | byte >> 7) ^ now)
        b, c = b[1:] + [now], c[1:] + [byte & 1]
    return bytes(values)


def merge_blocks(planes, layout, count):
    readers = [Fields(bytes(plane)) for plane in planes]
    return b"".join(bytes(readers[plane].take(size)) for _ in range(count) for size, plane in layout.block)


def decode_stream(kind, stream, count, table):
    if kind == STORED:
        check(len(stream) == count, "stored plane of another size")
        return stream
    if kind == CONSTANT:
        check(len(stream) == 1, "constant plane that is not one byte")
        return stream * count
    if kind == ZSTD:
        return zstd_frame.decompress(stream, count)
    check(count > 0, "coded plane of no bytes")
    fields = Fields(stream)
    classes, escape_sizes, escape_count = (tans_head if kind == TANS else huffman_head)(fields, count, table)
    symbols = classes(fields)
    raw = raw_bits(fields, count, table.k)
    escapes = read_escapes(fields, escape_sizes, escape_count, table)
    check(fields.remaining() == 0, "bytes behind the stream")
    check(symbols.count(table.m) == escape_count or table.m == table.class_count, "wrong number of escapes")
    plain = bytearray()
    next_escape = iter(escapes)
    for symbol, low in zip(symbols, raw):
        c = next(next_escape) if symbol == table.m else symbol
        plain.append(table.value_of_rank[c << table.k | low])
    return bytes(plain)


def escape_head(fields, count, table):
    if table.escape_code is None:
        return [], 0
    escape_count = fields.varint()
    check(escape_count <= count, "more escapes than bytes")
    return ([fields.varint() for _ in range(3)] if escape_count > 0 else []), escape_count


def tans_head(fields, count, table):
    tail_rounds = fields.u8()
    rounds = -(-count // ROUND)
    check(tail_rounds <= rounds and rounds - tail_rounds <= count // ROUND, "number of tail rounds")
    main_size = fields.varint()
    escape_sizes, escape_count = escape_head(fields, count, table)

    def classes(after_head):
        lanes = min(64, -(-count // 4))
        bits = Bits(after_head.take((6 * lanes + 7) // 8))
        states = [bits.number(6) for _ in range(lanes)]
        bits.end()
        main = Fields(after_head.take(main_size))
        symbols = decode_lanes(states, main, rounds - tail_rounds, count, table)
        check(main.remaining() == 0, "main stream not used up")
        return symbols

    return classes, escape_sizes, escape_count


class Window:
    """A lane's unread bits."""

    def __init__(self):
        self.bits = 0
        self.count = 0

    def push(self, data):
        self.bits = self.bits << 8 * len(data) | int.from_bytes(data, "little")
        self.count += 8 * len(data)

    def pop(self, count):
        self.count -= count
        value = self.bits >> self.count
        self.bits &= (1 << self.count) - 1
        return value


def decode_lanes(states, main, bulk_rounds, count, table):
    symbols = [None] * count
    windows = [Window() for _ in states]

    def step(lane, at, read):
        state = states[lane]
        symbols[at] = table.symbol_of_state[state]
        if read:
            states[lane] = table.base[state] + windows[lane].pop(table.bit_count[state])

    for r in range(bulk_rounds):
        for window in windows:
            window.push(main.take((32 - window.count) // 8))
        for s in range(4):
            for lane in range(64):
                step(lane, ROUND * r + 4 * lane + s, True)
    outputs_left = [sum(1 for r in range(bulk_rounds, -(-count // ROUND)) for s in range(4)
                        if ROUND * r + 4 * lane + s < count) for lane in range(len(states))]
    for r in range(bulk_rounds, -(-count // ROUND)):
        for s in range(4):
            for lane in range(len(states)):
                at = ROUND * r + 4 * lane + s
                if at >= count:
                    continue
                outputs_left[lane] -= 1
                read = outputs_left[lane] > 0
                if read and windows[lane].count < table.bit_count[states[lane]]:
                    windows[lane].push(main.take(1))
                step(lane, at, read)
    return symbols


def huffman_head(fields, count, table):
    sizes = [fields.varint() for _ in range(4)]
    escape_sizes, escape_count = escape_head(fields, count, table)

    def classes(after_head):
        strings = [Bits(after_head.take(size)) for size in sizes]
        symbols = []
        for at in range(0, count, CHUNK):
            chunk = min(CHUNK, count - at)
            q = -(-chunk // 4)
            for j in range(4):
                for _ in range(min(j * q, chunk), min((j + 1) * q, chunk)):
                    symbols.append(table.class_code.read(strings[j]))
        for string in strings:
            string.end()
        return symbols

    return classes, escape_sizes, escape_count


def raw_bits(fields, count, k):
    low = []
    for _ in range(count // ROUND):
        nibbles = fields.take(128 if k & 4 else 0)
        crumbs = fields.take(64 if k & 2 else 0)
        singles = fields.take(32 if k & 1 else 0)
        for i in range(ROUND):
            value, width = 0, 0
            if k & 4:
                value |= nibbles[64 * (i // 128) + i % 64] >> (0 if i % 128 < 64 else 4) & 15
                width += 4
            if k & 2:
                value |= (crumbs[i % 64] >> 2 * (i // 64) & 3) << width
                width += 2
            if k & 1:
                value |= (singles[i % 32] >> (i // 32) & 1) << width
            low.append(value)
    rest = count % ROUND
    bits = Bits(fields.take((rest * k + 7) // 8))
    low += [bits.number(k) for _ in range(rest)]
    bits.end()
    return low


def read_escapes(fields, sizes, escape_count, table):
    if escape_count == 0:
        return []
    q = -(-escape_count // 4)
    escapes = []
    for j in range(4):
        run = Bits(fields.take(sizes[j] if j < 3 else fields.remaining()))
        for _ in range(min(j * q, escape_count), min((j + 1) * q, escape_count)):
            escapes.append(table.m + table.escape_code.read(run))
        run.end()
    return escapes
