/// Work on all data at once: kept under a name, brought back, begun anew.
extension FleetLife {
  struct Maintenance: Sendable {
    enum Step: Sendable, Equatable {
      /// Members are being killed.
      case ending
      case working
      case starting
    }
    let action: ControlRequest.SnapshotAction
    let name: String
    let ticket: Ticket
    var step: Step
    /// Who ran before, or was frozen for it.
    var running: [Int]
  }

  mutating func maintain(
    _ action: ControlRequest.SnapshotAction, _ name: String, _ ticket: Ticket
  ) throws(DevClusterError) {
    guard jobs.isEmpty && changes.isEmpty else {
      throw DevClusterError("members are being started or changed; try again when that is done")
    }
    let running = members.indices.filter { members[$0].pid != nil }
    maintenance = Maintenance(
      action: action, name: name, ticket: ticket, step: .working, running: running)
    switch action {
    case .save:
      // Frozen all at once: what is copied is what a crash at this moment would leave.
      for place in running where !members[place].isPaused {
        act(place, (try? members[place].setPaused(true)) ?? [])
      }
      maintenance?.running = running.filter { members[$0].isPaused }
      out.append(.files(.save(name)))
    case .load, .reset:
      maintenance?.step = .ending
      for place in running { act(place, members[place].kill()) }
      maintenanceEnded(0)
    }
  }

  private func work(_ maintenance: Maintenance) -> FileWork {
    switch maintenance.action {
    case .save: .save(maintenance.name)
    case .load: .load(maintenance.name)
    case .reset: .reset
    }
  }

  /// Looks whether all have ended.
  mutating func maintenanceEnded(_ now: UInt64) {
    guard let current = maintenance, current.step == .ending,
      !members.contains(where: \.isAlive), phase == .running
    else { return }
    maintenance?.step = .working
    out.append(.files(work(current)))
  }

  mutating func filesDone(_ problem: String?, _ now: UInt64) {
    guard let current = maintenance else { return }
    maintenance = nil
    if current.action == .save {
      for place in current.running { act(place, (try? members[place].setPaused(false)) ?? []) }
    }
    if let problem {
      tell(current.action.rawValue, nil, "\(current.action.rawValue) failed: \(problem)")
      out.append(.answer(current.ticket, Self.refusal(DevClusterError(problem))))
      if current.action == .save { return }
    } else {
      tell(current.action.rawValue, nil, "\(current.action.rawValue) \(current.name)")
    }
    if current.action == .save { return out.append(.answer(current.ticket, Self.done)) }
    startAgain(current, isFailed: problem != nil)
  }

  private mutating func startAgain(_ current: Maintenance, isFailed: Bool) {
    guard phase == .running else { return }
    leader = nil
    if current.action == .reset && !isFailed { forgetHistory() }
    var job = Job(wait: startSeconds)
    for place in members.indices where !members[place].isRemoved && members[place].startsWithCluster
    {
      do throws(DevClusterError) {
        act(place, try members[place].start())
        job.waiting[place] = .spawn
      } catch { job.refusals.append(error.description) }
    }
    if !isFailed { jobs[current.ticket] = job } else { jobs[-2] = job }
  }

  /// Data are gone: all make the cluster anew, and none joins it.
  private mutating func forgetHistory() {
    for place in members.indices {
      members[place].plan.joined = nil
      members[place].plan.isLearner = false
    }
    keepPlan()
  }
}
