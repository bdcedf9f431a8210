"""Derived extents, written from docs/archive-format.md alone. Numbers are exact fractions until they are rounded."""

import struct
from dataclasses import dataclass
from fractions import Fraction

from refused import check

COPY, LITERAL, DEQUANTIZE, FLIP, INTERLEAVE = range(1, 6)
U8, I8, U4 = range(3)
CONSTANT, BYTES, U8_DOWN_ROWS, U4_DOWN_ROWS = range(4)
NONE = 0xFFFFFFFF
# By type: bits of the mantissa, bits of the exponent.
FLOATS = {0: (7, 8), 1: (10, 5), 2: (23, 8)}
Q4_0, Q4_1, Q8_0 = 2, 3, 8
BLOCK_SIZES = {Q4_0: 18, Q4_1: 20, Q8_0: 34}
INFINITE, NOT_A_NUMBER = "infinite", "not a number"


def float_size(kind):
    return (1 + sum(FLOATS[kind])) // 8


def ceil_div(a, b):
    return -(-a // b)


@dataclass
class Number:
    """A value with its sign, which 0 and infinity have, too."""

    negative: bool
    size: object  # a Fraction, INFINITE or NOT_A_NUMBER


def read_float(kind, bits):
    mantissa_bits, exponent_bits = FLOATS[kind]
    bias = (1 << (exponent_bits - 1)) - 1
    negative = bool(bits >> (mantissa_bits + exponent_bits))
    exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1)
    mantissa = bits & ((1 << mantissa_bits) - 1)
    if exponent == (1 << exponent_bits) - 1:
        return Number(negative, NOT_A_NUMBER if mantissa else INFINITE)
    if exponent > 0:
        mantissa += 1 << mantissa_bits
    return Number(negative, mantissa * Fraction(2) ** (max(exponent, 1) - bias - mantissa_bits))


def multiply(a, b):
    negative = a.negative != b.negative
    if NOT_A_NUMBER in (a.size, b.size) or (INFINITE in (a.size, b.size) and 0 in (a.size, b.size)):
        return Number(False, NOT_A_NUMBER)
    if INFINITE in (a.size, b.size):
        return Number(negative, INFINITE)
    return Number(negative, a.size * b.size)


def round_to(mantissa_bits, exponent_bits, number):
    """The bits of the nearest number, ties to even."""
    bias = (1 << (exponent_bits - 1)) - 1
    sign = int(number.negative) << (mantissa_bits + exponent_bits)
    infinity = ((1 << exponent_bits) - 1) << mantissa_bits
    if number.size == NOT_A_NUMBER:
        return infinity | 1 << (mantissa_bits - 1)
    if number.size == INFINITE:
        return sign | infinity
    exponent = 1 - bias
    if number.size > 0:
        exponent = max(exponent, number.size.numerator.bit_length() - number.size.denominator.bit_length() - 1)
        while number.size >= Fraction(2) ** (exponent + 1):
            exponent += 1
    units = round(number.size / Fraction(2) ** (exponent - mantissa_bits))  # Python rounds halves to even
    return sign | min(units + (exponent + bias - 1 << mantissa_bits), infinity)


def binary64(number):
    if not isinstance(number.size, Fraction):
        return number
    return Number(number.negative, Fraction(float(number.size)))


@dataclass
class Matrix:
    codes: int
    scales: int
    zeros: int
    column_scales: int
    code_form: int
    zero_form: int
    zero: int
    scale_type: int
    rows: int
    columns: int
    row_size: int
    rows_per_scale: int
    columns_per_scale: int

    @staticmethod
    def read(fields):
        return Matrix(*(fields.u32() for _ in range(4)), fields.u8(), fields.u8(), fields.number("h"), fields.u8(),
                      *(fields.u64() for _ in range(5)))

    def scale_rows(self):
        return ceil_div(self.rows, self.rows_per_scale)

    def scale_columns(self):
        return ceil_div(self.columns, self.columns_per_scale)

    def scales_size(self):
        return self.scale_rows() * self.scale_columns() * float_size(self.scale_type)

    def check(self, size_of):
        check(self.code_form <= U4 and self.zero_form <= U4_DOWN_ROWS and self.scale_type in FLOATS, "matrix forms")
        check(self.rows > 0 and self.columns > 0 and -128 <= self.zero <= 255, "matrix shape")
        check(1 <= self.rows_per_scale <= self.rows and 1 <= self.columns_per_scale <= self.columns, "scale shape")
        needed = ceil_div(self.columns, 2) if self.code_form == U4 else self.columns
        check(needed <= self.row_size <= needed + 7, "row size")
        check(size_of(self.codes) == self.rows * self.row_size, "size of codes")
        check(size_of(self.scales) == self.scales_size(), "size of scales")

    def check_zeros(self, size_of):
        if self.zero_form == CONSTANT:
            check(self.zeros == NONE, "zero points that are not used")
            return
        rows_per_word = {BYTES: 1, U8_DOWN_ROWS: 4, U4_DOWN_ROWS: 8}[self.zero_form]
        size = ceil_div(self.scale_rows(), rows_per_word) * self.scale_columns() * (1 if rows_per_word == 1 else 4)
        check(self.zero == 0 and size_of(self.zeros) == size, "size of zero points")

    def inputs(self):
        return [number for number in (self.codes, self.scales, self.zeros, self.column_scales) if number != NONE]


class Contents:
    """A matrix with the bytes of its inputs."""

    def __init__(self, matrix, read):
        self.m = matrix
        self.codes, self.scales, self.zeros, self.column_scales = (
            b"" if number == NONE else read(number)
            for number in (matrix.codes, matrix.scales, matrix.zeros, matrix.column_scales))

    def code(self, row, column):
        if self.m.code_form == U4:
            return self.codes[row * self.m.row_size + column // 2] >> 4 * (column % 2) & 15
        byte = self.codes[row * self.m.row_size + column]
        return byte - 256 if self.m.code_form == I8 and byte > 127 else byte

    def scale_number(self, row, column):
        return row // self.m.rows_per_scale * self.m.scale_columns() + column // self.m.columns_per_scale

    def zero(self, k):
        i, j = divmod(k, self.m.scale_columns())
        if self.m.zero_form == CONSTANT:
            return self.m.zero
        if self.m.zero_form == BYTES:
            return self.zeros[k] - 256 if self.m.code_form == I8 and self.zeros[k] > 127 else self.zeros[k]
        if self.m.zero_form == U8_DOWN_ROWS:
            return self.zeros[4 * (i // 4 * self.m.scale_columns() + j) + i % 4]
        word = struct.unpack_from("<I", self.zeros, 4 * (i // 8 * self.m.scale_columns() + j))[0]
        return word >> 4 * (i % 8) & 15

    def float(self, data, k):
        form = "<I" if float_size(self.m.scale_type) == 4 else "<H"
        return read_float(self.m.scale_type, struct.unpack_from(form, data, k * float_size(self.m.scale_type))[0])


def dequantize(contents, output):
    m = contents.m
    out = bytearray()
    known = {}
    for row in range(m.rows):
        for column in range(m.columns):
            k = contents.scale_number(row, column)
            key = (contents.code(row, column), k, column if contents.column_scales else 0)
            if key not in known:
                difference = key[0] - contents.zero(k)
                number = multiply(Number(difference < 0, Fraction(abs(difference))), contents.float(contents.scales, k))
                if contents.column_scales:
                    number = multiply(binary64(number), contents.float(contents.column_scales, column))
                    number = binary64(number)
                known[key] = round_to(*FLOATS[output], number).to_bytes(float_size(output), "little")
            out += known[key]
    return bytes(out)


def interleave(contents, block_type):
    m = contents.m
    out = bytearray()
    for row in range(m.rows):
        for first in range(0, m.columns, 32):
            k = contents.scale_number(row, first)
            codes = [contents.code(row, first + i) for i in range(32)]
            out += contents.scales[2 * k:2 * k + 2]
            if block_type == Q8_0:
                out += bytes(code - m.zero & 255 for code in codes)
                continue
            if block_type == Q4_1:
                out += contents.zeros[2 * k:2 * k + 2]
            out += bytes(codes[i] & 15 | (codes[i + 16] & 15) << 4 for i in range(16))
    return bytes(out)


class Derived:
    def __init__(self, fields):
        self.name, self.function, self.plain_size = fields.text(), fields.u8(), fields.u64()
        check(1 <= self.plain_size < 2**63, "size of a derived extent")
        check(COPY <= self.function <= INTERLEAVE, "function of a derived extent")
        if self.function == COPY:
            self.input, self.offset = fields.u32(), fields.u64()
        elif self.function == LITERAL:
            check(self.plain_size <= 4096, "literal too long")
            self.bytes = bytes(fields.take(self.plain_size))
        elif self.function == FLIP:
            self.input, self.mask = fields.u32(), fields.u8()
        else:
            self.kind = fields.u8()
            self.matrix = Matrix.read(fields)

    def inputs(self):
        if self.function in (COPY, FLIP):
            return [self.input]
        return [] if self.function == LITERAL else self.matrix.inputs()

    def check(self, size_of):
        """size_of(number) is the size of a stored extent, which is refused when it is not there."""
        if self.function == COPY:
            check(self.offset + self.plain_size <= size_of(self.input), "copy past the end")
        elif self.function == FLIP:
            check(self.plain_size == size_of(self.input), "size of a derived extent")
        elif self.function == DEQUANTIZE:
            m = self.matrix
            m.check(size_of)
            m.check_zeros(size_of)
            check(self.kind in FLOATS, "output type")
            check(self.plain_size == m.rows * m.columns * float_size(self.kind), "size of a derived extent")
            check(m.column_scales == NONE or size_of(m.column_scales) == m.columns * float_size(m.scale_type),
                  "size of column scales")
        elif self.function == INTERLEAVE:
            self.check_interleave(size_of)

    def check_interleave(self, size_of):
        m = self.matrix
        m.check(size_of)
        check(self.kind in BLOCK_SIZES, "block type")
        check(m.columns % 32 == 0 and (m.columns_per_scale % 32 == 0 or m.columns_per_scale == m.columns), "blocks")
        check(m.scale_type == 1 and m.column_scales == NONE and m.zero_form == CONSTANT, "parameters of blocks")
        check(self.plain_size == m.rows * m.columns // 32 * BLOCK_SIZES[self.kind], "size of a derived extent")
        allowed = {Q8_0: [(I8, 0), (U8, 128)], Q4_0: [(U8, 8), (U4, 8)], Q4_1: [(U8, 0), (U4, 0)]}[self.kind]
        check((m.code_form, m.zero) in allowed, "codes of blocks")
        if self.kind == Q4_1:
            check(size_of(m.zeros) == m.scales_size(), "size of minimums")
        else:
            check(m.zeros == NONE, "zero points of blocks")

    def content(self, read):
        """Its bytes; read(number) gives those of a stored extent."""
        if self.function == COPY:
            return read(self.input)[self.offset:self.offset + self.plain_size]
        if self.function == LITERAL:
            return self.bytes
        if self.function == FLIP:
            return bytes(byte ^ self.mask for byte in read(self.input))
        contents = Contents(self.matrix, read)
        return dequantize(contents, self.kind) if self.function == DEQUANTIZE else interleave(contents, self.kind)
