import Bytes
import COpenSSL

/// Message digests of OpenSSL. Unsafe: the C interface takes pointers; nothing escapes.
public enum Digest {
  /// SHA-1, 20 bytes: member and cluster ids are made with it.
  public static func sha1(_ bytes: Bytes) -> Bytes { digest(bytes, EVP_sha1(), 20) }

  /// SHA-256, 32 bytes.
  public static func sha256(_ bytes: Bytes) -> Bytes { digest(bytes, EVP_sha256(), 32) }

  private static func digest(_ bytes: Bytes, _ kind: OpaquePointer?, _ size: Int) -> Bytes {
    let storage = ByteStorage.make(capacity: size)
    var written: UInt32 = 0
    let ok = bytes.withUnsafeBytes {
      EVP_Digest($0.baseAddress, $0.count, storage.base, &written, kind, nil)
    }
    precondition(ok == 1 && Int(written) == size, "OpenSSL refused to compute a digest")
    return Bytes(owner: storage, UnsafeRawBufferPointer(start: storage.base, count: size))
  }
}

/// SHA-256 over a stream of pieces.
public final class StreamingSHA256 {
  private let context: OpaquePointer

  public init() {
    context = EVP_MD_CTX_new()!
    precondition(EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, "OpenSSL refused SHA-256")
  }

  deinit { EVP_MD_CTX_free(context) }

  public func update(_ bytes: Bytes) {
    let ok = bytes.withUnsafeBytes { EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    precondition(ok == 1, "OpenSSL refused data of a digest")
  }

  /// The digest; call once.
  public func finish() -> Bytes {
    let storage = ByteStorage.make(capacity: 32)
    var written: UInt32 = 0
    let ok = EVP_DigestFinal_ex(context, storage.base, &written)
    precondition(ok == 1 && written == 32, "OpenSSL refused to end a digest")
    return Bytes(owner: storage, UnsafeRawBufferPointer(start: storage.base, count: 32))
  }
}
