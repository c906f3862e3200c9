/// Completion of command lines by a shell.
///
/// The scripts hold no knowledge of the commands: they call `NAME __complete =WORD BEFORE…`, where
/// WORD is what stands at the cursor and BEFORE the words in front of it, and get one candidate a
/// line, with a tab and a description.
enum Completion {
  enum Shell: String, CaseIterable, Sendable { case bash, fish, powershell, zsh }

  static let commandName = "__complete"

  /// The commands that make completion work.
  static func commands(_ program: String) -> [Command] {
    var completion = Command(
      "completion", short: "Generate the autocompletion script for the specified shell")
    completion.commands = Shell.allCases.map { shell in
      var command = Command(
        shell.rawValue, short: "Generate the autocompletion script for \(shell.rawValue)")
      command.builtin = .script(shell)
      command.arguments = .exactly(0)
      return command
    }
    return [completion]
  }

  /// Candidates for the word at the cursor.
  /// - Parameter words: what the scripts pass.
  static func candidates(_ words: [String], _ finder: CommandFinder) -> [String] {
    guard let first = words.first, first.hasPrefix("=") else { return [] }
    let word = String(first.dropFirst())
    let before = Array(words.dropFirst())
    let (path, rest) = finder.find(before)
    if let last = before.last, path.reader.takesNext(last) {
      let flag = path.reader.flags.first {
        last == "--\($0.name)" || $0.shorthand.map { "-\($0)" } == last
      }
      return (flag?.choices ?? []).filter { $0.hasPrefix(word) }
    }
    if word.hasPrefix("-") { return flags(path, word) }
    guard path.reader.plainWords(rest).isEmpty, !rest.contains("--") else { return [] }
    return path.command.sortedCommands.filter { $0.isAvailable && $0.name.hasPrefix(word) }
      .map { "\($0.name)\t\($0.short)" }
  }

  private static func flags(_ path: CommandPath, _ word: String) -> [String] {
    var found: [String] = []
    for flag in path.reader.flags.sorted(by: { $0.name < $1.name }) where !flag.isHidden {
      if "--\(flag.name)".hasPrefix(word) { found.append("--\(flag.name)\t\(flag.usage)") }
      if word.count <= 2, let letter = flag.shorthand, "-\(letter)".hasPrefix(word) {
        found.append("-\(letter)\t\(flag.usage)")
      }
    }
    return found
  }

  /// The script for a shell.
  static func script(_ shell: Shell, for program: String) -> String {
    switch shell {
    case .bash: bash(program)
    case .zsh: zsh(program)
    case .fish: fish(program)
    case .powershell: powershell(program)
    }
  }

  private static func bash(_ program: String) -> String {
    """
    # bash completion for \(program): source <(\(program) completion bash)
    _\(program)_complete() {
      local line
      COMPREPLY=()
      while IFS='' read -r line; do
        COMPREPLY+=("${line%%$'\\t'*}")
      done < <("${COMP_WORDS[0]}" \(commandName) "=${COMP_WORDS[COMP_CWORD]}" \\
        "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
    }
    complete -o default -F _\(program)_complete \(program)

    """
  }

  private static func zsh(_ program: String) -> String {
    """
    #compdef \(program)
    # zsh completion for \(program): source <(\(program) completion zsh)
    _\(program)() {
      local line
      local -a candidates
      while IFS='' read -r line; do
        line="${line//:/\\\\:}"
        candidates+=("${line/$'\\t'/:}")
      done < <("${words[1]}" \(commandName) "=${words[CURRENT]}" "${(@)words[2,CURRENT-1]}" 2>/dev/null)
      if (( ${#candidates} )); then
        _describe '\(program)' candidates
      else
        _files
      fi
    }
    # As a file of $fpath this is the function itself when it is first called.
    if [ "${funcstack[1]}" = "_\(program)" ]; then
      _\(program)
    else
      compdef _\(program) \(program)
    fi

    """
  }

  private static func fish(_ program: String) -> String {
    """
    # fish completion for \(program): \(program) completion fish | source
    function __\(program)_complete
      set -l before (commandline -opc)
      set -l word (commandline -ct)
      $before[1] \(commandName) "=$word" $before[2..-1] 2>/dev/null
    end
    complete -c \(program) -a '(__\(program)_complete)'

    """
  }

  private static func powershell(_ program: String) -> String {
    """
    # PowerShell completion for \(program): \(program) completion powershell | Out-String | Invoke-Expression
    Register-ArgumentCompleter -Native -CommandName '\(program)' -ScriptBlock {
      param($word, $ast, $position)
      $words = @($ast.CommandElements | ForEach-Object { $_.ToString() })
      $last = $words.Count - 1
      if ($word) { $last -= 1 }
      $before = if ($last -ge 1) { $words[1..$last] } else { @() }
      & $words[0] \(commandName) "=$word" @before 2>$null | ForEach-Object {
        $name, $about = $_ -split "`t", 2
        if (-not $about) { $about = $name }
        [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $about)
      }
    }

    """
  }
}
