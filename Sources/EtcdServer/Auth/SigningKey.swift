import Bytes
import COpenSSL

/// A key to sign with, or only to verify. Unsafe: OpenSSL's objects are pointers, freed with this
/// object; none escapes.
final class SigningKey: @unchecked Sendable {
  // @unchecked: immutable after init; OpenSSL lets threads share a key that nobody changes.

  /// Why a key cannot be used, in etcd's words where it has some.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private enum Material {
    case secret(Bytes)
    case pair(OpaquePointer, canSign: Bool)
  }

  let method: SigningMethod
  private let material: Material

  /// - Parameters: contents of the key files, `nil` when not given. HMAC takes the private one as it
  ///   is; the others are PEM, and a public key or certificate alone can verify.
  init(_ method: SigningMethod, publicKey: Bytes?, privateKey: Bytes?) throws(Failure) {
    self.method = method
    if method.family == .hmac {
      guard let privateKey, !privateKey.isEmpty else {
        throw Failure(description: "auth: missing key data")
      }
      material = .secret(privateKey)
      return
    }
    let own = try privateKey.map { bytes throws(Failure) in try Self.readPrivate(bytes) }
    let other: OpaquePointer?
    do throws(Failure) {
      other = try publicKey.map { bytes throws(Failure) in try Self.readPublic(bytes) }
    } catch {
      EVP_PKEY_free(own)
      throw error
    }
    guard let key = own ?? other else { throw Failure(description: "auth: missing key data") }
    var problem: String?
    if let own, let other, EVP_PKEY_eq(own, other) != 1 {
      problem = "auth: private and public keys don't match"
    } else if EVP_PKEY_is_a(key, method.keyType) != 1 {
      problem = "auth: the key is not of type \(method.keyType)"
    } else if method.family == .ecdsa, EVP_PKEY_get_bits(key) != Int32(method.curveBits) {
      problem = "auth: \(method.name) needs a curve of \(method.curveBits) bits"
    }
    if own != nil { EVP_PKEY_free(other) }
    if let problem {
      EVP_PKEY_free(key)
      throw Failure(description: problem)
    }
    material = .pair(key, canSign: own != nil)
  }

  deinit { if case .pair(let key, _) = material { EVP_PKEY_free(key) } }

  var canSign: Bool {
    if case .pair(_, let canSign) = material { return canSign }
    return true
  }

  // MARK: Reading

  private static func readPrivate(_ pem: Bytes) throws(Failure) -> OpaquePointer {
    // Without this OpenSSL would ask the terminal for the password of an encrypted key.
    let key = withInput(pem) { PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in 0 }, nil) }
    guard let key else { throw Failure(description: "auth: the private key is not readable") }
    return key
  }

  private static func readPublic(_ pem: Bytes) throws(Failure) -> OpaquePointer {
    if let key = withInput(pem, { PEM_read_bio_PUBKEY($0, nil, { _, _, _, _ in 0 }, nil) }) {
      return key
    }
    let certificate = withInput(pem) { PEM_read_bio_X509($0, nil, { _, _, _, _ in 0 }, nil) }
    defer { X509_free(certificate) }
    guard let certificate, let key = X509_get_pubkey(certificate) else {
      throw Failure(description: "auth: the public key is not readable")
    }
    return key
  }

  private static func withInput(
    _ pem: Bytes, _ body: (OpaquePointer) -> OpaquePointer?
  ) -> OpaquePointer? {
    pem.withUnsafeBytes { memory in
      guard let input = BIO_new_mem_buf(memory.baseAddress, Int32(memory.count)) else {
        return nil
      }
      defer {
        BIO_free(input)
        ERR_clear_error()
      }
      return body(input)
    }
  }

  // MARK: Signing

  /// The signature as tokens carry it; `nil` when the key cannot make one.
  func sign(_ message: Bytes) -> Bytes? {
    switch material {
    case .secret(let secret): return authenticationCode(message, secret)
    case .pair(let key, let canSign):
      guard canSign else { return nil }
      let signature = withContext { context in
        var options: OpaquePointer?
        guard EVP_DigestSignInit(context, &options, method.hash, nil, key) == 1,
          usePadding(options, saltLength: -1)
        else { return nil as Bytes? }
        return message.withUnsafeBytes { input in
          var length = 0
          let start = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
          guard EVP_DigestSign(context, nil, &length, start, input.count) == 1 else { return nil }
          var output = [UInt8](repeating: 0, count: length)
          guard EVP_DigestSign(context, &output, &length, start, input.count) == 1 else {
            return nil
          }
          return Bytes(output.prefix(length))
        }
      }
      return method.family == .ecdsa ? signature.flatMap(joined) : signature
    }
  }

  func verify(_ message: Bytes, _ signature: Bytes) -> Bool {
    switch material {
    case .secret(let secret):
      guard let made = authenticationCode(message, secret), made.count == signature.count else {
        return false
      }
      return made.withUnsafeBytes { a in
        signature.withUnsafeBytes { b in
          CRYPTO_memcmp(a.baseAddress, b.baseAddress, a.count) == 0
        }
      }
    case .pair(let key, _):
      guard let encoded = method.family == .ecdsa ? split(signature) : signature else {
        return false
      }
      return withContext { context in
        var options: OpaquePointer?
        guard EVP_DigestVerifyInit(context, &options, method.hash, nil, key) == 1,
          usePadding(options, saltLength: -2)
        else { return false }
        return message.withUnsafeBytes { input in
          encoded.withUnsafeBytes { signature in
            EVP_DigestVerify(
              context, signature.baseAddress?.assumingMemoryBound(to: UInt8.self), signature.count,
              input.baseAddress?.assumingMemoryBound(to: UInt8.self), input.count) == 1
          }
        }
      }
    }
  }

  private func withContext<R>(_ body: (OpaquePointer?) -> R) -> R {
    let context = EVP_MD_CTX_new()
    defer {
      EVP_MD_CTX_free(context)
      ERR_clear_error()
    }
    return body(context)
  }

  /// - Parameter saltLength: −1 = as long as the hash, −2 = any.
  private func usePadding(_ options: OpaquePointer?, saltLength: Int32) -> Bool {
    guard method.family == .rsaPSS else { return true }
    return EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1
      && EVP_PKEY_CTX_set_rsa_pss_saltlen(options, saltLength) == 1
  }

  private func authenticationCode(_ message: Bytes, _ secret: Bytes) -> Bytes? {
    var output = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var length: UInt32 = 0
    let made = secret.withUnsafeBytes { key in
      message.withUnsafeBytes { input in
        HMAC(
          method.hash, key.baseAddress, Int32(key.count),
          input.baseAddress?.assumingMemoryBound(to: UInt8.self), input.count, &output, &length)
          != nil
      }
    }
    return made ? Bytes(output.prefix(Int(length))) : nil
  }

  // MARK: ECDSA: tokens carry two numbers of fixed width, OpenSSL a DER sequence of them

  private func joined(_ sequence: Bytes) -> Bytes? {
    sequence.withUnsafeBytes { memory in
      var start = memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
      guard let signature = d2i_ECDSA_SIG(nil, &start, memory.count) else { return nil }
      defer { ECDSA_SIG_free(signature) }
      let width = method.coordinateBytes
      var output = [UInt8](repeating: 0, count: 2 * width)
      let written = output.withUnsafeMutableBufferPointer { buffer in
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), buffer.baseAddress, Int32(width)) == width
          && BN_bn2binpad(ECDSA_SIG_get0_s(signature), buffer.baseAddress! + width, Int32(width))
            == width
      }
      return written ? Bytes(output) : nil
    }
  }

  private func split(_ numbers: Bytes) -> Bytes? {
    let width = method.coordinateBytes
    guard numbers.count == 2 * width else { return nil }
    return numbers.withUnsafeBytes { memory in
      let start = memory.baseAddress!.assumingMemoryBound(to: UInt8.self)
      let signature = ECDSA_SIG_new()
      defer { ECDSA_SIG_free(signature) }
      // The signature owns the numbers once it has them.
      guard let r = BN_bin2bn(start, Int32(width), nil),
        let s = BN_bin2bn(start + width, Int32(width), nil),
        ECDSA_SIG_set0(signature, r, s) == 1
      else { return nil }
      var output: UnsafeMutablePointer<UInt8>?
      let length = i2d_ECDSA_SIG(signature, &output)
      guard length > 0, let output else { return nil }
      defer { CRYPTO_free(output, "", 0) }
      return Bytes(UnsafeBufferPointer(start: output, count: Int(length)))
    }
  }
}
