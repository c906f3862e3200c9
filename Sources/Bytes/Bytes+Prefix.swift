extension Bytes {
  /// The first key behind all that begin with these bytes; a zero byte, which stands for no end, when there is none.
  /// - Source: etcd `clientv3.GetPrefixRangeEnd`.
  public var endOfPrefix: Bytes {
    var bytes = Array(self)
    while let last = bytes.popLast() {
      if last < 0xff { return Bytes(bytes + [last + 1]) }
    }
    return Bytes([0])
  }
}
