/// Carries what belongs to a loop through other threads, which do not touch it: a handler that waits for a
/// thread's answer, an object that work elsewhere is done for.
package struct LoopConfined<Value>: @unchecked Sendable {
  // @unchecked: made on one loop, and used there again.
  package let value: Value
  package init(_ value: Value) { self.value = value }
}
