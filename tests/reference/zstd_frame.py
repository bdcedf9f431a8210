"""One zstd frame -> bytes, by libzstd: RFC 8878 is not what this decoder is there to check."""

import ctypes
import ctypes.util

from refused import check

_name = ctypes.util.find_library("zstd") or "libzstd.so.1"
_library = ctypes.CDLL(_name)
_library.ZSTD_decompress.restype = ctypes.c_size_t
_library.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
_library.ZSTD_findFrameCompressedSize.restype = ctypes.c_size_t
_library.ZSTD_findFrameCompressedSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def decompress(frame, plain_size):
    frame = bytes(frame)
    check(_library.ZSTD_findFrameCompressedSize(frame, len(frame)) == len(frame), "not exactly one zstd frame")
    plain = ctypes.create_string_buffer(max(plain_size, 1))
    size = _library.ZSTD_decompress(plain, plain_size, frame, len(frame))
    check(size == plain_size, "zstd frame of another size")
    return plain.raw[:plain_size]
