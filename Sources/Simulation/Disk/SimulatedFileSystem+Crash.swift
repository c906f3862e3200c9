import Raft

/// What a crash leaves.
public enum CrashMode: Sendable, Hashable, CaseIterable {
  /// The process was killed: the page cache is kept, but what was not synced is still not.
  case clean
  /// The power failed, and everything that was not synced is gone.
  case lost
  /// The power failed, and a random part of what was not synced reached the disk.
  case torn
}

extension SimulatedFileSystem {
  /// The disk as the next start finds it. This one stays as it is.
  public func crashed(_ mode: CrashMode, _ random: inout SplitMix64) -> SimulatedFileSystem {
    var copier = Copier(mode: mode, random: random)
    let copy = copier.copy(root)
    random = copier.random
    let next = SimulatedFileSystem(root: copy)
    next.ignoresSync = ignoresSync
    next.misdirectsNextSync = misdirectsNextSync
    next.isFull = isFull
    next.readFailsIn = readFailsIn
    return next
  }

  /// Copies the tree; a node that is reachable by two names stays one node.
  private struct Copier {
    let mode: CrashMode
    var random: SplitMix64
    var files: [ObjectIdentifier: SimulatedInode] = [:]
    var directories: [ObjectIdentifier: SimulatedDirectory] = [:]

    mutating func copy(_ inode: SimulatedInode) -> SimulatedInode {
      if let done = files[ObjectIdentifier(inode)] { return done }
      let copied: SimulatedInode
      switch mode {
      case .clean: copied = SimulatedInode(copying: inode)
      case .lost: copied = SimulatedInode(durable: inode.durable)
      case .torn: copied = SimulatedInode(durable: inode.torn(&random))
      }
      files[ObjectIdentifier(inode)] = copied
      return copied
    }

    mutating func copy(_ directory: SimulatedDirectory) -> SimulatedDirectory {
      if let done = directories[ObjectIdentifier(directory)] { return done }
      let copied: SimulatedDirectory
      switch mode {
      case .clean:
        copied = SimulatedDirectory(
          entries: copy(directory.entries), durable: copy(directory.durable),
          pending: directory.pending.map { change in
            guard case .add(let name, let entry) = change else { return change }
            return .add(name, copy(entry))
          })
      case .lost, .torn:
        let kept = mode == .lost ? 0 : random.below(directory.pending.count + 1)
        let entries = copy(directory.durableEntries(kept: kept))
        copied = SimulatedDirectory(entries: entries, durable: entries, pending: [])
      }
      directories[ObjectIdentifier(directory)] = copied
      return copied
    }

    /// In order of names: the random choices must not depend on hashing.
    private mutating func copy(
      _ entries: [String: SimulatedDirectory.Entry]
    ) -> [String: SimulatedDirectory.Entry] {
      var copied: [String: SimulatedDirectory.Entry] = [:]
      for (name, entry) in entries.sorted(by: { $0.key < $1.key }) { copied[name] = copy(entry) }
      return copied
    }

    private mutating func copy(
      _ entry: SimulatedDirectory.Entry
    ) -> SimulatedDirectory.Entry {
      switch entry {
      case .file(let inode): .file(copy(inode))
      case .directory(let directory): .directory(copy(directory))
      }
    }
  }
}
