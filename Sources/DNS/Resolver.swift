import CAres

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Questions to the DNS servers of the system, or to others, that the caller waits for: for what is asked once, before
/// anything is served. By c-ares, as the system's resolver has no SRV records.
///
/// Unsafe for c-ares' handles and lists; nothing of them leaves this file.
package struct Resolver: Sendable {
  /// `address:port` of who is asked; `nil`: those of the system.
  private let servers: String?
  private let deadline: Duration
  /// Of one attempt.
  private let patience: Duration

  /// - Parameters:
  ///   - servers: `address:port,…`; `nil`: those of /etc/resolv.conf.
  ///   - patience: how long a server may take, twice in turn, as Go's resolver waits.
  ///   - deadline: for everything together.
  package init(
    servers: String? = nil, patience: Duration = .seconds(5), deadline: Duration = .seconds(20)
  ) {
    self.servers = servers
    self.patience = patience
    self.deadline = deadline
  }

  /// The SRV records of a name in the order in which they are to be tried.
  package func services(of name: String) throws(DNSFailure) -> [ServiceRecord] {
    let end = ContinuousClock.now + deadline
    var records: [ServiceRecord]
    do throws(DNSFailure) { records = try ask(name, until: end) } catch {
      guard error.reason == .refused else { throw error }
      // Servers that answer, but not the question, count for c-ares as ones that are not there.
      records = try ask(name, until: end, flags: Int32(ARES_FLAG_NOCHECKRESP))
    }
    var random = SystemRandomNumberGenerator()
    return ServiceRecord.ordered(records, using: &random)
  }

  private func ask(
    _ name: String, until end: ContinuousClock.Instant, flags: Int32 = 0
  ) throws(DNSFailure) -> [ServiceRecord] {
    let question = try Question(name, servers, patience, flags: flags)
    defer { question.close() }
    question.ask()
    question.wait(until: end)
    return try question.records()
  }
}

/// One question, used by one thread.
private final class Question {
  private let name: String
  private let server: String
  private let channel: ares_channel
  private var answer: Result<[ServiceRecord], DNSFailure>?

  /// c-ares gives a name at most so many sockets.
  private static let sockets = 16

  init(_ name: String, _ servers: String?, _ patience: Duration, flags: Int32) throws(DNSFailure) {
    self.name = name
    var options = ares_options()
    options.timeout = Int32(patience / .milliseconds(1))
    options.tries = 2
    options.flags = flags
    var opened: ares_channel?
    let given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS
    var status = ares_library_init(ARES_LIB_INIT_ALL)
    if status == ARES_SUCCESS { status = ares_init_options(&opened, &options, given) }
    guard status == ARES_SUCCESS, let opened else {
      throw DNSFailure(name: name, reason: .other(String(cString: ares_strerror(status))))
    }
    if let servers { status = ares_set_servers_ports_csv(opened, servers) }
    guard status == ARES_SUCCESS else {
      ares_destroy(opened)
      throw DNSFailure(name: name, reason: .other(String(cString: ares_strerror(status))))
    }
    channel = opened
    server = Self.firstServer(opened)
  }

  func close() { ares_destroy(channel) }

  func ask() {
    let classInternet: Int32 = 1
    let typeSRV: Int32 = 33
    ares_search(
      channel, name, classInternet, typeSRV,
      { context, status, _, bytes, count in
        let question = Unmanaged<Question>.fromOpaque(context!).takeUnretainedValue()
        // The channel is destroyed before its answer came.
        guard status != ARES_EDESTRUCTION else { return }
        question.took(status, bytes, count)
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// Gives c-ares its sockets and its time until there is an answer.
  func wait(until end: ContinuousClock.Instant) {
    var handles = [ares_socket_t](repeating: 0, count: Self.sockets)
    while answer == nil {
      let left = end - .now
      guard left > .zero else {
        answer = .failure(failure(.timeout))
        return
      }
      let mask = UInt32(
        bitPattern: ares_getsock(channel, &handles, Int32(Self.sockets)))
      var entries: [pollfd] = []
      for index in 0..<Self.sockets {
        // ARES_GETSOCK_READABLE and _WRITABLE.
        let reads = mask & (1 << index) != 0
        let writes = mask & (1 << (index + Self.sockets)) != 0
        guard reads || writes else { continue }
        let events = (reads ? Int16(POLLIN) : 0) | (writes ? Int16(POLLOUT) : 0)
        entries.append(pollfd(fd: handles[index], events: events, revents: 0))
      }
      guard poll(&entries, nfds_t(entries.count), wake(left)) >= 0 || errno == EINTR else {
        answer = .failure(failure(.other(String(cString: strerror(errno)))))
        return
      }
      process(entries)
    }
  }

  /// Milliseconds until c-ares or the deadline wants to be looked at.
  private func wake(_ left: Duration) -> Int32 {
    var limit = timeval(tv_sec: Int(left.components.seconds), tv_usec: 1000)
    var space = timeval()
    let next = ares_timeout(channel, &limit, &space)!.pointee
    return Int32(clamping: next.tv_sec * 1000 + Int(next.tv_usec) / 1000 + 1)
  }

  private func process(_ entries: [pollfd]) {
    var isQuiet = true
    for entry in entries where entry.revents != 0 {
      isQuiet = false
      let bad = entry.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
      let reads = bad || entry.revents & Int16(POLLIN) != 0
      let writes = entry.revents & Int16(POLLOUT) != 0
      ares_process_fd(
        channel, reads ? entry.fd : ARES_SOCKET_BAD, writes ? entry.fd : ARES_SOCKET_BAD)
    }
    if isQuiet { ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD) }
  }

  func records() throws(DNSFailure) -> [ServiceRecord] {
    guard let answer else { throw failure(.timeout) }
    return try answer.get()
  }

  private func failure(_ reason: DNSFailure.Reason) -> DNSFailure {
    DNSFailure(name: name, server: server, reason: reason)
  }

  private func took(_ status: Int32, _ bytes: UnsafeMutablePointer<UInt8>?, _ count: Int32) {
    guard answer == nil else { return }
    guard status == ARES_SUCCESS, let bytes else {
      answer = .failure(failure(Self.reason(status)))
      return
    }
    var list: UnsafeMutablePointer<ares_srv_reply>?
    let parsed = ares_parse_srv_reply(bytes, count, &list)
    guard parsed == ARES_SUCCESS else {
      answer = .failure(failure(Self.reason(parsed)))
      return
    }
    defer { ares_free_data(list) }
    answer = records(list)
  }

  private func records(
    _ list: UnsafeMutablePointer<ares_srv_reply>?
  ) -> Result<[ServiceRecord], DNSFailure> {
    var records: [ServiceRecord] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.next
      var target = String(cString: entry.host)
      if target.hasSuffix(".") { target.removeLast() }
      // Decidedly not offered (RFC 2782).
      if target.isEmpty { continue }
      guard HostName.isValid(target) else { return .failure(failure(.invalidNames)) }
      records.append(
        ServiceRecord(
          target: target, port: entry.port, priority: entry.priority, weight: entry.weight))
    }
    return records.isEmpty ? .failure(failure(.notFound)) : .success(records)
  }

  private static func reason(_ status: Int32) -> DNSFailure.Reason {
    switch status {
    case ARES_ENOTFOUND, ARES_ENODATA: .notFound
    case ARES_ETIMEOUT: .timeout
    case ARES_ECONNREFUSED: .refused
    case ARES_ESERVFAIL, ARES_EFORMERR, ARES_ENOTIMP,
      ARES_EREFUSED, ARES_EBADRESP:
      .misbehaves
    default: .other(String(cString: ares_strerror(status)))
    }
  }

  private static func firstServer(_ channel: ares_channel) -> String {
    var list: UnsafeMutablePointer<ares_addr_port_node>?
    guard ares_get_servers_ports(channel, &list) == ARES_SUCCESS else { return "" }
    defer { ares_free_data(list) }
    guard var first = list?.pointee else { return "" }
    let length = 64
    let address = withUnsafeTemporaryAllocation(of: CChar.self, capacity: length) { text in
      ares_inet_ntop(first.family, &first.addr, text.baseAddress, ares_socklen_t(length))
        .map { String(cString: $0) }
    }
    guard let address else { return "" }
    let port = first.udp_port == 0 ? 53 : first.udp_port
    return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
  }
}
