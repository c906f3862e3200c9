import Bytes
import EtcdAPI
import Testing

@testable import EtcdServer

@Suite struct PasswordTests {
  /// Hashes made by Go's bcrypt, and by the authors of the algorithm.
  @Test(arguments: [
    ("allmine", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"),
    ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
    ("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    ("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
  ])
  func knowsHashesOfOthers(password: String, hash: String) {
    #expect(PasswordHash.matches(password, Bytes(hash)))
    #expect(!PasswordHash.matches(password + "x", Bytes(hash)))
    #expect(!PasswordHash.matches(password + "\0", Bytes(hash)))
    #expect(!PasswordHash.matches(password, Bytes(hash + "x")))
  }

  @Test func makesHashesOfTheSameForm() throws {
    let long = String(repeating: "\u{e9}", count: 36)
    for password in ["", "secret", long] {
      let hash = try #require(PasswordHash.make(password, cost: 4))
      #expect(hash.count == 60 && hash.hasPrefix("$2a$04$"))
      #expect(PasswordHash.matches(password, hash))
      #expect(try #require(PasswordHash.make(password, cost: 4)) != hash)
    }
    #expect(PasswordHash.make(long + "x", cost: 4) == nil)
    #expect(throws: EtcdError.passwordTooLong) { try PasswordHash.check(long + "x") }
    #expect(PasswordHash.make("a\0b", cost: 4) == nil)
  }

  @Test(arguments: [
    "", "$2a$", "no hash", "$2a$99$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4",
  ])
  func refusesWhatIsNoHash(text: String) {
    #expect(!PasswordHash.matches("", Bytes(text)))
    #expect(!PasswordHash.matches("x", Bytes(text)))
  }
}
