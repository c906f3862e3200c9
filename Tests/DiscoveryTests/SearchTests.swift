import EventLoops
import Testing

@testable import Discovery

/// The way of a member through a registry that a test writes.
@Suite struct SearchTests {
  /// Gives prepared answers and keeps what was asked of it.
  private final class Book: Registry {
    let name = "http://book"
    let badEntry = DiscoveryFailure.invalidURL
    var rolls: [Result<Roll, RegistryProblem>]
    var news: [Result<(entry: RegistryEntry?, index: UInt64), RegistryProblem>]
    var entered: [String] = []
    var refusal: RegistryProblem?
    var asked: [UInt64] = []

    init(
      _ rolls: [Result<Roll, RegistryProblem>],
      _ news: [Result<(entry: RegistryEntry?, index: UInt64), RegistryProblem>] = []
    ) {
      self.rolls = rolls
      self.news = news
    }

    func roll() throws(RegistryProblem) -> Roll { try rolls.removeFirst().get() }
    func enter(_ id: String, _ value: String) throws(RegistryProblem) {
      if let refusal { throw refusal }
      entered.append("\(id): \(value)")
    }
    func next(
      after index: UInt64
    ) throws(RegistryProblem) -> (entry: RegistryEntry?, index: UInt64) {
      asked.append(index)
      return try news.removeFirst().get()
    }
  }

  private static let quiet = Logger(targets: [], encoding: .json, level: .error)

  private static func entry(_ number: Int, at index: UInt64? = nil) -> RegistryEntry {
    RegistryEntry(
      id: "id\(number)", value: "m\(number)=http://h\(number):1", index: index ?? UInt64(number))
  }

  private static func roll(_ size: String, _ numbers: [Int]) -> Roll {
    Roll(size: size, entries: numbers.map { entry($0) }, index: 100)
  }

  private static let away = RegistryProblem.away(path: "p", error: "gone", detail: "d")

  private static func run(
    _ book: Book, joins: Bool = true
  ) -> (outcome: Result<String, DiscoveryFailure>, pauses: [Int64]) {
    var pauses: [Int64] = []
    var search = Search(book, id: "id2", logger: quiet) { pauses.append($0.components.seconds) }
    do throws(DiscoveryFailure) {
      let found = joins ? try search.join("m2=http://h2:1") : try search.cluster()
      return (.success(found), pauses)
    } catch { return (.failure(error), pauses) }
  }

  @Test func theLastOneFindsAll() {
    let book = Book([
      .success(Self.roll("3", [3, 1])), .success(Self.roll("3", [3, 2, 1])),
    ])
    #expect(
      Self.run(book).outcome == .success("m1=http://h1:1,m2=http://h2:1,m3=http://h3:1"))
    #expect(book.entered == ["id2: m2=http://h2:1"])
  }

  @Test func theFirstOneWaits() {
    let book = Book(
      [.success(Self.roll("3", [])), .success(Self.roll("3", [2]))],
      [
        .success((nil, 103)), .success((Self.entry(7, at: 105), 105)),
        // Who comes again has come.
        .success((Self.entry(7, at: 106), 106)), .success((Self.entry(8, at: 107), 107)),
      ])
    let (outcome, pauses) = Self.run(book)
    #expect(outcome == .success("m2=http://h2:1,m7=http://h7:1,m8=http://h8:1"))
    #expect(book.asked == [100, 103, 105, 106])
    // A registry that names nobody new again and again is not asked as fast as it answers.
    #expect(pauses == [1, 1])
  }

  @Test func surplusMembersAreTold() {
    #expect(Self.run(Book([.success(Self.roll("2", [1, 3]))])).outcome == .failure(.full))
    // Others were quicker.
    let late = Book([.success(Self.roll("2", [1])), .success(Self.roll("2", [0, 1, 2]))])
    #expect(Self.run(late).outcome == .failure(.full))
    // A proxy needs no place.
    let proxy = Book([.success(Self.roll("2", [1, 3, 4]))])
    #expect(
      Self.run(proxy, joins: false).outcome == .success("m1=http://h1:1,m3=http://h3:1"))
    #expect(proxy.entered.isEmpty)
  }

  @Test(arguments: ["", "0", "-1", "x", "1025", "99999999999999999999", "3 "])
  func badSizes(_ size: String) {
    #expect(Self.run(Book([.success(Self.roll(size, []))])).outcome == .failure(.badSize))
  }

  @Test func entriesThatAreNone() {
    for (value, failure) in [
      ("m1", DiscoveryFailure.invalidURL), ("m1=ftp://h:1", .invalidURL), ("", .duplicateName),
      ("m2=http://h:1", .duplicateName), ("m1=http://h:1,m9=http://h:2", .duplicateName),
    ] {
      let odd = RegistryEntry(id: "id1", value: value, index: 1)
      let roll = Roll(size: "2", entries: [odd, Self.entry(2)], index: 9)
      let book = Book([.success(Self.roll("2", [])), .success(roll)])
      #expect(Self.run(book).outcome == .failure(failure), "\(value)")
    }
  }

  @Test func whoIsThereAlreadyIsADuplicate() {
    let book = Book([.success(Self.roll("3", [2]))])
    book.refusal = .final(.duplicateID)
    #expect(Self.run(book).outcome == .failure(.duplicateID))
  }

  /// Pauses grow to 256 seconds and stay there; nothing is given up.
  @Test func aRegistryThatIsAwayIsAskedAgain() {
    let book = Book(
      Array(repeating: .failure(Self.away), count: 10)
        + [.success(Self.roll("2", [])), .success(Self.roll("2", [2]))],
      [.failure(Self.away)])
    book.rolls += [.failure(Self.away), .success(Self.roll("2", [2, 5]))]
    let (outcome, pauses) = Self.run(book)
    #expect(outcome == .success("m2=http://h2:1,m5=http://h5:1"))
    #expect(pauses == [2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256, 256])
  }

  @Test func whatCannotBeMendedEndsIt() {
    for rolls in [[], [.success(Self.roll("2", []))]] as [[Result<Roll, RegistryProblem>]] {
      let book = Book(rolls + [.failure(.final(.badEndpoint))])
      #expect(Self.run(book).outcome == .failure(.badEndpoint))
    }
  }
}
