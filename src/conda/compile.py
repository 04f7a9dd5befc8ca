# Compiles modules that come over standard input, one after another: each is its path in the image and its source, both behind their length in
# eight bytes. The answer to each is the .pyc file behind its length, or nothing behind the length 0 where it cannot be compiled.
import importlib.util
import marshal
import sys

read, write = sys.stdin.buffer.read, sys.stdout.buffer.write


def has_order_by_address(constants):
    # Before 3.12 the hash of None is its address, so that a set with it has another order in each process.
    for constant in constants:
        if isinstance(constant, (frozenset, tuple)):
            inner = isinstance(constant, frozenset) and any(item in (None, Ellipsis) for item in constant)
            if inner or has_order_by_address(constant):
                return True
        elif hasattr(constant, "co_consts") and has_order_by_address(constant.co_consts):
            return True
    return False


def dumped(code):
    try:
        # Before version 3 marshal writes no references, which come and go with what else the interpreter holds.
        return marshal.dumps(code, 2)
    except ValueError:
        return marshal.dumps(code)


def compiled(path, source):
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        if sys.version_info < (3, 12) and has_order_by_address(code.co_consts):
            return b""
        # Never checked against the source (PEP 552).
        return importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + importlib.util.source_hash(source) + dumped(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return b""


while length := read(8):
    path = read(int.from_bytes(length, "little")).decode()
    source = read(int.from_bytes(read(8), "little"))
    pyc = compiled(path, source)
    write(len(pyc).to_bytes(8, "little") + pyc)
    sys.stdout.buffer.flush()
