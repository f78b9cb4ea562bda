"""Echo servers as Python programs are written: pool.py KIND PORT [WORKERS].

Subjects of the probe, see subjects.sh. KIND is threads, processes or asyncio.
"""

import asyncio
import socket
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def echo(connection):
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)


def pool(executor, port):
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener, executor:
        while True:
            connection, _ = listener.accept()
            executor.submit(echo, connection)


async def converse(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


async def tasks(port):
    async with await asyncio.start_server(converse, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "asyncio":
        asyncio.run(tasks(port))
    executors = {"threads": ThreadPoolExecutor, "processes": ProcessPoolExecutor}
    pool(executors[kind](int(sys.argv[3])), port)
