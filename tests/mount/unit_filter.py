#!/usr/bin/env python3
"""Runs a command under the limits that systemd would set for a unit: its filter of system calls and what of its other
settings filters system calls, its capabilities and limits of resources.

    unit_filter.py UNIT COMMAND [ARGUMENT]...

Needs root, systemd-analyze (which knows the sets of system calls) and x86-64. Exits with 77 where those are missing.
"""
import ctypes
import errno
import os
import platform
import re
import resource
import struct
import subprocess
import sys

MISSING = 77
HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
AUDIT_ARCH_X86_64 = 0xC000003E
ALLOW, FAIL = 0x7FFF0000, 0x00050000
# Of struct seccomp_data.
AT_NUMBER, AT_ARCHITECTURE, AT_ARGUMENTS = 0, 4, 16
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, SECCOMP_MODE_FILTER = 22, 38, 24, 2
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_SYS_ADMIN": 21}
PROT_WRITE, PROT_EXEC, AF_UNIX = 2, 4, 1
NAMESPACES = 0x7E020080

libc = ctypes.CDLL(None, use_errno=True)


def settings(unit):
    """(name, value) of its section [Service], in order."""
    service = open(unit).read().split("\n[Service]\n")[1].split("\n[")[0]
    return re.findall(r"^([A-Za-z]+)=(.*)$", service, re.M)


def expand(word):
    """Names of the system calls of a set."""
    if not word.startswith("@"):
        return {word}
    done = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines()[1:]]
    words = [line for line in lines if line and not line.startswith("#")]
    return set().union(*(expand(w) for w in words))


def allowed_calls(lines):
    allowed = set()
    for line in lines:
        names = set().union(*(expand(word) for word in line.lstrip("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    # What systemd always leaves a list of allowed calls, or it could not start the program.
    return allowed | expand("@default") | {"execve"}


def statement(code, value, if_true=0, if_false=0):
    return struct.pack("=HBBI", code, if_true, if_false, value)


def program(calls, numbers, of):
    fail = statement(RETURN, FAIL | errno.EPERM)

    def refuse(call, argument, *tests):
        """Fails `call` where all tests of the low half of its argument are true; a test is (code, value, wanted)."""
        # What ends the block: the argument is not refused.
        code = [statement(LOAD, AT_ARGUMENTS + 8 * argument)]
        for i, (test, value, wanted) in enumerate(tests):
            skip = len(tests) - i
            code.append(statement(test, value, 0 if wanted else skip, skip if wanted else 0))
        code.append(fail)
        code.append(statement(LOAD, AT_NUMBER))
        return [statement(EQUAL, numbers[call], 0, len(code))] + code

    code = [statement(LOAD, AT_ARCHITECTURE), statement(EQUAL, AUDIT_ARCH_X86_64, 1, 0), fail,
            statement(LOAD, AT_NUMBER)]
    if of.get("MemoryDenyWriteExecute") == "yes":
        code += refuse("mmap", 2, (ANY_BIT, PROT_WRITE, True), (ANY_BIT, PROT_EXEC, True))
        code += refuse("mprotect", 2, (ANY_BIT, PROT_EXEC, True))
    if of.get("RestrictAddressFamilies") == "AF_UNIX":
        code += refuse("socket", 0, (EQUAL, AF_UNIX, False))
    if of.get("RestrictNamespaces") == "yes":
        code += refuse("unshare", 0, (ANY_BIT, NAMESPACES, True)) + refuse("clone", 0, (ANY_BIT, NAMESPACES, True))
    for number in sorted(numbers[name] for name in calls if name in numbers):
        code += [statement(EQUAL, number, 0, 1), statement(RETURN, ALLOW)]
    return b"".join(code + [fail])


def limit(of):
    kept = {CAPABILITIES[name] for name in of["CapabilityBoundingSet"].split()}
    for capability in range(64):
        if capability not in kept:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (int(of["LimitCORE"]),) * 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(of["LimitNOFILE"]),) * 2)
    os.umask(int(of["UMask"], 8))


def install(code):
    text = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(text))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog) != 0:
        sys.exit(f"unit_filter: cannot install the filter: {os.strerror(ctypes.get_errno())}")


def main(unit, *command):
    if platform.machine() != "x86_64" or os.geteuid() != 0 or not os.path.exists(HEADER):
        sys.exit(MISSING)
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", open(HEADER).read())}
    found = settings(unit)
    try:
        calls = allowed_calls([value for name, value in found if name == "SystemCallFilter"])
    except FileNotFoundError:
        sys.exit(MISSING)
    of = dict(found)
    code = program(calls, numbers, of)
    limit(of)
    install(code)
    os.execv(command[0], command)


main(*sys.argv[1:])
