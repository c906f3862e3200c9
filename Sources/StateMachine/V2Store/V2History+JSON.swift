import Bytes
import JSON

/// The history inside the document of a store, a ring as Go's:
///
/// ```
/// {"Queue":{"Events":[EVENT or null, …],"Size":N,"Front":N,"Back":N,"Capacity":1000},"StartIndex":N,"LastIndex":N}
/// EVENT = {"action":"set","node":{"key":"/1/…","value":"…",…},"prevNode":{…},"refresh":true}
/// ```
extension V2History {
  /// - Parameter index: the store's.
  func write(to out: inout ByteWriter, index: UInt64) {
    let front = (back - count + Self.eventsMax) % Self.eventsMax
    var ring: [V2Event?] = Array(repeating: nil, count: Self.eventsMax)
    for (position, event) in events.enumerated() {
      ring[(front + position) % Self.eventsMax] = event
    }
    out.append("{\"Queue\":{\"Events\":[")
    for (position, event) in ring.enumerated() {
      if position > 0 { out.append(",") }
      if let event { event.writeJSON(to: &out) } else { out.append("null") }
    }
    out.append(
      "],\"Size\":\(count),\"Front\":\(front),\"Back\":\(back),\"Capacity\":\(Self.eventsMax)},"
        + "\"StartIndex\":\(start),\"LastIndex\":\(index)}")
  }

  /// - Parameters:
  ///   - value: `nil` for a document without one.
  ///   - index: the store's.
  /// - Throws: `V2DocumentError`. Events that do not follow each other up to the store's index are forgotten.
  init(_ value: JSONValue?, index: UInt64) throws(V2DocumentError) {
    self.init(emptyAt: index)
    guard let queue = value?["Queue"], let ring = queue["Events"]?.array else { return }
    let capacity = try V2Store.integer(queue, "Capacity")
    let size = try V2Store.integer(queue, "Size")
    let front = try V2Store.integer(queue, "Front")
    guard capacity == UInt64(ring.count), size <= capacity, front < Swift.max(capacity, 1) else {
      throw V2DocumentError(
        "\(size) events from place \(front) on, in a ring of \(ring.count) that is said to have "
          + "\(capacity) places")
    }
    var events: [V2Event] = []
    // checked: both are at most the length of an array
    for position in 0..<Int(size) {
      events.append(try V2Event(ring[(Int(front) + position) % ring.count]))
    }
    guard events.last?.index == index else { return }
    let broken = events.indices.dropFirst().last { events[$0].index != events[$0 - 1].index &+ 1 }
    let rest = events[(broken ?? 0)...]
    // checked: as above
    self.init(rest, back: ring.count == Self.eventsMax ? Int(front) + Int(size) : rest.count)
  }
}

extension V2Event {
  fileprivate func writeJSON(to out: inout ByteWriter) {
    out.append("{\"action\":\"\(action.rawValue)\",\"node\":")
    node.writeJSON(now: nil, withRoot: true, to: &out)
    if let previous {
      out.append(",\"prevNode\":")
      previous.writeJSON(now: nil, withRoot: true, to: &out)
    }
    if isRefresh { out.append(",\"refresh\":true") }
    out.append("}")
  }

  fileprivate init(_ value: JSONValue) throws(V2DocumentError) {
    let name = value["action"]?.string ?? ""
    guard let action = Action(rawValue: name), let node = value["node"] else {
      throw V2DocumentError("an event \"\(name)\" in the history is none")
    }
    let entry = try V2Entry(node)
    var previous: V2Entry?
    if let before = value["prevNode"], !before.isNull { previous = try V2Entry(before) }
    self.init(
      action, entry, previous: previous, index: entry.modifiedIndex,
      isRefresh: value["refresh"] == true)
  }
}

extension V2Entry {
  fileprivate init(_ value: JSONValue) throws(V2DocumentError) {
    guard value.object != nil, let key = value["key"]?.string else {
      throw V2DocumentError("a node in the history has no key")
    }
    self.init(
      key: key, value: value["value"]?.string, isDirectory: value["dir"] == true,
      modifiedIndex: try V2Store.integer(value, "modifiedIndex"),
      createdIndex: try V2Store.integer(value, "createdIndex"))
    guard let text = value["expiration"]?.string else { return }
    guard let time = V2Time.parse(text) else {
      throw V2DocumentError("node \(key) in the history ends at \(text), which is no time")
    }
    expiration = time
    ttl = value["ttl"]?.integer()
  }
}
