import EtcdConfig
import EventLoops
import FileSystem
import GoText
import MemberStorage

/// What is looked at and done to a directory before a member runs on it.
extension Bootstrap {
  /// Rewrites the database when that gives back enough.
  /// - Source: etcd `maybeDefragBackend`.
  static func defragment(
    _ opened: inout MemberDirectory.Opened, _ directory: MemberDirectory, _ config: ServerConfig,
    _ logger: Logger
  ) throws(StorageError) {
    let megabytes = config.bootstrapDefragThresholdMegabytes
    guard megabytes > 0 else { return }
    let (product, overflowed) = megabytes.multipliedReportingOverflow(by: 1 << 20)
    let threshold = overflowed ? UInt64.max : product
    let sizes = try opened.databaseSizes()
    guard UInt64(sizes.total - sizes.inUse) >= threshold else {
      let (total, inUse) = (UInt64(sizes.total), UInt64(sizes.inUse))
      logger.info(
        "Skipping defragmentation",
        [
          LogField("current-db-size-bytes", .uint(total)),
          LogField("current-db-size", .string(HumanSize.text(total))),
          LogField("current-db-size-in-use-bytes", .uint(inUse)),
          LogField("current-db-size-in-use", .string(HumanSize.text(inUse))),
          LogField("experimental-bootstrap-defrag-threshold-bytes", .uint(threshold)),
          LogField("experimental-bootstrap-defrag-threshold", .string(HumanSize.text(threshold))),
        ])
      return
    }
    let start = ContinuousClock.now
    try opened.defragment()
    logger.info(
      "finished defragmenting directory",
      [
        LogField("path", .string(directory.databasePath)),
        LogField("current-db-size-bytes-diff", .int(opened.backend.sizes.total - sizes.total)),
        LogField("current-db-size-bytes", .int(opened.backend.sizes.total)),
        LogField("took", .duration(ContinuousClock.now - start)),
      ])
  }

  /// - Source: etcd `fileutil.CheckDirPermission`.
  static func warnOfPermissions(_ directory: String, _ logger: Logger) {
    guard let mode = RealFileSystem().modeText(directory), mode != "drwx------" else { return }
    logger.warn(
      "check file permission",
      [
        LogField(
          "error",
          .string(
            "directory \"\(directory)\" exist, but the permission is \"\(mode)\". The recommended "
              + "permission is \"-rwx------\" to prevent possible unprivileged access to the data"))
      ])
  }

  /// Names what does not belong into the directory of a member.
  /// - Throws: when a proxy of etcd 3.5 or older kept its state there too.
  /// - Source: etcd `identifyDataDirOrDie`.
  static func warnOfStrangers(
    _ directory: MemberDirectory, _ logger: Logger
  ) throws(StorageError) {
    let path = directory.dataDirectory
    let names: [String]
    do throws(FileError) {
      guard try directory.fileSystem.kind(path) != nil else { return }
      names = try directory.fileSystem.list(path)
    } catch { throw StorageError("failed to list data directory: \(error.description)") }
    for name in names where name != "member" && name != "proxy" {
      logger.warn(
        "found invalid file under data directory",
        [
          LogField("filename", .string(LogText.shortened(name))),
          LogField("data-dir", .string(path)),
        ])
    }
    if names.contains("member"), names.contains("proxy") {
      throw StorageError("invalid datadir; both member and proxy directories exist")
    }
  }
}
