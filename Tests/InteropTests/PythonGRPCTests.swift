import TestSupport
import Testing

/// Clients in Python that speak gRPC, of which two are bound to other libraries, run as they are against Go's
/// server and against ours: watches, locks and leases too.
@Suite(.serialized) struct PythonGRPCTests {
  private static let old = PythonClientTests.tools + "/etcd3/bin/python"
  private static let new = PythonClientTests.tools + "/aetcd/bin/python"

  @Test(.enabled(if: Binaries.isThere(old))) func etcd3Runs() throws {
    try PythonClientTests.runs(
      Self.etcd3, "etcd3 is content", Self.old,
      secure: "dict(ca_cert=ca, cert_cert=cert, cert_key=key)")
  }

  @Test(.enabled(if: Binaries.isThere(new))) func aetcdRuns() throws {
    try PythonClientTests.runs(Self.aetcd, "aetcd is content", Self.new)
  }

  /// The client library of Rust.
  @Test(.enabled(if: Binaries.isThere(new))) func etcdClientRuns() throws {
    try PythonClientTests.runs(Self.rust, "etcd-client-py is content", Self.new)
  }

  private static let etcd3 = #"""
    import sys, threading, time
    import etcd3
    client = etcd3.client(host="127.0.0.1", port=int(sys.argv[1]), timeout=20, **tls)
    assert client.status().version.startswith("3.5")
    client.put("k", "v")
    value, meta = client.get("k")
    assert value == b"v" and meta.version == 1
    assert client.get("none") == (None, None)
    for i in range(5): client.put("dir/%d" % i, str(i))
    assert [v for v, _ in client.get_prefix("dir/", sort_order="descend")] == [b"4", b"3", b"2", b"1", b"0"]
    assert client.put_if_not_exists("k", "x") is False and client.replace("k", "v", "w") is True
    ok, _ = client.transaction(compare=[client.transactions.value("k") == "w"], success=[client.transactions.put("k", "z"), client.transactions.get("k")], failure=[])
    assert ok
    assert client.delete("k") is True and client.delete("k") is False
    assert client.delete_prefix("dir/").deleted == 5
    lease = client.lease(100)
    client.put("leased", "v", lease=lease)
    assert 0 < lease.remaining_ttl <= 100 and lease.keys == [b"leased"]
    lease.refresh()
    lease.revoke()
    assert client.get("leased") == (None, None)
    with client.lock("name", ttl=20) as lock:
        assert lock.is_acquired()
    events, cancel = client.watch_prefix("watched/")
    def write():
        for i in range(3): client.put("watched/%d" % i, str(i))
        client.delete("watched/0")
    threading.Thread(target=write).start()
    seen = []
    for event in events:
        seen.append((type(event).__name__, event.key))
        if len(seen) == 4: break
    cancel()
    assert seen == [("PutEvent", b"watched/0"), ("PutEvent", b"watched/1"), ("PutEvent", b"watched/2"), ("DeleteEvent", b"watched/0")], seen
    _, meta = client.get("watched/1")
    client.compact(meta.mod_revision)
    try:
        old, cancel = client.watch("watched/0", start_revision=2)
        for _ in old: raise AssertionError("events of what was compacted")
    except etcd3.exceptions.RevisionCompactedError as error:
        assert error.compacted_revision == meta.mod_revision
    assert len(list(client.members)) == 1
    client.create_alarm()
    assert len(list(client.list_alarms())) == 1
    client.disarm_alarm()
    assert not list(client.list_alarms())
    client.defragment()
    assert client.hash() > 0
    with open(sys.argv[0] + ".db", "wb") as file: client.snapshot(file)
    try:
        client.put("", "v")
        raise AssertionError("no error")
    except Exception as error:
        assert "key is not provided" in str(error), error
    print("etcd3 is content")
    """#

  private static let aetcd = #"""
    import asyncio, sys
    import aetcd

    async def main():
        async with aetcd.Client(host="127.0.0.1", port=int(sys.argv[1]), timeout=20) as client:
            assert (await client.status()).version.startswith("3.5")
            await client.put(b"k", b"v")
            assert (await client.get(b"k")).value == b"v"
            assert await client.get(b"none") is None
            for i in range(5): await client.put(b"dir/%d" % i, b"%d" % i)
            assert [kv.value async for kv in aiter_of(await client.get_prefix(b"dir/"))] == [b"0", b"1", b"2", b"3", b"4"]
            assert await client.replace(b"k", b"v", b"w") and not await client.replace(b"k", b"v", b"x")
            ok, _ = await client.transaction(
                compare=[client.transactions.value(b"k") == b"w"],
                success=[client.transactions.put(b"k", b"z")], failure=[])
            assert ok
            assert (await client.delete_prefix(b"dir/")).deleted == 5
            lease = await client.lease(100)
            await client.put(b"leased", b"v", lease=lease)
            assert 0 < await lease.remaining_ttl() <= 100
            await lease.refresh()
            await lease.revoke()
            assert await client.get(b"leased") is None
            async with client.lock(b"name", ttl=20) as lock:
                assert await lock.is_acquired()
            watch = await client.watch_prefix(b"watched/")
            async def write():
                for i in range(3): await client.put(b"watched/%d" % i, b"%d" % i)
                await client.delete(b"watched/0")
            task = asyncio.create_task(write())
            seen = []
            async for event in watch:
                seen.append((str(event.kind), event.kv.key))
                if len(seen) == 4: break
            await watch.cancel()
            await task
            assert seen == [("PUT", b"watched/0"), ("PUT", b"watched/1"), ("PUT", b"watched/2"), ("DELETE", b"watched/0")], seen
            assert len([m async for m in client.members()]) == 1
            await client.defragment()
            assert await client.hash() > 0

    async def aiter_of(things):
        for thing in things: yield thing

    asyncio.run(main())
    print("aetcd is content")
    """#

  private static let rust = #"""
    import asyncio, sys
    from etcd_client import Client, Compare, CompareOp, EtcdLockOption, Txn, TxnOp, WatchEventType

    async def main():
        client = Client(["http://127.0.0.1:" + sys.argv[1]])
        async with client.connect() as etcd:
            await etcd.put(b"k", b"v")
            assert bytes(await etcd.get(b"k")) == b"v"
            assert await etcd.get(b"none") is None
            for i in range(3): await etcd.put(b"dir/%d" % i, b"%d" % i)
            assert [bytes(v) for _, v in await etcd.get_prefix(b"dir/")] == [b"0", b"1", b"2"]
            assert [bytes(k) for k in await etcd.keys_prefix(b"dir/")] == [b"dir/0", b"dir/1", b"dir/2"]
            await etcd.txn(
                Txn().when([Compare.value(b"k", CompareOp.EQUAL, b"v")])
                .and_then([TxnOp.put(b"k", b"w")]).or_else([TxnOp.delete(b"k")]))
            assert bytes(await etcd.get(b"k")) == b"w"
            await etcd.delete_prefix(b"dir/")
            assert not list(await etcd.get_prefix(b"dir/"))
            await etcd.lease_grant(100)
            order = []
            async def guarded(name):
                async with client.with_lock(EtcdLockOption(lock_name=b"lock", ttl=20)):
                    order.append(name)
                    await asyncio.sleep(0.2)
                    order.append(name)
            await asyncio.gather(guarded("a"), guarded("b"))
            assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"]), order
            async def watch():
                seen = []
                async for event in etcd.watch_prefix(b"watched/"):
                    seen.append((event.event == WatchEventType.PUT, bytes(event.key)))
                    if len(seen) == 4: return seen
            task = asyncio.create_task(watch())
            await asyncio.sleep(1)
            for i in range(3): await etcd.put(b"watched/%d" % i, b"%d" % i)
            await etcd.delete(b"watched/0")
            seen = await asyncio.wait_for(task, 20)
            assert seen == [(True, b"watched/0"), (True, b"watched/1"), (True, b"watched/2"), (False, b"watched/0")], seen

    asyncio.run(main())
    print("etcd-client-py is content")
    """#
}
