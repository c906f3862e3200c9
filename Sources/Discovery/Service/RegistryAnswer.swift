import Bytes
import EtcdAPI
import V2Store

/// An answer of a discovery service, in the form of the v2 API. Pure.
struct RegistryAnswer: Sendable {
  var status = 200
  /// Revision of the etcd behind it, as etcd's index; `nil` for what is no key's.
  var index: UInt64?
  var body: Bytes
  var isJSON = true

  init(_ action: V2Event.Action, _ key: Mvccpb.KeyValue, status: Int = 200, index: Int64) {
    self.init(action, Self.entry(key), status: status, index: index)
  }

  /// A directory with its entries, in the order of their names.
  init(directory: String, _ keys: [Mvccpb.KeyValue], index: Int64) {
    let entry = V2Entry(
      key: directory, value: nil, isDirectory: true, nodes: keys.map(Self.entry))
    self.init(.get, entry, status: 200, index: index)
  }

  private init(_ action: V2Event.Action, _ entry: V2Entry, status: Int, index: Int64) {
    let index = UInt64(clamping: index)
    self.status = status
    self.index = index
    // Nothing here has a time to live of its own.
    body = V2JSON.line(V2Event(action, entry, index: index), now: 0)
  }

  /// A text.
  init(text: String, status: Int = 200) {
    self.status = status
    body = Bytes(text)
    isJSON = false
  }

  init(_ refusal: RegistryRefusal) {
    switch refusal {
    case .text(let status, let text):
      self.status = status
      body = Bytes(text + "\n")
      isJSON = false
    case .key(let error):
      status = error.httpStatus
      index = error.index
      body = V2JSON.line(error)
    }
  }

  private static func entry(_ key: Mvccpb.KeyValue) -> V2Entry {
    V2Entry(
      key: key.key.string, value: key.value.string, isDirectory: false,
      modifiedIndex: UInt64(clamping: key.modRevision),
      createdIndex: UInt64(clamping: key.createRevision))
  }
}
