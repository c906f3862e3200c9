import Platform

/// Series about the process as the Prometheus clients name them, read when the page is made. Where there
/// is no /proc they are left out.
///
/// - Source: Prometheus client_golang `collectors.NewProcessCollector`; etcd `os_fd_*`.
public enum ProcessMetrics {
  /// Registers `process_*` and `os_fd_*`.
  public static func register(in registry: MetricsRegistry) {
    registry.counter(
      "process_cpu_seconds_total", "Total user and system CPU time spent in seconds."
    ) { stat.map { $0.cpuSeconds } }
    registry.gauge("process_resident_memory_bytes", "Resident memory size in bytes.") {
      stat.map { $0.residentBytes }
    }
    registry.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.") {
      stat.map { $0.virtualBytes }
    }
    registry.gauge(
      "process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes."
    ) { limit("Max address space") }
    registry.gauge(
      "process_start_time_seconds", "Start time of the process since unix epoch in seconds."
    ) { stat.flatMap { $0.startSeconds } }
    registry.gauge("process_open_fds", "Number of open file descriptors.") { openDescriptors }
    registry.gauge("process_max_fds", "Maximum number of open file descriptors.") {
      limit("Max open files")
    }
    registry.gauge("os_fd_used", "The number of used file descriptors.") { openDescriptors }
    registry.gauge("os_fd_limit", "The file descriptor limit.") { limit("Max open files") }
    registry.counter(
      "process_network_receive_bytes_total",
      "Number of bytes received by the process over the network."
    ) { network(column: 0) }
    registry.counter(
      "process_network_transmit_bytes_total",
      "Number of bytes sent by the process over the network."
    ) { network(column: 8) }
  }

  // MARK: /proc

  private struct Stat {
    let cpuSeconds: Double
    let virtualBytes: Double
    let residentBytes: Double
    let startSeconds: Double?
  }

  /// Fields behind the name, which may hold anything, parentheses included.
  /// - Source: proc(5), /proc/PID/stat.
  private static var stat: Stat? {
    guard let text = SystemFiles.text(of: "/proc/self/stat"), let end = text.lastIndex(of: ")")
    else { return nil }
    let fields = text[text.index(after: end)...].split(separator: " ")
    // utime 14, stime 15, starttime 22, vsize 23, rss 24, counted from 1; the first here is number 3.
    func number(_ position: Int) -> Double? {
      fields.indices.contains(position - 3) ? Double(fields[position - 3]) : nil
    }
    guard let user = number(14), let system = number(15), let start = number(22),
      let virtual = number(23), let resident = number(24)
    else { return nil }
    let ticks = Double(Machine.clockTicks)
    return Stat(
      cpuSeconds: (user + system) / ticks, virtualBytes: virtual,
      residentBytes: resident * Double(Machine.pageBytes),
      startSeconds: bootSeconds.map { $0 + start / ticks })
  }

  private static var bootSeconds: Double? {
    SystemFiles.text(of: "/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
      .flatMap { Double($0.dropFirst(6)) }
  }

  /// A soft limit; no limit is the largest number, as Go's collector says it.
  private static func limit(_ name: String) -> Double? {
    guard
      let line = SystemFiles.text(of: "/proc/self/limits")?.split(separator: "\n").first(where: {
        $0.hasPrefix(name)
      }),
      let soft = line.dropFirst(name.count).split(separator: " ").first
    else { return nil }
    return soft == "unlimited" ? Double(UInt64.max) : Double(soft)
  }

  private static var openDescriptors: Double? {
    guard let names = SystemFiles.names(in: "/proc/self/fd") else { return nil }
    // Itself, its parent, and the descriptor that lists them.
    return Double(max(names.count - 3, 0))
  }

  /// A column of all interfaces together: 0 = bytes received, 8 = bytes sent.
  private static func network(column: Int) -> Double? {
    guard let text = SystemFiles.text(of: "/proc/self/net/dev") else { return nil }
    var total = 0.0
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let fields = line[line.index(after: colon)...].split(separator: " ")
      if fields.count > column { total += Double(fields[column]) ?? 0 }
    }
    return total
  }
}
