"""Fields of untrusted bytes, one after another."""

import struct

from refused import check


class Fields:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def remaining(self):
        return len(self.data) - self.at

    def take(self, count):
        check(count <= self.remaining(), "field past the end")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def u8(self):
        return self.number("B")

    def u16(self):
        return self.number("H")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def i64(self):
        return self.number("q")

    def text(self):
        return bytes(self.take(self.u32()))

    def varint(self):
        value = 0
        for shift in range(0, 35, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                check(byte != 0 or shift == 0, "varint with a superfluous byte")
                check(value < 1 << 32, "varint too large")
                return value
        check(False, "varint too long")


class Bits:
    """A bit string, least significant bit of each byte first."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def bit(self):
        check(self.at < 8 * len(self.data), "bit past the end")
        value = self.data[self.at >> 3] >> (self.at & 7) & 1
        self.at += 1
        return value

    def number(self, width):
        return sum(self.bit() << i for i in range(width))

    def end(self):
        """Refuses anything but the zero bits that fill the last byte."""
        check(len(self.data) == (self.at + 7) // 8, "bit string of the wrong length")
        while self.at < 8 * len(self.data):
            check(self.bit() == 0, "padding bit that is not zero")
