import EtcdAPI

extension V2Store {
  /// Applies a request as the log holds it.
  /// - Parameter now: nanoseconds since 1970, from which events count what is left of times to live.
  /// - Returns: what happened: one event, or for SYNC one for every node that ended.
  /// - Throws: the refusal; `invalidField` for a method that is none.
  /// - Source: etcd `apply_v2.go`. Requests that publish attributes of members or the cluster version
  ///   are plain ones here; who keeps the membership looks at them first.
  public mutating func apply(
    _ request: Etcdserverpb.Request, now: Int64? = nil
  ) throws(V2Error) -> [V2Event] {
    local.now = now
    let lifetime = Lifetime(
      expiration: request.expiration == 0 ? nil : request.expiration,
      isRefresh: request.refresh ?? false)
    switch request.method {
    case "POST":
      return [
        try create(
          request.path, value: request.val, isDirectory: request.dir, isUnique: true,
          lifetime: lifetime)
      ]
    case "PUT": return [try put(request, lifetime)]
    case "DELETE":
      if request.isConditional {
        return [
          try compareAndDelete(
            request.path, previousValue: request.prevValue, previousIndex: request.prevIndex)
        ]
      }
      return [
        try delete(request.path, isDirectory: request.dir, isRecursive: request.recursive)
      ]
    case "QGET": return [try get(request.path, isRecursive: request.recursive)]
    case "SYNC": return deleteExpiredKeys(now: request.time)
    default: throw V2Error(.invalidField, "method \(request.method)", index: index)
    }
  }

  private mutating func put(
    _ request: Etcdserverpb.Request, _ lifetime: Lifetime
  ) throws(V2Error) -> V2Event {
    if request.prevExist == false {
      return try create(
        request.path, value: request.val, isDirectory: request.dir, lifetime: lifetime)
    }
    if request.isConditional {
      return try compareAndSwap(
        request.path, previousValue: request.prevValue, previousIndex: request.prevIndex,
        value: request.val, lifetime: lifetime)
    }
    if request.prevExist == true {
      return try update(request.path, value: request.val, lifetime: lifetime)
    }
    return try set(
      request.path, value: request.val, isDirectory: request.dir, lifetime: lifetime)
  }
}

extension Etcdserverpb.Request {
  /// Whether the node's value or index is compared first.
  fileprivate var isConditional: Bool { prevIndex > 0 || !prevValue.isEmpty }
}
