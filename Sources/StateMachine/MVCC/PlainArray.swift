/// A growing array of plain values, read through pointers: threads that go through the same elements
/// touch no reference count.
///
/// Unsafe: filled by one owner, then only read; the pointers are valid while the object is.
final class PlainArray<Element: BitwiseCopyable>: @unchecked Sendable {
  // @unchecked: see above.
  private(set) var base: UnsafeMutablePointer<Element>
  private(set) var count = 0
  private var capacity: Int

  init(capacity: Int) {
    self.capacity = Swift.max(capacity, 16)
    base = .allocate(capacity: self.capacity)
  }

  deinit { base.deallocate() }

  func append(_ element: Element) {
    if count == capacity { grow() }
    base[count] = element
    count += 1
  }

  private func grow() {
    capacity *= 2
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    larger.update(from: base, count: count)
    base.deallocate()
    base = larger
  }

  subscript(position: Int) -> Element {
    precondition(position >= 0 && position < count, "element \(position) of \(count)")
    return base[position]
  }

  /// The elements, to be read and reordered.
  var elements: UnsafeMutableBufferPointer<Element> {
    UnsafeMutableBufferPointer(start: base, count: count)
  }
}
