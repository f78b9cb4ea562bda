"""Echo servers as Python programs are written: pool.py KIND PORT [WORKERS] [--work WORK] [--backlog N].

Subjects of `lab compare` and of the probe, see docs/probe/subjects.sh. KIND is threads, processes,
thread-per-connection or asyncio. WORK is what each line costs before it is echoed, in seconds:
io=0.005 waits, io=exp:0.005 waits so long on average, cpu=0.001 computes.
"""

import argparse
import asyncio
import random
import socket
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

BUFFER_BYTES = 64 * 1024  # As much as our own server reads at once.


def burn(seconds):
    """Computes in bytecode, so that it needs the interpreter's lock, until this very thread has used
    the time: the clock of the wall would count waiting for the lock as work."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for _ in range(200):
            pass


def wait_s(amount):
    mean = amount.removeprefix("exp:")
    return float(mean) if mean == amount else random.expovariate(1 / float(mean))


def pay(work, data):
    kind, _, amount = work.partition("=")
    for _ in range(data.count(b"\n") if amount else 0):
        burn(float(amount)) if kind == "cpu" else time.sleep(wait_s(amount))


async def pay_async(work, data):
    kind, _, amount = work.partition("=")
    for _ in range(data.count(b"\n") if amount else 0):
        burn(float(amount)) if kind == "cpu" else await asyncio.sleep(wait_s(amount))


def echo(connection, work):
    with connection:
        while data := connection.recv(BUFFER_BYTES):
            pay(work, data)
            connection.sendall(data)


def accept(listener, submit, work):
    while True:
        # Without a name: while this process keeps a connection that another has, its peer sees no end.
        submit(echo, listener.accept()[0], work)


def thread_for(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


async def converse(reader, writer, work):
    try:
        while data := await reader.read(BUFFER_BYTES):
            await pay_async(work, data)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # The peer is gone, and nobody waits for an answer.
    finally:
        writer.close()


async def tasks(listener, work):
    async with await asyncio.start_server(lambda r, w: converse(r, w, work), sock=listener) as server:
        await server.serve_forever()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kind", choices=["threads", "processes", "thread-per-connection", "asyncio"])
    arguments.add_argument("port", type=int)
    arguments.add_argument("workers", type=int, nargs="?", default=1)
    arguments.add_argument("--work", default="none")
    arguments.add_argument("--backlog", type=int, default=128)
    given = arguments.parse_args()
    with socket.create_server(("127.0.0.1", given.port), backlog=given.backlog) as listener:
        # Connections inherit it; without it a message in several pieces waits for acknowledgements.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if given.kind == "asyncio":
            asyncio.run(tasks(listener, given.work))
        elif given.kind == "thread-per-connection":
            accept(listener, thread_for, given.work)
        elif given.kind == "threads":
            with ThreadPoolExecutor(given.workers) as pool:
                accept(listener, pool.submit, given.work)
        else:
            # Forked, since a program that is not a file cannot be imported anew by its workers.
            with ProcessPoolExecutor(given.workers, mp_context=get_context("fork")) as pool:
                accept(listener, pool.submit, given.work)


if __name__ == "__main__":
    main()
