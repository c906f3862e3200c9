import Bytes
import COpenSSL

/// One end of a TLS connection: bytes of the other side in, bytes for it out, and the plain ones between. It
/// knows no socket and no clock of its own. Unsafe: OpenSSL's connection is a pointer, freed with this object,
/// whose callbacks get this object unretained while it lives.
final class TLSSession: @unchecked Sendable {
  // @unchecked: used by one channel on one loop, and by the next after it moved.

  enum Role: Sendable {
    case server
    /// - Parameter host: what the other side's certificate has to be valid for.
    case client(host: String)
  }

  /// What came of an operation.
  enum Step: Equatable {
    case done
    /// More has to come from the other side.
    case wantsInput
    case failed(String)
  }

  /// What came of reading.
  enum Reading: Equatable {
    case bytes(Int)
    case wantsInput
    /// The other side said that it sends no more.
    case ended
    case failed(String)
  }

  let context: TLSContext
  let role: Role
  private let ssl: OpaquePointer
  /// What arrived and was not used; `position` bytes of the first were.
  private var input: [Bytes] = []
  private var position = 0
  private var output = ByteWriter(capacity: 0)
  /// Why the other side's certificate was not taken.
  private var refusal: String?
  /// Seconds since 1970, for certificates.
  private let now: Int64
  /// The certificate of the other side, once it was verified or taken without.
  private(set) var peer: CertificateFacts?
  /// Of that certificate, and of every one that was shown.
  private(set) var peerSerials: [String] = []

  /// - Parameter now: seconds since 1970.
  /// - Throws: `TLSFailure` when a server has no certificate, or memory is short.
  init(_ context: TLSContext, _ role: Role, now: Int64) throws(TLSFailure) {
    self.context = context
    self.role = role
    self.now = now
    let base: OpaquePointer?
    switch role {
    case .server: base = context.server
    case .client: base = context.client
    }
    guard let base else { throw TLSFailure("tls: no certificates configured") }
    guard let ssl = SSL_new(base), let bio = BIO_new(Self.transport) else {
      throw TLSFailure("tls: out of memory")
    }
    self.ssl = ssl
    BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(bio, 1)
    SSL_set_bio(ssl, bio, bio)
    SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    switch role {
    case .server: SSL_set_accept_state(ssl)
    case .client(let host):
      SSL_set_connect_state(ssl)
      if AddressName.isName(host) { _ = cossl_set_host_name(ssl, host) }
    }
  }

  deinit { SSL_free(ssl) }

  // MARK: the side of the network

  /// Takes what arrived.
  func receive(_ bytes: Bytes) { if !bytes.isEmpty { input.append(bytes) } }

  /// Bytes that arrived and were not looked at.
  var unreadBytes: Int { input.reduce(-position) { $0 + $1.count } }

  /// Whether anything has arrived that was not read, be it a part of a record.
  var hasInput: Bool { !input.isEmpty || SSL_has_pending(ssl) == 1 }

  /// What has to be sent; `nil` for nothing.
  func takeOutput() -> Bytes? {
    guard output.count > 0 else { return nil }
    var whole = ByteWriter(capacity: 0)
    swap(&whole, &output)
    return whole.finish()
  }

  /// The first bytes that arrived, at most `count`.
  func peek(_ count: Int) -> [UInt8] {
    Array(input.joined().dropFirst(position).prefix(count))
  }

  /// What lies in read buffers of a loop is copied, for one that is left.
  func detach() {
    input = input.map { $0.detached() }
  }

  // MARK: the side of the protocol above

  func handshake() -> Step {
    ERR_clear_error()
    let result = SSL_do_handshake(ssl)
    guard result != 1 else {
      keepPeer()
      return .done
    }
    return step(result)
  }

  /// Decrypts into memory.
  func read(_ memory: UnsafeMutableRawBufferPointer) -> Reading {
    ERR_clear_error()
    var count = 0
    let result = SSL_read_ex(ssl, memory.baseAddress, memory.count, &count)
    if result == 1 { return .bytes(count) }
    if SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN { return .ended }
    switch step(result) {
    case .done, .wantsInput: return .wantsInput
    case .failed(let reason): return .failed(reason)
    }
  }

  /// Encrypts memory, at most a record of it.
  /// - Returns: bytes taken; `nil` when it failed.
  func write(_ memory: UnsafeRawBufferPointer) -> Int? {
    guard memory.count > 0 else { return 0 }
    output.reserve(memory.count + Self.recordOverhead)  // checked: both are small
    ERR_clear_error()
    var count = 0
    return SSL_write_ex(ssl, memory.baseAddress, memory.count, &count) == 1 ? count : nil
  }

  /// Bytes that a record adds, at most.
  /// - Source: RFC 5246 §6.2.3, with room.
  private static let recordOverhead = 128

  /// Says that nothing more is sent.
  func close() {
    ERR_clear_error()
    SSL_shutdown(ssl)
  }

  private func step(_ result: Int32) -> Step {
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ: return .wantsInput
    case SSL_ERROR_WANT_WRITE: return .wantsInput
    default:
      let text = HandshakeProblem.text()
      return .failed(refusal ?? text)
    }
  }

  // MARK: who the other side is

  /// The name that a client asked for; empty for none.
  var serverName: String {
    SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) } ?? ""
  }

  /// What was agreed upon, as ALPN names it; empty for nothing.
  var protocolName: String {
    var start: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    SSL_get0_alpn_selected(ssl, &start, &count)
    // checked: at most 255
    return String(decoding: UnsafeBufferPointer(start: start, count: Int(count)), as: UTF8.self)
  }

  /// `TLSv1.3`.
  var version: String { String(cString: SSL_get_version(ssl)) }

  private func keepPeer() {
    guard let certificate = SSL_get1_peer_certificate(ssl) else { return }
    let facts = CertificateFacts(certificate)
    X509_free(certificate)
    peer = facts
    peerSerials = [facts.serial]
    let chain = SSL_get_peer_cert_chain(ssl)
    for at in 0..<max(0, chain.map { cossl_count_certificates($0) } ?? 0) {
      guard let one = cossl_certificate_at(chain, at) else { continue }
      peerSerials.append(CertificateFacts.serial(X509_get0_serialNumber(one)))
    }
  }

  /// The serial number of the first certificate shown that is on the list.
  var revokedSerial: String? { peerSerials.first(where: context.revoked.contains) }

  /// OpenSSL asks whether the other side is who it has to be.
  static let verifies: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = {
    store, _ in
    guard let store,
      let connection = X509_STORE_CTX_get_ex_data(
        store, SSL_get_ex_data_X509_STORE_CTX_idx()),
      let owner = SSL_get_ex_data(OpaquePointer(connection), 0)
    else { return 0 }
    return Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue().verify(store) ? 1 : 0
  }

  /// - Source: Go `tls.CertificateVerificationError`.
  private static let unverified = "tls: failed to verify certificate: "

  private func verify(_ store: OpaquePointer) -> Bool {
    let settings = context.settings
    if case .client = role, settings.insecureSkipVerify || settings.isSelfSigned { return true }
    guard X509_verify_cert(store) == 1 else {
      let code = X509_STORE_CTX_get_error(store)
      let facts = X509_STORE_CTX_get_current_cert(store).map { CertificateFacts($0) }
      refusal = Self.unverified + CertificateProblem.text(code, facts, now: now)
      return false
    }
    guard let leaf = X509_STORE_CTX_get0_cert(store) else { return false }
    switch role {
    case .client(let host): refusal = problem(leaf, host: host)
    case .server: refusal = problem(leaf)
    }
    guard refusal != nil else { return true }
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
    return false
  }

  private func problem(_ leaf: OpaquePointer, host: String) -> String? {
    let wanted = context.settings.serverName.isEmpty ? host : context.settings.serverName
    if CertificateProblem.isValid(leaf, for: wanted) { return nil }
    return Self.unverified + CertificateProblem.mismatch(CertificateFacts(leaf), wanted)
  }

  private func problem(_ leaf: OpaquePointer) -> String? {
    let settings = context.settings
    let names = settings.allowedCommonNames
    let hosts = settings.allowedHostNames
    if !names.isEmpty, !names.contains(CertificateFacts(leaf).commonName) {
      return "client certificate authentication failed"
    }
    if !hosts.isEmpty, !hosts.contains(where: { CertificateProblem.isValid(leaf, for: $0) }) {
      return "client certificate authentication failed"
    }
    return nil
  }

  // MARK: OpenSSL's transport

  /// OpenSSL reads from `input` and writes to `output`, without buffers between.
  ///
  /// nonisolated(unsafe): written once, before anyone reads it, and never changed.
  private nonisolated(unsafe) static let transport: OpaquePointer? = {
    let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "slices")
    BIO_meth_set_read(method) { bio, memory, count in
      guard let session = session(bio), let memory, count > 0 else { return -1 }
      return session.fill(UnsafeMutableRawBufferPointer(start: memory, count: Int(count)), bio)
    }
    BIO_meth_set_write(method) { bio, memory, count in
      guard let session = session(bio), let memory, count > 0 else { return -1 }
      session.output.append(UnsafeRawBufferPointer(start: memory, count: Int(count)))
      return count
    }
    BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return method
  }()

  private static func session(_ bio: OpaquePointer?) -> TLSSession? {
    BIO_get_data(bio).map { Unmanaged<TLSSession>.fromOpaque($0).takeUnretainedValue() }
  }

  private func fill(_ memory: UnsafeMutableRawBufferPointer, _ bio: OpaquePointer?) -> Int32 {
    cossl_clear_retry(bio)
    guard let first = input.first else {
      cossl_set_retry_read(bio)
      return -1
    }
    // checked: `position` is inside of the first, and what is copied fits on both sides
    let count = min(memory.count, first.count - position)
    first.withUnsafeBytes { bytes in
      memory.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)]))
    }
    position += count
    if position == first.count {
      input.removeFirst()
      position = 0
    }
    return Int32(clamping: count)
  }
}
