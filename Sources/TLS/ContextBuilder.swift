import Bytes
import COpenSSL

/// Makes OpenSSL's contexts of settings and files. Unsafe: the pointers go to `TLSContext`.
struct ContextBuilder {
  private let settings: TLSSettings
  private let protocols: [String]
  /// What a server shows, and a client that has no other.
  let own: Credential?
  /// What a client shows, when that is another.
  let clientOwn: Credential?
  let authorities: Authorities?

  init(_ settings: TLSSettings, _ files: TLSFiles, _ protocols: [String]) {
    self.settings = settings
    self.protocols = protocols
    own = Credential(files.certificate, files.key)
    clientOwn = Credential(files.clientCertificate, files.clientKey)
    authorities = files.authorities.map(Authorities.init)
  }

  /// - Returns: `nil` without a certificate.
  func server() throws(TLSFailure) -> OpaquePointer? {
    guard let own else { return nil }
    return try make(TLS_server_method()) { context throws(TLSFailure) in
      try Self.show(own, context)
      SSL_CTX_set_alpn_select_cb(context, Self.choosesProtocol, nil)
      guard settings.demandsCertificate else { return }
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
      SSL_CTX_set_cert_verify_callback(context, TLSSession.verifies, nil)
      for authority in authorities?.certificates ?? [] { SSL_CTX_add_client_CA(context, authority) }
    }
  }

  func client() throws(TLSFailure) -> OpaquePointer {
    try make(TLS_client_method()) { context throws(TLSFailure) in
      if let shown = clientOwn ?? own { try Self.show(shown, context) }
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
      SSL_CTX_set_cert_verify_callback(context, TLSSession.verifies, nil)
      guard !protocols.isEmpty else { return }
      let wire = protocols.flatMap { [UInt8(clamping: $0.utf8.count)] + Array($0.utf8) }
      guard SSL_CTX_set_alpn_protos(context, wire, UInt32(wire.count)) == 0 else {
        throw TLSFailure("tls: invalid NextProtos value")
      }
    }
  }

  private func make(
    _ method: OpaquePointer?, _ complete: (OpaquePointer) throws(TLSFailure) -> Void
  ) throws(TLSFailure) -> OpaquePointer {
    ERR_clear_error()
    guard let context = SSL_CTX_new(method) else { throw TLSFailure(HandshakeProblem.text()) }
    do throws(TLSFailure) {
      try configure(context)
      try trust(context)
      try complete(context)
      return context
    } catch {
      SSL_CTX_free(context)
      throw error
    }
  }

  private func configure(_ context: OpaquePointer) throws(TLSFailure) {
    let suites = try CipherSuites.list(settings.cipherSuites)
    var least = settings.leastVersion
    if suites.isEmpty {
      guard settings.mostVersion != .v12 else {
        throw TLSFailure("none of the cipher suites \(settings.cipherSuites) can be spoken")
      }
      least = .v13
    }
    let most = settings.mostVersion.map(Self.number) ?? 0
    // OpenSSL's level 2 would refuse what Go takes, such as SHA-1 in old chains.
    SSL_CTX_set_security_level(context, 1)
    guard cossl_set_versions(context, Self.number(least), most) == 1,
      suites.isEmpty || SSL_CTX_set_cipher_list(context, suites) == 1,
      SSL_CTX_set_ciphersuites(context, CipherSuites.tls13) == 1, cossl_set_groups(context) == 1
    else { throw TLSFailure(HandshakeProblem.text()) }
    // Tickets would let a client in again whose certificate was revoked meanwhile.
    cossl_set_options(context)
    SSL_CTX_set_num_tickets(context, 0)
    cossl_set_modes(context)
  }

  private static func number(_ version: TLSVersion) -> Int32 {
    version == .v12 ? TLS1_2_VERSION : TLS1_3_VERSION
  }

  /// Those who may sign: as in Go, any certificate of the file, a root or not.
  private func trust(_ context: OpaquePointer) throws(TLSFailure) {
    guard let store = SSL_CTX_get_cert_store(context) else { return }
    X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST))
    guard let authorities else {
      SSL_CTX_set_default_verify_paths(context)
      return
    }
    for authority in authorities.certificates { X509_STORE_add_cert(store, authority) }
    guard !authorities.certificates.isEmpty else {
      throw TLSFailure("no certificate found in the CA file \(settings.trustedCAFile)")
    }
    ERR_clear_error()
  }

  /// What the other side gets to see: a certificate, those between it and a root, and the key's signature.
  private static func show(
    _ credential: Credential, _ context: OpaquePointer
  ) throws(TLSFailure) {
    let chain = credential.chain
    guard let leaf = chain.first else {
      throw TLSFailure("tls: failed to find any PEM data in certificate input")
    }
    guard let secret = credential.key else {
      throw TLSFailure("tls: failed to find any PEM data in key input")
    }
    guard X509_check_private_key(leaf, secret) == 1 else {
      let isOther = EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)) != EVP_PKEY_get_base_id(secret)
      ERR_clear_error()
      throw TLSFailure(
        "tls: private key\(isOther ? " type" : "") does not match public key\(isOther ? " type" : "")"
      )
    }
    guard SSL_CTX_use_certificate(context, leaf) == 1,
      SSL_CTX_use_PrivateKey(context, secret) == 1
    else { throw TLSFailure(HandshakeProblem.text()) }
    for between in chain.dropFirst() where cossl_add_chain_certificate(context, between) != 1 {
      throw TLSFailure(HandshakeProblem.text())
    }
  }

  /// HTTP/1.1 for whoever speaks it, so that plain requests of those that offer both are answered; HTTP/2 is
  /// for gRPC, whose clients offer nothing else.
  private static let choosesProtocol: SSL_CTX_alpn_select_cb_func = {
    _, chosen, length, offered, count, _ in
    let all = UnsafeBufferPointer(start: offered, count: Int(count))  // checked: a length in memory
    for wanted in ["http/1.1", "h2"] {
      var at = 0
      while at < all.count {
        let size = Int(all[at])
        // checked: both are below 2^16, and the end is looked at
        let end = at + 1 + size
        guard end <= all.count else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        if all[(at + 1)..<end].elementsEqual(wanted.utf8) {
          chosen?.pointee = offered?.advanced(by: at + 1)
          length?.pointee = UInt8(clamping: size)
          return SSL_TLSEXT_ERR_OK
        }
        at = end
      }
    }
    return SSL_TLSEXT_ERR_NOACK
  }
}
