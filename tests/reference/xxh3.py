"""XXH3 in plain Python, after the xxHash specification. Slow; for small archives.

https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

import struct

MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF

PRIME32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
PRIME64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
PRIME_MX1 = 0x165667919E3779F9
PRIME_MX2 = 0x9FB21C651E98DF25

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def swap32(x):
    return int.from_bytes(x.to_bytes(4, "little"), "big")


def swap64(x):
    return int.from_bytes(x.to_bytes(8, "little"), "big")


def rotate_left(x, bits, width):
    return ((x << bits) | (x >> (width - bits))) & ((1 << width) - 1)


def fold(a, b):
    product = a * b
    return (product & MASK64) ^ (product >> 64)


def avalanche(h):
    h ^= h >> 37
    h = h * PRIME_MX1 & MASK64
    return h ^ (h >> 32)


def avalanche_xxh64(h):
    h ^= h >> 33
    h = h * PRIME64[1] & MASK64
    h ^= h >> 29
    h = h * PRIME64[2] & MASK64
    return h ^ (h >> 32)


def mix16(data, at, secret_at, seed):
    return fold(u64(data, at) ^ ((u64(SECRET, secret_at) + seed) & MASK64),
                u64(data, at + 8) ^ ((u64(SECRET, secret_at + 8) - seed) & MASK64))


def combine_1to3(data):
    n = len(data)
    return data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8


def short_64(data, seed):
    n = len(data)
    if n == 0:
        return avalanche_xxh64(seed ^ u64(SECRET, 56) ^ u64(SECRET, 64))
    if n <= 3:
        return avalanche_xxh64(combine_1to3(data) ^ ((u32(SECRET, 0) ^ u32(SECRET, 4)) + seed & MASK64))
    if n <= 8:
        seed ^= swap32(seed & MASK32) << 32
        flip = (u64(SECRET, 8) ^ u64(SECRET, 16)) - seed & MASK64
        h = (u32(data, n - 4) + (u32(data, 0) << 32)) ^ flip
        h ^= rotate_left(h, 49, 64) ^ rotate_left(h, 24, 64)
        h = h * PRIME_MX2 & MASK64
        h ^= (h >> 35) + n
        h = h * PRIME_MX2 & MASK64
        return h ^ (h >> 28)
    low = u64(data, 0) ^ ((u64(SECRET, 24) ^ u64(SECRET, 32)) + seed & MASK64)
    high = u64(data, n - 8) ^ ((u64(SECRET, 40) ^ u64(SECRET, 48)) - seed & MASK64)
    return avalanche(n + swap64(low) + high + fold(low, high) & MASK64)


def middle_64(data, seed):
    n = len(data)
    acc = n * PRIME64[0]
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            acc += mix16(data, 16 * i, 32 * i, seed) + mix16(data, n - 16 * (i + 1), 32 * i + 16, seed)
        return avalanche(acc & MASK64)
    for i in range(8):
        acc += mix16(data, 16 * i, 16 * i, seed)
    acc = avalanche(acc & MASK64)
    for i in range(8, n // 16):
        acc += mix16(data, 16 * i, 16 * (i - 8) + 3, seed)
    acc += mix16(data, n - 16, 136 - 17, seed)
    return avalanche(acc & MASK64)


def accumulate(acc, data, at, secret, secret_at):
    values = struct.unpack_from("<8Q", data, at)
    keys = struct.unpack_from("<8Q", secret, secret_at)
    for i in range(8):
        keyed = values[i] ^ keys[i]
        acc[i ^ 1] += values[i]
        acc[i] = acc[i] + (keyed & MASK32) * (keyed >> 32) & MASK64


def long_accumulators(data, secret):
    acc = [PRIME32[2], PRIME64[0], PRIME64[1], PRIME64[2], PRIME64[3], PRIME32[1], PRIME64[4], PRIME32[0]]
    stripes_per_block = (len(secret) - 64) // 8
    stripe_count = (len(data) - 1) // 64
    scramble_keys = struct.unpack_from("<8Q", secret, len(secret) - 64)
    for stripe in range(stripe_count):
        accumulate(acc, data, 64 * stripe, secret, 8 * (stripe % stripes_per_block))
        if stripe % stripes_per_block == stripes_per_block - 1:
            for i in range(8):
                a = acc[i] & MASK64
                acc[i] = (a ^ (a >> 47) ^ scramble_keys[i]) * PRIME32[0] & MASK64
    accumulate(acc, data, len(data) - 64, secret, len(secret) - 71)
    return [a & MASK64 for a in acc]


def merge(acc, secret, secret_at, start):
    for i in range(4):
        start += fold(acc[2 * i] ^ u64(secret, secret_at + 16 * i), acc[2 * i + 1] ^ u64(secret, secret_at + 16 * i + 8))
    return avalanche(start & MASK64)


def seeded_secret(seed):
    if seed == 0:
        return SECRET
    words = struct.unpack("<24Q", SECRET)
    return struct.pack("<24Q", *((w - seed if i % 2 else w + seed) & MASK64 for i, w in enumerate(words)))


def xxh3_64(data, seed=0):
    if len(data) <= 16:
        return short_64(data, seed)
    if len(data) <= 240:
        return middle_64(data, seed)
    secret = seeded_secret(seed)
    return merge(long_accumulators(data, secret), secret, 11, len(data) * PRIME64[0] & MASK64)


# The 128-bit hash with seed 0, as (low, high).


def short_128(data):
    n = len(data)
    if n == 0:
        return (avalanche_xxh64(u64(SECRET, 64) ^ u64(SECRET, 72)), avalanche_xxh64(u64(SECRET, 80) ^ u64(SECRET, 88)))
    if n <= 3:
        low = combine_1to3(data)
        high = rotate_left(swap32(low), 13, 32)
        return (avalanche_xxh64(low ^ u32(SECRET, 0) ^ u32(SECRET, 4)),
                avalanche_xxh64(high ^ u32(SECRET, 8) ^ u32(SECRET, 12)))
    if n <= 8:
        keyed = (u32(data, 0) + (u32(data, n - 4) << 32)) ^ u64(SECRET, 16) ^ u64(SECRET, 24)
        product = keyed * (PRIME64[0] + (n << 2))
        low, high = product & MASK64, product >> 64
        high = high + (low << 1) & MASK64
        low ^= high >> 3
        low ^= low >> 35
        low = low * PRIME_MX2 & MASK64
        return (low ^ (low >> 28), avalanche(high))
    first, last = u64(data, 0), u64(data, n - 8)
    product = (first ^ last ^ u64(SECRET, 32) ^ u64(SECRET, 40)) * PRIME64[0]
    low = (product & MASK64) + ((n - 1) << 54) & MASK64
    last ^= u64(SECRET, 48) ^ u64(SECRET, 56)
    high = (product >> 64) + last + (last & MASK32) * (PRIME32[1] - 1) & MASK64
    low ^= swap64(high)
    product = low * PRIME64[1]
    return (avalanche(product & MASK64), avalanche((product >> 64) + high * PRIME64[1] & MASK64))


def mix32(acc, data, at1, at2, secret_at, seed=0):
    low = acc[0] + mix16(data, at1, secret_at, seed) & MASK64
    low ^= u64(data, at2) + u64(data, at2 + 8) & MASK64
    high = acc[1] + mix16(data, at2, secret_at + 16, seed) & MASK64
    high ^= u64(data, at1) + u64(data, at1 + 8) & MASK64
    return (low, high)


def middle_128(data):
    n = len(data)
    acc = (n * PRIME64[0] & MASK64, 0)
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            acc = mix32(acc, data, 16 * i, n - 16 * (i + 1), 32 * i)
    else:
        for i in range(4):
            acc = mix32(acc, data, 32 * i, 32 * i + 16, 32 * i)
        acc = (avalanche(acc[0]), avalanche(acc[1]))
        for i in range(4, n // 32):
            acc = mix32(acc, data, 32 * i, 32 * i + 16, 3 + 32 * (i - 4))
        acc = mix32(acc, data, n - 16, n - 32, 136 - 17 - 16)
    high = acc[0] * PRIME64[0] + acc[1] * PRIME64[3] + n * PRIME64[1] & MASK64
    return (avalanche(acc[0] + acc[1] & MASK64), -avalanche(high) & MASK64)


def xxh3_128(data):
    """The canonical form: 16 bytes, big-endian, high half first."""
    n = len(data)
    if n <= 16:
        low, high = short_128(data)
    elif n <= 240:
        low, high = middle_128(data)
    else:
        acc = long_accumulators(data, SECRET)
        low = merge(acc, SECRET, 11, n * PRIME64[0] & MASK64)
        high = merge(acc, SECRET, len(SECRET) - 64 - 11, ~(n * PRIME64[1]) & MASK64)
    return struct.pack(">QQ", high, low)
