"""xxh3.py gives what the xxHash library gives."""

import sys

from xxh3 import xxh3_64, xxh3_128

SEED = 123456789
# length, XXH3-64 with seed 0, XXH3-64 with SEED, XXH3-128 of the bytes below; from xxHash 0.8.1.
KNOWN = [
    (0, 0x2d06800538d394c2, 0x93d88c4dc523a70a, "99aa06d3014798d86001c324468d497f"),
    (1, 0xc44bdff4074eecdb, 0x728f88e4d173cb05, "a6cd5e9392000f6ac44bdff4074eecdb"),
    (3, 0x852918f7f95249b1, 0x64b792a41269d060, "59e174be034e74a5852918f7f95249b1"),
    (4, 0xeacbbbe4662a140b, 0xd151401971744aac, "01f23e27fffe3443210b81ad6a6d23e2"),
    (8, 0xad2f02a3566a0de2, 0x1489383e57c10460, "c332c3d9cbf47f129dad176ec053c714"),
    (9, 0xaaef4cf7d496b63b, 0x1c6e67e483fedd61, "dfa9fd2d9c2ee40abe52d1bfe17340ea"),
    (16, 0x247fcef5a0ec562d, 0x4edd3300a740e1d3, "59c6ce931c37e2e0773fa78c8e242450"),
    (17, 0x6de3b07418c5f3f1, 0x2802b1325760223e, "9463f26ddb5b398c18c88efc5ef67e19"),
    (128, 0x265cf28488d9f279, 0x1e91d251246f6ded, "0aa403c183e19373b0a923c46d9eebda"),
    (129, 0x4ffa78debb1bef5e, 0xfe1f6807586fa386, "647483c6f259d8a39475c3e5f3a24f83"),
    (240, 0x8eae3f6acb0c8462, 0x9e16c97504e88699, "c8e834d738b86e3c385d53a00883e3ca"),
    (241, 0x2ac52313305db1d5, 0x278a252a04fe47cf, "1ddb79072c16099a2ac52313305db1d5"),
    (1024, 0xe31ca2c80f9dda9d, 0x60338af502969ab4, "63bb61ffec339974e31ca2c80f9dda9d"),
    (1025, 0x5b4e0c96ebe9b701, 0xabfd5a56ea6100fa, "c1bd4cf32c2df43b5b4e0c96ebe9b701"),
    (5000, 0x0bc222eb1fdb8271, 0x4a1138cd18c271c4, "2210c6d3b35bfac10bc222eb1fdb8271"),
]


def main():
    failures = 0
    for length, plain, seeded, wide in KNOWN:
        data = bytes(i * i * 7 + i & 255 for i in range(length))
        if (xxh3_64(data), xxh3_64(data, SEED), xxh3_128(data).hex()) != (plain, seeded, wide):
            print("FAIL at length", length)
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
