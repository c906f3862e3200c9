import EtcdAPI

extension Raftpb.MessageType {
  /// The name in logs.
  var logName: String { protoName ?? String(rawValue) }
}

extension Raftpb.Message {
  /// What keeps a silent stream alive: a heartbeat from nobody to nobody.
  static let linkHeartbeat = Raftpb.Message(type: .heartbeat)

  /// Whether it is a stream's keep-alive rather than raft's.
  public var isLinkHeartbeat: Bool { type == .heartbeat && from == 0 && to == 0 }

  /// Memory a queued message is counted with: payloads and a share for the fields.
  var queuedBytes: Int {
    var size = 128 + context.count + (snapshot?.data.count ?? 0)
    for entry in entries { size += entry.data.count + 32 }
    return size
  }
}
