import Bytes
import CCrypt
import EtcdAPI
import Protobuf

/// bcrypt as Go etcd stores it: `$2a$COST$` and 53 characters of salt and digest.
///
/// libcrypt gives `$2a$` a guard against hashes of an old faulty implementation and `$2b$` the plain
/// algorithm, which is what Go calls `$2a$`; so the letter is exchanged on the way in and out.
enum PasswordHash {
  /// Bytes that bcrypt looks at.
  static let lengthMax = 72
  private static let hashLength = 60
  /// `$2a$10$` and 22 characters of salt.
  private static let settingLength = 29
  private static let saltBytes = 16

  /// - Throws: when a hash of the password could not tell it from another.
  static func check(_ password: String) throws(EtcdError) {
    guard password.utf8.count <= lengthMax else { throw .passwordTooLong }
    guard !password.utf8.contains(0) else {
      throw EtcdError(.invalidArgument, "etcdserver: password contains a zero byte")
    }
  }

  /// A new hash with a random salt. Takes long on purpose: 50 ms or more at cost 10.
  /// - Returns: `nil` for a password that `check` refuses.
  static func make(_ password: String, cost: Int) -> Bytes? {
    do throws(EtcdError) { try check(password) } catch { return nil }
    var generator = SystemRandomNumberGenerator()
    let salt = (0..<saltBytes).map { _ in
      CChar(bitPattern: UInt8.random(in: 0...255, using: &generator))
    }
    var setting = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
    guard
      crypt_gensalt_rn(
        "$2b$", UInt(cost), salt, Int32(salt.count), &setting, Int32(setting.count)) != nil,
      var hash = digest(password, setting)
    else { return nil }
    hash[2] = UInt8(ascii: "a")
    return Bytes(hash)
  }

  /// Whether a password is the one that was hashed. Takes as long as `make` did.
  static func matches(_ password: String, _ hash: Bytes) -> Bool {
    guard hash.count == hashLength, hash.hasPrefix("$2"), hash[3] == UInt8(ascii: "$"),
      !password.utf8.contains(0)
    else { return false }
    var setting = hash.prefix(settingLength).map { CChar(bitPattern: $0) } + [0]
    setting[2] = CChar(bitPattern: UInt8(ascii: "b"))
    guard let made = digest(password, setting), made.count == hashLength else { return false }
    // As long for a wrong digest as for a right one.
    var difference: UInt8 = 0
    for position in 0..<hashLength where position != 2 {
      difference |= made[position] ^ hash[position]
    }
    return difference == 0
  }

  private static func digest(_ password: String, _ setting: [CChar]) -> [UInt8]? {
    // What lies behind the limit does not count, and libcrypt refuses very long phrases.
    let phrase = password.utf8.prefix(lengthMax).map { CChar(bitPattern: $0) } + [0]
    // The structure is 32 KiB and must be zero at first.
    let size = MemoryLayout<crypt_data>.size
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: size, alignment: MemoryLayout<crypt_data>.alignment)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    guard let text = crypt_rn(phrase, setting, memory, Int32(size)) else { return nil }
    return Array(String(cString: text).utf8)
  }
}
