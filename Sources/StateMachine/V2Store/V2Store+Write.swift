/// Operations that change the store. Each raises the index by one when it succeeds.
extension V2Store {
  /// Lifetimes that end before the year 2000 are none: clients in JavaScript send such.
  private static let expirationMin: Int64 = 946_684_800_000_000_000

  /// Makes a node, and the directories it lies in.
  /// - Parameter isUnique: the node gets the next index as its name, in the directory `path`.
  /// - Throws: `nodeExists`, `notDirectory` for a file on the way, `rootReadOnly`.
  public mutating func create(
    _ path: String, value: String = "", isDirectory: Bool = false, isUnique: Bool = false,
    lifetime: Lifetime = .permanent
  ) throws(V2Error) -> V2Event {
    local.activity.writes[.create, default: 0] += 1
    var path = V2Path(path)
    if isUnique {
      let number = String(index &+ 1)
      let padding = String(repeating: "0", count: 20 - number.utf8.count)
      path = V2Path(names: path.names + [V2Name(text: padding + number)])
    }
    do throws(V2Error) {
      let event = try place(
        .create, path, value: value, isDirectory: isDirectory, replaces: false, lifetime: lifetime)
      stats.createSuccess &+= 1
      return event
    } catch {
      stats.createFail &+= 1
      throw error
    }
  }

  /// Makes a node or replaces a file.
  /// - Throws: `notFile` for a directory that is there, `notDirectory` for a file on the way,
  ///   `rootReadOnly`; `keyNotFound` when the lifetime of a missing node is renewed.
  public mutating func set(
    _ path: String, value: String = "", isDirectory: Bool = false,
    lifetime: Lifetime = .permanent
  ) throws(V2Error) -> V2Event {
    local.activity.writes[.set, default: 0] += 1
    let path = V2Path(path)
    do throws(V2Error) {
      var value = value
      do throws(V2Error) {
        let old = try lookUp(path)
        if lifetime.isRefresh { value = old.value }
      } catch {
        if error.code != .keyNotFound || lifetime.isRefresh { throw error }
      }
      let event = try place(
        .set, path, value: value, isDirectory: isDirectory, replaces: true, lifetime: lifetime)
      stats.setsSuccess &+= 1
      return event
    } catch {
      stats.setsFail &+= 1
      throw error
    }
  }

  /// Changes value and lifetime of a file, or the lifetime of a directory.
  /// - Throws: `keyNotFound`, `notFile`, `notDirectory`, `rootReadOnly`. A directory is refused even
  ///   without a value while the cluster is of 3.5, as by its members.
  public mutating func update(
    _ path: String, value: String, lifetime: Lifetime = .permanent
  ) throws(V2Error) -> V2Event {
    local.activity.writes[.update, default: 0] += 1
    let path = V2Path(path)
    do throws(V2Error) {
      try checkWritable(path)
      let old = try lookUp(path)
      if old.isDirectory, !value.isEmpty || !renewsDirectories {
        throw V2Error(.notFile, value.isEmpty ? "" : path.text, index: index)
      }
      let event = write(.update, path, over: old, value: value, lifetime: lifetime)
      stats.updateSuccess &+= 1
      return event
    } catch {
      // Which refusals etcd counts as failures is what its statistics show.
      if error.code == .rootReadOnly || error.code == .notFile {
        stats.updateSuccess &+= 1
      } else {
        stats.updateFail &+= 1
      }
      throw error
    }
  }

  /// Changes value and lifetime of a file whose value and index are the expected ones.
  /// - Parameters:
  ///   - previousValue: empty for any.
  ///   - previousIndex: 0 for any.
  /// - Throws: `testFailed`, `keyNotFound`, `notFile`, `notDirectory`, `rootReadOnly`.
  public mutating func compareAndSwap(
    _ path: String, previousValue: String, previousIndex: UInt64, value: String,
    lifetime: Lifetime = .permanent
  ) throws(V2Error) -> V2Event {
    local.activity.writes[.compareAndSwap, default: 0] += 1
    let path = V2Path(path)
    do throws(V2Error) {
      try checkWritable(path)
      let old = try lookUp(path)
      if old.isDirectory { throw V2Error(.notFile, path.text, index: index) }
      try compare(old, value: previousValue, modifiedIndex: previousIndex)
      let event = write(.compareAndSwap, path, over: old, value: value, lifetime: lifetime)
      stats.compareAndSwapSuccess &+= 1
      return event
    } catch {
      if error.code == .rootReadOnly {
        stats.compareAndSwapSuccess &+= 1
      } else {
        stats.compareAndSwapFail &+= 1
      }
      throw error
    }
  }

  /// Removes a file, or a directory when asked to.
  /// - Parameter isRecursive: with everything in it; implies `isDirectory`.
  /// - Throws: `keyNotFound`, `notFile`, `directoryNotEmpty`, `notDirectory`, `rootReadOnly`.
  public mutating func delete(
    _ path: String, isDirectory: Bool = false, isRecursive: Bool = false
  ) throws(V2Error) -> V2Event {
    local.activity.writes[.delete, default: 0] += 1
    let path = V2Path(path)
    do throws(V2Error) {
      try checkWritable(path)
      let old = try lookUp(path)
      if let children = old.children {
        if !isDirectory, !isRecursive { throw V2Error(.notFile, path.text, index: index) }
        if !children.isEmpty, !isRecursive {
          throw V2Error(.directoryNotEmpty, path.text, index: index)
        }
      }
      let event = takeOut(.delete, path, old)
      stats.deleteSuccess &+= 1
      return event
    } catch {
      if error.code == .rootReadOnly { stats.deleteSuccess &+= 1 } else { stats.deleteFail &+= 1 }
      throw error
    }
  }

  /// Removes a file whose value and index are the expected ones, empty and 0 standing for any.
  /// - Throws: `testFailed`, `keyNotFound`, `notFile`, `notDirectory`.
  public mutating func compareAndDelete(
    _ path: String, previousValue: String, previousIndex: UInt64
  ) throws(V2Error) -> V2Event {
    local.activity.writes[.compareAndDelete, default: 0] += 1
    let path = V2Path(path)
    do throws(V2Error) {
      let old = try lookUp(path)
      if old.isDirectory { throw V2Error(.notFile, path.text, index: index) }
      try compare(old, value: previousValue, modifiedIndex: previousIndex)
      let event = takeOut(.compareAndDelete, path, old)
      stats.compareAndDeleteSuccess &+= 1
      return event
    } catch {
      if error.code == .notFile || error.code == .testFailed {
        stats.compareAndDeleteSuccess &+= 1
      } else {
        stats.compareAndDeleteFail &+= 1
      }
      throw error
    }
  }

  // MARK: Steps

  /// Puts a new node in place.
  private mutating func place(
    _ action: V2Event.Action, _ path: V2Path, value: String, isDirectory: Bool, replaces: Bool,
    lifetime: Lifetime
  ) throws(V2Error) -> V2Event {
    try checkWritable(path)
    guard path.names.count <= V2Path.depthMax else {
      throw V2Error(.invalidField, "more than \(V2Path.depthMax) directories", index: index)
    }
    var previous: V2Entry?
    do throws(V2Error) {
      let old = try lookUp(path)
      guard replaces else { throw V2Error(.nodeExists, path.text, index: index) }
      if old.isDirectory { throw V2Error(.notFile, path.text, index: index) }
      previous = old.entry(at: path)
      remove(old, at: path)
    } catch {
      // Counted here, and again by whoever writes.
      if error.code == .notDirectory {
        stats.setsFail &+= 1
        local.activity.writes[action, default: 0] += 1
      }
      if error.code != .keyNotFound { throw error }
    }
    index &+= 1
    let expiration = lifetime.expiration.flatMap { $0 < Self.expirationMin ? nil : $0 }
    let node: V2Node =
      isDirectory
      ? .directory(index: index, expiration: expiration)
      : .file(value, index: index, expiration: expiration)
    insert(node, at: path)
    return tell(
      V2Event(
        action, node.entry(at: path), previous: previous, index: index,
        isRefresh: lifetime.isRefresh))
  }

  /// Whether the cluster has members of 3.4, which renew the lifetime of a directory and leave its index as it was.
  /// Those of 3.5 fail to (500). Every member has to do the same.
  private var renewsDirectories: Bool {
    let version = value(at: "/0/version")?.split(separator: ".").compactMap { Int($0) } ?? []
    return version.count > 1 && (version[0], version[1]) < (3, 5)
  }

  /// Gives a file a new value and lifetime, or a directory a lifetime.
  private mutating func write(
    _ action: V2Event.Action, _ path: V2Path, over old: V2Node, value: String, lifetime: Lifetime
  ) -> V2Event {
    index &+= 1
    var new = old
    if !lifetime.isRefresh { new.value = value }
    if !old.isDirectory { new.modifiedIndex = index }
    new.expiration = lifetime.expiration
    change(path) { $0 = new }
    var entry = new.entry(at: path)
    entry.modifiedIndex = index
    return tell(
      V2Event(
        action, entry, previous: old.entry(at: path), index: index,
        isRefresh: lifetime.isRefresh))
  }

  /// Removes a node; the event's node says where, by what index, and whether it was a directory.
  mutating func takeOut(
    _ action: V2Event.Action, _ path: V2Path, _ old: V2Node
  ) -> V2Event {
    index &+= 1
    remove(old, at: path)
    let gone = V2Entry(
      key: path.text, value: nil, isDirectory: old.isDirectory, expiration: nil, nodes: nil,
      modifiedIndex: index, createdIndex: old.createdIndex)
    return tell(
      V2Event(action, gone, previous: old.entry(at: path), index: index, removed: old))
  }

  private mutating func tell(_ event: V2Event) -> V2Event {
    var event = event
    if let now = local.now {
      event.node.countTTL(now)
      event.previous?.countTTL(now)
    }
    local.events.append(event)
    history.append(event)
    return event
  }

  private func compare(
    _ node: V2Node, value: String, modifiedIndex: UInt64
  ) throws(V2Error) {
    let sameValue = value.isEmpty || value.utf8.elementsEqual(node.value.utf8)
    let sameIndex = modifiedIndex == 0 || modifiedIndex == node.modifiedIndex
    if sameValue, sameIndex { return }
    let values = "[\(value) != \(node.value)]"
    let indices = "[\(modifiedIndex) != \(node.modifiedIndex)]"
    let cause = sameValue ? indices : sameIndex ? values : "\(values) \(indices)"
    throw V2Error(.testFailed, cause, index: index)
  }
}
